//! What is true at one school, whatever its server believes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::digest::Digest;
use schema::fleet::DeviceRow;
use schema::name::{ClassName, FileName, HostName, ImageName, RoomName, SchoolName, TestClassName};
use schema::text::ImageStamp;

use super::fault::{Kind, Sense};
use super::pc::Pc;
use super::time::Moment;
use super::word;
use crate::linbo::devices::Devices;
use crate::linbo::image_info::ImageRecord;
use crate::linbo::status::HostReport;
use crate::manifest::Manifest;
use crate::planning::{
    ClassFiles, Desired, Grub, ImageFile, Journal, LiveImage, Orders, Probe, Purpose, Store,
    Torrent,
};

/// One school: its server and its PCs.
#[derive(Debug)]
pub struct School {
    /// Its name.
    pub name: SchoolName,
    /// The zone of its clocks.
    pub zone: TimeZone,
    /// What the server has on its disk.
    pub disk: Disk,
    /// Its PCs.
    pub pcs: BTreeMap<HostName, Pc>,
    /// What goes wrong just now, by the number of the fault.
    pub faults: BTreeMap<usize, Kind>,
    /// What was last seen of the hosts' reports.
    pub read: Reports,
}

/// The reports of the hosts of some rooms, as they are seen.
#[derive(Debug, Default)]
pub struct Reports {
    rooms: Vec<RoomName>,
    seen: Arc<BTreeMap<HostName, Probe<Option<HostReport>>>>,
}

/// The server's disk: what a backup holds and a restart finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disk {
    /// `devices.csv`
    pub devices: Devices,
    /// The files of hardware classes.
    pub classes: BTreeMap<ClassName, Class>,
    /// The classes that LINBO's links lead hosts to.
    pub boots: Arc<BTreeMap<HostName, ClassName>>,
    /// All of these classes.
    pub booted: BTreeSet<ClassName>,
    /// Hosts that the links lead to another class than `devices.csv` gives them, and to which.
    pub astray: Arc<BTreeMap<HostName, ClassName>>,
    /// LINBO's folder of each image.
    pub live: BTreeMap<ImageName, Live>,
    /// The reconciler's store.
    pub store: Depot,
    /// The journal, folded.
    pub journal: Journal,
    /// The commit applied last, by its number in the history; the journal says so.
    pub applied: Option<usize>,
    /// What people ordered on the server.
    pub orders: Orders,
    /// What was moved into the domain of the school: images by what they hold.
    pub moved: BTreeSet<(ImageName, Contents)>,
}

/// The files of one hardware class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Class {
    /// The text of `start.conf.<class>`.
    pub start_conf: Option<String>,
    /// How often that file was written.
    pub written: u64,
    /// Which writing the boot configuration was made from.
    pub boot_of: Option<u64>,
    /// Whether the boot configuration is kept by hand.
    pub by_hand: bool,
}

impl Class {
    /// What one sees of it.
    #[must_use]
    pub fn seen(&self) -> ClassFiles {
        let grub = if self.by_hand {
            Grub::ByHand
        } else if self.start_conf.is_some() && self.boot_of == Some(self.written) {
            Grub::Current
        } else {
            Grub::Stale
        };
        ClassFiles {
            start_conf: self.start_conf.clone(),
            grub,
        }
    }

    /// Replaces `start.conf` as a whole.
    pub fn write(&mut self, text: Option<String>) {
        self.start_conf = text;
        self.written += 1;
    }
}

/// LINBO's folder of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// `<image>.qcow2`
    pub base: Option<File>,
    /// `<image>.qdiff`
    pub diff: Option<File>,
    /// Whether an upload from a client lies there.
    pub uploading: bool,
}

/// What the files of an image hold: base and diff.
pub type Contents = (Option<Digest>, Option<Digest>);

impl Live {
    /// Its files.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut File> {
        self.base.iter_mut().chain(&mut self.diff)
    }

    /// What its files hold.
    #[must_use]
    pub fn contents(&self) -> Contents {
        let content = |file: &Option<File>| file.as_ref().map(|file| file.content);
        (content(&self.base), content(&self.diff))
    }

    /// The names of its files that are seeded.
    pub fn seeded(&self, image: &ImageName) -> Vec<FileName> {
        let seen = self.seen();
        let files = seen.files(image).zip(self.base.iter().chain(&self.diff));
        let seeded = files.filter(|(_, file)| file.is_seeded());
        seeded.map(|((name, _), _)| name).collect()
    }

    /// What one sees of it.
    #[must_use]
    pub fn seen(&self) -> LiveImage {
        let seen = |file: &Option<File>| file.as_ref().map(File::seen);
        LiveImage {
            base: seen(&self.base),
            diff: seen(&self.diff),
            uploading: self.uploading,
        }
    }
}

