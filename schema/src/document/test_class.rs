//! `schools/<school>/test-classes/<test class>.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Day, Reset};
use crate::name::{ClassName, HostName, ImageName, VersionName};
use crate::read::{At, Map, OneOrMany};
use crate::text::PlainText;

/// A test class: a hardware class for a few hosts with versions of its own and an end date. Until then its versions
/// are downloaded to the school; its `start.conf` and the group of its hosts in `devices.csv` are left alone as yet.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "schools/<school>/test-classes/<test class>.yaml")]
pub struct TestClassDocument {
    /// The hardware class that it is made from.
    pub like: At<ClassName>,
    /// The versions that it uses in place of the school's, as in `ubuntu: 2026.11.1`.
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
