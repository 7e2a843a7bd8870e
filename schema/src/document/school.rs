//! `schools/<school>/school.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fleet::{PowerDocument, WindowsDocument};
use super::policy::{
    AnnounceChoice, GuardDocument, RetriesDocument, RolloutChoice, SuspensionDocument,
};
use super::value::{CalendarPath, Lessons, Reset, Wanted, Zone};
use crate::name::{ClassName, Domain, HostName, ImageName, PowerGroupName, RoomName};
use crate::policy::InUse;
use crate::read::{At, Map, OneOrMany};
use crate::schedule::Dates;
use crate::text::{MailAddress, PlainText};
use crate::units::Rate;

/// A school; its folder's name is its name. What it leaves out is as `fleet.yaml` says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "schools/<school>/school.yaml")]
pub struct SchoolDocument {
    /// What people call it; the folder's name by default.
    #[serde(default)]
    pub title: At<PlainText>,
    /// The full name of its server.
    pub server: At<Domain>,
    /// Its Active Directory domain.
    pub domain: At<Domain>,
    /// Who hears of its failures besides the administrators of the fleet.
    #[serde(default)]
    pub contact: At<MailAddress>,
    /// The time zone of all its times.
    #[serde(default)]
    pub time_zone: At<Zone>,
    /// When which work may run.
    #[serde(default)]
    pub windows: At<WindowsDocument>,
    /// When PCs are in use and nothing touches them.
    #[serde(default)]
    pub lessons: At<Lessons>,
    /// By when the hosts of its rooms are to be fresh, as in `mon, wed 18:00`, or `never`.
    #[serde(default)]
    pub reset: At<Reset>,
    /// What the electrical circuit of the whole school bears.
    #[serde(default)]
    pub power: At<PowerDocument>,
    /// Fuses that several rooms share, by name; what one leaves out is as under `power`.
    #[serde(default)]
    pub power_groups: At<Map<PowerGroupName, PowerDocument>>,
    /// Which channel of an image it follows, or which version it stays at, as in `ubuntu: stable`.
    /// Images of which it says nothing follow the fleet's channel.
    #[serde(default)]
    pub images: At<Map<ImageName, Wanted>>,
    /// School holidays in place of the fleet's: one or several files, as in `calendars/bw-ferien.ics`.
    #[serde(default)]
    pub calendar: At<OneOrMany<CalendarPath>>,
    /// Single days without school in place of the fleet's, as in `[2026-10-30, 2026-12-23..2027-01-08]`.
    #[serde(default)]
    pub holidays: At<OneOrMany<Dates>>,
    /// Days of exams and the rooms in which they are, as in `2027-02-08..2027-02-12: [r201, r202]` or
    /// `2027-03-01: all`. Nothing touches those rooms then.
    #[serde(default)]
    pub exams: At<Map<Dates, OneOrMany<RoomName>>>,
    /// What its downloads may take of its line, as in `100 Mbit/s`.
    #[serde(default)]
    pub download_rate: At<Rate>,
    /// What is done with a host that somebody uses when it is to be reset: `wait`, `skip` or
    /// `force after 2 hours`.
    #[serde(default)]
    pub in_use: At<InUse>,
    /// How often a host is tried.
    #[serde(default)]
    pub retries: At<RetriesDocument>,
    /// How a new version comes to its hosts: in waves, or `at_once`.
    #[serde(default)]
    pub rollout: At<RolloutChoice>,
    /// What nobody is to change by mistake.
    #[serde(default)]
    pub guard: At<GuardDocument>,
    /// When its contact gets a mail of what is to come, as in `{ days_before: 3 }`, or `never`.
    #[serde(default)]
    pub announce: At<AnnounceChoice>,
    /// The VM in which images of other domains are moved into the school's, as in
    /// `{ host: rebrand-vm, like: ubuntu-lab }`.
    #[serde(default)]
    pub rebrand: At<RebrandDocument>,
    /// Why nothing is done for it for the time being.
    #[serde(default)]
    pub suspended: At<SuspensionDocument>,
}

/// The VM in which images of other domains are moved into the school's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebrandDocument {
    /// Its host name in `devices.csv`, where its hardware class is `rebrand`.
    pub host: At<HostName>,
    /// The hardware class whose disk it has. Its `start.conf` is made from that, with the images to be moved under names
    /// of their own.
    pub like: At<ClassName>,
}
