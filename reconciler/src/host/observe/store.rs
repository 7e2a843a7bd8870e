//! The reconciler's own store: `manifests/<hex>.json`, `objects/<hex>`, `partial/<hex>`.
//!
//! Only a verified file is ever given a name in `objects`. It is compared again all the same: it may be
//! the same file as one in LINBO's folder, into which a seeder may have written.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use futures_util::future::join_all;
use schema::digest::Digest;

use super::read::{Links, names, read, stat};
use super::{Digests, blocking};
use crate::manifest::{self, Manifest};
use crate::planning::{Probe, Store};

/// What lies there, objects not compared yet.
struct Found {
    store: Store,
    objects: Vec<Digest>,
}

pub(super) async fn look(root: &Path, digests: &Digests) -> Probe<Store> {
    let folder = root.to_owned();
    let found = blocking(move || match files(&folder) {
        Ok(found) => Probe::Seen(found),
        Err(cause) => Probe::Unseen(cause),
    });
    let Found { mut store, objects } = match found.await {
        Probe::Seen(found) => found,
        Probe::Unseen(cause) => return Probe::Unseen(cause),
    };
    let compared = objects.into_iter().map(|wanted| async move {
        let path = root.join("objects").join(wanted.hex());
        let digest = digests.of(&path).await;
        (wanted, path, digest)
    });
    for (wanted, path, digest) in join_all(compared).await {
        match digest {
            Ok(digest) if digest == wanted => _ = store.objects.insert(wanted),
            Ok(digest) => {
                store.damaged.insert(wanted);
                tracing::warn!(
                    file = %path.display(),
                    %digest,
                    "this file is no longer what it was when it was downloaded; it counts as absent"
                );
            }
            Err(error) => {
                return Probe::Unseen(format!(
                    "cannot get the digest of {}: {error}",
                    path.display()
                ));
            }
        }
    }
    Probe::Seen(store)
}

fn files(root: &Path) -> Result<Found, String> {
    let mut store = Store {
        free: free(root)?,
        ..Store::default()
    };
    for (name, digest) in digests_in(&root.join("manifests"), ".json")? {
        let path = root.join("manifests").join(name);
        match read(&path, manifest::LONGEST as u64, Links::Refused) {
            Ok(Some(file)) => match manifest(&file.bytes, digest) {
                Ok(manifest) => drop(store.manifests.insert(digest, manifest)),
                Err(why) => {
                    tracing::warn!(file = %path.display(), why, "this manifest counts as absent");
                }
            },
            Ok(None) => {}
            Err(cause) => return Err(cause),
        }
    }
    let mut partial = BTreeMap::new();
    for (name, digest) in digests_in(&root.join("partial"), "")? {
        if let Some(found) = stat(&root.join("partial").join(name))? {
            partial.insert(digest, found.len());
        }
    }
    store.partial = partial;
    let objects = digests_in(&root.join("objects"), "")?
        .into_iter()
        .map(|(_, digest)| digest)
        .collect();
    Ok(Found { store, objects })
}

fn manifest(bytes: &[u8], wanted: Digest) -> Result<Manifest, String> {
    if manifest::digest_of(bytes) != wanted {
        return Err("its digest is not its name".to_owned());
    }
    Manifest::parse_kept(bytes).map_err(|error| error.to_string())
}

/// The entries of a folder that are named by a digest and an ending. Others are nobody's, so they are
/// left alone: temporary ones, say.
fn digests_in(folder: &Path, ending: &str) -> Result<Vec<(String, Digest)>, String> {
    let names = names(folder)?.unwrap_or_default();
    let named = names.into_iter().filter_map(|name| {
        let digest: Digest = format!("sha256:{}", name.strip_suffix(ending)?)
            .parse()
            .ok()?;
        // As it is written here: with small letters.
        (format!("{}{ending}", digest.hex()) == name).then_some((name, digest))
    });
    Ok(named.collect())
}

/// The free bytes of the file system on which the store is or will be.
fn free(root: &Path) -> Result<u64, String> {
    for folder in root.ancestors() {
        match rustix::fs::statvfs(folder) {
            Ok(found) => return Ok(found.f_bavail.saturating_mul(found.f_frsize)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(format!(
                    "cannot tell the free space of {}: {error}",
                    folder.display()
                ));
            }
        }
    }
    Err(format!("no folder above {} is there", root.display()))
}
