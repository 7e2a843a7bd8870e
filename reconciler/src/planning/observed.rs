//! What a server found out about itself, and when it looked.
//!
//! What could not be seen is [`Probe::Unseen`], never absent: no plan acts on a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::name::{ClassName, Domain, FileName, HostName, ImageName};
use schema::text::ImageStamp;
use serde::Serialize;

use crate::linbo::devices::Devices;
use crate::linbo::image_info::ImageRecord;
use crate::linbo::status::HostReport;
use crate::manifest::{MadeFrom, Manifest, ManifestFile};
use crate::planning::action::Step;
use crate::planning::desired::Desired;
use crate::planning::journal::Journal;
use crate::planning::orders::Orders;

/// Something that was looked at: what was found, or why nothing could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe<T> {
    /// It was seen, and this is what it was.
    Seen(T),
    /// It could not be seen; the text says what was tried and why it failed.
    Unseen(String),
}

impl<T> Probe<T> {
    /// What was seen, by reference.
    pub const fn as_ref(&self) -> Probe<&T> {
        match self {
            Self::Seen(found) => Probe::Seen(found),
            Self::Unseen(_) => Probe::Unseen(String::new()),
        }
    }

    /// What was seen. Whoever calls this decides what to do when nothing was: there is no default.
    pub const fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(found) => Some(found),
            Self::Unseen(_) => None,
        }
    }

    /// Why nothing was seen.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Seen(_) => None,
            Self::Unseen(cause) => Some(cause),
        }
    }
}

/// What a server found out about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// When it looked.
    pub at: Timestamp,
    /// The rows of `devices.csv`.
    pub devices: Probe<Devices>,
    /// What belongs to each wanted hardware class, and to others that hosts of wanted rooms have or boot.
    pub classes: BTreeMap<ClassName, Probe<ClassFiles>>,
    /// Hosts of wanted rooms that are led to the `start.conf` of another class when they boot than `devices.csv` gives
    /// them, and to which. Copies share them.
    pub astray: Probe<Arc<BTreeMap<HostName, ClassName>>>,
    /// LINBO's folder of each wanted image.
    pub live: BTreeMap<ImageName, Probe<LiveImage>>,
    /// The reconciler's own store.
    pub store: Probe<Store>,
    /// What the image files hold that lie in LINBO's folders of the store's images, and in the sets that were there
    /// before.
    pub kept: Probe<BTreeSet<Digest>>,
    /// The last report of each host of a wanted room; none when there is none. Copies share them.
    pub reports: Arc<BTreeMap<HostName, Probe<Option<HostReport>>>>,
    /// Hosts on which something runs that this pass did not start.
    pub busy: Probe<BTreeMap<HostName, Busy>>,
    /// What people ordered on this server.
    pub orders: Probe<Orders>,
    /// Hosts that this server woke or worked on lately, and that are still on: LINBO answers, and nothing
    /// is known to run there.
    pub left_on: Probe<BTreeSet<HostName>>,
    /// What waits for hosts of wanted rooms when LINBO comes up there, as somebody else wrote it, without
    /// passwords: the reconciler writes no such file.
    pub onboot: Probe<BTreeMap<HostName, String>>,
    /// The image files that are really seeded: by a process, not by a session alone.
    pub seeded: Probe<BTreeSet<FileName>>,
    /// What was done before.
    pub journal: Journal,
    /// What this pass is doing.
    pub running: Vec<Running>,
}

/// The files of one hardware class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassFiles {
    /// The text of `start.conf.<class>`; none when there is no such file.
    pub start_conf: Option<String>,
    /// What `linuxmuster-import-devices` made of it.
    pub grub: Grub,
}

/// The state of `boot/grub/<class>.cfg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grub {
    /// Newer than `start.conf.<class>`.
    Current,
    /// Older than it, or not there.
    Stale,
    /// Kept by hand: without the marker by which the import knows its own files.
    ByHand,
}

/// LINBO's folder of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LiveImage {
    /// `<image>.qcow2`, if it is there.
    pub base: Option<ImageFile>,
    /// `<image>.qdiff`, if it is there.
    pub diff: Option<ImageFile>,
    /// An upload from a client runs or was cut off: `.BAK` files or rsync's temporary ones lie there.
    pub uploading: bool,
}

/// One image file in LINBO's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Its size in bytes.
    pub size: u64,
    /// Its digest; none for images whose digest nobody asks for.
    pub sha256: Option<Digest>,
    /// When it was written, by the file's own time.
    pub written: Timestamp,
    /// Its `.info`, if that is there and can be read.
    pub record: Option<ImageRecord>,
    /// Its `.torrent`.
    pub torrent: Torrent,
}

