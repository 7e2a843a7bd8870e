#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use schema::fleet::{
    DefaultAction, DownloadType, FileSystem, Firmware, HardwareClass, OsEntry, Partition,
    ResetCommand,
};
use schema::text::{PlainText, SettingKey};
use schema::units::Bytes;

use super::*;

const MIB: u64 = 1 << 20;

/// As a school has it: uniform device names, a data partition behind the cache, what only LINBO knows.
const UBUNTU: &str = "[LINBO]
Group = ubuntu-efi
Cache = /dev/disk0p3
RootTimeout = 600
AutoPartition = no
AutoFormat = no
AutoInitCache = no
DownloadType = torrent
GuiDisabled = no
UseMinimalLayout = no
Locale = de-de
KernelOptions = quiet splash

[Partition]
Dev = /dev/disk0p1
Label = efi
Size = 512M
Id = ef
FSType = vfat
Bootable = yes

[Partition]
Dev = /dev/disk0p2
Label = ubuntu
Size = 40G
Id = 83
FSType = ext4
Bootable = no

[Partition]
Dev = /dev/disk0p3
Label = cache
Size = 60G
Id = 83
FSType = ext4
Bootable = no

[Partition]
Dev = /dev/disk0p4
Label = data
Size =
Id = 83
FSType = ext4
Bootable = no

[OS]
Name = Ubuntu
Description = Ubuntu 24.04
IconName = ubuntu.svg
BaseImage = ubuntu.qcow2
Root = /dev/disk0p2
Kernel = boot/vmlinuz
Initrd = boot/initrd.img
Append = ro splash nomodeset
StartEnabled = yes
SyncEnabled = yes
NewEnabled = no
Autostart = no
AutostartTimeout = 5
DefaultAction = start
RestoreOpsiState = no
";

fn row(room: &str, host: &str, class: &str, pxe: u8) -> String {
    let digits: String = host.chars().filter(char::is_ascii_digit).collect();
    let number: u32 = digits.parse().unwrap_or(90_000);
    let (mac, ip) = (number / 100 % 90 + 10, number % 100);
    format!("{room};{host};{class};52:54:00:00:{mac}:{ip:02};10.0.{mac}.{ip};;;;;;{pxe};;;;\n")
}

fn inventory(rows: &[String], classes: &[(&str, Option<&str>)]) -> Inventory {
    let classes = classes.iter();
    Inventory {
        setup: Setup {
            server: "server".parse().unwrap(),
            domain: "bs-nord.example".parse().unwrap(),
            title: Some("Berufsschule „Nord“".parse().unwrap()),
        },
        devices: Devices::parse(rows.concat().as_bytes()),
        classes: classes
            .map(|(name, text)| {
                (
                    name.parse().unwrap(),
                    text.map(|text| text.as_bytes().to_vec()),
                )
            })
            .collect(),
        images: ["ubuntu".parse().unwrap()].into(),
    }
}

fn names() -> Names {
    Names {
        school: "bs-nord".parse().unwrap(),
        central: None,
        time_zone: "Europe/Berlin".to_owned(),
    }
}

/// What stands in a file below the line for editors.
fn body<'a>(adoption: &'a Adoption, path: &str) -> &'a str {
    let text = adoption.files[path].as_str();
    let (editor, body) = text.split_once('\n').unwrap();
    assert!(
        editor.starts_with("# yaml-language-server: $schema="),
        "{editor}"
    );
    body
}

fn is_valid(adoption: &Adoption) {
    let loaded = schema::load(&adoption.files.clone().into_iter().collect());
    assert!(loaded.fleet.is_some(), "{:#?}", loaded.diagnostics);
}

