//! The form of a tar archive: ustar headers, with pax records for what doesn't fit into them.
//!
//! Invariant: what GNU tar and libarchive understand, bytes of names as they are. Nanoseconds, times
//! before 1970, long names and extended attributes (`SCHILY.xattr.`, access lists and capabilities as
//! the kernel stores them) are pax records; large numbers are in base 256. Knows nothing of backups.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use tar::{EntryType, Header};

use crate::entry::{Entry, Stamp, What};

const BLOCK: usize = 512;
/// Of a name, in the header.
const NAME: usize = 100;

/// An archive being written.
pub(crate) struct Archive<'a> {
    to: &'a mut dyn Write,
    /// Bytes of content since the last header.
    length: u64,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(to: &'a mut dyn Write) -> Self {
        Self { to, length: 0 }
    }

    /// An entry below `top`, without its content. The first name of an inode must have come before the
    /// others.
    pub(crate) fn entry(&mut self, entry: &Entry, top: &Path) -> io::Result<()> {
        let mut name = name(&entry.path, top);
        if entry.what == What::Dir {
            name.push(b'/');
        }
        let link = match (&entry.hardlink, &entry.what) {
            (Some(first), _) => self::name(first, top),
            (None, What::Symlink { target }) => target.as_os_str().as_bytes().to_vec(),
            _ => Vec::new(),
        };
        let mut header = header(entry)?;
        let mut records = Records::default();
        for (key, value, field) in [("path", &name, 0), ("linkpath", &link, 157)] {
            let short = &value[..value.len().min(NAME)];
            header.as_mut_bytes()[field..field + short.len()].copy_from_slice(short);
            if value.len() > NAME {
                records.add(key, value);
            }
        }
        if entry.hardlink.is_none() {
            records.attributes(entry);
        }
        if !records.0.is_empty() {
            self.records(&records.0)?;
        }
        header.set_cksum();
        self.length = 0;
        self.to.write_all(header.as_bytes())
    }

    /// Some content of the last entry.
    pub(crate) fn content(&mut self, block: &[u8]) -> io::Result<()> {
        self.length += block.len() as u64;
        self.to.write_all(block)
    }

    /// The content of the last entry is complete.
    pub(crate) fn pad(&mut self) -> io::Result<()> {
        let rest = (self.length % BLOCK as u64) as usize;
        if rest > 0 { self.to.write_all(&[0; BLOCK][rest..]) } else { Ok(()) }
    }

    /// The end of the archive.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.to.write_all(&[0; 2 * BLOCK])
    }

    fn records(&mut self, records: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.as_mut_bytes()[..9].copy_from_slice(b"PaxHeader");
        header.set_mode(0o600);
        header.set_size(records.len() as u64);
        header.set_cksum();
        self.to.write_all(header.as_bytes())?;
        self.length = 0;
        self.content(records)?;
        self.pad()
    }
}

/// Everything but the names.
fn header(entry: &Entry) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    let device = |header: &mut Header, device: u64| {
        header.set_device_major(rustix::fs::major(device))?;
        header.set_device_minor(rustix::fs::minor(device))
    };
    let kind = match (&entry.hardlink, &entry.what) {
        (Some(_), _) => EntryType::Link,
        (None, What::File { .. }) => EntryType::Regular,
        (None, What::Dir) => EntryType::Directory,
        (None, What::Symlink { .. }) => EntryType::Symlink,
        (None, What::Block { device: number }) => {
            device(&mut header, *number)?;
            EntryType::Block
        }
        (None, What::Char { device: number }) => {
            device(&mut header, *number)?;
            EntryType::Char
        }
        (None, What::Fifo) => EntryType::Fifo,
        (None, What::Socket) => return Err(io::Error::other("a tar archive can't hold a socket")),
    };
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(u64::try_from(entry.mtime.0).unwrap_or(0));
    header.set_size(if kind == EntryType::Regular { entry.size() } else { 0 });
    Ok(header)
}

/// Names in the archive never begin with a slash.
fn name(path: &Path, top: &Path) -> Vec<u8> {
    let top = if top.as_os_str().is_empty() { Path::new(".") } else { top };
    let path = if path.as_os_str().is_empty() { top.to_owned() } else { top.join(path) };
    OsString::from(path).into_vec()
}

/// Records of a pax header.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn attributes(&mut self, entry: &Entry) {
        let Stamp(seconds, nanoseconds) = entry.mtime;
        if nanoseconds != 0 || seconds < 0 {
            self.add("mtime", time(entry.mtime).as_bytes());
        }
        for xattr in &entry.xattrs {
            // As GNU tar does: the name ends at the first equals sign.
            let name = xattr.name.replace('%', "%25").replace('=', "%3D");
            self.add(&format!("SCHILY.xattr.{name}"), &xattr.value);
        }
    }

    /// A record begins with its own length, whose digits count.
    fn add(&mut self, key: &str, value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend(format!("{length} {key}=").into_bytes());
        self.0.extend(value);
        self.0.push(b'\n');
    }
}

/// A decimal number of seconds.
fn time(Stamp(seconds, nanoseconds): Stamp) -> String {
    if seconds < 0 && nanoseconds > 0 {
        format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        format!("{seconds}.{nanoseconds:09}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for value in 0..1200 {
            let mut records = Records::default();
            records.add("key", &vec![b'v'; value]);
            let text = String::from_utf8(records.0).unwrap();
            let length: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, text.len());
        }
    }

    #[test]
    fn times_before_1970_are_negative_numbers() {
        assert_eq!(time(Stamp(-5, 999_999_999)), "-4.000000001");
        assert_eq!(time(Stamp(-1, 500_000_000)), "-0.500000000");
        assert_eq!(time(Stamp(-5, 0)), "-5.000000000");
        assert_eq!(time(Stamp(5, 1)), "5.000000001");
    }
}
