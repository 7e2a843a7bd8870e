//! Deletion of one version from the store.
//!
//! # Invariants
//!
//! A file goes when no other manifest of the store names it, and only under its name in the store: LINBO's folder and
//! the set before it have names of their own for what they need. The manifest goes last, so that whoever is killed
//! before that finds out by it what is left to do.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use schema::digest::Digest;

use crate::config::Paths;
use crate::host::digests::Digests;
use crate::host::download::only_writer;
use crate::host::files;
use crate::host::store::{StoreError, StoreFolder};
use crate::manifest::Manifest;
use crate::world::Failure;

/// How long to wait for somebody who still writes a file of it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        anyhow::Error::new(error).into()
    }
}

/// Called before each change of the file system with what is about to be done to which path.
type Between = Arc<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// Deletes the version with this manifest and what it alone names. Does nothing when it is not there.
///
/// # Errors
///
/// When something cannot be read or deleted. What is left is found again by its manifest.
pub async fn delete(paths: &Paths, digests: &Digests, manifest: &Digest) -> Result<(), Failure> {
    perform(paths, digests, manifest, Arc::new(|_| Ok(()))).await
}

async fn perform(
    paths: &Paths,
    digests: &Digests,
    digest: &Digest,
    between: Between,
) -> Result<(), Failure> {
    let store = StoreFolder::new(&paths.store);
    let Some(manifest) = store.read_manifest(digest)? else {
        return Ok(());
    };
    let alone = alone(&store, digest, &manifest)?;
    // A transfer whose reconciler died may still write one of them.
    let mut locks = Vec::new();
    for file in &alone {
        locks.push(only_writer(&store, file, crate::host::clock() + PATIENCE).await?);
    }
    let (digest, digests) = (*digest, digests.clone());
    let removing = move || {
        let _locks = locks;
        for file in &alone {
            remove_folder(&store.basis(file), &between)?;
            for path in [store.partial(file), store.object(file), store.lock(file)] {
                remove(&path, &between)?;
                digests.forget(&path);
            }
        }
        let path = store.manifest(&digest);
        for folder in alone.iter().map(|file| store.object(file)).take(1) {
            sync(files::parent(&folder))?;
        }
        remove(&path, &between)?;
        sync(files::parent(&path))
    };
    let removed: Result<(), StoreError> = tokio::task::spawn_blocking(removing)
        .await
        .map_err(anyhow::Error::new)?;
    Ok(removed?)
}

/// The contents that this manifest names and no other one in the store. One that is damaged may name any, so it has
/// to go first.
fn alone(
    store: &StoreFolder,
    digest: &Digest,
    manifest: &Manifest,
) -> Result<BTreeSet<Digest>, StoreError> {
    let files = |manifest: &Manifest| -> Vec<Digest> {
        manifest.files().iter().map(|file| file.sha256).collect()
    };
    let mut alone: BTreeSet<Digest> = files(manifest).into_iter().collect();
    for other in store.names_of_manifests()? {
        if other != *digest
            && let Some(manifest) = store.read_manifest(&other)?
        {
            for file in files(&manifest) {
                alone.remove(&file);
            }
        }
    }
    Ok(alone)
}

fn remove(path: &Path, between: &Between) -> Result<(), StoreError> {
    let removed = between(path).and_then(|()| files::remove_if_there(path));
    removed.map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })
}

fn remove_folder(path: &Path, between: &Between) -> Result<(), StoreError> {
    let removed = between(path).and_then(|()| files::if_there(fs::remove_dir_all(path)));
    removed.map(|_| ()).map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    files::sync_folder(folder).map_err(|source| StoreError::File {
        path: folder.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
