//! A hardware class out of a `start.conf` that somebody wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schema::fleet::{DownloadType, Os};
use schema::name::{ImageName, PartitionLabel};
use schema::units::Bytes;

use super::yaml::text;
use crate::linbo::start_conf::{
    CACHE_LABEL, LINBO_DEFAULTS, OS_DEFAULTS, OWNED_KEYS, OWNED_KEYS_OF_OS, Section, Size,
    StartConf, size_of,
};

/// A hardware class as far as it can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adopted {
    firmware: &'static str,
    download: DownloadType,
    disk: String,
    partitions: Vec<Row>,
    systems: Vec<System>,
    kernel_options: String,
    extra: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    label: String,
    size: String,
    fs: &'static str,
    id: String,
    bootable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct System {
    name: String,
    image: ImageName,
    os: Os,
    root: String,
    /// Keys of the state repo with their values.
    keys: Vec<(&'static str, String)>,
    extra: BTreeMap<String, String>,
}

impl Adopted {
    /// Reads a file; everything that cannot be written is an error.
    pub(super) fn of(file: &[u8]) -> Result<Self, Vec<String>> {
        let conf = StartConf::parse(file);
        let mut wrong = Vec::new();
        let devices: Vec<&str> = conf
            .partitions
            .iter()
            .map(|row| value(row, "Dev"))
            .collect();
        let disk = disk_of(&devices);
        if disk.is_none() {
            wrong.push(format!(
                "its partitions are not the first ones of one disk in order: {}",
                devices.join(", ")
            ));
        }
        let rows = conf.partitions.iter().map(partition);
        let partitions: Vec<Row> = rows.filter_map(|row| keep(row, &mut wrong)).collect();
        let label_of = |device: &str| {
            let place = devices.iter().position(|known| *known == device)?;
            conf.partitions.get(place).map(|row| value(row, "Label"))
        };
        if label_of(value(&conf.linbo, "Cache")) != Some(CACHE_LABEL) {
            wrong.push(format!(
                "the partition that `Cache` names has to have the label `{CACHE_LABEL}`"
            ));
        }
        let systems = conf.os.iter().map(|section| system(section, label_of));
        let systems: Vec<System> = systems
            .filter_map(|system| keep(system, &mut wrong))
            .collect();
        let is_efi = partitions
            .iter()
            .any(|row| row.id.eq_ignore_ascii_case("ef"));
        let firmware = match value(&conf.linbo, "SystemType") {
            "efi64" => "efi64",
            "bios64" => "bios64",
            _ if is_efi => "efi64",
            _ => "bios64",
        };
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            firmware,
            download: conf.download_type(),
            disk: disk.unwrap_or_default(),
            partitions,
            systems,
            kernel_options: value(&conf.linbo, "KernelOptions").to_owned(),
            extra: extra(&conf.linbo, &OWNED_KEYS, &LINBO_DEFAULTS),
        })
    }

    /// The images that its systems are restored from.
    pub(super) fn images(&self) -> impl Iterator<Item = (&ImageName, Os)> {
        self.systems.iter().map(|system| (&system.image, system.os))
    }

    /// `hardware-classes/<class>.yaml`
    pub(super) fn yaml(&self) -> String {
        let download = match self.download {
            DownloadType::Torrent => "torrent",
            DownloadType::Multicast => "multicast",
            DownloadType::Rsync => "rsync",
        };
        let mut yaml = format!(
            "firmware: {}\ndownload: {download}\ndisk: {}\npartitions:\n",
            self.firmware,
            text(&self.disk)
        );
        // Writing to a String cannot fail.
        for row in &self.partitions {
            let Row {
                label, size, fs, ..
            } = row;
            let bootable = if row.bootable { ", bootable: true" } else { "" };
            let (label, id) = (text(label), text(&row.id));
            _ = writeln!(
                yaml,
                "  - {{ label: {label}, size: {size}, fs: {fs}, id: {id}{bootable} }}"
            );
        }
        yaml += "os:\n";
        for system in &self.systems {
            _ = writeln!(yaml, "  - name: {}", text(&system.name));
            _ = writeln!(yaml, "    image: {}", text(system.image.as_str()));
            _ = writeln!(yaml, "    root: {}", text(&system.root));
            for (key, value) in &system.keys {
                _ = writeln!(yaml, "    {key}: {value}");
            }
            settings(&mut yaml, "    ", &system.extra);
        }
        if !self.kernel_options.is_empty() {
            _ = writeln!(yaml, "kernel_options: {}", text(&self.kernel_options));
        }
        settings(&mut yaml, "", &self.extra);
        yaml
    }
}

fn settings(yaml: &mut String, indent: &str, settings: &BTreeMap<String, String>) {
    if settings.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    _ = writeln!(yaml, "{indent}extra:");
    for (key, value) in settings {
        _ = writeln!(yaml, "{indent}  {}: {}", text(key), text(value));
    }
}

fn keep<T>(read: Result<T, Vec<String>>, wrong: &mut Vec<String>) -> Option<T> {
    read.map_err(|why| wrong.extend(why)).ok()
}

