//! Something in front of the engine's socket, or of the registry, which can do what those do that go away: hang, break
//! connections, refuse new ones, answer late.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::{engine, net};

/// What is behind it does this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mood {
    /// It works.
    Well,
    /// It takes connections and questions, and never answers.
    Hangs,
    /// It breaks every connection.
    Breaks,
    /// Its socket is gone, and every connection with it.
    Gone,
    /// It answers half a second late.
    Late,
}

/// What passes it on; a socket is gone with the value.
pub struct Proxy {
    /// The socket, where it is one.
    path: Option<PathBuf>,
    host: String,
    mood: Arc<AtomicU8>,
}

impl Proxy {
    /// Listens in a directory.
    pub fn in_front_of_the_engine(directory: &Path) -> Self {
        let path = directory.join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (mood, behind) = (well(), engine::socket());
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // An engine that is down answers nobody.
                if let Ok(engine) = UnixStream::connect(&behind) {
                    connect(client, engine, &shared);
                }
            }
        });
        Self { host: format!("unix://{}", path.display()), path: Some(path), mood }
    }

    /// Listens on a port of the loopback interface.
    pub fn in_front_of_the_registry() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let mood = well();
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                connect(client, TcpStream::connect(net::REGISTRY).unwrap(), &shared);
            }
        });
        Self { path: None, host, mood }
    }

    /// As in `DOCKER_HOST`, or before the name of an image.
    pub fn host(&self) -> String {
        self.host.clone()
    }

    /// Changes what it does, also to connections that are open.
    pub fn set(&self, mood: Mood) {
        if let Some(path) = &self.path {
            let aside = path.with_extension("aside");
            match (mood, aside.exists()) {
                (Mood::Gone, false) => std::fs::rename(path, &aside).unwrap(),
                (Mood::Gone, true) | (_, false) => {}
                (_, true) => std::fs::rename(&aside, path).unwrap(),
            }
        }
        self.mood.store(mood as u8, Ordering::SeqCst);
    }
}

fn well() -> Arc<AtomicU8> {
    Arc::new(AtomicU8::new(Mood::Well as u8))
}

/// A connection of either kind.
trait Stream: Read + Write + Send + Sized + 'static {
    fn another(&self) -> Self;
    fn close(&self, how: Shutdown);
    fn look_every(&self, time: Duration);
}

macro_rules! stream {
    ($kind:ty) => {
        impl Stream for $kind {
            fn another(&self) -> Self {
                self.try_clone().unwrap()
            }

            fn close(&self, how: Shutdown) {
                let _ = self.shutdown(how);
            }

            fn look_every(&self, time: Duration) {
                self.set_read_timeout(Some(time)).unwrap();
            }
        }
    };
}

stream!(UnixStream);
stream!(TcpStream);

fn connect<S: Stream>(client: S, behind: S, mood: &Arc<AtomicU8>) {
    for (from, to) in [(client.another(), behind.another()), (behind, client)] {
        let mood = Arc::clone(mood);
        std::thread::spawn(move || pass_on(from, to, &mood));
    }
}

fn pass_on<S: Stream>(mut from: S, mut to: S, mood: &AtomicU8) {
    const LOOK: Duration = Duration::from_millis(20);
    let now = || mood.load(Ordering::SeqCst);
    let is = |wanted: Mood| now() == wanted as u8;
    from.look_every(LOOK);
    let mut piece = vec![0; 64 * 1024];
    loop {
        if is(Mood::Breaks) || is(Mood::Gone) {
            from.close(Shutdown::Both);
            to.close(Shutdown::Both);
            return;
        }
        let read = match from.read(&mut piece) {
            Ok(0) => {
                to.close(Shutdown::Write);
                return;
            }
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => {
                to.close(Shutdown::Both);
                return;
            }
        };
        if is(Mood::Late) {
            std::thread::sleep(Duration::from_millis(500));
        }
        while is(Mood::Hangs) {
            std::thread::sleep(LOOK);
        }
        if to.write_all(&piece[..read]).is_err() {
            from.close(Shutdown::Both);
            return;
        }
    }
}
