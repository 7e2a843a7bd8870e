//! Looking through the store for files that changed without anybody having written into them: a disk that forgets.
//!
//! # Invariants
//!
//! Nothing is written into a file and nothing is deleted. What is damaged gets another time of change, a nanosecond
//! later, by which every pass sees that it has to read it again: under all of its names, that in LINBO's folder among
//! them, and without making its torrent look older than it is. The pass then fetches it again and puts it in place.
//! A pass that runs at the same time is not disturbed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use schema::digest::Digest;

use super::reader::{self, Limits, Origin};
use super::store::StoreFolder;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that were read.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are damaged.
    pub damaged: Vec<Damaged>,
}

/// A file that is no longer what it was.
#[derive(Debug)]
pub struct Damaged {
    /// The file in the store.
    pub path: PathBuf,
    /// What it holds now, or why it cannot be read.
    pub why: String,
    /// Whose it is, as `ubuntu 2026.11.1`.
    pub versions: Vec<String>,
}

/// Reads all files of the store, so many bytes a second at the most. `tell` hears of each before it is read.
///
/// # Errors
///
/// When the store cannot be listed.
pub fn scrub(
    root: &Path,
    per_second: Option<u64>,
    mut tell: impl FnMut(&Path, u64),
) -> anyhow::Result<Found> {
    let store = StoreFolder::new(root);
    let owners = owners(&store);
    let mut found = Found::default();
    for wanted in objects(root)? {
        let path = store.object(&wanted);
        let before = match fs::symlink_metadata(&path) {
            Ok(before) => before,
            // A pass has deleted it meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at {}", path.display()));
            }
        };
        tell(&path, before.len());
        let limits = Limits {
            stopped: &AtomicBool::new(false),
            per_second,
            from: Origin::Disk,
        };
        let why = match reader::read(&path, limits) {
            Ok((size, digest)) if digest == wanted => {
                (found.files, found.bytes) = (found.files + 1, found.bytes + size);
                continue;
            }
            Ok((size, digest)) => {
                (found.files, found.bytes) = (found.files + 1, found.bytes + size);
                format!("it has {digest}")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => format!("it cannot be read: {error}"),
        };
        let touched = touch(&path);
        let versions = owners.get(&wanted).cloned().unwrap_or_default();
        touched.with_context(|| format!("cannot mark {} as damaged", path.display()))?;
        found.damaged.push(Damaged {
            path,
            why,
            versions,
        });
    }
    Ok(found)
}

/// Gives a file another time of change, as little later as its file system can tell.
fn touch(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let before = file.metadata()?.modified()?;
    for later in [Duration::from_nanos(1), Duration::from_secs(1)] {
        file.set_modified(before + later)?;
        if file.metadata()?.modified()? != before {
            return Ok(());
        }
    }
    Err(io::Error::other("its time of change stays as it is"))
}

/// The digests by which files lie in the store.
fn objects(root: &Path) -> anyhow::Result<Vec<Digest>> {
    let folder = root.join("objects");
    let reading = || format!("cannot read the folder {}", folder.display());
    let mut found = Vec::new();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // Nothing was downloaded yet.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error).with_context(reading),
    };
    for entry in entries {
        let name = entry.with_context(reading)?.file_name();
        let digest = name
            .to_str()
            .map(|hex| format!("sha256:{hex}").parse::<Digest>());
        found.extend(digest.into_iter().flatten());
    }
    found.sort();
    Ok(found)
}

/// Which versions have a file, by the manifests that can be read.
fn owners(store: &StoreFolder) -> BTreeMap<Digest, Vec<String>> {
    let mut owners: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
    let manifests = store.names_of_manifests();
    // A store without a folder of manifests has no owners.
    for name in manifests.unwrap_or_default() {
        let Ok(Some(manifest)) = store.read_manifest(&name) else {
            continue;
        };
        let version = format!("{} {}", manifest.image(), manifest.version());
        for file in manifest.files() {
            owners.entry(file.sha256).or_default().push(version.clone());
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::io::{Seek as _, SeekFrom, Write as _};

    use super::*;
    use crate::manifest::digest_of;

    #[test]
    fn a_disk_that_forgets_is_found_and_nothing_else_is_touched() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(scrub(root.path(), None, |_, _| {}).unwrap().files, 0);
        let store = StoreFolder::new(root.path());
        store.prepare(tempfile::tempdir().unwrap().path()).unwrap();
        let large = "x".repeat(3 << 20);
        let paths = ["small", &large].map(|text| {
            let path = store.object(&digest_of(text.as_bytes()));
            fs::write(&path, text).unwrap();
            path
        });
        let times = || {
            paths
                .clone()
                .map(|path| fs::metadata(path).unwrap().modified().unwrap())
        };
        let before = times();
        let found = scrub(root.path(), None, |_, _| {}).unwrap();
        assert_eq!((found.files, found.bytes), (2, 5 + (3 << 20)));
        assert!(found.damaged.is_empty(), "{found:?}");
        assert_eq!(times(), before);

        // As a disk does it: another byte, and the time of the file stays.
        let mut file = File::options().write(true).open(&paths[1]).unwrap();
        file.seek(SeekFrom::Start(2 << 20)).unwrap();
        file.write_all(b"y").unwrap();
        file.set_modified(before[1]).unwrap();
        let mut heard = Vec::new();
        let found = scrub(root.path(), None, |path, size| {
            heard.push((path.to_owned(), size))
        })
        .unwrap();
        let [damaged] = &found.damaged[..] else {
            unreachable!("{found:?}");
        };
        assert_eq!(damaged.path, paths[1]);
        assert!(damaged.why.starts_with("it has sha256:"), "{}", damaged.why);
        assert_eq!(heard.len(), 2);
        let after = times();
        assert_eq!(after[0], before[0]);
        let moved = after[1].duration_since(before[1]).unwrap();
        assert!(
            moved <= Duration::from_secs(1) && !moved.is_zero(),
            "{moved:?}"
        );
    }
}
