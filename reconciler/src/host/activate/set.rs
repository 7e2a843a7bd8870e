//! The two sets and their exchange, in steps of which each may be the last before a crash.
//!
//! After the exchange the store's staging folder is the former live one. Which of the two it is, its
//! inode number says, noted before anything else: a new set that is not live yet is rebuilt, a former
//! one is never deleted here but becomes the previous set.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use schema::name::FileName;

use super::{ActivateError, Between};
use crate::host::files;
use crate::host::store::{KnownDigests, StoreFolder};
use crate::linbo::image_info::ImageRecord;
use crate::manifest::{Manifest, ManifestFile};

/// `nobody` and `nogroup` of Debian, whom LINBO gives its images (`linbo-torrent`).
const NOBODY: u32 = 65534;

/// What may be changed in place, as `.reg` files are by LINBO's hooks, is copied, so that the store
/// keeps what was verified. Images are larger, and only ever replaced.
const COPIED: u64 = 1024 * 1024;

pub(super) struct Exchange<D> {
    pub(super) store: StoreFolder,
    pub(super) manifest: Manifest,
    pub(super) live: PathBuf,
    pub(super) digests: Arc<D>,
    pub(super) between: Between,
}

fn at<T>(doing: &'static str, path: &Path, done: io::Result<T>) -> Result<T, ActivateError> {
    done.map_err(|source| ActivateError::File {
        doing,
        path: path.to_owned(),
        source,
    })
}

impl<D: KnownDigests> Exchange<D> {
    fn staging(&self) -> PathBuf {
        self.store.staging(self.manifest.image())
    }

    fn note(&self) -> PathBuf {
        self.staging().with_extension("inode")
    }

    fn step(&self, doing: &'static str, path: &Path) -> Result<(), ActivateError> {
        at(doing, path, (self.between)(doing))
    }

    /// Finishes an earlier call and builds the new set. None when it is live already, else the image
    /// files of the old one.
    pub(super) fn prepare(&self) -> Result<Option<Vec<FileName>>, ActivateError> {
        self.settle()?;
        if self.is_live() {
            return Ok(None);
        }
        self.refuse_upload()?;
        self.check_objects()?;
        self.check_base()?;
        self.build()?;
        let image = self.manifest.image();
        let names = ["qcow2", "qdiff"].map(|ending| format!("{image}.{ending}").parse().ok());
        let old = names
            .into_iter()
            .flatten()
            .filter(|name: &FileName| self.live.join(name.as_str()).exists());
        Ok(Some(old.collect()))
    }

    /// Exchanges both sets.
    pub(super) fn exchange(&self) -> Result<(), ActivateError> {
        self.refuse_upload()?;
        let (staging, live) = (self.staging(), &self.live);
        self.step("exchanging", live)?;
        if live.exists() {
            let exchanged = renameat_with(CWD, &staging, CWD, live, RenameFlags::EXCHANGE);
            at("exchanging", live, exchanged.map_err(io::Error::from))?;
        } else {
            at("putting in place", live, fs::rename(&staging, live))?;
        }
        for folder in [files::parent(live), files::parent(&staging)] {
            at("writing to the disk", folder, files::sync_folder(folder))?;
        }
        self.settle()?;
        for file in self.manifest.files() {
            let (object, path) = (
                self.store.object(&file.sha256),
                live.join(file.name.as_str()),
            );
            self.digests.adopt(&object, &path);
        }
        Ok(())
    }

    /// Whether the new set is in its place.
    pub(super) fn is_done(&self) -> bool {
        let noted = fs::read_to_string(self.note()).ok();
        let staged = fs::metadata(self.staging())
            .ok()
            .map(|found| found.ino().to_string());
        // Without a note it was settled.
        noted.is_none() || noted != staged
    }

    fn is_live(&self) -> bool {
        let is_it = |file: &ManifestFile| {
            let path = self.live.join(file.name.as_str());
            fs::metadata(&path).is_ok_and(|found| found.len() == file.size)
                && self
                    .digests
                    .of(&path)
                    .is_ok_and(|digest| digest == file.sha256)
        };
        let has = |ending: &str| {
            self.live
                .join(format!("{}.{ending}", self.manifest.image()))
                .exists()
        };
        let foreign_diff = self.manifest.diff().is_none() && (has("qdiff") || has("qdiff.info"));
        !foreign_diff && self.manifest.files().iter().all(is_it)
    }

