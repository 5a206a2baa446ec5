//! Which mounts of the unit hold data, how much, and who else uses it.
//!
//! Everything that the service can write is data, except what is no file: sockets, devices, `/proc` and the
//! like. How each place is reached is decided here (`crate::reach`); data that is only there while a container runs is
//! said to be unsupported rather than left out. Walks through the data, changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerSummary, Volume};
use bollard::query_parameters::ListContainersOptionsBuilder;
use mainstay_core::plan::{DataMount, MountKind, Reach};
use mainstay_core::problem::Problem;

use super::facts::{ContainerFacts, ContainerMount, MountFacts, ServiceFacts, Sharer, UnsupportedMount};
use super::{containers, space};
use crate::discover::service_of;
use crate::engine::Engine;
use crate::reach;

/// Binds of these, or of what is below, belong to the system.
const SYSTEM: &[&str] = &["/proc", "/sys", "/dev", "/run", "/var/run"];

/// Binds of exactly these give the container the host's clock and names.
const SYSTEM_FILES: &[&str] = &[
    "/etc/localtime",
    "/etc/timezone",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/machine-id",
];

/// What the mounts of a unit are.
pub(super) struct Mounts {
    pub data: Vec<MountFacts>,
    pub unsupported: Vec<UnsupportedMount>,
}

/// What one mount turned out to be.
enum Sorted {
    Data(DataMount),
    Unsupported(UnsupportedMount),
    NoData,
}

/// What holds data, and how it was found.
#[derive(Clone)]
struct Place {
    mount: DataMount,
    /// Why it isn't reached directly.
    why: Option<String>,
    /// A container that has it.
    container: String,
}

/// Looks at every mount of the unit. `far`: the engine is asked whether a directory is the right one, and what isn't
/// reached directly is counted; both take time.
pub(super) async fn survey(engine: &Engine, unit: &[ServiceFacts], far: bool) -> Result<Mounts, Problem> {
    let mut data: Vec<Place> = Vec::new();
    let mut unsupported: Vec<UnsupportedMount> = Vec::new();
    for service in unit {
        let mounts = service.containers.iter().flat_map(|c| c.mounts.iter().map(move |m| (c, m)));
        for (container, mount) in mounts {
            let volume = volume(engine, mount).await?;
            match sort(&service.name, mount, volume.as_ref(), (engine.root(), engine.endpoint().is_unix())) {
                Sorted::Data(found) => {
                    let place = place(engine, (container, mount), found, far).await;
                    merge(&mut data, place);
                }
                Sorted::Unsupported(found) if !unsupported.contains(&found) => unsupported.push(found),
                Sorted::Unsupported(_) | Sorted::NoData => {}
            }
        }
    }
    drop_nested(&mut data);
    let others = others(engine, unit).await?;
    let mut facts = Vec::with_capacity(data.len());
    for place in data {
        let sharers = sharers(&place.mount, &others);
        facts.push(match place.mount.reach {
            Reach::Direct => measure(place, sharers).await?,
            Reach::Archive => fetch(engine, place, sharers, far).await,
        });
    }
    Ok(Mounts { data: facts, unsupported })
}

async fn volume(engine: &Engine, mount: &ContainerMount) -> Result<Option<Volume>, Problem> {
    match (mount.kind.as_str(), &mount.volume) {
        ("volume", Some(name)) => {
            let what = format!("inspect the volume {name}");
            engine.call(&what, engine.docker().inspect_volume(name)).await.map(Some)
        }
        _ => Ok(None),
    }
}

/// Where data is for us.
async fn place(
    engine: &Engine,
    (container, mount): (&ContainerFacts, &ContainerMount),
    found: DataMount,
    prove: bool,
) -> Place {
    // A bind may go through a symbolic link; the data is where that points to.
    let real = found.source.canonicalize().unwrap_or_else(|_| found.source.clone());
    let mounts = (&*container.id, &*container.mounts);
    let reached = reach::look(engine, mounts, mount, (&real, prove)).await;
    let source = if reached.reach.is_direct() { real } else { found.source.clone() };
    let mount = DataMount { source, reach: reached.reach, ..found };
    Place { mount, why: reached.why, container: container.id.clone() }
}

