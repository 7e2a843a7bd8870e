//! Rooms side by side, and hosts that fail evening after evening.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness::worlds::{GIB, World, applied, at, busy, failed, name, os, schedule, unreachable};
use jiff::SignedDuration;
use reconciler::linbo::status::HostReport;
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{
    Action, Circuit, Desired, Entry, Gate, Goal, Hold, Probe, Running, Server, StepResult,
};
use schema::fleet::{DownloadType, PowerBudget, ResetCommand};
use schema::name::{ClassName, PowerGroupName};
use schema::tree::Tree;

use super::cases::{MONDAY, check, of, stale};

fn two_rooms() -> World {
    let mut world = stale();
    world.room("r102", "lab", 15);
    world
}

#[test]
fn the_second_room_waits_for_its_turn_on_what_the_school_bears() {
    let mut world = two_rooms();
    let began = world.observed.at;
    let later = |seconds| began + SignedDuration::from_secs(seconds);
    check(&world, &["reset r101 20 whole", "r102 15: Turn"]);
    let plan = of(&world);
    assert_eq!(plan.holds[0].wake, Some(later(200)));
    let turns: Vec<_> = plan
        .turns
        .iter()
        .map(|turn| (turn.room.as_str(), turn.hosts, turn.from, turn.until))
        .collect();
    assert_eq!(
        turns,
        [
            ("r101", 20, began, later(190 + 15 * 60)),
            ("r102", 15, later(200), later(340 + 15 * 60))
        ]
    );
    assert_eq!(plan.peaks[0].hosts, 35);
    // Once most of the first room are on, the second begins a little before its turn.
    let mut first = Running::begun(plan.steps[0].clone(), began);
    let hosts = world.hosts();
    first.admitted = hosts
        .iter()
        .take(15)
        .cloned()
        .zip((0..15).map(|host| later(10 * host)))
        .collect();
    world.observed.running.push(first);
    world.observed.at = later(130);
    check(&world, &["r102 15: Turn"]);
    world.observed.at = later(150);
    check(&world, &["reset r102 15 whole"]);
    // Rooms on fuses of their own do not wait for one another where the school bears both.
    let mut world = two_rooms();
    let budget = |wake_per_minute, on_at_once| PowerBudget {
        wake_per_minute,
        on_at_once,
    };
    world.desired.power = BTreeMap::from([
        (PowerGroupName::default(), budget(60, 100)),
        (name("main"), budget(6, 40)),
        (name("annex"), budget(6, 40)),
    ]);
    world.room_mut("r101").power_group = Some(name("main"));
    world.room_mut("r102").power_group = Some(name("annex"));
    check(&world, &["reset r101 20 whole", "reset r102 15 whole"]);
}

/// A host that fails evening after evening is left alone until somebody resolves it.
#[test]
fn a_host_that_fails_again_and_again_stalls_until_it_is_resumed() {
    let mut world = World::school(at(MONDAY));
    let hosts = world.hosts();
    let evenings = ["2026-11-11", "2026-11-16", "2026-11-18"];
    for evening in evenings {
        let when = at(&format!("{evening}T19:00"));
        let due = at(&format!("{evening}T18:00"));
        for host in hosts.iter().skip(1) {
            world.outcome_of(host.as_str(), due, when, applied("ubuntu.qcow2"));
        }
        world.outcome_of("r101-pc01", due, when, unreachable());
    }
    world.observed.at = at("2026-11-19T18:30");
    check(&world, &["reset r101 1"]);
    world.observed.at = at("2026-11-23T18:00");
    check(&world, &["reset r101 19", "r101 1: Stalled"]);
    assert!(of(&world).holds[0].gate.needs_a_person());
    let resumed = |world: &World, when: &str| {
        let mut world = world.clone();
        let mut orders = reconciler::planning::Orders::default();
        orders.resume("host r101-pc01".parse().unwrap(), at(when));
        world.observed.orders = Probe::Seen(orders);
        world
    };
    check(
        &resumed(&world, "2026-11-20T09:00"),
        &["reset r101 20 whole"],
    );
    // What failed at the very time of the order is over too, and what fails at this occurrence counts for the next one
    // only.
    for when in ["2026-11-11T19:00", "2026-11-18T19:00"] {
        check(&resumed(&world, when), &["reset r101 20 whole"]);
    }
    world.observed.journal = Default::default();
    let due = at("2026-11-23T18:00");
    for evening in ["2026-11-16T18:00", "2026-11-18T18:00", "2026-11-23T18:00"] {
        world.outcome_of("r101-pc01", at(evening), at(evening), unreachable());
    }
    for host in world.hosts().iter().skip(1) {
        world.outcome_of(host.as_str(), due, due, applied("ubuntu.qcow2"));
    }
    world.observed.at = at("2026-11-23T18:30");
    check(&world, &["reset r101 1"]);
}

