//! `writable-layer`: files in containers outside their mounts, which re-creation loses. What logs, caches
//! and entry points leave behind is told apart by its path: that is a habit of images, not a proof, so it
//! is noted.

use mainstay_core::finding::{Finding, Severity};

use super::{Input, advice};
use crate::survey::{ContainerFacts, LayerFile, human};

pub(super) const ID: &str = "writable-layer";

/// How many paths are named.
const SHOWN: usize = 10;

/// Leftovers above this are more than a note.
const MUCH: u64 = 100_000_000;

/// What is below these comes again by itself.
const LEFTOVER_DIRECTORIES: &[&str] = &[
    "/var/log",
    "/var/cache",
    "/root/.cache",
    "/root/.npm",
    "/var/lib/nginx/body",
    "/var/lib/nginx/proxy",
    "/var/lib/nginx/fastcgi",
    "/var/lib/nginx/uwsgi",
    "/var/lib/nginx/scgi",
    "/var/lib/nginx/tmp",
    "/var/lib/nginx/logs",
    "/var/lib/apt/lists",
    "/usr/local/apache2/logs",
    "/usr/local/tomcat/logs",
    "/usr/local/tomcat/temp",
    "/usr/local/tomcat/work",
];

/// Entry points write these anew at every start: users and groups for `PUID`, the time zone, trusted
/// certificates, and what the nginx image makes of its own templates.
const REMADE_FILES: &[&str] = &[
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/group",
    "/etc/group-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ld.so.cache",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/nginx/conf.d/default.conf",
];

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    if !input.wanted.recreate {
        return Vec::new();
    }
    input.survey.containers().flat_map(|(_, c)| of_container(c)).collect()
}

fn of_container(container: &ContainerFacts) -> Vec<Finding> {
    let (leftovers, kept): (Vec<&LayerFile>, Vec<&LayerFile>) =
        container.layer.iter().partition(|f| is_leftover(&f.path));
    let name = &container.name;
    let mut findings = Vec::new();
    if !kept.is_empty() {
        let message = format!("{name} has {} outside its mounts, which an update would lose", amount(&kept));
        let finding = Finding::new(ID, Severity::Required, message).advice(format!(
            "save what matters (`docker cp {name}:{} .`) and mount a volume there; where nothing matters, {}",
            kept[0].path,
            advice::force(ID)
        ));
        findings.push(with_paths(finding, kept));
    }
    if !leftovers.is_empty() {
        let much = leftovers.iter().filter_map(|f| f.bytes).sum::<u64>() > MUCH;
        let severity = if much { Severity::Warning } else { Severity::Note };
        let message = format!(
            "{name} has {} of logs, caches and the like, which an update removes",
            amount(&leftovers)
        );
        findings.push(with_paths(Finding::new(ID, severity, message), leftovers));
    }
    findings
}

/// The biggest first, as far as sizes are known.
fn with_paths(finding: Finding, mut files: Vec<&LayerFile>) -> Finding {
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    let finding = files.iter().take(SHOWN).fold(finding, |finding, file| {
        let how = if file.changed { "changed" } else { "added" };
        let size = file.bytes.map_or_else(|| "unknown size".to_owned(), human);
        finding.evidence(format!("{} ({how}, {size})", file.path))
    });
    match files.len().saturating_sub(SHOWN) {
        0 => finding,
        more => finding.evidence(format!("and {}", advice::counted(more, "more file"))),
    }
}

fn amount(files: &[&LayerFile]) -> String {
    let bytes: u64 = files.iter().filter_map(|f| f.bytes).sum();
    format!("{} ({})", advice::counted(files.len(), "file"), human(bytes))
}

fn is_leftover(path: &str) -> bool {
    let below = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let name = path.rsplit('/').next().unwrap_or_default();
    LEFTOVER_DIRECTORIES.iter().any(|dir| below(dir))
        || REMADE_FILES.contains(&path)
        || path.split('/').any(|part| matches!(part, "__pycache__" | ".cache"))
        || [".log", ".tmp", ".pyc", ".swp"].iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;

    fn case(files: &[(&str, Option<u64>)]) -> Case {
        let file = |(path, bytes): &(&str, Option<u64>)| LayerFile {
            path: (*path).into(),
            changed: false,
            bytes: *bytes,
        };
        let layer = files.iter().map(file).collect();
        Case::of(vec![ContainerFacts { layer, ..container("web-1") }])
    }

    #[test]
    fn files_that_would_be_lost_refuse_with_path_and_size() {
        let case = case(&[
            ("/app/small", Some(10)),
            ("/app/uploads/a.png", Some(2_000_000)),
            ("/var/log/x", Some(5)),
        ]);
        let findings = case.check(run);
        let [lost, left] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((lost.severity, left.severity), (Severity::Required, Severity::Note));
        assert_eq!(lost.message, "web-1 has 2 files (2.0 MB) outside its mounts, which an update would lose");
        assert_eq!(lost.evidence, ["/app/uploads/a.png (added, 2.0 MB)", "/app/small (added, 10 B)"]);
        assert!(lost.advice.as_ref().unwrap().contains("--force writable-layer"));
        assert_eq!(left.evidence, ["/var/log/x (added, 5 B)"]);
    }

    #[test]
    fn leftovers_are_told_by_their_paths() {
        for path in [
            "/var/log/app/x",
            "/app/__pycache__/m.pyc",
            "/home/me/.cache/x",
            "/srv/out.log",
            "/etc/passwd",
            "/x/.tmp/y.tmp",
        ] {
            assert!(is_leftover(path), "{path}");
        }
        for path in ["/var/logs/x", "/app/catalog", "/var/log", "/app/.log", "/etc/app.conf", "/data/cache/x"]
        {
            assert!(!is_leftover(path), "{path}");
        }
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let many: Vec<String> = (0..SHOWN + 2).map(|n| format!("/app/{n:02}")).collect();
        let files: Vec<(&str, Option<u64>)> = many.iter().map(|p| (p.as_str(), None)).collect();
        let finding = case(&files).check(run).remove(0);
        assert_eq!(finding.evidence.len(), SHOWN + 1);
        assert_eq!(finding.evidence[SHOWN], "and 2 more files");
        assert_eq!(finding.evidence[0], "/app/00 (added, unknown size)");
    }

    #[test]
    fn much_of_it_is_worth_a_warning_and_no_update_loses_nothing() {
        let mut case = case(&[("/var/cache/x", Some(MUCH + 1))]);
        assert_eq!(case.check(run)[0].severity, Severity::Warning);
        case.wanted.recreate = false;
        assert_eq!(case.check(run), []);
    }
}
