//! Activation: an image's folder in LINBO changes from one consistent set of files to another.
//!
//! # Invariants
//!
//! The new set is built aside, as a whole; then both folders change places in one step, so nobody who
//! looks sees a base with a foreign diff. No seeder runs on the old files by then, and the old
//! `.torrent` stays with them: a seeder that found it beside the new image would write the old content
//! back (`linbo-torrent`, `aria2c -V`). The set before stays in the store. Whatever fails before the
//! exchange leaves the old set in service; whatever is cut off after it is finished by the next call.
//!
//! What belongs to the content of the old image stays with it, its machine account above all; what
//! belongs to the school (`<image>.reg`, `.postsync` and the like) goes over, and so do the folders,
//! `backups` among them.

mod set;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schema::digest::Digest;
use schema::name::{FileName, ImageName, VersionName};

use crate::config::{Commands, Paths};
use crate::host::process::{ProcessError, Program};
use crate::host::store::{KnownDigests, StoreError, StoreFolder};
use crate::manifest::Manifest;
use crate::world::Failure;
use set::Exchange;

/// How long `linbo-torrent stop` may take.
const STOP: Duration = Duration::from_secs(120);

/// Why an activation failed. Unless the message says otherwise, the old set is in service.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[source] StoreError),
    /// The manifest is not in the store, or speaks of something else.
    #[error(
        "the store has no manifest {manifest} of {image} {version}; it has to be downloaded first"
    )]
    NoManifest {
        /// The image.
        image: ImageName,
        /// The version.
        version: VersionName,
        /// Its manifest.
        manifest: Digest,
    },
    /// A file of the version is not in the store as it should be.
    #[error("{} is not what the manifest says of {name}: {why}; delete it, and it is downloaded again", .object.display())]
    WrongObject {
        /// The file in the store.
        object: PathBuf,
        /// Its name in the manifest.
        name: FileName,
        /// What is wrong.
        why: String,
    },
    /// The diff was made on another base.
    #[error(
        "the diff of {image} {version} was made on the base of {backing}, but the base of this version is \
         of {base}: with it the diff would give a broken system. Publish base and diff together"
    )]
    SwappedBase {
        /// The image.
        image: ImageName,
        /// The version.
        version: VersionName,
        /// The base that the diff names.
        backing: String,
        /// The base that is there.
        base: String,
    },
    /// Something is uploaded, or an upload was cut off.
    #[error(
        "{} says that an image is being uploaded, or that an upload was cut off; when none runs, move it away",
        .file.display()
    )]
    Uploading {
        /// The file.
        file: PathBuf,
    },
    /// The image's folder is something else.
    #[error("{} is no folder", .path.display())]
    NoFolder {
        /// What should be one.
        path: PathBuf,
    },
    /// A file cannot be used.
    #[error("{doing} {} failed", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// linbo-torrent could not be run.
    #[error("the old files' seeders could not be stopped")]
    Program(#[source] ProcessError),
    /// linbo-torrent failed.
    #[error(
        "linbo-torrent stop {file} {how}, so the files were not exchanged; the old ones are in service"
    )]
    Torrent {
        /// The file.
        file: FileName,
        /// How it ended.
        how: String,
    },
}

impl From<ActivateError> for Failure {
    fn from(error: ActivateError) -> Self {
        anyhow::Error::new(error).into()
    }
}

/// Where an activation happens.
#[derive(Debug)]
pub struct Place<'a, D> {
    /// Where things are.
    pub paths: &'a Paths,
    /// What programs are called.
    pub commands: &'a Commands,
    /// Digests of files.
    pub digests: &'a Arc<D>,
}

/// Puts a version that is in the store into service under the image's name. Does nothing when it is.
///
/// # Errors
///
/// See [`ActivateError`].
pub async fn activate<D: KnownDigests + Send + Sync + 'static>(
    place: &Place<'_, D>,
    image: &ImageName,
    version: &VersionName,
    manifest: &Digest,
) -> Result<(), Failure> {
    perform(place, image, version, manifest, Arc::new(|_| Ok(()))).await
}

/// Called before each change of the file system with what is about to be done.
type Between = Arc<dyn Fn(&'static str) -> io::Result<()> + Send + Sync>;

async fn perform<D: KnownDigests + Send + Sync + 'static>(
    place: &Place<'_, D>,
    image: &ImageName,
    version: &VersionName,
    digest: &Digest,
    between: Between,
) -> Result<(), Failure> {
    let store = StoreFolder::new(&place.paths.store);
    store
        .prepare(&place.paths.linbo)
        .map_err(ActivateError::Store)?;
    let found = store.read_manifest(digest).map_err(ActivateError::Store)?;
    let fits = |found: &Manifest| found.image() == image && found.version() == version;
    let manifest = found
        .filter(fits)
        .ok_or_else(|| ActivateError::NoManifest {
            image: image.clone(),
            version: version.clone(),
            manifest: *digest,
        })?;
    let live = place.paths.linbo.join("images").join(image.as_str());
    let exchange = Arc::new(Exchange {
        store,
        manifest,
        live,
        digests: Arc::clone(place.digests),
        between,
    });

    let preparing = Arc::clone(&exchange);
    let Some(seeded) = blocking(move || preparing.prepare()).await? else {
        return Ok(());
    };
    for file in &seeded {
        stop_seeding(&place.commands.linbo_torrent, file).await?;
    }
    let exchanging = Arc::clone(&exchange);
    let done = blocking(move || exchanging.exchange()).await;
    if done.is_err() && !exchange.is_done() {
        // The old set stays in service, so it is to be seeded again; the failure itself is the news.
        for file in &seeded {
            let start = torrent(&place.commands.linbo_torrent, "start", file)
                .run()
                .await;
            tracing::debug!(%file, ?start, "the old set is seeded again");
        }
    }
    Ok(done?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ActivateError> + Send + 'static,
) -> Result<T, ActivateError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(ActivateError::File {
                doing: "exchanging",
                path: PathBuf::new(),
                source: io::Error::other(error),
            })
        })
}

fn torrent(command: &Path, verb: &str, file: &FileName) -> Program {
    Program::new("linbo_torrent", command)
        .arg(verb)
        .arg(file.as_str())
        .deadline(STOP)
}

async fn stop_seeding(command: &Path, file: &FileName) -> Result<(), Failure> {
    let stopped = torrent(command, "stop", file)
        .run()
        .await
        .map_err(ActivateError::Program)?;
    if stopped.is_success() {
        return Ok(());
    }
    let error = ActivateError::Torrent {
        file: file.clone(),
        how: stopped.how(),
    };
    Err(Failure::Failed {
        error: anyhow::Error::new(error),
        evidence: stopped.last_lines(10),
    })
}

#[cfg(test)]
mod tests;
