//! What image files hold that are not in the store but may be the same files: in LINBO's folders of the store's images,
//! and in the sets that lay there before, wherever an activation that was cut off left them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use schema::digest::Digest;
use schema::name::ImageName;

use super::read::stat;
use super::{Digests, blocking};
use crate::config::Paths;
use crate::planning::{Probe, Store};

/// Looks at the folders of all images of which the store has a version.
pub(super) async fn look(
    paths: &Paths,
    store: &Probe<Store>,
    digests: &Digests,
) -> Probe<BTreeSet<Digest>> {
    let Some(store) = store.seen() else {
        // That it cannot be seen is said already, and nothing of it is deleted.
        return Probe::Seen(BTreeSet::new());
    };
    let images: BTreeSet<ImageName> = store
        .manifests
        .values()
        .map(|manifest| manifest.image().clone())
        .collect();
    let (paths, digests) = (paths.clone(), digests.clone());
    let look = move || {
        let mut kept = BTreeSet::new();
        for image in &images {
            let sets = [
                paths.linbo.join("images").join(image.as_str()),
                paths.store.join("previous").join(image.as_str()),
                paths.store.join("previous").join(format!("{image}.older")),
                paths.store.join("staging").join(image.as_str()),
            ];
            for set in sets {
                for ending in ["qcow2", "qdiff"] {
                    match digest(&set.join(format!("{image}.{ending}")), &digests) {
                        Ok(found) => kept.extend(found),
                        Err(cause) => return Probe::Unseen(cause),
                    }
                }
            }
        }
        Probe::Seen(kept)
    };
    blocking(look).await
}

/// What a file holds; none when it is not there. What is a name of a file of the store is not read again.
fn digest(path: &Path, digests: &Digests) -> Result<Option<Digest>, String> {
    if stat(path)?.is_none() {
        return Ok(None);
    }
    match digests.of_blocking(path) {
        Ok(digest) => Ok(Some(digest)),
        // An activation that runs moves it; nothing is deleted meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!(
            "cannot get the digest of {}: {error}",
            path.display()
        )),
    }
}
