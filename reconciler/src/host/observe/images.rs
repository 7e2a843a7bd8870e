//! LINBO's folder of an image.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schema::name::ImageName;

use super::read::{Links, modified, names, read, stat};
use super::{Digests, blocking};
use crate::linbo::image_info::ImageRecord;
use crate::planning::{ImageFile, LiveImage, Probe, Torrent};

/// Far more than an `.info` needs.
const LONGEST_INFO: u64 = 64 << 10;

/// What lies there, or in a folder like it; with digests when somebody asks for them.
pub(super) async fn look(
    folder: PathBuf,
    image: &ImageName,
    digests: Option<&Digests>,
) -> Probe<LiveImage> {
    let (inside, name) = (folder.clone(), image.clone());
    let found = blocking(move || match files(&inside, &name) {
        Ok(live) => Probe::Seen(live),
        Err(cause) => Probe::Unseen(cause),
    });
    let mut live = match found.await {
        Probe::Seen(live) => live,
        unseen => return unseen,
    };
    let Some(digests) = digests else {
        return Probe::Seen(live);
    };
    for (ending, file) in [("qcow2", &mut live.base), ("qdiff", &mut live.diff)] {
        let Some(file) = file else { continue };
        let path = folder.join(format!("{image}.{ending}"));
        match digests.of(&path).await {
            Ok(digest) => file.sha256 = Some(digest),
            Err(error) => {
                return Probe::Unseen(format!(
                    "cannot get the digest of {}: {error}",
                    path.display()
                ));
            }
        }
    }
    Probe::Seen(live)
}

fn files(folder: &Path, image: &ImageName) -> Result<LiveImage, String> {
    let [base, diff] = ["qcow2", "qdiff"].map(|ending| folder.join(format!("{image}.{ending}")));
    let (base, diff) = (file(&base)?, file(&diff)?);
    // After the files: what an upload moves away between the two looks leaves its `.BAK` in this one.
    let names = names(folder)?.unwrap_or_default();
    let listed = |ending: &str| {
        names
            .iter()
            .any(|name| *name == format!("{image}.{ending}"))
    };
    if listed("qcow2") != base.is_some() || listed("qdiff") != diff.is_some() {
        return Err(format!(
            "{} changed while it was looked at",
            folder.display()
        ));
    }
    let uploading = names
        .iter()
        .any(|name| name.ends_with(".BAK") || is_partial(image, name));
    Ok(LiveImage {
        base,
        diff,
        uploading,
    })
}

fn file(path: &Path) -> Result<Option<ImageFile>, String> {
    let Some(found) = stat(path)? else {
        return Ok(None);
    };
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::path::PathBuf::from(name)
    };
    let record = read(&beside(".info"), LONGEST_INFO, Links::Followed)?;
    let written = modified(path, &found)?;
    let path_of_torrent = beside(".torrent");
    let torrent = match stat(&path_of_torrent)? {
        None => Torrent::Missing,
        Some(torrent) if modified(&path_of_torrent, &torrent)? < written => Torrent::Stale,
        Some(_) => Torrent::Current,
    };
    let written = Timestamp::try_from(written)
        .map_err(|error| format!("cannot tell the time of {}: {error}", path.display()))?;
    let record = record.map(|record| ImageRecord::parse(&record.bytes));
    Ok(Some(ImageFile {
        size: found.len(),
        sha256: None,
        written,
        record,
        torrent,
    }))
}

/// Whether it is rsync's temporary name of one of the image's files: `.<file>.XXXXXX`.
fn is_partial(image: &ImageName, name: &str) -> bool {
    let rest = name
        .strip_prefix('.')
        .and_then(|name| name.strip_prefix(image.as_str()));
    let end = rest
        .and_then(|rest| rest.strip_prefix('.')?.rsplit_once('.'))
        .map(|(_, end)| end);
    end.is_some_and(|end| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
