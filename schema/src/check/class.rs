//! `hardware-classes/<class>.yaml`: the partition table and the operating systems of a class.

use std::collections::BTreeMap;

use super::image::Facts;
use super::{Images, dangling, unknown_image};
use crate::diagnostic::Diagnostic;
use crate::document::ClassDocument;
use crate::document::class::{OsDocument, PartitionDocument};
use crate::document::value::{ConfText, PartitionId, PartitionSize};
use crate::fleet::{
    DefaultAction, DownloadType, FileSystem, Firmware, HardwareClass, Os, OsEntry, Partition,
    ResetCommand,
};
use crate::name::PartitionLabel;
use crate::read::{At, Map};
use crate::text::{PlainText, SettingKey};

/// The label of the partition that holds the cached images.
const CACHE: &str = "cache";

/// Settings of `[LINBO]` that follow from other keys of a class, with these keys.
const OWNED: [(&str, &str); 5] = [
    ("Group", "the file's name"),
    ("Cache", "the partition with the label `cache`"),
    ("DownloadType", "`download`"),
    ("SystemType", "`firmware`"),
    ("KernelOptions", "`kernel_options`"),
];

/// Settings of `[OS]` that follow from other keys of a system, with these keys.
const OWNED_OF_OS: [(&str, &str); 9] = [
    ("Name", "`name`"),
    ("BaseImage", "`image`"),
    ("Root", "`root`"),
    ("Kernel", "`kernel`"),
    ("Initrd", "`initrd`"),
    ("Append", "`append`"),
    ("IconName", "`icon`"),
    ("Autostart", "`autostart`"),
    ("DefaultAction", "`default`"),
];

/// Checks a document and gives the class.
pub(crate) fn resolve(
    file: &str,
    document: ClassDocument,
    images: &Images,
    found: &mut Vec<Diagnostic>,
) -> Option<HardwareClass> {
    let ClassDocument {
        firmware,
        download,
        disk,
        partitions,
        os,
        kernel_options,
        extra,
    } = document;
    let firmware = firmware.into_inner();
    if let Some(rows) = partitions.get() {
        check_table(file, &partitions, rows, found);
    }
    let labels = labels(&partitions);
    if os.get().is_some_and(Vec::is_empty) {
        let message = "a class without an operating system has nothing to start or reset";
        found.push(
            Diagnostic::error("empty-list", file, os.span(), message).with_hint(
                "write at least one, as in `- { name: Ubuntu, image: ubuntu, root: ubuntu }`",
            ),
        );
    }
    let systems = os.into_inner().map(|systems| {
        let systems = systems
            .into_iter()
            .map(|system| system_of(file, system.into_inner()?, labels.as_deref(), images, found));
        // All of them are looked at, also after one that is broken.
        systems
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Option<Vec<_>>>()
    });
    let partitions = partitions.into_inner().map(|rows| {
        let rows = rows
            .into_iter()
            .map(|row| partition(file, row.into_inner()?, firmware, found));
        rows.collect::<Vec<_>>()
            .into_iter()
            .collect::<Option<Vec<_>>>()
    });
    let extra = settings(file, extra, &OWNED, found);
    Some(HardwareClass {
        firmware: firmware?,
        download: download.into_inner().unwrap_or(DownloadType::Torrent),
        disk: disk.into_inner()?,
        partitions: with_first_esp(partitions??, firmware?),
        os: systems??,
        kernel_options: text(kernel_options, ""),
        extra,
    })
}

/// The labels, if all could be read.
fn labels(partitions: &At<Vec<At<PartitionDocument>>>) -> Option<Vec<PartitionLabel>> {
    let rows = partitions.get()?.iter();
    rows.map(|row| row.get()?.label.get().cloned()).collect()
}

fn check_table(
    file: &str,
    partitions: &At<Vec<At<PartitionDocument>>>,
    rows: &[At<PartitionDocument>],
    found: &mut Vec<Diagnostic>,
) {
    let mut seen: Vec<&PartitionLabel> = Vec::new();
    let mut whole = true;
    for (number, row) in rows.iter().enumerate() {
        let Some(PartitionDocument { label, size, .. }) = row.get() else {
            whole = false;
            continue;
        };
        if size.get() == Some(&PartitionSize::Rest) && number + 1 < rows.len() {
            let message = "only the last partition can have the rest of the disk";
            found.push(
                Diagnostic::error("rest-not-last", file, size.span(), message)
                    .with_hint("write a size, as in `60 GiB`, or move the partition to the end"),
            );
        }
        match label.get() {
            Some(name) if seen.contains(&name) => {
                let message = format!("a second partition with the label `{name}`");
                found.push(
                    Diagnostic::error("duplicate-label", file, label.span(), message).with_hint(
                        "labels are how operating systems name their partition: choose another one",
                    ),
                );
            }
            Some(name) => seen.push(name),
            None => whole = false,
        }
    }
    if whole && !seen.iter().any(|label| label.as_str() == CACHE) {
        let message =
            "there is no partition with the label `cache`, so LINBO has no place for its images";
        found.push(
            Diagnostic::error("missing-cache", file, partitions.span(), message)
                .with_hint("add `- { label: cache, size: rest, fs: ext4 }` at the end"),
        );
    }
}