    /// Puts the former live folder, if there is one, where the previous set belongs.
    fn settle(&self) -> Result<(), ActivateError> {
        let (staging, note) = (self.staging(), self.note());
        let noted = at("reading", &note, files::if_there(fs::read_to_string(&note)))?;
        let found = at(
            "looking at",
            &staging,
            files::if_there(fs::symlink_metadata(&staging)),
        )?;
        let previous = self.store.previous(self.manifest.image());
        let older = previous.with_extension("older");
        if let Some(found) = found
            && noted != Some(found.ino().to_string())
        {
            self.move_folders(&staging)?;
            if previous.exists() {
                at("removing", &older, remove_folder(&older))?;
                self.step("setting aside", &previous)?;
                at("setting aside", &previous, fs::rename(&previous, &older))?;
            }
            self.step("keeping", &staging)?;
            at("keeping", &staging, fs::rename(&staging, &previous))?;
            let folder = files::parent(&previous);
            at("writing to the disk", folder, files::sync_folder(folder))?;
        }
        if previous.exists() {
            self.step("removing", &older)?;
            at("removing", &older, remove_folder(&older))?;
        }
        if !staging.exists() {
            self.step("forgetting", &note)?;
            at("forgetting", &note, files::remove_if_there(&note))?;
        }
        Ok(())
    }

    /// Moves the folders of the former set into the live one; `backups` is one, and has to stay.
    fn move_folders(&self, former: &Path) -> Result<(), ActivateError> {
        // Somebody may have removed the live set after a crash; the backups have to stay nevertheless.
        at("making", &self.live, files::make_folder(&self.live, 0o755))?;
        for (path, found) in at("reading", former, entries(former))? {
            let Some(name) = path.file_name().filter(|_| found.is_dir()) else {
                continue;
            };
            let to = self.live.join(name);
            if !to.exists() {
                self.step("moving", &path)?;
                at("moving", &path, fs::rename(&path, &to))?;
                continue;
            }
            // An upload has made one meanwhile. What has the same name twice stays in the previous set.
            for (inner, _) in at("reading", &path, entries(&path))? {
                let to = to.join(inner.file_name().unwrap_or_default());
                if !to.exists() {
                    self.step("moving", &inner)?;
                    at("moving", &inner, fs::rename(&inner, to))?;
                }
            }
        }
        at(
            "writing to the disk",
            &self.live,
            files::sync_folder(&self.live),
        )
    }

