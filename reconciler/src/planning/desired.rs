//! What one server must make true, cut out of the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schema::digest::Digest;
use schema::fleet::{
    Announce, Central, DeviceRow, DomainJoin, DownloadType, Exam, Fleet, HardwareClass,
    ImageSource, OnSiteVersion, Origin, OsEntry, PowerBudget, Rebrand, Retries, Rollout, Room,
    Setting, TestReset, WorkWindows, school_file,
};
use schema::name::{
    ChannelName, ClassName, Domain, HostName, ImageName, PowerGroupName, RoomName, SchoolName,
    TestClassName, VersionName,
};
use schema::schedule::{FreeDays, Schedule};
use schema::text::{ImageStamp, PlainText};
use schema::units::{Bytes, Percent, Rate};
use serde::Serialize;

use crate::linbo::start_conf::{self, StartConf};
use crate::planning::action::{Circuit, Pace};
use crate::planning::rollback::GoneBack;
use crate::planning::slots::{Share, Slots};
use crate::planning::suspension::Suspensions;

/// Which server of the fleet this is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The one that releases images.
    Central,
    /// The one of this school.
    School(SchoolName),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Central => f.write_str("central"),
            Self::School(school) => school.fmt(f),
        }
    }
}

/// What one server must make true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// The server.
    pub server: Server,
    /// The zone of all its times.
    pub zone: TimeZone,
    /// When which work may run.
    pub windows: WorkWindows,
    /// When nothing may run at all on PCs.
    pub holidays: Arc<FreeDays>,
    /// Where images come from.
    pub central: Central,
    /// What a download may take of the line.
    pub download_rate: Option<Rate>,
    /// Who may use the central server's line when; everybody at any time when absent.
    pub slots: Option<Arc<Slots>>,
    /// Released images by name and version. Of one image, one version at most serves rooms.
    pub images: BTreeMap<(ImageName, VersionName), DesiredImage>,
    /// All versions that those of rooms could be instead: named by Git, and not marked bad.
    pub others: BTreeMap<(ImageName, VersionName), DesiredImage>,
    /// Images that people let go back on this server, and from which version.
    pub gone_back: BTreeMap<ImageName, GoneBack>,
    /// Images made at this school of which hosts are to have one state alone: the timestamp in its `.info`.
    pub pinned: BTreeMap<ImageName, ImageStamp>,
    /// Hardware classes that rooms use, those of test classes, and that of the VM for images of other domains.
    pub classes: BTreeMap<ClassName, DesiredClass>,
    /// The host name of that VM, if there is one.
    pub rebrand: Option<HostName>,
    /// Rooms.
    pub rooms: BTreeMap<RoomName, Room>,
    /// When which rooms are in an exam.
    pub exams: Vec<Exam>,
    /// How often hosts are tried.
    pub retries: Retries,
    /// How new versions come to the hosts.
    pub rollout: Rollout,
    /// The first day on which new versions come to the hosts; none when they come at once.
    pub not_before: Option<NotBefore>,
    /// How much may change outside of a rollout.
    pub guard: Allowance,
    /// What is to be left alone for the time being.
    pub suspended: Suspensions,
    /// Test classes by name, those that are over among them.
    pub test_classes: BTreeMap<TestClassName, DesiredTest>,
    /// What each circuit bears; that of the whole school has the name that is the default.
    pub power: BTreeMap<PowerGroupName, PowerBudget>,
    /// How its staff are told what is coming; none where there are no staff.
    pub staff: Option<Staff>,
}

/// How the staff of a school are told what is coming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staff {
    /// What people call the school.
    pub title: PlainText,
    /// Its domain, which tells its events from those of all others.
    pub domain: Domain,
    /// When they get a mail; never when absent.
    pub announce: Option<Announce>,
}

/// The first day of a rollout that was announced, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotBefore {
    /// The day.
    pub day: Date,
    /// Where that is written.
    pub origin: Origin,
}

/// How much of a school may be re-imaged outside of a rollout, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Allowance {
    /// This share of its PCs.
    pub share: Percent,
    /// Where that is written.
    pub origin: Origin,
    /// The file in which it would be written for this school alone.
    pub file: String,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            share: schema::fleet::Guard::default().reimage_at_most,
            origin: Origin::Default,
            file: String::new(),
        }
    }
}

