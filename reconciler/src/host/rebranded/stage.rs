//! A published version under another name in the store, for the VM in which it is moved into the school's domain.

use std::fs;
use std::path::{Path, PathBuf};

use schema::name::{FileName, ImageName};

use super::{Place, RebrandedError, at, run, said, wrong};
use crate::host::files;
use crate::host::store::{KnownDigests, StoreFolder};
use crate::linbo::image_info::ImageRecord;
use crate::manifest::{Manifest, ManifestFile};

/// Files of a version under another name: the base is the same, the diff is a copy that names it, and each `.info` speaks
/// of them. What runs on PCs besides (`.postsync` and the like) is left out.
pub(super) async fn renamed<D: KnownDigests>(
    place: &Place<'_, D>,
    store: &StoreFolder,
    published: &Manifest,
    to: &ImageName,
    folder: &Path,
) -> Result<(ManifestFile, Vec<(FileName, PathBuf)>), RebrandedError> {
    let image = published.image();
    let name = |ending: &str| -> Result<FileName, RebrandedError> {
        let name = format!("{to}.{ending}");
        match name.parse() {
            Ok(name) => Ok(name),
            Err(error) => wrong(&folder.join(name), format!("{error}")),
        }
    };
    let base = ManifestFile {
        name: name("qcow2")?,
        ..published.base().clone()
    };
    let mut made = Vec::new();
    if let Some(diff) = published.diff() {
        let name = name("qdiff")?;
        let path = folder.join(name.as_str());
        at(
            "copying",
            &path,
            fs::copy(store.object(&diff.sha256), &path),
        )?;
        let words = ["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b"];
        let words: Vec<&str> = words
            .into_iter()
            .chain([base.name.as_str(), "--"])
            .collect();
        let found = run(&place.commands.qemu_img, &words, &path).await?;
        if !found.is_success() {
            return wrong(&path, said(&found));
        }
        made.push((name, path));
    }
    for ending in ["qcow2", "qdiff"] {
        let Some(info) = published.file(&format!("{image}.{ending}.info")) else {
            continue;
        };
        let object = store.object(&info.sha256);
        let bytes = at("reading", &object, files::if_there(fs::read(&object)))?;
        let Some(bytes) = bytes else {
            return wrong(&object, "it is not there");
        };
        let record = ImageRecord {
            image: Some(name(ending)?),
            ..ImageRecord::parse(&bytes)
        };
        let name = name(&format!("{ending}.info"))?;
        let path = folder.join(name.as_str());
        at("writing", &path, fs::write(&path, record.render()))?;
        made.push((name, path));
    }
    Ok((base, made))
}