/// The state of an image file's `.torrent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torrent {
    /// Not older than the image file.
    Current,
    /// Older than the image file: a seeder would write the old content back.
    Stale,
    /// Not there.
    Missing,
}

/// The reconciler's own store of downloaded files, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Store {
    /// Manifests, by the digest in Git.
    pub manifests: BTreeMap<Digest, Manifest>,
    /// Verified files.
    pub objects: BTreeSet<Digest>,
    /// Files that are no longer what they were when they were downloaded: they count as absent.
    pub damaged: BTreeSet<Digest>,
    /// Bytes of files whose download was begun.
    pub partial: BTreeMap<Digest, u64>,
    /// Free bytes on its file system.
    pub free: u64,
}

impl Store {
    /// The bytes that a download of this manifest would still have to move; none while the manifest
    /// itself is not there.
    #[must_use]
    pub fn missing(&self, manifest: &Digest) -> Option<u64> {
        let missing = self
            .manifests
            .get(manifest)?
            .files()
            .iter()
            .filter(|file| !self.objects.contains(&file.sha256));
        // Two names for one content are moved once.
        let sizes: BTreeMap<_, _> = missing.map(|file| (file.sha256, file.size)).collect();
        let left = |(digest, size): (&Digest, &u64)| {
            size.saturating_sub(self.partial.get(digest).copied().unwrap_or(0))
        };
        Some(sizes.iter().map(left).fold(0, u64::saturating_add))
    }

    /// What was made of a published version for a domain, as a whole: the latest.
    #[must_use]
    pub fn rebranded(&self, published: &Digest, domain: &Domain) -> Option<(&Digest, &Manifest)> {
        self.made_from(published, |_, made| {
            let of = made.domain.as_ref();
            of.is_some_and(|of| of.as_str().eq_ignore_ascii_case(domain.as_str()))
        })
    }

    /// A published version under another name, as a whole.
    #[must_use]
    pub fn renamed(&self, published: &Digest, to: &ImageName) -> Option<(&Digest, &Manifest)> {
        self.made_from(published, |manifest, made| {
            made.domain.is_none() && manifest.image() == to
        })
    }

    fn made_from(
        &self,
        published: &Digest,
        is_it: impl Fn(&Manifest, &MadeFrom) -> bool,
    ) -> Option<(&Digest, &Manifest)> {
        let found = self.manifests.iter().filter_map(|(digest, manifest)| {
            let made = manifest.made_from()?;
            let is_it = made.source == *published && is_it(manifest, made);
            (is_it && self.is_complete(digest)).then_some((made.at, digest, manifest))
        });
        let latest = found.max_by_key(|(at, digest, _)| (*at, *digest));
        latest.map(|(_, digest, manifest)| (digest, manifest))
    }

    /// The contents that this manifest names and no other one here.
    #[must_use]
    pub fn alone(&self, manifest: &Digest) -> BTreeSet<Digest> {
        let named = self.manifests.get(manifest).into_iter();
        let named = named.flat_map(|manifest| manifest.files());
        let mut alone: BTreeSet<Digest> = named.map(|file| file.sha256).collect();
        for (_, other) in self
            .manifests
            .iter()
            .filter(|(digest, _)| *digest != manifest)
        {
            for file in other.files() {
                alone.remove(&file.sha256);
            }
        }
        alone
    }

    /// The bytes that are free once this manifest and what it alone names are gone.
    #[must_use]
    pub fn weight(&self, manifest: &Digest) -> u64 {
        let alone = self.alone(manifest);
        let files = self.manifests.get(manifest).into_iter();
        let files = files.flat_map(|manifest| manifest.files());
        let sizes: BTreeMap<_, _> = files.map(|file| (file.sha256, file.size)).collect();
        let weight = |digest: &Digest| match sizes.get(digest) {
            Some(size) if self.objects.contains(digest) => *size,
            _ => self.partial.get(digest).copied().unwrap_or(0),
        };
        alone.iter().map(weight).fold(0, u64::saturating_add)
    }

    /// Whether all files of this manifest are there and verified.
    #[must_use]
    pub fn is_complete(&self, manifest: &Digest) -> bool {
        self.manifests.get(manifest).is_some_and(|manifest| {
            manifest
                .files()
                .iter()
                .all(|file| self.objects.contains(&file.sha256))
        })
    }
}

/// What keeps a host busy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Busy {
    /// What it is.
    pub by: Occupant,
    /// Since when: a session since it was made, a command of ours since the journal says that it was begun.
    pub since: Timestamp,
    /// When it should have ended at the latest, by the settings of the server.
    pub until: Timestamp,
}

