#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use schema::fleet::{OsEntry, Partition, ResetCommand};
use schema::text::PlainText;

use super::*;

const GIB: u64 = 1 << 30;

fn partition(label: &str, size: Option<u64>, fs: FileSystem, id: &str) -> Partition {
    Partition {
        label: label.parse().unwrap(),
        size: size.map(Bytes),
        fs,
        id: id.parse().unwrap(),
        bootable: id == "ef",
    }
}

fn text(text: &str) -> PlainText {
    if text.is_empty() {
        PlainText::default()
    } else {
        text.parse().unwrap()
    }
}

fn two_systems() -> HardwareClass {
    HardwareClass {
        firmware: Firmware::Efi64,
        download: DownloadType::Torrent,
        disk: "/dev/nvme0n1".parse().unwrap(),
        partitions: vec![
            partition("efi", Some(GIB / 2), FileSystem::Vfat, "ef"),
            partition("ubuntu", Some(60 * GIB), FileSystem::Ext4, "83"),
            partition("windows", Some(100 * GIB), FileSystem::Ntfs, "7"),
            partition("cache", None, FileSystem::Ext4, "83"),
        ],
        os: vec![
            OsEntry {
                name: text("Ubuntu 24.04"),
                image: "ubuntu".parse().unwrap(),
                root: "ubuntu".parse().unwrap(),
                autostart: false,
                default: DefaultAction::Sync,
                reset: ResetCommand::Sync,
                kernel: text("boot/vmlinuz"),
                initrd: text("boot/initrd.img"),
                append: text("ro splash"),
                icon: Some("ubuntu.svg".parse().unwrap()),
                extra: BTreeMap::from([
                    ("Description".parse().unwrap(), text("Ubuntu for all")),
                    ("RestoreOpsiState".parse().unwrap(), text("no")),
                    ("root".parse().unwrap(), text("another")),
                ]),
            },
            OsEntry {
                name: text("Windows 11"),
                image: "win11-metall".parse().unwrap(),
                root: "windows".parse().unwrap(),
                autostart: true,
                default: DefaultAction::New,
                reset: ResetCommand::New,
                kernel: text(""),
                initrd: text(""),
                append: text(""),
                icon: None,
                extra: BTreeMap::new(),
            },
        ],
        kernel_options: text("quiet splash"),
        extra: BTreeMap::from([
            ("RootTimeout".parse().unwrap(), text("600")),
            ("locale".parse().unwrap(), text("en-gb")),
            ("group".parse().unwrap(), text("another")),
        ]),
    }
}

fn class() -> ClassName {
    "dual-lab".parse().unwrap()
}

#[test]
fn an_efi_class_of_two_systems_is_written_as_always() {
    let written = render(&class(), &two_systems());
    assert_eq!(written, include_str!("../golden/start.conf.dual-lab"));
    assert!(is_ours(written.as_bytes()));
}

#[test]
fn what_is_written_is_read_as_the_class_says() {
    let conf = StartConf::parse(render(&class(), &two_systems()).as_bytes());
    assert_eq!(conf.problems, []);
    assert_eq!(conf.group(), Some("dual-lab"));
    assert_eq!(conf.cache(), Some("/dev/nvme0n1p4"));
    assert_eq!(conf.download_type(), DownloadType::Torrent);
    let systems: Vec<_> = conf
        .operating_systems()
        .map(|os| (os.name, os.image().map(str::to_owned), os.root))
        .collect();
    assert_eq!(
        systems,
        [
            (
                Some("Ubuntu 24.04"),
                Some("ubuntu".to_owned()),
                Some("/dev/nvme0n1p2")
            ),
            (
                Some("Windows 11"),
                Some("win11-metall".to_owned()),
                Some("/dev/nvme0n1p3")
            ),
        ]
    );
    assert_eq!(
        conf.linbo.get("LOCALE"),
        Some("en-gb"),
        "a default of ours is replaced"
    );
    assert_eq!(
        conf.partitions[3].get("size"),
        Some(""),
        "the rest of the disk"
    );
}

