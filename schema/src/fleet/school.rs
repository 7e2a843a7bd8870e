//! Schools, their rooms and their test classes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::class::{DownloadType, HardwareClass, OsEntry};
use super::origin::Written;
use super::policy::{Announce, Exam, Guard, Retries, Rollout, Suspension};
use crate::device::{Address, Mac};
use crate::name::{
    ChannelName, ClassName, Domain, HostName, ImageName, PowerGroupName, RoleName, RoomName,
    TestClassName, VersionName,
};
use crate::policy::InUse;
use crate::schedule::{FreeDays, Schedule, Windows};
use crate::text::{MailAddress, PlainText};
use crate::units::Rate;

/// One school, with every default of the fleet filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct School {
    /// What people call it.
    pub title: PlainText,
    /// The name of its server.
    pub server: Domain,
    /// Its Active Directory domain.
    pub domain: Domain,
    /// Who hears of its failures besides the fleet's administrators.
    pub contact: Option<MailAddress>,
    /// The zone of all its times.
    pub time_zone: TimeZone,
    /// When which work may run.
    pub windows: WorkWindows,
    /// School holidays.
    pub holidays: Arc<FreeDays>,
    /// What a download may take of its line; no limit when absent.
    pub download_rate: Option<Rate>,
    /// The versions of released images that its classes use.
    pub images: BTreeMap<ImageName, WantedVersion>,
    /// What the whole school bears.
    pub power: PowerBudget,
    /// What each of its power groups bears: several rooms on one fuse.
    pub power_groups: BTreeMap<PowerGroupName, PowerBudget>,
    /// The VM in which images of other domains are moved into its own; none when people do that otherwise.
    pub rebrand: Option<Rebrand>,
    /// Its rooms.
    pub rooms: BTreeMap<RoomName, Room>,
    /// Its test classes.
    pub test_classes: BTreeMap<TestClassName, TestClass>,
    /// When which of its rooms are in an exam.
    pub exams: Vec<Exam>,
    /// How often its hosts are tried.
    pub retries: Retries,
    /// How new versions come to its hosts.
    pub rollout: Rollout,
    /// What nobody is to change by mistake.
    pub guard: Guard,
    /// When people are told of what is to come; no mails when absent.
    pub announce: Option<Announce>,
    /// Why nothing is done for it for the time being, if so.
    pub suspended: Option<Suspension>,
    /// What `school.yaml` says, and where.
    pub written: Written,
}

/// When which work may run at a school.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkWindows {
    /// Downloads from the central server.
    pub download: Windows,
    /// Resets of rooms that have no window of their own.
    pub reset: Windows,
    /// Activation of images and writing of `start.conf`.
    pub activate: Windows,
    /// When PCs are in use: nothing touches an image then, nor a PC of a room without lessons of its
    /// own, whatever the others say.
    pub lessons: Windows,
}

/// A version that a school wants, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVersion {
    /// Its name.
    pub version: VersionName,
    /// The channel that points at it; none when it is pinned.
    pub channel: Option<ChannelName>,
}

/// The VM in which images of other domains are moved into the school's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebrand {
    /// Its host name.
    pub host: HostName,
    /// The hardware class whose disk it has.
    pub like: ClassName,
}

impl Rebrand {
    /// The name of its hardware class.
    pub const CLASS: &str = "rebrand";

    /// The name under which it loads an image, and uploads what was made of it. No machine loads both, so that LINBO,
    /// which takes a name for another that it is a part of, takes none for the other. None when it would be too long.
    #[must_use]
    pub fn stem(image: &ImageName) -> Option<ImageName> {
        format!("{image}-rebrand").parse().ok()
    }

    /// The hardware class of the VM, made from the one that it is like, for these images.
    #[must_use]
    pub fn hardware<'a>(
        like: &HardwareClass,
        images: impl Iterator<Item = &'a ImageName>,
    ) -> HardwareClass {
        let os = images.filter_map(|image| {
            let same = like.os.iter().find(|os| os.image == *image);
            let os = same.or(like.os.first())?.clone();
            Some(OsEntry {
                image: Self::stem(image)?,
                autostart: false,
                ..os
            })
        });
        HardwareClass {
            os: os.collect(),
            // It would wait for others who have the image.
            download: DownloadType::Rsync,
            ..like.clone()
        }
    }
}

