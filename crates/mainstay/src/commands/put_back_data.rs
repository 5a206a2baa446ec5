//! `put-back-data`: what this program does in a container of its own where data is reached through the engine. It has no
//! state directory and no engine there; what it complains goes to whoever sent it.

use std::io::Write as _;
use std::path::Path;

use mainstay_host::reach;

use crate::exit::{DONE, FAILED};

/// Removes paths below `data`, and makes what comes in.
pub fn put_back_data(data: &Path, list: &Path) -> u8 {
    match reach::put_back(data, list) {
        Ok(()) => DONE,
        Err(problem) => {
            let said = problem.causes.iter().chain([&problem.what]).map(|line| format!("{line}\n"));
            // Whoever listened may be gone; the exit status says that it failed.
            let _ = std::io::stderr().write_all(said.collect::<String>().as_bytes());
            FAILED
        }
    }
}
