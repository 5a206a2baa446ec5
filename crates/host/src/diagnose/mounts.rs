//! The writable mounts: who may write there, who wrote what is there, and how much room is left. All of it may block.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use mainstay_core::diagnosis::{Entry, Mount, Space};

use super::Gatherer;
use crate::survey::{ContainerFacts, ContainerMount, Env};

/// Entries of a mount that are looked at.
const ENTRIES: usize = 40;

/// Files that name the version that wrote the others, with the product, and the variables that an image names its own in.
const PRODUCTS: &[(&str, &str, &[&str])] = &[
    ("PostgreSQL", "PG_VERSION", &["PG_MAJOR", "PG_VERSION"]),
    ("MariaDB", "mariadb_upgrade_info", &["MARIADB_VERSION"]),
    ("MariaDB", "mysql_upgrade_info", &["MARIADB_VERSION"]),
    ("MySQL", "mysql_upgrade_info", &["MYSQL_VERSION", "MYSQL_MAJOR"]),
];
/// Where images keep such a file below the mount.
const BELOW: &[&str] = &["", "data", "pgdata", "docker"];

/// The writable mounts of a container, seen through its process where there is one: what is mounted for it alone, too.
pub(super) async fn writable(gatherer: &Gatherer, facts: &ContainerFacts, pid: Option<u32>) -> Vec<Mount> {
    let kept = |m: &&ContainerMount| m.writable && matches!(m.kind.as_str(), "volume" | "bind" | "tmpfs");
    let mounts: Vec<ContainerMount> = facts.mounts.iter().filter(kept).cloned().collect();
    if !gatherer.engine.endpoint().is_unix() {
        return Vec::new();
    }
    let server = server(&facts.env).map(|(product, _)| product);
    gatherer.blocking(move || mounts.iter().map(|m| look(m, pid, server.as_deref())).collect()).await
}

fn look(mount: &ContainerMount, pid: Option<u32>, product: Option<&str>) -> Mount {
    let inside = pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root{}", mount.destination)));
    let source = inside.filter(|path| path.exists()).unwrap_or_else(|| mount.source.clone());
    Mount {
        destination: mount.destination.clone(),
        source: if mount.source.as_os_str().is_empty() { source.clone() } else { mount.source.clone() }
            .display()
            .to_string(),
        entries: entries(&source, &mount.destination),
        written_by: product.and_then(|product| written_by(&source, product)),
    }
}

fn entries(source: &Path, destination: &str) -> Vec<Entry> {
    let of = |path: &Path, shown: String| {
        let meta = std::fs::symlink_metadata(path).ok().filter(|meta| meta.is_dir() || meta.is_file())?;
        Some(Entry { path: shown, uid: meta.uid(), gid: meta.gid(), mode: meta.mode() })
    };
    let below = std::fs::read_dir(source).into_iter().flatten().take(ENTRIES).filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Of filesystems, not of services.
        let name = Some(name).filter(|name| name != "lost+found")?;
        of(&entry.path(), format!("{}/{name}", destination.trim_end_matches('/')))
    });
    of(source, destination.to_owned()).into_iter().chain(below).collect()
}

fn written_by(source: &Path, product: &str) -> Option<(String, String)> {
    let files = PRODUCTS.iter().filter(|(name, ..)| *name == product).map(|(_, file, _)| file);
    let version = files
        .flat_map(|file| BELOW.iter().map(move |below| source.join(below).join(file)))
        .find_map(|path| {
            let meta = std::fs::metadata(&path).ok().filter(|meta| meta.len() < 100)?;
            let text = std::fs::read_to_string(&path).ok().filter(|_| meta.is_file())?;
            Some(text.trim().to_owned()).filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))
        })?;
    Some((product.to_owned(), version))
}

/// The database that an image holds, and its version.
pub(super) fn server(env: &Env) -> Option<(String, String)> {
    PRODUCTS.iter().find_map(|(product, _, variables)| {
        let version = variables.iter().find_map(|name| env.get(name))?;
        let version = version.rsplit(':').next().unwrap_or(version);
        Some(((*product).to_owned(), version.to_owned()))
    })
}

/// The filesystem of a path, and which one it is.
pub(super) fn space(what: String, path: &Path) -> Option<(u64, Space)> {
    let stat = rustix::fs::statvfs(path).ok()?;
    let device = std::fs::metadata(path).ok()?.dev();
    let space = Space {
        what,
        path: path.display().to_string(),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        files_free: stat.f_favail,
        files_total: stat.f_files,
    };
    Some((device, space))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_files_and_from_the_image() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("pgdata")).unwrap();
        std::fs::write(directory.path().join("pgdata/PG_VERSION"), "15\n").unwrap();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(written_by(directory.path(), "PostgreSQL"), pair("PostgreSQL", "15"));
        assert_eq!(written_by(directory.path(), "MariaDB"), None);
        let image = |line: &str| server(&Env::from_lines(&[line.to_owned()]));
        assert_eq!(image("PG_MAJOR=17"), pair("PostgreSQL", "17"));
        assert_eq!(
            image("MARIADB_VERSION=1:10.11.6+maria~ubu2204"),
            pair("MariaDB", "10.11.6+maria~ubu2204")
        );
        assert_eq!(image("APP_VERSION=1"), None);
    }

    #[test]
    fn the_mount_itself_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("store.json"), "{}").unwrap();
        let found: Vec<String> = entries(directory.path(), "/data").into_iter().map(|e| e.path).collect();
        assert_eq!(found, ["/data", "/data/store.json"]);
    }
}