/// One version of a released image that this server is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredImage {
    /// The channel that asks for it, if one does.
    pub channel: Option<ChannelName>,
    /// The digest of its manifest, as Git has it.
    pub published: Digest,
    /// The digest of the manifest of what is to be in place: that one, or that of what was made of it for the domain of
    /// this school.
    pub manifest: Digest,
    /// What it weighs when nothing of it is there: base and diff.
    pub size: Bytes,
    /// What of that is the diff, if it has one.
    pub diff: Option<Bytes>,
    /// Whether it has to be moved into the school's domain first.
    pub domain_join: DomainJoin,
    /// Who needs it.
    pub purpose: Purpose,
}

/// Who needs a version of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Rooms.
    Rooms,
    /// Test classes alone, until the end of this day.
    TestClass {
        /// The last day.
        until: Date,
    },
    /// The VM alone, in which it is moved into the school's domain.
    Vm,
}

/// Hosts that have a hardware class of their own until its last day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredTest {
    /// That class; no room has it.
    pub class: ClassName,
    /// Its images that no room has.
    pub images: BTreeSet<ImageName>,
    /// The hosts.
    pub hosts: BTreeSet<HostName>,
    /// The last day.
    pub until: Date,
    /// By when the hosts are to be fresh.
    pub reset: TestReset,
}

impl DesiredTest {
    /// Whether it is for this host, whose name is compared without regard to case.
    #[must_use]
    pub fn names(&self, host: &HostName) -> bool {
        self.hosts.contains(host)
            || self
                .hosts
                .iter()
                .any(|own| own.as_str().eq_ignore_ascii_case(host.as_str()))
    }

    /// By when its hosts in this room are to be fresh; never when absent.
    #[must_use]
    pub const fn schedule<'a>(&'a self, room: &'a Room) -> Option<&'a Schedule> {
        match &self.reset {
            TestReset::AsRoom => room.reset.as_ref(),
            TestReset::Never => None,
            TestReset::At(times) => Some(times),
        }
    }
}

/// One hardware class that this server is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredClass {
    /// The whole text of `start.conf.<class>`.
    pub start_conf: String,
    /// How its hosts fetch images from the server.
    pub download: DownloadType,
    /// Its operating systems in LINBO's order.
    pub os: Vec<OsEntry>,
}

impl DesiredClass {
    /// Whether a `start.conf` says what it is to say: it is ours, or somebody wrote it otherwise and means the same.
    #[must_use]
    pub fn is_said_by(&self, text: &str) -> bool {
        text == self.start_conf
            || (!start_conf::is_ours(text.as_bytes())
                && start_conf::differences(text.as_bytes(), &self.start_conf).is_empty())
    }

    /// Whether a `start.conf` of ours has the operating systems of this class under the same numbers, whatever else
    /// it says otherwise.
    #[must_use]
    pub fn has_its_systems(&self, text: &str) -> bool {
        self.is_said_by(text)
            || (start_conf::is_ours(text.as_bytes())
                && StartConf::parse(text.as_bytes())
                    .operating_systems()
                    .map(|os| os.image().map(str::to_owned))
                    .eq(self.os.iter().map(|os| Some(os.image.to_string()))))
    }
}

