//! Whether a process is a container's: its number, as the engine tells it, may be another one's by now.

use std::fs::File;
use std::io::{Error, ErrorKind};

/// Whether a process is in the control group of the container with this id.
pub(crate) fn is_of(pid: i64, id: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    !id.is_empty() && groups.contains(id)
}

/// The network namespace of a container's process. What is opened stays what it is, whoever gets the number later.
///
/// # Errors
///
/// Those of opening it, and where the process is not the container's.
pub(crate) fn network(pid: i64, id: &str) -> std::io::Result<File> {
    let file = File::open(format!("/proc/{pid}/ns/net"))?;
    // Afterwards: a number that is the container's now was its own a moment ago, too.
    if is_of(pid, id) { Ok(file) } else { Err(Error::new(ErrorKind::NotFound, "its process has ended")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_another_ones_leads_nowhere() {
        let own = i64::from(std::process::id());
        assert!(!is_of(own, "0123456789abcdef-of-no-container") && !is_of(own, ""));
        let refused = network(own, "0123456789abcdef-of-no-container").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert!(network(i64::MAX, "abc").is_err());
    }
}