/// An image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its size.
    pub size: u64,
    /// The digest of what is really in it.
    pub content: Digest,
    /// The base that a diff was made for.
    pub backing: Option<Digest>,
    /// The content that its torrent was made of.
    pub torrent: Option<Digest>,
    /// Whether a process seeds it.
    pub seeded: bool,
    /// The state in its `.info`.
    stamp: Option<ImageStamp>,
}

impl File {
    /// A file without a torrent.
    #[must_use]
    pub fn new(size: u64, content: Digest, backing: Option<Digest>) -> Self {
        Self {
            size,
            content,
            backing,
            torrent: None,
            seeded: false,
            stamp: word::stamp(content),
        }
    }

    /// The same, seeded.
    #[must_use]
    pub const fn seeding(mut self) -> Self {
        self.seed(Some(self.content));
        self
    }

    /// From now on its torrent is of this content, and seeded; none ends that.
    pub const fn seed(&mut self, content: Option<Digest>) {
        self.torrent = content;
        self.seeded = content.is_some();
    }

    /// Whether clients can load it from each other and from the server.
    #[must_use]
    pub fn is_seeded(&self) -> bool {
        self.seeded && self.torrent == Some(self.content)
    }

    fn seen(&self) -> ImageFile {
        let torrent = match self.torrent {
            None => Torrent::Missing,
            Some(content) if content == self.content => Torrent::Current,
            Some(_) => Torrent::Stale,
        };
        ImageFile {
            size: self.size,
            sha256: Some(self.content),
            written: jiff::Timestamp::UNIX_EPOCH,
            record: Some(ImageRecord {
                timestamp: self.stamp.clone(),
                ..ImageRecord::default()
            }),
            torrent,
        }
    }
}

/// The reconciler's store as it really is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depot {
    /// Manifests by the digest in Git.
    pub manifests: BTreeMap<Digest, Manifest>,
    /// Files by the digest under which they lie there: what is really in them, and their size.
    pub objects: BTreeMap<Digest, (Digest, u64)>,
    /// Bytes of files that are not there to their end.
    pub partial: BTreeMap<Digest, u64>,
    /// Those of them that did not arrive as they were sent.
    pub garbled: BTreeSet<Digest>,
    /// What each image held in LINBO's folder before it was exchanged last: that set is kept.
    pub before: BTreeMap<ImageName, Contents>,
    /// The size of its file system.
    pub capacity: u64,
}

impl Depot {
    /// Free bytes.
    #[must_use]
    pub fn free(&self, full: bool) -> u64 {
        let objects: u64 = self.objects.values().map(|(_, size)| size).sum();
        let used = objects + self.partial.values().sum::<u64>();
        if full {
            0
        } else {
            self.capacity.saturating_sub(used)
        }
    }

    /// The manifests of what was made here of published versions and is there as a whole.
    #[must_use]
    pub fn rebranded(&self) -> BTreeSet<Digest> {
        let made = self.manifests.iter().filter(|(_, manifest)| {
            let mut files = manifest.files().iter();
            manifest.made_from().is_some()
                && files.all(|file| self.objects.contains_key(&file.sha256))
        });
        made.map(|(digest, _)| *digest).collect()
    }

    /// What one sees of it.
    #[must_use]
    pub fn seen(&self, full: bool) -> Store {
        Store {
            manifests: self.manifests.clone(),
            objects: self.objects.keys().copied().collect(),
            damaged: BTreeSet::new(),
            partial: self.partial.clone(),
            free: self.free(full),
        }
    }
}

impl Disk {
    /// What the image files hold that lie in LINBO's folders, and in the sets that lay there before.
    #[must_use]
    pub fn kept(&self) -> BTreeSet<Digest> {
        let live = self.live.values().map(Live::contents);
        let all = live.chain(self.store.before.values().copied());
        all.flat_map(|(base, diff)| base.into_iter().chain(diff))
            .collect()
    }
}

