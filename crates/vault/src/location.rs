//! Where a repository is: a directory, or a bucket of an S3 service.
//!
//! Invariant: a location holds no secret, so that it can be shown, logged and written into documents; an
//! address with credentials in it is refused. It is written as restic writes it. Opens nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Result, VaultError};

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine.
    Local(PathBuf),
    /// A bucket, or a part of one.
    S3(Bucket),
}

/// A bucket of an S3 service, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// `https://host[:port]`, or `http://…`.
    pub endpoint: String,
    /// The bucket's name.
    pub bucket: String,
    /// What the names of all objects begin with, without slashes at its ends; may be empty.
    pub prefix: String,
}

/// What restic has and we don't.
const UNSUPPORTED: &[&str] = &["sftp:", "rest:", "rclone:", "b2:", "azure:", "gs:", "swift:", "opendal:"];

impl Location {
    /// Understands `s3:https://host/bucket/prefix`, `s3:host/bucket/prefix` and the path of a directory,
    /// which is taken from `base` if it is relative.
    ///
    /// # Errors
    ///
    /// [`VaultError::BadLocation`], which doesn't repeat a part that may be a secret.
    pub fn parse(text: &str, base: &Path) -> Result<Self> {
        let bad = |shown: &str, reason| VaultError::BadLocation { value: shown.to_owned(), reason };
        if let Some(address) = text.strip_prefix("s3:") {
            return Bucket::parse(address).map(Self::S3).map_err(|(shown, reason)| bad(&shown, reason));
        }
        if let Some(scheme) = UNSUPPORTED.iter().find(|scheme| text.starts_with(**scheme)) {
            return Err(bad(&format!("{scheme}…"), "only directories and s3:… are known"));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(bad(&format!("{scheme}://…"), "only directories and s3:… are known"));
        }
        if text.is_empty() {
            return Err(bad(text, "it is empty"));
        }
        Ok(Self::Local(base.join(text)))
    }

    /// The directory of a local repository.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Local(path) => Some(path),
            Self::S3(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3(bucket) => write!(f, "s3:{bucket}"),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.endpoint, self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl Bucket {
    /// An error has what can be shown of the address, and what is wrong.
    fn parse(address: &str) -> std::result::Result<Self, (String, &'static str)> {
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
            Some(_) => return Err(("s3:…".to_owned(), "the address must begin with https:// or http://")),
            // restic takes s3://host/bucket too.
            None => ("https", address.trim_start_matches('/')),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') {
            let reason = "credentials don't belong into it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            return Err(("s3:…".to_owned(), reason));
        }
        let shown = || format!("s3:{address}");
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\' | '"' | '\'');
        if address.contains(odd) {
            return Err(("s3:…".to_owned(), "it holds a character that no address has"));
        }
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if host.is_empty() || bucket.is_empty() {
            return Err((shown(), "it is not of the form s3:https://HOST/BUCKET/PREFIX"));
        }
        let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err((shown(), "`.` and `..` mean nothing in a bucket"));
        }
        Ok(Self {
            endpoint: format!("{scheme}://{host}"),
            bucket: bucket.to_owned(),
            prefix: parts.join("/"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Location::parse(text, Path::new("/base")) {
            Ok(location) => location.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn addresses_are_understood_as_restic_does() {
        for (text, expected) in [
            ("/a/directory", "/a/directory"),
            ("relative", "/base/relative"),
            ("s3:https://host:9000/bucket/a/b/", "s3:https://host:9000/bucket/a/b"),
            ("s3:http://127.0.0.1:1/bucket", "s3:http://127.0.0.1:1/bucket"),
            ("s3:host/bucket", "s3:https://host/bucket"),
            ("s3://host/bucket//deep", "s3:https://host/bucket/deep"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(shown(&shown(text)), expected, "what is shown can be given again");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "s3:",
            "s3:host",
            "s3:https://host/",
            "s3:ftp://host/bucket",
            "s3:host/bucket/../other",
            "s3:host/b?versions",
            "sftp:user@host:/srv",
            "rest:https://host/",
            "https://host/bucket",
        ] {
            assert!(shown(text).starts_with("error: "), "{text}");
        }
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for text in
            ["s3:https://AKIA:s3cr3t@host/bucket", "rest:https://me:s3cr3t@host/", "https://a:s3cr3t@b/c"]
        {
            let error = shown(text);
            assert!(error.starts_with("error: ") && !error.contains("s3cr3t"), "{error}");
        }
    }
}
