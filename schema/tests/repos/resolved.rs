//! What the realistic example resolves to: nearest wins, what is not written has its default.

use schema::fleet::{
    DefaultAction, DomainJoin, Fleet, HardwareClass, ImageSource, OnSiteVersion, ResetCommand,
    RoomHosts, School,
};
use schema::load;
use schema::tree::{Entry, Tree};

use crate::files;

fn realistic() -> Tree {
    files::tree(&files::root().join("examples/realistic"))
}

fn fleet(tree: &Tree) -> Fleet {
    let loaded = load(tree);
    loaded
        .fleet
        .unwrap_or_else(|| panic!("{}", files::rendered(tree, &loaded.diagnostics)))
}

/// One line a room: class, power group, reset, hosts.
fn rooms(school: &School) -> Vec<String> {
    let row = |(name, room): (&schema::name::RoomName, &schema::fleet::Room)| {
        let reset = room
            .reset
            .as_ref()
            .map_or("never".to_owned(), ToString::to_string);
        let hosts = match &room.hosts {
            RoomHosts::FromDevices => "devices.csv".to_owned(),
            RoomHosts::Listed(hosts) => format!("{} hosts", hosts.len()),
        };
        let power = room
            .power_group
            .as_ref()
            .map_or("the school", |group| group.as_str());
        format!("{name}: {}, {power}, {reset}, {hosts}", room.class)
    };
    school.rooms.iter().map(row).collect()
}

#[test]
fn a_room_goes_before_its_school_and_a_school_before_the_fleet() {
    let fleet = fleet(&realistic());
    let [nord, sued, west] = ["bs-nord", "bs-sued", "bs-west"].map(|name| &fleet.schools[name]);
    assert_eq!(
        rooms(nord),
        [
            "r101: ubuntu-lab, west, mon, wed 18:30, devices.csv",
            "r102: ubuntu-lab, west, mon, wed 18:00, devices.csv",
            "w01: metall-dual, workshop, fri 18:00, devices.csv",
        ]
    );
    assert_eq!(
        rooms(sued),
        [
            "edv1: ubuntu-lab, the school, tue, thu 18:00, devices.csv",
            "edv2: ubuntu-lab, the school, tue, thu 18:00, 4 hosts",
            "library: ubuntu-lab, the school, never, devices.csv",
        ]
    );
    assert_eq!(
        rooms(west),
        [
            "m1: media, the school, mon, wed 19:30; fri 16:30, devices.csv",
            "m2: media, the school, mon, wed 19:30; fri 16:30, devices.csv",
            "r201: ubuntu-lab, the school, mon 19:15; thu 19:15, devices.csv",
        ]
    );
    let windows = |school: &School| {
        let windows = &school.windows;
        [
            &windows.download,
            &windows.reset,
            &windows.activate,
            &windows.lessons,
        ]
        .map(ToString::to_string)
    };
    let usual = [
        "daily 22:00–05:00",
        "mon–fri 17:30–22:00",
        "daily 17:30–07:00",
        "mon–fri 07:30–17:00",
    ];
    assert_eq!(windows(nord), usual);
    assert_eq!(
        windows(west),
        [
            usual[0],
            "mon–thu 19:00–23:00; fri 16:00–20:00",
            usual[2],
            "mon–thu 07:30–18:30; fri 07:30–15:30"
        ]
    );
    let rate = |school: &School| school.download_rate.map(|rate| rate.to_string());
    assert_eq!(
        [nord, sued, west].map(rate),
        ["200 Mbit/s", "50 Mbit/s", "200 Mbit/s"].map(|rate| Some(rate.to_owned()))
    );
    let groups = nord.power_groups.iter();
    let groups = groups.map(|(name, budget)| (name.as_str(), budget));
    let power: Vec<String> = [("school", &nord.power)]
        .into_iter()
        .chain(groups)
        .map(|(name, budget)| {
            format!(
                "{name} {}/min {}",
                budget.wake_per_minute, budget.on_at_once
            )
        })
        .collect();
    assert_eq!(
        power,
        ["school 6/min 90", "west 4/min 40", "workshop 6/min 24"]
    );
    let holiday = "2026-12-24".parse().unwrap();
    assert_eq!(
        nord.holidays.holding(holiday),
        Some(("Weihnachtsferien", "2027-01-09".parse().unwrap()))
    );
    assert_eq!(sued.time_zone.iana_name(), Some("Europe/Berlin"));
}

