//! Fleets as they might be, from a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use reconciler::simulator::chance::Chance;
use schema::device::Address;
use schema::digest::Digest;
use schema::fleet::{
    Announce, Canary, Central, DefaultAction, DeviceRow, DomainJoin, DownloadType, Exam, ExamRooms,
    FileSystem, Firmware, Fleet, Guard, HardwareClass, Image, ImageSource, Os, OsEntry, Partition,
    PowerBudget, Rebrand, ResetCommand, Retries, Rollout, Room, RoomHosts, RoomWindows, School,
    Suspension, TestClass, TestImage, TestReset, Then, Version, WantedVersion, Waves, WorkWindows,
    Written,
};
use schema::name::{HostName, ImageName, VersionName};
use schema::policy::Until;
use schema::schedule::{FreeDays, Windows};
use schema::units::Bytes;

/// Reads a value of the state repo's small languages.
pub(crate) fn read<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) const GIB: u64 = 1 << 30;

/// The size of a fleet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) schools: usize,
    pub(crate) rooms: usize,
}

/// A fleet whose schools all follow the channel `stable` of one image, at its first version.
pub(crate) fn fleet(seed: u64, size: Size) -> Fleet {
    let mut chance = Chance::of(seed, "fleet");
    let holidays = holidays(seed, &mut chance);
    let zone = *chance
        .pick(&[
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "UTC",
        ])
        .unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let rate = chance.between(40, 90);
    let share = Chance::of(seed, "uplink").between(30, 130);
    let school_chance = Chance::of(seed, "schools");
    let schools = (1..=size.schools).map(|number| {
        let mut chance = school_chance.part(number as u64);
        let name = read(&format!("bs-{number:02}"));
        let exams = exams(seed, size.rooms, &mut chance);
        let mut school = school(number, &mut chance, size.rooms, &holidays, &zone, rate);
        school.exams = exams;
        school.rollout.from = first_day(seed, number);
        (name, school)
    });
    let classes = [
        ("ubuntu-lab", vec!["ubuntu"]),
        ("dual-lab", vec!["ubuntu", "tools"]),
    ];
    Fleet {
        name: read("musterstadt"),
        central: Central {
            server: read("images.musterstadt.example"),
            port: 873,
            release_module: read("releases"),
            // In many worlds not all schools can use their lines at the same time.
            uplink: Some(read(&format!(
                "{} Mbit/s",
                (rate * size.schools as i64 * share / 100).max(rate)
            ))),
        },
        time_zone: zone.clone(),
        mail: None,
        images: ["ubuntu", "tools", "gimp"]
            .map(|name| image(name, &mut chance))
            .into(),
        classes: classes
            .into_iter()
            .map(|(name, images)| (read(name), class(&images)))
            .collect(),
        schools: schools.collect(),
        suspended: None,
        written: Written::default(),
    }
}

