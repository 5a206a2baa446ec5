//! A socket in front of the engine's, which can do what an engine does that goes away: hang, break connections, refuse
//! new ones, answer late.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// What the engine does.
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

/// The socket; gone with the value.
pub struct Proxy {
    path: PathBuf,
    mood: Arc<AtomicU8>,
}

impl Proxy {
    /// Listens in a directory.
    pub fn in_front_of_the_engine(directory: &Path) -> Self {
        let path = directory.join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mood = Arc::new(AtomicU8::new(Mood::Well as u8));
        let shared = Arc::clone(&mood);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
                for (from, to) in [(&client, &engine), (&engine, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let mood = Arc::clone(&shared);
                    std::thread::spawn(move || pass_on(from, to, &mood));
                }
            }
        });
        Self { path, mood }
    }

    /// As in `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Changes what it does, also to connections that are open.
    pub fn set(&self, mood: Mood) {
        let aside = self.path.with_extension("aside");
        match (mood, aside.exists()) {
            (Mood::Gone, false) => std::fs::rename(&self.path, &aside).unwrap(),
            (Mood::Gone, true) | (_, false) => {}
            (_, true) => std::fs::rename(&aside, &self.path).unwrap(),
        }
        self.mood.store(mood as u8, Ordering::SeqCst);
    }
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, mood: &AtomicU8) {
    const LOOK: Duration = Duration::from_millis(20);
    let now = || mood.load(Ordering::SeqCst);
    let is = |wanted: Mood| now() == wanted as u8;
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut piece = vec![0; 64 * 1024];
    loop {
        if is(Mood::Breaks) || is(Mood::Gone) {
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            return;
        }
        let read = match from.read(&mut piece) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(read) => read,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                continue;
            }
            Err(_) => {
                let _ = to.shutdown(Shutdown::Both);
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
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}
