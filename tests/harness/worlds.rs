//! Worlds to plan in: what a school wants and what its server finds, made by hand or at random.
//!
//! [`World::school`] is converged: every test begins there and breaks what it is about.

mod back;
mod dice;
mod evenings;
mod hosts;
mod random;
mod rebranded;
mod rows;
mod tried;
mod weeks;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reconciler::linbo::devices::Devices;
use reconciler::linbo::start_conf;
use reconciler::linbo::verdict::HostOutcome;
use reconciler::manifest::{Manifest, ManifestFile};
use reconciler::planning::slots::{Line, Release, Slots};
use reconciler::planning::{
    Allowance, ClassFiles, Desired, DesiredClass, DesiredImage, Entry, Grub, ImageFile, Journal,
    LiveImage, Observed, Orders, Probe, Purpose, Record, Server, Staff, Step, StepResult, Store,
    Torrent,
};
use schema::digest::Digest;
use schema::fleet::{
    Central, DefaultAction, DomainJoin, DownloadType, FileSystem, Firmware, HardwareClass, Origin,
    OsEntry, Partition, PowerBudget, ResetCommand, Retries, Rollout, Room, RoomHosts, RoomWindows,
    WorkWindows, Written,
};
use schema::name::{ClassName, HostName, ImageName, PowerGroupName, RoomName};
use schema::policy::InUse;
use schema::schedule::{FreeDays, Point, Schedule, Window, Windows};
use schema::units::Bytes;

pub use evenings::{Before, Evening, Stay, evenings, schools};
pub use hosts::{applied, busy, failed, unreachable};
pub use random::worlds;
pub use weeks::weeks;

/// One server: what it wants and what it finds.
#[derive(Debug, Clone)]
pub struct World {
    /// What it wants.
    pub desired: Desired,
    /// What it finds.
    pub observed: Observed,
    rows: Vec<String>,
    /// Whether LINBO's links lead hosts to classes.
    are_linked: bool,
}

/// A GiB.
pub const GIB: u64 = 1 << 30;

/// Any name or other text with a grammar.
///
/// # Panics
///
/// When the text is not admitted.
#[must_use]
#[expect(clippy::panic, reason = "a test may panic")]
pub fn name<T: FromStr>(text: &str) -> T
where
    T::Err: Debug,
{
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// The zone of all worlds made by hand.
#[must_use]
#[expect(clippy::expect_used, reason = "a test may panic")]
pub fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("the zone is known")
}

/// A local time in Berlin: `2026-11-23T18:00`.
#[must_use]
#[expect(clippy::expect_used, reason = "a test may panic")]
pub fn at(text: &str) -> Timestamp {
    let civil: DateTime = name(text);
    civil
        .to_zoned(berlin())
        .expect("a time of this era")
        .timestamp()
}

/// A day.
#[must_use]
pub fn day(text: &str) -> Date {
    name(text)
}

/// Windows, of which any may be open.
#[must_use]
pub fn windows(texts: &[&str]) -> Windows {
    texts.iter().map(|text| name::<Window>(text)).collect()
}

/// A schedule.
#[must_use]
pub fn schedule(texts: &[&str]) -> Schedule {
    texts.iter().map(|text| name::<Point>(text)).collect()
}

/// A digest that stands for `text`.
#[must_use]
pub fn digest(text: &str) -> Digest {
    reconciler::manifest::digest_of(text.as_bytes())
}

/// An operating system of a class.
#[must_use]
pub fn os(image: &str, reset: ResetCommand) -> OsEntry {
    let (kernel, initrd) = match reset {
        ResetCommand::Sync => (name("boot/vmlinuz"), name("boot/initrd.img")),
        ResetCommand::New => Default::default(),
    };
    OsEntry {
        name: name(image),
        image: name(image),
        root: name(image),
        autostart: false,
        default: DefaultAction::Sync,
        reset,
        kernel,
        initrd,
        append: name("ro splash"),
        icon: None,
        extra: BTreeMap::new(),
    }
}

/// A class with these operating systems, each on a partition of its own.
#[must_use]
pub fn class(class: &str, systems: &[OsEntry]) -> DesiredClass {
    let hardware = hardware(systems);
    DesiredClass {
        start_conf: start_conf::render(&name(class), &hardware),
        download: hardware.download,
        os: systems.to_vec(),
    }
}