fn school(
    number: usize,
    chance: &mut Chance,
    rooms: usize,
    free: &Arc<FreeDays>,
    zone: &TimeZone,
    rate: i64,
) -> School {
    let reset = *chance
        .pick(&[
            "mon, wed 18:00",
            "tue, thu 17:45",
            "daily 18:30",
            "mon 18:00",
        ])
        .unwrap();
    let download = *chance
        .pick(&[
            "daily 22:00-05:00",
            "daily 20:30-24:00",
            "mon-fri 01:00-06:00",
        ])
        .unwrap();
    let power = [chance.between(5, 60), chance.between(3, 20)];
    let [power, west] = power.map(|on| PowerBudget {
        wake_per_minute: chance.between(1, 12) as u32,
        on_at_once: on as u32,
    });
    let rooms = (1..=rooms).map(|room| {
        let class = *chance
            .pick(&["ubuntu-lab", "ubuntu-lab", "dual-lab"])
            .unwrap();
        let power = *chance.pick(&[None, Some("west")]).unwrap();
        let others = ["every 2 weeks mon 18:15 from 2026-10-05", "tue, fri 19:00"];
        let reset = *chance.pick(&[reset, reset, others[0], others[1]]).unwrap();
        let reset = Some([read(reset)].into_iter().collect());
        let own = |chance: &mut Chance, windows: &str| -> Option<Windows> {
            chance
                .happens(250)
                .then(|| [read(windows)].into_iter().collect())
        };
        let windows = RoomWindows {
            reset: own(chance, "daily 18:00-23:00"),
            lessons: own(chance, "mon-fri 07:30-18:15"),
        };
        let in_use = chance.pick(&["wait", "wait", "skip", "force after 90 min"]);
        let own_power = chance.happens(250).then(|| PowerBudget {
            wake_per_minute: chance.between(1, 4) as u32,
            on_at_once: chance.between(2, 6) as u32,
        });
        (
            read(&format!("r{room:02}")),
            Room {
                class: read(class),
                hosts: RoomHosts::FromDevices,
                devices: BTreeMap::new(),
                reset,
                windows,
                in_use: read(in_use.unwrap()),
                power_group: power.map(read),
                power: own_power,
                suspended: None,
                suspended_hosts: BTreeMap::new(),
                written: Written::default(),
            },
        )
    });
    let rooms = rooms.collect();
    School {
        title: read(&format!("Berufsschule {number}")),
        server: read(&format!("server.bs-{number:02}.example")),
        domain: read(&format!("bs-{number:02}.example")),
        contact: None,
        time_zone: zone.clone(),
        windows: WorkWindows {
            download: [read(download)].into_iter().collect(),
            reset: [read("daily 17:30-24:00")].into_iter().collect(),
            activate: [read("daily 17:00-07:00")].into_iter().collect(),
            lessons: [read("mon-fri 07:30-17:00")].into_iter().collect(),
        },
        holidays: Arc::clone(free),
        download_rate: Some(read(&format!("{rate} Mbit/s"))),
        images: ["ubuntu", "tools"]
            .map(|image| (read(image), wanted("v1")))
            .into(),
        power,
        power_groups: [(read("west"), west)].into(),
        rooms,
        rebrand: None,
        test_classes: BTreeMap::new(),
        exams: Vec::new(),
        retries: Retries {
            tries: chance.between(1, 4) as u32,
            wait: read(&format!("{} min", chance.between(5, 30))),
            stalled_after: chance.between(1, 4) as u32,
        },
        rollout: rollout(chance),
        guard: Guard {
            reimage_at_most: read("100 %"),
        },
        announce: (number % 2 == 1).then_some(Announce { days_before: 3 }),
        suspended: None,
        written: Written::default(),
    }
}

/// A third of the schools roll nothing out before some day.
fn first_day(seed: u64, number: usize) -> Option<Date> {
    let latest = u64::from(last_odd_day(seed).unsigned_abs());
    let day = seed.wrapping_add(number as u64);
    let is_announced = day.is_multiple_of(3);
    is_announced.then(|| date(2026, 11, (1 + day / 3 % latest) as i8))
}

/// Half of the schools roll out in waves.
fn rollout(chance: &mut Chance) -> Rollout {
    let canaries = ["1 room", "1 host", "3 hosts", "20 %"];
    let canary = Canary::Portion(read(chance.pick(&canaries).unwrap()));
    let named = Canary::Rooms([read("r02")].into());
    let waves = Waves {
        canary: chance
            .pick(&[canary.clone(), canary, named])
            .unwrap()
            .clone(),
        then: Then::Portion(read(
            chance
                .pick(&["1 room", "5 hosts", "50 %", "100 %"])
                .unwrap(),
        )),
        healthy: read(&format!("{} %", chance.between(50, 100))),
        soak: read(
            chance
                .pick(&["30 min", "3 hours", "12 hours", "1 day"])
                .unwrap(),
        ),
    };
    Rollout {
        from: None,
        waves: chance.happens(500).then_some(waves),
        stop_at_failures: read(&format!("{} %", chance.between(5, 50))),
        loading_at_once: chance.between(4, 30) as u32,
    }
}

/// An exam of some days at some schools, for all rooms or for one.
fn exams(seed: u64, rooms: usize, chance: &mut Chance) -> Vec<Exam> {
    if !chance.happens(400) {
        return Vec::new();
    }
    let latest = last_odd_day(seed);
    let first = chance.between(1, latest.into()) as i8;
    let last = (first + chance.between(0, 4) as i8).min(latest);
    let room = format!("r{:02}", chance.between(1, rooms as i64));
    let these = ExamRooms::These([read(&room)].into());
    vec![Exam {
        dates: read(&format!("2026-11-{first:02}..2026-11-{last:02}")),
        rooms: chance.pick(&[ExamRooms::All, these]).unwrap().clone(),
    }]
}