    fn refuse_upload(&self) -> Result<(), ActivateError> {
        let Some(found) = at(
            "looking at",
            &self.live,
            files::if_there(fs::symlink_metadata(&self.live)),
        )?
        else {
            return Ok(());
        };
        if !found.is_dir() {
            return Err(ActivateError::NoFolder {
                path: self.live.clone(),
            });
        }
        let temporary = format!(".{}.", self.manifest.image());
        for (file, _) in at("reading", &self.live, entries(&self.live))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".BAK") || name.starts_with(&temporary) {
                return Err(ActivateError::Uploading { file });
            }
        }
        Ok(())
    }

    fn check_objects(&self) -> Result<(), ActivateError> {
        for file in self.manifest.files() {
            let object = self.store.object(&file.sha256);
            let wrong = |why| {
                let (object, name) = (object.clone(), file.name.clone());
                Err(ActivateError::WrongObject { object, name, why })
            };
            let Some(found) = at(
                "looking at",
                &object,
                files::if_there(fs::symlink_metadata(&object)),
            )?
            else {
                return wrong("it is not there".to_owned());
            };
            if found.len() != file.size {
                return wrong(format!(
                    "it has {} bytes instead of {}",
                    found.len(),
                    file.size
                ));
            }
            let digest = at("reading", &object, self.digests.of(&object))?;
            if digest != file.sha256 {
                return wrong(format!("it has {digest} instead of {}", file.sha256));
            }
        }
        Ok(())
    }

    fn check_base(&self) -> Result<(), ActivateError> {
        let (image, version) = (self.manifest.image(), self.manifest.version());
        let record = |ending: &str| {
            let Some(file) = self.manifest.file(&format!("{image}.{ending}.info")) else {
                return Ok(None);
            };
            let object = self.store.object(&file.sha256);
            at("reading", &object, fs::read(&object)).map(|bytes| Some(ImageRecord::parse(&bytes)))
        };
        let (Some(base), Some(diff)) = (record("qcow2")?, record("qdiff")?) else {
            return Ok(());
        };
        if base.timestamp == diff.backing {
            return Ok(());
        }
        let text = |stamp: Option<schema::text::ImageStamp>| {
            stamp.map_or("an unknown time".to_owned(), |stamp| {
                stamp.as_str().to_owned()
            })
        };
        let (backing, base) = (text(diff.backing), text(base.timestamp));
        Err(ActivateError::SwappedBase {
            image: image.clone(),
            version: version.clone(),
            backing,
            base,
        })
    }

    /// Builds the new set. What lies there is a new set that never went live.
    fn build(&self) -> Result<(), ActivateError> {
        let (staging, note) = (self.staging(), self.note());
        self.step("removing", &staging)?;
        at("removing", &staging, remove_folder(&staging))?;
        at("forgetting", &note, files::remove_if_there(&note))?;
        // Under its name it is known by its note from the beginning.
        let new = staging.with_extension("new");
        self.step("making", &new)?;
        at(
            "making",
            &new,
            remove_folder(&new).and_then(|()| files::make_folder(&new, 0o755)),
        )?;
        let made = at("looking at", &new, fs::metadata(&new))?;
        self.step("noting", &note)?;
        at(
            "noting",
            &note,
            files::write_atomically(&note, made.ino().to_string().as_bytes(), 0o600),
        )?;
        self.step("naming", &staging)?;
        at("naming", &staging, fs::rename(&new, &staging))?;
        for file in self.manifest.files() {
            let (object, to) = (
                self.store.object(&file.sha256),
                staging.join(file.name.as_str()),
            );
            self.step("placing", &to)?;
            if file.size <= COPIED {
                let copied = fs::copy(&object, &to).and_then(|_| fs::File::open(&to)?.sync_all());
                at("copying", &to, copied)?;
            } else {
                at("linking", &to, fs::hard_link(&object, &to))?;
            }
            // Password hashes are for root alone, as LINBO's hook leaves them.
            let given = if file.name.as_str().ends_with(".macct") {
                fs::set_permissions(&to, Permissions::from_mode(0o600))
            } else {
                give(&to, 0o664)
            };
            at("giving away", &to, given)?;
            // A link changes the time of a file's last change, though not a byte of it.
            self.digests.learn(&object, &file.sha256);
        }
        let live = at(
            "looking at",
            &self.live,
            files::if_there(fs::metadata(&self.live)),
        )?;
        if let Some(live) = live {
            for (path, found) in at("reading", &self.live, entries(&self.live))? {
                let Some(name) = path.file_name() else {
                    continue;
                };
                let to = staging.join(name);
                if found.is_file() && self.is_the_schools(&name.to_string_lossy()) && !to.exists() {
                    self.step("linking", &path)?;
                    at("linking", &path, fs::hard_link(&path, &to))?;
                }
            }
            let like = owned(&staging, live.uid(), live.gid())
                .and_then(|()| fs::set_permissions(&staging, live.permissions()));
            at("giving away", &staging, like)?;
        } else {
            at("giving away", &staging, give(&staging, 0o775))?;
        }
        at(
            "writing to the disk",
            &staging,
            files::sync_folder(&staging),
        )
    }

    /// Whether a file of the old set belongs to the school and not to the content of the old image.
    fn is_the_schools(&self, name: &str) -> bool {
        let image = self.manifest.image();
        let bound = |ending: &str| {
            let rest = name.strip_prefix(&format!("{image}.{ending}"));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let foreign = [".torrent", ".hash", ".BAK", ".macct"]
            .iter()
            .any(|ending| name.ends_with(ending));
        let desc = name == format!("{image}.qcow2.desc");
        desc || !(foreign || bound("qcow2") || bound("qdiff"))
    }
}

fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let read = fs::read_dir(folder)?.map(|entry| {
        let path = entry?.path();
        Ok(files::if_there(fs::symlink_metadata(&path))?.map(|found| (path, found)))
    });
    let mut found: Vec<_> = read
        .filter_map(io::Result::transpose)
        .collect::<io::Result<_>>()?;
    found.sort_by(|(one, _), (two, _)| one.cmp(two));
    Ok(found)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    files::if_there(fs::remove_dir_all(path)).map(|_| ())
}

/// As LINBO's own images are: nobody's, if this is root; anyone else cannot give files away.
fn give(path: &Path, mode: u32) -> io::Result<()> {
    owned(path, NOBODY, NOBODY)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn owned(path: &Path, user: u32, group: u32) -> io::Result<()> {
    match chown(path, Some(user), Some(group)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}
