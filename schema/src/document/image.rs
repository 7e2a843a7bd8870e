//! `images/<image>.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::policy::SuspensionDocument;
use super::value::SiteVersion;
use crate::digest::Digest;
use crate::fleet::{DomainJoin, Os};
use crate::name::{ChannelName, SchoolName, VersionName};
use crate::read::{At, Map};
use crate::text::PlainText;
use crate::units::Bytes;

/// A line of images; the file's name is its name.
///
/// Either the central server releases it: then `versions` and `channels` say what there is. Or it is
/// made by hand at one school: then `made_at` says where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "images/<image>.yaml")]
#[schemars(extend("oneOf" = [
    { "required": ["versions"], "not": { "anyOf": [{ "required": ["made_at"] }, { "required": ["version"] }] } },
    {
        "required": ["made_at"],
        "not": { "anyOf": [{ "required": ["versions"] }, { "required": ["channels"] }, { "required": ["domain_join"] }] }
    }
]))]
pub struct ImageDocument {
    /// The operating system: `linux` or `windows`.
    pub os: At<Os>,
    /// Released images only: `rebrand` (the default) if each school has to move it into its own
    /// domain before any PC may have it, `not_needed` if it belongs to no domain.
    #[serde(default)]
    pub domain_join: At<DomainJoin>,
    /// Released images only: which version each channel points at, as in `stable: 2026.10.1`.
    #[serde(default)]
    pub channels: At<Map<ChannelName, VersionName>>,
    /// Released images only: all published versions by name.
    #[serde(default)]
    pub versions: At<Map<VersionName, VersionDocument>>,
    /// Images made on site only: the school that makes it, and alone uses it.
    #[serde(default)]
    pub made_at: At<SchoolName>,
    /// Images made on site only: `newest` (the default), or the timestamp of an `.info` to pin.
    #[serde(default)]
    pub version: At<SiteVersion>,
    /// Why nothing is done about it for the time being.
    #[serde(default)]
    pub suspended: At<SuspensionDocument>,
}

/// One published version; it never changes, but it may be marked bad.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionDocument {
    /// The digest of its manifest, which the release prints.
    pub manifest: At<Digest>,
    /// The size of the base image, as in `15.1 GiB`.
    pub size: At<Bytes>,
    /// The size of the differential image, if it has one.
    #[serde(default)]
    pub diff: At<Bytes>,
    /// The version that first had its base, if it is not the first one itself, as in `2026.09.1`: schools that have that base
    /// already fetch the diff alone.
    #[serde(default)]
    pub base: At<VersionName>,
    /// Why nobody may use it, if so.
    #[serde(default)]
    pub bad: At<PlainText>,
}