/// The fleet with something suspended until the end of a day: all of it, or a part of each school.
pub(crate) fn suspended(fleet: &Fleet, until: Date, chance: &mut Chance) -> Fleet {
    let mut fleet = fleet.clone();
    let suspension = Some(Suspension {
        reason: read("new furniture"),
        by: read("Ada"),
        until: Some(Until::Day(until)),
    });
    match chance.below(5) {
        0 => fleet.suspended = suspension,
        1 => fleet
            .images
            .values_mut()
            .for_each(|image| image.suspended = suspension.clone()),
        what => {
            for school in fleet.schools.values_mut() {
                if what == 2 {
                    school.suspended = suspension.clone();
                } else if let Some(room) = school.rooms.values_mut().next() {
                    room.suspended = suspension.clone().filter(|_| what == 3);
                    if let (4, Some(suspension)) = (what, &suspension) {
                        room.suspended_hosts = [(read("r01-pc01"), suspension.clone())].into();
                    }
                }
            }
        }
    }
    fleet
}

fn wanted(version: &str) -> WantedVersion {
    WantedVersion {
        version: read(version),
        channel: Some(read("stable")),
    }
}

/// The last day of November on which a world of this seed may be as few are: what comes then is judged by how
/// all comes right.
fn last_odd_day(seed: u64) -> i8 {
    if seed.is_multiple_of(4) { 9 } else { 21 }
}

/// A week of holidays in November 2026.
fn holidays(seed: u64, chance: &mut Chance) -> Arc<FreeDays> {
    let latest = last_odd_day(seed);
    let first = chance.between(1, latest.into()) as i8;
    let last = (first + chance.between(0, 9) as i8).min(latest);
    let [first, last]: [Date; 2] = [first, last].map(|day| date(2026, 11, day));
    Arc::new(FreeDays::new([(first, last, "autumn".to_owned())]))
}

fn image(name: &str, chance: &mut Chance) -> (ImageName, Image) {
    let base = chance.between(2, 6) as u64 * GIB;
    let versions = (1..=3u64).map(|number| {
        // The third has a base of its own.
        let size = Bytes(if number == 3 { base + GIB } else { base });
        let diff = (number > 1).then(|| Bytes(number * GIB / 8));
        let manifest = Digest::new(
            [chance.below(256) as u8, number as u8, name.as_bytes()[0], 0]
                .repeat(8)
                .try_into()
                .unwrap(),
        );
        (
            read::<VersionName>(&format!("v{number}")),
            Version {
                manifest,
                size,
                diff,
                base: (number == 2).then(|| read("v1")),
                bad: None,
            },
        )
    });
    let source = ImageSource::Released {
        domain_join: DomainJoin::NotNeeded,
        versions: versions.collect(),
        channels: [(read("stable"), read("v1"))].into(),
    };
    (
        read(name),
        Image {
            os: Os::Linux,
            source,
            suspended: None,
        },
    )
}

fn class(images: &[&str]) -> HardwareClass {
    let partition = |label: &str, fs, size: Option<u64>| Partition {
        label: read(label),
        size: size.map(Bytes),
        fs,
        id: read("83"),
        bootable: false,
    };
    let roots = images
        .iter()
        .map(|image| partition(image, FileSystem::Ext4, Some(40 * GIB)));
    let os = images.iter().map(|image| OsEntry {
        name: read("Ubuntu"),
        image: read(image),
        root: read(image),
        autostart: false,
        default: DefaultAction::Sync,
        reset: ResetCommand::Sync,
        kernel: read("boot/vmlinuz"),
        initrd: read("boot/initrd.img"),
        append: read("ro splash"),
        icon: None,
        extra: BTreeMap::new(),
    });
    HardwareClass {
        firmware: Firmware::Efi64,
        download: DownloadType::Torrent,
        disk: read("/dev/sda"),
        partitions: roots
            .chain([partition("cache", FileSystem::Ext4, None)])
            .collect(),
        os: os.collect(),
        kernel_options: read("quiet"),
        extra: BTreeMap::new(),
    }
}

