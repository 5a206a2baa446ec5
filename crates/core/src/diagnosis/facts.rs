//! What was gathered about a service that is to be diagnosed: plain data, no secret in it.
//!
//! Invariant: values of environment variables are not here, only what became of them; log lines and outputs
//! are redacted by whoever gathers them. What could not be learned is absent, and no rule takes absence for a
//! fault.

use std::net::IpAddr;

/// Everything that the rules look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The service that is diagnosed.
    pub service: String,
    /// Whether a verdict has condemned it already.
    pub condemned: bool,
    /// Whether that was because it comes near its memory limit.
    pub short_of_memory: bool,
    /// Whether that was because it answers too slowly: then it does answer, if later than a diagnosis waits.
    pub slow: bool,
    /// Whether the engine said in time which containers there are.
    pub listed: bool,
    /// The containers of its unit, as far as they could be looked at.
    pub containers: Vec<Container>,
    /// The architecture of the engine's machine, as images name it; empty where unknown.
    pub architecture: String,
    /// What a question inside the network found.
    pub inside: Option<Inside>,
    /// What a question at the URL found.
    pub outside: Option<Outside>,
    /// The container that serves the URL, where it is another one.
    pub proxy: Option<Proxy>,
    /// The other services of the project.
    pub neighbours: Vec<Neighbour>,
    /// Who holds the port that a container wanted.
    pub port_holder: Option<String>,
    /// Filesystems that matter.
    pub spaces: Vec<Space>,
    /// Clocks that are not ours.
    pub clocks: Vec<Clock>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `running`, `exited`, ….
    pub status: String,
    /// Whether a process runs in it now.
    pub running: bool,
    /// Exits that nobody asked for, lately.
    pub exits: u64,
    /// The last exit code.
    pub exit_code: i64,
    /// What the engine said when it could not start it.
    pub start_error: String,
    /// Whether the kernel killed a process of it for want of memory.
    pub out_of_memory: bool,
    /// Bytes allowed.
    pub memory_limit: Option<u64>,
    /// The most bytes that it has used since its start.
    pub memory_peak: Option<u64>,
    /// What its health check says, where it is bad.
    pub unhealthy: Option<String>,
    /// The last lines of its log, oldest first; of one that runs well, only those of the last minutes.
    pub log: Vec<String>,
    /// The image, as its configuration names it.
    pub image: String,
    /// The architecture that the image was built for.
    pub image_architecture: String,
    /// The program that it starts.
    pub program: String,
    /// Who its processes run as.
    pub user: User,
    /// Who the old version's ran as, where that is known and another.
    pub old_user: Option<String>,
    /// What is listened on in its network; `None` where that can't be seen.
    pub listeners: Option<Vec<Listener>>,
    /// Whether it is in the network of the host or of another container, so that listeners may be others'.
    pub shares_network: bool,
    /// The names of its networks.
    pub networks: Vec<String>,
    /// Its writable mounts.
    pub mounts: Vec<Mount>,
    /// Variables that look like secrets and are not what they were.
    pub variables: Vec<Variable>,
    /// Files that look like keys, in its own layer only.
    pub key_files: Vec<String>,
    /// The major version of the server that the image holds, with its product.
    pub server: Option<(String, String)>,
}

/// Who a process runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// As the configuration names it; empty for root.
    pub name: String,
    /// Its number; `None` where that is not known.
    pub uid: Option<u32>,
    /// Its group and its further groups.
    pub gids: Vec<u32>,
}

/// A TCP port that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// At which address.
    pub address: IpAddr,
    /// Which port.
    pub port: u16,
}

/// A writable mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Where the container sees it.
    pub destination: String,
    /// Where it is on the host.
    pub source: String,
    /// Its root and the first entries in it.
    pub entries: Vec<Entry>,
    /// Product and version that the files in it say they were written by.
    pub written_by: Option<(String, String)>,
}

/// A file or directory, and who may write to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the container.
    pub path: String,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permission bits.
    pub mode: u32,
}