impl School {
    /// Whether something of this kind goes wrong now.
    #[must_use]
    pub fn suffers(&self, which: impl Fn(&Kind) -> bool) -> bool {
        self.faults.values().any(which)
    }

    /// Whether something cannot be seen now.
    #[must_use]
    pub fn is_blind(&self, sense: Sense) -> bool {
        self.suffers(|kind| *kind == Kind::Blind(sense))
    }

    /// How far the server's clock is from the truth, in milliseconds.
    #[must_use]
    pub fn clock_error(&self) -> i64 {
        let errors = self.faults.values().filter_map(|kind| match kind {
            Kind::Clock(seconds) => Some(seconds * 1000),
            _ => None,
        });
        errors.sum()
    }

    /// What one sees of the reports of a room's hosts. What has not changed since the last look is shared with it.
    pub fn reports(
        &mut self,
        desired: &Desired,
    ) -> Arc<BTreeMap<HostName, Probe<Option<HostReport>>>> {
        let Self {
            read, pcs, disk, ..
        } = self;
        if !read.rooms.iter().eq(desired.rooms.keys()) {
            let hosts = desired
                .rooms
                .keys()
                .flat_map(|room| disk.devices.in_room(room));
            let seen = hosts.filter_map(|device| {
                let report = pcs.get(&device.host)?.report.clone();
                Some((device.host.clone(), Probe::Seen(report)))
            });
            read.seen = Arc::new(seen.collect());
            read.rooms = desired.rooms.keys().cloned().collect();
        } else if pcs.values().any(|pc| pc.is_new) {
            let all = Arc::make_mut(&mut read.seen);
            for (host, pc) in pcs.iter().filter(|(_, pc)| pc.is_new) {
                if let Some(seen) = all.get_mut(host) {
                    *seen = Probe::Seen(pc.report.clone());
                }
            }
        }
        pcs.values_mut().for_each(|pc| pc.is_new = false);
        Arc::clone(&read.seen)
    }

    /// Replaces `devices.csv`.
    pub fn replace(&mut self, devices: Devices) {
        for device in devices.rows() {
            self.pcs.entry(device.host.clone()).or_default();
        }
        self.disk.devices = devices;
        self.read.rooms.clear();
        self.find_astray();
    }

    fn find_astray(&mut self) {
        let Disk { devices, boots, .. } = &self.disk;
        let class = |host| devices.get(host).map(|row| &row.class);
        let astray = boots
            .iter()
            .filter(|(host, boots)| class(host).is_some_and(|class| class != *boots));
        let astray: BTreeMap<_, _> = astray
            .map(|(host, boots)| (host.clone(), boots.clone()))
            .collect();
        self.disk.astray = Arc::new(astray);
    }

    /// Leads each host to the class that `devices.csv` gives it, as an import does.
    pub fn link(&mut self) {
        let rows = self.disk.devices.rows().iter();
        let linked = rows.filter(|row| row.pxe.is_reset());
        let links = linked.map(|row| (row.host.clone(), row.class.clone()));
        let links: BTreeMap<_, _> = links.collect();
        if *self.disk.boots != links {
            self.disk.booted = links.values().cloned().collect();
            self.disk.boots = Arc::new(links);
        }
        self.find_astray();
    }

    /// The commands of others that wait for hosts, as they stand in their files.
    pub fn onboot(&self) -> impl Iterator<Item = (&HostName, &str)> {
        self.faults.values().filter_map(|kind| match kind {
            Kind::Onboot(host) => Some((host, "format:1,new:1")),
            _ => None,
        })
    }

    /// Lets all PCs come to where they are by now.
    pub fn settle(&mut self, now: Moment) {
        for pc in self.pcs.values_mut() {
            pc.settle(now, &self.zone);
        }
    }

    /// Hosts that are on because the reconciler woke them.
    pub fn woken(&self, now: Moment) -> impl Iterator<Item = &HostName> {
        self.pcs
            .iter()
            .filter(move |(_, pc)| pc.woken && pc.is_on(now))
            .map(|(host, _)| host)
    }

