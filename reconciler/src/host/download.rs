//! Download: what is missing of one version, from the central server into the store.
//!
//! # Invariants
//!
//! The manifest is compared with the digest in Git before anything in it is read, and each file with
//! the manifest before it gets its name in the store. What has arrived is kept when a download is
//! paused, cut or killed, and never fetched again unless it proves wrong. No file has two writers.
//!
//! rsync's own timeout was seen not to fire when a link went down, so growth is watched here.

mod basis;
mod error;
mod lock;
mod transfer;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::fleet::Central;
use schema::name::{ImageName, VersionName};
use schema::units::{Bytes, Rate};
use tokio::time::Instant;

use crate::config::{Commands, Paths, ReleaseLogin};
use crate::host::store::{KnownDigests, StoreFolder};
use crate::host::{files, reader};
use crate::manifest::{LONGEST, Manifest, ManifestFile, digest_of};
use crate::world::{Failure, Progress};
use basis::Basis;
pub use error::DownloadError;
pub(in crate::host) use transfer::only_writer;
use transfer::{Order, Way};

/// Where a download comes from and goes to.
#[derive(Debug)]
pub struct Line<'a, D> {
    /// Where things are on this server.
    pub paths: &'a Paths,
    /// What programs are called.
    pub commands: &'a Commands,
    /// The central server.
    pub central: &'a Central,
    /// How to log in there.
    pub login: Option<&'a ReleaseLogin>,
    /// Digests of the files in LINBO's folder.
    pub digests: &'a Arc<D>,
    /// How long to wait for signs of life.
    pub limits: Limits,
}

/// How a transfer is watched.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long nothing may arrive. Default 120 seconds.
    pub quiet: Duration,
    /// Between two looks. Default 1 second.
    pub tick: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(120),
            tick: Duration::from_secs(1),
        }
    }
}

/// What is to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The image.
    pub image: &'a ImageName,
    /// The version.
    pub version: &'a VersionName,
    /// The digest of its manifest, as Git has it.
    pub manifest: &'a Digest,
    /// What it may take of the line.
    pub rate: Option<Rate>,
    /// When the line may be used: nothing is fetched before.
    pub from: Timestamp,
    /// When it has to stop.
    pub until: Timestamp,
}

/// Fetches what is missing of a version. Dropping the future ends it and keeps what has arrived.
///
/// # Errors
///
/// [`Failure::Paused`] when it had to stop before all of it was there, and whatever went wrong.
pub async fn download<D: KnownDigests + Send + Sync + 'static>(
    line: &Line<'_, D>,
    wanted: &Wanted<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let store = StoreFolder::new(&line.paths.store);
    store
        .prepare(&line.paths.linbo)
        .map_err(|error| DownloadError::Store(error).alone())?;
    let manifest = line.manifest(&store, wanted).await?;
    line.drop_damaged(&store, &manifest)
        .await
        .map_err(|source| DownloadError::file(&line.paths.store, source))?;
    let missing = line.missing(&store, &manifest)?;
    let total: u64 = missing.values().map(|file| file.size).sum();
    let mut pace = Pace::default();
    let mut before = 0;
    let mut arrived = Vec::new();
    let mut ended = Ok(());
    for file in missing.values() {
        let mut grown = |arrived: u64| tell(pace.progress(before + arrived.min(file.size), total));
        match line.transfer(&store, wanted, file, &mut grown).await {
            Ok(new) => arrived.extend(new),
            Err(failure) => {
                ended = Err(failure);
                break;
            }
        }
        before += file.size;
    }
    // Only now, so that the line is not kept waiting.
    for arrived in arrived {
        line.settle(&store, wanted, arrived).await?;
    }
    ended
}

/// How a file is fetched, and where a like one is.
#[derive(Clone, Copy)]
struct How<'a>(Way, Option<&'a Path>);

impl<'a> How<'a> {
    const ANEW: Self = Self(Way::Append, None);
    const MEND: Self = Self(Way::Mend, None);

    fn like(basis: &'a Basis) -> Self {
        Self(Way::Like, Some(basis.folder()))
    }
}

