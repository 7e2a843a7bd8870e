//! `fleet.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::policy::{
    AnnounceChoice, GuardDocument, RetriesDocument, RolloutChoice, SuspensionDocument,
};
use super::value::{CalendarPath, Count, Lessons, Reset, ServerAddress, Zone};
use crate::name::{ChannelName, ModuleName};
use crate::policy::InUse;
use crate::read::{At, OneOrMany};
use crate::schedule::{Dates, Windows};
use crate::text::{MailAddress, PlainText};
use crate::units::Rate;

/// The fleet: its central server, and what holds for every school that says nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "fleet.yaml")]
pub struct FleetDocument {
    /// What people call the fleet.
    pub name: At<PlainText>,
    /// The server that the images come from.
    pub central: At<CentralDocument>,
    /// The time zone of all times, as in `Europe/Berlin` (the default).
    #[serde(default)]
    pub time_zone: At<Zone>,
    /// School holidays: one or several iCalendar files of this repo, as in `calendars/bw-ferien.ics`.
    #[serde(default)]
    pub calendar: At<OneOrMany<CalendarPath>>,
    /// Single days without school, or spans of them, as in `[2026-10-30, 2026-12-23..2027-01-08]`.
    #[serde(default)]
    pub holidays: At<OneOrMany<Dates>>,
    /// What holds for every school that says nothing else.
    #[serde(default)]
    pub defaults: At<DefaultsDocument>,
    /// Who hears of failures. Without it nobody does.
    #[serde(default)]
    pub mail: At<MailDocument>,
    /// Why nothing at all is done for the time being.
    #[serde(default)]
    pub suspended: At<SuspensionDocument>,
}

/// The central server as the schools see it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CentralDocument {
    /// Its name or address, with the port of its rsync daemon if that is not 873.
    pub server: At<ServerAddress>,
    /// The rsync module that holds the releases; `releases` by default.
    #[serde(default)]
    pub release_module: At<ModuleName>,
    /// What its line to the schools carries, as in `1 Gbit/s`.
    #[serde(default)]
    pub uplink: At<Rate>,
}

/// What holds for every school that says nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultsDocument {
    /// When which work may run.
    #[serde(default)]
    pub windows: At<WindowsDocument>,
    /// When PCs are in use and nothing touches them; `mon–fri 07:30–17:00` by default.
    #[serde(default)]
    pub lessons: At<Lessons>,
    /// What the electrical circuit of a whole school bears.
    #[serde(default)]
    pub power: At<PowerDocument>,
    /// By when the hosts of a room are to be fresh, as in `mon, wed 18:00`; `never` by default.
    #[serde(default)]
    pub reset: At<Reset>,
    /// The channel that a school follows for an image of which it says nothing; `stable` by default.
    #[serde(default)]
    pub channel: At<ChannelName>,
    /// What the download of one school may take of its line; no limit by default.
    #[serde(default)]
    pub download_rate: At<Rate>,
    /// What is done with a host that somebody uses when it is to be reset: `wait` (the default), `skip` or
    /// `force after 2 hours`.
    #[serde(default)]
    pub in_use: At<InUse>,
    /// How often a host is tried.
    #[serde(default)]
    pub retries: At<RetriesDocument>,
    /// How a new version comes to the hosts of a school: in waves, or `at_once`.
    #[serde(default)]
    pub rollout: At<RolloutChoice>,
    /// What nobody is to change by mistake.
    #[serde(default)]
    pub guard: At<GuardDocument>,
    /// When the contact of a school gets a mail of what is to come, as in `{ days_before: 3 }`, or `never` (the default).
    #[serde(default)]
    pub announce: At<AnnounceChoice>,
}

/// When which work may run. Lessons go before all of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowsDocument {
    /// Downloads from the central server; `daily 22:00–05:00` by default.
    #[serde(default)]
    pub download: At<Windows>,
    /// Resets of rooms; `mon–fri 17:30–22:00` by default.
    #[serde(default)]
    pub reset: At<Windows>,
    /// Activation of images and writing of `start.conf`; `daily 17:30–07:00` by default.
    #[serde(default)]
    pub activate: At<Windows>,
}

/// What one electrical circuit bears.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerDocument {
    /// Hosts woken per minute; 6 by default.
    #[serde(default)]
    pub wake_per_minute: At<Count>,
    /// Hosts that are on at the same time; 120 by default.
    #[serde(default)]
    pub on_at_once: At<Count>,
}

/// Mail settings that the whole fleet shares; the relay is a setting of each server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailDocument {
    /// The sender.
    pub from: At<MailAddress>,
    /// The administrators: one address or a list.
    pub to: At<OneOrMany<MailAddress>>,
}
