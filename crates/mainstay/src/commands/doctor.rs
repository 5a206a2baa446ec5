//! `doctor`: engine, Compose, disk, permissions, repository, clock and state.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::problem::Problem;
use mainstay_host::survey::{self, Doctor, Space};
use mainstay_vault::Vault;

use super::app::App;
use super::verify_backup;
use crate::exit::{DONE, FAILED, Stop, WARNINGS};
use crate::render::words;

/// Less free space than this, in bytes, is worth a warning.
const LITTLE: u64 = 2_000_000_000;
/// A clock further off than this, in milliseconds, makes times in logs and certificates doubtful.
const SKEW_MS: i64 = 2_000;

/// Looks at everything that mainstay stands on.
pub fn doctor(app: &mut App) -> Result<u8, Stop> {
    let engine = app.engine()?;
    let state = app.state.path().to_owned();
    let seen = app.wait(survey::doctor(&engine, &state))?;
    let mut findings = engine_findings(&seen);
    findings.extend(space("state-disk", "the state directory", seen.state_space.as_ref()));
    findings.extend(space("engine-disk", "the engine's directory", seen.engine_space.as_ref()));
    findings.push(match app.state.create() {
        Ok(()) => good("state", format!("the state directory {} can be written", state.display())),
        Err(problem) => bad("state", &problem),
    });
    findings.push(match app.vault(None) {
        Ok(Some(vault)) => repository(&vault),
        Ok(None) => good("repository", "there is no repository yet; the first backup makes it".to_owned()),
        Err(problem) => bad("repository", &problem),
    });
    findings.push(match app.state.existing_journal().map(|j| j.map(|j| j.unfinished())) {
        Ok(None | Some(Ok(None))) => {
            good("journal", "the journal is in order, no run is unfinished".to_owned())
        }
        Ok(Some(Ok(Some(run)))) => {
            Finding::new("journal", Severity::Warning, format!("run {run} was cut off and has not ended"))
                .advice(format!("bring it to an end: `mainstay resume {run}`"))
        }
        Ok(Some(Err(error))) => bad("journal", &crate::state::journal_problem(&error)),
        Err(problem) => bad("journal", &problem),
    });
    app.show.findings(&findings);
    Ok(match findings.iter().map(|f| f.severity).max() {
        Some(Severity::Required) => FAILED,
        Some(Severity::Warning) => WARNINGS,
        _ => DONE,
    })
}

fn repository(vault: &Vault) -> Finding {
    let (overdue, look) = verify_backup::last_look(vault);
    let message = format!("the repository {} opens; {look}", vault.location());
    let finding = good("repository", message);
    if overdue { finding.advice("once a week: `mainstay verify-backup --all`") } else { finding }
}

fn engine_findings(seen: &Doctor) -> Vec<Finding> {
    let engine = format!(
        "engine {} at {}, API {}, {}, cgroups {}",
        seen.engine_version, seen.host, seen.api_version, seen.storage_driver, seen.cgroup_version
    );
    let mut findings = vec![good("engine", engine)];
    findings.push(match &seen.compose {
        Ok(found) => {
            let versions = [found.v1.as_deref(), found.v2.as_deref()].into_iter().flatten();
            good("compose", format!("Compose {}", versions.collect::<Vec<_>>().join(" and ")))
        }
        Err(problem) => bad("compose", problem),
    });
    findings.push(if seen.local {
        good("permissions", "the engine's volumes can be read".to_owned())
    } else {
        let message = "the engine's volumes can't be read from here: data is reached through its archive API";
        Finding::new("permissions", Severity::Warning, message)
            .advice("run as root, on the engine's own host: that is faster and keeps everything")
    });
    if let Some(skew) = seen.clock_skew_ms {
        findings.push(if skew.abs() > SKEW_MS {
            Finding::new("clock", Severity::Warning, format!("the engine's clock differs by {skew} ms"))
                .advice("set both by NTP")
        } else {
            good("clock", "the engine's clock is ours".to_owned())
        });
    }
    findings
}

fn space(check: &str, what: &str, space: Option<&Space>) -> Option<Finding> {
    let space = space?;
    let message = format!("{} free for {what} ({})", words::bytes(space.free), space.path.display());
    Some(if space.free < LITTLE {
        Finding::new(check, Severity::Warning, message).advice("free some disk space")
    } else {
        good(check, message)
    })
}

fn good(check: &str, message: String) -> Finding {
    Finding::new(check, Severity::Note, message)
}

fn bad(check: &str, problem: &Problem) -> Finding {
    let finding = Finding::new(check, Severity::Required, problem.what.clone());
    let finding = problem.causes.iter().fold(finding, Finding::evidence);
    problem.advice.iter().fold(finding, Finding::advice)
}