#[test]
fn a_school_follows_the_channel_that_it_names_or_else_the_fleets() {
    let fleet = fleet(&realistic());
    let images = |school: &str| -> Vec<String> {
        let wanted = fleet.schools[school].images.iter().map(|(image, wanted)| {
            let channel = wanted
                .channel
                .as_ref()
                .map_or("pinned", |channel| channel.as_str());
            format!("{image} {} {channel}", wanted.version)
        });
        wanted.collect()
    };
    assert_eq!(images("bs-nord"), ["ubuntu 2026.10.1 stable"]);
    assert_eq!(images("bs-sued"), ["ubuntu 2026.10.1 pinned"]);
    assert_eq!(
        images("bs-west"),
        ["mint-media 2026.10.2 stable", "ubuntu 2026.11.1 testing"]
    );
    let source = |image: &str| &fleet.images[image].source;
    let join = |image: &str| match source(image) {
        ImageSource::Released { domain_join, .. } => Some(*domain_join),
        ImageSource::OnSite { .. } => None,
    };
    assert_eq!(join("ubuntu"), Some(DomainJoin::NotNeeded));
    assert_eq!(join("mint-media"), Some(DomainJoin::Rebrand));
    let on_site = ImageSource::OnSite {
        made_at: "bs-nord".parse().unwrap(),
        version: OnSiteVersion::Newest,
    };
    assert_eq!(source("win11-metall"), &on_site);
}

#[test]
fn a_class_is_filled_in_by_file_system_firmware_and_operating_system() {
    let fleet = fleet(&realistic());
    let table = |class: &HardwareClass| -> Vec<String> {
        let row = |partition: &schema::fleet::Partition| {
            let size = partition
                .size
                .map_or("rest".to_owned(), |size| size.to_string());
            format!(
                "{} {} {size}{}",
                partition.label,
                partition.id,
                if partition.bootable { " boot" } else { "" }
            )
        };
        class.partitions.iter().map(row).collect()
    };
    let dual = &fleet.classes["metall-dual"];
    assert_eq!(
        table(dual),
        [
            "efi ef 512 MiB boot",
            "msr 0c01 16 MiB",
            "windows 7 180 GiB",
            "ubuntu 83 60 GiB",
            "cache 83 rest"
        ]
    );
    let [windows, linux] = dual.os.as_slice() else {
        panic!("two operating systems")
    };
    assert_eq!(
        (
            windows.reset,
            windows.kernel.as_str(),
            windows.append.as_str()
        ),
        (ResetCommand::New, "", "")
    );
    assert_eq!(
        (linux.reset, linux.default, linux.autostart),
        (ResetCommand::Sync, DefaultAction::Sync, false)
    );
    assert_eq!(
        [&linux.kernel, &linux.initrd, &linux.append].map(|text| text.as_str()),
        ["boot/vmlinuz", "boot/initrd.img", "ro splash"]
    );
    assert_eq!(table(&fleet.classes["media"])[2], "swap 82 16 GiB");
}

#[test]
fn a_second_vfat_is_no_system_partition_and_on_a_bios_none_is() {
    let mut tree = realistic();
    let text = |firmware: &str| {
        format!(
            "firmware: {firmware}\ndisk: /dev/sda\npartitions:\n\
             - {{ label: a, size: 1 GiB, fs: vfat }}\n- {{ label: b, size: 1 GiB, fs: vfat }}\n\
             - {{ label: cache, size: rest, fs: ext4 }}\n\
             os: [{{ name: Ubuntu, image: ubuntu, root: a }}]\n"
        )
    };
    for (firmware, expected) in [
        ("efi64", ["ef", "0c", "83"]),
        ("bios64", ["0c", "0c", "83"]),
    ] {
        tree.insert(
            "hardware-classes/media.yaml",
            Entry::of(text(firmware).into()),
        );
        let fleet = fleet(&tree);
        let ids: Vec<_> = fleet.classes["media"]
            .partitions
            .iter()
            .map(|partition| partition.id.as_str())
            .collect();
        assert_eq!(ids, expected, "{firmware}");
    }
}

#[test]
fn almost_nothing_has_to_be_written() {
    let tree: Tree = [(
        "fleet.yaml",
        "name: x\ncentral: { server: 'images.example:8873' }\n",
    )]
    .into_iter()
    .collect();
    let fleet = fleet(&tree);
    assert_eq!(
        (fleet.central.port, fleet.central.release_module.as_str()),
        (8873, "releases")
    );
    assert_eq!(fleet.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(fleet.mail, None);
}