impl Desired {
    /// What `server` must make true; none when the fleet has no such school.
    #[must_use]
    pub fn of(fleet: &Fleet, server: &Server) -> Option<Self> {
        let (name, school) = match server {
            Server::Central => return Some(Self::nothing(fleet)),
            Server::School(name) => (name, fleet.schools.get(name)?),
        };
        let desired_class = |start_conf, class: &HardwareClass| DesiredClass {
            start_conf,
            download: class.download,
            os: class.os.clone(),
        };
        let of_rooms = school.rooms.values().filter_map(|room| {
            let class = fleet.classes.get(&room.class)?;
            let text = start_conf::render(&room.class, class);
            Some((room.class.clone(), desired_class(text, class)))
        });
        let of_tests = school.test_classes.iter().filter_map(|(name, test)| {
            let (name, class) = (name.into(), test.hardware(fleet.classes.get(&test.like)?));
            let text = start_conf::render_test(&name, &class);
            Some((name, desired_class(text, &class)))
        });
        let mut classes: BTreeMap<_, _> = of_rooms.chain(of_tests).collect();
        let released = |image: &ImageName, version: &VersionName, channel, purpose| {
            let ImageSource::Released {
                domain_join,
                versions,
                ..
            } = &fleet.images.get(image)?.source
            else {
                return None;
            };
            let found = versions.get(version)?;
            let size = Bytes(
                found
                    .size
                    .0
                    .saturating_add(found.diff.map_or(0, |diff| diff.0)),
            );
            let desired = DesiredImage {
                channel,
                published: found.manifest,
                manifest: found.manifest,
                size,
                diff: found.diff,
                domain_join: *domain_join,
                purpose,
            };
            Some(((image.clone(), version.clone()), desired))
        };
        let tests = school.test_classes.values().flat_map(|test| {
            test.images
                .iter()
                .map(|(image, own)| (image, &own.version, test.until))
        });
        let mut images: BTreeMap<_, _> = tests
            .filter_map(|(image, version, until)| {
                released(image, version, None, Purpose::TestClass { until })
            })
            .collect();
        images.extend(school.images.iter().filter_map(|(image, wanted)| {
            released(
                image,
                &wanted.version,
                wanted.channel.clone(),
                Purpose::Rooms,
            )
        }));
        let is_foreign =
            |(_, wanted): &(_, &DesiredImage)| wanted.domain_join == DomainJoin::Rebrand;
        let mut foreign = images.iter().filter(is_foreign).peekable();
        let vm = school.rebrand.as_ref().filter(|_| foreign.peek().is_some());
        if let Some(vm) = vm
            && let Some(like) = fleet.classes.get(&vm.like)
            && let Ok(name) = Rebrand::CLASS.parse()
        {
            let foreign: BTreeSet<_> = foreign.map(|((image, _), _)| image).collect();
            let class = Rebrand::hardware(like, foreign.into_iter());
            let text = start_conf::render_rebrand(&name, &class);
            classes.insert(name, desired_class(text, &class));
        }
        let others = school.images.keys().flat_map(|image| {
            let source = fleet.images.get(image).map(|image| &image.source);
            let versions = match source {
                Some(ImageSource::Released { versions, .. }) => Some(versions),
                Some(ImageSource::OnSite { .. }) | None => None,
            };
            let good = versions.into_iter().flatten();
            let good = good.filter(|(_, version)| version.bad.is_none());
            good.filter_map(|(name, _)| released(image, name, None, Purpose::Rooms))
        });
        let others = others.collect();
        let pinned = fleet
            .images
            .iter()
            .filter_map(|(name, image)| match &image.source {
                ImageSource::OnSite {
                    made_at,
                    version: OnSiteVersion::Pinned(stamp),
                } if Server::School(made_at.clone()) == *server => {
                    Some((name.clone(), stamp.clone()))
                }
                ImageSource::OnSite { .. } | ImageSource::Released { .. } => None,
            });
        Some(Self {
            server: server.clone(),
            zone: school.time_zone.clone(),
            windows: school.windows.clone(),
            holidays: Arc::clone(&school.holidays),
            central: fleet.central.clone(),
            download_rate: school.download_rate,
            slots: None,
            images,
            others,
            gone_back: BTreeMap::new(),
            pinned: pinned.collect(),
            classes,
            rebrand: school.rebrand.as_ref().map(|vm| vm.host.clone()),
            rooms: school.rooms.clone(),
            exams: school.exams.clone(),
            retries: school.retries,
            rollout: school.rollout.clone(),
            not_before: school.rollout.from.map(|day| NotBefore {
                day,
                origin: fleet
                    .origin(name, Setting::RolloutFrom)
                    .unwrap_or(Origin::Default),
            }),
            guard: Allowance {
                share: school.guard.reimage_at_most,
                origin: fleet
                    .origin(name, Setting::ReimageAtMost)
                    .unwrap_or(Origin::Default),
                file: school_file(name),
            },
            suspended: Suspensions::of(fleet, &server.to_string(), school),
            test_classes: school
                .test_classes
                .iter()
                .map(|(name, test)| {
                    let desired = DesiredTest {
                        class: name.into(),
                        images: test.images.keys().cloned().collect(),
                        hosts: test.hosts.clone(),
                        until: test.until,
                        reset: test.reset.clone(),
                    };
                    (name.clone(), desired)
                })
                .collect(),
            power: school
                .power_groups
                .clone()
                .into_iter()
                .chain([(PowerGroupName::default(), school.power)])
                .collect(),
            staff: Some(Staff {
                title: school.title.clone(),
                domain: school.domain.clone(),
                announce: school.announce,
            }),
        })
    }

