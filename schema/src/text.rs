//! Small texts with a rule each: what they may hold is what the file they end up in can bear.

/// Text for people on one line: no control characters. Where it ends up in `start.conf`, whose values
/// LINBO's clients source with a shell, only letters, digits and ` ._:/=,+@%-` are admitted
/// (checked when a class is loaded).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize)]
#[serde(transparent)]
pub struct PlainText(Box<str>);

/// A device as `start.conf` names it: `/dev/sda`, `/dev/nvme0n1`, `/dev/disk0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct DevicePath(Box<str>);

/// The timestamp of an image's `.info`: twelve digits, local time of the machine that made it.
/// Opaque: never ordered, only compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct ImageStamp(Box<str>);

/// A mail address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct MailAddress(Box<str>);

/// A key of `start.conf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct SettingKey(Box<str>);
