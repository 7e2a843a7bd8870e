//! Random worlds: all that can lie about on a school server, at any time.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use reconciler::linbo::status::{HostReport, ImageEvent};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Entry, Grub, Observed, Probe, Running, Torrent, plan};
use schema::fleet::{DomainJoin, PowerBudget, ResetCommand, RoomHosts, Waves};
use schema::schedule::FreeDays;
use schema::units::Rate;

use super::dice::Dice;
use super::tried::test_class;
use super::{
    GIB, World, applied, at, day, failed, live, manifest, name, os, schedule, unreachable, windows,
};

const IMAGES: [&str; 4] = ["ubuntu", "win11", "mint", "cad"];
const CLASSES: [&str; 3] = ["lab", "dual", "office"];
const ROOMS: [&str; 4] = ["r101", "r102", "r103", "lib"];
/// A Monday evening, lessons, both changes of the clocks in Berlin and one in New York, holidays and
/// their edges, the end of a year.
const TIMES: [&str; 10] = [
    "2026-11-23T18:30",
    "2026-11-23T10:00",
    "2026-10-25T01:30",
    "2027-03-28T01:30",
    "2026-11-01T07:00",
    "2026-12-22T23:30",
    "2027-01-06T23:30",
    "2026-12-28T18:30",
    "2026-12-31T23:59",
    "2026-11-27T21:30",
];
const OPEN: [&[&str]; 7] = [
    &["daily 00:00–24:00"],
    &["daily 22:00–05:00"],
    &["mon–fri 17:30–22:00"],
    &["daily 02:30–03:30"],
    &["mon–thu 18:00–23:00", "sat, sun 00:00–12:00"],
    &[],
    &["daily 01:00–02:30", "daily 02:30–04:00"],
];
const LESSONS: [&[&str]; 4] = [
    &[],
    &["mon–fri 07:30–17:00"],
    &["mon–fri 08:00–12:00", "mon, wed 19:00–21:00"],
    &["daily 00:00–24:00"],
];

/// Any world.
pub fn worlds() -> impl Strategy<Value = World> {
    proptest::collection::vec(any::<u16>(), 0..400).prop_map(|rolls| world(&mut Dice::new(rolls)))
}

fn world(dice: &mut Dice) -> World {
    let now = at(dice.pick(&TIMES)) + SignedDuration::from_mins(dice.minutes(0, 180));
    let mut world = World::empty(now);
    if dice.once_in(6) {
        let zones = ["America/New_York", "UTC", "Pacific/Chatham"];
        world.desired.zone = TimeZone::get(dice.pick(&zones)).unwrap_or(TimeZone::UTC);
    }
    let desired = &mut world.desired;
    desired.windows.download = windows(dice.pick(&OPEN));
    desired.windows.activate = windows(dice.pick(&OPEN));
    desired.windows.reset = windows(dice.pick(&OPEN));
    desired.windows.lessons = windows(dice.pick(&LESSONS));
    if dice.once_in(4) {
        let span = (
            day("2026-11-23"),
            day("2026-11-24"),
            "beweglicher Ferientag".to_owned(),
        );
        desired.holidays = Arc::new(FreeDays::new([span]));
    }
    desired.download_rate = dice
        .once_in(3)
        .then(|| Rate::bits_per_second(80_000_000))
        .flatten();
    for circuit in ["default", "annex"] {
        let budget = PowerBudget {
            wake_per_minute: dice.pick(&[6, 1, 60]),
            on_at_once: dice.pick(&[40, 3, 1, 8]),
        };
        desired.power.insert(name(circuit), budget);
    }
    images(&mut world, dice);
    versions(&mut world, dice);
    classes(&mut world, dice);
    rooms(&mut world, dice);
    if dice.once_in(3) {
        test_class(&mut world, dice);
    }
    past(&mut world, dice);
    blind(&mut world, dice);
    run(&mut world, dice);
    care(&mut world, dice);
    if dice.once_in(6) {
        world.roll_back(dice.pick(&IMAGES), "1", !dice.once_in(4));
    }
    world
}

