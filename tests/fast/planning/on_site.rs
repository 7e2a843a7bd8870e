//! Images that were made by hand on site: pinned, followed, and rolled out when they change.

use std::sync::Arc;

use harness::worlds::{World, applied, at, failed, name, os, unreachable};
use reconciler::linbo::image_info::ImageRecord;
use reconciler::linbo::status::HostReport;
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Action, Desired, Gate, Probe, Reason, Server};
use schema::fleet::{ResetCommand, Rollout};
use schema::tree::Tree;

use super::cases::{check, of};

/// A room of two hosts with Windows of `stamp`, whose file is as old as that says.
fn school(stamp: &str, written: &str) -> World {
    // A Tuesday: nothing is due by schedule, since both were put back on Monday.
    let mut world = World::empty(at("2026-11-24T18:00"));
    world.on_site("win11");
    world.class("win", &[os("win11", ResetCommand::New)]);
    world.room("r101", "win", 2);
    let base = world.live_mut("win11").base.as_mut().unwrap();
    base.written = at(written);
    base.record = Some(ImageRecord {
        timestamp: Some(name(stamp)),
        ..ImageRecord::default()
    });
    for host in world.hosts() {
        world.outcome(
            host.as_str(),
            at("2026-11-23T19:00"),
            applied("win11.qcow2"),
        );
    }
    world
}

/// The state that [`applied`] hosts have.
const OLD: &str = "202611011930";
const NEW: &str = "202611241015";

#[test]
fn only_the_state_that_is_pinned_comes_to_hosts() {
    let mut world = school(NEW, "2026-11-24T10:20");
    world.desired.pinned.insert(name("win11"), name(OLD));
    check(&world, &["r101 2: NotPinned"]);
    let gate = &of(&world).holds[0].gate;
    let expected = Gate::NotPinned {
        image: name("win11"),
        pinned: name(OLD),
        found: Some(name(NEW)),
    };
    assert_eq!(*gate, expected);
    assert!(gate.needs_a_person() && gate.is_failure());
    world.desired.pinned.insert(name("win11"), name(NEW));
    check(&world, &["reset r101 2 whole"]);
}

#[test]
fn a_new_state_comes_to_hosts_when_it_lies_there_and_not_at_their_next_reset() {
    let world = school(OLD, "2026-11-01T19:30");
    check(&world, &[]);
    let world = school(NEW, "2026-11-24T10:20");
    check(&world, &["reset r101 2 whole"]);
    let Action::ResetRoom { due, .. } = &of(&world).steps[0].action else {
        panic!("{:#?}", of(&world));
    };
    assert_eq!(*due, at("2026-11-24T10:20"));
    assert!(
        matches!(&of(&world).steps[0].reason, Reason::NewVersion { image, .. } if image.as_str() == "win11")
    );
}

#[test]
fn a_new_state_comes_in_waves() {
    let mut world = school(NEW, "2026-11-24T10:20");
    world.desired.rollout = Rollout::default();
    world.room("r102", "win", 1);
    world.outcome("r102-pc01", at("2026-11-23T19:00"), applied("win11.qcow2"));
    check(&world, &["reset r101 2 whole", "r102 1: Wave"]);
    // A room without the image takes no part in it.
    world.on_site("ubuntu");
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    world.room("r100", "lab", 1);
    world.outcome("r100-pc01", at("2026-11-23T19:00"), applied("ubuntu.qcow2"));
    check(&world, &["reset r101 2 whole", "r102 1: Wave"]);
}

/// What is loaded takes its time: half an hour before the window closes one system is put back, and none is loaded.
#[test]
fn a_new_state_is_begun_only_where_there_is_time_to_load_it() {
    let mut loads = school(NEW, "2026-11-24T10:20");
    loads.observed.at = at("2026-11-24T21:29");
    assert!(matches!(of(&loads).steps.as_slice(), [_]));
    loads.observed.at = at("2026-11-24T21:31");
    check(&loads, &["r101 2: TooLate"]);
    let mut cached = school(OLD, "2026-11-01T19:30");
    cached.observed.at = at("2026-11-25T21:31");
    assert!(matches!(of(&cached).steps.as_slice(), [_]));
}