/// Who works on a busy host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupant {
    /// A tmux session of `linbo-remote`. Whose it is cannot be told: it is named by the host alone.
    Session,
    /// A command that an earlier pass began, and the file that it writes to and holds locked.
    Orphan(String),
}

impl Busy {
    /// Whether it lasts longer than any command may, so that it hardly ends by itself.
    #[must_use]
    pub fn hangs(&self, at: Timestamp) -> bool {
        self.until <= at
    }
}

/// A step that this pass is performing.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// The step. Copies share it.
    pub step: Arc<Step>,
    /// When it began.
    pub since: Timestamp,
    /// Its hosts that were woken or were on already, and when they were admitted to their circuits.
    pub admitted: BTreeMap<HostName, Timestamp>,
    /// Its hosts whose outcome is known: they are off, or soon will be.
    pub heard: BTreeSet<HostName>,
}

impl Running {
    /// A step that has just begun.
    #[must_use]
    pub fn begun(step: impl Into<Arc<Step>>, since: Timestamp) -> Self {
        Self {
            step: step.into(),
            since,
            admitted: BTreeMap::new(),
            heard: BTreeSet::new(),
        }
    }
}

impl LiveImage {
    /// Whether it holds exactly what `manifest` says.
    #[must_use]
    pub fn holds(&self, manifest: &Manifest) -> bool {
        let is = |file: &Option<ImageFile>, wanted: Option<&ManifestFile>| match (file, wanted) {
            (None, None) => true,
            (Some(file), Some(wanted)) => {
                // Without its record clients cannot tell which version a file is.
                let has_record = manifest.file(&format!("{}.info", wanted.name)).is_some();
                file.sha256 == Some(wanted.sha256) && (file.record.is_some() || !has_record)
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        is(&self.base, Some(manifest.base())) && is(&self.diff, manifest.diff())
    }

    /// Its image files with their names.
    pub fn files(&self, image: &ImageName) -> impl Iterator<Item = (FileName, &ImageFile)> {
        let name = |ending: &str| format!("{image}.{ending}").parse().ok();
        let base = self
            .base
            .as_ref()
            .and_then(|file| Some((name("qcow2")?, file)));
        let diff = self
            .diff
            .as_ref()
            .and_then(|file| Some((name("qdiff")?, file)));
        base.into_iter().chain(diff)
    }

    /// The image file of this name.
    #[must_use]
    pub fn file(&self, name: &FileName) -> Option<&ImageFile> {
        match name.as_str().strip_prefix(name.stem())? {
            ".qcow2" => self.base.as_ref(),
            ".qdiff" => self.diff.as_ref(),
            _ => None,
        }
    }

    /// The state of the image, by which hosts know it: its last file, which is the diff where there is one, and the
    /// timestamp of that. None when either is missing.
    #[must_use]
    pub fn state(&self, image: &ImageName) -> Option<(FileName, &ImageFile, &ImageStamp)> {
        let (name, file) = self.files(image).last()?;
        let stamp = file.record.as_ref()?.timestamp.as_ref()?;
        Some((name, file, stamp))
    }
}

impl Observed {
    /// What the state repo says, as far as people let it count on this server by what they ordered, and with what was
    /// made here of published versions in their place.
    #[must_use]
    pub fn obeyed(&self, desired: &Arc<Desired>) -> Arc<Desired> {
        // Nothing is done as long as it is not known what they ordered.
        let orders = self.orders.seen();
        let rebranded = self.store.seen().and_then(|store| desired.rebranded(store));
        let before = rebranded.as_ref().unwrap_or(desired);
        let obeying = orders.and_then(|orders| before.obeying(orders));
        match obeying.or(rebranded) {
            Some(changed) => Arc::new(changed),
            None => Arc::clone(desired),
        }
    }

    /// Everything that could not be seen, by name and cause. Not empty means: incomplete, exit 1.
    #[must_use]
    pub fn blind_spots(&self) -> Vec<String> {
        let single = [
            self.devices.cause(),
            self.astray.cause(),
            self.store.cause(),
            self.kept.cause(),
            self.busy.cause(),
            self.orders.cause(),
            self.left_on.cause(),
            self.onboot.cause(),
            self.seeded.cause(),
        ];
        let classes = self.classes.values().map(Probe::cause);
        let live = self.live.values().map(Probe::cause);
        let reports = self.reports.values().map(Probe::cause);
        let all = single.into_iter().chain(classes).chain(live).chain(reports);
        all.flatten().map(str::to_owned).collect()
    }
}
