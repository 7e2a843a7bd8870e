//! The bare clone on this machine's disk.
//!
//! It is a cache: everything in it can be fetched again. So a damaged clone is set aside and made
//! anew, while a folder that holds anything else is left alone. Whoever writes holds a lock beside
//! it (`<folder>.lock`, flock(2)), so any `*.lock` or temporary file found inside under that lock
//! was left by a process that is gone.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use git2::{Config, ErrorClass, ObjectType, Oid, Repository, RepositoryInitOptions, Sort};

use super::error::StateError;
use super::tree::Limits;
use super::{Cache, CommitId, SetAside, TIP};

const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What a bare clone may contain; anything else means that the folder is somebody else's.
const CONTENT: &[&str] = &[
    "HEAD",
    "config",
    "description",
    "objects",
    "refs",
    "info",
    "hooks",
    "packed-refs",
    "logs",
    "branches",
    "FETCH_HEAD",
    "ORIG_HEAD",
];

/// Each fetch adds a pack; with more than this they are made one.
const PACKS: usize = 200;

const NOT_OURS: &str = "not as this program wrote it";

/// Settings of the clone. Redirects to another host are off: they could lead credentials there.
const SETTINGS: &[(&str, bool)] = &[
    ("core.fsyncObjectFiles", true),
    ("http.followRedirects", false),
];

pub(super) fn open(dir: &Path) -> Result<Cache, StateError> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent).map_err(|error| disk(parent, "create", error))?;
    }
    let mut cache = Cache {
        dir: dir.to_owned(),
        set_aside: None,
    };
    let _lock = cache.lock()?;
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir)?,
        Err(error) => return Err(disk(dir, "read", error)),
        Ok(_) => {
            refuse_foreign(dir)?;
            let sound = cache.clean().and_then(|()| check(&cache));
            if let Err(error) = sound.and_then(|()| repack(&cache, PACKS)) {
                let reason = match error {
                    StateError::Damaged { what, source, .. } => {
                        super::plain_line(&format!("{what}: {}", source.message()))
                    }
                    other => return Err(other),
                };
                let moved = set_aside(dir)?;
                tracing::warn!(clone = %dir.display(), moved_to = %moved.display(), reason,
                    "the clone of the state repo was damaged and is made anew");
                cache.set_aside = Some(SetAside {
                    path: moved,
                    reason,
                });
                create(dir)?;
            }
        }
    }
    Ok(cache)
}

fn disk(
    path: &Path,
    doing: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StateError {
    StateError::Disk {
        path: path.to_owned(),
        doing,
        source: error.into(),
    }
}

/// `state.git` and `.lock` make `state.git.lock`.
fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Made beside its place and then renamed, so that a kill leaves none that is half made.
fn create(dir: &Path) -> Result<(), StateError> {
    let fresh = beside(dir, ".new");
    remove(&fresh)?;
    DirBuilder::new()
        .mode(0o700)
        .create(&fresh)
        .map_err(|error| disk(&fresh, "create", error))?;
    let mut options = RepositoryInitOptions::new();
    options
        .bare(true)
        .external_template(false)
        .initial_head(TIP);
    Repository::init_opts(&fresh, &options).map_err(|error| disk(&fresh, "create", error))?;
    let config = fresh.join("config");
    Config::open(&config)
        .and_then(|mut config| {
            SETTINGS
                .iter()
                .try_for_each(|&(name, value)| config.set_bool(name, value))
        })
        .map_err(|error| disk(&config, "write", error))?;
    fs::rename(&fresh, dir).map_err(|error| disk(dir, "create", error))
}

fn remove(dir: &Path) -> Result<(), StateError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(dir, "remove", error)),
        _ => Ok(()),
    }
}

/// Only the latest damaged clone is kept: it is a copy of the remote, and the disk is finite.
fn set_aside(dir: &Path) -> Result<PathBuf, StateError> {
    let aside = beside(dir, ".damaged");
    remove(&aside)?;
    fs::rename(dir, &aside).map_err(|error| disk(dir, "rename", error))?;
    Ok(aside)
}

