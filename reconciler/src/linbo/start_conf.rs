//! `start.conf.<class>`: what LINBO's clients, `linuxmuster-import-devices` and the school console
//! read of a hardware class.
//!
//! # Invariants
//!
//! [`render()`] is a function of the class alone, byte for byte. What it writes obeys all three
//! readers, which differ: comments on lines of their own, every line at the first column, no key
//! twice in a section, `[LINBO]` in capitals, `Cache` and `KernelOptions` always there, and in every
//! `[OS]` the six keys without which the boot menu would end before it.
//! [`StartConf::parse()`] reads as tolerantly as the client (`linbo_split_startconf`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schema::fleet::{DefaultAction, DownloadType, FileSystem, Firmware, HardwareClass};
use schema::name::{ClassName, PartitionLabel};
use schema::units::Bytes;

use super::{RowProblem, lines};

const HEADER: &str = "# Written by reconcile from hardware-classes/";

/// The label of the partition that holds the cached images.
pub const CACHE_LABEL: &str = "cache";

/// The whole text of `start.conf.<class>`.
#[must_use]
pub fn render(class: &ClassName, hw: &HardwareClass) -> String {
    let mut text = format!("{HEADER}{class}.yaml. Changes here are overwritten.\n");
    section(&mut text, "LINBO", &linbo_keys(class, hw));
    for (index, partition) in hw.partitions.iter().enumerate() {
        section(
            &mut text,
            "Partition",
            &[
                ("Dev", device(hw, index)),
                ("Label", partition.label.to_string()),
                ("Size", partition.size.map_or_else(String::new, size)),
                ("Id", partition.id.as_str().to_owned()),
                ("FSType", file_system(partition.fs).to_owned()),
                ("Bootable", yes_no(partition.bootable).to_owned()),
            ],
        );
    }
    for os in &hw.os {
        section(
            &mut text,
            "OS",
            &[
                ("Name", os.name.as_str().to_owned()),
                ("Version", String::new()),
                ("Description", os.name.as_str().to_owned()),
                ("IconName", os.icon.as_ref().map_or_else(String::new, ToString::to_string)),
                ("BaseImage", format!("{}.qcow2", os.image)),
                ("Boot", device_labelled(hw, os.root.as_str())),
                ("Root", device_labelled(hw, os.root.as_str())),
                ("Kernel", os.kernel.as_str().to_owned()),
                ("Initrd", os.initrd.as_str().to_owned()),
                ("Append", os.append.as_str().to_owned()),
                ("StartEnabled", "yes".to_owned()),
                ("SyncEnabled", "yes".to_owned()),
                ("NewEnabled", "yes".to_owned()),
                ("Autostart", yes_no(os.autostart).to_owned()),
                ("AutostartTimeout", "5".to_owned()),
                ("DefaultAction", default_action(os.default).to_owned()),
                ("Hidden", "no".to_owned()),
            ],
        );
    }
    text
}

/// The `[LINBO]` section. A setting of the class replaces a default of ours, but none of the keys
/// that the class has a word of its own for: those would contradict it.
fn linbo_keys<'a>(class: &ClassName, hw: &'a HardwareClass) -> Vec<(&'a str, String)> {
    let owned = [
        ("Group", class.to_string()),
        ("Cache", device_labelled(hw, CACHE_LABEL)),
        ("DownloadType", download_type(hw.download).to_owned()),
        ("SystemType", firmware(hw.firmware).to_owned()),
        ("KernelOptions", hw.kernel_options.as_str().to_owned()),
    ];
    let defaults = [
        ("AutoPartition", "no"),
        ("AutoFormat", "no"),
        ("AutoInitCache", "no"),
        ("GuiDisabled", "no"),
        ("UseMinimalLayout", "no"),
        ("Locale", "de-de"),
    ];
    let mut keys: Vec<(&str, String)> = owned.into_iter().collect();
    keys.extend(defaults.map(|(key, value)| (key, value.to_owned())));
    for (key, value) in &hw.extra {
        let (key, value) = (key.as_str(), value.as_str().to_owned());
        match keys.iter().position(|(known, _)| known.eq_ignore_ascii_case(key)) {
            Some(place) if place >= OWNED_KEYS.len() => keys[place].1 = value,
            Some(_) => {}
            None => keys.push((key, value)),
        }
    }
    keys
}

