//! How data is reached: as a directory of this machine, or through the engine's archive API.
//!
//! Invariant: a directory is taken for the engine's only if the engine is asked through a socket of this machine and
//! says nothing else of it than this machine does; the same path on two machines, or in two mount namespaces, is not
//! the same data. Pure: whoever looks, looks elsewhere.

use crate::plan::Reach;

/// What the archive API doesn't keep, as measured.
pub const LOSSES: &str = "fractions of a second in times, extended attributes but capabilities, access lists, sockets, holes in files";

/// What this machine has where the engine says that the data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// Nothing.
    Nothing,
    /// Something that this process can't read, or not all of which it could put back: what a service leaves may belong
    /// to anybody, and owners are root's to give.
    Closed,
    /// Something that this process can read and put back, whatever it is.
    Open,
}

/// Whether what is here is what the container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is.
    Same,
    /// It is something else of the same name.
    Another,
    /// Nothing is known: nobody could be asked, or it changed all the time.
    Unknown,
}

/// An entry as one side tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a directory.
    pub directory: bool,
    /// The permission bits for owner, group and others.
    pub permissions: u32,
    /// When it changed last: seconds since 1970 and nanoseconds.
    pub changed: (i64, u32),
}

/// One entry, asked of this machine, then of the engine, then of this machine again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// As it was here before the engine was asked.
    pub before: Option<Stat>,
    /// As the engine has it.
    pub engine: Option<Stat>,
    /// As it was here afterwards.
    pub after: Option<Stat>,
}

/// What looks at a few entries say. An entry that changed meanwhile says nothing.
#[must_use]
pub fn proof(looks: &[Look]) -> Proof {
    let mut settled = looks.iter().filter(|look| look.before == look.after).peekable();
    if settled.peek().is_none() {
        return Proof::Unknown;
    }
    if settled.all(|look| look.engine == look.before) { Proof::Same } else { Proof::Another }
}

/// How data is reached, and why not directly.
///
/// `socket`: the engine is asked through a socket of this machine. `engine_open`: this process can read the engine's own
/// directories, so that what is missing here is missing there.
#[must_use]
pub fn decide(socket: bool, engine_open: bool, here: Here, proof: Proof) -> (Reach, Option<&'static str>) {
    let archive = |why| (Reach::Archive, Some(why));
    match (here, proof) {
        _ if !socket => archive("the engine is not asked through a socket of this machine"),
        (Here::Nothing, _) if engine_open => (Reach::Direct, None),
        (Here::Nothing, _) => archive("there is no such path here"),
        (Here::Closed, _) => archive("only root can read, and put back, whatever a service leaves there"),
        (Here::Open, Proof::Another) => archive("what is at this path here is not what the container sees"),
        (Here::Open, _) => (Reach::Direct, None),
    }
}

/// Whether a program of this machine runs on the engine's: putting data back needs one there.
#[must_use]
pub fn runs_on_engine(engine: &str, ours: &str) -> bool {
    usual(engine) == usual(ours)
}

/// The engine and the compiler call some architectures by different names.
fn usual(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "i386" | "i686" | "386" => "x86",
        name if name.starts_with("armv") => "arm",
        "ppc64le" | "ppc64" => "powerpc64",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: Stat = Stat { directory: true, permissions: 0o755, changed: (1, 2) };
    const OTHER: Stat = Stat { changed: (1, 3), ..STAT };

    fn look(before: Stat, engine: Option<Stat>, after: Stat) -> Look {
        Look { before: Some(before), engine, after: Some(after) }
    }

    #[test]
    fn the_same_path_is_the_same_data_only_if_both_sides_say_the_same() {
        let (same, changing) = (look(STAT, Some(STAT), STAT), look(STAT, Some(OTHER), OTHER));
        assert_eq!(proof(&[same, same]), Proof::Same);
        assert_eq!(proof(&[same, look(STAT, Some(OTHER), STAT)]), Proof::Another);
        assert_eq!(proof(&[look(STAT, None, STAT)]), Proof::Another);
        assert_eq!(proof(&[same, changing]), Proof::Same, "what changes says nothing");
        assert_eq!(proof(&[changing]), Proof::Unknown);
        assert_eq!(proof(&[]), Proof::Unknown);
    }

    #[test]
    fn a_path_of_another_machine_is_never_taken_for_the_engines() {
        for here in [Here::Nothing, Here::Closed, Here::Open] {
            for proof in [Proof::Same, Proof::Another, Proof::Unknown] {
                assert_eq!(decide(false, true, here, proof).0, Reach::Archive);
                let (reach, why) = decide(true, false, here, proof);
                assert_eq!(reach == Reach::Archive, why.is_some());
                assert_eq!(reach == Reach::Direct, here == Here::Open && proof != Proof::Another);
            }
        }
    }

    #[test]
    fn what_is_missing_on_the_engines_own_machine_is_missing() {
        assert_eq!(decide(true, true, Here::Nothing, Proof::Unknown), (Reach::Direct, None));
        assert_eq!(decide(true, false, Here::Nothing, Proof::Unknown).0, Reach::Archive);
    }

    #[test]
    fn a_program_runs_where_the_architecture_is_the_same_by_any_name() {
        for (engine, ours) in
            [("x86_64", "x86_64"), ("amd64", "x86_64"), ("arm64", "aarch64"), ("armv7l", "arm")]
        {
            assert!(runs_on_engine(engine, ours), "{engine}");
        }
        for (engine, ours) in
            [("aarch64", "x86_64"), ("", "x86_64"), ("x86_64", "aarch64"), ("armv7l", "aarch64")]
        {
            assert!(!runs_on_engine(engine, ours), "{engine}");
        }
    }
}
