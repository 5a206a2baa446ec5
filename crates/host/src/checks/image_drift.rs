//! `image-drift`: whether the image's reference still means the image that runs, and whether that one is
//! still there. An image that is gone can't be rolled back to. Looks at this engine, not at the registry.

use mainstay_core::finding::{Finding, Severity};

use super::{Input, advice, required_if};
use crate::survey::{ContainerFacts, ServiceFacts};

pub(super) const ID: &str = "image-drift";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let survey = input.survey;
    let with_containers = survey.unit.iter().filter(|s| !s.containers.is_empty());
    let gone = with_containers.filter(|s| s.image.is_none()).map(|s| image_gone(input, s));
    let moved = survey.unit.iter().flat_map(|s| s.containers.iter().filter_map(|c| moved(input, s, c)));
    gone.chain(moved).collect()
}

fn image_gone(input: &Input<'_>, service: &ServiceFacts) -> Finding {
    let first = &service.containers[0];
    let message =
        format!("{} runs an image that the engine has no more: there would be no way back to it", first.name);
    Finding::new(ID, required_if(input.wanted.recreate), message)
        .evidence(format!("image {} of {}", advice::short(&first.image_id), first.image_ref))
        .advice(format!(
            "pull the very same version again, or make an image of the container: `docker commit {} {}-kept`",
            first.name, service.name
        ))
}

fn moved(input: &Input<'_>, service: &ServiceFacts, container: &ContainerFacts) -> Option<Finding> {
    let tagged = service.tagged_id.as_ref().filter(|id| **id != container.image_id)?;
    let name = &container.name;
    let wanted = input.survey.compose.as_ref().ok().and_then(|r| r.image(&service.name));
    let wanted = wanted.unwrap_or(&container.image_ref);
    let (message, advice) = if wanted == container.image_ref {
        (
            format!(
                "{name}: the tag of {wanted} has moved: it means another image now than the one that runs"
            ),
            "nothing to do for an update: the image that runs is kept under a tag of its own; a plain `up` \
             would change the image"
                .to_owned(),
        )
    } else {
        (
            format!("{name} runs {}, but the Compose file says {wanted}", container.image_ref),
            "see whether somebody edited the file and never brought it up".to_owned(),
        )
    };
    let evidence = format!(
        "runs image {}, {wanted} is image {} on this engine",
        advice::short(&container.image_id),
        advice::short(tagged)
    );
    Some(Finding::new(ID, Severity::Warning, message).evidence(evidence).advice(advice))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, container};
    use super::*;

    #[test]
    fn a_moved_tag_is_told_with_both_images() {
        let mut case = Case::of(vec![container("web-1"), container("web-2")]);
        assert_eq!(case.check(run), []);
        case.survey.unit[0].tagged_id = Some("sha256:fedcba9876543210".into());
        let findings = case.check(run);
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[1].severity, Severity::Warning);
        assert!(findings[1].message.starts_with("web-2: the tag of app:1 has moved"), "{findings:?}");
        assert_eq!(findings[1].evidence, ["runs image old, app:1 is image fedcba987654 on this engine"]);
        case.survey.unit[0].containers.truncate(1);
        case.survey.unit[0].containers[0].image_ref = "app:0".into();
        assert!(case.check(run)[0].message.contains("runs app:0, but the Compose file says app:1"));
        case.survey.unit[0].tagged_id = None;
        assert_eq!(case.check(run), []);
    }

    #[test]
    fn without_the_old_image_there_is_no_way_back() {
        let mut case = Case::of(vec![container("web-1")]);
        case.survey.unit[0].image = None;
        assert_eq!(case.check(run)[0].severity, Severity::Required);
        case.wanted.recreate = false;
        assert_eq!(case.check(run)[0].severity, Severity::Warning);
    }
}
