//! Processes that are killed in the middle of their work: this binary again, with one ignored test as its program.
//!
//! ```ignore
//! let mut child = Child::start("killed_backup::child", &["backup", …]); // until it says that it begins
//! child.kill_after(kills.next(measured));
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aes256ctr_poly1305aes::aead::AeadInPlace;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustic_backend::LocalBackend;
use rustic_core::{Credentials, Repository, RepositoryBackends, RepositoryOptions};
use sha2::{Digest, Sha256};

use crate::common::Place;

const ARGUMENTS: &str = "MAINSTAY_TEST_CHILD";
const READY: &str = "the child begins";

/// A process that was told what to do, and has begun.
pub struct Child {
    process: std::process::Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Runs the ignored test `name` of this binary in a process of its own, up to its [`ready`].
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--ignored", "--nocapture"]);
        command.env(ARGUMENTS, serde_json::to_string(arguments).unwrap());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim() != READY {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "{name} ended before it began");
        }
        Self { process, output }
    }

    /// Kills it by a signal that it can't see, unless it has ended by then: then, how long it took.
    pub fn kill_after(mut self, delay: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let until = begun + delay;
        while Instant::now() < until {
            if self.process.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        let took = begun.elapsed();
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.code().is_none_or(|code| code == 0), "it failed by itself: {}", self.said());
        status.success().then_some(took)
    }

    /// Waits for its end, which must be a good one; how long that took.
    pub fn finish(mut self) -> Duration {
        let begun = Instant::now();
        let status = self.process.wait().unwrap();
        let took = begun.elapsed();
        assert!(status.success(), "{}", self.said());
        took
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        let _ = std::io::Read::read_to_string(&mut self.output, &mut said);
        if let Some(error) = &mut self.process.stderr {
            let _ = std::io::Read::read_to_string(error, &mut said);
        }
        said
    }
}

/// In the child: what it was told.
pub fn arguments() -> Vec<String> {
    serde_json::from_str(&std::env::var(ARGUMENTS).expect("only a test starts this one")).unwrap()
}

/// In the child: what matters begins now.
pub fn ready() {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{READY}").unwrap();
    out.flush().unwrap();
}

/// Random moments, from a seed that a failed test shows.
pub struct Moments {
    seed: u64,
    drawn: u64,
}

impl Moments {
    /// `MAINSTAY_TEST_SEED` repeats what another seed showed.
    pub fn new() -> Self {
        let given = std::env::var("MAINSTAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or(now.subsec_nanos().into());
        let mut out = std::io::stdout().lock();
        writeln!(out, "MAINSTAY_TEST_SEED={seed}").unwrap();
        Self { seed, drawn: 0 }
    }

    pub fn number(&mut self) -> u64 {
        self.drawn += 1;
        let hash = blake3::hash(format!("{} {}", self.seed, self.drawn).as_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
    }

    /// Evenly spread over a little more than `whole`.
    pub fn next(&mut self, whole: Duration) -> Duration {
        let part = self.number() as f64 / u64::MAX as f64;
        whole.mul_f64(part * 1.1)
    }
}

/// Puts a key file in place whose key is derived a thousand times faster than it should be.
pub fn open_fast(place: &Place) {
    let password = fs::read_to_string(place.vault.password_file()).unwrap();
    let password = password.trim_end();
    let backend = LocalBackend::new(place.vault.path().to_str().unwrap(), []).unwrap();
    let backends = RepositoryBackends::new(std::sync::Arc::new(backend), None);
    let repository = Repository::new(&RepositoryOptions::default().no_cache(true), &backends).unwrap();
    let master = repository.open(&Credentials::password(password)).unwrap().key();

    let (salt, mut derived, nonce) = ([5; 64], Key::default(), *Nonce::from_slice(&[5; 16]));
    scrypt::scrypt(password.as_bytes(), &salt, &scrypt::Params::new(5, 8, 1).unwrap(), &mut derived).unwrap();
    let mut sealed = nonce.to_vec();
    sealed.extend(serde_json::to_vec(&master).unwrap());
    let tag = Aes256CtrPoly1305Aes::new(&derived);
    let tag = tag.encrypt_in_place_detached(&nonce, &[], &mut sealed[16..]).unwrap();
    sealed.extend(tag);
    let file = serde_json::json!({
        "hostname": "mainstay", "username": "test", "created": "2026-01-01T00:00:00Z",
        "kdf": "scrypt", "N": 32, "r": 8, "p": 1,
        "salt": STANDARD.encode(salt), "data": STANDARD.encode(sealed),
    });
    let file = serde_json::to_vec(&file).unwrap();
    let keys = place.vault.path().join("keys");
    let old = crate::common::files_below(&keys);
    fs::write(keys.join(hex::encode(Sha256::digest(&file))), file).unwrap();
    for key in old {
        fs::remove_file(key).unwrap();
    }
}
