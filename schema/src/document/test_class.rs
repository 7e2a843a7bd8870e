//! `schools/<school>/test-classes/<test class>.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Day, Reset};
use crate::name::{ClassName, HostName, ImageName, VersionName};
use crate::read::{At, Map, OneOrMany};
use crate::text::PlainText;

/// A test class: a hardware class for a few hosts with images of its own and an end date. As soon as these lie at the
/// school, its hosts get the class in `devices.csv`, and after its last day that of their room again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "schools/<school>/test-classes/<test class>.yaml")]
pub struct TestClassDocument {
    /// The hardware class that it is made from.
    pub like: At<ClassName>,
    /// The images that it has in place of those of that class, each with its version, as in `gimp3: 2026.11.t1`. Each
    /// takes the place of the one with the same `os`. An image that rooms of the school have cannot be one: there is one
    /// file of it.
    pub image: At<Map<ImageName, VersionName>>,
    /// Its hosts.
    pub hosts: At<OneOrMany<HostName>>,
    /// Its last day, as in `2026-12-18`.
    pub until: At<Day>,
    /// By when its hosts are to be fresh, as in `mon, wed 18:00`, or `never`; as their rooms by default.
    #[serde(default)]
    pub reset: At<Reset>,
    /// Who asked for it.
    #[serde(default)]
    pub asked_by: At<PlainText>,
}
