//! `unhealthy`: its health check fails; what the check says, and whether the check itself is broken.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let (container, output) = facts.containers.iter().find_map(|c| Some((c, c.unhealthy.as_ref()?)))?;
    let missing = output.contains("executable file not found")
        || output.contains("not found") && output.contains("sh:");
    let name = &container.name;
    let what = if missing {
        format!("the health check of {name} needs a program that the image does not have")
    } else {
        format!("the health check of {name} fails")
    };
    let inside = facts.inside.as_ref().map(|i| format!("asked inside, at port {}: {}", i.port, i.detail));
    let diagnosis = Diagnosis::new(what).seen(output.clone()).seen_all(inside);
    Some(if missing {
        diagnosis.advise("use a check that the new image can run (`healthcheck:` in the Compose file)")
    } else {
        diagnosis.advise(format!(
            "run it by hand: `docker inspect --format '{{{{json .Config.Healthcheck}}}}' {name}` shows the command"
        ))
    })
}
