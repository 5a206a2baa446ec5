//! What is sent into a container so that this program runs there: itself, the libraries that it is linked with, and
//! the loader that brings them together. Read from this machine; nothing is installed anywhere.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{COMMAND, DATA};

/// Where it lies in the container.
const DIRECTORY: &str = ".mainstay";
const PROGRAM: &str = "program";
const LIST: &str = "remove";
/// Of a segment of an executable that names its loader.
const PT_INTERP: u32 = 3;

/// This program, ready to be sent.
pub(super) struct Payload {
    program: PathBuf,
    /// Names by which they are looked for, and where they are.
    libraries: Vec<(OsString, PathBuf)>,
    /// Absent from a program that needs none.
    loader: Option<OsString>,
}

impl Payload {
    /// Finds out what this program needs.
    pub(super) fn of_this_program() -> io::Result<Self> {
        // Works although the file was replaced or removed meanwhile.
        let program = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
        let Some(loader) = loader(&program)? else {
            return Ok(Self { program, libraries: Vec::new(), loader: None });
        };
        let mut list = Command::new(&loader);
        list.arg("--list").arg(&program).env_clear();
        let output = list.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(format!("{}: {said}", loader.display())));
        }
        let mut libraries = libraries(&output.stdout);
        let name = loader.file_name().unwrap_or_default().to_owned();
        libraries.retain(|(library, _)| *library != name);
        libraries.push((name.clone(), loader));
        Ok(Self { program, libraries, loader: Some(name) })
    }

    /// What is run in the container.
    pub(super) fn command(&self) -> Vec<String> {
        let at = |name: &str| format!("/{DIRECTORY}/{name}");
        let mut command = Vec::new();
        if let Some(loader) = &self.loader {
            let loader = at(&loader.to_string_lossy());
            command.extend([loader, "--library-path".to_owned(), format!("/{DIRECTORY}")]);
        }
        command.extend([at(PROGRAM), COMMAND.to_owned(), DATA.to_owned(), at(LIST)]);
        command
    }

    /// All of it as a tar archive for the container's root, with the paths that are to be removed.
    pub(super) fn write(&self, remove: &[PathBuf], to: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(to);
        let program = (OsString::from(PROGRAM), self.program.clone());
        for (name, path) in self.libraries.iter().chain([&program]) {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            archive.append_data(&mut header(size), Path::new(DIRECTORY).join(name), file.take(size))?;
        }
        let list = remove.iter().fold(Vec::new(), |mut list, path| {
            list.extend(path.as_os_str().as_bytes());
            list.push(0);
            list
        });
        archive.append_data(&mut header(list.len() as u64), Path::new(DIRECTORY).join(LIST), &*list)?;
        archive.into_inner()?.flush()
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o755);
    header
}

/// The loader that an executable names.
fn loader(program: &Path) -> io::Result<Option<PathBuf>> {
    let file = File::open(program)?;
    let mut head = [0; 64];
    file.read_exact_at(&mut head, 0)?;
    // A file of 64 bits in this machine's own order: there is no other one that could run here.
    if head[..5] != *b"\x7fELF\x02" {
        return Err(io::Error::other("this program is no executable of 64 bits"));
    }
    let (offset, size, count) = (number(&head[32..40]), number(&head[54..56]), number(&head[56..58]));
    for index in 0..count {
        let mut segment = [0; 56];
        file.read_exact_at(&mut segment, offset + index * size)?;
        if number(&segment[..4]) == u64::from(PT_INTERP) {
            let length = usize::try_from(number(&segment[32..40])).unwrap_or(0).min(4096);
            let mut name = vec![0; length];
            file.read_exact_at(&mut name, number(&segment[8..16]))?;
            name.retain(|byte| *byte != 0);
            return Ok(Some(OsString::from_vec(name).into()));
        }
    }
    Ok(None)
}

fn number(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    if cfg!(target_endian = "little") {
        all[..bytes.len()].copy_from_slice(bytes);
    } else {
        all[8 - bytes.len()..].copy_from_slice(bytes);
    }
    u64::from_ne_bytes(all)
}

/// `name => path (address)`, a line each; what the kernel itself brings along has no path.
fn libraries(listing: &[u8]) -> Vec<(OsString, PathBuf)> {
    let text = String::from_utf8_lossy(listing);
    let lines = text.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" => ")?;
        let path = rest.rsplit_once(" (").map_or(rest, |(path, _)| path);
        path.starts_with('/').then(|| (Path::new(name).file_name().unwrap_or_default().into(), path.into()))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_by_the_names_that_the_loader_looks_for() {
        let listing = "\tlinux-vdso.so.1 (0x1)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x2)\n\
                       \tlibc.so.6 => /lib/x/libc-2.31.so (0x3)\n\t/lib64/ld-linux.so.2 (0x4)\n";
        let expected = [
            (OsString::from("libm.so.6"), PathBuf::from("/lib/x/libm.so.6")),
            (OsString::from("libc.so.6"), PathBuf::from("/lib/x/libc-2.31.so")),
        ];
        assert_eq!(libraries(listing.as_bytes()), expected);
    }

    #[test]
    fn what_is_sent_runs_without_what_is_installed() {
        let payload = Payload::of_this_program().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let mut sent = Vec::new();
        payload.write(&["a".into(), "b c".into()], &mut sent).unwrap();
        tar::Archive::new(&*sent).unpack(directory.path()).unwrap();
        let at = directory.path().join(DIRECTORY);
        assert_eq!(std::fs::read(at.join(LIST)).unwrap(), b"a\0b c\0");
        // This is the test's own program: it lists its tests.
        let command = payload.command();
        let program = command.iter().position(|word| word.ends_with(PROGRAM)).unwrap();
        let inside = |word: &String| word.replace(&format!("/{DIRECTORY}"), at.to_str().unwrap());
        let words: Vec<String> = command[..=program].iter().map(inside).collect();
        let mut run = Command::new(&words[0]);
        run.args(&words[1..]).args(["--list", "payload"]).env_clear();
        let output = run.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("what_is_sent_runs"));
    }
}
