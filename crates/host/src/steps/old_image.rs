//! Brings an old image back that somebody removed, which our own tag can't prevent: from the copy that was kept of it,
//! else from its registry.
//!
//! Invariant: what comes back has the id of the image that ran, or it is not taken. The tag that the operator's files
//! name stays as it is.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::plan::ServicePlan;
use mainstay_core::problem::Problem;
use mainstay_runner::Context;

use super::Host;
use super::patience::away;
use crate::files::ImageCopies;
use crate::images::{self, Reference};

const NO_REGISTRY: &str = "it came from no registry, so it can't be pulled again";

impl Host {
    /// The copies of images that runs have kept.
    pub(super) fn image_copies(&self) -> ImageCopies {
        ImageCopies::of(self.run.state())
    }

    /// Has the old image here, under our own tag.
    pub(super) fn have_old_image(
        &self,
        service: &ServicePlan,
        context: &mut Context<'_>,
    ) -> Result<(), Problem> {
        let Some(id) = &service.from.id else { return Ok(()) };
        let docker = self.engine.docker();
        match self.runtime.block_on(images::inspect(docker, id)) {
            Err(missing) if missing.code == "image-missing" => {
                self.bring_old_image_back(service, id, missing, context)?;
            }
            found => drop(found?),
        }
        // Also where it is here: whoever brought it back may have been killed before this.
        self.runtime.block_on(images::keep(docker, id, &service.keep_tag))
    }

    fn bring_old_image_back(
        &self,
        service: &ServicePlan,
        id: &str,
        missing: Problem,
        context: &mut Context<'_>,
    ) -> Result<(), Problem> {
        match self.runtime.block_on(images::load_copy(self.engine.docker(), id, &self.image_copies())) {
            Ok(true) => {}
            Ok(false) => {
                let advice = "next time keep a copy of the old image: `keep_image_copy = true`";
                self.pull_old_image(service, id, missing).map_err(|problem| problem.advise(advice))?;
            }
            // It is waited for, and asked again.
            Err(problem) if away(&problem) => return Err(problem),
            Err(unusable) => match self.pull_old_image(service, id, missing.clone()) {
                Ok(()) => context.observe(pulled_instead(service, &unusable)),
                Err(problem) if away(&problem) => return Err(problem),
                Err(problem) => return Err(neither(missing, &unusable, problem)),
            },
        }
        Ok(())
    }

    fn pull_old_image(&self, service: &ServicePlan, id: &str, missing: Problem) -> Result<(), Problem> {
        let Some(digest) = &service.from.digest else {
            return Err(missing.because(NO_REGISTRY));
        };
        let exact = Reference::parse(&Reference::parse(&service.from.reference)?.at_digest(digest))?;
        let (mut silent, never) = (|_| {}, || false);
        let pull = images::pull(self.engine.docker(), &exact, Some(digest), &mut silent, &never);
        let pulled = self.runtime.block_on(pull)?;
        if pulled != *id {
            return Err(missing.because(format!("what the registry has under {digest} is {pulled}")));
        }
        Ok(())
    }
}

fn pulled_instead(service: &ServicePlan, unusable: &Problem) -> Finding {
    let message = format!("{}: the old image was pulled again; its kept copy is of no use", service.name);
    Finding::new("image-copy", Severity::Warning, message)
        .evidence(unusable.to_string())
        .advice("look at the disk that it is on")
}

/// Neither the copy nor the registry had it.
fn neither(missing: Problem, unusable: &Problem, pull: Problem) -> Problem {
    let tried = match pull.code.as_str() {
        "image-missing" => pull.causes.join(": "),
        _ => format!("it can't be pulled again: {pull}"),
    };
    let problem = Problem::new(&missing.code, missing.what).because(unusable).because(tried).advise(
        "get an image of the old version by hand (build it, `docker load`), then decide which version shall run",
    );
    let own = unusable.advice.iter().chain(&pull.advice).filter(|advice| !missing.advice.contains(advice));
    own.fold(problem, Problem::advise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_attempts_are_named_where_both_failed() {
        let missing = Problem::new("image-missing", "the engine doesn't have the image x").advise("pull it");
        let unusable = Problem::new("image-copy-damaged", "the copy is damaged").advise("look at the disk");
        let problem = neither(missing.clone(), &unusable, missing.clone().because(NO_REGISTRY));
        assert_eq!((&problem.code, &problem.what), (&missing.code, &missing.what));
        assert_eq!(problem.causes, ["the copy is damaged", NO_REGISTRY]);
        let pull =
            Problem::new("registry-unreachable", "no answer from r").because("eof").advise("check DNS");
        let problem = neither(missing, &unusable, pull);
        assert_eq!(problem.causes[1], "it can't be pulled again: no answer from r: eof");
        assert!(problem.advice[0].contains("by hand"), "{problem:?}");
        assert_eq!(problem.advice[1..], ["look at the disk", "check DNS"]);
    }
}
