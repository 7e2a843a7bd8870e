//! A file like the one that is to be fetched: what they share is taken from it, and only what differs is moved.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use schema::digest::Digest;
use schema::name::ImageName;

use crate::host::files;
use crate::host::store::StoreFolder;
use crate::manifest::ManifestFile;

/// What is smaller is fetched as it is.
const SMALL: u64 = 1 << 20;

/// Blocks of so many bytes are compared. Of compressed qcow2 images of which 2 % of the clusters changed, rsync moved
/// 2.7 % in both directions together; its own choice, the root of the size, moved more: 3.6 % of 0.4 GiB, and more the
/// larger the image. Blocks of 4 KiB would save a fiftieth of that and take the central server twice the memory, about
/// 50 bytes a block.
pub(super) const BLOCK: u32 = 8192;

/// A folder in which rsync finds a like file by the name of the one that it is to write. It goes with this.
pub(super) struct Basis(PathBuf);

impl Basis {
    /// The newest file of the same image and name in the store, or else the one in LINBO's folder; none when there is
    /// none, or it cannot be linked.
    pub(super) fn find(
        store: &StoreFolder,
        linbo: &Path,
        image: &ImageName,
        file: &ManifestFile,
    ) -> Option<Self> {
        if file.size < SMALL {
            return None;
        }
        let stored = store.manifests().ok()?.into_iter();
        let stored = stored.filter(|(_, manifest)| manifest.image() == image);
        let like = stored.filter_map(|(path, manifest)| {
            let like = manifest.file(file.name.as_str())?;
            let object = store.object(&like.sha256);
            let written = fs::metadata(path).ok()?.mtime();
            (like.size >= SMALL && object.exists()).then_some((written, object))
        });
        let newest = like.max().map(|(_, object)| object);
        let live = || {
            linbo
                .join("images")
                .join(image.as_str())
                .join(file.name.as_str())
        };
        Self::link(store, &newest.unwrap_or_else(live), file).ok()
    }

    fn link(store: &StoreFolder, like: &Path, file: &ManifestFile) -> io::Result<Self> {
        let folder = store.basis(&file.sha256);
        files::make_folder(&folder, 0o700)?;
        let basis = Self(folder);
        let name = basis.0.join(file.sha256.hex());
        files::remove_if_there(&name)?;
        fs::hard_link(like, name)?;
        Ok(basis)
    }

    /// Removes what is left for a file that is in its place.
    pub(super) fn clear(store: &StoreFolder, digest: &Digest) {
        drop(Self(store.basis(digest)));
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Basis {
    fn drop(&mut self) {
        // One that stays is no harm: the next download of this file makes it anew.
        drop(fs::remove_dir_all(&self.0));
    }
}