/// A host that says that it was put back although that was in vain stalls like any other; one that somebody put
/// back in between does not.
#[test]
fn what_a_host_said_of_a_try_that_failed_does_not_begin_anew() {
    for (reported, expected) in [
        ("202611181859", &["r101 1: Stalled"][..]),
        ("202611181000", &["reset r101 1"]),
        ("202611190800", &["reset r101 1"]),
    ] {
        let mut world = World::school(at(MONDAY));
        for evening in ["2026-11-11", "2026-11-16", "2026-11-18"] {
            let when = at(&format!("{evening}T19:00"));
            let due = at(&format!("{evening}T18:00"));
            for host in world.hosts().iter().skip(1) {
                world.outcome_of(host.as_str(), due, when, applied("ubuntu.qcow2"));
            }
            world.outcome_of("r101-pc01", due, when, failed("it cannot be mounted"));
        }
        for host in world.hosts().iter().skip(1) {
            let due = at("2026-11-23T18:00");
            world.outcome_of(host.as_str(), due, due, applied("ubuntu.qcow2"));
        }
        let report = HostReport::parse(
            format!("{reported} applied: ubuntu.qcow2 \"202610010800\"").as_bytes(),
        );
        let report = Probe::Seen(Some(report.unwrap()));
        let reports = Arc::make_mut(&mut world.observed.reports);
        reports.insert(name("r101-pc01"), report);
        world.observed.at = at("2026-11-23T18:01");
        check(&world, expected);
    }
}

/// What the state repo or an order on the server suspends is held with its reason until that ends.
#[test]
fn what_is_suspended_is_left_alone() {
    let until: schema::policy::Until = name("2026-11-23 19:00");
    let suspension = schema::fleet::Suspension {
        reason: name("new furniture"),
        by: name("Hausmeister"),
        until: Some(until),
    };
    let seven = Some(at("2026-11-23T19:00"));
    let mut world = stale();
    world.room_mut("r101").suspended = Some(suspension.clone());
    check(&world, &["r101 20: Suspended"]);
    assert_eq!(of(&world).holds[0].wake, seven);
    let mut world = stale();
    let hosts = &mut world.room_mut("r101").suspended_hosts;
    hosts.insert(name("r101-pc01"), suspension.clone());
    check(&world, &["reset r101 19", "r101 1: Suspended"]);
    let mut world = stale();
    world.desired.suspended.all = vec![("school bs-nord".to_owned(), suspension)];
    check(&world, &["r101 20: Suspended"]);
    world.observed.at = at("2026-11-23T19:00");
    check(&world, &["reset r101 20 whole"]);
}

/// What lasts longer than any command may is no longer waited for in silence, neither by rooms nor by images.
#[test]
fn hosts_that_hang_need_a_person() {
    let mut world = stale();
    let now = world.observed.at;
    let hours = SignedDuration::from_hours;
    let since = |hours_ago| busy(now - hours(hours_ago));
    let two = [(name("r101-pc01"), since(2)), (name("r101-pc02"), since(1))];
    world.observed.busy = Probe::Seen(two.into());
    check(
        &world,
        &["reset r101 18", "r101 1: HostsHang", "r101 1: HostsBusy"],
    );
    let plan = of(&world);
    let gates = |hangs| {
        let of_kind = |hold: &&Hold| matches!(hold.gate, Gate::HostsHang(_)) == hangs;
        let holds: Vec<&Hold> = plan.holds.iter().filter(of_kind).collect();
        assert_eq!(holds.len(), 1);
        (holds[0].gate.is_failure(), holds[0].wake)
    };
    assert_eq!(gates(true), (true, None));
    assert_eq!(gates(false), (false, Some(now + hours(1))));
    world.release("ubuntu", "2", 12 * GIB, None);
    world
        .desired
        .images
        .remove(&(name("ubuntu"), name("2026.10.1")));
    world.store("ubuntu", "2", 12 * GIB, None);
    let plan = of(&world);
    let is_held = |hold: &Hold| {
        matches!(hold.goal, Goal::Active(..)) && matches!(hold.gate, Gate::HostsHang(_))
    };
    assert!(plan.holds.iter().any(is_held), "{:?}", plan.holds);
}

