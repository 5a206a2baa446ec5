//! What a container wrote outside its mounts: re-creation loses it.
//!
//! Leaves out what no service can miss (sockets, pid files, temporary directories, what the engine itself puts
//! there). Whether the rest is data is the check's to judge. Looks at sizes, changes nothing.

use std::path::Path;

use bollard::models::{ChangeType, FilesystemChange};

use super::facts::{ContainerFacts, LayerFile};

/// Below these, nothing is kept from one start to the next.
const VOLATILE: &[&str] = &["/run", "/var/run", "/tmp", "/var/tmp", "/var/lock", "/dev", "/proc", "/sys"];

/// The engine writes these itself.
const ENGINES: &[&str] =
    &["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/.dockerenv", "/.dockerinit"];

/// The files among a container's changes, noise left out, in path order.
pub(super) fn files(changes: Vec<FilesystemChange>, container: &ContainerFacts) -> Vec<LayerFile> {
    let mut kept: Vec<FilesystemChange> = changes
        .into_iter()
        .filter(|c| c.kind != ChangeType::_2 && !is_noise(&c.path) && !is_mount(&c.path, container))
        .collect();
    kept.sort_by(|a, b| a.path.cmp(&b.path));
    let leaves: Vec<&FilesystemChange> = kept
        .iter()
        .filter(|c| {
            let below = format!("{}/", c.path);
            let next = kept.partition_point(|other| other.path.as_str() < below.as_str());
            !kept.get(next).is_some_and(|other| other.path.starts_with(&below))
        })
        .collect();
    leaves.into_iter().filter_map(|c| look(c, container)).collect()
}

/// The size, and whether it is a directory after all, where the layer can be read from here.
fn look(change: &FilesystemChange, container: &ContainerFacts) -> Option<LayerFile> {
    let inside = change.path.trim_start_matches('/');
    let meta =
        container.layer_directory.as_ref().and_then(|d| std::fs::symlink_metadata(d.join(inside)).ok());
    match meta {
        Some(meta) if !meta.is_file() && !meta.is_symlink() => None,
        meta => Some(LayerFile {
            path: change.path.clone(),
            changed: change.kind == ChangeType::_0,
            bytes: meta.map(|m| m.len()),
        }),
    }
}

fn is_noise(path: &str) -> bool {
    ENGINES.contains(&path)
        || VOLATILE.iter().any(|dir| is_below(path, dir))
        || matches!(Path::new(path).extension().and_then(|e| e.to_str()), Some("pid" | "sock" | "lock"))
        || [".bash_history", ".ash_history", ".sh_history"].iter().any(|n| path.ends_with(n))
}

/// A mount point, what lies below it, and the directories that were made to get to it.
fn is_mount(path: &str, container: &ContainerFacts) -> bool {
    container
        .mounts
        .iter()
        .map(|m| m.destination.trim_end_matches('/'))
        .filter(|destination| !destination.is_empty())
        .any(|destination| is_below(path, destination) || is_below(destination, path))
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::facts::ContainerMount;

    fn change(kind: ChangeType, path: &str) -> FilesystemChange {
        FilesystemChange { path: path.to_owned(), kind }
    }

    fn container(destination: &str) -> ContainerFacts {
        let mount = ContainerMount {
            kind: "volume".into(),
            volume: None,
            driver: None,
            source: "/x".into(),
            destination: destination.into(),
            writable: true,
        };
        ContainerFacts { mounts: vec![mount], ..ContainerFacts::default() }
    }

    #[test]
    fn only_files_outside_mounts_and_volatile_places_remain() {
        let changes = vec![
            change(ChangeType::_0, "/var"),
            change(ChangeType::_0, "/var/lib"),
            change(ChangeType::_1, "/var/lib/app"),
            change(ChangeType::_1, "/var/lib/app/data.db"),
            change(ChangeType::_1, "/var/lib/app-old"),
            change(ChangeType::_1, "/srv"),
            change(ChangeType::_1, "/srv/data"),
            change(ChangeType::_0, "/run/x"),
            change(ChangeType::_1, "/var/run/app.pid"),
            change(ChangeType::_1, "/opt/app.pid"),
            change(ChangeType::_2, "/etc/gone"),
            change(ChangeType::_0, "/etc/app.conf"),
        ];
        let files = files(changes, &container("/srv/data"));
        let paths: Vec<(&str, bool)> = files.iter().map(|f| (f.path.as_str(), f.changed)).collect();
        assert_eq!(
            paths,
            [("/etc/app.conf", true), ("/var/lib/app-old", false), ("/var/lib/app/data.db", false)]
        );
    }

    #[test]
    fn empty_directories_are_no_files_where_they_can_be_seen() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("opt/empty")).unwrap();
        std::fs::write(dir.path().join("opt/file"), "abc").unwrap();
        let container =
            ContainerFacts { layer_directory: Some(dir.path().into()), ..ContainerFacts::default() };
        let changes = vec![change(ChangeType::_1, "/opt/empty"), change(ChangeType::_1, "/opt/file")];
        let files = files(changes, &container);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].bytes, Some(3));
    }
}
