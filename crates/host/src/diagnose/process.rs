//! The main process of a container, where it is one of this machine's, and as whom it runs.

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;
use mainstay_core::diagnosis::User;

use super::Gatherer;
use crate::engine::Engine;
use crate::process::is_of;
use crate::survey::ContainerFacts;

/// Bytes of the file of users that are read at most.
const USERS_LIMIT: usize = 256 * 1024;

/// The process id, if the process is really this container's: the engine may count in another namespace.
pub(super) fn pid(engine: &Engine, facts: &ContainerFacts) -> Option<u32> {
    let pid = facts.inspect.0["State"]["Pid"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0)?;
    let local = engine.endpoint().is_unix() && facts.status == "running";
    (local && is_of(i64::from(pid), &facts.id)).then_some(pid)
}

/// As whom it runs: what the process has become, else what the configuration says, names looked up in the image.
pub(super) async fn user(gatherer: &Gatherer, facts: &ContainerFacts, pid: Option<u32>) -> User {
    let name = facts.inspect.0["Config"]["User"].as_str().unwrap_or_default().to_owned();
    if let Some(status) = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok()) {
        let numbers = |key: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().filter_map(|n| n.parse().ok()).collect()
        };
        let gids = numbers("Gid:").into_iter().skip(1).take(1).chain(numbers("Groups:")).collect();
        return User { uid: numbers("Uid:").get(1).copied(), gids, name };
    }
    let (who, group) = name.split_once(':').unwrap_or((&name, ""));
    let group: Option<u32> = group.parse().ok();
    match who.parse() {
        Ok(uid) => User { uid: Some(uid), gids: group.into_iter().collect(), name },
        Err(_) if who.is_empty() => User { uid: Some(0), gids: vec![0], name },
        Err(_) => {
            let found = gatherer.within(look_up(&gatherer.engine, &facts.id, who)).await;
            let (uid, gid) = found.unzip();
            User { uid, gids: group.or(gid).into_iter().collect(), name }
        }
    }
}

/// Number and group of a name in the container's own file of users; the container need not run.
async fn look_up(engine: &Engine, id: &str, name: &str) -> Option<(u32, u32)> {
    let options = DownloadFromContainerOptionsBuilder::default().path("/etc/passwd").build();
    let mut stream = std::pin::pin!(engine.docker().download_from_container(id, Some(options)));
    let mut bytes = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > USERS_LIMIT {
            break;
        }
    }
    // The archive's own header is no line that begins so.
    number(&String::from_utf8_lossy(&bytes), name)
}

fn number(users: &str, name: &str) -> Option<(u32, u32)> {
    let line =
        users.split(['\n', '\0']).find(|line| line.split(':').next() == Some(name) && line.contains(':'))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn names_are_looked_up_in_the_archive_as_it_comes() {
        let archive =
            "passwd\0\0\0ustar\0root:x:0:0:root:/root:/bin/sh\napp:x:1001:1002::/home/app:/bin/false\n\0\0";
        assert_eq!(number(archive, "app"), Some((1001, 1002)));
        assert_eq!(number(archive, "root"), Some((0, 0)));
        assert_eq!(number(archive, "nobody"), None);
    }
}
