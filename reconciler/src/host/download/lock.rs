//! One writer a file: the lock that a transfer holds, and what is done about a transfer whose
//! reconciler died.
//!
//! rsync gets the lock as its standard input, so that it lasts as long as any process of rsync does.
//! When rsync's first process is killed its second goes on writing, and when the reconciler is killed
//! both do; so a lock that is taken says that somebody still writes. Who that is, `/proc` says.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::host::process::{Group, Process, processes};

/// What became of an attempt to lock.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It is ours.
    Locked(File),
    /// Transfers have it whose reconciler is gone.
    Orphans(BTreeSet<Group>),
    /// A transfer has it that somebody looks after.
    Taken,
}

/// Tries to lock.
pub(super) fn attempt(path: &Path) -> io::Result<Attempt> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    match file.try_lock() {
        // Whoever had it before may have removed it together with its transfer.
        Ok(()) if !is_still(&file, path) => attempt(path),
        Ok(()) => Ok(Attempt::Locked(file)),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let orphans = orphans(&file)?;
            Ok(if orphans.is_empty() {
                Attempt::Taken
            } else {
                Attempt::Orphans(orphans)
            })
        }
    }
}

fn is_still(file: &File, path: &Path) -> bool {
    let same =
        |(one, two): (fs::Metadata, fs::Metadata)| (one.dev(), one.ino()) == (two.dev(), two.ino());
    file.metadata()
        .ok()
        .zip(fs::metadata(path).ok())
        .is_some_and(same)
}

/// The groups of processes that have the file as their standard input, and whose parents do not have
/// it open: a reconciler that looks after a transfer does.
fn orphans(file: &File) -> io::Result<BTreeSet<Group>> {
    let wanted = file.metadata()?;
    let is_it = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    };
    let has_it_open = |process: u32| {
        let open = fs::read_dir(format!("/proc/{process}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        open.into_iter().any(|entry| is_it(&entry.path()))
    };
    let own = std::process::id();
    let writes = |process: &Process| {
        process.id != own && is_it(Path::new(&format!("/proc/{}/fd/0", process.id)))
    };
    let lonely = processes()
        .filter(writes)
        .filter(|process| !has_it_open(process.parent));
    Ok(lonely
        .filter_map(|process| Group::new(process.group))
        .collect())
}
