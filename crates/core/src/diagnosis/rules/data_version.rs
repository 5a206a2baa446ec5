//! `data-version`: the data was written by a version whose files this one can't use, or is damaged.

use super::{Container, Diagnosis, Facts, flagged, quoted};
use crate::diagnosis::Mount;
use crate::redflags::Flag;

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let lines = if facts.suffers() { flagged(facts, Flag::DataRefused) } else { Vec::new() };
    let files = facts.containers.iter().filter(|c| c.suffers() || facts.condemned).find_map(mismatch);
    if let Some((mount, product, wrote, server)) = files {
        let what = format!(
            "the data at {} is {product} {wrote}'s, and the image holds {product} {server}",
            mount.destination
        );
        return Some(
            Diagnosis::new(what)
                .seen(format!("the files in {} say {wrote}", mount.source))
                .seen_all(quoted(&lines))
                .advise(way(product, wrote)),
        );
    }
    let (container, _) = lines.first()?;
    Some(
        Diagnosis::new(format!("{} refuses its data: too new, incompatible or damaged", container.name))
            .seen_all(quoted(&lines))
            .advise_if(
                !facts.condemned,
                "restore the backup from before the update, or go back to the version that wrote the data",
            )
            .advise("see the release notes for the versions that must not be left out on the way"),
    )
}

/// The mount whose files another version wrote than the image can read.
fn mismatch(container: &Container) -> Option<(&Mount, &str, &str, &str)> {
    let (product, server) = container.server.as_ref()?;
    container.mounts.iter().find_map(|mount| {
        let (wrote_product, wrote) = mount.written_by.as_ref()?;
        let foreign = match product.as_str() {
            // Every major version has its own format.
            "PostgreSQL" => major(wrote) != major(server),
            // Older files are upgraded at the start; newer ones can't be read.
            _ => numbers(wrote) > numbers(server),
        };
        (wrote_product == product && foreign).then_some((
            mount,
            product.as_str(),
            wrote.as_str(),
            server.as_str(),
        ))
    })
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect()
}

fn major(version: &str) -> Option<u64> {
    numbers(version).first().copied()
}

fn way(product: &str, wrote: &str) -> String {
    match product {
        "PostgreSQL" => format!(
            "stay with {wrote}; to move on, dump with {wrote} (`pg_dumpall`) and load into an empty volume of the new version, or \
             use `pg_upgrade`"
        ),
        _ => format!("stay with {wrote} or a later one: {product} can't go back to older data files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_needs_its_own_major_version_and_others_no_older_one() {
        let container = |product: &str, wrote: &str, server: &str| Container {
            server: Some((product.into(), server.into())),
            mounts: vec![Mount { written_by: Some((product.into(), wrote.into())), ..Mount::default() }],
            ..Container::default()
        };
        let foreign =
            |product: &str, wrote: &str, server: &str| mismatch(&container(product, wrote, server)).is_some();
        assert!(foreign("PostgreSQL", "15", "17.2") && foreign("PostgreSQL", "17", "15"));
        assert!(!foreign("PostgreSQL", "15", "15.9"));
        assert!(foreign("MariaDB", "11.4.2-MariaDB", "10.11.6"));
        assert!(!foreign("MariaDB", "10.6.1-MariaDB", "10.11.6"));
    }
}
