//! Hardware classes: partitions and operating systems.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::name::{FileName, ImageName, PartitionLabel};
use crate::text::{DevicePath, PlainText, SettingKey};
use crate::units::Bytes;

/// What `start.conf.<class>` is rendered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareClass {
    /// The firmware of its hosts.
    pub firmware: Firmware,
    /// How its hosts fetch images from the school's server.
    pub download: DownloadType,
    /// The disk that LINBO partitions.
    pub disk: DevicePath,
    /// The partition table, in order; LINBO counts from 1.
    pub partitions: Vec<Partition>,
    /// The operating systems, in order; LINBO counts from 1 (`sync:1`).
    pub os: Vec<OsEntry>,
    /// Kernel options of LINBO itself.
    pub kernel_options: PlainText,
    /// Settings of the `[LINBO]` section that have no key of their own here, by their LINBO names.
    pub extra: BTreeMap<SettingKey, PlainText>,
}

impl HardwareClass {
    /// The images that its operating systems are restored from.
    #[must_use]
    pub fn images(&self) -> BTreeSet<&ImageName> {
        self.os.iter().map(|os| &os.image).collect()
    }
}

/// The firmware that a class boots with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// `bios64`
    Bios64,
    /// `efi64`
    Efi64,
}

/// LINBO's `DownloadType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DownloadType {
    /// From peers and the server.
    Torrent,
    /// By multicast sessions.
    Multicast,
    /// From the server alone.
    Rsync,
}

/// One row of the partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its label; unique within the class.
    pub label: PartitionLabel,
    /// Its size; none means the rest of the disk (the last partition only).
    pub size: Option<Bytes>,
    /// Its file system.
    pub fs: FileSystem,
    /// The partition type as LINBO writes it (`83`, `ef`, `0c01`); derived from the file system when not given.
    pub id: PlainText,
    /// Whether it is marked bootable.
    pub bootable: bool,
}

/// The file systems that LINBO formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// `vfat`
    Vfat,
    /// `ext4`
    Ext4,
    /// `ntfs`
    Ntfs,
    /// `swap`
    Swap,
    /// Not formatted: `none`
    #[serde(rename = "none")]
    Unformatted,
}

/// One operating system of a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsEntry {
    /// What LINBO's menu shows.
    pub name: PlainText,
    /// The image that it is restored from.
    pub image: ImageName,
    /// The label of its root partition.
    pub root: PartitionLabel,
    /// Whether LINBO starts it by itself.
    pub autostart: bool,
    /// What LINBO's big button does.
    pub default: DefaultAction,
    /// Which LINBO command a reset runs.
    pub reset: ResetCommand,
    /// Kernel within the root partition, `boot/vmlinuz`; empty for Windows.
    pub kernel: PlainText,
    /// Initial RAM disk within the root partition; empty for Windows.
    pub initrd: PlainText,
    /// Kernel options of the operating system.
    pub append: PlainText,
    /// The icon's file name.
    pub icon: Option<FileName>,
    /// Settings of its `[OS]` section that have no key of their own here, by their LINBO names.
    pub extra: BTreeMap<SettingKey, PlainText>,
}

/// LINBO's `DefaultAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DefaultAction {
    /// `start`
    Start,
    /// `sync`
    Sync,
    /// `new`
    New,
}

/// The LINBO command that puts an operating system back to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ResetCommand {
    /// `sync:N`: file by file. The default for Linux.
    Sync,
    /// `new:N`: format first. The default for Windows, where LINBO's file sync leads to errors on NTFS.
    New,
}