/// A variable that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not set any more, or empty.
    Vanished,
    /// It has another value.
    Changed,
}

/// An answer from inside the network, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// The port that was asked, because others expect it.
    pub port: u16,
    /// Who expects it.
    pub from: String,
    /// Whether the port takes connections.
    pub connects: bool,
    /// Whether the answer was good.
    pub ok: bool,
    /// The HTTP status.
    pub status: Option<u16>,
    /// For people.
    pub detail: String,
}

/// An answer at the URL, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The URL, fit to be shown.
    pub url: String,
    /// Whether the answer was good.
    pub ok: bool,
    /// The HTTP status.
    pub status: Option<u16>,
    /// For people.
    pub detail: String,
    /// Why the name has no address.
    pub dns_trouble: Option<String>,
    /// Why the certificate was not accepted.
    pub certificate_trouble: Option<String>,
    /// For people: whom the certificate was issued to, by whom, until when.
    pub certificate: Option<String>,
    /// The certificate authority that the operator named.
    pub ca: Option<String>,
}

/// The container that takes users' requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Its name.
    pub name: String,
    /// The names of its networks.
    pub networks: Vec<String>,
}

/// Another service of the project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub service: String,
    /// Whether the files say that ours needs it.
    pub needed: bool,
    /// Whether it is one that ends when its work is done: the files give it no restart policy.
    pub job: bool,
    /// `running`, `exited`, …; empty where it has no container.
    pub state: String,
    /// For people: `Up 3 hours (unhealthy)`.
    pub status: String,
}

/// Room on a filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// What is kept there, for people.
    pub what: String,
    /// Where.
    pub path: String,
    /// Bytes free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// File entries free.
    pub files_free: u64,
    /// File entries in all; 0 where the filesystem counts none.
    pub files_total: u64,
}

/// Another clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Whose.
    pub whose: String,
    /// How far it is ahead of ours, in milliseconds; negative where it is behind.
    pub ahead_ms: i64,
    /// How exact that is, in milliseconds.
    pub within_ms: i64,
}

impl Facts {
    /// Whether the service is not well, so that lines in its log explain something.
    #[must_use]
    pub fn suffers(&self) -> bool {
        self.condemned
            || self.containers.iter().any(Container::suffers)
            || self.inside.as_ref().is_some_and(|a| !a.ok)
            || self.outside.as_ref().is_some_and(|a| !a.ok)
    }

    /// The container that is asked for the service, which is the first one that runs.
    #[must_use]
    pub fn asked(&self) -> Option<&Container> {
        self.containers.iter().find(|c| c.running)
    }

    /// Every log line, with its container.
    pub fn lines(&self) -> impl Iterator<Item = (&Container, &str)> {
        self.containers.iter().flat_map(|c| c.log.iter().map(move |line| (c, line.as_str())))
    }
}

impl Container {
    /// Whether it is down, is started again and again, or unhealthy.
    #[must_use]
    pub fn suffers(&self) -> bool {
        // A job that has ended well is no patient.
        let down = !self.running && (self.exit_code != 0 || !self.start_error.is_empty());
        down || self.status == "restarting" || self.exits > 0 || self.unhealthy.is_some()
    }
}

impl User {
    /// For people: name and number as far as they are known.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.name.as_str(), self.uid) {
            ("", Some(0) | None) => "root".to_owned(),
            ("", Some(uid)) => format!("user {uid}"),
            (name, Some(uid)) if name.split(':').next() != Some(&uid.to_string()) => {
                format!("{name} (user {uid})")
            }
            (name, _) => format!("user {name}"),
        }
    }

    /// Whether it may write to what has this owner and these permissions; unknown users may.
    #[must_use]
    pub fn may_write(&self, entry: &Entry) -> bool {
        let Some(uid) = self.uid else { return true };
        let bit = if uid == 0 {
            return true;
        } else if uid == entry.uid {
            0o200
        } else if self.gids.contains(&entry.gid) {
            0o020
        } else {
            0o002
        };
        entry.mode & bit != 0
    }
}