/// The keys of `[LINBO]` that follow from a class, so that `extra` may not name them.
pub const OWNED_KEYS: [&str; 5] = ["Group", "Cache", "DownloadType", "SystemType", "KernelOptions"];

fn section(text: &mut String, name: &str, keys: &[(&str, String)]) {
    // Writing to a String cannot fail.
    _ = writeln!(text, "\n[{name}]");
    for (key, value) in keys {
        _ = writeln!(text, "{}", format!("{key} = {value}").trim_end());
    }
}

/// The device of a class's partition; LINBO counts from 1, and a disk that ends in a digit takes a `p`.
fn device(hw: &HardwareClass, index: usize) -> String {
    let disk = hw.disk.as_str();
    let p = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{p}{}", index + 1)
}

fn device_labelled(hw: &HardwareClass, label: &str) -> String {
    let named = |wanted: &PartitionLabel| wanted.as_str() == label;
    hw.partitions
        .iter()
        .position(|partition| named(&partition.label))
        .map_or_else(String::new, |index| device(hw, index))
}

/// A size as LINBO reads it: `30G`, `512M`, or a bare number of KiB.
fn size(Bytes(bytes): Bytes) -> String {
    for (unit, shift) in [("T", 40), ("G", 30), ("M", 20)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.div_ceil(1024).to_string()
}

const fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

const fn firmware(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Bios64 => "bios64",
        Firmware::Efi64 => "efi64",
    }
}

const fn download_type(download: DownloadType) -> &'static str {
    match download {
        DownloadType::Torrent => "torrent",
        DownloadType::Multicast => "multicast",
        DownloadType::Rsync => "rsync",
    }
}

const fn file_system(fs: FileSystem) -> &'static str {
    match fs {
        FileSystem::Vfat => "vfat",
        FileSystem::Ext4 => "ext4",
        FileSystem::Ntfs => "ntfs",
        FileSystem::Swap => "swap",
        FileSystem::Unformatted => "",
    }
}

const fn default_action(action: DefaultAction) -> &'static str {
    match action {
        DefaultAction::Start => "start",
        DefaultAction::Sync => "sync",
        DefaultAction::New => "new",
    }
}

/// Whether a `start.conf` was written by [`render()`], so that it may be overwritten.
#[must_use]
pub fn is_ours(text: &[u8]) -> bool {
    text.starts_with(HEADER.as_bytes())
}

/// A `start.conf` as LINBO's client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartConf {
    /// The `[LINBO]` section.
    pub linbo: Section,
    /// The `[Partition]` sections, in order.
    pub partitions: Vec<Section>,
    /// The `[OS]` sections, in order: `sync:1` means the first.
    pub os: Vec<Section>,
    /// What the client bears but another reader of the file does not.
    pub problems: Vec<RowProblem>,
}

/// One section: its values by their keys, without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// Where it begins, counted from 1; 0 when the file has no such section.
    pub line: usize,
    values: BTreeMap<String, (String, String)>,
}

impl Section {
    /// The value of a key in any case; none when it is missing, empty when it is empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(&key.to_ascii_lowercase()).map(|(_, value)| value.as_str())
    }

    /// All keys as they are written, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.values().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }
}

/// An operating system as a `start.conf` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsSection<'a> {
    /// `Name`
    pub name: Option<&'a str>,
    /// `BaseImage`, with its ending.
    pub base_image: Option<&'a str>,
    /// `Root`, a device.
    pub root: Option<&'a str>,
}

impl OsSection<'_> {
    /// The image's stem: what stands before the first dot of `BaseImage`, where LINBO cuts it.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.base_image.and_then(|file| file.split('.').next()).filter(|stem| !stem.is_empty())
    }
}

