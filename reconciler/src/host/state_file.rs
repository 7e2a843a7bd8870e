//! Files of the reconciler's own state: replaced whole or not at all, set aside rather than deleted.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::host::files::sync_folder;

/// Gives a file a new content: readers see the old or the new one, also after a power cut. Several
/// processes may do so at once. What one that was killed left behind goes with the next one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    remove_left(path);
    let prefix = format!(".{name}.{}-", std::process::id());
    let mut new = tempfile::Builder::new()
        .prefix(&prefix)
        .tempfile_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    sync_folder(folder)
}

/// Removes the temporary files of `path` that processes left which are no more: `.<name>.<pid>-...`.
pub(super) fn remove_left(path: &Path) {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix)?.split_once('-'));
        let pid = pid.and_then(|(pid, _)| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // One that stays is no harm; the next time it is tried again.
            drop(fs::remove_file(entry.path()));
        }
    }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_a_living_one_writes_stays() {
        let folder = tempfile::tempdir().unwrap();
        let own = format!(".a.json.{}-x", std::process::id());
        for name in [
            ".a.json.4194305-x",
            &own,
            ".b.json.4194305-x",
            ".a.json.odd",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        replace(&folder.path().join("a.json"), b"new").unwrap();
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [own.as_str(), ".a.json.odd", ".b.json.4194305-x", "a.json"]
        );
        assert_eq!(fs::read(folder.path().join("a.json")).unwrap(), b"new");
    }
}
