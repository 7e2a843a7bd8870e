//! `schools/<school>/rooms/<room>.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Reset;
use crate::name::{ClassName, HostName, PowerGroupName};
use crate::read::{At, OneOrMany};

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
    /// By when its hosts are to be fresh, as in `mon, wed 18:30`, or `never`; as the school says by default.
    #[serde(default)]
    pub reset: At<Reset>,
    /// The electrical circuit that it hangs on: one of the school's `power_groups`.
    #[serde(default)]
    pub power: At<PowerGroupName>,
}
