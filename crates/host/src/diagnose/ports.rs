//! Others on the machine's ports: the proxy that serves the URL, and whoever holds a port that a container wanted.

use bollard::models::ContainerSummary;
use mainstay_core::diagnosis::{Container, Proxy, wanted_port};
use mainstay_core::plan::ContainerRef;
use url::Url;

use super::{Gatherer, Patient, sockets};
use crate::discover;

/// The running container outside the unit that publishes a port.
fn publisher<'a>(
    port: u16,
    own: &[(String, ContainerRef)],
    all: &'a [ContainerSummary],
) -> Option<&'a ContainerSummary> {
    let ours =
        |c: &&ContainerSummary| own.iter().any(|(_, which)| c.id.as_deref() == Some(which.id.as_str()));
    all.iter()
        .filter(|c| !ours(c))
        .find(|c| c.ports.iter().flatten().any(|published| published.public_port == Some(port)))
}

/// The container that takes the requests to the URL, if it is another one than the service's own.
pub(super) fn proxy(
    patient: &Patient,
    own: &[(String, ContainerRef)],
    all: &[ContainerSummary],
) -> Option<Proxy> {
    let url = Url::parse(&patient.probes.outside.as_ref()?.url).ok()?;
    let proxy = publisher(url.port_or_known_default()?, own, all)?;
    Some(Proxy { name: name(proxy), networks: networks(proxy) })
}

/// Who holds the port that a container says it could not have.
pub(super) async fn holder(
    gatherer: &Gatherer,
    own: &[(String, ContainerRef)],
    containers: &[Container],
    all: &[ContainerSummary],
) -> Option<String> {
    let says = containers.iter().flat_map(|c| std::iter::once(&c.start_error).chain(c.log.iter().rev()));
    let wanted = says.filter_map(|text| wanted_port(text)).next()?;
    match publisher(wanted, own, all) {
        Some(container) => Some(format!("the container {}", name(container))),
        None if gatherer.engine.endpoint().is_unix() => gatherer.blocking(move || process(wanted)).await,
        None => None,
    }
}

fn name(container: &ContainerSummary) -> String {
    discover::name_of(container.names.as_deref().unwrap_or_default())
}

fn networks(container: &ContainerSummary) -> Vec<String> {
    let settings = container.network_settings.as_ref().and_then(|s| s.networks.as_ref());
    let mut names: Vec<String> = settings.into_iter().flatten().map(|(name, _)| name.clone()).collect();
    names.sort();
    names
}

/// The process of this machine that listens on a port; only root sees whose sockets are whose.
fn process(port: u16) -> Option<String> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| sockets::inodes(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        Some(pid)
    });
    let holds = |pid: &u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        files.flatten().any(|file| {
            let target = std::fs::read_link(file.path()).unwrap_or_default();
            sockets.iter().any(|socket| target.as_os_str() == socket.as_str())
        })
    };
    let pid = processes.into_iter().find(|pid| !sockets.is_empty() && holds(pid))?;
    let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("the process {} ({pid})", command.trim()))
}

#[cfg(test)]
mod tests {
    use super::process;

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = process(listener.local_addr().unwrap().port()).unwrap();
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    }
}
