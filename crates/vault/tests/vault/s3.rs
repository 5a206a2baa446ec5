//! A real S3 server on loopback, of this test alone. `script/bootstrap --test` installs it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mainstay_vault::Location;
use tempfile::TempDir;

pub const ID: &str = "TESTACCESSKEYID";
pub const SECRET: &str = "a-secret-that-must-not-be-shown";

/// A server with one bucket, `backups`; ended when it is dropped.
pub struct S3 {
    pub dir: TempDir,
    pub port: u16,
    server: Option<Child>,
}

impl S3 {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("s3/backups")).unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut server = Self { dir, port, server: None };
        server.run();
        server
    }

    /// Starts it, or starts it again on the same port and directory.
    pub fn run(&mut self) {
        let cache = std::env::var_os("MAINSTAY_LAB_CACHE").unwrap_or("/var/cache/mainstay-lab".into());
        let program = Path::new(&cache).join("s3s-fs/bin/s3s-fs");
        let server = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", ID, "--secret-key", SECRET])
            .arg(self.dir.path().join("s3"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}; script/bootstrap --test installs it", program.display()));
        self.server = Some(server);
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < deadline, "the S3 server doesn't start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    pub fn location(&self, prefix: &str) -> Location {
        let address = format!("s3:http://127.0.0.1:{}/backups/{prefix}", self.port);
        Location::parse(&address, Path::new("/")).unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.stop();
    }
}