fn refuse_foreign(dir: &Path) -> Result<(), StateError> {
    let foreign = |found: String| {
        Err(StateError::Foreign {
            path: dir.to_owned(),
            found: super::plain_line(&found),
        })
    };
    let kind = fs::symlink_metadata(dir).map_err(|error| disk(dir, "read", error))?;
    if !kind.is_dir() {
        return foreign("not a folder".to_owned());
    }
    for entry in fs::read_dir(dir).map_err(|error| disk(dir, "read", error))? {
        let name = entry.map_err(|error| disk(dir, "read", error))?.file_name();
        let name = name.to_string_lossy();
        if !CONTENT.contains(&name.strip_suffix(".lock").unwrap_or(&name)) {
            return foreign(format!("it contains {name}"));
        }
    }
    Ok(())
}

/// Reads the whole history and every object of the tip; small enough to be done at each start.
fn check(cache: &Cache) -> Result<(), StateError> {
    let head = read(&cache.dir.join("HEAD"))?;
    read(&cache.dir.join("config"))?;
    if head.trim_ascii_end() != format!("ref: {TIP}").as_bytes() {
        return Err(cache.damaged("HEAD", git2::Error::from_str(NOT_OURS)));
    }
    let repo = cache.repo()?;
    let settings = repo
        .config()
        .map_err(|error| cache.damaged("config", error))?;
    for &(name, value) in SETTINGS {
        if settings.get_bool(name).ok() != Some(value) {
            return Err(cache.damaged(format!("config: {name}"), git2::Error::from_str(NOT_OURS)));
        }
    }
    let tip = match repo.find_reference(TIP) {
        Ok(reference) => reference,
        Err(error) if error.code() == git2::ErrorCode::NotFound => return Ok(()),
        Err(error) => return Err(cache.damaged(TIP, error)),
    };
    let tip = tip
        .peel_to_commit()
        .map_err(|error| cache.damaged(TIP, error))?;
    for id in cache.history(&repo, tip.id(), None)? {
        let id = id.map_err(|error| cache.damaged("history", error))?;
        repo.find_commit(id)
            .map_err(|error| cache.damaged(format!("commit {id}"), error))?;
    }
    let odb = repo
        .odb()
        .map_err(|error| cache.damaged("objects", error))?;
    let mut folders = vec![tip.tree_id()];
    // Each object once: a few kilobytes of trees can name each other a billion times.
    let mut seen = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        let tree = repo
            .find_tree(folder)
            .map_err(|error| cache.damaged(format!("folder {folder}"), error))?;
        for entry in &tree {
            let id = entry.id();
            match entry.kind() {
                Some(ObjectType::Tree) if seen.insert(id) => folders.push(id),
                Some(ObjectType::Blob) if seen.insert(id) => {
                    let damaged = |error| cache.damaged(format!("file {id}"), error);
                    let (size, _) = odb.read_header(id).map_err(damaged)?;
                    if size <= Limits::DEFAULT.file_bytes {
                        odb.read(id).map(drop).map_err(damaged)?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Makes one pack of many and keeps every object, also those that no branch leads to any more: the
/// commit applied last may be among them.
pub(super) fn repack(cache: &Cache, limit: usize) -> Result<(), StateError> {
    let folder = cache.dir.join("objects/pack");
    let old = packs(&folder)?;
    if old.len() <= limit {
        return Ok(());
    }
    let repo = cache.repo()?;
    let damaged = |error| cache.damaged("objects", error);
    let mut ids = Vec::new();
    repo.odb()
        .and_then(|odb| {
            odb.foreach(|&id| {
                ids.push(id);
                true
            })
        })
        .map_err(damaged)?;
    let mut builder = repo.packbuilder().map_err(damaged)?;
    for id in ids {
        builder.insert_object(id, None).map_err(damaged)?;
    }
    builder
        .write(&folder, 0o444)
        .map_err(|error| cache.disk("write", error))?;
    cache.sync()?;
    let Ok(Some(name)) = builder.name() else {
        return Ok(());
    };
    let new = folder.join(format!("pack-{name}.pack"));
    if !new.is_file() {
        return Ok(());
    }
    for pack in old.into_iter().filter(|pack| *pack != new) {
        for path in [pack.with_extension("idx"), pack] {
            fs::remove_file(&path).map_err(|error| disk(&path, "remove", error))?;
        }
    }
    Ok(())
}

fn packs(folder: &Path) -> Result<Vec<PathBuf>, StateError> {
    let mut packs = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| disk(folder, "read", error))? {
        let path = entry.map_err(|error| disk(folder, "read", error))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "pack")
        {
            packs.push(path);
        }
    }
    Ok(packs)
}

/// The content, empty when there is no such file; what cannot be read for other reasons is not
/// damage.
fn read(path: &Path) -> Result<Vec<u8>, StateError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|error| disk(path, "read", error)),
    }
}

