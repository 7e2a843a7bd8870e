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

use schema::fleet::{DefaultAction, DownloadType, FileSystem, Firmware, HardwareClass, OsEntry};
use schema::name::ClassName;
use schema::text::{PlainText, SettingKey};
use schema::units::Bytes;

use self::read::download_type_of;
pub use self::read::{OsSection, Section, StartConf};
pub use self::same::{Size, differences, size_of};

mod read;
mod same;
#[cfg(test)]
mod tests;

const HEADER: &str = "# Written by reconcile from ";
/// What follows the header where the file is that of a test class.
const OF_TEST: &str = "test-classes/";

/// The label of the partition that holds the cached images.
pub const CACHE_LABEL: &str = "cache";

/// The whole text of `start.conf.<class>`.
#[must_use]
pub fn render(class: &ClassName, hw: &HardwareClass) -> String {
    text_from(&format!("hardware-classes/{class}.yaml"), class, hw)
}

/// The whole text of the `start.conf` of a test class, whose name the class has.
#[must_use]
pub fn render_test(class: &ClassName, hw: &HardwareClass) -> String {
    text_from(&format!("{OF_TEST}{class}.yaml"), class, hw)
}

/// The whole text of the `start.conf` of the VM in which images are moved into the school's domain.
#[must_use]
pub fn render_rebrand(class: &ClassName, hw: &HardwareClass) -> String {
    text_from("`rebrand` in school.yaml", class, hw)
}

fn text_from(source: &str, class: &ClassName, hw: &HardwareClass) -> String {
    let mut text = format!("{HEADER}{source}. Changes here are overwritten.\n");
    section(&mut text, "LINBO", &linbo_keys(class, hw));
    for (index, partition) in hw.partitions.iter().enumerate() {
        section(
            &mut text,
            "Partition",
            &[
                ("Dev", hw.disk.partition(index + 1)),
                ("Label", partition.label.to_string()),
                ("Size", partition.size.map_or_else(String::new, size)),
                ("Id", partition.id.as_str().to_owned()),
                ("FSType", file_system(partition.fs).to_owned()),
                ("Bootable", yes_no(partition.bootable).to_owned()),
            ],
        );
    }
    for os in &hw.os {
        section(&mut text, "OS", &os_keys(hw, os));
    }
    text
}

/// An `[OS]` section, in which settings replace defaults as they do in `[LINBO]`.
fn os_keys<'a>(hw: &'a HardwareClass, os: &'a OsEntry) -> Vec<(&'a str, String)> {
    let root = device_labelled(hw, os.root.as_str());
    let icon = os.icon.as_ref().map(ToString::to_string);
    let usual = |key: &'static str| {
        let mut defaults = OS_DEFAULTS.iter();
        let value = defaults.find(|(known, _)| *known == key);
        (
            key,
            value.map_or_else(String::new, |(_, value)| (*value).to_owned()),
        )
    };
    let keys = vec![
        ("Name", os.name.as_str().to_owned()),
        usual("Version"),
        ("Description", os.name.as_str().to_owned()),
        ("IconName", icon.unwrap_or_default()),
        ("BaseImage", format!("{}.qcow2", os.image)),
        ("Boot", root.clone()),
        ("Root", root),
        ("Kernel", os.kernel.as_str().to_owned()),
        ("Initrd", os.initrd.as_str().to_owned()),
        ("Append", os.append.as_str().to_owned()),
        usual("StartEnabled"),
        usual("SyncEnabled"),
        usual("NewEnabled"),
        ("Autostart", yes_no(os.autostart).to_owned()),
        usual("AutostartTimeout"),
        ("DefaultAction", default_action(os.default).to_owned()),
        usual("Hidden"),
    ];
    with_extra(keys, &OWNED_KEYS_OF_OS, &os.extra)
}

