//! Reads the tar archives in which an engine hands out a tree of files, and those that `archive` writes.
//!
//! Invariant: every entry lies below the one top of the archive, with a directory before what is in it; an archive
//! whose end is missing is an error, however cleanly its stream ended: an engine that fails half-way just stops.
//! Headers are read one by one, since the iterator of the library takes a line break in a pax record for its end, and
//! names and capabilities may hold one. Knows nothing of backups, writes nothing.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use tar::{EntryType, Header};

use crate::entry::{Entry, Stamp, What, Xattr};
use crate::walk::is_stage;

const BLOCK: u64 = 512;
/// Names and extended attributes of one entry together are smaller than this.
const RECORDS: u64 = 1 << 24;

/// Hands out every entry in the archive's order. What a further name of an inode is linked to is in
/// [`Entry::hardlink`]; such an entry has the attributes of the first. The content is that of regular files; its hash
/// is left to the taker.
pub(crate) fn each(
    mut reader: impl Read,
    mut take: impl FnMut(Entry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let (mut tree, mut records) = (Tree::default(), Records::default());
    while let Some(header) = header(&mut reader)? {
        let size = records.size.unwrap_or(header.entry_size()?);
        let mut content = Content { reader: &mut reader, left: size };
        match header.entry_type() {
            EntryType::XGlobalHeader => {}
            EntryType::XHeader => records.add(&content.all()?)?,
            EntryType::GNULongName => records.path = Some(until_zero(content.all()?)),
            EntryType::GNULongLink => records.link = Some(until_zero(content.all()?)),
            _ => {
                if let Some(entry) = tree.add(&header, std::mem::take(&mut records), size)? {
                    take(entry, &mut content)?;
                }
            }
        }
        io::copy(&mut content, &mut io::sink())?;
        Content { reader: &mut reader, left: size.next_multiple_of(BLOCK) - size }.all()?;
    }
    io::copy(&mut reader, &mut io::sink())?;
    if tree.known.is_empty() { Err(invalid(Path::new("."), "there is nothing")) } else { Ok(()) }
}

/// The next header; none at the end of the archive, which is two blocks of zeros.
fn header(reader: &mut impl Read) -> io::Result<Option<Header>> {
    let mut header = Header::new_old();
    reader.read_exact(header.as_mut_bytes())?;
    if header.as_bytes().iter().all(|byte| *byte == 0) {
        let mut last = [0; BLOCK as usize];
        reader.read_exact(&mut last)?;
        let clean = last.iter().all(|byte| *byte == 0);
        return if clean { Ok(None) } else { Err(invalid(Path::new("."), "something follows its end")) };
    }
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    let bytes = header.as_bytes();
    // The sum itself counts as blanks.
    if header.cksum()? != sum(&bytes[..148]) + 8 * 32 + sum(&bytes[156..]) {
        return Err(invalid(Path::new("."), "a header is damaged"));
    }
    Ok(Some(header))
}

/// So many bytes, of which none may be missing.
struct Content<'a, R> {
    reader: &'a mut R,
    left: u64,
}

impl<R: Read> Content<'_, R> {
    fn all(&mut self) -> io::Result<Vec<u8>> {
        if self.left > RECORDS {
            return Err(invalid(Path::new("."), "a name is too long"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        match self.reader.read(&mut buffer[..wanted])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.left -= length as u64;
                Ok(length)
            }
        }
    }
}

/// What doesn't fit into a header.
#[derive(Default)]
struct Records {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    owner: (Option<u64>, Option<u64>),
    mtime: Option<Stamp>,
    xattrs: Vec<Xattr>,
}

impl Records {
    /// Each record begins with its own length, a number of decimal digits.
    fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let bad = || invalid(Path::new("."), "a record is damaged");
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length: usize = text(&bytes[..blank])?.parse().map_err(|_| bad())?;
            let record = bytes.get(blank + 1..length.saturating_sub(1)).ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let bad = |_| invalid(Path::new("."), "a record holds no number");
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(text(value)?.parse().map_err(bad)?),
            b"uid" => self.owner.0 = Some(text(value)?.parse().map_err(bad)?),
            b"gid" => self.owner.1 = Some(text(value)?.parse().map_err(bad)?),
            b"mtime" => {
                let time = stamp(text(value)?);
                self.mtime = Some(time.ok_or_else(|| invalid(Path::new("."), "a time is no number"))?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    // As GNU tar does.
                    let name = text(name)?.replace("%3D", "=").replace("%25", "%");
                    self.xattrs.push(Xattr { name, value: value.to_vec() });
                }
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    str::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    bytes
}

/// How many regular files an archive holds, of which each name counts, and how many bytes they have, of which further
/// names don't.
///
/// # Errors
///
/// The archive can't be read to its end within the limit.
pub fn sizes(archive: impl Read, limit: Duration) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    each(Limited { reader: archive, until: Instant::now() + limit }, |entry, _content| {
        files += u64::from(entry.is_file());
        bytes += if entry.hardlink.is_none() { entry.size() } else { 0 };
        Ok(())
    })?;
    Ok((files, bytes))
}

