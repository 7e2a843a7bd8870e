//! The store: what was downloaded and verified, by digest, outside of LINBO's folder.
//!
//! LINBO's torrent and multicast tools scan `/srv/linbo/images` two levels deep, dot folders too, and
//! everything below `/srv/linbo` can be read by anyone over rsync (`linbo-torrent`, rsyncd template).
//! So the store lies beside it, on the same file system, since files go over by link and rename.
//!
//! # Layout
//!
//! `manifests/<hex>.json`, `objects/<hex>` (verified), `partial/<hex>` (being fetched),
//! `incoming/<hex>.json` (a manifest before it is verified), `locks/<hex>` (held by whoever writes),
//! `basis/<hex>/<hex>` (another file, of which one that is being fetched differs little),
//! `staging/<image>/` (a set before it goes live), `previous/<image>/` (the set before the live one).
//! `<hex>` is the SHA-256.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use schema::digest::Digest;
use schema::name::ImageName;

use crate::host::files;
use crate::manifest::{Manifest, ManifestError, digest_of};

/// Digests of files on this server, remembered while the files do not change.
pub trait KnownDigests {
    /// The digest of the file as it is now; reads all of it unless it is known. Called only on
    /// threads of a tokio runtime that may block.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn of(&self, path: &Path) -> io::Result<Digest>;

    /// `to` is the same file as `from` under another name.
    fn adopt(&self, from: &Path, to: &Path);

    /// The digest was just computed from the file's bytes. Who remembers nothing reads it once more.
    fn learn(&self, path: &Path, digest: &Digest) {
        let (_, _) = (path, digest);
    }
}

/// The store's folder.
#[derive(Debug, Clone)]
pub struct StoreFolder {
    root: PathBuf,
}

/// What is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is on another file system than LINBO's files.
    #[error(
        "the store {} and LINBO's folder {} are on different file systems, so that no image could go \
         from one to the other in one step; set paths.store to a folder beside LINBO's",
        .store.display(), .linbo.display()
    )]
    OtherFileSystem {
        /// The store.
        store: PathBuf,
        /// LINBO's folder.
        linbo: PathBuf,
    },
    /// It is below LINBO's folder.
    #[error(
        "the store {} is inside LINBO's folder {}, where others read and change files; set paths.store \
         to a folder beside it",
        .store.display(), .linbo.display()
    )]
    Inside {
        /// The store.
        store: PathBuf,
        /// LINBO's folder.
        linbo: PathBuf,
    },
    /// Something in it cannot be read or written.
    #[error("{} cannot be used", .path.display())]
    File {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A manifest in it is not what its name says.
    #[error("{} is damaged; delete it, and it is fetched again", .path.display())]
    Damaged {
        /// The manifest.
        path: PathBuf,
        /// Why, if it is not only its digest.
        #[source]
        source: Option<ManifestError>,
    },
}

/// The folders of the store.
const FOLDERS: [&str; 8] = [
    "manifests",
    "objects",
    "partial",
    "incoming",
    "locks",
    "basis",
    "staging",
    "previous",
];

impl StoreFolder {
    /// The store in this folder.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Makes what is missing of its folders, for root alone, and sees that files can go over into
    /// LINBO's folder.
    ///
    /// # Errors
    ///
    /// When the store cannot be used, or not together with LINBO's folder.
    pub fn prepare(&self, linbo: &Path) -> Result<(), StoreError> {
        let real = |path: &Path| {
            fs::canonicalize(path).map_err(|source| StoreError::File {
                path: path.to_owned(),
                source,
            })
        };
        // Nothing is made before it is known to be the right place.
        let root = self
            .root
            .ancestors()
            .find(|path| path.exists())
            .unwrap_or(&self.root);
        if real(root)?.starts_with(real(linbo)?) {
            return Err(StoreError::Inside {
                store: self.root.clone(),
                linbo: linbo.to_owned(),
            });
        }
        // An images folder with a file system of its own is common; the images are what has to match.
        let images = linbo.join("images");
        let images = if images.exists() {
            images
        } else {
            linbo.to_owned()
        };
        if device(root)? != device(&images)? {
            return Err(StoreError::OtherFileSystem {
                store: self.root.clone(),
                linbo: images,
            });
        }
        for folder in FOLDERS {
            let path = self.root.join(folder);
            files::make_folder(&path, 0o700).map_err(|source| StoreError::File { path, source })?;
        }
        Ok(())
    }

