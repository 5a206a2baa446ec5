//! `missing-library`: the loader says which shared library the image lacks, and which program needs it.

use std::sync::LazyLock;

use regex::Regex;

use super::{Diagnosis, Facts};

/// As glibc's loader, musl's loader, and glibc's version check say it.
static LOADERS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"(?P<program>\S+): error while loading shared libraries: (?P<library>[^:\s]+): ",
        r"Error loading shared library (?P<library>[^:\s]+): .*\(needed by (?P<program>[^)]+)\)",
        r"version `(?P<library>[A-Z]+_[0-9.]+)' not found \(required by (?P<program>[^)]+)\)",
    ]
    .into_iter()
    .map(|text| Regex::new(text).expect("the pattern is a constant that the tests compile"))
    .collect()
});

pub(super) fn run(facts: &Facts) -> Option<Diagnosis> {
    let errors = facts.containers.iter().map(|c| (c, c.start_error.as_str()));
    let (container, line, library, program) = facts.lines().chain(errors).find_map(|(container, line)| {
        let found =
            LOADERS.iter().find_map(|loader| loader.captures(line)).filter(|_| container.suffers())?;
        Some((container, line, found["library"].to_owned(), found["program"].to_owned()))
    })?;
    let what = format!("{program} needs the library {library}, which {} does not have", container.image);
    Some(
        Diagnosis::new(what)
            .seen(format!("{}: {}", container.name, line.trim()))
            .seen(format!("exit code {}", container.exit_code))
            .advise("the image is broken: stay with the old version, and report it to the image's maker")
            .advise("if the library comes from a mount or an image of your own, build that for the new version's base"),
    )
}

#[cfg(test)]
mod tests {
    use super::LOADERS;

    #[test]
    fn every_loader_is_understood() {
        for (line, library, program) in [
            (
                "/usr/bin/curl: error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such \
                 file or directory",
                "libcurl.so.4",
                "/usr/bin/curl",
            ),
            (
                "Error loading shared library libpq.so.5: No such file or directory (needed by /usr/bin/psql)",
                "libpq.so.5",
                "/usr/bin/psql",
            ),
            (
                "/app/x: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /app/x)",
                "GLIBC_2.38",
                "/app/x",
            ),
        ] {
            let found = LOADERS.iter().find_map(|loader| loader.captures(line)).unwrap();
            assert_eq!((&found["library"], &found["program"]), (library, program));
        }
    }
}
