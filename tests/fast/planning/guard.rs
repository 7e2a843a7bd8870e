//! The guard against mass changes: what it holds, what it never holds, and what lets it through.

use std::collections::{BTreeMap, BTreeSet};

use harness::worlds::{
    GIB, World, at, day, digest, failed, name, os, unreachable, windows, worlds,
};
use proptest::prelude::*;
use reconciler::linbo::status::HostReport;
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Action, Entry, Gate, Plan, Probe, Purpose, plan};
use schema::fleet::{PowerBudget, ResetCommand, Waves};
use schema::name::{HostName, PowerGroupName};

use super::cases::{check, of};

/// Wednesday, as the reset of `r101` becomes due; its 20 hosts have the version that the server has.
fn school() -> World {
    let mut world = World::school(at("2026-11-25T18:00"));
    world.desired.guard.share = name("40 %");
    let live = world.live_mut("ubuntu");
    for file in live.base.iter_mut().chain(&mut live.diff) {
        file.record.as_mut().unwrap().timestamp = Some(name("202611011930"));
    }
    world.observed.journal = Default::default();
    put_back(&mut world, "ubuntu.qdiff", "202611011930");
    world
}

/// All hosts were put back to a state of a file on Monday.
fn put_back(world: &mut World, file: &str, stamp: &str) {
    for host in world.hosts() {
        let outcome = HostOutcome::applied_one(name(file), Some(name(stamp)));
        world.outcome(host.as_str(), at("2026-11-23T18:05"), outcome);
    }
}

/// A room with a system of its own, whose hosts are the last of `devices.csv`.
fn office(world: &mut World, hosts: usize) {
    world.on_site("win11");
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.room("r200", "office", hosts);
}

/// The same, but its hosts still have the image that all others have: that one would be taken from them.
fn office_with_ubuntu(world: &mut World, hosts: usize) {
    office(world, hosts);
    put_back(world, "ubuntu.qdiff", "202611011930");
}

/// A host has a new status file.
fn said(world: &mut World, host: &HostName, line: &str) {
    let report = HostReport::parse(line.as_bytes()).unwrap();
    std::sync::Arc::make_mut(&mut world.observed.reports)
        .insert(host.clone(), Probe::Seen(Some(report)));
}

fn unseen<T>() -> Probe<T> {
    Probe::Unseen("permission denied".to_owned())
}

/// The hosts that would be changed or may be, those of them of which that could not be seen, and all; none when
/// nothing is held.
fn excess(world: &World) -> Option<(usize, usize, usize)> {
    let holds = of(world).holds;
    holds.iter().find_map(|hold| match &hold.gate {
        Gate::Guard { excess, .. } => Some((excess.hosts, excess.unseen, excess.of)),
        _ => None,
    })
}

#[test]
fn what_brings_back_what_hosts_have_is_never_held() {
    let mut world = school();
    world.desired.guard.share = name("0 %");
    check(&world, &["reset r101 20 whole"]);
    // Nobody ever heard of these.
    world.observed.journal = Default::default();
    check(&world, &["reset r101 20 whole"]);
}

#[test]
fn hosts_that_would_lose_their_image_are_held_and_the_others_are_not() {
    let mut world = school();
    world.room("r102", "lab", 10);
    office_with_ubuntu(&mut world, 21);
    check(
        &world,
        &["reset r101 20 whole", "r200 21: Guard", "r102 10: Turn"],
    );
    assert_eq!(excess(&world), Some((21, 0, 51)));
    world.desired.guard.share = name("42 %");
    assert_eq!(excess(&world), None);
    // So it is asked at any time, not when the window opens.
    world.desired.guard.share = name("40 %");
    world.observed.at = at("2026-11-24T12:00");
    check(&world, &["r200 21: Guard"]);
    // Somebody put them back by hand, one after the other.
    world.outcome(
        "r200-pc01",
        world.observed.at,
        harness::worlds::applied("win11.qcow2"),
    );
    check(&world, &["r200 20: Window"]);
}

#[test]
fn a_disk_that_is_divided_otherwise_is_held_and_resets_go_on() {
    let mut world = school();
    let wanted = world.files_mut("lab").start_conf.clone().unwrap();
    world.files_mut("lab").start_conf = Some(wanted.replace("Size = 50G", "Size = 40G"));
    check(&world, &["reset r101 20 whole", "lab: Guard"]);
    assert_eq!(excess(&world), Some((20, 0, 20)));
    world.observed.devices = unseen();
    check(&world, &["lab: Unseen", "r101: Unseen"]);
    // What boots otherwise divides nothing.
    let mut world = school();
    world.files_mut("lab").start_conf = Some(wanted.replace("quiet splash", "nomodeset"));
    check(&world, &["start-conf lab", "r101 20: Busy"]);
}