/// What one electrical circuit bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PowerBudget {
    /// Hosts woken per minute, at least 1.
    pub wake_per_minute: u32,
    /// Hosts on at the same time, at least 1.
    pub on_at_once: u32,
}

/// One room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The class of its hosts: those with another class are not reset.
    pub class: ClassName,
    /// Which hosts it has.
    pub hosts: RoomHosts,
    /// The rows of `devices.csv` that are kept as its document says. Without any they are only read.
    pub devices: BTreeMap<HostName, DeviceRow>,
    /// By when its hosts are to be fresh; none means that it is never reset.
    pub reset: Option<Schedule>,
    /// When what may be done with it, as far as that is not as at its school.
    pub windows: RoomWindows,
    /// What is done with a host that somebody uses when it is to be reset.
    pub in_use: InUse,
    /// The power group that it belongs to, besides the school.
    pub power_group: Option<PowerGroupName>,
    /// What it bears itself, if that is less than its group and the school.
    pub power: Option<PowerBudget>,
    /// Why nothing touches it for the time being, if so.
    pub suspended: Option<Suspension>,
    /// Hosts that nothing touches for the time being, and why.
    pub suspended_hosts: BTreeMap<HostName, Suspension>,
    /// What its document says, and where.
    pub written: Written,
}

/// When what may be done with a room, as far as that is not as at its school.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomWindows {
    /// When its hosts may be reset.
    pub reset: Option<Windows>,
    /// When its hosts are in use and nothing touches them; never when there are no windows in it.
    pub lessons: Option<Windows>,
}

impl RoomWindows {
    /// When the hosts of the room may be reset, at a school with these windows.
    #[must_use]
    pub fn reset<'a>(&'a self, school: &'a WorkWindows) -> &'a Windows {
        self.reset.as_ref().unwrap_or(&school.reset)
    }

    /// When the hosts of the room are in use, at a school with these windows.
    #[must_use]
    pub fn lessons<'a>(&'a self, school: &'a WorkWindows) -> &'a Windows {
        self.lessons.as_ref().unwrap_or(&school.lessons)
    }
}

/// Which hosts a room has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomHosts {
    /// Those of `devices.csv` with its room, its class, and PXE flag 1 or 2.
    FromDevices,
    /// These, which have to be in `devices.csv` too.
    Listed(BTreeSet<HostName>),
}

/// What is to stand in `devices.csv` of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceRow {
    /// A row that says this, besides the room and the class.
    Kept {
        /// Its network card.
        mac: Mac,
        /// Its address.
        ip: Address,
        /// What it is to the domain; none when that is as it is.
        role: Option<RoleName>,
    },
    /// No row.
    Removed,
}

/// A hardware class made for a few hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestClass {
    /// The class that it is made from.
    pub like: ClassName,
    /// The images that it has in place of those of that class.
    pub images: BTreeMap<ImageName, TestImage>,
    /// Its hosts.
    pub hosts: BTreeSet<HostName>,
    /// Its last day.
    pub until: Date,
    /// Who asked for it.
    pub asked_by: Option<PlainText>,
    /// By when its hosts are to be fresh.
    pub reset: TestReset,
}

/// An image that a test class has in place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestImage {
    /// Its version.
    pub version: VersionName,
    /// The image of the class that the test class is made from whose place it takes.
    pub replaces: ImageName,
}

impl TestClass {
    /// The hardware class that its hosts have while it lasts, made from the one that it is like.
    #[must_use]
    pub fn hardware(&self, like: &HardwareClass) -> HardwareClass {
        let mut class = like.clone();
        for os in &mut class.os {
            let mut images = self.images.iter();
            if let Some((image, _)) = images.find(|(_, test)| test.replaces == os.image) {
                os.image = image.clone();
            }
        }
        class
    }
}

/// By when the hosts of a test class are to be fresh.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TestReset {
    /// As the others of their rooms.
    #[default]
    AsRoom,
    /// Never.
    Never,
    /// By these times.
    At(Schedule),
}

impl School {
    /// Whether `at` falls into lessons.
    #[must_use]
    pub fn lessons_at(&self, at: Timestamp) -> bool {
        self.windows
            .lessons
            .opening_at(at, &self.time_zone)
            .is_some()
    }

    /// The exam that a room is in on a day, if one is.
    #[must_use]
    pub fn exam_on(&self, room: &RoomName, day: Date) -> Option<&Exam> {
        self.exams.iter().find(|exam| exam.holds(room, day))
    }
}