/// A file that is there as a whole, and not yet known to be right.
struct Arrived<'m> {
    file: &'m ManifestFile,
    /// Whether a part of it was there before.
    resumed: bool,
    /// Held until it is in its place.
    lock: File,
}

impl<D: KnownDigests + Send + Sync + 'static> Line<'_, D> {
    fn url(&self, wanted: &Wanted<'_>, name: &str) -> String {
        let Central {
            server,
            port,
            release_module,
            ..
        } = self.central;
        let user = self
            .login
            .map(|login| format!("{}@", login.user))
            .unwrap_or_default();
        format!(
            "rsync://{user}{server}:{port}/{release_module}/{}/{}/{name}",
            wanted.image, wanted.version
        )
    }

    fn order<'o>(
        &'o self,
        wanted: &Wanted<'_>,
        name: &str,
        target: PathBuf,
        How(way, basis): How<'o>,
        size: u64,
    ) -> Order<'o> {
        let Wanted {
            rate, from, until, ..
        } = *wanted;
        Order {
            url: self.url(wanted, name),
            target,
            way,
            basis,
            size,
            login: self.login,
            rate,
            from,
            until,
        }
    }

    /// The manifest, from the store or the central server.
    async fn manifest(
        &self,
        store: &StoreFolder,
        wanted: &Wanted<'_>,
    ) -> Result<Manifest, Failure> {
        let url = self.url(wanted, "manifest.json");
        let bytes = match fs::read(store.manifest(wanted.manifest)) {
            // One that was damaged on this disk is fetched again.
            Ok(bytes) if digest_of(&bytes) == *wanted.manifest => bytes,
            _ => self.fetch_manifest(store, wanted).await?,
        };
        let found = digest_of(&bytes);
        if found != *wanted.manifest {
            return Err(DownloadError::OtherManifest {
                url,
                expected: *wanted.manifest,
                found,
            }
            .alone());
        }
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(source) => return Err(DownloadError::BadManifest { url, source }.alone()),
        };
        if manifest.image() != wanted.image || manifest.version() != wanted.version {
            let found = format!("{} {}", manifest.image(), manifest.version());
            let expected = format!("{} {}", wanted.image, wanted.version);
            return Err(DownloadError::Misnamed {
                url,
                expected,
                found,
            }
            .alone());
        }
        let path = store.manifest(wanted.manifest);
        files::write_atomically(&path, &bytes, 0o600)
            .map_err(|source| DownloadError::file(&path, source))?;
        Ok(manifest)
    }

    async fn fetch_manifest(
        &self,
        store: &StoreFolder,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let target = store.incoming(wanted.manifest);
        let lock = only_writer(store, wanted.manifest, wanted.until).await?;
        let failed = |source| DownloadError::file(&target, source);
        files::remove_if_there(&target).map_err(failed)?;
        let way = Way::Whole { most: LONGEST };
        let order = self.order(
            wanted,
            "manifest.json",
            target.clone(),
            How(way, None),
            LONGEST as u64,
        );
        order
            .fetch(&self.commands.rsync, &self.limits, &lock, &mut |_| ())
            .await?;
        let Some(file) = files::if_there(File::open(&target)).map_err(failed)? else {
            return Err(DownloadError::NoManifest { url: order.url }.alone());
        };
        let mut bytes = Vec::new();
        file.take(LONGEST as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        files::remove_if_there(&target).map_err(failed)?;
        files::remove_if_there(&store.lock(wanted.manifest)).map_err(failed)?;
        Ok(bytes)
    }

    /// Takes out of the store what lies there in place of a file and is another one: the disk has damaged it.
    async fn drop_damaged(&self, store: &StoreFolder, manifest: &Manifest) -> io::Result<()> {
        let digests = Arc::clone(self.digests);
        let files = manifest.files().iter();
        let objects: Vec<_> = files
            .map(|file| (store.object(&file.sha256), file.sha256))
            .collect();
        let dropped = tokio::task::spawn_blocking(move || {
            for (object, digest) in objects {
                // What is not there or cannot be read is found out later, by whoever wants it.
                if digests.of(&object).is_ok_and(|found| found != digest) {
                    files::remove_if_there(&object)?;
                }
            }
            Ok(())
        });
        dropped
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// The files that are not in the store, each content once, when there is room for them.
    fn missing<'m>(
        &self,
        store: &StoreFolder,
        manifest: &'m Manifest,
    ) -> Result<BTreeMap<Digest, &'m ManifestFile>, Failure> {
        let missing: BTreeMap<_, _> = manifest
            .files()
            .iter()
            .filter(|file| !store.object(&file.sha256).exists())
            .map(|file| (file.sha256, file))
            .collect();
        let there = |digest| fs::metadata(store.partial(digest)).map_or(0, |found| found.len());
        let left = missing
            .iter()
            .map(|(digest, file)| file.size.saturating_sub(there(digest)));
        let left = left.fold(0, u64::saturating_add);
        let needed = left.saturating_add(left / 10);
        let free = store
            .free()
            .map_err(|source| DownloadError::file(&self.paths.store, source))?;
        if free < needed {
            let (missing, needed, free) = (Bytes(left), Bytes(needed), Bytes(free));
            let path = self.paths.store.clone();
            return Err(DownloadError::NoRoom {
                missing,
                needed,
                free,
                path,
            }
            .alone());
        }
        Ok(missing)
    }

    /// One file: from LINBO's folder if it has the same, else from the central server. None when it is in the store.
    async fn transfer<'m>(
        &self,
        store: &StoreFolder,
        wanted: &Wanted<'_>,
        file: &'m ManifestFile,
        grown: &mut dyn FnMut(u64),
    ) -> Result<Option<Arrived<'m>>, Failure> {
        let digest = &file.sha256;
        let (object, partial) = (store.object(digest), store.partial(digest));
        let lock = only_writer(store, digest, wanted.until).await?;
        if object.exists() {
            return Ok(None);
        }
        if self
            .take_live(wanted.image, file, &object)
            .await
            .map_err(|source| DownloadError::file(&object, source))?
        {
            grown(file.size);
            return Ok(None);
        }
        let failed = |source| DownloadError::file(&partial, source);
        let mut size = size_of(&partial).map_err(failed)?;
        if size > file.size {
            files::remove_if_there(&partial).map_err(failed)?;
            size = 0;
        }
        // rsync takes a file that is complete for wrong when it cannot compare.
        let mut resumed = size > 0;
        if size < file.size || file.size == 0 {
            let basis = if resumed {
                None
            } else {
                Basis::find(store, &self.paths.linbo, wanted.image, file)
            };
            // What was taken from another file counts as having been there before.
            resumed |= basis.is_some();
            let way = basis.as_ref().map_or(How::ANEW, How::like);
            self.fetch(store, wanted, file, way, &lock, grown).await?;
        }
        Ok(Some(Arrived {
            file,
            resumed,
            lock,
        }))
    }

    async fn fetch(
        &self,
        store: &StoreFolder,
        wanted: &Wanted<'_>,
        file: &ManifestFile,
        how: How<'_>,
        lock: &File,
        grown: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        if crate::host::clock() >= wanted.until {
            return Err(Failure::Paused);
        }
        let target = store.partial(&file.sha256);
        self.order(wanted, file.name.as_str(), target, how, file.size)
            .fetch(&self.commands.rsync, &self.limits, lock, grown)
            .await
    }

    /// Puts a file that has arrived into its place when it is what Git says. What was there before may be what is wrong:
    /// then what differs is fetched again, once.
    async fn settle(
        &self,
        store: &StoreFolder,
        wanted: &Wanted<'_>,
        arrived: Arrived<'_>,
    ) -> Result<(), Failure> {
        let Arrived {
            file,
            mut resumed,
            lock,
        } = arrived;
        let digest = &file.sha256;
        let (object, partial) = (store.object(digest), store.partial(digest));
        let failed = |source| DownloadError::file(&partial, source);
        loop {
            let (size, found) = digest_of_file(&partial).await.map_err(failed)?;
            if (size, found) == (file.size, *digest) {
                break;
            }
            if !resumed {
                files::remove_if_there(&partial).map_err(failed)?;
                let error = DownloadError::OtherContent {
                    url: self.url(wanted, file.name.as_str()),
                    expected_size: file.size,
                    expected: *digest,
                    size,
                    found,
                };
                return Err(error.alone());
            }
            tracing::warn!(file = %file.name, "what had arrived earlier proved wrong; mending it");
            resumed = false;
            self.fetch(store, wanted, file, How::MEND, &lock, &mut |_| ())
                .await?;
        }
        let placed = fs::rename(&partial, &object)
            .and_then(|()| files::sync_folder(files::parent(&object)))
            .and_then(|()| files::sync_folder(files::parent(&partial)))
            .and_then(|()| files::remove_if_there(&store.lock(digest)));
        placed.map_err(failed)?;
        // What a killed pass left of an earlier try.
        Basis::clear(store, digest);
        self.digests.learn(&object, digest);
        Ok(())
    }

    /// Takes the file from LINBO's folder, if that has one with the same content; whether it did.
    async fn take_live(
        &self,
        image: &ImageName,
        file: &ManifestFile,
        object: &Path,
    ) -> io::Result<bool> {
        let folder = self.paths.linbo.join("images").join(image.as_str());
        let (digests, file, object) = (Arc::clone(self.digests), file.clone(), object.to_owned());
        let taken =
            tokio::task::spawn_blocking(move || link_same(&*digests, &folder, &file, &object));
        taken
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn link_same(
    digests: &impl KnownDigests,
    folder: &Path,
    file: &ManifestFile,
    object: &Path,
) -> io::Result<bool> {
    let Some(entries) = files::if_there(fs::read_dir(folder))? else {
        return Ok(false);
    };
    for entry in entries {
        let path = entry?.path();
        // A file that is being written or taken away is not what is looked for.
        let Ok(before) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !before.is_file() || before.len() != file.size || file.size == 0 {
            continue;
        }
        if digests.of(&path).ok() != Some(file.sha256) || fs::hard_link(&path, object).is_err() {
            continue;
        }
        let after = fs::metadata(object)?;
        let identity =
            |found: &fs::Metadata| (found.ino(), found.len(), found.mtime(), found.mtime_nsec());
        if identity(&before) == identity(&after) {
            digests.adopt(&path, object);
            files::sync_folder(files::parent(object))?;
            return Ok(true);
        }
        files::remove_if_there(object)?;
    }
    Ok(false)
}

/// The size of a file, 0 when there is none.
fn size_of(path: &Path) -> io::Result<u64> {
    files::if_there(fs::metadata(path)).map(|found| found.map_or(0, |found| found.len()))
}

/// Size and digest of a file that is on the disk when this returns. Stops reading when dropped.
async fn digest_of_file(path: &Path) -> io::Result<(u64, Digest)> {
    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = Stop(Arc::default());
    let (path, stopped) = (path.to_owned(), Arc::clone(&stop.0));
    let read = tokio::task::spawn_blocking(move || {
        File::open(&path)?.sync_all()?;
        let limits = reader::Limits {
            stopped: &stopped,
            per_second: None,
            from: reader::Origin::Anywhere,
        };
        reader::read(&path, limits)
    });
    read.await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// How fast bytes arrive, by the last ten looks.
#[derive(Debug, Default)]
struct Pace {
    looks: VecDeque<(Instant, u64)>,
}

impl Pace {
    fn progress(&mut self, done: u64, total: u64) -> Progress {
        let now = Instant::now();
        self.looks.push_back((now, done));
        if self.looks.len() > 10 {
            self.looks.pop_front();
        }
        let (since, at) = self.looks.front().copied().unwrap_or((now, done));
        let millis = u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX);
        let per_second = (done.saturating_sub(at) * 1000)
            .checked_div(millis)
            .unwrap_or(0);
        Progress::Bytes {
            done,
            total,
            per_second,
        }
    }
}

#[cfg(test)]
mod tests;