#[test]
fn a_new_version_for_all_at_once_is_held_before_the_old_one_is_gone() {
    let mut world = school();
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, None);
    world.store("ubuntu", "2", 12 * GIB, None);
    check(&world, &["reset r101 20 whole", "ubuntu: Guard"]);
    let mut waves = world.clone();
    waves.desired.rollout.waves = Some(Waves::default());
    check(&waves, &["activate ubuntu", "r101 20: Busy"]);
    world.desired.guard.share = name("100 %");
    check(&world, &["activate ubuntu", "r101 20: Busy"]);
    // One that is still on its way asks nobody.
    world.desired.guard.share = name("40 %");
    if let Probe::Seen(store) = &mut world.observed.store {
        store.objects.remove(&digest("ubuntu 2 qcow2"));
    }
    check(&world, &["reset r101 20 whole", "ubuntu: Window"]);
}

/// An image made on site is uploaded by hand: it lies in LINBO's folder when the reconciler sees it first.
#[test]
fn a_version_that_was_uploaded_for_all_at_once_is_held_at_the_hosts() {
    let mut world = school();
    put_back(&mut world, "ubuntu.qdiff", "202610011930");
    check(&world, &["r101 20: Guard"]);
    world.desired.rollout.waves = Some(Waves::default());
    check(&world, &["reset r101 20 whole"]);
}

/// A pass that was cut off in the middle goes on for as long as the line that allows it stands there; when it is taken
/// back too early, what is left is weighed like any other plan.
#[test]
fn the_second_half_of_what_was_allowed_goes_on_while_it_is_allowed() {
    let mut world = school();
    put_back(&mut world, "ubuntu.qdiff", "202610011930");
    world.desired.guard.share = name("100 %");
    check(&world, &["reset r101 20 whole"]);
    let done = |world: &mut World, hosts: usize| {
        for host in world.hosts().iter().take(hosts) {
            let applied = harness::worlds::applied("ubuntu.qdiff");
            world.outcome(host.as_str(), world.observed.at, applied);
        }
    };
    done(&mut world, 10);
    check(&world, &["reset r101 10"]);
    world.desired.guard.share = name("40 %");
    check(&world, &["r101 10: Guard"]);
    done(&mut world, 12);
    check(&world, &["reset r101 8"]);
}

#[test]
fn what_is_not_seen_counts_and_what_is_suspended_does_not() {
    let mut world = school();
    office_with_ubuntu(&mut world, 9);
    check(&world, &["reset r101 20 whole", "r200 9: Turn"]);
    for host in ["r101-pc01", "r101-pc02", "r101-pc03"] {
        std::sync::Arc::make_mut(&mut world.observed.reports).insert(name(host), unseen());
    }
    check(
        &world,
        &["reset r101 17", "r101 3: Unseen", "r200 9: Guard"],
    );
    assert_eq!(excess(&world), Some((12, 3, 29)));
    let suspension = schema::fleet::Suspension {
        reason: name("new furniture"),
        by: name("Hausmeister"),
        until: None,
    };
    world.room_mut("r200").suspended = Some(suspension);
    world.desired.windows.reset = windows(&["daily 17:00–24:00"]);
    check(
        &world,
        &["reset r101 17", "r101 3: Unseen", "r200 9: Suspended"],
    );
}

#[test]
fn a_new_version_counts_hosts_that_have_its_image_in_another_version() {
    let mut world = school();
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, None);
    world.store("ubuntu", "2", 12 * GIB, None);
    office(&mut world, 6);
    // A room that is reset by hand alone got it early.
    world.room("r102", "lab", 4).reset = None;
    for host in (1..=4).map(|n| format!("r102-pc{n:02}")) {
        let step = Action::ImportDevices {
            classes: Vec::new(),
            hosts: Default::default(),
        };
        let entry = Entry::Host {
            step: step.id(),
            host: name(&host),
            outcome: HostOutcome::applied_one(name("ubuntu.qcow2"), Some(name("202611201200"))),
            version: Some(name("2")),
        };
        world.note(at("2026-11-24T12:00"), entry);
    }
    assert_eq!(excess(&world), Some((20, 0, 30)));
}