fn hardware(systems: &[OsEntry]) -> HardwareClass {
    let partition = |label: &str, size: Option<u64>, fs, id: &str| Partition {
        label: name(label),
        size: size.map(|gib| Bytes(gib * GIB)),
        fs,
        id: name(id),
        bootable: false,
    };
    let roots = systems.iter().map(|os| match os.reset {
        ResetCommand::Sync => partition(os.root.as_str(), Some(50), FileSystem::Ext4, "83"),
        ResetCommand::New => partition(os.root.as_str(), Some(100), FileSystem::Ntfs, "07"),
    });
    let first = partition("efi", Some(1), FileSystem::Vfat, "ef");
    let last = partition("cache", None, FileSystem::Ext4, "83");
    HardwareClass {
        firmware: Firmware::Efi64,
        download: DownloadType::Torrent,
        disk: name("/dev/sda"),
        partitions: std::iter::once(first).chain(roots).chain([last]).collect(),
        os: systems.to_vec(),
        kernel_options: name("quiet splash"),
        extra: BTreeMap::new(),
    }
}

/// The manifest of a version, with files that stand for its name.
#[must_use]
#[expect(clippy::expect_used, reason = "a test may panic")]
pub fn manifest(image: &str, version: &str, base: u64, diff: Option<u64>) -> Manifest {
    let file = |ending: &str, size| ManifestFile {
        name: name(&format!("{image}.{ending}")),
        size,
        sha256: digest(&format!("{image} {version} {ending}")),
    };
    let files = std::iter::once(file("qcow2", base)).chain(diff.map(|size| file("qdiff", size)));
    Manifest::new(name(image), name(version), files.collect()).expect("a sound manifest")
}

/// The digest that Git has of a version's manifest.
#[must_use]
pub fn manifest_digest(image: &str, version: &str) -> Digest {
    digest(&format!("{image} {version}"))
}

/// LINBO's folder with the files of a manifest.
#[must_use]
pub fn live(manifest: &Manifest) -> LiveImage {
    let file = |file: &ManifestFile| ImageFile {
        size: file.size,
        sha256: Some(file.sha256),
        written: Timestamp::UNIX_EPOCH,
        record: Some(reconciler::linbo::image_info::ImageRecord::default()),
        torrent: Torrent::Current,
    };
    LiveImage {
        base: Some(file(manifest.base())),
        diff: manifest.diff().map(file),
        uploading: false,
    }
}

impl World {
    /// A school without rooms, images or classes. Downloads at night, activation outside of lessons,
    /// resets in the evening.
    #[must_use]
    pub fn empty(at: Timestamp) -> Self {
        let windows = WorkWindows {
            download: windows(&["daily 22:00–05:00"]),
            reset: windows(&["mon–fri 17:30–22:00"]),
            activate: windows(&["daily 17:00–07:00"]),
            lessons: windows(&["mon–fri 07:30–17:00"]),
        };
        let budget = PowerBudget {
            wake_per_minute: 6,
            on_at_once: 40,
        };
        let desired = Desired {
            server: Server::School(name("bs-nord")),
            zone: berlin(),
            windows,
            holidays: Arc::new(FreeDays::new([(
                day("2026-12-23"),
                day("2027-01-06"),
                "Weihnachtsferien".to_owned(),
            )])),
            central: Central {
                server: name("central.example.org"),
                port: 873,
                release_module: name("releases"),
                uplink: None,
            },
            download_rate: None,
            slots: None,
            images: BTreeMap::new(),
            others: BTreeMap::new(),
            gone_back: BTreeMap::new(),
            pinned: BTreeMap::new(),
            classes: BTreeMap::new(),
            rebrand: None,
            rooms: BTreeMap::new(),
            exams: Vec::new(),
            retries: Retries::default(),
            rollout: Rollout {
                waves: None,
                ..Rollout::default()
            },
            not_before: None,
            guard: Allowance {
                share: name("100 %"),
                origin: Origin::Default,
                file: "schools/bs-nord/school.yaml".to_owned(),
            },
            suspended: Default::default(),
            test_classes: BTreeMap::new(),
            power: BTreeMap::from([(PowerGroupName::default(), budget)]),
            staff: Some(Staff {
                title: name("Berufsschule Nord"),
                domain: name("bs-nord.example"),
                announce: None,
            }),
        };
        let observed = Observed {
            at,
            devices: Probe::Seen(Devices::default()),
            astray: Probe::Seen(Arc::default()),
            classes: BTreeMap::new(),
            live: BTreeMap::new(),
            store: Probe::Seen(Store {
                free: 500 * GIB,
                ..Store::default()
            }),
            reports: Arc::default(),
            kept: Probe::Seen(BTreeSet::new()),
            busy: Probe::Seen(BTreeMap::new()),
            orders: Probe::Seen(Orders::default()),
            left_on: Probe::Seen(BTreeSet::new()),
            onboot: Probe::Seen(BTreeMap::new()),
            seeded: Probe::Seen(BTreeSet::new()),
            journal: Journal::default(),
            running: Vec::new(),
        };
        Self {
            desired,
            observed,
            rows: Vec::new(),
            are_linked: false,
        }
    }