    /// Everything that is not as it should be, hosts left out; empty when the server is as it is to be.
    #[must_use]
    pub fn wanting(
        &self,
        desired: &Desired,
        published: &BTreeMap<Digest, Manifest>,
        at: Timestamp,
    ) -> Vec<String> {
        let mut wanting = self.misplaced(desired, at);
        wanting.extend(self.wrong_rows(desired));
        let is_over = |test: &TestClassName| !desired.tests(at).any(|(name, _)| name == test);
        let over = desired.test_classes.keys().filter(|test| is_over(test));
        let over: BTreeSet<&str> = over.map(TestClassName::as_str).collect();
        let classes = desired.classes.iter();
        for (name, class) in classes.filter(|(name, _)| !over.contains(name.as_str())) {
            let found = self.disk.classes.get(name).cloned().unwrap_or_default();
            let text = found.start_conf.as_deref();
            if !text.is_some_and(|text| class.is_said_by(text)) {
                wanting.push(format!("start.conf.{name} is not as it should be"));
            } else if !found.by_hand
                && found.boot_of != Some(found.written)
                && self.disk.devices.of_class(name).next().is_some()
            {
                wanting.push(format!("the boot configuration of {name} is old"));
            }
        }
        let today = desired.day(at);
        let is_wanted = |purpose| !matches!(purpose, Purpose::TestClass { until } if until < today);
        for ((image, version), wanted) in &desired.images {
            if !is_wanted(wanted.purpose) {
                continue;
            }
            let made = || self.disk.store.manifests.get(&wanted.manifest);
            let Some(manifest) = published.get(&wanted.manifest).or_else(made) else {
                continue;
            };
            // What the VM does with it is its own affair, and it loads by rsync.
            if wanted.purpose == Purpose::Vm {
                let live = self.disk.live.get(image);
                let base = live.and_then(|live| live.contents().0);
                if base != Some(manifest.base().sha256) {
                    wanting.push(format!("{image} is not ready for the VM"));
                }
                continue;
            }
            let live = self.disk.live.get(image).cloned().unwrap_or_default();
            let contents = (
                Some(manifest.base().sha256),
                manifest.diff().map(|file| file.sha256),
            );
            if live.contents() != contents {
                wanting.push(format!("{image} is not {version}"));
            }
            for file in live.base.iter().chain(&live.diff) {
                if !file.is_seeded() {
                    wanting.push(format!("{image} is not seeded"));
                }
            }
        }
        wanting
    }

    /// Rows of `devices.csv` that the state repo keeps and that say something else, or that no import has seen.
    fn wrong_rows(&self, desired: &Desired) -> Vec<String> {
        let rooms = desired.rooms.iter();
        let kept = rooms.flat_map(|(name, room)| room.devices.iter().map(move |row| (name, row)));
        let wrong =
            kept.filter(
                |(room, (host, wanted))| match (wanted, self.disk.devices.get(host)) {
                    (DeviceRow::Removed, found) => {
                        found.is_some_and(|row| row.room == **room)
                            || self.disk.boots.contains_key(*host)
                    }
                    (DeviceRow::Kept { .. }, None) => true,
                    (DeviceRow::Kept { mac, ip, .. }, Some(row)) => {
                        (&row.room, row.mac, row.ip) != (*room, Some(*mac), ip.fixed())
                            || !self.disk.boots.contains_key(*host)
                    }
                },
            );
        wrong
            .map(|(_, (host, _))| format!("the row of {host} is not as it should be"))
            .collect()
    }

    /// Hosts that have another class than that of their room or of the test class that is for them, or boot another.
    fn misplaced(&self, desired: &Desired, at: Timestamp) -> Vec<String> {
        let rows = self.disk.devices.rows().iter();
        let rows = rows.filter_map(|row| Some((row, desired.rooms.get(&row.room)?)));
        let wrong = rows.filter_map(|(row, room)| {
            let host = &row.host;
            let mut tests = desired.tests(at);
            let test = tests.find(|(_, test)| test.hosts.contains(host));
            let wanted = test.map_or(&room.class, |(_, test)| &test.class);
            let boots = self.disk.boots.get(host);
            if row.class != *wanted {
                Some(format!("{host} has class {} and not {wanted}", row.class))
            } else if boots.is_some_and(|boots| boots != wanted) {
                Some(format!("{host} boots another class than {wanted}"))
            } else {
                None
            }
        });
        wrong.collect()
    }
}
