//! `hardware-classes/<class>.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{ConfText, PartitionId, PartitionSize};
use crate::fleet::{DefaultAction, DownloadType, FileSystem, Firmware, ResetCommand};
use crate::name::{FileName, ImageName, PartitionLabel};
use crate::read::{At, Map};
use crate::text::{DevicePath, SettingKey};

/// A hardware class: what `start.conf.<class>` is rendered from; the file's name is its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "hardware-classes/<class>.yaml")]
pub struct ClassDocument {
    /// What its hosts boot with: `bios64` or `efi64`.
    pub firmware: At<Firmware>,
    /// How its hosts fetch images from the school's server: `torrent` (the default), `multicast` or `rsync`.
    #[serde(default)]
    pub download: At<DownloadType>,
    /// The disk that LINBO partitions, as in `/dev/sda` or `/dev/nvme0n1`.
    pub disk: At<DevicePath>,
    /// The partition table, in order. One partition has the label `cache`: it holds the images.
    pub partitions: At<Vec<At<PartitionDocument>>>,
    /// The operating systems, in the order of LINBO's menu.
    pub os: At<Vec<At<OsDocument>>>,
    /// Kernel options of LINBO itself, as in `quiet splash`.
    #[serde(default)]
    pub kernel_options: At<ConfText>,
    /// Further settings of the `[LINBO]` section by their LINBO names, as in `Locale: de-de`.
    #[serde(default)]
    pub extra: At<Map<SettingKey, ConfText>>,
}

/// One partition.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionDocument {
    /// Its label; unique within the class.
    pub label: At<PartitionLabel>,
    /// Its size, as in `60 GiB`; `rest` for what is left (the last partition only).
    pub size: At<PartitionSize>,
    /// Its file system; `none` leaves it unformatted.
    pub fs: At<FileSystem>,
    /// The partition type as LINBO writes it, as in `ef`; derived from the file system when not given.
    #[serde(default)]
    pub id: At<PartitionId>,
    /// Whether it is marked bootable; `false` by default.
    #[serde(default)]
    pub bootable: At<bool>,
}

/// One operating system.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OsDocument {
    /// What LINBO's menu shows.
    pub name: At<ConfText>,
    /// The image that it is restored from: the name of a file in `images/`.
    pub image: At<ImageName>,
    /// The label of the partition that it is restored to.
    pub root: At<PartitionLabel>,
    /// Whether LINBO starts it by itself; `false` by default.
    #[serde(default)]
    pub autostart: At<bool>,
    /// What LINBO's big button does: `start`, `sync` (the default) or `new`.
    #[serde(default)]
    pub default: At<DefaultAction>,
    /// How a reset puts it back: `sync` (file by file, the default for Linux) or `new` (format
    /// first, the default for Windows).
    #[serde(default)]
    pub reset: At<ResetCommand>,
    /// Kernel within its partition; `boot/vmlinuz` by default for Linux.
    #[serde(default)]
    pub kernel: At<ConfText>,
    /// Initial RAM disk within its partition; `boot/initrd.img` by default for Linux.
    #[serde(default)]
    pub initrd: At<ConfText>,
    /// Its kernel options; `ro splash` by default for Linux.
    #[serde(default)]
    pub append: At<ConfText>,
    /// The file name of its icon.
    #[serde(default)]
    pub icon: At<FileName>,
    /// Further settings of its `[OS]` section by their LINBO names, as in `AutostartTimeout: 10`.
    #[serde(default)]
    pub extra: At<Map<SettingKey, ConfText>>,
}