#[test]
fn sizes_are_whole_units_of_linbo() {
    for (bytes, written) in [
        (1 << 40, "1T"),
        (200 << 20, "200M"),
        (1536 << 20, "1536M"),
        (1025, "2"),
        (0, "0"),
    ] {
        assert_eq!(size(Bytes(bytes)), written);
    }
}

#[test]
fn a_file_of_somebody_else_is_not_ours() {
    for text in [
        "",
        "[LINBO]\n",
        "# Written by hand\n",
        "\n# Written by reconcile from hardware-classes/x",
    ] {
        assert!(!is_ours(text.as_bytes()), "{text}");
    }
}

#[test]
fn a_file_is_read_as_the_client_reads_it() {
    let conf = StartConf::parse(
        b"; dropped by the client\r\n[LINBO] # the client\r\n  Cache = /dev/sda1\r\ncache = /dev/sda4\r\n\
          Group = a#b # comment\r\nDownloadType = ctorrent\r\nKernelOptions =\r\n[os]\r\nName = X\r\nBaseImage = x.y.qcow2\r\n",
    );
    assert_eq!(
        (conf.group(), conf.cache()),
        (Some("a#b"), Some("/dev/sda4"))
    );
    assert_eq!(conf.download_type(), DownloadType::Rsync);
    assert_eq!(conf.operating_systems().next().unwrap().image(), Some("x"));
    let lines: Vec<usize> = conf.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 3, 8], "{:?}", conf.problems);
}

#[test]
fn what_another_reader_chokes_on_is_a_problem() {
    #[track_caller]
    fn check(text: &str, line: usize, message: &str) {
        let problems = StartConf::parse(text.as_bytes()).problems;
        let found = problems
            .iter()
            .any(|p| p.line == line && p.message.contains(message));
        assert!(found, "{message}: {problems:?}");
    }
    check("", 1, "no [LINBO]");
    check("[linbo]\nKernelOptions =\n", 1, "written [LINBO]");
    check("[LINBO]\nGroup = a\n", 1, "KernelOptions is missing");
    check(
        "[LINBO]\nKernelOptions = a\nkerneloptions = b\n",
        3,
        "stands twice",
    );
    check("[LINBO]\nKernelOptions = $(reboot)\n", 2, "run by a shell");
    check("[LINBO]\nKernelOptions =\n[LINBO]\n", 3, "a second [LINBO]");
    check("[LINBO]\nKernelOptions\n", 2, "no setting");
    check("Group = a\n[LINBO]\n", 1, "no setting");
    check("[LINBO]\n[Partition]\nDev = /dev/sda1\n", 2, "no Label");
    check("[LINBO]\n[OS]\nName = a\n", 2, "no BaseImage, Root");
}

proptest! {
    #[test]
    fn no_value_is_more_than_a_line_of_safe_characters(name in "\\PC{1,40}", append in "\\PC{0,40}") {
        let mut hw = two_systems();
        if let (Ok(name), Ok(append)) = (name.parse(), append.parse()) {
            (hw.os[0].name, hw.os[0].append) = (name, append);
        }
        let written = render(&class(), &hw);
        prop_assert_eq!(StartConf::parse(written.as_bytes()).problems, []);
        prop_assert_eq!(written.lines().count(), include_str!("../golden/start.conf.dual-lab").lines().count());
        let harmful = written.lines().skip(1).find(|line| line.contains(['"', '$', '`', '\\', '\'', '#', ';']));
        prop_assert_eq!(harmful, None);
    }
}

