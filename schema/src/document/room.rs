//! `schools/<school>/rooms/<room>.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::policy::{PowerChoice, SuspensionDocument};
use super::value::{Lessons, Reset};
use crate::device::{Address, Mac};
use crate::name::{ClassName, HostName, RoleName};
use crate::policy::InUse;
use crate::read::{At, Map, OneOrMany, WordOr};
use crate::schedule::Windows;

/// A room; the file's name is its name in `devices.csv`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "schools/<school>/rooms/<room>.yaml")]
pub struct RoomDocument {
    /// The hardware class of its hosts: the name of a file in `hardware-classes/`.
    pub class: At<ClassName>,
    /// Its hosts; without it those that `devices.csv` has for the room.
    #[serde(default)]
    pub hosts: At<OneOrMany<HostName>>,
    /// Its hosts with their rows of `devices.csv`, which are kept as they stand here, in place of `hosts`: as in
    /// `r101-pc01: { mac: 52:54:00:12:34:56, ip: 10.0.1.17 }`. A row goes only with `r101-pc01: removed`.
    #[serde(default)]
    pub devices: At<Map<HostName, DeviceChoice>>,
    /// By when its hosts are to be fresh, as in `mon, wed 18:30`, or `never`, and then no new version
    /// comes to them either; as the school says by default.
    #[serde(default)]
    pub reset: At<Reset>,
    /// When what may be done with it; as the school says by default.
    #[serde(default)]
    pub windows: At<RoomWindowsDocument>,
    /// When its PCs are in use and nothing touches them, as in `mon–fri 07:30–20:00`, or `never`; as the
    /// school says by default.
    #[serde(default)]
    pub lessons: At<Lessons>,
    /// What is done with a host that somebody uses when it is to be reset: `wait`, `skip` or
    /// `force after 2 hours`.
    #[serde(default)]
    pub in_use: At<InUse>,
    /// The fuse that it hangs on, one of the school's `power_groups`, or what it bears itself, as in
    /// `{ group: west, on_at_once: 15 }`.
    #[serde(default)]
    pub power: At<PowerChoice>,
    /// Why nothing touches it for the time being.
    #[serde(default)]
    pub suspended: At<SuspensionDocument>,
    /// Hosts that nothing touches for the time being, and why.
    #[serde(default)]
    pub suspended_hosts: At<Map<HostName, SuspensionDocument>>,
}

/// The row of a host in `devices.csv`: what it says, or that there is to be none.
pub type DeviceChoice = WordOr<RemovedWord, DeviceDocument>;

/// No longer there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovedWord {
    /// Its row is taken out of `devices.csv`, and its account out of the domain.
    Removed,
}

/// What the row of a host in `devices.csv` says. Its other columns are as they are there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceDocument {
    /// The address of its network card.
    pub mac: At<Mac>,
    /// Its address, or `dhcp`.
    pub ip: At<Address>,
    /// What it is to the domain; as it is there, or `classroom-studentcomputer` where it is new.
    #[serde(default)]
    pub role: At<RoleName>,
}

/// When what may be done with a room.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomWindowsDocument {
    /// When its hosts may be reset.
    #[serde(default)]
    pub reset: At<Windows>,
}
