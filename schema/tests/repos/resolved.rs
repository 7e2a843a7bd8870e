//! What the realistic example resolves to: nearest wins, what is not written has its default.

use schema::fleet::{
    Canary, DefaultAction, DomainJoin, Explained, Fleet, HardwareClass, ImageSource, OnSiteVersion,
    ResetCommand, RoomHosts, School, Suspension, Waves,
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
            "w01: metall-dual, workshop, every 2 weeks fri 18:00 from 2026-09-11; 2026-10-02 17:45; not 2027-05-14, devices.csv",
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
            "m2: media, the school, mon, wed 19:30; fri 16:30, 3 hosts",
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
            "mon–thu 19:00–23:00; fri 16:00–20:00; not wed 21:00–22:00; not 2026-12-18; 2026-12-27 10:00–16:00",
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
    let free = |school: &School, day: &str| school.holidays.holding(day.parse().unwrap()).is_some();
    assert_eq!(
        [nord, sued].map(|school| (free(school, "2027-02-09"), free(school, "2026-12-21"))),
        [(true, false), (false, true)]
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

/// One line a setting: what it is, and where that is written.
fn explained(fleet: &Fleet, school: &str, room: &str) -> Vec<String> {
    let rows = fleet.explain(&school.parse().unwrap(), &room.parse().unwrap());
    let row = |row: &Explained| format!("{}: {} [{}]", row.setting, row.value, row.origin);
    rows.unwrap().iter().map(row).collect()
}

#[test]
fn every_setting_of_a_room_says_where_it_is_written() {
    let mut text = String::new();
    let fleet = fleet(&realistic());
    for (school, room) in [
        ("bs-nord", "r101"),
        ("bs-sued", "library"),
        ("bs-west", "r201"),
    ] {
        text += &format!("{school} {room}\n");
        for row in explained(&fleet, school, room) {
            text += &format!("  {row}\n");
        }
    }
    files::compare(
        &files::root().join("schema/tests/cases/explained.txt"),
        &text,
    );
    assert_eq!(
        fleet.explain(&"bs-ost".parse().unwrap(), &"r1".parse().unwrap()),
        None
    );
}

#[test]
fn a_fleet_is_the_same_wherever_its_lines_stand() {
    let mut tree = realistic();
    let before = fleet(&tree);
    for path in [
        "fleet.yaml",
        "schools/bs-nord/school.yaml",
        "schools/bs-nord/rooms/r101.yaml",
    ] {
        let text = format!("# moved\n\n{}", tree.text(path).unwrap());
        tree.insert(path, Entry::of(text.into()));
    }
    let after = fleet(&tree);
    assert_eq!(before, after);
    assert_ne!(
        explained(&before, "bs-nord", "r101"),
        explained(&after, "bs-nord", "r101")
    );
}

#[test]
fn what_is_left_out_is_as_in_the_document_above_key_by_key() {
    let fleet = fleet(&realistic());
    let [nord, west] = ["bs-nord", "bs-west"].map(|name| &fleet.schools[name]);
    let waves = nord.rollout.waves.as_ref().unwrap();
    assert_eq!(waves.canary, Canary::Rooms(["w01".parse().unwrap()].into()));
    assert_eq!(
        (waves.soak.to_string(), waves.healthy.to_string()),
        ("2 days".to_owned(), "95 %".to_owned())
    );
    let budget = |school: &School, room: &str| {
        let room = &school.rooms[room];
        let group = room
            .power_group
            .as_ref()
            .map(|group| group.as_str().to_owned());
        let own = room.power.map(|own| (own.wake_per_minute, own.on_at_once));
        (group, own)
    };
    // A room takes from its group what it does not say, or else from its school.
    assert_eq!(
        budget(nord, "r101"),
        (Some("west".to_owned()), Some((4, 15)))
    );
    assert_eq!(budget(nord, "r102"), (Some("west".to_owned()), None));
    assert_eq!(budget(west, "r201"), (None, Some((6, 12))));
    let [r101, w01] = ["r101", "w01"].map(|name| name.parse().unwrap());
    let exam = |room, day: &str| nord.exam_on(room, day.parse().unwrap()).is_some();
    assert!(exam(&r101, "2027-02-22") && exam(&r101, "2027-02-26") && exam(&w01, "2027-03-01"));
    assert!(!exam(&w01, "2027-02-22") && !exam(&r101, "2027-02-27"));
    // A list that begins with waves takes what the fleet says; `at_once` in between switches them off.
    let mut tree = realistic();
    let text = tree.text("fleet.yaml").unwrap();
    let line = text.lines().find(|line| line.contains("rollout:")).unwrap();
    let text = text.replace(line, "  rollout: at_once");
    tree.insert("fleet.yaml", Entry::of(text.into()));
    let fleet = self::fleet(&tree);
    assert_eq!(fleet.schools["bs-west"].rollout.waves, None);
    let waves = fleet.schools["bs-nord"].rollout.waves.as_ref().unwrap();
    assert_eq!(waves.then, Waves::default().then);
    // A day alone says nothing of waves, and stays where a school says something else.
    let text = tree.text("fleet.yaml").unwrap();
    let text = text.replace("rollout: at_once", "rollout: { from: 2026-12-01 }");
    tree.insert("fleet.yaml", Entry::of(text.into()));
    let fleet = self::fleet(&tree);
    for school in ["bs-west", "bs-nord"] {
        let day = fleet.schools[school].rollout.from;
        assert_eq!(day, Some("2026-12-01".parse().unwrap()), "{school}");
    }
    assert_eq!(
        fleet.schools["bs-west"].rollout.waves,
        Some(Waves::default())
    );
}

#[test]
fn suspensions_stand_where_they_are_written() {
    let mut tree = realistic();
    let mut add = |path: &'static str, text: &str| {
        let text = format!("{}{text}\n", tree.text(path).unwrap());
        tree.insert(path, Entry::of(text.into()));
    };
    let line = "suspended: { reason: strike, by: it, until: 2026-12-01 }";
    add("fleet.yaml", line);
    add("schools/bs-west/school.yaml", line);
    add("images/mint-media.yaml", line);
    let fleet = fleet(&tree);
    let west = &fleet.schools["bs-west"];
    let at = "2026-12-01T22:59Z".parse().unwrap();
    let holds = |own: &Option<Suspension>| own.as_ref().unwrap().holds(at, &west.time_zone);
    assert!(holds(&fleet.suspended) && holds(&west.suspended));
    assert!(holds(&fleet.images["mint-media"].suspended));
    assert!(!holds(&west.rooms["r201"].suspended), "it ended before");
    let rows = explained(&fleet, "bs-west", "r201");
    let suspended = rows
        .iter()
        .filter(|row| row.starts_with("suspended"))
        .count();
    assert_eq!(suspended, 3, "{rows:#?}");
    let hosts = &fleet.schools["bs-nord"].rooms["w01"].suspended_hosts;
    assert_eq!(hosts["w01-pc07"].by.as_str(), "Frau Kurz");
}
