//! `compose`: whether Compose accepts the files, whether the unit is in them, and whether they can be read:
//! what can't be read can be neither edited nor kept.

use mainstay_core::finding::{Finding, Severity};

use super::{Input, advice};
use crate::survey::{FileFacts, Resolved};

pub(super) const ID: &str = "compose";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let survey = input.survey;
    let service = &survey.service;
    match &survey.compose {
        Err(problem) => {
            let finding = Finding::new(ID, Severity::Required, format!("{service}: {}", problem.what));
            let finding = problem.causes.iter().fold(finding.evidence(files(input)), Finding::evidence);
            let check = format!("see for yourself: `{}`", advice::compose(&survey.project, "config --quiet"));
            let told = if problem.advice.is_empty() { check } else { problem.advice.join("; ") };
            vec![finding.advice(told)]
        }
        Ok(resolved) => undefined(input, resolved)
            .chain(survey.files.iter().filter_map(|f| unreadable(service, f)))
            .collect(),
    }
}

fn undefined<'a>(input: &'a Input<'_>, resolved: &'a Resolved) -> impl Iterator<Item = Finding> + 'a {
    let missing = input.survey.unit.iter().filter(|s| resolved.service(&s.name).is_none());
    missing.map(move |service| {
        Finding::new(
            ID,
            Severity::Required,
            format!("{}: the Compose files don't define this service", service.name),
        )
        .evidence(files(input))
        .advice("put the service back into the file, or name the right files: `-f FILE`")
    })
}

fn files(input: &Input<'_>) -> String {
    let names: Vec<String> = input.survey.project.files.iter().map(|f| f.display().to_string()).collect();
    format!("files: {}", names.join(", "))
}

fn unreadable(service: &str, file: &FileFacts) -> Option<Finding> {
    let error = file.bytes.as_ref().err()?;
    let path = file.path.display();
    Some(
        Finding::new(ID, Severity::Required, format!("{service}: {path} can't be read"))
            .evidence(format!("{path}: {error}"))
            .advice(format!(
                "run mainstay as root, or let yourself read it: `ls -l {}`",
                advice::path(&file.path)
            )),
    )
}

#[cfg(test)]
mod tests {
    use mainstay_core::problem::Problem;

    use super::super::tests::{Case, container};
    use super::*;
    use crate::survey::{FileRole, Hidden, ServiceFacts};

    #[test]
    fn what_compose_says_is_passed_on() {
        let mut case = Case::of(vec![container("web-1")]);
        assert_eq!(case.check(run), []);
        let problem = Problem::new(
            "compose-file-invalid",
            "Compose does not accept the Compose file: /srv/c.yml, line 3",
        )
        .because("services.web.ports must be a list")
        .advise("correct the file");
        case.survey.compose = Err(problem);
        let finding = case.check(run).remove(0);
        assert_eq!(finding.severity, Severity::Required);
        assert!(finding.message.starts_with("web: ") && finding.message.ends_with("line 3"), "{finding:?}");
        assert_eq!(finding.evidence, ["files: /srv/shop/compose.yml", "services.web.ports must be a list"]);
        assert_eq!(finding.advice.as_deref(), Some("correct the file"));
    }

    #[test]
    fn services_that_the_file_lost_and_files_that_are_closed_are_found() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.unit.push(ServiceFacts { name: "gone".into(), ..ServiceFacts::default() });
        let file = |bytes| FileFacts { path: "/srv/shop/.env".into(), role: FileRole::Env, bytes };
        case.survey.files = vec![file(Ok(Hidden(vec![]))), file(Err("Permission denied".into()))];
        let findings = case.check(run);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].message.starts_with("gone: "));
        assert_eq!(findings[1].evidence, ["/srv/shop/.env: Permission denied"]);
    }
}