/// How careful the school is, and what its images are called.
fn care(world: &mut World, dice: &mut Dice) {
    world.desired.guard.share = name(dice.pick(&["100 %", "40 %", "0 %"]));
    if dice.once_in(3) {
        world.desired.rollout.waves = Some(Waves::default());
    }
    for live in world.observed.live.values_mut() {
        if let Probe::Seen(live) = live
            && dice.once_in(2)
        {
            let stamp = name(dice.pick(&["202611011930", "202611201930"]));
            let files = live.base.iter_mut().chain(&mut live.diff);
            let records = files.filter_map(|file| file.record.as_mut());
            records.for_each(|record| record.timestamp = Some(Clone::clone(&stamp)));
        }
    }
}

fn images(world: &mut World, dice: &mut Dice) {
    world.desired.rebrand = dice.once_in(2).then(|| name("rebrand-vm"));
    for image in IMAGES.iter().take(dice.below(IMAGES.len() + 1)) {
        let (base, diff) = (10 * GIB, dice.once_in(2).then_some(GIB));
        let old = manifest(image, "1", base, None);
        let new = manifest(image, "2", base, diff);
        if dice.once_in(4) {
            world.on_site(image);
            if dice.once_in(4) {
                world.live_mut(image).base = None;
            }
        } else {
            let wanted = world.release(image, "2", base, diff);
            if dice.once_in(4) {
                wanted.domain_join = DomainJoin::Rebrand;
            }
            if dice.once_in(3) {
                world.store(image, "1", base, None);
            }
            match dice.below(4) {
                0 => world.store(image, "2", base, diff),
                1 => {}
                half => {
                    world.store(image, "2", base, diff);
                    if let Probe::Seen(store) = &mut world.observed.store {
                        store.objects.remove(&new.base().sha256);
                        if half == 2 {
                            store.partial.insert(new.base().sha256, 3 * GIB);
                        }
                    }
                }
            }
            *world.live_mut(image) = match dice.below(4) {
                0 => live(&new),
                1 => live(&old),
                2 => Default::default(),
                _ => {
                    let mut other = live(&old);
                    other.base.iter_mut().for_each(|base| base.sha256 = None);
                    other
                }
            };
        }
        let live = world.live_mut(image);
        for file in live.base.iter_mut().chain(&mut live.diff) {
            file.torrent = dice.pick(&[
                Torrent::Current,
                Torrent::Current,
                Torrent::Stale,
                Torrent::Missing,
            ]);
        }
        live.uploading = dice.once_in(8);
    }
    if dice.once_in(4)
        && let Probe::Seen(store) = &mut world.observed.store
    {
        store.free = dice.pick(&[0, 8 * GIB, 12 * GIB]);
    }
}

/// What of the store was live before, and what nobody needs as far as was noticed, rightly or not.
fn versions(world: &mut World, dice: &mut Dice) {
    let Probe::Seen(store) = &world.observed.store else {
        return;
    };
    let manifests: Vec<_> = store.manifests.clone().into_iter().collect();
    let now = world.observed.at;
    for (digest, manifest) in manifests {
        if let Probe::Seen(kept) = &mut world.observed.kept
            && dice.once_in(4)
        {
            kept.extend(manifest.files().iter().map(|file| file.sha256));
        }
        if dice.once_in(2) {
            let hours = dice.pick(&[-1, -13 * 24, -14 * 24, -60 * 24, 1000]);
            let entry = Entry::Versions {
                unneeded: vec![digest],
                over: Vec::new(),
            };
            world.note(now + SignedDuration::from_hours(hours), entry);
        }
    }
}

