//! The fleet as the state repo resolves to it: every reference followed, every default filled in.
//!
//! # Invariants
//!
//! A dangling name cannot be represented: what a room, a class or a school refers to stands in the
//! same [`Fleet`]. Only [`load`](crate::load()) makes one, and only from a state repo without errors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::digest::Digest;
use crate::name::{
    ChannelName, ClassName, Domain, FileName, HostName, ImageName, ModuleName, PartitionLabel,
    PowerGroupName, RoomName, SchoolName, TestClassName, VersionName,
};
use crate::schedule::{FreeDays, Schedule, Windows};
use crate::text::{DevicePath, ImageStamp, MailAddress, PlainText, SettingKey};
use crate::units::{Bytes, Rate};

/// Everything that one state repo describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// What people call it.
    pub name: PlainText,
    /// The server that the images come from.
    pub central: Central,
    /// The zone of the central server's times.
    pub time_zone: TimeZone,
    /// Who hears of failures; nobody when absent.
    pub mail: Option<Mail>,
    /// All lines of images.
    pub images: BTreeMap<ImageName, Image>,
    /// All hardware classes, those of test classes not among them.
    pub classes: BTreeMap<ClassName, HardwareClass>,
    /// All schools.
    pub schools: BTreeMap<SchoolName, School>,
}

/// The central server as the schools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Central {
    /// Its name or address.
    pub server: Domain,
    /// The port of its rsync daemon.
    pub port: u16,
    /// The rsync module that holds the releases.
    pub release_module: ModuleName,
    /// What its line to the schools carries.
    pub uplink: Option<Rate>,
}

/// Mail settings that the whole fleet shares; the relay is a setting of each server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub from: MailAddress,
    /// The administrators.
    pub to: Vec<MailAddress>,
}

/// A line of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Which operating system it holds.
    pub os: Os,
    /// Where its versions come from.
    pub source: ImageSource,
}

/// The operating system of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Any Linux.
    Linux,
    /// Any Windows.
    Windows,
}

/// Where the versions of an image come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// Released by the central server, downloaded by the schools.
    Released {
        /// Whether a school has to move it into its own domain before any client may see it.
        domain_join: DomainJoin,
        /// All published versions.
        versions: BTreeMap<VersionName, Version>,
        /// Which version each channel points at.
        channels: BTreeMap<ChannelName, VersionName>,
    },
    /// Made by hand at one school, which alone uses it.
    OnSite {
        /// The school.
        made_at: SchoolName,
        /// Which of its states clients are to have.
        version: OnSiteVersion,
    },
}

/// How an image comes into a school's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DomainJoin {
    /// It belongs to another domain until the school has rebranded it in a VM. The default, since
    /// a foreign image on a client means that nobody can log in.
    Rebrand,
    /// It belongs to no domain, so it may be activated as it was downloaded.
    NotNeeded,
}

/// Which state of an image made on site is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnSiteVersion {
    /// Whatever lies in the image's folder.
    Newest,
    /// The one with this timestamp in its `.info`.
    Pinned(ImageStamp),
}

/// One immutable published artifact set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The digest of its manifest, which in turn holds those of its files.
    pub manifest: Digest,
    /// The size of the base.
    pub size: Bytes,
    /// The size of the diff, if it has one.
    pub diff: Option<Bytes>,
    /// Why nobody may use it, if so.
    pub bad: Option<PlainText>,
}

/// What `start.conf.<class>` is rendered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareClass {
    /// The firmware of its hosts.
    pub firmware: Firmware,
    /// How its hosts fetch images from the school's server.
    pub download: DownloadType,
    /// The disk that LINBO partitions.
    pub disk: DevicePath,
    /// The partition table, in order; LINBO counts from 1.
    pub partitions: Vec<Partition>,
    /// The operating systems, in order; LINBO counts from 1 (`sync:1`).
    pub os: Vec<OsEntry>,
    /// Kernel options of LINBO itself.
    pub kernel_options: PlainText,
    /// Settings of the `[LINBO]` section that have no key of their own here, by their LINBO names.
    pub extra: BTreeMap<SettingKey, PlainText>,
}

impl HardwareClass {
    /// The images that its operating systems are restored from.
    #[must_use]
    pub fn images(&self) -> BTreeSet<&ImageName> {
        self.os.iter().map(|os| &os.image).collect()
    }
}

/// The firmware that a class boots with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// `bios64`
    Bios64,
    /// `efi64`
    Efi64,
}