/// The fleet with its image at another version.
pub(crate) fn at_version(fleet: &Fleet, image: &str, version: &str) -> Fleet {
    let mut fleet = fleet.clone();
    let (image, version): (ImageName, VersionName) = (read(image), read(version));
    if let Some(ImageSource::Released { channels, .. }) =
        fleet.images.get_mut(&image).map(|image| &mut image.source)
    {
        channels.insert(read("stable"), version.clone());
    }
    for school in fleet.schools.values_mut() {
        school.images.insert(
            image.clone(),
            WantedVersion {
                version: version.clone(),
                channel: Some(read("stable")),
            },
        );
    }
    fleet
}

/// The fleet whose first hosts try `gimp` in place of `ubuntu` until the end of a day.
pub(crate) fn tried(fleet: &Fleet, hosts: &[&str], until: Date) -> Fleet {
    let mut fleet = fleet.clone();
    for school in fleet.schools.values_mut() {
        let Some(room) = school.rooms.values().next() else {
            continue;
        };
        let image = TestImage {
            version: read("v2"),
            replaces: read("ubuntu"),
        };
        let test = TestClass {
            like: room.class.clone(),
            images: [(read("gimp"), image)].into(),
            hosts: hosts.iter().map(|host| read(host)).collect(),
            until,
            asked_by: None,
            reset: TestReset::AsRoom,
        };
        school.test_classes = [(read("gimp3"), test)].into();
    }
    fleet
}

/// The fleet in which nobody tries anything.
pub(crate) fn untried(fleet: &Fleet) -> Fleet {
    let mut fleet = fleet.clone();
    for school in fleet.schools.values_mut() {
        school.test_classes.clear();
    }
    fleet
}

/// The fleet whose first rooms keep the rows of some of these hosts, with other addresses, without one of them and with
/// a new one.
pub(crate) fn kept(fleet: &Fleet, hosts: &[HostName], chance: &mut Chance) -> Fleet {
    let mut fleet = fleet.clone();
    for school in fleet.schools.values_mut() {
        let room = school.rooms.values_mut().next();
        let Some(room) = room.filter(|_| chance.happens(500)) else {
            continue;
        };
        let gone = chance.below(hosts.len() as u64 * 2) as usize;
        let new = read("r01-new");
        let rows = hosts.iter().chain([&new]).enumerate();
        let rows = rows.map(|(index, host)| {
            let number = chance.below(250);
            let row = DeviceRow::Kept {
                mac: read(&format!("02:00:00:01:{index:02x}:{number:02x}")),
                ip: chance
                    .pick(&[Address::Dhcp, read(&format!("10.2.{index}.{number}"))])
                    .copied()
                    .unwrap(),
                role: None,
            };
            let row = if index == gone {
                DeviceRow::Removed
            } else {
                row
            };
            (host.clone(), row)
        });
        room.devices = rows.collect();
        let kept = room.devices.iter();
        let kept = kept.filter(|(_, row)| **row != DeviceRow::Removed);
        room.hosts = RoomHosts::Listed(kept.map(|(host, _)| host.clone()).collect());
    }
    fleet
}

/// The fleet whose image `ubuntu` belongs to another domain; every second school has a VM for that.
pub(crate) fn foreign(fleet: &Fleet) -> Fleet {
    let mut fleet = fleet.clone();
    let image = fleet.images.get_mut(&read::<ImageName>("ubuntu")).unwrap();
    if let ImageSource::Released { domain_join, .. } = &mut image.source {
        *domain_join = DomainJoin::Rebrand;
    }
    for school in fleet.schools.values_mut().step_by(2) {
        school.rebrand = Some(Rebrand {
            host: read("rebrand-vm"),
            like: read("ubuntu-lab"),
        });
    }
    fleet
}

/// The fleet with other kernel options in one class.
pub(crate) fn with_kernel_options(fleet: &Fleet, class: &str, options: &str) -> Fleet {
    let mut fleet = fleet.clone();
    fleet.classes.get_mut(class).unwrap().kernel_options = read(options);
    fleet
}

/// All hosts of a script's school.
pub(crate) fn hosts(
    script: &reconciler::simulator::Script,
    site: usize,
) -> Vec<schema::name::HostName> {
    let rooms = script.schools.values().nth(site).unwrap();
    rooms
        .values()
        .flatten()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}