fn classes(world: &mut World, dice: &mut Dice) {
    let known: Vec<_> = world.observed.live.keys().cloned().collect();
    if known.is_empty() {
        return;
    }
    for class in CLASSES.iter().take(1 + dice.below(CLASSES.len())) {
        let systems: BTreeSet<_> = (0..=dice.below(2)).map(|_| dice.pick(&known)).collect();
        let resets = [ResetCommand::Sync, ResetCommand::New];
        let systems: Vec<_> = systems
            .iter()
            .map(|image| os(image.as_str(), dice.pick(&resets)))
            .collect();
        world.class(class, &systems);
        let files = world.files_mut(class);
        files.grub = dice.pick(&[Grub::Current, Grub::Current, Grub::Stale, Grub::ByHand]);
        match dice.below(6) {
            3 => files.start_conf = None,
            4 => files
                .start_conf
                .iter_mut()
                .for_each(|text| text.push_str("Old = yes\n")),
            5 => files.start_conf = Some("[LINBO]\nServer = 10.0.0.1\n".to_owned()),
            _ => {}
        }
    }
}

fn rooms(world: &mut World, dice: &mut Dice) {
    let classes: Vec<_> = world.desired.classes.keys().cloned().collect();
    if classes.is_empty() {
        return;
    }
    for room in ROOMS.iter().take(dice.below(ROOMS.len() + 1)) {
        let class = dice.pick(&classes);
        let hosts = dice.below(8);
        let points: [&[&str]; 5] = [
            &["mon, wed 18:00"],
            &["daily 18:00"],
            &["daily 02:30"],
            &["sun 02:15", "fri 21:00"],
            &[],
        ];
        let reset = (!dice.once_in(8)).then(|| schedule(dice.pick(&points)));
        let power = name(dice.pick(&["default", "annex"]));
        let wanted = world.room(room, class.as_str(), hosts);
        wanted.reset = reset;
        wanted.power_group = Some(power);
        if dice.once_in(3) {
            let mut listed: BTreeSet<_> = (1..=hosts)
                .map(|n| name(&format!("{room}-pc{n:02}")))
                .collect();
            if dice.once_in(2) {
                listed.insert(name("nobody"));
            }
            if dice.once_in(2) {
                listed.insert(name(&format!("{room}-off")));
            }
            wanted.hosts = RoomHosts::Listed(listed);
        }
        if dice.once_in(3) {
            let pxe = dice.pick(&[0, 3, 2]);
            world.device(room, &format!("{room}-off"), class.as_str(), pxe);
        }
        if dice.once_in(3) {
            world.device(room, &format!("{room}-teacher"), "teachers", 1);
        }
        if dice.once_in(4) {
            kept_rows(world, dice, room);
        }
    }
    if dice.once_in(8) {
        world.row("r101;broken;lab;not-a-mac;10.0.0.1;;;;classroom-studentcomputer;;1;;;;;");
    }
}

/// The state repo keeps the rows of a room, some of which are not as it says.
fn kept_rows(world: &mut World, dice: &mut Dice, room: &str) {
    world.keep_rows(room);
    for number in 0..dice.below(4) {
        let host = dice.pick(&["pc01", "pc02", "pc09", "off", "teacher", "new"]);
        let says = match dice.below(4) {
            0 => "removed".to_owned(),
            1 => format!("52:54:00:00:00:{number:02} dhcp"),
            _ => format!("52:54:00:00:01:{:02} 10.17.0.{number}", dice.below(40)),
        };
        world.row_is(room, &format!("{room}-{host}"), &says);
    }
}