/// The `[LINBO]` section.
fn linbo_keys<'a>(class: &ClassName, hw: &'a HardwareClass) -> Vec<(&'a str, String)> {
    let owned = OWNED_KEYS.into_iter().zip([
        class.to_string(),
        device_labelled(hw, CACHE_LABEL),
        download_type(hw.download).to_owned(),
        firmware(hw.firmware).to_owned(),
        hw.kernel_options.as_str().to_owned(),
    ]);
    let mut keys: Vec<(&str, String)> = owned.collect();
    keys.extend(LINBO_DEFAULTS.map(|(key, value)| (key, value.to_owned())));
    with_extra(keys, &OWNED_KEYS, &hw.extra)
}

/// A setting of the class replaces a default of ours, but none of the keys that the class has a word of its own for:
/// those would contradict it.
fn with_extra<'a>(
    mut keys: Vec<(&'a str, String)>,
    owned: &[&str],
    extra: &'a BTreeMap<SettingKey, PlainText>,
) -> Vec<(&'a str, String)> {
    for (key, value) in extra {
        let (key, value) = (key.as_str(), value.as_str().to_owned());
        if owned.iter().any(|owned| owned.eq_ignore_ascii_case(key)) {
            continue;
        }
        let mut known = keys.iter_mut();
        match known.find(|(known, _)| known.eq_ignore_ascii_case(key)) {
            Some((_, known)) => *known = value,
            None => keys.push((key, value)),
        }
    }
    keys
}

/// What we write into `[LINBO]` where a class says nothing else.
pub const LINBO_DEFAULTS: [(&str, &str); 6] = [
    ("AutoPartition", "no"),
    ("AutoFormat", "no"),
    ("AutoInitCache", "no"),
    ("GuiDisabled", "no"),
    ("UseMinimalLayout", "no"),
    ("Locale", "de-de"),
];

/// What we write into `[OS]` where a system says nothing else.
pub const OS_DEFAULTS: [(&str, &str); 9] = [
    ("Version", ""),
    ("IconName", ""),
    ("StartEnabled", "yes"),
    ("SyncEnabled", "yes"),
    ("NewEnabled", "yes"),
    ("Autostart", "no"),
    ("AutostartTimeout", "5"),
    ("DefaultAction", "sync"),
    ("Hidden", "no"),
];

/// The keys of `[LINBO]` that follow from a class, so that `extra` may not name them.
pub const OWNED_KEYS: [&str; 5] = [
    "Group",
    "Cache",
    "DownloadType",
    "SystemType",
    "KernelOptions",
];

/// The keys of `[OS]` that follow from a class, in the same way.
pub const OWNED_KEYS_OF_OS: [&str; 9] = [
    "Name",
    "BaseImage",
    "Root",
    "Kernel",
    "Initrd",
    "Append",
    "IconName",
    "Autostart",
    "DefaultAction",
];

fn section(text: &mut String, name: &str, keys: &[(&str, String)]) {
    // Writing to a String cannot fail.
    _ = writeln!(text, "\n[{name}]");
    for (key, value) in keys {
        // A class with anything else is refused when it is loaded. Values are sourced by a shell on
        // every client, as root, so this is the last fence.
        let value: String = value
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || " ._:/=,+@%-".contains(*c))
            .collect();
        _ = writeln!(text, "{}", format!("{key} = {value}").trim_end());
    }
}

fn device_labelled(hw: &HardwareClass, label: &str) -> String {
    hw.partitions
        .iter()
        .position(|partition| partition.label.as_str() == label)
        .map_or_else(String::new, |index| hw.disk.partition(index + 1))
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

/// Whether a `start.conf` was written by [`render_test()`], so that its hosts are to go back to the class of their
/// room where the state repo has no such test class.
#[must_use]
pub fn is_of_test(text: &[u8]) -> bool {
    let rest = text.strip_prefix(HEADER.as_bytes());
    rest.is_some_and(|rest| rest.starts_with(OF_TEST.as_bytes()))
}
