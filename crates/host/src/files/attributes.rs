//! Owner, mode and extended attributes (ACLs and security labels among them) from one open file to another.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// Makes `to` look like `from`. The order matters: changing the owner clears mode bits, changing the mode
/// rewrites the ACL's mask.
pub(super) fn copy(from: &File, to: &File) -> Result<(), (&'static str, io::Error)> {
    let (source, present) = (
        from.metadata().map_err(|e| ("reading its owner", e))?,
        to.metadata().map_err(|e| ("reading the copy's owner", e))?,
    );
    if (source.uid(), source.gid()) != (present.uid(), present.gid()) {
        fchown(to, Some(source.uid()), Some(source.gid())).map_err(|e| ("keeping its owner", e))?;
    }
    to.set_permissions(std::fs::Permissions::from_mode(source.mode() & 0o7777))
        .map_err(|e| ("keeping its mode", e))?;
    copy_xattrs(from, to).map_err(|e| ("keeping its extended attributes", e.into()))
}

fn copy_xattrs(from: &File, to: &File) -> Result<(), Errno> {
    let names = match filled(|buffer| flistxattr(from, buffer)) {
        Ok(names) => names,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let value = match filled(|buffer| fgetxattr(from, name, buffer)) {
            Ok(value) => value,
            Err(Errno::NODATA) => continue,
            Err(error) => return Err(error),
        };
        match fsetxattr(to, name, &value, XattrFlags::empty()) {
            // The kernel sets labels of its own on new files, and lets few change them.
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if name.starts_with(b"security.") => {}
            other => other?,
        }
    }
    Ok(())
}

/// The kernel's limit of a value and of a list of names.
const LARGEST: usize = 64 << 10;

fn filled(ask: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; LARGEST];
    let length = ask(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}
