//! Whether the directory that the engine names is the one that a container sees, and whether it is open to us; if not,
//! how much there is. Reads only; the judgement is `mainstay_core::reach`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;
use mainstay_core::plan::Reach;
use mainstay_core::reach::{self, Here, Look, Proof, Stat};
use tokio::runtime::Handle;

use super::stream;
use crate::engine::Engine;
use crate::survey::{ContainerMount, Count};

/// Entries of a directory that the engine is asked about.
const ENTRIES: usize = 3;
/// How often an entry is looked at that changes all the time.
const TRIES: usize = 4;
/// Counting what is far away may take so long.
const COUNT_LIMIT: Duration = Duration::from_secs(20);
/// The bit for a directory in a mode as the engine writes it.
const DIRECTORY: u32 = 1 << 31;

/// How a mount is reached.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) reach: Reach,
    /// Why not directly.
    pub(crate) why: Option<String>,
}

/// Finds out how `source` is reached, which a container has as one of its mounts. Unless `prove` is set, a directory that
/// is here is taken for the right one: for listings.
pub(crate) async fn look(
    engine: &Engine,
    (container, mounts): (&str, &[ContainerMount]),
    mount: &ContainerMount,
    (source, prove): (&Path, bool),
) -> Reached {
    let socket = engine.endpoint().is_unix();
    let here = if socket { here(source) } else { Here::Closed };
    let proof = match here {
        Here::Open if prove => proof(engine, (container, mounts), mount, source).await,
        _ => Proof::Unknown,
    };
    let (reach, why) = reach::decide(socket, engine.is_local(), here, proof);
    let why = why.map(|why| format!("{}: {why} ({})", source.display(), engine.endpoint().host));
    Reached { reach, why }
}

fn here(source: &Path) -> Here {
    match std::fs::symlink_metadata(source) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Here::Nothing,
        Ok(_) if rustix::process::geteuid().is_root() => Here::Open,
        _ => Here::Closed,
    }
}

async fn proof(
    engine: &Engine,
    (container, mounts): (&str, &[ContainerMount]),
    mount: &ContainerMount,
    source: &Path,
) -> Proof {
    let mut looks = vec![one(engine, container, source, &mount.destination).await];
    let entries = std::fs::read_dir(source).into_iter().flatten().flatten();
    let inside = entries.filter_map(|entry| {
        let destination =
            format!("{}/{}", mount.destination.trim_end_matches('/'), entry.file_name().to_str()?);
        // Something else may be mounted there in the container.
        let covered = mounts.iter().any(|other| Path::new(&other.destination).starts_with(&destination));
        (!covered).then(|| (entry.path(), destination))
    });
    for (path, destination) in inside.take(ENTRIES) {
        looks.push(one(engine, container, &path, &destination).await);
    }
    let known: Vec<Look> = looks.into_iter().flatten().collect();
    reach::proof(&known)
}

/// One entry on both sides; `None` if the engine can't be asked.
async fn one(engine: &Engine, container: &str, here: &Path, there: &str) -> Option<Look> {
    let mut tries = 0;
    loop {
        let before = stat(here);
        let options = ContainerArchiveInfoOptionsBuilder::default().path(there).build();
        let call = engine.docker().get_container_archive_info(container, Some(options));
        let engine = match engine.call("look into a container", call).await {
            Ok(told) => Some(Stat {
                directory: told.file_mode & DIRECTORY != 0,
                permissions: told.file_mode & 0o777,
                changed: moment(told.modification_time.as_deref()?)?,
            }),
            Err(problem) if crate::engine::is_not_found(&problem) => None,
            Err(_) => return None,
        };
        let look = Look { before, engine, after: stat(here) };
        tries += 1;
        if look.before == look.after || tries == TRIES {
            return Some(look);
        }
    }
}

fn stat(path: &Path) -> Option<Stat> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    let changed = (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or(0));
    Some(Stat { directory: meta.is_dir(), permissions: meta.mode() & 0o777, changed })
}

fn moment(text: &str) -> Option<(i64, u32)> {
    let nanoseconds = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
    let (seconds, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    Some((i64::try_from(seconds).ok()?, u32::try_from(rest).ok()?))
}

/// How much is there, by reading all of it; `None` if that would take too long or can't be done.
pub(crate) async fn count(engine: &Engine, container: &str, destination: &str) -> Option<Count> {
    let archive = stream::get(&Handle::current(), engine, container, destination);
    let counting = tokio::task::spawn_blocking(move || mainstay_vault::sizes(archive, COUNT_LIMIT));
    // The reader looks at the clock only when something comes.
    let (files, bytes) = tokio::time::timeout(COUNT_LIMIT, counting).await.ok()?.ok()?.ok()?;
    Some(Count { bytes, files, ..Count::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_understood_as_the_system_writes_them() {
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Some((1, 500_000_000)));
        assert_eq!(moment("1969-12-31T23:59:50.5Z"), Some((-10, 500_000_000)));
        assert_eq!(moment("then"), None);
    }
}