#[test]
fn a_school_is_written_as_people_would_write_it() {
    let rows = [
        row("r101", "r101-pc01", "ubuntu-efi", 1),
        row("r101", "r101-pc02", "ubuntu-efi", 2),
        row("server", "nas", "nopxe", 0),
    ];
    let adoption = adopt(&inventory(&rows, &[("ubuntu-efi", Some(UBUNTU))]), &names());
    is_valid(&adoption);
    assert_eq!(adoption.left_out, Vec::<String>::new());
    let paths: Vec<&str> = adoption.files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "fleet.yaml",
            "hardware-classes/ubuntu-efi.yaml",
            "images/ubuntu.yaml",
            "schools/bs-nord/rooms/r101.yaml",
            "schools/bs-nord/school.yaml",
        ]
    );
    assert_eq!(
        body(&adoption, "hardware-classes/ubuntu-efi.yaml"),
        "firmware: efi64
download: torrent
disk: /dev/disk0
partitions:
  - { label: efi, size: 512 MiB, fs: vfat, id: ef, bootable: true }
  - { label: ubuntu, size: 40 GiB, fs: ext4, id: \"83\" }
  - { label: cache, size: 60 GiB, fs: ext4, id: \"83\" }
  - { label: data, size: rest, fs: ext4, id: \"83\" }
os:
  - name: Ubuntu
    image: ubuntu
    root: ubuntu
    default: start
    append: \"ro splash nomodeset\"
    icon: ubuntu.svg
    extra:
      Description: \"Ubuntu 24.04\"
      NewEnabled: \"no\"
      RestoreOpsiState: \"no\"
kernel_options: \"quiet splash\"
extra:
  RootTimeout: \"600\"
"
    );
    assert_eq!(
        body(&adoption, "images/ubuntu.yaml"),
        "os: linux\nmade_at: bs-nord\nversion: newest\n"
    );
    assert_eq!(
        body(&adoption, "schools/bs-nord/rooms/r101.yaml"),
        "class: ubuntu-efi\n"
    );
    assert_eq!(
        body(&adoption, "schools/bs-nord/school.yaml"),
        "title: \"Berufsschule „Nord“\"\nserver: server.bs-nord.example\ndomain: bs-nord.example\n"
    );
}

#[test]
fn what_cannot_be_written_is_named_with_its_reason() {
    let odd_disk = UBUNTU.replace("/dev/disk0p4", "/dev/sdb1");
    let odd_cache = UBUNTU.replace("Label = cache", "Label = images");
    let on_cache = UBUNTU.replace("Root = /dev/disk0p2", "Root = /dev/disk0p3");
    let odd_text = UBUNTU.replace("Append = ro splash", "Append = ro $(reboot)");
    let odd_image = UBUNTU.replace("ubuntu.qcow2", "live.iso");
    let without_kernel = UBUNTU.replace("KernelOptions", "#KernelOptions");
    let other_group = UBUNTU.replace("Group = ubuntu-efi", "Group = other");
    for (text, expected) in [
        (
            &odd_disk,
            "not the first ones of one disk in order: /dev/disk0p1, /dev/disk0p2",
        ),
        (&odd_cache, "has to have the label `cache`"),
        (
            &on_cache,
            "on the partition `cache` would overwrite the images",
        ),
        (&odd_text, "cannot stand in a start.conf"),
        (&odd_image, "Ubuntu has the base image `live.iso`"),
        (&without_kernel, "KernelOptions is missing"),
        (&other_group, "[LINBO] Group = other"),
    ] {
        let rows = [row("r101", "r101-pc01", "ubuntu-efi", 1)];
        let adoption = adopt(&inventory(&rows, &[("ubuntu-efi", Some(text))]), &names());
        is_valid(&adoption);
        let [class, room] = &adoption.left_out[..] else {
            unreachable!("{:#?}", adoption.left_out);
        };
        assert!(class.starts_with("hardware class ubuntu-efi: "), "{class}");
        assert!(class.contains(expected), "{expected}: {class}");
        assert_eq!(
            room,
            "room r101: its hardware class ubuntu-efi is not adopted"
        );
        assert_eq!(adoption.files.len(), 2, "{:#?}", adoption.files.keys());
    }
}

#[test]
fn a_room_of_several_classes_is_that_of_most_of_its_hosts() {
    let rows = [
        row("r101", "r101-pc01", "old", 1),
        row("r101", "r101-pc02", "ubuntu-efi", 1),
        row("r101", "r101-pc03", "ubuntu-efi", 1),
        row("r102", "r102-pc01", "old", 1),
        "r103;r103-pc01;ubuntu-efi;nonsense;10.0.0.9;;;;;;1;;;;\n".to_owned(),
    ];
    let classes = [("ubuntu-efi", Some(UBUNTU)), ("old", None)];
    let adoption = adopt(&inventory(&rows, &classes), &names());
    is_valid(&adoption);
    assert_eq!(
        body(&adoption, "schools/bs-nord/rooms/r101.yaml"),
        "class: ubuntu-efi\nhosts:\n  - r101-pc02\n  - r101-pc03\n"
    );
    let [row, class, host, room] = &adoption.left_out[..] else {
        unreachable!("{:#?}", adoption.left_out);
    };
    assert!(row.starts_with("devices.csv, line 5: "), "{row}");
    assert_eq!(class, "hardware class old: there is no start.conf.old");
    assert_eq!(
        host,
        "room r101: r101-pc01 with hardware class old, as most of the room have ubuntu-efi"
    );
    assert_eq!(room, "room r102: its hardware class old is not adopted");
}

#[test]
fn scalars_are_read_as_the_text_that_they_were() {
    for (plain, expected) in [
        ("ubuntu", "ubuntu"),
        ("/dev/sda", "/dev/sda"),
        ("no", "\"no\""),
        ("Null", "\"Null\""),
        ("83", "\"83\""),
        ("1e3", "\"1e3\""),
        ("a: b", "\"a: b\""),
        ("say \"x\\y\"", "\"say \\\"x\\\\y\\\"\""),
        ("", "\"\""),
    ] {
        assert_eq!(text(plain), expected);
    }
}

fn plain(text: &str) -> PlainText {
    text.parse().unwrap_or_default()
}

fn words() -> impl Strategy<Value = PlainText> {
    "[a-zA-Z0-9._:/=,+@%-][ a-zA-Z0-9._:/=,+@%-]{0,20}".prop_map(|text| plain(&text))
}

fn settings(
    owned: &'static [&'static str],
) -> impl Strategy<Value = BTreeMap<SettingKey, PlainText>> {
    let keys = [
        "RootTimeout",
        "Locale",
        "GuiDisabled",
        "Hidden",
        "Description",
        "Boot",
        "AutostartTimeout",
        "Odd",
    ];
    let keys = proptest::sample::subsequence(keys.to_vec(), 0..keys.len());
    (keys, proptest::collection::vec(words(), 8)).prop_map(move |(keys, values)| {
        let keys = keys.into_iter().filter(|key| !owned.contains(key));
        keys.map(|key| key.parse().unwrap()).zip(values).collect()
    })
}

fn systems() -> impl Strategy<Value = Vec<OsEntry>> {
    let system = (
        words(),
        any::<[bool; 3]>(),
        (words(), words(), words()),
        settings(&[]),
    );
    let system = system.prop_map(
        |(name, [autostart, is_new, has_icon], (kernel, initrd, append), extra)| OsEntry {
            name,
            image: "ubuntu".parse().unwrap(),
            root: "system".parse().unwrap(),
            autostart,
            default: if is_new {
                DefaultAction::New
            } else {
                DefaultAction::Sync
            },
            reset: ResetCommand::Sync,
            kernel,
            initrd,
            append,
            icon: has_icon.then(|| "ubuntu.svg".parse().unwrap()),
            extra,
        },
    );
    proptest::collection::vec(system, 1..3)
}

fn classes() -> impl Strategy<Value = HardwareClass> {
    let disks = proptest::sample::select(vec!["/dev/sda", "/dev/nvme0n1", "/dev/disk0"]);
    let downloads = proptest::sample::select(vec![
        DownloadType::Torrent,
        DownloadType::Multicast,
        DownloadType::Rsync,
    ]);
    (
        disks,
        downloads,
        any::<bool>(),
        1..200_000_u64,
        systems(),
        words(),
        settings(&[]),
    )
        .prop_map(
            |(disk, download, is_efi, size, os, kernel_options, extra)| {
                let partition = |label: &str, size: Option<u64>, fs, id: &str| Partition {
                    label: label.parse().unwrap(),
                    size: size.map(Bytes),
                    fs,
                    id: plain(id),
                    bootable: id == "ef",
                };
                HardwareClass {
                    firmware: if is_efi {
                        Firmware::Efi64
                    } else {
                        Firmware::Bios64
                    },
                    download,
                    disk: disk.parse().unwrap(),
                    partitions: vec![
                        partition(
                            "efi",
                            Some(200 * MIB),
                            FileSystem::Vfat,
                            if is_efi { "ef" } else { "0c" },
                        ),
                        partition("msr", Some(16 * MIB), FileSystem::Unformatted, "0c01"),
                        partition("system", Some(MIB + size * 1024), FileSystem::Ext4, "83"),
                        partition("cache", None, FileSystem::Ext4, "83"),
                    ],
                    os,
                    kernel_options,
                    extra,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a class says survives the way from the file into the state repo and back.
    #[test]
    fn what_is_adopted_is_rendered_as_it_was(class in classes()) {
        let name: ClassName = "lab".parse().unwrap();
        let ours = start_conf::render(&name, &class);
        // Without our header, as somebody else's.
        let (_, found) = ours.split_once('\n').unwrap();
        let rows = [row("r101", "r101-pc01", "lab", 1)];
        let adoption = adopt(&inventory(&rows, &[("lab", Some(found))]), &names());
        prop_assert_eq!(&adoption.left_out, &Vec::<String>::new());
        let fleet = schema::load(&adoption.files.into_iter().collect()).fleet.unwrap();
        prop_assert_eq!(start_conf::render(&name, &fleet.classes[&name]), ours);
    }

    /// Nothing that anybody wrote makes it panic, or write what is not valid.
    #[test]
    fn whatever_lies_there_gives_a_valid_state_repo(junk in ".{0,200}", cut in 0..UBUNTU.len()) {
        let text = format!("{}{junk}", UBUNTU.get(..cut).unwrap_or_default());
        let rows = [row("r101", "r101-pc01", "lab", 1)];
        let adoption = adopt(&inventory(&rows, &[("lab", Some(&text))]), &names());
        let loaded = schema::load(&adoption.files.into_iter().collect());
        prop_assert!(loaded.fleet.is_some(), "{:#?}", loaded.diagnostics);
    }
}