    /// Shares the central server's line out among this school and another one with the same windows.
    pub fn share(&mut self, uplink: &str, releases: &[Release]) {
        let line = Line {
            zone: self.desired.zone.clone(),
            windows: self.desired.windows.download.clone(),
            rate: self.desired.download_rate,
        };
        let lines = [(name("bs-nord"), line.clone()), (name("bs-sued"), line)];
        let slots = Slots::new(name(uplink), lines.into(), releases);
        self.desired.slots = Some(Arc::new(slots));
    }

    /// A converged school: `r101` with 20 hosts of class `lab`, which has `ubuntu` 2026.10.1.
    #[must_use]
    pub fn school(at: Timestamp) -> Self {
        let mut world = Self::empty(at);
        world.release("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
        world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
        world.room("r101", "lab", 20);
        world.converge();
        world
    }

    /// Adds a released image for rooms, of which nothing is there yet.
    pub fn release(
        &mut self,
        image: &str,
        version: &str,
        base: u64,
        diff: Option<u64>,
    ) -> &mut DesiredImage {
        let image_name: ImageName = name(image);
        self.seed(image);
        self.observed
            .live
            .entry(image_name.clone())
            .or_insert(Probe::Seen(LiveImage::default()));
        let wanted = DesiredImage {
            channel: Some(name("stable")),
            manifest: manifest_digest(image, version),
            size: Bytes(base + diff.unwrap_or(0)),
            diff: diff.map(Bytes),
            published: manifest_digest(image, version),
            domain_join: DomainJoin::NotNeeded,
            purpose: Purpose::Rooms,
        };
        let key = (image_name, name(version));
        self.desired.images.remove(&key);
        self.desired.images.entry(key).or_insert(wanted)
    }

    /// Adds an image made on site, which lies in LINBO's folder.
    pub fn on_site(&mut self, image: &str) {
        let mut found = live(&manifest(image, "by-hand", 30 * GIB, None));
        found.base.iter_mut().for_each(|base| base.sha256 = None);
        self.observed.live.insert(name(image), Probe::Seen(found));
        self.seed(image);
    }

    /// Lets the files of an image be seeded.
    fn seed(&mut self, image: &str) {
        if let Probe::Seen(seeded) = &mut self.observed.seeded {
            let files = ["qcow2", "qdiff"].map(|ending| name(&format!("{image}.{ending}")));
            seeded.extend(files);
        }
    }

    /// Puts the verified files of a version into the store.
    pub fn store(&mut self, image: &str, version: &str, base: u64, diff: Option<u64>) {
        let manifest = manifest(image, version, base, diff);
        if let Probe::Seen(store) = &mut self.observed.store {
            store
                .objects
                .extend(manifest.files().iter().map(|file| file.sha256));
            store
                .manifests
                .insert(manifest_digest(image, version), manifest);
        }
    }

    /// Adds a class, whose `start.conf` and boot configuration are as they should be.
    pub fn class(&mut self, class_name: &str, systems: &[OsEntry]) {
        let desired = class(class_name, systems);
        let files = ClassFiles {
            start_conf: Some(desired.start_conf.clone()),
            grub: Grub::Current,
        };
        self.observed
            .classes
            .insert(name(class_name), Probe::Seen(files));
        self.desired.classes.insert(name(class_name), desired);
    }

    /// Adds a room with hosts from `devices.csv`, reset on Mondays and Wednesdays at 18:00.
    pub fn room(&mut self, room: &str, class: &str, hosts: usize) -> &mut Room {
        for number in 1..=hosts {
            self.device(room, &format!("{room}-pc{number:02}"), class, 1);
        }
        let wanted = Room {
            class: name(class),
            hosts: RoomHosts::FromDevices,
            devices: BTreeMap::new(),
            reset: Some(schedule(&["mon, wed 18:00"])),
            windows: RoomWindows::default(),
            in_use: InUse::default(),
            power_group: None,
            power: None,
            suspended: None,
            suspended_hosts: BTreeMap::new(),
            written: Written::default(),
        };
        let key: RoomName = name(room);
        self.desired.rooms.remove(&key);
        self.desired.rooms.entry(key).or_insert(wanted)
    }

    /// The hosts of `devices.csv`.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostName> {
        let rows = self
            .observed
            .devices
            .seen()
            .map(Devices::rows)
            .unwrap_or_default();
        rows.iter().map(|device| device.host.clone()).collect()
    }