/// A sync brings all images of a class: one that is suspended and new keeps hosts from it, whatever else is new.
#[test]
fn a_suspended_image_holds_hosts_to_which_another_image_is_newer() {
    const IMAGES: [&str; 2] = ["office", "tools"];
    let mut world = World::school(at(MONDAY));
    world.observed.at = at("2026-11-25T18:00");
    for image in IMAGES {
        world.on_site(image);
        let record = world.live_mut(image).base.as_mut().unwrap().record.as_mut();
        record.unwrap().timestamp = Some(name("202611011930"));
    }
    world.class("lab", &IMAGES.map(|image| os(image, ResetCommand::Sync)));
    check(&world, &["reset r101 20 whole"]);
    let suspension = schema::fleet::Suspension {
        reason: name("it does not print"),
        by: name("Ada"),
        until: None,
    };
    for image in IMAGES {
        let mut world = world.clone();
        let images = &mut world.desired.suspended.images;
        images.insert(name(image), suspension.clone());
        check(&world, &["r101 20: Suspended"]);
    }
}

/// What hosts of a suspended room would wait for besides is nothing to look for.
#[test]
fn a_suspended_room_waits_for_its_end_alone() {
    let mut world = stale();
    let just_now = world.observed.at - SignedDuration::from_mins(2);
    world.outcome("r101-pc01", just_now, failed("no"));
    let in_use = HostOutcome::InUse {
        why: "somebody is logged in".to_owned(),
    };
    world.outcome("r101-pc02", just_now, in_use);
    check(&world, &["reset r101 18", "r101 1: Retry", "r101 1: InUse"]);
    world.room_mut("r101").suspended = Some(schema::fleet::Suspension {
        reason: name("new desks"),
        by: name("it"),
        until: None,
    });
    check(&world, &["r101 20: Suspended"]);
}

/// The school of a Wednesday evening on which a new version lies on the server.
fn new_version() -> World {
    let mut world = World::school(at("2026-11-25T18:00"));
    world.observed.journal = Default::default();
    let diff = world.live_mut("ubuntu").diff.as_mut().unwrap();
    diff.record.as_mut().unwrap().timestamp = Some(name("202611250400"));
    world
}

/// Where nobody seeds they would wait for ever. What they have in their caches they need from nobody.
#[test]
fn hosts_that_load_by_torrent_wait_for_a_seeder() {
    let mut world = new_version();
    check(&world, &["reset r101 20 whole"]);
    world.observed.seeded = Probe::Seen(["ubuntu.qcow2"].map(name).into());
    check(&world, &["seed ubuntu.qdiff", "r101 20: NotSeeded"]);
    let unseen = Probe::Unseen("no answer".to_owned());
    let lab: ClassName = name("lab");
    world.observed.seeded = unseen.clone();
    check(&world, &["r101 20: Unseen"]);
    for download in [DownloadType::Rsync, DownloadType::Multicast] {
        let class = world.desired.classes.get_mut(&lab).unwrap();
        class.download = download;
        check(&world, &["reset r101 20 whole"]);
    }
    let mut cached = stale();
    cached.observed.seeded = unseen;
    check(&cached, &["reset r101 20 whole"]);
}

/// The last of 20 hosts is woken 200 seconds after the first and takes a quarter of an hour: at 21:41 all fit in.
#[test]
fn what_is_late_waits_for_an_occurrence_after_which_the_whole_room_fits_in() {
    let mut world = stale();
    world.observed.at = at("2026-11-23T17:30");
    for (next, expected) in [
        ("mon 21:41", "r101 20: DueSoon"),
        ("mon 21:42", "reset r101 20 whole"),
    ] {
        world.room_mut("r101").reset = Some(schedule(&["mon 12:00", next]));
        check(&world, &[expected]);
    }
}

