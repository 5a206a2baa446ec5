//! `drift`: whether each container was made from what the Compose file says now. Where it was not, `up`
//! would change more than the tag, and neither a failure nor a rollback could be laid to the update. Goes
//! by the hash that Compose itself stores and computes; what differs it can't say, but for the image.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::Project;

use super::{Input, advice};
use crate::discover::CONFIG_HASH;
use crate::survey::{ContainerFacts, Resolved, ServiceFacts};

pub(super) const ID: &str = "drift";

const VERSION: &str = "com.docker.compose.version";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let (true, Ok(resolved)) = (input.wanted.recreate, &input.survey.compose) else { return Vec::new() };
    let services = input.survey.unit.iter();
    services.flat_map(|s| s.containers.iter().filter_map(|c| of_container(input, resolved, s, c))).collect()
}

fn of_container(
    input: &Input<'_>,
    resolved: &Resolved,
    service: &ServiceFacts,
    container: &ContainerFacts,
) -> Option<Finding> {
    let project = &input.survey.project;
    let expected = resolved.hashes.get(&service.name)?;
    let label = |key: &str| container.labels.get(key).map(String::as_str);
    let actual = label(CONFIG_HASH);
    if actual == Some(expected.as_str()) {
        return None;
    }
    let message =
        format!("{} is not what the Compose file says: `up` would change more than the tag", container.name);
    let mut finding = Finding::new(ID, Severity::Required, message)
        .evidence(advice::hashes(actual, expected))
        .advice(what_to_do(project, &service.name));
    if let Some(image) = resolved.image(&service.name).filter(|i| *i != container.image_ref) {
        finding = finding.evidence(format!("it runs {}, the file says {image}", container.image_ref));
    }
    if !advice::is_v2(project) && moved(service, container) {
        finding = finding.evidence(
            "its image's tag means another image now; the hash of docker-compose 1 covers the image's id, \
             which may be all there is to it",
        );
    } else if let Some(version) = label(VERSION) {
        finding = finding.evidence(format!(
            "made by Compose {version}; without any edit it differs where a variable was set in the shell that \
             made it, where it was made with `--no-deps`, or by a Compose that hashes otherwise"
        ));
    }
    Some(finding)
}

fn what_to_do(project: &Project, service: &str) -> String {
    let up = advice::compose(project, &format!("up -d {service}"));
    let look = if advice::is_v2(project) {
        let dry = advice::compose(project, &format!("up -d --dry-run {service}"));
        format!("see what it would do: `{dry}`; ")
    } else {
        String::new()
    };
    format!(
        "{look}bring the service to what the file says, in a quiet moment: `{up}`, see that it works, and \
         update then; or take all of it into the update: {}",
        advice::force(ID)
    )
}

fn moved(service: &ServiceFacts, container: &ContainerFacts) -> bool {
    service.tagged_id.as_ref().is_some_and(|id| *id != container.image_id)
}

#[cfg(test)]
mod tests {
    use mainstay_core::plan::ComposeVersion;

    use super::super::tests::{Case, HASH, container};
    use super::*;

    fn made_from(hash: Option<&str>) -> ContainerFacts {
        let mut drifted = container("web-2");
        drifted.labels.remove(CONFIG_HASH);
        if let Some(hash) = hash {
            drifted.labels.insert(CONFIG_HASH.into(), hash.into());
        }
        drifted
    }

    #[test]
    fn each_replica_is_compared() {
        let case = Case::of(vec![container("web-1"), made_from(Some("0123456789abcdef")), made_from(None)]);
        let findings = case.check(run);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings.iter().all(|f| f.severity == Severity::Required && f.message.starts_with("web-2 ")));
        assert_eq!(
            findings[0].evidence[0],
            format!("made from configuration 0123456789ab, the file has {}", &HASH[..12])
        );
        assert!(findings[1].evidence[0].contains("carries no hash"));
        assert!(
            findings[0].advice.as_ref().unwrap().contains("/srv/shop/compose.yml up -d web`"),
            "{findings:?}"
        );
    }

    #[test]
    fn nobody_cares_where_nothing_is_re_created() {
        let mut case = Case::of(vec![made_from(None)]);
        case.wanted.recreate = false;
        assert_eq!(case.check(run), []);
    }

    #[test]
    fn what_is_known_of_the_difference_is_shown() {
        let mut case = Case::of(vec![ContainerFacts { image_ref: "app:0".into(), ..made_from(Some("x")) }]);
        assert_eq!(case.check(run)[0].evidence[1], "it runs app:0, the file says app:1");
        case.survey.project.compose = ComposeVersion::V1("1.29.2".into());
        case.survey.unit[0].tagged_id = Some("sha256:new".into());
        let finding = case.check(run).remove(0);
        assert!(finding.evidence[2].contains("image's id"), "{finding:?}");
        assert!(!finding.advice.unwrap().contains("dry-run"));
    }
}
