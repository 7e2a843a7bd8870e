//! The fleet as the state repo resolves to it: every reference followed, every default filled in.
//!
//! # Invariants
//!
//! A dangling name cannot be represented: what a room, a class or a school refers to stands in the
//! same [`Fleet`]. Only [`load`](crate::load()) makes one, and only from a state repo without errors.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::digest::Digest;
use crate::name::{ChannelName, ClassName, Domain, ImageName, ModuleName, SchoolName, VersionName};
use crate::text::{ImageStamp, MailAddress, PlainText};
use crate::units::{Bytes, Rate};

mod class;
mod explain;
mod origin;
mod policy;
mod school;

pub use class::{
    DefaultAction, DownloadType, FileSystem, Firmware, HardwareClass, OsEntry, Partition,
    ResetCommand,
};
pub(crate) use explain::SINGLE_DAYS;
pub use explain::{Explained, school_file};
pub use origin::{Origin, Setting, Written};
pub use policy::{
    Announce, Canary, Exam, ExamRooms, Guard, Retries, Rollout, Suspension, Then, Waves,
};
pub use school::{
    DeviceRow, PowerBudget, Rebrand, Room, RoomHosts, RoomWindows, School, TestClass, TestImage,
    TestReset, WantedVersion, WorkWindows,
};

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
    /// Why nothing at all is done for the time being, if so.
    pub suspended: Option<Suspension>,
    /// What `fleet.yaml` says, and where.
    pub written: Written,
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
    /// Why nothing is done about it for the time being, if so.
    pub suspended: Option<Suspension>,
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
    /// The version that first had its base; itself when absent.
    pub base: Option<VersionName>,
    /// Why nobody may use it, if so.
    pub bad: Option<PlainText>,
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