#[test]
fn a_version_that_cannot_come_to_rooms_yet_counts_nobody() {
    let mut world = school();
    office_with_ubuntu(&mut world, 5);
    assert_eq!(excess(&world), None);
    let mut tested = world.clone();
    let until = day("2026-12-24");
    tested.release("ubuntu", "2", 12 * GIB, None).purpose = Purpose::TestClass { until };
    tested.store("ubuntu", "2", 12 * GIB, None);
    assert_eq!(excess(&tested), None);
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, None);
    assert_eq!(excess(&world), None);
    world.store("ubuntu", "2", 12 * GIB, None);
    assert_eq!(excess(&world), Some((25, 0, 25)));
}

#[test]
fn classes_and_images_that_are_not_seen_count_with_what_changes() {
    let mut world = school();
    office_with_ubuntu(&mut world, 9);
    let mut hidden = world.clone();
    hidden.observed.classes.insert(name("lab"), unseen());
    assert_eq!(excess(&hidden), Some((29, 20, 29)));
    // In a room that is reset by hand alone, too.
    world.room("r102", "lab", 4).reset = None;
    world.observed.live.insert(name("ubuntu"), unseen());
    assert_eq!(excess(&world), Some((33, 24, 33)));
    // An image made on site is exchanged without us.
    let mut world = school();
    put_back(&mut world, "ubuntu.qdiff", "202610011930");
    office(&mut world, 9);
    world.observed.live.insert(name("win11"), unseen());
    assert_eq!(excess(&world), Some((29, 9, 29)));
}

#[test]
fn what_changes_no_host_is_not_held_however_many_are_not_seen() {
    let mut world = school();
    world.class("spare", &[os("ubuntu", ResetCommand::Sync)]);
    let wanted = world.files_mut("spare").start_conf.clone().unwrap();
    world.files_mut("spare").start_conf = Some(wanted.replace("Size = 50G", "Size = 40G"));
    for host in world.hosts() {
        std::sync::Arc::make_mut(&mut world.observed.reports).insert(host, unseen());
    }
    check(&world, &["start-conf spare", "r101 20: Unseen"]);
}

/// Somebody synced them by hand, after the last reset of ours or without any.
#[test]
fn what_hosts_said_since_their_last_reset_counts() {
    let other = |world: &mut World, time: &str| {
        for host in world.hosts() {
            let line = format!("{time} applied: ubuntu.qdiff \"202610011930\"\n");
            said(world, &host, &line);
        }
    };
    for (time, expected) in [
        ("202611231804", "reset r101 20 whole"),
        ("202611231805", "reset r101 20 whole"),
        ("202611231806", "r101 20: Guard"),
        // Nobody believes what is said tomorrow.
        ("202611261200", "reset r101 20 whole"),
    ] {
        let mut world = school();
        other(&mut world, time);
        check(&world, &[expected]);
    }
    let mut world = school();
    world.observed.journal = Default::default();
    other(&mut world, "202611231806");
    check(&world, &["r101 20: Guard"]);
    // A host that did not answer since has it still, and what is noted of the future hides nothing.
    for (time, outcome) in [
        ("2026-11-24T18:00", unreachable()),
        ("2027-11-10T18:00", failed("no")),
    ] {
        let mut world = school();
        other(&mut world, "202611231806");
        for host in world.hosts() {
            world.outcome(host.as_str(), at(time), outcome.clone());
        }
        check(&world, &["r101 20: Guard"]);
    }
}

/// A clock that was put back by minutes makes nothing undone: what was begun then is newer than any report.
#[test]
fn what_was_begun_in_the_next_minutes_has_begun() {
    for (time, expected) in [("18:05", None), ("18:06", Some((21, 0, 21)))] {
        let mut world = school();
        office_with_ubuntu(&mut world, 1);
        for host in world.hosts() {
            said(&mut world, &host, "202611231806 applied: other.qcow2 \n");
            let time = at(&format!("2026-11-25T{time}"));
            world.outcome(host.as_str(), time, failed("no"));
        }
        assert_eq!(excess(&world), expected);
    }
}

/// The hosts that a plan resets.
fn reset(plan: &Plan) -> BTreeSet<HostName> {
    let hosts = plan.steps.iter().filter_map(|step| match &step.action {
        Action::ResetRoom { hosts, .. } => Some(hosts.iter().map(|wake| wake.host.clone())),
        _ => None,
    });
    hosts.flatten().collect()
}