fn partition(
    file: &str,
    document: PartitionDocument,
    firmware: Option<Firmware>,
    found: &mut Vec<Diagnostic>,
) -> Option<Partition> {
    let PartitionDocument {
        label,
        size,
        fs,
        id,
        bootable,
    } = document;
    let usual = match fs.get() {
        Some(FileSystem::Ext4) => Some("83"),
        Some(FileSystem::Ntfs) => Some("7"),
        Some(FileSystem::Swap) => Some("82"),
        Some(FileSystem::Vfat) => Some("0c"),
        Some(FileSystem::Unformatted) if id.is_absent() => {
            let message = "the type of an unformatted partition cannot be guessed: `id` is missing";
            found.push(
                Diagnostic::error("missing-key", file, fs.span(), message)
                    .with_hint("write `id: 0c01` for the one that Windows reserves, say"),
            );
            None
        }
        Some(FileSystem::Unformatted) | None => None,
    };
    let usual = usual.and_then(|id| id.parse().ok());
    // The first vfat of an EFI disk is found later: it is the system partition.
    let id = id.into_inner().map(|PartitionId(id)| id);
    let unsaid =
        id.is_none() && fs.get() == Some(&FileSystem::Vfat) && firmware == Some(Firmware::Efi64);
    let id = if unsaid {
        Some(PlainText::default())
    } else {
        id.or(usual)
    };
    Some(Partition {
        label: label.into_inner()?,
        size: match size.into_inner()? {
            PartitionSize::Rest => None,
            PartitionSize::Bytes(size) => Some(size),
        },
        fs: fs.into_inner()?,
        id: id?,
        bootable: bootable.into_inner().unwrap_or(false),
    })
}

/// Gives vfat partitions without an id theirs: on an EFI disk the first one is the system partition,
/// unless another one says that it is.
fn with_first_esp(mut partitions: Vec<Partition>, firmware: Firmware) -> Vec<Partition> {
    let mut taken = firmware != Firmware::Efi64
        || partitions
            .iter()
            .any(|partition| partition.id.as_str().eq_ignore_ascii_case("ef"));
    for partition in partitions
        .iter_mut()
        .filter(|partition| partition.id.is_empty())
    {
        let id = if std::mem::replace(&mut taken, true) {
            "0c"
        } else {
            "ef"
        };
        partition.id = id.parse().unwrap_or_default();
    }
    partitions
}

fn system_of(
    file: &str,
    document: OsDocument,
    labels: Option<&[PartitionLabel]>,
    images: &Images,
    found: &mut Vec<Diagnostic>,
) -> Option<OsEntry> {
    let OsDocument {
        name,
        image,
        root,
        autostart,
        default,
        reset,
        kernel,
        initrd,
        append,
        icon,
        extra,
    } = document;
    let extra = settings(file, extra, &OWNED_OF_OS, found);
    if let (Some(label), Some(labels)) = (root.get(), labels)
        && !labels.contains(label)
    {
        let message = format!("no partition of this class has the label `{label}`");
        let known = labels.iter().map(PartitionLabel::as_str);
        found.push(dangling(
            "unknown-label",
            file,
            root.span(),
            message,
            label.as_str(),
            known,
            "the labels are",
            || "write the label of the partition that holds the system".to_owned(),
        ));
    }
    if root.get().is_some_and(|label| label.as_str() == CACHE) {
        let message =
            "an operating system on the partition `cache` would overwrite the images there";
        found.push(
            Diagnostic::error("root-on-cache", file, root.span(), message)
                .with_hint("give it a partition of its own"),
        );
    }
    let facts: Option<&Facts> = match image.get().map(|name| (name, images.get(name))) {
        Some((name, None)) => {
            found.push(unknown_image(file, image.span(), name, images));
            None
        }
        Some((_, Some(facts))) => facts.as_ref(),
        None => None,
    };
    let os = facts?.os?;
    let (usual_reset, usual_kernel, usual_initrd, usual_append) = match os {
        Os::Linux => (
            ResetCommand::Sync,
            "boot/vmlinuz",
            "boot/initrd.img",
            "ro splash",
        ),
        Os::Windows => (ResetCommand::New, "", "", ""),
    };
    Some(OsEntry {
        name: name.into_inner()?.0,
        image: image.into_inner()?,
        root: root.into_inner()?,
        autostart: autostart.into_inner().unwrap_or(false),
        default: default.into_inner().unwrap_or(DefaultAction::Sync),
        reset: reset.into_inner().unwrap_or(usual_reset),
        kernel: text(kernel, usual_kernel),
        initrd: text(initrd, usual_initrd),
        append: text(append, usual_append),
        icon: icon.into_inner(),
        extra,
    })
}

fn text(own: At<ConfText>, usual: &str) -> PlainText {
    let own = own.into_inner().map(|ConfText(text)| text);
    own.unwrap_or_else(|| usual.parse().unwrap_or_default())
}

fn settings(
    file: &str,
    extra: At<Map<SettingKey, ConfText>>,
    owned: &[(&str, &str)],
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<SettingKey, PlainText> {
    let mut settings: BTreeMap<SettingKey, PlainText> = BTreeMap::new();
    for (key, value) in extra.into_inner().map(Map::into_vec).unwrap_or_default() {
        let at = key.span();
        let Some(key) = key.into_inner() else {
            continue;
        };
        let same = |other: &str| other.eq_ignore_ascii_case(key.as_str());
        if let Some((_, instead)) = owned.iter().find(|(owned, _)| same(owned)) {
            let message = format!("`{key}` follows from the rest of this file");
            found.push(
                Diagnostic::error("owned-setting", file, at, message)
                    .with_hint(format!("drop it; it is made from {instead}")),
            );
            continue;
        }
        if let Some(other) = settings.keys().find(|other| same(other.as_str())) {
            let message = format!(
                "`{key}` and `{other}` are the same setting: LINBO does not tell capitals from small letters"
            );
            found.push(
                Diagnostic::error("duplicate-setting", file, at, message)
                    .with_hint("keep one of them"),
            );
            continue;
        }
        let value = value
            .into_inner()
            .map(|ConfText(text)| text)
            .unwrap_or_default();
        settings.insert(key, value);
    }
    settings
}
