//! SHA-256 of large files, read once: remembered by what the file system says of them.
//!
//! # Invariants
//!
//! A digest is remembered for a path together with its size, time of change, inode and device, and
//! holds as long as none of them changed; a file that changes while it is read has no digest. Losing
//! what is remembered costs time, nothing else, so a dry run may write it, and a failure to write it
//! is only logged.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use schema::digest::Digest;
use serde::{Deserialize, Serialize};

use super::reader::{self, Limits};
use super::state_file;
use super::store::KnownDigests;

const NAME: &str = "digests.json";
const FORMAT_VERSION: u32 = 1;
/// Files that are read at the same time: more would make a disk seek without being faster.
const AT_ONCE: usize = 2;
/// Files from this size on are told of in the log while they are read.
const LARGE: u64 = 1 << 30;
/// The clock that stamps files moves in steps of up to 10 ms, so within one step two contents can
/// have the same time of change.
const CLOCK_STEP: Duration = Duration::from_millis(20);

/// The digests of large files. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Digests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Known>>,
    readers: Readers,
}

/// By what a file is told from another, or from another content of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
    inode: u64,
    device: u64,
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Self {
            size: found.len(),
            seconds: found.mtime(),
            nanoseconds: found.mtime_nsec(),
            inode: found.ino(),
            device: found.dev(),
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Known {
    #[serde(flatten)]
    identity: Identity,
    sha256: Digest,
}

#[derive(Serialize, Deserialize)]
struct Document {
    format_version: u32,
    files: BTreeMap<String, Known>,
}

impl Digests {
    /// What is remembered in `<state>/digests.json`, and what people should know of it. `now` names a
    /// file that is set aside since it cannot be used.
    #[must_use]
    pub fn open(state: &Path, now: Timestamp) -> (Self, Vec<String>) {
        let file = state.join(NAME);
        state_file::remove_left(&file);
        let (files, warning) = match remembered(&file) {
            Ok(files) => (files, None),
            Err(why) => {
                let done = match state_file::set_aside(&file, now) {
                    Ok(aside) => format!("it is now {}", aside.display()),
                    Err(error) => format!("it cannot be set aside either ({error})"),
                };
                let file = file.display();
                (
                    BTreeMap::new(),
                    Some(format!(
                        "{file} cannot be used ({why}); {done}, and the files are read again"
                    )),
                )
            }
        };
        let files = files
            .into_iter()
            .map(|(path, known)| (PathBuf::from(path), known));
        // What is gone would otherwise stay for ever. Later on it may have got another name just now.
        let is_gone =
            |path: &Path| look(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
        let known = files.filter(|(path, _)| !is_gone(path)).collect();
        let inner = Inner {
            file,
            known: Mutex::new(known),
            readers: Readers::default(),
        };
        (Self(Arc::new(inner)), warning.into_iter().collect())
    }

    /// The digest of a file, which is read only if it is not known. Ending the future ends the reading.
    ///
    /// # Errors
    ///
    /// When the file is not there, is no file, cannot be read, or changes while it is read.
    pub async fn of(&self, path: &Path) -> io::Result<Digest> {
        if let Some(digest) = self.known(path)? {
            return Ok(digest);
        }
        let stop = Stop::default();
        let (this, path, stopped) = (self.clone(), path.to_owned(), Arc::clone(&stop.0));
        let read = tokio::task::spawn_blocking(move || this.known_or_read(&path, &stopped));
        read.await.map_err(io::Error::other)?
    }

    /// As [`Digests::of`], for threads that may wait for a disk.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn of_blocking(&self, path: &Path) -> io::Result<Digest> {
        self.known_or_read(path, &AtomicBool::new(false))
    }

    /// Says that `to` is what `from` was when it was last read, after it was renamed or linked there:
    /// it is not read again. Nothing is learned when the file system shows that it is another file.
    pub fn adopt(&self, from: &Path, to: &Path) {
        let Ok(found) = look(to) else { return };
        let known = self.lock().get(from).copied();
        if let Some(known) = known.filter(|known| known.identity == Identity::of(&found)) {
            self.remember(to.to_owned(), known);
        }
    }

    /// Says that this digest was just made of all bytes of a file, which nobody has changed since.
    /// Nothing is learned of a file that is so young that a change of it would not show.
    pub fn learn(&self, path: &Path, sha256: Digest) {
        if let Ok(found) = look(path)
            && too_young(&found).is_none()
        {
            self.remember(
                path.to_owned(),
                Known {
                    identity: Identity::of(&found),
                    sha256,
                },
            );
        }
    }

    /// Forgets a path.
    pub fn forget(&self, path: &Path) {
        if self.lock().remove(path).is_some() {
            self.save();
        }
    }

    fn known_or_read(&self, path: &Path, stopped: &AtomicBool) -> io::Result<Digest> {
        if let Some(digest) = self.known(path)? {
            return Ok(digest);
        }
        let _reader = self.0.readers.enter();
        // Somebody else may have read it meanwhile.
        if let Some(digest) = self.known(path)? {
            return Ok(digest);
        }
        let known = read(path, stopped)?;
        self.remember(path.to_owned(), known);
        Ok(known.sha256)
    }

    fn known(&self, path: &Path) -> io::Result<Option<Digest>> {
        let identity = Identity::of(&look(path)?);
        let same = |known: &Known| known.identity == identity;
        let (known, twin) = {
            let all = self.lock();
            let known = all.get(path).copied().filter(same);
            let twin = all
                .iter()
                .find(|(other, known)| *other != path && same(known));
            (known, twin.map(|(other, known)| (other.clone(), *known)))
        };
        if known.is_some() {
            return Ok(known.map(|known| known.sha256));
        }
        // Another name of the same file; an inode that was used again is not, so it is looked at.
        if let Some((other, known)) = twin
            && look(&other).is_ok_and(|found| Identity::of(&found) == identity)
        {
            self.remember(path.to_owned(), known);
            return Ok(Some(known.sha256));
        }
        Ok(None)
    }

    fn remember(&self, path: PathBuf, known: Known) {
        self.lock().insert(path, known);
        self.save();
    }

    /// Written at once, since reading the files again takes far longer.
    fn save(&self) {
        let known = self.lock();
        let files = known
            .iter()
            .filter_map(|(path, known)| Some((path.to_str()?.to_owned(), *known)));
        let document = Document {
            format_version: FORMAT_VERSION,
            files: files.collect(),
        };
        let path = &self.0.file;
        let folder = path.parent().unwrap_or_else(|| Path::new("/"));
        // Under the lock: of two at once, the later one would otherwise be lost.
        let written = serde_json::to_vec_pretty(&document)
            .map_err(io::Error::other)
            .and_then(|bytes| {
                fs::create_dir_all(folder)?;
                state_file::replace(path, &bytes)
            });
        if let Err(error) = written {
            tracing::warn!(file = %path.display(), %error, "cannot remember digests: files will be read again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownDigests for Digests {
    fn of(&self, path: &Path) -> io::Result<Digest> {
        self.of_blocking(path)
    }

    fn adopt(&self, from: &Path, to: &Path) {
        Self::adopt(self, from, to);
    }

    fn learn(&self, path: &Path, digest: &Digest) {
        Self::learn(self, path, *digest);
    }
}

/// Lets [`AT_ONCE`] threads read.
#[derive(Debug, Default)]
struct Readers {
    reading: Mutex<usize>,
    freed: Condvar,
}

/// A place among the readers, until it is dropped.
struct Reader<'a>(&'a Readers);

impl Readers {
    fn enter(&self) -> Reader<'_> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self
            .freed
            .wait_while(reading, |reading| *reading >= AT_ONCE);
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        Reader(self)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        *self
            .0
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.freed.notify_one();
    }
}

/// Tells a reader to stop when nobody waits for it any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn remembered(file: &Path) -> Result<BTreeMap<String, Known>, String> {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    let Document {
        format_version,
        files,
    } = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if format_version != FORMAT_VERSION {
        return Err(format!(
            "its format_version is {format_version}, this program knows {FORMAT_VERSION}"
        ));
    }
    Ok(files)
}