impl Cache {
    /// The clone, with no configuration but its own.
    pub(super) fn repo(&self) -> Result<Repository, StateError> {
        let config = Config::open(&self.dir.join("config"))
            .map_err(|error| self.damaged("config", error))?;
        let repo = Repository::open_bare(&self.dir).map_err(|error| match error.class() {
            // Its own configuration was just read: this is the user's or the system's.
            ErrorClass::Config => disk(&self.dir, "read the Git configuration for", error),
            _ => self.damaged("the folder", error),
        })?;
        repo.set_config(&config)
            .map_err(|error| self.damaged("config", error))?;
        Ok(repo)
    }

    pub(super) fn commit<'repo>(
        &self,
        repo: &'repo Repository,
        id: &CommitId,
    ) -> Result<git2::Commit<'repo>, StateError> {
        repo.find_commit(id.oid())
            .map_err(|error| match error.code() {
                git2::ErrorCode::NotFound => StateError::CommitMissing {
                    commit: id.clone(),
                    path: self.dir.clone(),
                },
                _ => self.damaged(format!("commit {id}"), error),
            })
    }

    /// The commits reachable from `tip` and not from `without`, oldest first.
    pub(super) fn history<'repo>(
        &self,
        repo: &'repo Repository,
        tip: Oid,
        without: Option<Oid>,
    ) -> Result<git2::Revwalk<'repo>, StateError> {
        let walk = || {
            let mut walk = repo.revwalk()?;
            walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
            walk.push(tip)?;
            if let Some(without) = without {
                walk.hide(without)?;
            }
            Ok(walk)
        };
        walk().map_err(|error| self.damaged("history", error))
    }

    /// Waits a little for whoever writes; the lock ends with the file.
    pub(super) fn lock(&self) -> Result<File, StateError> {
        let path = beside(&self.dir, ".lock");
        let failed = |error| disk(&path, "lock", error);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_PATIENCE => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StateError::Busy {
                        path: self.dir.clone(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Removes what a killed process left; to be called under the lock.
    pub(super) fn clean(&self) -> Result<(), StateError> {
        let stale = |name: &str| name.ends_with(".lock");
        let temporary = |name: &str| name.starts_with("tmp_") || name.contains("_git2_");
        sweep(&self.dir, 0, &stale)?;
        sweep(&self.dir.join("refs"), 8, &stale)?;
        sweep(&self.dir.join("objects"), 1, &temporary)
    }

    /// Brings fetched objects to the disk before a reference names them.
    pub(super) fn sync(&self) -> Result<(), StateError> {
        let packs = self.dir.join("objects/pack");
        let failed = |error| disk(&packs, "write", error);
        match fs::read_dir(&packs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
            Ok(entries) => {
                for entry in entries {
                    let path = entry.map_err(failed)?.path();
                    File::open(&path)
                        .and_then(|file| file.sync_all())
                        .map_err(failed)?;
                }
            }
        }
        File::open(&packs)
            .and_then(|file| file.sync_all())
            .map_err(failed)
    }

    pub(super) fn damaged(&self, what: impl Into<String>, source: git2::Error) -> StateError {
        StateError::Damaged {
            path: self.dir.clone(),
            what: what.into(),
            source,
        }
    }

    pub(super) fn disk(&self, doing: &'static str, source: git2::Error) -> StateError {
        disk(&self.dir, doing, source)
    }
}

/// Removes the files whose name says so, in a folder and those below it.
fn sweep(dir: &Path, depth: usize, doomed: &dyn Fn(&str) -> bool) -> Result<(), StateError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // A missing or wrong folder is for the check to judge.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(());
        }
        Err(error) => return Err(disk(dir, "read", error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| disk(dir, "read", error))?;
        let kind = entry
            .file_type()
            .map_err(|error| disk(dir, "read", error))?;
        let path = entry.path();
        if kind.is_dir() && depth > 0 {
            sweep(&path, depth - 1, doomed)?;
        } else if kind.is_file() && doomed(&entry.file_name().to_string_lossy()) {
            fs::remove_file(&path).map_err(|error| disk(&path, "remove", error))?;
        }
    }
    Ok(())
}
