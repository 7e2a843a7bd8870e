//! One pass at a time: a lock that ends with the process that holds it.
//!
//! The lock is the kernel's (`flock`), not the file's content, so that nothing has to be cleaned up
//! after a crash or a power cut. The content only tells people who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// The longest content that a lock file has.
const LONGEST: u64 = 256;

/// The right to do a pass, until it is dropped.
#[derive(Debug)]
pub struct PassLock {
    // Closing it releases the lock. Children do not inherit it: it is opened close-on-exec.
    _file: File,
}

/// Why the lock could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another pass holds it.
    #[error("another pass is running: {}", holder(.pid, .since))]
    Held {
        /// Its process, if the lock file says so.
        pid: Option<u32>,
        /// When it began, if the lock file says so.
        since: Option<Timestamp>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", .path.display())]
    Unusable {
        /// The lock file, or its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn holder(pid: &Option<u32>, since: &Option<Timestamp>) -> String {
    let pid = pid.map_or_else(
        || "an unknown process".to_owned(),
        |pid| format!("process {pid}"),
    );
    since.map_or_else(|| pid.clone(), |since| format!("{pid} since {since}"))
}

impl PassLock {
    /// Takes `<run_dir>/lock` without waiting; the folder is made when it is missing.
    ///
    /// # Errors
    ///
    /// When another process holds it, or when it cannot be made.
    pub fn acquire(run_dir: &Path, now: Timestamp) -> Result<Self, LockError> {
        let path = run_dir.join("lock");
        let unusable = |source| LockError::Unusable {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(run_dir).map_err(unusable)?;
        let mut options = OpenOptions::new();
        // Not truncated: what another pass wrote there is still needed when it holds the lock.
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&mut file)),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        file.set_len(0).map_err(unusable)?;
        file.rewind().map_err(unusable)?;
        let line = format!("{} {now}\n", std::process::id());
        file.write_all(line.as_bytes()).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock. The content may be half written or somebody else's: then nothing is known.
fn held(file: &mut File) -> LockError {
    let mut text = Vec::new();
    // An error leaves what was read so far, which is then as good as garbage.
    drop(file.take(LONGEST).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let mut words = text.split_whitespace();
    let pid = words.next().and_then(|pid| pid.parse().ok());
    let since = words.next().and_then(|since| since.parse().ok());
    LockError::Held { pid, since }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn the_holder_is_named_and_its_end_frees_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run/deep");
        let lock = PassLock::acquire(&run, NOW).unwrap();
        let error = PassLock::acquire(&run, NOW).unwrap_err();
        let LockError::Held { pid, since } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*pid, *since), (Some(std::process::id()), Some(NOW)));
        assert!(
            error.to_string().ends_with("since 1970-01-01T00:00:00Z"),
            "{error}"
        );
        drop(lock);
        drop(PassLock::acquire(&run, NOW).unwrap());
    }

    #[test]
    fn what_a_dead_holder_left_is_taken_over_and_garbage_is_borne() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        for left in [
            &b"999999 2026-11-23T18:00:00Z\n"[..],
            b"",
            b"\0\0\xff",
            b"1 2 3\n",
            &[b'x'; 9999],
        ] {
            fs::write(&path, left).unwrap();
            let lock = PassLock::acquire(folder.path(), NOW).unwrap();
            let line = format!("{} 1970-01-01T00:00:00Z\n", std::process::id());
            assert_eq!(fs::read_to_string(&path).unwrap(), line);
            fs::write(&path, left).unwrap();
            let error = PassLock::acquire(folder.path(), NOW).unwrap_err();
            assert!(matches!(error, LockError::Held { .. }), "{error:?}");
            assert!(
                error.to_string().starts_with("another pass is running: "),
                "{error}"
            );
            drop(lock);
        }
    }

    #[test]
    fn a_folder_in_place_of_the_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lock")).unwrap();
        let error = PassLock::acquire(folder.path(), NOW).unwrap_err();
        assert!(
            matches!(&error, LockError::Unusable { path, .. } if path.ends_with("lock")),
            "{error:?}"
        );
    }
}