    /// Makes everything true that is wanted.
    pub fn converge(&mut self) {
        let wanted: Vec<_> = self.desired.images.keys().cloned().collect();
        for (image, version) in wanted {
            let (image, version) = (image.as_str(), version.as_str());
            if self.manifest_of(image, version).is_none() {
                self.store(image, version, 12 * GIB, Some(GIB));
            }
            if let Some(manifest) = self.manifest_of(image, version) {
                self.observed
                    .live
                    .insert(name(image), Probe::Seen(live(&manifest)));
            }
        }
        for (class, desired) in &self.desired.classes {
            let files = ClassFiles {
                start_conf: Some(desired.start_conf.clone()),
                grub: Grub::Current,
            };
            self.observed
                .classes
                .insert(class.clone(), Probe::Seen(files));
        }
        for host in self.hosts() {
            self.outcome(host.as_str(), self.observed.at, applied("ubuntu.qcow2"));
        }
    }

    fn manifest_of(&self, image: &str, version: &str) -> Option<Manifest> {
        self.observed
            .store
            .seen()?
            .manifests
            .get(&manifest_digest(image, version))
            .cloned()
    }

    /// Notes the outcome of a host in the journal.
    pub fn outcome(&mut self, host: &str, at: Timestamp, outcome: HostOutcome) {
        let entry = Entry::Host {
            step: import(),
            host: name(host),
            outcome,
            version: None,
        };
        self.note(at, entry);
    }

    /// Notes what became of a host at an occurrence of the reset of `r101`.
    ///
    /// # Panics
    ///
    /// Never: what it writes is the identity of a step.
    #[expect(clippy::expect_used, reason = "a test may panic")]
    pub fn outcome_of(&mut self, host: &str, due: Timestamp, at: Timestamp, outcome: HostOutcome) {
        let step = serde_json::from_value(format!("reset/r101/{due}").into());
        let entry = Entry::Host {
            step: step.expect("any text is one"),
            host: name(host),
            outcome,
            version: None,
        };
        self.note(at, entry);
    }

    /// Notes something in the journal.
    pub fn note(&mut self, at: Timestamp, entry: Entry) {
        self.observed.journal.fold(&Record {
            at,
            pass: at,
            entry,
        });
    }

    /// Notes that a step failed.
    pub fn failure(&mut self, step: &Step, at: Timestamp, why: &str) {
        let result = StepResult::Failed {
            why: why.to_owned(),
            evidence: Vec::new(),
        };
        self.note(
            at,
            Entry::Finished {
                step: step.id.clone(),
                result,
            },
        );
    }

    /// The room.
    ///
    /// # Panics
    ///
    /// When there is none of this name.
    #[expect(clippy::expect_used, reason = "a test may panic")]
    pub fn room_mut(&mut self, room: &str) -> &mut Room {
        self.desired
            .rooms
            .get_mut(&name::<RoomName>(room))
            .expect("a room of this name")
    }

    /// The files of a class.
    ///
    /// # Panics
    ///
    /// When they were not seen.
    #[expect(clippy::panic, reason = "a test may panic")]
    pub fn files_mut(&mut self, class: &str) -> &mut ClassFiles {
        match self.observed.classes.get_mut(&name::<ClassName>(class)) {
            Some(Probe::Seen(files)) => files,
            other => panic!("{class}: {other:?}"),
        }
    }

    /// LINBO's folder of an image.
    ///
    /// # Panics
    ///
    /// When it was not seen.
    #[expect(clippy::panic, reason = "a test may panic")]
    pub fn live_mut(&mut self, image: &str) -> &mut LiveImage {
        match self.observed.live.get_mut(&name::<ImageName>(image)) {
            Some(Probe::Seen(live)) => live,
            other => panic!("{image}: {other:?}"),
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, minutes: i64) {
        self.observed.at += SignedDuration::from_mins(minutes);
    }

    /// The images that hosts may be reading, by room.
    #[must_use]
    pub fn images_of(&self, room: &RoomName) -> BTreeSet<ImageName> {
        let class = self
            .desired
            .rooms
            .get(room)
            .and_then(|room| self.desired.classes.get(&room.class));
        class
            .iter()
            .flat_map(|class| &class.os)
            .map(|os| os.image.clone())
            .collect()
    }
}

/// Any step's identity: that of attempts is not looked at.
fn import() -> reconciler::planning::StepId {
    reconciler::planning::Action::ImportDevices {
        classes: Vec::new(),
        hosts: BTreeMap::new(),
    }
    .id()
}
