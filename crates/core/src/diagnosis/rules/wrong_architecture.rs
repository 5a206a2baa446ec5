//! `wrong-architecture`: the image, or the program in it, was built for another machine.

use super::{Diagnosis, Facts};

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let refused = |text: &str| text.to_lowercase().contains("exec format error");
    let foreign =
        |image: &str| !image.is_empty() && !facts.architecture.is_empty() && image != facts.architecture;
    let container = facts.containers.iter().find(|c| {
        let says = refused(&c.start_error) || (c.suffers() && c.log.iter().any(|line| refused(line)));
        says || (c.suffers() && foreign(&c.image_architecture))
    })?;
    let (image, machine) = (&container.image_architecture, &facts.architecture);
    let what = if foreign(image) {
        format!("{} is built for {image}, and this machine is {machine}", container.image)
    } else {
        format!("{} can't be executed on this machine: it is built for another one", container.program)
    };
    let line = container.log.iter().rev().find(|line| refused(line));
    let diagnosis = Diagnosis::new(what)
        .seen(format!("image {image}, machine {machine}"))
        .seen(container.start_error.clone())
        .seen_all(line.map(|line| format!("{}: {}", container.name, line.trim())));
    Some(if foreign(image) {
        diagnosis.advise(format!("use a tag that exists for {machine}, or ask its maker for one"))
    } else {
        diagnosis.advise(
            "the image says that it fits, so the program in it is wrong, or a script without a first line `#!…`: \
             report it to the image's maker",
        )
    })
}