impl StartConf {
    /// Reads what LINBO's client would read.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut conf = Self::default();
        let mut place = Place::Outside;
        for (number, line) in lines(text) {
            let line = line.trim_start_matches('\u{feff}');
            // The client looks at lines alone whose first column is a letter or a bracket.
            if !line.starts_with(|c: char| c == '[' || c.is_ascii_alphabetic()) {
                continue;
            }
            let line = line.split("# ").next().unwrap_or_default().trim();
            if line.starts_with('[') {
                place = conf.open(number, line);
            } else {
                conf.setting(number, line, place);
            }
        }
        if conf.linbo.line == 0 {
            conf.problem(1, "there is no [LINBO] section");
        } else if conf.linbo.get("KernelOptions").is_none() {
            conf.problem(conf.linbo.line, "KernelOptions is missing: linuxmuster-import-devices fails on it");
        }
        conf.check_boot_menu();
        conf
    }

    /// `Group`
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.linbo.filled("Group")
    }

    /// `Cache`, a device.
    #[must_use]
    pub fn cache(&self) -> Option<&str> {
        self.linbo.filled("Cache")
    }

    /// `DownloadType`; anything that LINBO does not know means rsync.
    #[must_use]
    pub fn download_type(&self) -> DownloadType {
        match self.linbo.get("DownloadType") {
            Some("torrent") => DownloadType::Torrent,
            Some("multicast") => DownloadType::Multicast,
            _ => DownloadType::Rsync,
        }
    }

    /// The operating systems, in order.
    pub fn operating_systems(&self) -> impl Iterator<Item = OsSection<'_>> {
        self.os.iter().map(|os| OsSection {
            name: os.filled("Name"),
            base_image: os.filled("BaseImage"),
            root: os.filled("Root"),
        })
    }

    fn open(&mut self, number: usize, line: &str) -> Place {
        let name = line.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
        let new = || Section { line: number, ..Section::default() };
        match name.to_ascii_lowercase().as_str() {
            "linbo" => {
                if name != "LINBO" {
                    self.problem(number, format!("[{name}] has to be written [LINBO]: otherwise the boot menu counts as not configured"));
                }
                if self.linbo.line == 0 {
                    self.linbo.line = number;
                } else {
                    self.problem(number, "a second [LINBO] section");
                }
                Place::Linbo
            }
            "partition" => {
                self.partitions.push(new());
                Place::Partition
            }
            "os" => {
                self.os.push(new());
                Place::Os
            }
            _ => {
                self.problem(number, format!("`{}` is no section that LINBO knows", line.escape_debug()));
                Place::Outside
            }
        }
    }

    fn setting(&mut self, number: usize, line: &str, place: Place) {
        let section = match place {
            Place::Outside => None,
            Place::Linbo => Some(&mut self.linbo),
            Place::Partition => self.partitions.last_mut(),
            Place::Os => self.os.last_mut(),
        };
        let (Some((key, value)), Some(section)) = (line.split_once('='), section) else {
            self.problem(number, format!("`{}` is no setting of a section", line.escape_debug()));
            return;
        };
        let (key, value) = (key.trim(), value.trim());
        let entry = (key.to_owned(), value.to_owned());
        if section.values.insert(key.to_ascii_lowercase(), entry).is_some() {
            self.problem(number, format!("{key} stands twice in its section: the boot menu counts as not configured"));
        }
        if value.contains(['"', '$', '`', '\\', '\'']) {
            self.problem(number, format!("the value of {key} would be run by a shell on every client"));
        }
    }

    fn check_boot_menu(&mut self) {
        for index in 0..self.os.len() {
            let os = &self.os[index];
            let missing: Vec<&str> = ["Name", "BaseImage", "Root", "Kernel", "Initrd", "Append"]
                .into_iter()
                .filter(|key| os.get(key).is_none())
                .collect();
            if !missing.is_empty() {
                let message = format!(
                    "{} missing: the boot menu ends before this operating system",
                    missing.join(", ")
                );
                self.problem(os.line, message);
            }
        }
    }

    fn problem(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(RowProblem::new(line, message));
    }
}

#[derive(Clone, Copy)]
enum Place {
    Outside,
    Linbo,
    Partition,
    Os,
}
