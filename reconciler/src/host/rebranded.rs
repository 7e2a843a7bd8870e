//! What was moved into the domain of this school: taken from where LINBO uploaded it into the store, as a version of
//! this school.
//!
//! # Invariants
//!
//! What a client said of its upload counts for nothing: the file, its `.info`, its machine account and what `qemu-img`
//! finds are looked at. A diff is taken only if it was made on the base of the very version that it belongs to. What
//! LINBO has is not changed: the store gets copies, under the names of the image. The manifest comes last, so that
//! whatever is cut off has taken nothing.

mod stage;
mod upload;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::digest::Digest;
use schema::name::{FileName, ImageName};
use schema::text::ImageStamp;

use crate::config::{Commands, Paths};
use crate::host::files;
use crate::host::process::{Finished, ProcessError, Program};
use crate::host::store::{KnownDigests, StoreError, StoreFolder};
use crate::linbo::image_info::ImageRecord;
use crate::manifest::{MadeFrom, Manifest, ManifestError, ManifestFile, digest_of};
use upload::Upload;

/// How long `qemu-img` may take to check an image of 60 GiB on a slow disk.
const CHECK: Duration = Duration::from_secs(60 * 60);

/// Why an upload is not taken. The store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebrandedError {
    /// There is nothing under that name.
    #[error("there is no image {name} in {}", .folder.display())]
    NoUpload {
        /// The name.
        name: ImageName,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// It is not done.
    #[error(
        "{} says that an upload runs, or was cut off: wait for its end, or when none runs, move the file away and upload \
         once more",
        .file.display()
    )]
    Uploading {
        /// The file.
        file: PathBuf,
    },
    /// It is not what it says.
    #[error("{}: {why}", .file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The base below it is another one.
    #[error(
        "{} is not the base of {image} {version}, so that what was made on it belongs to another version: in the VM, \
         sync that version, and make the diff anew",
        .file.display()
    )]
    OtherBase {
        /// The base.
        file: PathBuf,
        /// The image.
        image: ImageName,
        /// The version that is wanted.
        version: schema::name::VersionName,
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
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// `qemu-img` could not be run.
    #[error("the image cannot be checked")]
    Program(#[from] ProcessError),
    /// What was made is no version.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

fn at<T>(doing: &'static str, path: &Path, done: io::Result<T>) -> Result<T, RebrandedError> {
    done.map_err(|source| RebrandedError::File {
        doing,
        path: path.to_owned(),
        source,
    })
}

fn wrong<T>(file: &Path, why: impl Into<String>) -> Result<T, RebrandedError> {
    Err(RebrandedError::Wrong {
        file: file.to_owned(),
        why: why.into(),
    })
}

/// Where an upload is taken.
#[derive(Debug)]
pub struct Place<'a, D> {
    /// Where things are.
    pub paths: &'a Paths,
    /// What programs are called.
    pub commands: &'a Commands,
    /// Digests of files.
    pub digests: &'a D,
}

/// Takes what lies under the name `from` in LINBO's folder into the store, as what was made of `published`.
///
/// # Errors
///
/// See [`RebrandedError`].
pub async fn take<D: KnownDigests>(
    place: &Place<'_, D>,
    from: &ImageName,
    published: &Manifest,
    made: MadeFrom,
) -> Result<(Digest, Manifest), RebrandedError> {
    let store = StoreFolder::new(&place.paths.store);
    store.prepare(&place.paths.linbo)?;
    let upload = Upload::find(&place.paths.linbo, from)?;
    if upload.is_diff {
        let file = upload.base();
        if at("reading", &file, place.digests.of(&file))? != published.base().sha256 {
            let (image, version) = (published.image().clone(), published.version().clone());
            return Err(RebrandedError::OtherBase {
                file,
                image,
                version,
            });
        }
    }
    check(&place.commands.qemu_img, &upload).await?;

    let folder = aside(&store, published.image())?;
    let taken = match copy(place, &upload, published, &folder).await {
        Ok(taken) => {
            let stays = staying(published, &taken);
            keep(
                place,
                &store,
                (published.image(), stays, taken),
                published,
                made,
            )
        }
        Err(error) => Err(error),
    };
    remove(&folder)?;
    taken
}

/// Makes a published version ready under the name that the VM loads: the store has it under that name afterwards.
///
/// # Errors
///
/// See [`RebrandedError`].
pub async fn stage<D: KnownDigests>(
    place: &Place<'_, D>,
    published: &Digest,
    to: &ImageName,
    made: MadeFrom,
) -> Result<(Digest, Manifest), RebrandedError> {
    let store = StoreFolder::new(&place.paths.store);
    store.prepare(&place.paths.linbo)?;
    let Some(manifest) = store.read_manifest(published)? else {
        return wrong(&store.manifest(published), "it is not there");
    };
    let folder = aside(&store, to)?;
    let staged = match stage::renamed(place, &store, &manifest, to, &folder).await {
        Ok((base, taken)) => keep(place, &store, (to, vec![base], taken), &manifest, made),
        Err(error) => Err(error),
    };
    remove(&folder)?;
    staged
}

/// A new folder in the store, on the file system of its objects.
fn aside(store: &StoreFolder, image: &ImageName) -> Result<PathBuf, RebrandedError> {
    let folder = store.staging(image).with_extension("own");
    remove(&folder)?;
    at("making", &folder, files::make_folder(&folder, 0o700))?;
    Ok(folder)
}

fn remove(folder: &Path) -> Result<(), RebrandedError> {
    let removed = files::if_there(fs::remove_dir_all(folder));
    at("removing", folder, removed).map(|_| ())
}

/// Whether `qemu-img` finds an image that depends on nothing but the base that it should.
async fn check(qemu_img: &Path, upload: &Upload) -> Result<(), RebrandedError> {
    let file = upload.file();
    let words = ["info", "--output=json", "-f", "qcow2", "--"];
    let found = run(qemu_img, &words, &file).await?;
    if !found.is_success() || !found.stdout_is_whole {
        return wrong(&file, said(&found));
    }
    let info: serde_json::Value = match serde_json::from_slice(&found.stdout) {
        Ok(info) => info,
        Err(error) => return wrong(&file, format!("qemu-img says what is no JSON: {error}")),
    };
    let backing = info["backing-filename"].as_str();
    let base = upload.is_diff.then(|| upload.name_of("qcow2"));
    if backing != base.as_deref() {
        let backing = backing.unwrap_or("none");
        let base = base.as_deref().unwrap_or("none");
        return wrong(
            &file,
            format!("its backing file is {backing} and not {base}"),
        );
    }
    if !info["format-specific"]["data"]["data-file"].is_null() {
        return wrong(&file, "what it holds is in another file");
    }
    let found = run(qemu_img, &["check", "-q", "-f", "qcow2", "--"], &file).await?;
    if found.is_success() {
        Ok(())
    } else {
        wrong(&file, said(&found))
    }
}

async fn run(qemu_img: &Path, words: &[&str], file: &Path) -> Result<Finished, ProcessError> {
    Program::new("qemu_img", qemu_img)
        .args(words)
        .arg(file)
        .deadline(CHECK)
        .run()
        .await
}

fn said(found: &Finished) -> String {
    format!(
        "qemu-img {}: {}",
        found.how(),
        found.last_lines(3).join("; ")
    )
}

/// Copies of what was uploaded, under the names of the image.
async fn copy<D>(
    place: &Place<'_, D>,
    upload: &Upload,
    published: &Manifest,
    folder: &Path,
) -> Result<Vec<(FileName, PathBuf)>, RebrandedError> {
    let image = published.image();
    let ending = if upload.is_diff { "qdiff" } else { "qcow2" };
    let name = |ending: &str| -> Result<(FileName, PathBuf), RebrandedError> {
        let name = format!("{image}.{ending}");
        let path = folder.join(&name);
        match name.parse() {
            Ok(name) => Ok((name, path)),
            Err(error) => wrong(&path, format!("{error}")),
        }
    };
    let (file, info, account) = (
        name(ending)?,
        name(&format!("{ending}.info"))?,
        name(&format!("{ending}.macct"))?,
    );
    at("copying", &file.1, fs::copy(upload.file(), &file.1))?;
    if upload.is_diff {
        // The name alone changes: its content was compared.
        let base = format!("{image}.qcow2");
        let words = [
            "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", &base, "--",
        ];
        let found = run(&place.commands.qemu_img, &words, &file.1).await?;
        if !found.is_success() {
            return wrong(&file.1, said(&found));
        }
    }
    let size = at("looking at", &file.1, fs::metadata(&file.1))?.len();
    let record = ImageRecord {
        image: Some(file.0.clone()),
        size: Some(size),
        ..upload.record.clone()
    };
    at("writing", &info.1, fs::write(&info.1, record.render()))?;
    at(
        "copying",
        &account.1,
        fs::copy(upload.account(), &account.1),
    )?;
    Ok(vec![file, info, account])
}

/// The files of a version that stay what they are: a diff takes the place of the diff, and a whole image of both.
fn staying(published: &Manifest, taken: &[(FileName, PathBuf)]) -> Vec<ManifestFile> {
    let image = published.image();
    let bound = |name: &FileName, ending: &str| {
        let rest = name.as_str().strip_prefix(&format!("{image}.{ending}"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let has_base = taken.iter().any(|(name, _)| bound(name, "qcow2"));
    let goes = |file: &&ManifestFile| {
        bound(&file.name, "qdiff") || (has_base && bound(&file.name, "qcow2"))
    };
    let stays = published.files().iter().filter(|file| !goes(file));
    stays.cloned().collect()
}

/// Puts copies into the store, then the manifest that names them and those files that stay.
fn keep<D: KnownDigests>(
    place: &Place<'_, D>,
    store: &StoreFolder,
    (image, stays, taken): (&ImageName, Vec<ManifestFile>, Vec<(FileName, PathBuf)>),
    published: &Manifest,
    made: MadeFrom,
) -> Result<(Digest, Manifest), RebrandedError> {
    let stays = stays.into_iter();
    let mut all: BTreeMap<FileName, ManifestFile> =
        stays.map(|file| (file.name.clone(), file)).collect();
    for (name, path) in taken {
        let size = at("looking at", &path, fs::metadata(&path))?.len();
        let synced = fs::File::open(&path).and_then(|file| file.sync_all());
        at("writing to the disk", &path, synced)?;
        let sha256 = at("reading", &path, place.digests.of(&path))?;
        let object = store.object(&sha256);
        if !object.exists() {
            let closed = fs::set_permissions(&path, Permissions::from_mode(0o600));
            at("closing", &path, closed)?;
            at("keeping", &object, fs::rename(&path, &object))?;
            place.digests.adopt(&path, &object);
        }
        all.insert(name.clone(), ManifestFile { name, size, sha256 });
    }
    let folder = store.object(&published.base().sha256);
    let folder = files::parent(&folder);
    at("writing to the disk", folder, files::sync_folder(folder))?;
    let (image, version) = (image.clone(), published.version().clone());
    let manifest = Manifest::made_here(image, version, all.into_values().collect(), made)?;
    let text = manifest.to_json()?;
    let digest = digest_of(text.as_bytes());
    let path = store.manifest(&digest);
    let written = files::write_atomically(&path, text.as_bytes(), 0o600);
    at("writing", &path, written)?;
    Ok((digest, manifest))
}

/// The state that an `.info` names, for messages.
fn shown(stamp: Option<&ImageStamp>) -> &str {
    stamp.map_or("none", ImageStamp::as_str)
}

#[cfg(test)]
mod tests;
