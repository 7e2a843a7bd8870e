//! Files of the reconciler's own state: replaced whole or not at all, set aside rather than deleted.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Gives a file a new content: readers see the old or the new one, also after a power cut.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    sync_folder(folder)
}

/// Makes names that were made or changed in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Moves something that cannot be used out of the way, as `<name>.corrupt-<time>`; gives its new path.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let target = aside(path, now);
    fs::rename(path, &target)?;
    Ok(target)
}

/// Gives a file that is about to be replaced a second name, as [`set_aside`] would: at no time is
/// there none of the first.
pub(super) fn keep_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let target = aside(path, now);
    fs::hard_link(path, &target)?;
    Ok(target)
}

fn aside(path: &Path, now: Timestamp) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = format!("{name}.corrupt-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let more = (2..100).map(|count| format!("{stem}-{count}"));
    let mut names = std::iter::once(stem.clone())
        .chain(more)
        .map(|name| path.with_file_name(name));
    let free = names.find(|path| fs::symlink_metadata(path).is_err());
    free.unwrap_or_else(|| path.with_file_name(stem))
}