/// The value of a key; a missing one is empty, as LINBO takes it.
fn value<'a>(section: &'a Section, key: &str) -> &'a str {
    section.get(key).unwrap_or_default()
}

/// The disk whose first partitions these are, in order.
fn disk_of(devices: &[&str]) -> Option<String> {
    let first = devices.first()?.strip_suffix('1')?;
    let disk = match first.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => disk,
        _ => first,
    };
    let disk: schema::text::DevicePath = disk.parse().ok()?;
    let mut numbered = devices.iter().enumerate();
    let is_in_order = numbered.all(|(index, device)| *device == disk.partition(index + 1));
    is_in_order.then(|| disk.to_string())
}

fn partition(section: &Section) -> Result<Row, Vec<String>> {
    let (label, id) = (value(section, "Label"), value(section, "Id"));
    let mut wrong = Vec::new();
    if let Err(error) = label.parse::<PartitionLabel>() {
        wrong.push(error.to_string());
    }
    let fs = match value(section, "FSType") {
        "vfat" => "vfat",
        "ext4" => "ext4",
        "ntfs" => "ntfs",
        "swap" => "swap",
        "" => "none",
        other => {
            wrong.push(format!(
                "partition {label} has the file system `{}`",
                other.escape_debug()
            ));
            ""
        }
    };
    let size = match size_of(value(section, "Size")) {
        Some(Size::Rest) => "rest".to_owned(),
        Some(Size::Of(Bytes(bytes))) => exact(bytes),
        None => {
            let size = value(section, "Size").escape_debug();
            wrong.push(format!("partition {label} has the size `{size}`"));
            String::new()
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(Row {
        label: label.to_owned(),
        size,
        fs,
        id: id.to_owned(),
        bootable: value(section, "Bootable").eq_ignore_ascii_case("yes"),
    })
}

/// A size to the byte.
fn exact(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} B")
}

fn system<'a>(
    section: &Section,
    label_of: impl Fn(&str) -> Option<&'a str>,
) -> Result<System, Vec<String>> {
    let name = value(section, "Name");
    let mut wrong = Vec::new();
    let (base, root) = (value(section, "BaseImage"), value(section, "Root"));
    let image = base
        .strip_suffix(".qcow2")
        .unwrap_or_default()
        .parse::<ImageName>();
    if image.is_err() {
        wrong.push(format!(
            "{name} has the base image `{}`",
            base.escape_debug()
        ));
    }
    let label = label_of(root);
    if label.is_none() {
        wrong.push(format!(
            "{name} has the root `{}`, which is no partition",
            root.escape_debug()
        ));
    }
    let (Ok(image), Some(root), true) = (image, label, wrong.is_empty()) else {
        return Err(wrong);
    };
    let [kernel, initrd, append] = ["Kernel", "Initrd", "Append"].map(|key| value(section, key));
    let os = if kernel.is_empty() {
        Os::Windows
    } else {
        Os::Linux
    };
    let usual = match os {
        Os::Linux => ["boot/vmlinuz", "boot/initrd.img", "ro splash"],
        Os::Windows => [""; 3],
    };
    let mut keys = Vec::new();
    if value(section, "Autostart").eq_ignore_ascii_case("yes") {
        keys.push(("autostart", "true".to_owned()));
    }
    match value(section, "DefaultAction") {
        "" | "sync" => {}
        other => keys.push(("default", text(other))),
    }
    for ((key, found), usual) in ["kernel", "initrd", "append"]
        .into_iter()
        .zip([kernel, initrd, append])
        .zip(usual)
    {
        // An empty one cannot be written: whether that matters is found out by what is rendered of it.
        if found != usual && !found.is_empty() {
            keys.push((key, text(found)));
        }
    }
    let icon = value(section, "IconName");
    if !icon.is_empty() {
        keys.push(("icon", text(icon)));
    }
    let mut extra = extra(section, &OWNED_KEYS_OF_OS, &OS_DEFAULTS);
    extra.retain(|key, found| {
        let is_usual = match key.to_ascii_lowercase().as_str() {
            "description" => found == name,
            "boot" => found == value(section, "Root"),
            _ => false,
        };
        !is_usual
    });
    Ok(System {
        name: name.to_owned(),
        image,
        os,
        root: root.to_owned(),
        keys,
        extra,
    })
}

/// Settings that have no word of their own, and are not what is written anyway.
fn extra(section: &Section, owned: &[&str], usual: &[(&str, &str)]) -> BTreeMap<String, String> {
    let is_owned = |key: &str| owned.iter().any(|owned| owned.eq_ignore_ascii_case(key));
    let is_usual = |key: &str, value: &str| {
        let mut usual = usual.iter();
        usual.any(|(known, usual)| {
            known.eq_ignore_ascii_case(key) && usual.eq_ignore_ascii_case(value)
        })
    };
    let settings = section.iter();
    let settings = settings
        .filter(|(key, value)| !value.is_empty() && !is_owned(key) && !is_usual(key, value));
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    settings.collect()
}
