//! A repository in a bucket of an S3 service.
//!
//! Written with OpenDAL itself instead of the library's own adapter, which has no time limits, makes an
//! empty object for every directory, only logs what a listing couldn't read, and brings two dozen services
//! along. Invariant: every request ends, within minutes, by an answer or an error; an error names the
//! repository and the reason and never carries a secret. A write that was answered is on the server. Makes no
//! buckets.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use opendal::blocking::Operator;
use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::options::{ListOptions, ReadOptions};
use opendal::services::S3;
use opendal_http_transport_reqwest::ReqwestTransport;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use tokio::runtime::Runtime;

use crate::access::Credentials;
use crate::error::{Result, Trouble, VaultError};
use crate::location::Bucket;
use crate::open::Backend;

/// A connection is made within this time.
const CONNECT: Duration = Duration::from_secs(10);
/// A request that moves no data ends within this time.
const ANSWER: Duration = Duration::from_secs(20);
/// A file of the repository (16 MiB, several at a time) is moved within this time.
const TRANSFER: Duration = Duration::from_secs(300);
/// What may be temporary is tried again so often, after 1, 2 and 4 seconds.
const RETRIES: usize = 3;
/// An answer of a server is cut after so many characters.
const REASON: usize = 300;

#[derive(Debug)]
struct Remote {
    operator: Operator,
    /// With the scheme, without secrets.
    location: String,
    /// What must not be in a message.
    secrets: Secrets,
}

struct Secrets(Vec<String>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// A client for the bucket; asks nothing of the server yet.
pub(crate) fn connect(bucket: &Bucket, credentials: Option<&Credentials>) -> Result<Backend> {
    let location = format!("s3:{bucket}");
    let trouble = |reason: String| VaultError::Remote {
        action: "open the repository",
        message: format!("the repository {location}: {reason}"),
    };
    let credentials = credentials.ok_or_else(|| {
        trouble(
            "it needs credentials, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set".to_owned(),
        )
    })?;
    install_client().map_err(|error| trouble(error.to_string()))?;
    let mut service = S3::default()
        .endpoint(&bucket.endpoint)
        .bucket(&bucket.bucket)
        .root(&format!("/{}", bucket.prefix))
        .region(credentials.region.as_deref().unwrap_or("us-east-1"))
        .access_key_id(&credentials.id)
        .secret_access_key(&credentials.secret)
        .disable_config_load()
        .disable_ec2_metadata();
    if let Some(token) = &credentials.token {
        service = service.session_token(token);
    }
    let runtime = runtime().map_err(|error| trouble(error.to_string()))?;
    let _guard = runtime.enter();
    let operator = opendal::Operator::new(service)
        .map_err(|error| trouble(error.message().to_owned()))?
        .layer(TimeoutLayer::new().with_timeout(ANSWER).with_io_timeout(TRANSFER))
        .layer(RetryLayer::new().with_max_times(RETRIES).with_jitter());
    let secrets = [Some(&credentials.secret), credentials.token.as_ref(), Some(&credentials.id)];
    let secrets = secrets.into_iter().flatten().cloned().collect();
    let operator = Operator::new(operator).map_err(|error| trouble(error.message().to_owned()))?;
    Ok(Arc::new(Remote { operator, location, secrets: Secrets(secrets) }))
}

/// The HTTP client of all of them; again and again is as good as once.
fn install_client() -> reqwest::Result<()> {
    // An error would only say that the process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().connect_timeout(CONNECT).build()?;
    opendal::HttpTransporter::install_default(ReqwestTransport::new(client));
    Ok(())
}

/// The threads of the client, shared by all of them.
fn runtime() -> std::io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

impl Remote {
    fn path(kind: FileType, id: &Id) -> String {
        let name = id.to_hex();
        let name: &str = name.as_str();
        match kind {
            FileType::Config => "config".to_owned(),
            FileType::Pack => format!("data/{}/{name}", &name[..2]),
            _ => format!("{}/{name}", kind.dirname()),
        }
    }

    fn failed(&self, doing: &str, error: &opendal::Error) -> Box<RusticError> {
        let absent = error.kind() == opendal::ErrorKind::NotFound;
        let reason = format!("{doing}: {}", self.reason(error));
        let trouble = Trouble { location: self.location.clone(), reason, absent };
        RusticError::with_source(ErrorKind::Backend, "The remote repository failed", trouble)
    }

    /// What happened, for people; OpenDAL's own text has requests and answers in it.
    fn reason(&self, error: &opendal::Error) -> String {
        use opendal::ErrorKind::{NotFound, PermissionDenied, RateLimited};
        let kind = match error.kind() {
            PermissionDenied => "the server denies access",
            NotFound => "there is no such object or bucket",
            _ if error.message().contains("NoSuchBucket") => "there is no such bucket",
            RateLimited => "the server asks to slow down",
            // Tried again, in vain.
            _ if error.is_temporary() || error.is_persistent() => "the server can't be reached or fails",
            _ => "the request failed",
        };
        let mut said = error.message().to_owned();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            said = error.to_string();
            cause = error.source();
        }
        for secret in &self.secrets.0 {
            said = said.replace(secret.as_str(), "…");
        }
        let said: String =
            said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REASON).collect();
        if said.is_empty() { kind.to_owned() } else { format!("{kind} ({said})") }
    }
}

impl ReadBackend for Remote {
    fn location(&self) -> String {
        self.location.clone()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        if kind == FileType::Config {
            return match self.operator.stat("config") {
                Ok(meta) => Ok(vec![(Id::default(), small(meta.content_length()))]),
                Err(error) if error.kind() == opendal::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(self.failed("looking for its configuration", &error)),
            };
        }
        let failed = |error| self.failed("listing its files", &error);
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        let lister =
            self.operator.lister_options(&format!("{}/", kind.dirname()), options).map_err(failed)?;
        let mut found = Vec::new();
        for entry in lister {
            let entry = entry.map_err(failed)?;
            if entry.metadata().is_file()
                && let Ok(id) = entry.name().parse::<Id>()
            {
                found.push((id, small(entry.metadata().content_length())));
            }
        }
        Ok(found)
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let path = Self::path(kind, id);
        let read =
            self.operator.read(&path).map_err(|error| self.failed(&format!("reading {path}"), &error))?;
        Ok(read.to_bytes())
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        _cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        let path = Self::path(kind, id);
        let begin = u64::from(offset);
        let options =
            ReadOptions { range: (begin..begin + u64::from(length)).into(), ..ReadOptions::default() };
        let read = self
            .operator
            .read_options(&path, options)
            .map_err(|error| self.failed(&format!("reading {path}"), &error))?;
        Ok(read.to_bytes())
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        Self::path(kind, id)
    }
}

impl WriteBackend for Remote {
    /// A bucket has no directories.
    fn create(&self) -> RusticResult<()> {
        Ok(())
    }

    fn write_bytes(&self, kind: FileType, id: &Id, _cacheable: bool, content: BytesList) -> RusticResult<()> {
        let path = Self::path(kind, id);
        self.operator
            .write(&path, content.into_vec())
            .map_err(|error| self.failed(&format!("writing {path}"), &error))?;
        Ok(())
    }

    fn remove(&self, kind: FileType, id: &Id, _cacheable: bool) -> RusticResult<()> {
        let path = Self::path(kind, id);
        self.operator.delete(&path).map_err(|error| self.failed(&format!("removing {path}"), &error))
    }
}

/// No file of a repository is larger than 4 GiB.
fn small(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
