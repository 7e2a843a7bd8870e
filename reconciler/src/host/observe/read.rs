//! Small files as a whole, with errors that name them.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// What a symbolic link in place of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// It is followed.
    Followed,
    /// It is not what ought to be there.
    Refused,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Read {
    /// All of its bytes.
    pub(super) bytes: Vec<u8>,
    /// When it was changed last.
    pub(super) modified: SystemTime,
}

/// A whole file of at most `longest` bytes; none when it is not there. The error says what is wrong
/// with which path.
pub(super) fn read(path: &Path, longest: u64, links: Links) -> Result<Option<Read>, String> {
    // Opening a pipe would wait for its other end.
    let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error)
            if links == Links::Refused
                && error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) =>
        {
            return Err(format!(
                "{} is a symbolic link, a file is wanted",
                path.display()
            ));
        }
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len().min(longest)).unwrap_or(0));
    file.take(longest + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > longest {
        return Err(format!("{} has more than {longest} bytes", path.display()));
    }
    let modified = modified(path, &found)?;
    Ok(Some(Read { bytes, modified }))
}

/// When a file was changed last.
pub(super) fn modified(path: &Path, found: &Metadata) -> Result<SystemTime, String> {
    found
        .modified()
        .map_err(|error| format!("cannot tell the time of {}: {error}", path.display()))
}

/// What the file system says of a file; none when it is not there. Anything but a file is an error.
pub(super) fn stat(path: &Path) -> Result<Option<Metadata>, String> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(_) => Err(format!("{} is no regular file", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot look at {}: {error}", path.display())),
    }
}

/// The names in a folder, sorted; none when it is not there. Names that are no text are left out:
/// nothing that is looked for has one.
pub(super) fn names(folder: &Path) -> Result<Option<Vec<String>>, String> {
    let failed =
        |error: std::io::Error| format!("cannot read the folder {}: {error}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort();
    Ok(Some(names))
}
