//! Puts a backup in the place of data that can only be reached through somebody else, as an archive.
//!
//! Invariant: before anything is changed, what is there now was read and is in the safety backup; nothing is removed
//! that isn't; in the end everything is read once more and compared with the backup, as far as such an archive shows it
//! ([`Manifest::as_reached`]). Every call with the same arguments finishes what an interrupted one began.
//! Doesn't know how the archive travels.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::archive::Archive;
use crate::content::Content;
use crate::entry::{Entry, Stamp, What};
use crate::error::{Result, VaultError};
use crate::guard::caught;
use crate::ids::SnapshotId;
use crate::manifest::{Manifest, difference, shown};
use crate::progress::{Meter, Monitor, Phase, watched};
use crate::restore::Restored;
use crate::tarred;
use crate::vault::Vault;

/// The directory in archives that are sent. Whoever reads them doesn't care.
const TOP: &str = "data";

/// Data that is somewhere else.
pub trait Elsewhere {
    /// All of it, as a tar archive.
    ///
    /// # Errors
    ///
    /// It can't be had.
    fn read(&self) -> io::Result<Box<dyn Read + Send>>;

    /// Called before the first change: from here on, what is there may be neither the old data nor the new one.
    ///
    /// # Errors
    ///
    /// That can't be written down: nothing is changed then.
    fn begin(&self) -> io::Result<()>;