/// A host that stalls tells of the state that it should have got; one that stalled before that came tells nothing.
#[test]
fn a_wave_waits_for_hosts_that_stall_and_not_for_those_that_had_before() {
    let rollout = |written: &str, evenings: [&str; 3]| {
        let mut world = school(NEW, written);
        world.desired.rollout = Rollout::default();
        world.room("r102", "win", 1);
        world.outcome("r102-pc01", at("2026-11-16T19:00"), applied("win11.qcow2"));
        for evening in evenings {
            let due = at(&format!("{evening}T18:00"));
            world.outcome_of("r101-pc01", due, due, unreachable());
        }
        let has_it = HostOutcome::applied_one(name("win11.qcow2"), Some(name(NEW)));
        world.outcome("r101-pc02", at("2026-12-02T18:30"), has_it);
        world.observed.at = at("2026-12-03T18:45");
        world
    };
    let tuesday = "2026-11-24T10:20";
    let since = rollout(tuesday, ["2026-11-24", "2026-11-25", "2026-11-30"]);
    check(&since, &["r101 1: Stalled", "r102 1: Wave"]);
    let before = ["2026-11-16", "2026-11-18", "2026-11-23"];
    check(
        &rollout(tuesday, before),
        &["reset r102 1 whole", "r101 1: Stalled"],
    );
    // The last of these three was judged as the state came, and so of it.
    let just_then = rollout("2026-11-23T18:00", before);
    check(&just_then, &["r101 1: Stalled", "r102 1: Wave"]);
}

/// What a host says of a time after its last judgement stands, whoever put it back, and no more than what it says.
#[test]
fn a_host_that_says_so_has_the_new_state() {
    let said = |stamp: &str, when: &str| {
        let mut world = school(NEW, "2026-11-24T10:20");
        let line = format!("{when} applied: win11.qcow2 \"{stamp}\"");
        let report = HostReport::parse(line.as_bytes()).unwrap();
        let reports = Arc::make_mut(&mut world.observed.reports);
        reports.insert(name("r101-pc01"), Probe::Seen(Some(report)));
        world
    };
    check(&said(NEW, "202611241100"), &["reset r101 1"]);
    check(&said(OLD, "202611240900"), &["reset r101 2 whole"]);
    let mut judged = said(NEW, "202611241755");
    judged.outcome("r101-pc01", at("2026-11-24T17:55"), failed("no space"));
    check(&judged, &["reset r101 1", "r101 1: Retry"]);
    judged.outcome("r101-pc01", at("2026-11-24T17:54"), failed("no space"));
    check(&judged, &["reset r101 1"]);
}

/// What hosts got just as the file came may have been that file.
#[test]
fn a_new_state_is_news_to_hosts_that_got_another_before_it_came() {
    let mut just_then = school(NEW, "2026-11-23T19:00");
    let mut before = school(NEW, "2026-11-23T19:01");
    check(&just_then, &[]);
    check(&before, &["reset r101 2 whole"]);
    // What fails since tells of the state only where it is known to be on its way.
    for host in just_then.hosts() {
        for world in [&mut just_then, &mut before] {
            let later = at("2026-11-23T19:30");
            world.outcome(host.as_str(), later, failed("no space"));
        }
    }
    check(&just_then, &[]);
    check(&before, &["r101 2: RolloutStopped"]);
}

/// What was there before the reconciler knew any host is no news to them.
#[test]
fn what_nobody_is_known_to_have_had_waits_for_the_schedule() {
    let mut world = school(NEW, "2026-11-24T10:20");
    world.observed.journal = Default::default();
    for host in world.hosts() {
        let why = "nothing was heard of it".to_owned();
        let evidence = Vec::new();
        let unknown = HostOutcome::Unknown {
            why,
            evidence,
            restored: Vec::new(),
        };
        world.outcome(host.as_str(), at("2026-11-23T19:00"), unknown);
    }
    let due = |world: &World| match of(world).steps.first().map(|step| step.action.clone()) {
        Some(Action::ResetRoom { due, .. }) => Some(due),
        _ => None,
    };
    // They are tried again for Monday's reset, not for the new state.
    world.observed.at = at("2026-11-24T20:00");
    assert_eq!(due(&world), Some(at("2026-11-23T18:00")));
}

/// A file whose time is still to come says nothing.
#[test]
fn a_state_from_the_future_is_not_news() {
    check(&school(NEW, "2026-11-25T10:20"), &[]);
}

/// The state repo's pin concerns the school that made the image, and no other.
#[test]
fn a_pin_is_of_the_school_that_makes_the_image() {
    let files = [
        (
            "fleet.yaml",
            "name: f\ncentral: { server: images.example }\n",
        ),
        (
            "images/win11.yaml",
            "os: windows\nmade_at: bs-nord\nversion: \"202611011930\"\n",
        ),
        ("images/win10.yaml", "os: windows\nmade_at: bs-nord\n"),
        (
            "schools/bs-nord/school.yaml",
            "server: s.n.example\ndomain: n.example\n",
        ),
        (
            "schools/bs-sued/school.yaml",
            "server: s.s.example\ndomain: s.example\n",
        ),
    ];
    let loaded = schema::load(&files.into_iter().collect::<Tree>());
    assert_eq!(loaded.diagnostics, []);
    let fleet = loaded.fleet.unwrap();
    let pinned = |school| {
        Desired::of(&fleet, &Server::School(name(school)))
            .unwrap()
            .pinned
    };
    assert_eq!(pinned("bs-nord"), [(name("win11"), name(OLD))].into());
    assert!(pinned("bs-sued").is_empty());
}
