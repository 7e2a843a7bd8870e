//! The guard against mass changes: what it holds, what it never holds, and what lets it through.

use std::collections::BTreeSet;

use harness::worlds::{GIB, World, at, digest, name, os, windows, worlds};
use proptest::prelude::*;
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Action, Gate, Plan, Probe, plan};
use schema::fleet::{ResetCommand, Waves};
use schema::name::HostName;

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

fn excess(world: &World) -> (usize, usize, usize) {
    let holds = of(world).holds;
    let mut found = holds.iter().filter_map(|hold| match &hold.gate {
        Gate::Guard { excess, .. } => Some((excess.hosts, excess.unseen, excess.of)),
        _ => None,
    });
    found.next().unwrap()
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
    put_back(&mut world, "ubuntu.qdiff", "202611011930");
    world.on_site("win11");
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.room("r200", "office", 21);
    for host in 1..=21 {
        let host = format!("r200-pc{host:02}");
        let applied = harness::worlds::applied("ubuntu.qdiff");
        world.outcome(&host, at("2026-11-23T18:05"), applied);
    }
    check(
        &world,
        &["reset r101 20 whole", "r200 21: Guard", "r102 10: Turn"],
    );
    assert_eq!(excess(&world), (21, 0, 51));
    world.desired.guard.share = name("42 %");
    assert!(
        of(&world)
            .holds
            .iter()
            .all(|hold| !hold.gate.awaits_a_decision())
    );
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
    check(&world, &[]);
}

#[test]
fn a_disk_that_is_divided_otherwise_is_held_and_resets_go_on() {
    let mut world = school();
    let wanted = world.files_mut("lab").start_conf.clone().unwrap();
    world.files_mut("lab").start_conf = Some(wanted.replace("Size = 50G", "Size = 40G"));
    check(&world, &["reset r101 20 whole", "lab: Guard"]);
    assert_eq!(excess(&world), (20, 0, 20));
    world.observed.devices = Probe::Unseen("devices.csv: permission denied".to_owned());
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
    world.on_site("win11");
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.room("r200", "office", 9);
    put_back(&mut world, "ubuntu.qdiff", "202611011930");
    check(&world, &["reset r101 20 whole", "r200 9: Turn"]);
    for host in ["r101-pc01", "r101-pc02", "r101-pc03"] {
        let unseen = Probe::Unseen("torn".to_owned());
        std::sync::Arc::make_mut(&mut world.observed.reports).insert(name(host), unseen);
    }
    check(
        &world,
        &["reset r101 17", "r101 3: Unseen", "r200 9: Guard"],
    );
    assert_eq!(excess(&world), (12, 3, 29));
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
        let applied = journal
            .applied(host)
            .filter(|attempt| attempt.at <= believed);
        let report = world.observed.reports[host].seen().and_then(Option::as_ref);
        let report = report.filter(|report| {
            let at = report.at.to_zoned(world.desired.zone.clone()).unwrap();
            let last = journal.attempts(host).last();
            report.event == reconciler::linbo::status::ImageEvent::Applied
                && at.timestamp() <= believed
                && last.is_none_or(|last| at.timestamp() > last.at)
        });
        let newest = match report {
            Some(report) => Some((report.file.clone(), report.stamp.clone())),
            None => applied
                .max_by_key(|attempt| attempt.at)
                .and_then(|attempt| {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever share is allowed, hosts that get what they have are reset as if there were no guard.
    #[test]
    fn the_guard_never_holds_a_reset_to_the_same(world in worlds()) {
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
