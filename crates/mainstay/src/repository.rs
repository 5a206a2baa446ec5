//! Where backups are kept and copied to, and the password of both: flags, environment and configuration.
//!
//! Flag over environment over project file over host file over the default, which is the state directory.
//! Passwords and credentials come from the environment or files alone, so that no process list shows them.

use std::path::{Path, PathBuf};

use mainstay_core::problem::Problem;
use mainstay_host::files::RunDir;
use mainstay_host::steps::vault_problem;
use mainstay_vault::{Access, Credentials, Location, Password};

use crate::cli::Global;
use crate::config::Places;
use crate::state::StateDir;

/// The file in a run's directory that says where its backups are, whatever the configuration says later.
pub const BEGUN: &str = "repository";

/// Where backups are kept and copied to.
#[derive(Clone, Debug)]
pub struct Repositories {
    /// The repository.
    pub access: Access,
    /// The second one, with the same password.
    pub copy: Option<Access>,
}

impl Repositories {
    /// Those of a project, or those of the host.
    ///
    /// # Errors
    /// `usage`, `config-…`: something that was said can't be used.
    pub fn of(global: &Global, state: &StateDir, project_dir: Option<&Path>) -> Result<Self, Problem> {
        Self::at(global, state, Places::of(project_dir)?)
    }

    fn at(global: &Global, state: &StateDir, places: Places) -> Result<Self, Problem> {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        // clap has put the environment below the flag.
        let said = |flag: &Option<String>| flag.clone().map(|text| (text, here.clone()));
        let locate = |what: &str, place: Option<(String, PathBuf)>| {
            place.map(|(text, base)| Location::parse(&text, &base)).transpose().map_err(|error| {
                Problem::new("usage", format!("{what} can't be used")).because(&error).advise(error.advice())
            })
        };
        let mut access = Access::default_of(state.path());
        if let Some(place) = locate("the repository", said(&global.repository).or(places.repository))? {
            access.location = place;
        }
        access.password = password(|name| std::env::var(name).ok())?;
        access.credentials = Credentials::from_variables(|name| std::env::var(name).ok()).map_err(|e| {
            Problem::new("usage", "the credentials can't be used").because(&e).advise(e.advice())
        })?;
        let copy = locate("the second repository", said(&global.copy_to).or(places.copy_to))?;
        Ok(Self { copy: copy.map(|place| access.at(place)), access })
    }

    /// Those of a run that was cut off. Where the run noted down its repository, and configuration can't be read or used any
    /// more, that is told and no reason not to resume: the service may be down. Nothing is copied then.
    ///
    /// # Errors
    /// As [`Repositories::of`], where the run noted down nothing; or what it noted down, flags or variables can't be
    /// used.
    pub fn of_run(
        global: &Global,
        state: &StateDir,
        project_dir: &Path,
        run: &RunDir,
    ) -> Result<(Self, Option<Problem>), Problem> {
        let (repositories, unreadable) = match Self::of(global, state, Some(project_dir)) {
            Ok(repositories) => (repositories, None),
            Err(problem) if run.read(BEGUN).is_ok() => {
                (Self::at(global, state, Places::default())?, Some(problem))
            }
            Err(problem) => return Err(problem),
        };
        Ok((repositories.begun_with(run)?, unreadable))
    }

    /// With the repository that a run began with.
    ///
    /// # Errors
    /// What the run noted down can't be used.
    pub fn begun_with(mut self, run: &RunDir) -> Result<Self, Problem> {
        // Runs of earlier versions noted down nothing: theirs is the default one, or configured as before.
        if let Ok(noted) = run.read(BEGUN) {
            let text = String::from_utf8_lossy(&noted);
            self.access.location = Location::parse(text.trim(), Path::new("/"))
                .map_err(|e| vault_problem("the repository that the run began with can't be used", &e))?;
        }
        Ok(self)
    }
}

fn password(variable: impl Fn(&str) -> Option<String>) -> Result<Password, Problem> {
    let get = |name: &str| variable(name).filter(|value| !value.is_empty());
    match (get("MAINSTAY_REPOSITORY_PASSWORD"), get("MAINSTAY_REPOSITORY_PASSWORD_FILE")) {
        (None, None) => Ok(Password::Own),
        (Some(password), None) => Ok(Password::Given(password)),
        (None, Some(file)) => {
            let file = PathBuf::from(file);
            Ok(Password::File(std::path::absolute(&file).unwrap_or(file)))
        }
        (Some(_), Some(_)) => Err(Problem::new("usage", "the repository's password is given twice")
            .because("MAINSTAY_REPOSITORY_PASSWORD and MAINSTAY_REPOSITORY_PASSWORD_FILE are both set")
            .advise("set one of them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_given_once_or_not_at_all() {
        let with = |set: &[(&str, &str)]| {
            password(|name| set.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned()))
        };
        let (text, file) =
            (("MAINSTAY_REPOSITORY_PASSWORD", "s3cr3t"), ("MAINSTAY_REPOSITORY_PASSWORD_FILE", "/p"));
        assert_eq!(with(&[]).unwrap(), Password::Own);
        assert_eq!(with(&[text]).unwrap(), Password::Given("s3cr3t".into()));
        assert_eq!(with(&[file]).unwrap(), Password::File("/p".into()));
        let both = with(&[text, file]).unwrap_err();
        assert_eq!(both.code, "usage");
        assert!(!format!("{both:?}").contains("s3cr3t"));
    }
}
