//! `schools/<school>/school.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fleet::{PowerDocument, WindowsDocument};
use super::value::{CalendarPath, Reset, Wanted, Zone};
use crate::name::{Domain, ImageName, PowerGroupName};
use crate::read::{At, Map, OneOrMany};
use crate::schedule::Windows;
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
    pub lessons: At<Windows>,
    /// By when the hosts of its rooms are to be fresh, as in `mon, wed 18:00`, or `never`.
    #[serde(default)]
    pub reset: At<Reset>,
    /// What the electrical circuit of rooms without a power group bears.
    #[serde(default)]
    pub power: At<PowerDocument>,
    /// Further electrical circuits by name; what one leaves out is as under `power`.
    #[serde(default)]
    pub power_groups: At<Map<PowerGroupName, PowerDocument>>,
    /// Which channel of an image it follows, or which version it stays at, as in `ubuntu: stable`.
    /// Images of which it says nothing follow the fleet's channel.
    #[serde(default)]
    pub images: At<Map<ImageName, Wanted>>,
    /// School holidays in place of the fleet's: one or several files, as in `calendars/bw-ferien.ics`.
    #[serde(default)]
    pub calendar: At<OneOrMany<CalendarPath>>,
    /// What its downloads may take of its line, as in `100 Mbit/s`.
    #[serde(default)]
    pub download_rate: At<Rate>,
}
