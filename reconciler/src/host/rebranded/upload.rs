//! What LINBO uploaded: whether it is there as a whole, and belongs together.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::name::ImageName;

use super::{RebrandedError, at, shown, wrong};
use crate::host::files;
use crate::linbo::image_info::ImageRecord;

/// Far more than an `.info` or a machine account needs.
const LONGEST: u64 = 256 << 10;
/// The machine account is written after the image has arrived, by the clock of the same server.
const TOLERANCE: Duration = Duration::from_secs(60);

/// What lies under a name in LINBO's folder.
#[derive(Debug)]
pub(super) struct Upload {
    folder: PathBuf,
    name: ImageName,
    /// Whether it is a diff, on the base beside it.
    pub(super) is_diff: bool,
    /// What its `.info` says.
    pub(super) record: ImageRecord,
}

impl Upload {
    /// What lies there, if it is whole by all that its own files say.
    pub(super) fn find(linbo: &Path, name: &ImageName) -> Result<Self, RebrandedError> {
        let folder = linbo.join("images").join(name.as_str());
        let has = |ending: &str| folder.join(format!("{name}.{ending}")).exists();
        let is_diff = has("qdiff");
        if !is_diff && !has("qcow2") {
            return Err(RebrandedError::NoUpload {
                name: name.clone(),
                folder,
            });
        }
        let mut upload = Self {
            folder,
            name: name.clone(),
            is_diff,
            record: ImageRecord::default(),
        };
        upload.refuse_unfinished()?;
        upload.record = upload.read(&upload.file())?;
        upload.compare()?;
        upload.check_account()?;
        Ok(upload)
    }

    /// The name of one of its files.
    pub(super) fn name_of(&self, ending: &str) -> String {
        format!("{}.{ending}", self.name)
    }

    /// The image file that was uploaded.
    pub(super) fn file(&self) -> PathBuf {
        let ending = if self.is_diff { "qdiff" } else { "qcow2" };
        self.folder.join(self.name_of(ending))
    }

    /// The base.
    pub(super) fn base(&self) -> PathBuf {
        self.folder.join(self.name_of("qcow2"))
    }

    /// The account of the machine that uploaded it.
    pub(super) fn account(&self) -> PathBuf {
        beside(&self.file(), ".macct")
    }

    fn refuse_unfinished(&self) -> Result<(), RebrandedError> {
        let temporary = format!(".{}.", self.name);
        for entry in at("reading", &self.folder, fs::read_dir(&self.folder))? {
            let file = at("reading", &self.folder, entry)?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".BAK") || name.starts_with(&temporary) {
                return Err(RebrandedError::Uploading { file });
            }
        }
        Ok(())
    }

    fn read(&self, file: &Path) -> Result<ImageRecord, RebrandedError> {
        let info = beside(file, ".info");
        let Some(found) = at("looking at", &info, files::if_there(fs::metadata(&info)))? else {
            return wrong(
                &info,
                "it is missing, so the upload did not come to its end",
            );
        };
        if found.len() > LONGEST {
            return wrong(&info, "it is too long to be one");
        }
        let record = ImageRecord::parse(&at("reading", &info, fs::read(&info))?);
        match record.timestamp {
            Some(_) => Ok(record),
            None => wrong(&info, "it has no timestamp"),
        }
    }

    /// Whether the file is the one that its `.info` speaks of.
    fn compare(&self) -> Result<(), RebrandedError> {
        let (file, record) = (self.file(), &self.record);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let named = record.image.as_ref().map(|image| image.as_str());
        if named != Some(&*name) {
            let named = named.unwrap_or("no file");
            return wrong(&beside(&file, ".info"), format!("it speaks of {named}"));
        }
        let size = at("looking at", &file, fs::metadata(&file))?.len();
        if record.size != Some(size) {
            let said = record
                .size
                .map_or("none".to_owned(), |said| said.to_string());
            let why =
                format!("it has {size} bytes, and {said} by its .info: the upload was cut off");
            return wrong(&file, why);
        }
        if !self.is_diff {
            return Ok(());
        }
        let base = self.read(&self.base())?;
        if record.backing.is_none() || record.backing != base.timestamp {
            let why = format!(
                "it was made on the base of {}, and the one beside it is of {}",
                shown(record.backing.as_ref()),
                shown(base.timestamp.as_ref())
            );
            return wrong(&file, why);
        }
        Ok(())
    }

    /// Whether the account is that of this upload. Where the name of the machine cannot be found out, LINBO's hook
    /// deletes it, and no PC could log on.
    fn check_account(&self) -> Result<(), RebrandedError> {
        let (file, account) = (self.file(), self.account());
        let found = at(
            "looking at",
            &account,
            files::if_there(fs::metadata(&account)),
        )?;
        let Some(found) = found else {
            let why = "it is missing: no PC with this image could log on to the domain. Is there a DNS name for the \
                       address of the VM, and back?";
            return wrong(&account, why);
        };
        let modified = |found: &fs::Metadata, path| at("looking at", path, found.modified());
        let made = modified(&at("looking at", &file, fs::metadata(&file))?, &file)?;
        if modified(&found, &account)? + TOLERANCE < made {
            return wrong(
                &account,
                "it is older than the image, so it is that of an earlier upload",
            );
        }
        let holds = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            let mut values = text
                .lines()
                .filter_map(|line| line.strip_prefix("unicodePwd::"));
            values.any(|value| !value.trim().is_empty())
        };
        if found.len() > LONGEST || !holds(&at("reading", &account, fs::read(&account))?) {
            return wrong(&account, "it holds no password");
        }
        Ok(())
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