/// `root` is where the engine keeps its data; `here` says that the engine may be one of this machine.
fn sort(
    service: &str,
    mount: &ContainerMount,
    volume: Option<&Volume>,
    (root, here): (&Path, bool),
) -> Sorted {
    if !mount.writable {
        return Sorted::NoData;
    }
    let name = mount.volume.clone().unwrap_or_else(|| mount.source.to_string_lossy().into_owned());
    let kind = match (mount.kind.as_str(), &mount.volume) {
        ("volume", Some(name)) if is_anonymous(name) => MountKind::Anonymous,
        ("volume", _) => MountKind::Volume,
        ("bind", _) => MountKind::Bind,
        _ => return Sorted::NoData,
    };
    let source = match volume {
        Some(volume) => volume_source(volume),
        None if is_system(&mount.source) || here && is_no_file(&mount.source) => return Sorted::NoData,
        None if root.starts_with(&mount.source) => Err("it holds the engine's own data".to_owned()),
        None => Ok(mount.source.clone()),
    };
    match source {
        Ok(source) => Sorted::Data(DataMount {
            name,
            kind,
            source,
            destination: mount.destination.clone(),
            services: vec![service.to_owned()],
            bytes: 0,
            files: 0,
            reach: Reach::Direct,
        }),
        Err(reason) => Sorted::Unsupported(UnsupportedMount {
            service: service.to_owned(),
            name,
            destination: mount.destination.clone(),
            kind,
            reason,
        }),
    }
}

/// Where a volume's data is whether a container runs or not, or why that can't be said.
fn volume_source(volume: &Volume) -> Result<PathBuf, String> {
    if volume.driver != "local" {
        return Err(format!("its volume driver is {}", volume.driver));
    }
    let option = |key: &str| volume.options.get(key).map(String::as_str);
    let Some(device) = option("device") else { return Ok(PathBuf::from(&volume.mountpoint)) };
    let bind = option("o").unwrap_or("").split(',').any(|o| matches!(o, "bind" | "rbind"));
    match option("type").unwrap_or("none") {
        // A bind mount in the clothes of a volume: its mount point is empty while no container runs.
        "none" | "" | "bind" if bind => Ok(PathBuf::from(device)),
        kind => Err(format!("it is mounted from {device} ({kind}) only while a container runs")),
    }
}

/// Docker names a volume that nobody named by 64 hexadecimal digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_system(source: &Path) -> bool {
    SYSTEM.iter().any(|dir| source.starts_with(dir)) || SYSTEM_FILES.iter().any(|f| source == Path::new(f))
}

fn is_no_file(source: &Path) -> bool {
    std::fs::metadata(source).is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_socket() || kind.is_block_device() || kind.is_char_device() || kind.is_fifo()
    })
}

/// One entry a source, naming every service that uses it.
fn merge(data: &mut Vec<Place>, found: Place) {
    match data.iter_mut().find(|p| p.mount.source == found.mount.source) {
        Some(known) => {
            for service in found.mount.services {
                if !known.mount.services.contains(&service) {
                    known.mount.services.push(service);
                }
            }
        }
        None => data.push(found),
    }
}

/// A mount below another one is saved with that one; saved twice, it could not be restored as a whole.
fn drop_nested(data: &mut Vec<Place>) {
    let sources: Vec<PathBuf> = data.iter().map(|p| p.mount.source.clone()).collect();
    let (inner, mut outer): (Vec<Place>, Vec<Place>) = std::mem::take(data)
        .into_iter()
        .partition(|p| sources.iter().any(|s| p.mount.source != *s && p.mount.source.starts_with(s)));
    for nested in inner {
        let around = outer.iter_mut().find(|p| nested.mount.source.starts_with(&p.mount.source));
        if let Some(Place { mount: around, .. }) = around {
            let new: Vec<String> =
                nested.mount.services.into_iter().filter(|s| !around.services.contains(s)).collect();
            around.services.extend(new);
        }
    }
    *data = outer;
}

