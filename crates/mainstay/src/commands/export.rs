//! `backup export`: backups as a tar archive.

use std::io::IsTerminal as _;
use std::path::Path;

use mainstay_core::problem::Problem;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Exported, Format, Listed, Part, Vault};

use super::app::App;
use super::choose::{Watch, choose, directory_name, id, no_compose_file, open};
use crate::cli::ExportArgs;
use crate::exit::{DONE, Stop};
use crate::render::words;

/// Writes the backups of a run, or a single one, into one archive.
pub fn export(app: &mut App, args: &ExportArgs) -> Result<u8, Stop> {
    no_compose_file(app)?;
    let to_stdout = args.to == Path::new("-");
    let format = format(&args.to)?;
    if to_stdout && (app.global.json || std::io::stdout().is_terminal()) {
        return Err(Problem::new("usage", "the archive can't be written to where texts are shown")
            .advise("redirect standard output, and leave `--json` out; or `--to FILE.tar.zst`")
            .into());
    }
    let vault = open(app, None)?;
    let chosen = find(app, &vault, args)?;
    let parts: Vec<Part> = chosen
        .iter()
        .map(|snapshot| Part { id: snapshot.id.clone(), top: directory_name(&snapshot.tags.mount).into() })
        .collect();
    let watch = Watch(app.interrupt.clone());
    let written = if to_stdout {
        vault.export(&parts, format, &mut std::io::stdout().lock(), &watch)
    } else {
        vault.export_file(&parts, format, &args.to, args.overwrite, &watch)
    };
    let exported = written.map_err(|e| {
        vault_problem(&format!("{} could not be exported to {}", args.what, args.to.display()), &e)
    })?;
    if !to_stdout {
        tell(app, &chosen, &exported, &args.to);
    }
    Ok(DONE)
}

fn tell(app: &mut App, chosen: &[Listed], exported: &Exported, to: &Path) {
    let mounts: Vec<&str> = chosen.iter().map(|snapshot| snapshot.tags.mount.as_str()).collect();
    let sockets = match exported.sockets {
        0 => String::new(),
        count => format!("; without {count} sockets, which a tar archive can't hold"),
    };
    app.show.say(&format!(
        "{}: {} files, {} in {}, compared with the manifest{sockets}",
        mounts.join(", "),
        exported.files,
        words::bytes(exported.bytes),
        to.display()
    ));
}

fn format(to: &Path) -> Result<Format, Problem> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    if name == "-" || name.ends_with(".tar.zst") || name.ends_with(".tzst") {
        Ok(Format::TarZst)
    } else if name.ends_with(".tar") {
        Ok(Format::Tar)
    } else {
        Err(Problem::new("usage", format!("what {} is to become can't be told from its name", to.display()))
            .advise("use a name that ends in .tar.zst or .tar"))
    }
}

/// The backups of a service's run, or the one whose id begins so.
fn find(app: &App, vault: &Vault, args: &ExportArgs) -> Result<Vec<Listed>, Problem> {
    let by_service = id(vault, &args.what).and_then(|id| choose(app, vault, &id, &args.choice));
    let may_be_id = args.what.len() >= 4 && args.what.bytes().all(|byte| byte.is_ascii_hexdigit());
    match by_service {
        Err(problem) if problem.code == "unknown-backup" && may_be_id => {
            vault.find(&args.what).map(|found| vec![found]).map_err(|_| problem)
        }
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_what_it_becomes() {
        for (name, expected) in [
            ("a.tar.zst", Some(Format::TarZst)),
            ("-", Some(Format::TarZst)),
            ("dir/a.tar", Some(Format::Tar)),
            ("a.tar.gz", None),
            ("a", None),
        ] {
            assert_eq!(format(Path::new(name)).ok(), expected, "{name}");
        }
    }
}