    fn nothing(fleet: &Fleet) -> Self {
        Self {
            server: Server::Central,
            zone: fleet.time_zone.clone(),
            windows: WorkWindows::default(),
            holidays: Arc::default(),
            central: fleet.central.clone(),
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
            rollout: Rollout::default(),
            not_before: None,
            guard: Allowance::default(),
            suspended: Suspensions::default(),
            test_classes: BTreeMap::new(),
            power: BTreeMap::new(),
            staff: None,
        }
    }

    /// The day at this server.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// The hosts whose rows in `devices.csv` the state repo keeps, each with its room.
    #[must_use]
    pub fn kept(&self) -> BTreeMap<&HostName, &RoomName> {
        let rooms = self.rooms.iter();
        let kept = rooms.flat_map(|(name, room)| {
            let rows = room.devices.iter();
            let kept = rows.filter(|(_, row)| **row != DeviceRow::Removed);
            kept.map(move |(host, _)| (host, name))
        });
        kept.collect()
    }

    /// The version of an image that rooms are to have.
    #[must_use]
    pub fn of_rooms(&self, image: &ImageName) -> Option<(&VersionName, &DesiredImage)> {
        let mut images = self.images.iter();
        let ((_, version), wanted) =
            images.find(|((of, _), wanted)| of == image && wanted.purpose == Purpose::Rooms)?;
        Some((version, wanted))
    }

    /// The test classes that are not over.
    pub fn tests(&self, at: Timestamp) -> impl Iterator<Item = (&TestClassName, &DesiredTest)> {
        // Most schools have none, and then nobody needs to know what day it is.
        let today = std::cell::LazyCell::new(move || self.day(at));
        self.test_classes
            .iter()
            .filter(move |(_, test)| test.until >= *today)
    }

    /// The test class that a hardware class is that of, whether it is over or not.
    #[must_use]
    pub fn test_of(&self, class: &ClassName) -> Option<&DesiredTest> {
        self.test_classes.get(class.as_str())
    }

    /// How a new version of an image comes to its hosts. Those of a test class are the first to try what no room has,
    /// and what an image goes back to was tried before: they get it at once.
    #[must_use]
    pub fn rollout_of(&self, image: &ImageName) -> Rollout {
        let is_tried = self
            .test_classes
            .values()
            .any(|test| test.images.contains(image));
        let at_once = is_tried || self.gone_back.contains_key(image);
        Rollout {
            waves: self.rollout.waves.clone().filter(|_| !at_once),
            ..self.rollout.clone()
        }
    }

    /// The same with the fleet's shares of the central server's line.
    #[must_use]
    pub fn with_slots(mut self, slots: Option<Arc<Slots>>) -> Self {
        self.slots = slots;
        self
    }

    /// What this server may take of the central server's line at `at`, or when next.
    #[must_use]
    pub fn line(&self, at: Timestamp) -> Share {
        match (&self.server, &self.slots) {
            (Server::School(school), Some(slots)) => slots
                .at_or_after(school, at)
                .map_or(Share::Nothing, Share::Slot),
            (Server::School(_) | Server::Central, _) => Share::Unbounded,
        }
    }

    /// The circuits that the hosts of a room hang on, and what each of them bears.
    #[must_use]
    pub fn circuits_of(&self, name: &RoomName, room: &Room) -> Vec<(Circuit, Pace)> {
        let school = self.power_of(&PowerGroupName::default());
        let mut circuits = vec![(Circuit::School, school.into())];
        if let Some(group) = &room.power_group {
            circuits.push((Circuit::Group(group.clone()), self.power_of(group).into()));
        }
        if let Some(own) = room.power {
            circuits.push((Circuit::Room(name.clone()), own.into()));
        }
        circuits
    }

    /// The circuit of the hosts that load a new version at the same time.
    #[must_use]
    pub fn loading(&self) -> (Circuit, Pace) {
        let pace = Pace {
            on_at_once: self.rollout.loading_at_once.max(1),
            ..Pace::UNBOUNDED
        };
        (Circuit::Loading, pace)
    }

    /// What the circuit of a room bears.
    #[must_use]
    pub fn power_of(&self, group: &PowerGroupName) -> PowerBudget {
        let budget = self
            .power
            .get(group)
            .or_else(|| self.power.get(&PowerGroupName::default()));
        budget.copied().unwrap_or(PowerBudget {
            wake_per_minute: 6,
            on_at_once: 120,
        })
    }
}