    /// `manifests/<hex>.json`
    #[must_use]
    pub fn manifest(&self, digest: &Digest) -> PathBuf {
        self.root
            .join("manifests")
            .join(format!("{}.json", digest.hex()))
    }

    /// `objects/<hex>`
    #[must_use]
    pub fn object(&self, digest: &Digest) -> PathBuf {
        self.root.join("objects").join(digest.hex())
    }

    /// `partial/<hex>`
    #[must_use]
    pub fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }

    /// `incoming/<hex>.json`
    #[must_use]
    pub fn incoming(&self, digest: &Digest) -> PathBuf {
        self.root
            .join("incoming")
            .join(format!("{}.json", digest.hex()))
    }

    /// `locks/<hex>`
    #[must_use]
    pub fn lock(&self, digest: &Digest) -> PathBuf {
        self.root.join("locks").join(digest.hex())
    }

    /// `basis/<hex>`
    #[must_use]
    pub fn basis(&self, digest: &Digest) -> PathBuf {
        self.root.join("basis").join(digest.hex())
    }

    /// All manifests that are sound, with their files.
    ///
    /// # Errors
    ///
    /// When their folder cannot be read.
    pub fn manifests(&self) -> io::Result<Vec<(PathBuf, Manifest)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("manifests"))? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let digest = name.and_then(|hex| format!("sha256:{hex}").parse().ok());
            let manifest = digest.and_then(|digest| self.read_manifest(&digest).ok()?);
            found.extend(manifest.map(|manifest| (path, manifest)));
        }
        Ok(found)
    }

    /// `staging/<image>`
    #[must_use]
    pub fn staging(&self, image: &ImageName) -> PathBuf {
        self.root.join("staging").join(image.as_str())
    }

    /// `previous/<image>`
    #[must_use]
    pub fn previous(&self, image: &ImageName) -> PathBuf {
        self.root.join("previous").join(image.as_str())
    }

    /// Free bytes on its file system, for those who are not root.
    ///
    /// # Errors
    ///
    /// When the file system does not tell.
    pub fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The names of all manifests, sound or not.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn names_of_manifests(&self) -> Result<Vec<Digest>, StoreError> {
        let folder = self.root.join("manifests");
        let failed = |source| StoreError::File {
            path: folder.clone(),
            source,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let digest = digest.map(|hex| format!("sha256:{hex}").parse::<Digest>());
            found.extend(digest.into_iter().flatten());
        }
        found.sort();
        Ok(found)
    }

    /// The manifest with this digest; none when it was not fetched yet.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what its name says.
    pub fn read_manifest(&self, digest: &Digest) -> Result<Option<Manifest>, StoreError> {
        let path = self.manifest(digest);
        let bytes = match files::if_there(fs::read(&path)) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(source) => return Err(StoreError::File { path, source }),
        };
        if digest_of(&bytes) != *digest {
            return Err(StoreError::Damaged { path, source: None });
        }
        Manifest::parse_kept(&bytes)
            .map(Some)
            .map_err(|error| StoreError::Damaged {
                path,
                source: Some(error),
            })
    }
}

fn device(path: &Path) -> Result<u64, StoreError> {
    let found = fs::metadata(path).map(|found| found.dev());
    found.map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_store_is_for_root_alone_and_never_below_linbo() {
        let folder = tempfile::tempdir().unwrap();
        let linbo = folder.path().join("linbo");
        fs::create_dir(&linbo).unwrap();
        let store = folder.path().join("store");
        StoreFolder::new(&store).prepare(&linbo).unwrap();
        for name in FOLDERS {
            let mode = fs::metadata(store.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{name}");
        }
        let error = StoreFolder::new(&linbo.join("images/.store"))
            .prepare(&linbo)
            .unwrap_err();
        assert!(matches!(error, StoreError::Inside { .. }), "{error}");
    }

    #[test]
    fn a_store_on_another_file_system_is_refused() {
        // Shared memory is a file system of its own on every Linux.
        let (here, there) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir_in("/dev/shm").unwrap(),
        );
        let error = StoreFolder::new(here.path())
            .prepare(there.path())
            .unwrap_err();
        assert!(
            error.to_string().contains("different file systems"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_manifest_is_never_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreFolder::new(folder.path());
        store.prepare(tempfile::tempdir().unwrap().path()).unwrap();
        let digest = digest_of(b"something");
        assert!(store.read_manifest(&digest).unwrap().is_none());
        fs::write(store.manifest(&digest), "else").unwrap();
        let error = store.read_manifest(&digest).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
