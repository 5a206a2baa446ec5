//! Commands and figures as advice gives them: complete, quoted where a shell needs it. Pure.

use std::path::Path;

use mainstay_core::plan::{ComposeVersion, Project};

use crate::compose::args::program;

/// A Compose command for the project that works from any directory.
pub(super) fn compose(project: &Project, rest: &str) -> String {
    let mut words = vec![program(&project.compose).join(" "), "-p".to_owned(), quoted(&project.name)];
    for file in &project.files {
        words.extend(["-f".to_owned(), path(file)]);
    }
    // Compose takes the first file's directory for the project's, and `.env` from there.
    if project.files.first().and_then(|f| f.parent()) != Some(project.directory.as_path()) {
        words.extend(["--project-directory".to_owned(), path(&project.directory)]);
    }
    let default_env = project.directory.join(".env");
    for file in project.env_files.iter().filter(|f| project.env_files.len() > 1 || **f != default_env) {
        words.extend(["--env-file".to_owned(), path(file)]);
    }
    words.push(rest.to_owned());
    words.join(" ")
}

/// Whether the newer generation of Compose is at work.
pub(super) fn is_v2(project: &Project) -> bool {
    matches!(project.compose, ComposeVersion::V2(_))
}

/// How to override a check.
pub(super) fn force(id: &str) -> String {
    format!("`--force {id}`")
}

/// `a path` as a shell takes it.
pub(super) fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `3 files`, `1 file`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// The first characters of an id or hash, as people compare them.
pub(super) fn short(id: &str) -> &str {
    let bare = id.strip_prefix("sha256:").unwrap_or(id);
    bare.get(..12).unwrap_or(bare)
}

/// Which configuration a container was made from, and which one the files have.
pub(super) fn hashes(actual: Option<&str>, expected: &str) -> String {
    match actual {
        Some(actual) => {
            format!("made from configuration {}, the file has {}", short(actual), short(expected))
        }
        None => format!("it carries no hash of its configuration, the file has {}", short(expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_what_the_project_needs_and_no_more() {
        let mut project = Project {
            name: "shop".into(),
            directory: "/srv/shop".into(),
            files: vec!["/srv/shop/compose.yml".into()],
            env_files: vec!["/srv/shop/.env".into()],
            compose: ComposeVersion::V2("2.26.1".into()),
        };
        assert_eq!(
            compose(&project, "up -d web"),
            "docker compose -p shop -f /srv/shop/compose.yml up -d web"
        );
        project.directory = "/srv/my shop".into();
        project.env_files = vec!["/etc/shop.env".into()];
        project.compose = ComposeVersion::V1("1.29.2".into());
        assert_eq!(
            compose(&project, "ps"),
            "docker-compose -p shop -f /srv/shop/compose.yml --project-directory '/srv/my shop' \
             --env-file /etc/shop.env ps"
        );
    }

    #[test]
    fn ids_are_shortened_and_words_quoted() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("abc"), "abc");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