/// LINBO's `DownloadType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DownloadType {
    /// From peers and the server.
    Torrent,
    /// By multicast sessions.
    Multicast,
    /// From the server alone.
    Rsync,
}

/// One row of the partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its label; unique within the class.
    pub label: PartitionLabel,
    /// Its size; none means the rest of the disk (the last partition only).
    pub size: Option<Bytes>,
    /// Its file system.
    pub fs: FileSystem,
    /// The partition type as LINBO writes it (`83`, `ef`, `0c01`); derived from the file system when not given.
    pub id: PlainText,
    /// Whether it is marked bootable.
    pub bootable: bool,
}

/// The file systems that LINBO formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// `vfat`
    Vfat,
    /// `ext4`
    Ext4,
    /// `ntfs`
    Ntfs,
    /// `swap`
    Swap,
    /// Not formatted: `none`
    #[serde(rename = "none")]
    Unformatted,
}

/// One operating system of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsEntry {
    /// What LINBO's menu shows.
    pub name: PlainText,
    /// The image that it is restored from.
    pub image: ImageName,
    /// The label of its root partition.
    pub root: PartitionLabel,
    /// Whether LINBO starts it by itself.
    pub autostart: bool,
    /// What LINBO's big button does.
    pub default: DefaultAction,
    /// Which LINBO command a reset runs.
    pub reset: ResetCommand,
    /// Kernel within the root partition, `boot/vmlinuz`; empty for Windows.
    pub kernel: PlainText,
    /// Initial RAM disk within the root partition; empty for Windows.
    pub initrd: PlainText,
    /// Kernel options of the operating system.
    pub append: PlainText,
    /// The icon's file name.
    pub icon: Option<FileName>,
}

/// LINBO's `DefaultAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAction {
    /// `start`
    Start,
    /// `sync`
    Sync,
    /// `new`
    New,
}

/// The LINBO command that puts an operating system back to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResetCommand {
    /// `sync:N`: file by file. The default for Linux.
    Sync,
    /// `new:N`: format first. The default for Windows, where LINBO's file sync leads to errors on NTFS.
    New,
}

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
    /// Its power groups, [`DEFAULT_POWER_GROUP`] always among them.
    pub power: BTreeMap<PowerGroupName, PowerBudget>,
    /// Its rooms.
    pub rooms: BTreeMap<RoomName, Room>,
    /// Its test classes.
    pub test_classes: BTreeMap<TestClassName, TestClass>,
}

/// The power group of rooms that name none.
pub const DEFAULT_POWER_GROUP: &str = "default";

/// When which work may run at a school.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkWindows {
    /// Downloads from the central server.
    pub download: Windows,
    /// Resets of rooms.
    pub reset: Windows,
    /// Activation of images and writing of `start.conf`.
    pub activate: Windows,
    /// When PCs are in use: nothing touches a PC or its image then, whatever the others say.
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
    /// By when its hosts are to be fresh; none means that it is never reset.
    pub reset: Option<Schedule>,
    /// The circuit that it hangs on.
    pub power: PowerGroupName,
}

/// Which hosts a room has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomHosts {
    /// Those of `devices.csv` with its room, its class, and PXE flag 1 or 2.
    FromDevices,
    /// These, which have to be in `devices.csv` too.
    Listed(BTreeSet<HostName>),
}

/// A hardware class made for a few hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestClass {
    /// The class that it is made from.
    pub like: ClassName,
    /// The versions that it uses in place of the school's.
    pub images: BTreeMap<ImageName, VersionName>,
    /// Its hosts.
    pub hosts: BTreeSet<HostName>,
    /// Its last day.
    pub until: Date,
    /// Who asked for it.
    pub asked_by: Option<PlainText>,
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
}

/// How much a fleet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Schools.
    pub schools: usize,
    /// Rooms of all schools.
    pub rooms: usize,
    /// Hardware classes, test classes not among them.
    pub classes: usize,
    /// Test classes of all schools.
    pub test_classes: usize,
    /// Lines of images.
    pub images: usize,
    /// Published versions of all released images.
    pub versions: usize,
}

impl Fleet {
    /// How much it holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let versions = |image: &Image| match &image.source {
            ImageSource::Released { versions, .. } => versions.len(),
            ImageSource::OnSite { .. } => 0,
        };
        Counts {
            schools: self.schools.len(),
            rooms: self.schools.values().map(|school| school.rooms.len()).sum(),
            classes: self.classes.len(),
            test_classes: self
                .schools
                .values()
                .map(|school| school.test_classes.len())
                .sum(),
            images: self.images.len(),
            versions: self.images.values().map(versions).sum(),
        }
    }
}