fn look(path: &Path) -> io::Result<Metadata> {
    let found = fs::symlink_metadata(path)?;
    if found.is_file() {
        Ok(found)
    } else {
        Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is no regular file",
        ))
    }
}

/// How long to wait until a change of the file would show; none when it would.
fn too_young(found: &Metadata) -> Option<Duration> {
    // A time that lies ahead was set by hand; a write would change it.
    let age = found.modified().ok()?.elapsed().ok()?;
    CLOCK_STEP.checked_sub(age)
}

/// The digest of a file that is read now, whatever is known of it.
///
/// # Errors
///
/// When it is no regular file, cannot be read, or changes while it is read.
pub fn digest_of_file(path: &Path) -> io::Result<Digest> {
    look(path)?;
    read(path, &AtomicBool::new(false)).map(|known| known.sha256)
}

fn read(path: &Path, stopped: &AtomicBool) -> io::Result<Known> {
    if let Some(wait) = too_young(&look(path)?) {
        std::thread::sleep(wait);
    }
    read_as(path, Identity::of(&look(path)?), stopped)
}

/// Reads a file that is to be the same before and afterwards.
fn read_as(path: &Path, before: Identity, stopped: &AtomicBool) -> io::Result<Known> {
    let began = std::time::Instant::now();
    let large = before.size >= LARGE;
    if large {
        tracing::info!(file = %path.display(), bytes = before.size, "reading a large file to get its digest");
    }
    let limits = Limits {
        stopped,
        per_second: None,
        from: reader::Origin::Anywhere,
    };
    let (size, sha256) = reader::read(path, limits)?;
    // By its path, so that another file that took its place shows as well.
    if size != before.size || Identity::of(&look(path)?) != before {
        return Err(io::Error::other("it changed while it was read"));
    }
    if large {
        let seconds = began.elapsed().as_secs();
        tracing::info!(file = %path.display(), seconds, "read");
    }
    Ok(Known {
        identity: before,
        sha256,
    })
}

#[cfg(test)]
mod tests;
