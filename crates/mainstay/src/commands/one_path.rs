//! `restore --only`: one file or directory of a backup, restored elsewhere.

use std::path::{Component, Path, PathBuf};

use mainstay_core::problem::Problem;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Listed, VaultError};

use super::app::App;
use super::choose::{Watch, choose, id, no_compose_file, open};
use crate::cli::RestoreArgs;
use crate::exit::{DONE, Stop};
use crate::render::words;

/// Restores it into an empty or new directory, under its own name.
pub fn restore(app: &mut App, args: &RestoreArgs, path: &Path, directory: &Path) -> Result<u8, Stop> {
    no_compose_file(app)?;
    let vault = open(app, None)?;
    let id = id(&vault, &args.service.service)?;
    let chosen = choose(app, &vault, &id, &args.choice)?;
    let places = places(app, &chosen);
    let (number, inside) = locate(path, &places)?;
    let snapshot = &chosen[number];
    let watch = Watch(app.interrupt.clone());
    let restored = vault.restore_path(&snapshot.id, &inside, directory, &watch);
    let restored = restored.map_err(|error| match error {
        VaultError::UnknownPath { .. } => Problem::new(
            "unknown-path",
            format!("the backup of {} holds no {}", snapshot.tags.mount, inside.display()),
        )
        .because(format!("snapshot {} of {}", snapshot.id.short(), id))
        .advise("check the spelling; without `--only` everything is restored, and can be looked at"),
        error => vault_problem(
            &format!("{} could not be restored to {}", path.display(), directory.display()),
            &error,
        ),
    })?;
    app.show.say(&format!(
        "{} of {} in {}: {} files, {} in {}, compared with the manifest",
        if inside.as_os_str().is_empty() { "everything".into() } else { inside.display().to_string() },
        id,
        snapshot.tags.mount,
        restored.files,
        words::bytes(restored.bytes),
        directory.display()
    ));
    Ok(DONE)
}

/// Where a backup's data is known to lie.
struct Place {
    mount: String,
    /// On the host, and in the container if the journal knows.
    roots: Vec<PathBuf>,
}

fn places(app: &App, chosen: &[Listed]) -> Vec<Place> {
    let journal = app.state.existing_journal().ok().flatten();
    let place = |snapshot: &Listed| {
        let plan = journal.as_ref().and_then(|journal| journal.replay(&snapshot.tags.run).ok());
        let mounts = plan.map(|(plan, _)| plan.data).unwrap_or_default();
        let destinations = mounts.iter().filter(|mount| mount.name == snapshot.tags.mount);
        let mut roots: Vec<PathBuf> = destinations.map(|mount| PathBuf::from(&mount.destination)).collect();
        roots.push(snapshot.source.clone());
        Place { mount: snapshot.tags.mount.clone(), roots }
    };
    chosen.iter().map(place).collect()
}

/// Which backup holds a path, and where in it.
fn locate(path: &Path, places: &[Place]) -> Result<(usize, PathBuf), Problem> {
    let found = if path.is_absolute() { absolute(path, places) } else { relative(path, places) };
    let (number, inside) = found.ok_or_else(|| {
        let known: Vec<String> = places
            .iter()
            .map(|place| match place.roots.first() {
                Some(root) => format!("{} ({})", place.mount, root.display()),
                None => place.mount.clone(),
            })
            .collect();
        Problem::new("unknown-path", format!("{} can mean no single place in these backups", path.display()))
            .because(format!("mounts: {}", known.join(", ")))
            .advise("give the absolute path in the container, or MOUNT:PATH")
    })?;
    if inside.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(Problem::new("usage", format!("{} leads out of the backup", path.display()))
            .advise("give a path without `..`"));
    }
    Ok((number, inside))
}

/// Below the innermost of all roots.
fn absolute(path: &Path, places: &[Place]) -> Option<(usize, PathBuf)> {
    let roots = places
        .iter()
        .enumerate()
        .flat_map(|(number, place)| place.roots.iter().map(move |root| (number, root)));
    let inside = roots.filter_map(|(number, root)| Some((number, root, path.strip_prefix(root).ok()?)));
    let (number, _, inside) = inside.max_by_key(|(_, root, _)| root.components().count())?;
    Some((number, normal(inside)))
}

/// `MOUNT:PATH`, or in the only mount.
fn relative(path: &Path, places: &[Place]) -> Option<(usize, PathBuf)> {
    let named = path.to_str().and_then(|text| {
        places.iter().enumerate().find_map(|(number, place)| {
            let inside = text.strip_prefix(&place.mount)?.strip_prefix(':')?;
            Some((number, normal(Path::new(inside.trim_start_matches('/')))))
        })
    });
    named.or_else(|| (places.len() == 1).then(|| (0, normal(path))))
}

/// Without `.` and double slashes.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<Place> {
        let place = |mount: &str, roots: &[&str]| Place {
            mount: mount.to_owned(),
            roots: roots.iter().map(PathBuf::from).collect(),
        };
        vec![
            place("shop_data", &["/var/lib/app", "/var/lib/docker/volumes/shop_data/_data"]),
            place("/srv/uploads", &["/var/lib/app/uploads", "/srv/uploads"]),
        ]
    }

    #[track_caller]
    fn found(path: &str, places: &[Place]) -> Option<(usize, String)> {
        let found = locate(Path::new(path), places).ok()?;
        Some((found.0, found.1.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_path_in_the_container_is_found_in_the_innermost_mount() {
        for (path, number, inside) in [
            ("/var/lib/app/a/b", 0, "a/b"),
            ("/var/lib/app/uploads/x", 1, "x"),
            ("/var/lib/app", 0, ""),
            ("/srv/uploads/./y", 1, "y"),
            ("shop_data:a/b", 0, "a/b"),
            ("shop_data:/a", 0, "a"),
            ("/srv/uploads", 1, ""),
        ] {
            assert_eq!(found(path, &places()), Some((number, inside.to_owned())), "{path}");
        }
    }

    #[test]
    fn what_could_mean_several_places_or_none_is_refused() {
        for path in ["a/b", "/etc/passwd", "/var/lib/application", "shop_data:../x", "/var/lib/app/../y"] {
            assert_eq!(found(path, &places()), None, "{path}");
        }
        assert_eq!(found("a/b", &places()[..1]), Some((0, "a/b".to_owned())));
        assert_eq!(found("./a:b", &places()[..1]), Some((0, "a:b".to_owned())), "a colon in a name");
    }
}