    /// Removes paths, then makes what the archive holds that `write` writes; see [`crate::apply`].
    ///
    /// # Errors
    ///
    /// Not all of that was done.
    fn change(
        &self,
        remove: &[PathBuf],
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()>;
}

impl Manifest {
    /// The same data as an archive of an engine shows it: times of whole seconds, no sockets, and of extended attributes
    /// only capabilities.
    #[must_use]
    pub fn as_reached(&self) -> Self {
        let entries = self.entries.iter().filter(|entry| entry.what != What::Socket).cloned();
        let entries = entries.map(|mut entry| {
            entry.mtime = Stamp(entry.mtime.0, 0);
            entry.xattrs.retain(|xattr| xattr.name == "security.capability");
            entry
        });
        Self { entries: entries.collect() }
    }
}

impl Vault {
    /// Makes the data at `place` that of a backup. `begun` says that an earlier call with the same arguments had called
    /// [`Elsewhere::begin`].
    ///
    /// # Errors
    ///
    /// [`VaultError::SafetyOutdated`] and [`VaultError::Foreign`] if something is there that isn't in the safety backup;
    /// [`VaultError::Mismatch`] if in the end it isn't what was sent; what `place` says.
    pub fn replace_through(
        &self,
        (id, safety): (&SnapshotId, &SnapshotId),
        begun: bool,
        place: &dyn Elsewhere,
        monitor: &dyn Monitor,
    ) -> Result<Restored> {
        let _lock = self.lock_for_reading()?;
        let snapshot = self.snapshot(id)?;
        let manifest = self.manifest_of(&snapshot)?;
        let safety_manifest = self.manifest_of(&self.snapshot(safety)?)?.as_reached();
        let meter = Meter::new(Phase::Comparing, None);
        let work = || {
            let wanted = manifest.as_reached();
            let present = listed(place, &meter, &safety_manifest)?;
            let changes = Changes::between(&present, &wanted);
            // Begun, it may have ended before it was tidied and durable.
            if changes.is_empty() && !begun {
                return Ok(Restored::of(&manifest));
            }
            if let Some(reason) = foreign(&present, &safety_manifest, begun.then_some(&wanted)) {
                let (target, safety) = (snapshot.source.clone(), safety.clone());
                return Err(if begun {
                    VaultError::Foreign { target, reason }
                } else {
                    VaultError::SafetyOutdated { snapshot: safety, target, difference: reason }
                });
            }
            let content = self.content(&snapshot, &manifest)?;
            if !begun {
                place.begin().map_err(|error| VaultError::io("change", &snapshot.source, error))?;
            }
            changes.carry_out(place, (&content, &manifest), &snapshot.source, &meter)?;
            let differing = Changes::between(&listed(place, &meter, &wanted)?, &wanted);
            match differing.first() {
                None => Ok(Restored::of(&manifest)),
                Some(difference) => Err(VaultError::Mismatch {
                    path: snapshot.source.clone(),
                    differences: vec![format!("{} is not as in the backup", shown(difference))],
                }),
            }
        };
        watched(monitor, &meter, || caught("put the data back", work))
    }
}

/// What is there now, with its hashes; about as much as in `like`.
fn listed(place: &dyn Elsewhere, meter: &Meter, like: &Manifest) -> Result<Manifest> {
    meter.enter(Phase::Comparing, Some(like.bytes()));
    let mut entries = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    let read = place.read().and_then(|archive| {
        tarred::each(archive, |mut entry, content| {
            let mut hasher = blake3::Hasher::new();
            loop {
                meter.check().map_err(io::Error::other)?;
                let length = content.read(&mut buffer)?;
                if length == 0 {
                    break;
                }
                hasher.update(&buffer[..length]);
                meter.bytes(length as u64);
            }
            if let (What::File { blake3, .. }, None) = (&mut entry.what, &entry.hardlink) {
                *blake3 = hasher.finalize().to_hex().to_string();
                meter.file();
            }
            entries.push(entry);
            Ok(())
        })
    });
    meter.check()?;
    read.map_err(|error| VaultError::io("read", "the archive of the engine", error))?;
    entries.sort_by(|one: &Entry, other| one.path.cmp(&other.path));
    let hashes: HashMap<u64, What> =
        entries.iter().filter(|e| e.hardlink.is_none()).map(|e| (e.ino, e.what.clone())).collect();
    for entry in entries.iter_mut().filter(|entry| entry.hardlink.is_some()) {
        entry.what.clone_from(&hashes[&entry.ino]);
        // As in a manifest: of anything but a file a second name is an entry of its own.
        if !entry.is_file() {
            entry.hardlink = None;
        }
    }
    Ok(Manifest::new(entries).as_reached())
}

/// The first entry that is neither as in the safety backup nor, once changes have begun, one of those that they change.
fn foreign(present: &Manifest, safety: &Manifest, wanted: Option<&Manifest>) -> Option<String> {
    let (now, saved) = (present.by_path(), safety.by_path());
    let wanted = wanted.map(Manifest::by_path);
    let equal = |one: Option<&&Entry>, other: Option<&&Entry>| match (one, other) {
        (Some(one), Some(other)) => difference(one, other, true).is_none(),
        (one, other) => one.is_none() && other.is_none(),
    };
    let paths: BTreeSet<&Path> = now.keys().chain(saved.keys()).copied().collect();
    let free = |path: &Path| {
        wanted.as_ref().is_some_and(|wanted| !same(saved.get(path).copied(), wanted.get(path).copied()))
    };
    let mut odd = paths.into_iter().filter(|path| !equal(now.get(path), saved.get(path)) && !free(path));
    odd.next().map(|path| match (now.get(path), saved.get(path)) {
        (Some(now), Some(saved)) => {
            format!("{}: {}", shown(path), difference(now, saved, true).unwrap_or("it differs"))
        }
        (Some(_), None) => format!("{}: it is additional", shown(path)),
        _ => format!("{}: it is missing", shown(path)),
    })
}

/// Whether nothing has to be done to make one of the other; the root's time is nobody's.
fn same(now: Option<&Entry>, then: Option<&Entry>) -> bool {
    match (now, then) {
        (Some(now), Some(then)) => {
            let timeless = now.path.as_os_str().is_empty();
            difference(now, then, true).is_none() && (timeless || now.mtime == then.mtime)
        }
        (now, then) => now.is_none() && then.is_none(),
    }
}

/// What has to be done.
struct Changes {
    remove: Vec<PathBuf>,
    /// By the first name of an inode.
    write: HashSet<PathBuf>,
    first: Option<PathBuf>,
}

impl Changes {
    fn between(present: &Manifest, wanted: &Manifest) -> Self {
        let (now, then) = (present.by_path(), wanted.by_path());
        let in_the_way = |entry: &&Entry| match then.get(&*entry.path) {
            None => true,
            Some(wanted) => (entry.what == What::Dir) != (wanted.what == What::Dir),
        };
        let remove: Vec<_> =
            present.entries.iter().filter(in_the_way).map(|entry| entry.path.clone()).collect();
        let differing = || wanted.entries.iter().filter(|e| !same(now.get(&*e.path).copied(), Some(*e)));
        let first = differing().next().map(|e| e.path.clone()).or_else(|| remove.first().cloned());
        Self { write: differing().map(|entry| first_name(entry).to_owned()).collect(), remove, first }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first path that differs.
    fn first(&self) -> Option<&Path> {
        self.first.as_deref()
    }

    fn carry_out(
        &self,
        place: &dyn Elsewhere,
        (content, manifest): (&Content<'_>, &Manifest),
        target: &Path,
        meter: &Meter,
    ) -> Result<()> {
        let sent = |entry: &Entry| entry.hardlink.is_none() && self.write.contains(&entry.path);
        let bytes = manifest.entries.iter().filter(|entry| sent(entry)).map(Entry::size).sum();
        meter.enter(Phase::Restoring, Some(bytes));
        let mut failure = None;
        let changed = place.change(&self.remove, &mut |to| {
            self.send((content, manifest), to, meter).map_err(|error| match error {
                // Whoever takes it says better why it isn't taken.
                VaultError::Io { source, .. } => source,
                error => io::Error::other(failure.get_or_insert(error).to_string()),
            })
        });
        changed.map_err(|error| failure.unwrap_or_else(|| VaultError::io("change", target, error)))
    }

    /// All directories, since work in them changes their times, and what differs.
    fn send(
        &self,
        (content, manifest): (&Content<'_>, &Manifest),
        to: &mut dyn Write,
        meter: &Meter,
    ) -> Result<()> {
        let io = |error| VaultError::io("write", "the archive", error);
        let mut archive = Archive::new(to);
        for (entry, node) in content.with_entries(manifest) {
            meter.check()?;
            let wanted = entry.what == What::Dir || self.write.contains(first_name(entry));
            if !wanted || entry.what == What::Socket {
                continue;
            }
            archive.entry(&to_send(entry), Path::new(TOP)).map_err(io)?;
            if entry.is_file() && entry.hardlink.is_none() {
                content.read(entry, node, |block| {
                    meter.check()?;
                    archive.content(block).map_err(io)?;
                    meter.bytes(block.len() as u64);
                    Ok(())
                })?;
                archive.pad().map_err(io)?;
                meter.file();
            }
        }
        archive.finish().map_err(io)
    }
}

/// Without attributes that only the kernel's own administrator may set, which is nobody in a container.
fn to_send(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    let may = |name: &str| {
        name.starts_with("user.") || name.starts_with("system.posix_acl_") || name == "security.capability"
    };
    entry.xattrs.retain(|xattr| may(&xattr.name));
    entry
}

fn first_name(entry: &Entry) -> &Path {
    entry.hardlink.as_deref().unwrap_or(&entry.path)
}
