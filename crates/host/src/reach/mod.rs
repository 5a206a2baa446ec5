//! Data that this process can't read as a directory: had, and put back, through the engine's archive API.
//!
//! Invariant: what is made on the engine carries the run's label and is removed with it (`sweep`); a container that
//! only reads has the data mounted read-only and is never started. What is put back is made by this very program,
//! which is sent along with the few libraries that it needs, so that nothing depends on what the service's image holds.
//! Decides neither how data is reached (`mainstay_core::reach`) nor what has to be put back (the vault).

mod helper;
mod look;
mod payload;
mod place;
mod stream;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mainstay_core::problem::Problem;

pub(crate) use helper::sweep;
pub(crate) use look::{count, look};
pub(crate) use place::{Place, Target};

/// Where a helper has the data.
const DATA: &str = "/mainstay-data";

/// The hidden command by which this program puts data back in a helper; see [`put_back`].
const COMMAND: &str = "put-back-data";

/// What the hidden command does: removes the paths of a list, each of which ends with a zero byte, from the data, and
/// makes what the archive on standard input holds.
///
/// # Errors
///
/// `put-back-failed`: not all of that was done.
pub fn put_back(data: &Path, list: &Path) -> Result<(), Problem> {
    let failed = || Problem::new("put-back-failed", "the data could not be put back");
    let bytes = std::fs::read(list).map_err(|error| failed().because(error))?;
    let paths = bytes.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    let paths: Vec<PathBuf> = paths.map(|path| OsStr::from_bytes(path).into()).collect();
    let input = std::io::BufReader::with_capacity(1 << 20, std::io::stdin());
    mainstay_vault::apply(data, &paths, input).map_err(|error| failed().because(error))
}

/// What went wrong on the way to data that is reached through the engine.
fn failed(what: impl Into<String>) -> Problem {
    Problem::new("archive-api", what)
        .advise("try again; run mainstay as root on the engine's machine to do without the archive API")
}