#[test]
fn no_more_hosts_load_a_new_version_at_once_than_the_school_says() {
    let mut world = new_version();
    world.desired.rollout.loading_at_once = 3;
    let steps = of(&world).steps;
    let [step] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    let Action::ResetRoom { circuits, .. } = &step.action else {
        panic!("{step:?}");
    };
    let mut circuits = circuits.iter();
    let loading = circuits.find(|(circuit, _)| *circuit == Circuit::Loading);
    assert_eq!(loading.unwrap().1.on_at_once, 3);
}

/// What the state repo says of fleet, school and image reaches the server that it concerns.
#[test]
fn suspensions_of_the_state_repo_reach_their_server() {
    let suspended = "suspended: { reason: holidays, by: Ada }\n";
    let central = "central: { server: images.example }\n";
    let school = "server: s.example\ndomain: n.example\n";
    let files = [
        ("fleet.yaml", format!("name: f\n{central}{suspended}")),
        (
            "images/win11.yaml",
            format!("os: windows\nmade_at: bs-nord\n{suspended}"),
        ),
        (
            "schools/bs-nord/school.yaml",
            format!("{school}{suspended}"),
        ),
        (
            "schools/bs-sued/school.yaml",
            school.replace("s.e", "t.e").replace("n.e", "m.e"),
        ),
    ];
    let loaded = schema::load(&files.into_iter().collect::<Tree>());
    assert_eq!(loaded.diagnostics, []);
    let fleet = loaded.fleet.unwrap();
    let of = |school| {
        let found = Desired::of(&fleet, &Server::School(name(school)))
            .unwrap()
            .suspended;
        let all = found.all.into_iter().map(|(what, _)| what);
        let images = found.images.into_keys().map(|image| image.to_string());
        all.chain(images).collect::<Vec<_>>()
    };
    assert_eq!(of("bs-nord"), ["fleet f", "school bs-nord", "win11"]);
    assert_eq!(of("bs-sued"), ["fleet f", "win11"]);
}

/// Rooms of one PC each: two that fail stop a rollout as any two do.
#[test]
fn a_rollout_stops_though_each_room_has_one_host() {
    let mut world = World::empty(at("2026-11-25T18:30"));
    world.release("ubuntu", "2", 12 << 30, None);
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    for room in ["r101", "r102", "r103"] {
        world.room(room, "lab", 1);
    }
    world.store("ubuntu", "2", 12 << 30, None);
    *world.live_mut("ubuntu") =
        harness::worlds::live(&harness::worlds::manifest("ubuntu", "2", 12 << 30, None));
    if let Some(base) = &mut world.live_mut("ubuntu").base {
        base.record.as_mut().unwrap().timestamp = Some(name("202611241200"));
    }
    let activated = Entry::Finished {
        step: Action::Activate {
            image: name("ubuntu"),
            version: name("2"),
            manifest: harness::worlds::manifest_digest("ubuntu", "2"),
        }
        .id(),
        result: StepResult::Done,
    };
    world.note(at("2026-11-24T22:00"), activated);
    for host in ["r101-pc01", "r102-pc01"] {
        world.outcome(host, at("2026-11-25T18:10"), failed("no space"));
    }
    let stopped = of(&world)
        .holds
        .iter()
        .filter(|hold| matches!(hold.gate, Gate::RolloutStopped { .. }))
        .count();
    assert_eq!(stopped, 3, "{:#?}", of(&world).holds);
}

/// Whoever wrote it: where it says the same as the state repo, hosts are reset by it, and it is left as it is.
#[test]
fn a_class_of_somebody_else_that_says_the_same_holds_nothing() {
    let mut world = stale();
    check(&world, &["reset r101 20 whole"]);
    let ours = world.files_mut("lab").start_conf.clone().unwrap();
    let (_, body) = ours.split_once('\n').unwrap();
    let theirs = format!("# by hand\n{}", body.replace("Hidden = no\n", ""));
    world.files_mut("lab").start_conf = Some(theirs.clone());
    check(&world, &["reset r101 20 whole"]);
    // One that says something else is not touched, and its numbers are not believed.
    world.files_mut("lab").start_conf = Some(theirs.replace("Autostart = no", "Autostart = yes"));
    check(&world, &["lab: NotOurs", "r101 20: StartConf"]);
    // Nor is one of ours that was changed taken for what it is to be, though it means the same.
    world.files_mut("lab").start_conf = Some(ours.replace("Hidden = no\n", ""));
    check(&world, &["start-conf lab", "r101 20: Busy"]);
}