/// A file as people write them: without what is usual, with comments, in another order.
const BY_HAND: &str = "# our own\n[LINBO]\nGroup = dual-lab\nlocale = en-gb\nRootTimeout = 600\nCache = /dev/nvme0n1p4\n\
    DownloadType = torrent\nKernelOptions = quiet splash\nAutoFormat = No # never\n\n\
    [partition]\nDev = /dev/nvme0n1p1\nLabel = efi\nSize = 524288\nId = EF\nFSType = vfat\nBootable = yes\n\
    [Partition]\nDev = /dev/nvme0n1p2\nLabel = ubuntu\nSize = 61440M\nId = 83\nFSType = ext4\n\
    [Partition]\nDev = /dev/nvme0n1p3\nLabel = windows\nSize = 100G\nId = 7\nFSType = ntfs\nBootable = no\n\
    [Partition]\nDev = /dev/nvme0n1p4\nLabel = cache\nSize =\nId = 83\nFSType = ext4\n\n\
    [OS]\nName = Ubuntu 24.04\nDescription = Ubuntu for all\nRestoreOpsiState = no\nIconName = ubuntu.svg\n\
    BaseImage = ubuntu.qcow2\nRoot = /dev/nvme0n1p2\nKernel = boot/vmlinuz\nInitrd = boot/initrd.img\nAppend = ro splash\n\
    [OS]\nName = Windows 11\nBaseImage = win11-metall.qcow2\nBoot = /dev/nvme0n1p3\nRoot = /dev/nvme0n1p3\nKernel =\n\
    Initrd =\nAppend =\nAutostart = yes\nDefaultAction = new\n";

#[test]
fn a_file_that_somebody_wrote_otherwise_may_say_the_same() {
    let ours = render(&class(), &two_systems());
    assert_eq!(differences(BY_HAND.as_bytes(), &ours), Vec::<String>::new());
    assert_eq!(differences(ours.as_bytes(), &ours), Vec::<String>::new());
}

#[test]
fn what_a_file_says_otherwise_is_named_by_its_section_and_key() {
    let ours = render(&class(), &two_systems());
    for (from, to, expected) in [
        ("Group = dual-lab\n", "", "[LINBO] group = "),
        ("locale = en-gb", "locale = de-de", "[LINBO] locale = de-de"),
        ("locale = en-gb\n", "", "[LINBO] locale = "),
        ("RootTimeout = 600\n", "", "[LINBO] roottimeout = "),
        (
            "# our own\n[LINBO]",
            "[LINBO]\nServer = 10.0.0.1",
            "[LINBO] Server = 10.0.0.1",
        ),
        ("DownloadType = torrent\n", "", "[LINBO] downloadtype = "),
        (
            "AutoFormat = No",
            "AutoFormat = Yes",
            "[LINBO] AutoFormat = Yes",
        ),
        ("Size = 100G", "Size = 100", "[Partition] 3 Size = 100"),
        ("Size = 100G", "Size =", "[Partition] 3 Size = "),
        ("Size = 100G", "Size = 100x", "[Partition] 3 Size = 100x"),
        ("Id = 7", "Id = 17", "[Partition] 3 Id = 17"),
        (
            "Id = 83\nFSType = ext4\n\n[OS]",
            "Id = 83\nFSType = ext4\nBootable = yes\n\n[OS]",
            "[Partition] 4 Bootable = yes",
        ),
        ("Append =\n", "Append = quiet\n", "[OS] 2 Append = quiet"),
        ("DefaultAction = new\n", "", "[OS] 2 defaultaction = "),
        (
            "Autostart = yes",
            "Hidden = yes\nAutostart = yes",
            "[OS] 2 Hidden = yes",
        ),
        ("RestoreOpsiState = no\n", "", "[OS] 1 restoreopsistate = "),
        (
            "Boot = /dev/nvme0n1p3",
            "Boot = /dev/nvme0n1p1",
            "[OS] 2 Boot = /dev/nvme0n1p1",
        ),
    ] {
        assert!(BY_HAND.contains(from), "{from}");
        let found = differences(BY_HAND.replacen(from, to, 1).as_bytes(), &ours);
        let found: Vec<String> = found.iter().map(|line| line.to_lowercase()).collect();
        assert_eq!(found, [expected.to_lowercase()], "{from:?} to {to:?}");
    }
    let one = BY_HAND.split("[OS]\nName = Windows").next().unwrap();
    assert_eq!(
        differences(one.as_bytes(), &ours),
        ["1 [OS] sections instead of 2"]
    );
    // What only LINBO's client bears is not the same.
    let odd = BY_HAND.replace("KernelOptions = quiet splash\n", "");
    assert!(differences(odd.as_bytes(), &ours)[0].contains("KernelOptions is missing"));
}