async fn measure(place: Place, sharers: Vec<Sharer>) -> Result<MountFacts, Problem> {
    let Place { mut mount, why, .. } = place;
    let source = mount.source.clone();
    let look = move || (source.exists(), space::count(&source), space::free(&source).ok());
    let (exists, count, space) = tokio::task::spawn_blocking(look).await.map_err(|e| {
        Problem::new("survey-failed", format!("the data in {} could not be counted", mount.source.display()))
            .because(e)
    })?;
    mount.bytes = count.bytes;
    mount.files = count.files;
    Ok(MountFacts {
        mount,
        why,
        counted: true,
        exists,
        unreadable: count.unreadable,
        unreadable_count: count.unreadable_count,
        sharers,
        space,
    })
}

/// What can be said of data that isn't here.
async fn fetch(engine: &Engine, place: Place, sharers: Vec<Sharer>, far: bool) -> MountFacts {
    let Place { mut mount, why, container } = place;
    let count = if far { reach::count(engine, &container, &mount.destination).await } else { None };
    let counted = count.is_some();
    let count = count.unwrap_or_default();
    (mount.bytes, mount.files) = (count.bytes, count.files);
    let (unreadable, unreadable_count, space) = (Vec::new(), 0, None);
    MountFacts { mount, why, counted, exists: true, unreadable, unreadable_count, sharers, space }
}

/// A container outside the unit, and what it mounts.
struct Other {
    name: String,
    service: Option<String>,
    mounts: Vec<ContainerMount>,
}

async fn others(engine: &Engine, unit: &[ServiceFacts]) -> Result<Vec<Other>, Problem> {
    let states = std::collections::HashMap::from([("status", vec!["running", "paused", "restarting"])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&states).build();
    let all = engine.call("list the containers", engine.docker().list_containers(Some(options))).await?;
    let own: Vec<&ContainerFacts> = unit.iter().flat_map(|s| &s.containers).collect();
    let foreign = all.into_iter().filter(|c| !own.iter().any(|o| c.id.as_deref() == Some(&o.id)));
    Ok(foreign.map(other).collect())
}

fn other(summary: ContainerSummary) -> Other {
    let service = service_of(&summary).map(|(project, service)| format!("{project}/{service}"));
    let name = summary.names.unwrap_or_default().into_iter().min_by_key(String::len).unwrap_or_default();
    Other {
        name: name.trim_start_matches('/').to_owned(),
        service,
        mounts: summary.mounts.unwrap_or_default().into_iter().map(containers::mount).collect(),
    }
}

/// Who else uses this data: the same volume, or a bind of the same directory, of a part of it or of a parent.
fn sharers(mount: &DataMount, others: &[Other]) -> Vec<Sharer> {
    let uses = |theirs: &ContainerMount| {
        let same_volume =
            mount.kind != MountKind::Bind && theirs.volume.as_deref() == Some(mount.name.as_str());
        let source = match mount.reach {
            Reach::Direct => theirs.source.canonicalize().unwrap_or_else(|_| theirs.source.clone()),
            // Paths of another machine, or as good as that.
            Reach::Archive => theirs.source.clone(),
        };
        let overlap = !source.as_os_str().is_empty()
            && theirs.kind != "tmpfs"
            && (source.starts_with(&mount.source) || mount.source.starts_with(&source));
        same_volume || overlap
    };
    let mut found: BTreeMap<String, Sharer> = BTreeMap::new();
    for other in others {
        for theirs in other.mounts.iter().filter(|m| uses(m)) {
            let sharer = found.entry(other.name.clone()).or_insert_with(|| Sharer {
                container: other.name.clone(),
                service: other.service.clone(),
                source: theirs.volume.clone().unwrap_or_else(|| theirs.source.display().to_string()),
                writable: false,
            });
            sharer.writable |= theirs.writable;
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests;