/// Hosts to which their newest word says that a reset would bring another image, or another state of it at once.
fn changed(world: &World, plan: &Plan) -> BTreeSet<HostName> {
    let Some(devices) = world.observed.devices.seen() else {
        return BTreeSet::new();
    };
    let is_changed = |host: &HostName| {
        let believed = world.observed.at + reconciler::planning::gates::SKEW;
        let journal = &world.observed.journal;
        let images = world.images_of(&devices.get(host).unwrap().room);
        let mut applied = journal
            .host(host)
            .applied()
            .filter(|attempt| attempt.at <= believed);
        let report = world.observed.reports[host].seen().and_then(Option::as_ref);
        let report = report.filter(|report| {
            let at = report.at.to_zoned(world.desired.zone.clone()).unwrap();
            let last = journal
                .host(host)
                .attempts()
                .iter()
                .rev()
                .skip_while(|attempt| attempt.at > believed)
                .find(|attempt| !attempt.outcome.is_untouched());
            report.event == reconciler::linbo::status::ImageEvent::Applied
                && at.timestamp() <= believed
                && last.is_none_or(|last| at.timestamp() > last.at)
        });
        let newest = match report {
            Some(report) => Some((report.file.clone(), report.stamp.clone())),
            None => applied.next().and_then(|attempt| {
                let (file, stamp) = attempt.outcome.applied().next()?;
                Some((file.clone(), stamp.cloned()))
            }),
        };
        newest.is_some_and(|(file, stamp)| {
            let stem = file.as_str().split('.').next().unwrap();
            let Some(image) = images.iter().find(|image| image.as_str() == stem) else {
                return true;
            };
            let live = world.observed.live.get(image).and_then(Probe::seen);
            let offered = live.and_then(|live| {
                let (file, found) = live.files(image).last()?;
                Some((file, found.record.as_ref()?.timestamp.clone()?))
            });
            let differs = |(offered, wanted): (schema::name::FileName, _)| {
                stamp.is_some_and(|stamp| offered != file || stamp != wanted)
            };
            world.desired.rollout.waves.is_none() && offered.is_some_and(differs)
        })
    };
    reset(plan).into_iter().filter(is_changed).collect()
}

/// Lets as many hosts be on as there are.
fn bear_everything(world: &mut World) {
    let all = PowerBudget {
        wake_per_minute: u32::MAX,
        on_at_once: u32::MAX,
    };
    world.desired.power = BTreeMap::from([(PowerGroupName::default(), all)]);
    for room in world.desired.rooms.values_mut() {
        room.power = None;
    }
    world.desired.rollout.loading_at_once = u32::MAX;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever share is allowed, hosts that get what they have are reset as if there were no guard. Where power is
    /// short, fewer hosts may let another room go first, and that is not the guard's doing.
    #[test]
    fn the_guard_never_holds_a_reset_to_the_same(mut world in worlds()) {
        bear_everything(&mut world);
        let mut open = world.clone();
        open.desired.guard.share = name("100 %");
        let open = of(&open);
        let same: BTreeSet<_> = reset(&open).difference(&changed(&world, &open)).cloned().collect();
        let mut shut = world;
        shut.desired.guard.share = name("0 %");
        let shut = reset(&of(&shut));
        prop_assert!(same.is_subset(&shut), "{same:?} {shut:?}");
    }

    #[test]
    fn no_plan_changes_more_than_the_share(world in worlds()) {
        if let Probe::Seen(devices) = &world.observed.devices {
            let all = devices.rows().iter().filter(|device| device.pxe.is_reset()).count();
            let changed = changed(&world, &of(&world)).len();
            prop_assert!(changed * 100 <= all * usize::from(world.desired.guard.share.get()));
        }
    }

    /// The share that a hold names lets through what it holds.
    #[test]
    fn raising_the_share_lets_it_through(world in worlds()) {
        let needed = |plan: &Plan| plan.holds.iter().find_map(|hold| match &hold.gate {
            Gate::Guard { excess, .. } => Some(excess.needed()),
            _ => None,
        });
        if let Some(share) = needed(&of(&world)) {
            let mut raised = world;
            raised.desired.guard.share = name(&format!("{share} %"));
            prop_assert_eq!(needed(&plan(&raised.desired, &raised.observed)), None);
        }
    }
}
