//! What is needed to open a repository: the state directory, the repository's place and its password.
//!
//! Invariant: a password never appears in a `Debug` or `Display` text. Reads the password, and makes one at
//! first use; opens nothing.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::{Result, VaultError};
use crate::location::Location;

const REPOSITORY: &str = "repository";
const PASSWORD: &str = "repository.password";
pub(crate) const OTHERS: &str = "repositories";

/// What is needed to open a repository.
#[derive(Debug, Clone)]
pub struct Access {
    /// The state directory: manifests, locks and what is remembered of repositories lie there.
    pub state: PathBuf,
    /// Where the repository is.
    pub location: Location,
    /// Where its password comes from.
    pub password: Password,
    /// What a remote repository asks for.
    pub credentials: Option<Credentials>,
}

/// The credentials of an S3 service.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN`.
    pub token: Option<String>,
    /// `AWS_DEFAULT_REGION` or `AWS_REGION`; `us-east-1` if there is none.
    pub region: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    /// From the variables that restic reads, or from the files that the same names with `_FILE` name;
    /// `None` unless both identifier and secret are there. `variable` looks one up.
    ///
    /// # Errors
    ///
    /// [`VaultError::Variable`]: a variable and its file are both set, or the file can't be read.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let get = |name| variable_or_file(name, &variable);
        let (id, secret) = (get("AWS_ACCESS_KEY_ID")?, get("AWS_SECRET_ACCESS_KEY")?);
        let token = get("AWS_SESSION_TOKEN")?;
        let region = get("AWS_DEFAULT_REGION")?.or(get("AWS_REGION")?);
        Ok(id.zip(secret).map(|(id, secret)| Self { id, secret, token, region }))
    }
}

/// The value of a variable, or what is in the file that `NAME_FILE` names, without white space at its ends.
fn variable_or_file(name: &'static str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
    let get = |name: &str| variable(name).filter(|value| !value.is_empty());
    let bad = |reason: String| VaultError::Variable { name, reason };
    match (get(name), get(&format!("{name}_FILE"))) {
        (Some(_), Some(_)) => Err(bad("both are set".to_owned())),
        (Some(value), None) => Ok(Some(value)),
        (None, None) => Ok(None),
        (None, Some(file)) => match fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(bad(format!("{file}: {error}"))),
        },
    }
}

/// Where the password of a repository comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The file `repository.password` in the state directory, made at first use.
    Own,
    /// A file of the operator's; never made.
    File(PathBuf),
    /// Given, for example by the environment; never written to a file.
    Given(String),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("Own"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Given(_) => f.write_str("Given(…)"),
        }
    }
}

impl Access {
    /// The repository in the state directory, with the password beside it.
    #[must_use]
    pub fn default_of(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            location: Location::Local(state.join(REPOSITORY)),
            password: Password::Own,
            credentials: None,
        }
    }

    /// The same password and state directory, another place.
    #[must_use]
    pub fn at(&self, location: Location) -> Self {
        Self { location, ..self.clone() }
    }

    /// The file that holds the password, if one does.
    #[must_use]
    pub fn password_file(&self) -> Option<PathBuf> {
        match &self.password {
            Password::Own => Some(self.state.join(PASSWORD)),
            Password::File(path) => Some(path.clone()),
            Password::Given(_) => None,
        }
    }

    /// Whether it is the repository in the state directory.
    pub(crate) fn is_default(&self) -> bool {
        self.location.path() == Some(&self.state.join(REPOSITORY))
    }

    /// Where lock and remembered key of this repository lie: each repository has its own.
    pub(crate) fn own_dir(&self) -> PathBuf {
        if self.is_default() {
            return self.state.clone();
        }
        let name = blake3::hash(self.location.to_string().as_bytes()).to_hex();
        self.state.join(OTHERS).join(&name.as_str()[..16])
    }

    /// The password.
    pub(crate) fn read_password(&self) -> Result<String> {
        let path = match &self.password {
            Password::Given(password) => return Ok(password.clone()),
            Password::Own => self.state.join(PASSWORD),
            Password::File(path) => path.clone(),
        };
        let bad = |reason: String| VaultError::Password { path: path.clone(), reason };
        let text = fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
        let password = text.trim_end_matches(['\n', '\r']).to_owned();
        if password.is_empty() { Err(bad("it is empty".to_owned())) } else { Ok(password) }
    }

    /// The password for a new repository, and whether it was made now.
    pub(crate) fn password_for_new(&self) -> Result<(String, bool)> {
        let path = self.state.join(PASSWORD);
        if self.password != Password::Own || path.exists() {
            return Ok((self.read_password()?, false));
        }
        let mut random = [0; 32];
        let source = Path::new("/dev/urandom");
        fs::File::open(source)
            .and_then(|mut file| file.read_exact(&mut random))
            .map_err(|error| VaultError::io("read", source, error))?;
        let password = hex::encode(random);
        durable::write_new(&path, format!("{password}\n").as_bytes())?;
        Ok((password, true))
    }

    /// A password that doesn't fit, said without the password.
    pub(crate) fn wrong_password(&self) -> VaultError {
        let reason = format!("it doesn't open the repository {}", self.location);
        match self.password_file() {
            Some(path) => VaultError::Password { path, reason },
            None => VaultError::GivenPassword { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_password_is_not_shown() {
        let access = Access {
            password: Password::Given("s3cr3t".to_owned()),
            ..Access::default_of(Path::new("/state"))
        };
        let shown = format!("{access:?} {}", access.wrong_password());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        assert_eq!(access.password_file(), None);
    }

    #[test]
    fn credentials_come_from_variables_or_files_and_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "s3cr3t\n").unwrap();
        let file = file.to_str().unwrap();
        let read = |set: &[(&str, &str)]| {
            let find =
                |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
            Credentials::from_variables(find)
        };
        let (id, secret) = (("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY_FILE", file));
        let found = read(&[id, secret, ("AWS_REGION", "here")]).unwrap().unwrap();
        assert_eq!((found.secret.as_str(), found.region.as_deref()), ("s3cr3t", Some("here")));
        assert!(!format!("{found:?}").contains("s3cr3t"));
        assert_eq!(read(&[id]).unwrap(), None, "half of them are none");
        let both = read(&[id, secret, ("AWS_SECRET_ACCESS_KEY", "other")]).unwrap_err().to_string();
        assert!(both.contains("AWS_SECRET_ACCESS_KEY_FILE") && !both.contains("other"), "{both}");
        assert!(read(&[id, ("AWS_SECRET_ACCESS_KEY_FILE", "/nowhere")]).is_err());
    }

    #[test]
    fn every_repository_has_its_own_lock_and_key() {
        let access = Access::default_of(Path::new("/state"));
        let other = access.at(Location::Local("/mnt/copy".into()));
        assert_eq!(access.own_dir(), Path::new("/state"));
        assert!(other.own_dir().starts_with("/state/repositories"));
        assert_ne!(other.own_dir(), access.at(Location::Local("/mnt/copy2".into())).own_dir());
    }
}