fn past(world: &mut World, dice: &mut Dice) {
    let now = world.observed.at;
    for host in world.hosts() {
        for _ in 0..dice.below(5) {
            let outcome = match dice.below(4) {
                0 => applied("ubuntu.qcow2"),
                1 => failed("the cache is full"),
                2 => unreachable(),
                _ => HostOutcome::Unknown {
                    why: "the connection broke".to_owned(),
                    evidence: Vec::new(),
                    restored: Vec::new(),
                },
            };
            let minutes = dice.pick(&[-1, -5, -15, -60, -1500, -6000, 3, 500_000]);
            world.outcome(
                host.as_str(),
                now + SignedDuration::from_mins(minutes),
                outcome,
            );
        }
        let local = now.to_zoned(world.desired.zone.clone()).datetime();
        let report = |minutes: i64, event, file: &str| {
            let at = local
                .checked_add(SignedDuration::from_mins(minutes))
                .unwrap_or(local);
            Some(HostReport {
                at,
                event,
                file: name(file),
                stamp: None,
            })
        };
        let report = match dice.below(8) {
            1 => report(-10, ImageEvent::Applied, "ubuntu.qcow2"),
            2 => report(-3000, ImageEvent::Applied, "ubuntu.qcow2"),
            3 => report(-5, ImageEvent::Created, "ubuntu.qcow2"),
            4 => report(-5, ImageEvent::Applied, "other.qcow2"),
            5 => report(50_000, ImageEvent::Applied, "ubuntu.qdiff"),
            _ => None,
        };
        Arc::make_mut(&mut world.observed.reports).insert(host.clone(), Probe::Seen(report));
        if dice.once_in(12)
            && let Probe::Seen(busy) = &mut world.observed.busy
        {
            let since = now - SignedDuration::from_mins(if dice.once_in(2) { 5 } else { 150 });
            busy.insert(host, super::busy(since));
        }
    }
    if dice.once_in(20)
        && let Probe::Seen(busy) = &mut world.observed.busy
    {
        busy.insert(name("stranger"), super::busy(now));
    }
    for step in plan(&world.desired, &world.observed).steps {
        if dice.once_in(5) {
            for _ in 0..=dice.below(4) {
                let minutes = dice.pick(&[-1, -8, -30, -400, -5000, 1, 600_000]);
                world.failure(
                    &step,
                    now + SignedDuration::from_mins(minutes),
                    "the disk is full",
                );
            }
        }
    }
}

fn blind(world: &mut World, dice: &mut Dice) {
    let probes = probes(world);
    for probe in 0..probes {
        if dice.once_in(25) {
            world.blind(probe);
        }
    }
}

/// How many probes a world has.
fn probes(world: &World) -> usize {
    let Observed {
        classes,
        live,
        reports,
        ..
    } = &world.observed;
    3 + classes.len() + live.len() + reports.len()
}

impl World {
    /// How many probes it has.
    #[must_use]
    pub fn probes(&self) -> usize {
        probes(self)
    }

    /// Makes one of its probes unseen.
    pub fn blind(&mut self, probe: usize) {
        let cause = || format!("probe {probe}: permission denied");
        let Observed {
            classes,
            live,
            reports,
            ..
        } = &mut self.observed;
        let (c, l) = (classes.len(), live.len());
        match probe {
            0 => self.observed.devices = Probe::Unseen(cause()),
            1 => self.observed.store = Probe::Unseen(cause()),
            2 => self.observed.busy = Probe::Unseen(cause()),
            n if n < 3 + c => classes
                .values_mut()
                .skip(n - 3)
                .take(1)
                .for_each(|p| *p = Probe::Unseen(cause())),
            n if n < 3 + c + l => {
                live.values_mut()
                    .skip(n - 3 - c)
                    .take(1)
                    .for_each(|p| *p = Probe::Unseen(cause()));
            }
            n => Arc::make_mut(reports)
                .values_mut()
                .skip(n - 3 - c - l)
                .take(1)
                .for_each(|p| *p = Probe::Unseen(cause())),
        }
    }
}

/// Begins some of the steps that a plan has, and lets some time pass.
fn run(world: &mut World, dice: &mut Dice) {
    if !dice.once_in(3) {
        return;
    }
    for step in plan(&world.desired, &world.observed).steps {
        if dice.once_in(2) {
            world
                .observed
                .running
                .push(Running::begun(step, world.observed.at));
        }
    }
    world.pass(dice.pick(&[0, 1, 3, 20, 200, -30]));
}