/// What came so far.
#[derive(Default)]
struct Tree {
    /// The name of the only entry that isn't below another one.
    top: OsString,
    /// Without content; directories, and what others may be linked to.
    known: HashMap<PathBuf, Entry>,
}

impl Tree {
    /// The next entry; none for what is the rest of a replacement and no data.
    fn add(&mut self, header: &Header, mut records: Records, size: u64) -> io::Result<Option<Entry>> {
        let name = records.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        if self.known.is_empty() {
            let first = PathBuf::from(OsString::from_vec(name.clone()));
            self.top = first.components().next().map(|c| c.as_os_str().to_owned()).unwrap_or_default();
        }
        let path = self.below_top(&name)?;
        if path.components().next().is_some_and(|c| is_stage(c.as_os_str())) {
            return Ok(None);
        }
        self.check_place(&path)?;
        let link =
            records.link.take().or_else(|| header.link_name_bytes().map(Into::into)).unwrap_or_default();
        let entry = if header.entry_type() == EntryType::Link {
            let first = self.below_top(&link)?;
            let known = self.known.get(&first).filter(|known| known.what != What::Dir);
            let known = known.ok_or_else(|| invalid(&path, "it is linked to what isn't there"))?;
            Entry { path: path.clone(), hardlink: Some(first), ..known.clone() }
        } else {
            let ino = self.known.len() as u64 + 1;
            Entry { ino, ..entry(path.clone(), header, records, (size, link))? }
        };
        self.known.insert(path, entry.clone());
        Ok(Some(entry))
    }

    /// The path of a name in the archive, relative to its top.
    fn below_top(&self, name: &[u8]) -> io::Result<PathBuf> {
        let name = PathBuf::from(OsString::from_vec(name.to_vec()));
        let mut parts = name.components();
        let top = parts.next().is_some_and(|part| part.as_os_str() == self.top);
        let rest = parts.as_path().to_owned();
        if top && rest.components().all(|part| matches!(part, Component::Normal(_))) {
            // Without a slash at its end.
            return Ok(rest.components().collect());
        }
        Err(invalid(&name, "it isn't below the top of the archive"))
    }

    /// What is above must be a directory that came before; nothing comes twice.
    fn check_place(&self, path: &Path) -> io::Result<()> {
        if self.known.contains_key(path) {
            return Err(invalid(path, "it comes twice"));
        }
        match path.parent().map(|above| self.known.get(above)) {
            Some(Some(above)) if above.what == What::Dir => Ok(()),
            None => Ok(()),
            Some(_) => Err(invalid(path, "the directory above it didn't come before it")),
        }
    }
}

fn entry(
    path: PathBuf,
    header: &Header,
    mut records: Records,
    (size, link): (u64, Vec<u8>),
) -> io::Result<Entry> {
    let device = || -> io::Result<u64> {
        let (major, minor) = (header.device_major()?, header.device_minor()?);
        Ok(rustix::fs::makedev(major.unwrap_or(0), minor.unwrap_or(0)))
    };
    let what = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => What::File { size, blake3: String::new() },
        EntryType::Directory => What::Dir,
        EntryType::Symlink => What::Symlink { target: OsString::from_vec(link).into() },
        EntryType::Block => What::Block { device: device()? },
        EntryType::Char => What::Char { device: device()? },
        EntryType::Fifo => What::Fifo,
        other => return Err(invalid(&path, &format!("it is of an unknown type ({:#x})", other.as_byte()))),
    };
    let number = |id: u64| u32::try_from(id).map_err(|_| invalid(&path, "its owner is no number of 32 bits"));
    let uid = number(records.owner.0.map_or_else(|| header.uid(), Ok)?)?;
    let gid = number(records.owner.1.map_or_else(|| header.gid(), Ok)?)?;
    let mode = header.mode()? & 0o7777;
    let whole = || header.mtime().map(|seconds| Stamp(i64::try_from(seconds).unwrap_or(0), 0));
    let mtime = records.mtime.map_or_else(whole, Ok)?;
    records.xattrs.sort();
    // What an archive doesn't know counts for nothing where a tree is compared with a manifest.
    let (ctime, links, dev, allocated) = (mtime, 2, 0, u64::MAX);
    let (racy, hardlink, ino, xattrs) = (None, None, 0, records.xattrs);
    Ok(Entry { path, what, mode, uid, gid, mtime, ctime, ino, dev, links, allocated, racy, xattrs, hardlink })
}

/// A decimal number of seconds.
fn stamp(text: &str) -> Option<Stamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if nanoseconds > 0 && whole.starts_with('-') {
        return Some(Stamp(seconds - 1, 1_000_000_000 - nanoseconds));
    }
    Some(Stamp(seconds, nanoseconds))
}

fn invalid(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} in the archive: {why}", path.display()))
}

struct Limited<R> {
    reader: R,
    until: Instant,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() > self.until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.reader.read(buffer)
    }
}

#[cfg(test)]
mod tests;
