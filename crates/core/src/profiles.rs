//! Profiles: what is known about widespread images, as tables.
//!
//! Invariant: a profile is data. It is recognised by what the image's configuration says, never by the name that
//! somebody gave the image alone, because names are free; and nothing of it holds a secret: commands take logins from the
//! container's own environment, inside the container. What it does not do: ask. `host` runs the commands, and a profile whose
//! commands fail on the version that runs now says nothing about a new one.

use crate::image::ImageConfig;

mod jump;
mod table;
mod version;

pub use jump::{Data, JUMP, Jump, Known, Refusal, exchange, refused};
pub use version::Version;

/// What is known about one image.
#[derive(Debug)]
pub struct Profile {
    /// Its name: what `profile = "…"` takes.
    pub name: &'static str,
    /// The program's name, for people.
    pub title: &'static str,
    /// How its images are recognised.
    pub signs: Signs,
    /// How it is asked whether it is ready to work. Exit code 0 is yes.
    pub ready: Ask,
    /// Figures that say whether the data is there.
    pub figures: &'static [Figure],
    /// Which versions can work with data of which others.
    pub data: Data,
    /// What a copy of its files is worth that is made while it runs.
    pub live: Live,
}

/// How images are recognised: any of these is enough.
#[derive(Debug)]
pub struct Signs {
    /// Environment variables that only images of this program have. Those that hold a version come first, the most exact one
    /// at the beginning.
    pub variables: &'static [&'static str],
    /// Programs, one of which is the last part of a word of the entry point or command.
    pub programs: &'static [&'static str],
    /// Titles that the image's labels give (`org.opencontainers.image.title`, `org.label-schema.name`), in lower case.
    pub titles: &'static [&'static str],
}

/// A command in the container.
#[derive(Debug)]
pub struct Ask {
    /// Its name in plans and reports.
    pub name: &'static str,
    /// A line for `sh -c`, in the container.
    pub command: &'static str,
}

/// A number that says whether the data is there.
#[derive(Debug)]
pub struct Figure {
    /// How it is asked for; the last line of the output is the number.
    pub ask: Ask,
    /// Not less than this part of what it was; 1 where nothing makes it fall by itself.
    pub min_ratio: f64,
}

/// What a copy of the files is worth that is made while the program runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Live {
    /// As much as any: it keeps no data, or writes it in whole files.
    Usable,
    /// As much as any after this command.
    Prepared {
        /// A line for `sh -c` before.
        before: &'static str,
    },
    /// It may not start from it.
    Torn {
        /// Why, for people.
        why: &'static str,
    },
}

/// A profile that fits an image.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// The profile.
    pub profile: &'static Profile,
    /// What it was recognised by, for people: `PG_VERSION`, `the program mysqld`, `the title Elasticsearch`.
    pub by: String,
}

/// Every profile.
#[must_use]
pub fn all() -> &'static [Profile] {
    table::ALL
}

/// The profile of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Profile> {
    all().iter().find(|profile| profile.name == name)
}

/// The profile of an image. `command` is what the container really runs, entry point first: a service may run something else than
/// its image would.
#[must_use]
pub fn recognise(image: &ImageConfig, command: &[String]) -> Option<Recognised> {
    all().iter().find_map(|profile| Some(Recognised { profile, by: profile.signs.fit(image, command)? }))
}

/// The profile of the program that a repository is named after: a guess, for an image that isn't here yet.
fn of_repository(repository: &str) -> Option<&'static Profile> {
    all().iter().find(|profile| profile.is_called(repository))
}

impl Profile {
    fn is_called(&self, repository: &str) -> bool {
        let last = repository.rsplit('/').next().unwrap_or_default();
        last == self.name || self.signs.titles.contains(&last)
    }
}

impl Signs {
    fn fit(&self, image: &ImageConfig, command: &[String]) -> Option<String> {
        let variable = self.variables.iter().find(|name| image.env.get(name).is_some());
        let program = || programs(command).into_iter().find(|word| self.programs.contains(word));
        variable
            .map(|name| (*name).to_owned())
            .or_else(|| program().map(|word| format!("the program {word}")))
            .or_else(|| self.title(image).map(|title| format!("the title {title}")))
    }

    fn title<'a>(&self, image: &'a ImageConfig) -> Option<&'a str> {
        let mut titles = ["org.opencontainers.image.title", "org.label-schema.name"]
            .iter()
            .filter_map(|label| image.labels.get(*label).map(String::as_str));
        titles.find(|title| self.titles.contains(&title.to_lowercase().as_str()))
    }

    /// The version that an image says it has, and by what: a variable, or a label. Labels are inherited from the base image, so
    /// that one of a version counts only beside the program's own title.
    fn told(&self, image: &ImageConfig) -> Option<(Version, String)> {
        let by_variable = |name: &&str| Some((Version::parse(image.env.get(name)?)?, (*name).to_owned()));
        let by_label = || {
            self.title(image)?;
            Some((Version::parse(image.version()?)?, "the image's label".to_owned()))
        };
        self.variables.iter().find_map(by_variable).or_else(by_label)
    }

    /// The version that an image says it has.
    #[must_use]
    pub fn version(&self, image: &ImageConfig) -> Option<Version> {
        self.told(image).map(|(version, _)| version)
    }
}

/// The words of a command that may be programs, without their directories: not the values of options (`psql -U postgres`), but what
/// a shell is given to run.
fn programs(command: &[String]) -> Vec<&str> {
    let mut words = Vec::new();
    let mut before = "";
    for word in command.iter().flat_map(|argument| argument.split_whitespace()) {
        let value = before.starts_with('-') && !["--", "-c", "-lc", "-ec"].contains(&before);
        if !value {
            words.push(word.rsplit('/').next().unwrap_or_default());
        }
        before = word;
    }
    words
}

#[cfg(test)]
mod tests;
