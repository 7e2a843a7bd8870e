//! What is planned of worlds made by hand: one sentence each.

use harness::worlds::{
    GIB, World, applied, at, berlin, busy, day, failed, name, os, schedule, unreachable, windows,
};
use jiff::SignedDuration;
use reconciler::linbo::status::{HostReport, ImageEvent};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{
    Action, Gate, Goal, Grub, Plan, Probe, Running, Suspended, plan, predict,
};
use schema::fleet::{Exam, ExamRooms, ResetCommand, RoomHosts};

pub(super) const MONDAY: &str = "2026-11-23T18:30";

pub(super) fn of(world: &World) -> Plan {
    plan(&world.desired, &world.observed)
}

/// Steps and holds in short: `reset/r101 20`, `r101 5 GaveUp`.
pub(super) fn short(world: &World) -> Vec<String> {
    let plan = of(world);
    let steps = plan.steps.iter().map(|step| match &step.action {
        Action::ResetRoom {
            room,
            hosts,
            whole_room,
            ..
        } => {
            format!(
                "reset {room} {}{}",
                hosts.len(),
                if *whole_room { " whole" } else { "" }
            )
        }
        _ => step
            .id
            .to_string()
            .split('/')
            .take(2)
            .collect::<Vec<_>>()
            .join(" "),
    });
    let holds = plan.holds.iter().map(|hold| {
        let gate = format!("{:?}", hold.gate);
        let gate = gate
            .split([' ', '{'])
            .next()
            .unwrap_or_default()
            .split("(\"")
            .next()
            .unwrap_or_default();
        let goal = match &hold.goal {
            Goal::Fresh(room, hosts) => format!("{room} {hosts}"),
            Goal::Off(hosts) => format!("{hosts} left on"),
            Goal::Room(room) => room.to_string(),
            Goal::StartConf(class) => class.to_string(),
            Goal::Import => "import".to_owned(),
            Goal::Rows(rows) => format!("rows {rows}"),
            Goal::Classes(hosts) => format!("classes {hosts}"),
            Goal::Staged(image, _) => format!("stage {image}"),
            Goal::Downloaded(image, _) | Goal::Active(image, _) => image.to_string(),
            Goal::Deleted(image, version) => format!("delete/{image}/{version}"),
            Goal::Seeded(file) => file.to_string(),
        };
        format!("{goal}: {}", gate.split('(').next().unwrap_or_default())
    });
    steps.chain(holds).collect()
}

#[track_caller]
pub(super) fn check(world: &World, expected: &[&str]) {
    assert_eq!(short(world), expected, "{:#?}", of(world).holds);
}

/// The school of Monday evening whose hosts were last reset long ago.
pub(super) fn stale() -> World {
    let mut world = World::school(at(MONDAY));
    world.observed.journal = Default::default();
    world
}

#[test]
fn a_converged_school_plans_nothing_at_any_time() {
    let mut world = World::school(at(MONDAY));
    // Until just before the next occurrence, on Wednesday at 18:00.
    for _ in 0..(47 * 60 + 29) / 30 {
        check(&world, &[]);
        world.pass(30);
    }
    world.observed.at = at("2026-11-25T18:00");
    check(&world, &["reset r101 20 whole"]);
}

#[test]
fn a_stale_room_is_reset_in_its_window_only() {
    let mut world = stale();
    check(&world, &["reset r101 20 whole"]);
    for (time, gate) in [
        ("2026-11-23T17:20", "r101 20: Window"),
        ("2026-11-23T10:00", "r101 20: Window"),
        ("2026-11-23T21:50", "r101 20: TooLate"),
        ("2026-11-24T18:00", "reset r101 20 whole"),
        ("2026-11-25T17:40", "r101 20: DueSoon"),
        ("2026-11-25T18:00", "reset r101 20 whole"),
        ("2026-12-23T18:30", "r101 20: Holiday"),
    ] {
        world.observed.at = at(time);
        check(&world, &[gate]);
    }
    world.observed.at = at(MONDAY);
    world.desired.windows.lessons = windows(&["mon 18:00–19:00"]);
    check(&world, &["r101 20: Lessons"]);
    assert_eq!(of(&world).holds[0].wake, Some(at("2026-11-23T19:00")));
}

/// Lessons inside of a window: what does not fit before them is looked at when they are over.
#[test]
fn too_late_before_lessons_means_after_them() {
    let mut world = stale();
    world.desired.windows.reset = windows(&["daily 06:00–22:00"]);
    world.observed.at = at("2026-11-24T07:25");
    check(&world, &["r101 20: TooLate"]);
    assert_eq!(of(&world).holds[0].wake, Some(at("2026-11-24T17:00")));
}

#[test]
fn a_room_too_large_for_any_window_tells_a_person() {
    let mut world = stale();
    world.desired.windows.reset = windows(&["daily 18:15–18:30"]);
    world.observed.at = at("2026-11-23T18:15");
    check(&world, &["reset r101 1", "r101 19: Turn"]);
    // One would fit in, if there were a minute more.
    world.desired.windows.reset = windows(&["daily 18:15–18:29"]);
    check(&world, &["r101 20: TooLong"]);
    assert!(of(&world).holds[0].gate.is_failure());
}

/// `linbo-remote -r` takes every row of the room.
#[test]
fn a_room_with_other_rows_is_not_whole() {
    let mut world = stale();
    world.device("r101", "r101-teacher", "teachers", 1);
    check(&world, &["reset r101 20"]);
    let mut world = stale();
    world.device("r101", "r101-printer", "lab", 0);
    check(&world, &["reset r101 20"]);
}

#[test]
fn hosts_that_are_listed_and_cannot_be_reset_are_named() {
    let mut world = stale();
    world.device("r101", "r101-teacher", "teachers", 1);
    let listed = ["r101-pc01", "r101-teacher", "nobody"];
    world.room_mut("r101").hosts =
        RoomHosts::Listed(listed.iter().map(|host| name(host)).collect());
    check(&world, &["reset r101 1", "r101: NotReset"]);
}

#[test]
fn hosts_with_commands_of_others_are_left_to_them() {
    let mut world = stale();
    let waits = [(name("r101-pc02"), "format,sync:1".to_owned())];
    world.observed.onboot = Probe::Seen(waits.into());
    check(&world, &["reset r101 19", "r101: NotReset"]);
    world.observed.onboot = Probe::Unseen("linbocmd cannot be read".to_owned());
    check(&world, &["r101 20: Unseen"]);
}

/// A boot configuration that somebody made by hand stays theirs, whatever the class gets.
#[test]
fn what_boots_by_hand_is_not_made_anew() {
    let mut world = World::school(at(MONDAY));
    world.files_mut("lab").grub = Grub::ByHand;
    world.files_mut("lab").start_conf = Some("# Written by reconcile from x\n".to_owned());
    world.observed.journal = Default::default();
    let plan = of(&world);
    let [step, ..] = plan.steps.as_slice() else {
        panic!("{plan:#?}");
    };
    assert_eq!(step.id.to_string(), "start-conf/lab");
    predict(&mut world.observed, step);
    check(&world, &["reset r101 20 whole"]);
}

#[test]
fn hosts_that_were_left_on_are_switched_off_unless_they_are_reset_anyway() {
    let steps = |world: &World| -> Vec<String> {
        let steps = of(world).steps;
        steps.iter().map(|step| step.id.to_string()).collect()
    };
    let left_on = |world: &mut World, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| name(host)).collect();
        world.observed.left_on = Probe::Seen(hosts);
    };
    let mut world = World::school(at("2026-11-23T19:00"));
    world.observed.journal = Default::default();
    for host in world.hosts() {
        let outcome = if host.as_str() == "r101-pc01" {
            unreachable()
        } else {
            applied("ubuntu.qcow2")
        };
        world.outcome(host.as_str(), at("2026-11-23T18:55"), outcome);
    }
    left_on(&mut world, &["r101-pc01", "r101-pc02"]);
    assert_eq!(steps(&world), ["switch-off/r101-pc02"]);
    world.pass(5);
    let due = at("2026-11-23T18:00");
    let both = [
        format!("reset/r101/{due}"),
        "switch-off/r101-pc02".to_owned(),
    ];
    assert_eq!(steps(&world), both);
    // Its window is closed: the next reset is days away.
    world.observed.at = at("2026-11-24T01:00");
    assert_eq!(steps(&world), ["switch-off/r101-pc01,r101-pc02"]);
    let nothing = [""; 0];
    let mut in_an_exam = world.clone();
    in_an_exam.desired.exams = vec![Exam {
        dates: jiff::civil::date(2026, 11, 24).into(),
        rooms: ExamRooms::All,
    }];
    assert_eq!(steps(&in_an_exam), nothing);
    let mut suspended = world.clone();
    if let Probe::Seen(orders) = &mut suspended.observed.orders {
        let (reason, by) = ("furniture".to_owned(), "root".to_owned());
        let (since, until) = (at("2026-11-23T12:00"), None);
        let host = "host r101-pc01".parse().unwrap();
        orders.suspend(
            host,
            Suspended {
                since,
                reason,
                by,
                until,
            },
        );
    }
    assert_eq!(steps(&suspended), ["switch-off/r101-pc02"]);
    // Those that are left alone are still on afterwards.
    let step = of(&suspended).steps[0].clone();
    predict(&mut suspended.observed, &step);
    let still_on = suspended.observed.left_on.seen().unwrap().iter();
    assert_eq!(
        still_on.map(ToString::to_string).collect::<Vec<_>>(),
        ["r101-pc01"]
    );
    world.desired.windows.lessons = windows(&["daily 00:30–02:00"]);
    // Not even one of which nobody knows the room.
    left_on(&mut world, &["r101-pc01", "r900-pc01"]);
    assert_eq!(steps(&world), nothing);
}

#[test]
fn a_host_in_use_is_asked_again_as_long_as_the_window_is_open() {
    let mut world = stale();
    let in_use = HostOutcome::InUse {
        why: "somebody is logged in".to_owned(),
    };
    for host in world.hosts().iter().skip(1) {
        world.outcome(host.as_str(), world.observed.at, applied("ubuntu.qcow2"));
    }
    for _ in 0..6 {
        check(&world, &["reset r101 1"]);
        world.outcome("r101-pc01", world.observed.at, in_use.clone());
        check(&world, &["r101 1: InUse"]);
        world.pass(10);
    }
    world.room_mut("r101").in_use = schema::policy::InUse::Skip;
    world.outcome("r101-pc01", world.observed.at, in_use);
    world.pass(60);
    check(&world, &["r101 1: InUse"]);
    assert_eq!(of(&world).holds[0].wake, Some(at("2026-11-25T18:00")));
}

#[test]
fn a_class_without_an_operating_system_is_not_reset() {
    let mut world = stale();
    world.class("lab", &[]);
    check(&world, &[]);
}

#[test]
fn a_host_is_tried_again_and_then_given_up() {
    let monday = at("2026-11-23T18:01");
    let minutes = SignedDuration::from_mins;
    for (outcome, tries) in [(failed("no space"), 3), (unreachable(), 2)] {
        let mut world = World::school(at(MONDAY));
        world.observed.journal = Default::default();
        world
            .hosts()
            .iter()
            .skip(1)
            .for_each(|host| world.outcome(host.as_str(), monday, applied("ubuntu.qcow2")));
        world.observed.at = monday;
        for attempt in 1..=tries {
            check(&world, &["reset r101 1"]);
            world.outcome("r101-pc01", world.observed.at, outcome.clone());
            if attempt < tries {
                check(&world, &["r101 1: Retry"]);
                // Each wait is twice as long as the one before.
                let wait = 10 << (attempt - 1);
                let wake = world.observed.at + minutes(wait);
                assert_eq!(of(&world).holds[0].wake, Some(wake));
                world.pass(wait - 1);
                check(&world, &["r101 1: Retry"]);
                world.pass(1);
            }
        }
        for _ in 0..40 {
            check(&world, &["r101 1: GaveUp"]);
            world.pass(60);
        }
        assert_eq!(of(&world).holds[0].wake, Some(at("2026-11-25T18:00")));
        world.observed.at = at("2026-11-25T18:00");
        check(&world, &["reset r101 20 whole"]);
    }
}

#[test]
fn what_others_did_counts() {
    let mut world = stale();
    let report = |time: &str, event, file: &str| {
        let at = at(time).to_zoned(berlin()).datetime();
        Probe::Seen(Some(HostReport {
            at,
            event,
            file: name(file),
            stamp: None,
        }))
    };
    for (time, event, file, expected) in [
        (
            "2026-11-23T18:00",
            ImageEvent::Applied,
            "ubuntu.qdiff",
            "reset r101 19",
        ),
        (
            "2026-11-23T17:59",
            ImageEvent::Applied,
            "ubuntu.qdiff",
            "reset r101 20 whole",
        ),
        // The clock of a client may be ahead of the server's, but not by much.
        (
            "2026-11-23T18:32",
            ImageEvent::Applied,
            "ubuntu.qdiff",
            "reset r101 19",
        ),
        (
            "2026-11-23T18:36",
            ImageEvent::Applied,
            "ubuntu.qdiff",
            "reset r101 20 whole",
        ),
        (
            "2026-11-23T18:10",
            ImageEvent::Created,
            "ubuntu.qcow2",
            "reset r101 20 whole",
        ),
        (
            "2026-11-23T18:10",
            ImageEvent::Applied,
            "win11.qcow2",
            "reset r101 20 whole",
        ),
    ] {
        std::sync::Arc::make_mut(&mut world.observed.reports)
            .insert(name("r101-pc01"), report(time, event, file));
        check(&world, &[expected]);
    }
}

#[test]
fn hosts_whose_report_is_unseen_wait() {
    let mut world = stale();
    std::sync::Arc::make_mut(&mut world.observed.reports)
        .insert(name("r101-pc01"), Probe::Unseen("empty".to_owned()));
    std::sync::Arc::make_mut(&mut world.observed.reports)
        .remove(&name::<schema::name::HostName>("r101-pc02"));
    check(&world, &["reset r101 18", "r101 2: Unseen"]);
}

#[test]
fn busy_hosts_are_left_alone() {
    let mut world = stale();
    world.observed.busy = Probe::Seen([(name("r101-pc01"), busy(world.observed.at))].into());
    check(&world, &["reset r101 19", "r101 1: HostsBusy"]);
    world.observed.busy = Probe::Unseen("tmux: no answer".to_owned());
    check(&world, &["r101 20: Unseen"]);
}

/// A clock that was put back, and a journal from the future, stall nothing.
#[test]
fn the_future_is_harmless() {
    let mut world = stale();
    let step = of(&world).steps.remove(0);
    for _ in 0..20 {
        world.failure(&step, at("2030-01-01T00:00"), "long after");
    }
    for host in world.hosts() {
        world.outcome(host.as_str(), at("2030-01-01T00:00"), failed("long after"));
    }
    check(&world, &["reset r101 20 whole"]);
}

/// A clock that is put back by seconds does not make done what was done undone.
#[test]
fn a_small_step_back_changes_nothing() {
    let mut world = World::school(at(MONDAY));
    world.observed.at -= SignedDuration::from_secs(3);
    check(&world, &[]);
    let mut world = stale();
    let step = of(&world).steps.remove(0);
    world.failure(&step, world.observed.at, "disk full");
    world.observed.at -= SignedDuration::from_secs(3);
    check(&world, &["r101 20: Backoff"]);
    world.pass(6);
    check(&world, &["reset r101 20 whole"]);
}

#[test]
fn backoff_holds_and_ends() {
    let mut world = stale();
    let step = of(&world).steps.remove(0);
    world.failure(&step, world.observed.at, "disk full");
    check(&world, &["r101 20: Backoff"]);
    world.pass(4);
    check(&world, &["r101 20: Backoff"]);
    world.pass(1);
    check(&world, &["reset r101 20 whole"]);
}

#[test]
fn images_and_resets_wait_for_one_another() {
    let mut world = stale();
    world.release("ubuntu", "2", 12 * GIB, None);
    world
        .desired
        .images
        .remove(&(name("ubuntu"), name("2026.10.1")));
    world.store("ubuntu", "2", 12 * GIB, None);
    check(&world, &["activate ubuntu", "r101 20: Busy"]);
    // The reset began before.
    let mut before = stale();
    let reset = of(&before).steps.remove(0);
    before
        .observed
        .running
        .push(Running::begun(reset, before.observed.at));
    world.observed.running = before.observed.running;
    check(&world, &["ubuntu: Busy"]);
    world.observed.running.clear();
    world.observed.busy = Probe::Seen([(name("r101-pc01"), busy(world.observed.at))].into());
    check(
        &world,
        &["reset r101 19", "ubuntu: HostsBusy", "r101 1: HostsBusy"],
    );
}

#[test]
fn downloads_follow_one_another() {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.release("mint", "1", 10 * GIB, None);
    world.release("cad", "1", 10 * GIB, None);
    check(&world, &["download cad", "mint: Busy"]);
    world.observed.at = at("2026-11-25T04:59") + SignedDuration::from_secs(30);
    check(&world, &["cad: TooLate", "mint: TooLate"]);
    world.observed.at = at("2026-11-25T05:00");
    check(&world, &["cad: Window", "mint: Window"]);
    assert_eq!(of(&world).holds[0].wake, Some(at("2026-11-25T22:00")));
}

/// What is active may be gone from the store, and what cannot be seen may be active.
#[test]
fn what_may_be_active_is_not_downloaded() {
    let mut world = World::school(at("2026-11-24T23:00"));
    if let Probe::Seen(store) = &mut world.observed.store {
        store.objects.clear();
    }
    check(&world, &[]);
    world.observed.live.insert(
        name("ubuntu"),
        Probe::Unseen("permission denied".to_owned()),
    );
    check(&world, &["ubuntu: Unseen"]);
}

/// A class that works is not changed to an image that is still on its way.
#[test]
fn start_conf_follows_its_image() {
    let mut world = World::school(at("2026-11-24T23:00"));
    let before = world.files_mut("lab").start_conf.clone();
    world.release("mint", "1", 10 * GIB, None);
    world.class("lab", &[os("mint", ResetCommand::Sync)]);
    world.files_mut("lab").start_conf = before;
    let due = "r101 20: Window";
    check(&world, &["download mint", "lab: NotActive", due]);
    // One made on site is made by a host of the class.
    world.desired.images.remove(&(name("mint"), name("1")));
    check(&world, &["start-conf lab", due]);
    world.files_mut("lab").start_conf = None;
    world.release("mint", "1", 10 * GIB, None);
    check(&world, &["start-conf lab", "download mint", due]);
}

/// The import would put a foreign `start.conf` where a class has none, and miss one that is being written.
#[test]
fn the_import_comes_after_all_files() {
    let mut world = World::school(at("2026-11-24T18:00"));
    world.class("office", &[os("ubuntu", ResetCommand::Sync)]);
    world.device("r200", "r200-pc01", "office", 1);
    world.files_mut("lab").grub = Grub::Stale;
    check(&world, &["import-devices"]);
    world
        .files_mut("office")
        .start_conf
        .as_mut()
        .unwrap()
        .push_str("Old = yes\n");
    check(&world, &["start-conf office", "import: Busy"]);
    world.files_mut("office").start_conf = None;
    check(&world, &["start-conf office", "import: StartConf"]);
    let step = of(&world).steps.remove(0);
    world.failure(&step, world.observed.at, "disk full");
    check(&world, &["office: Backoff", "import: StartConf"]);
    predict(&mut world.observed, &step);
    check(&world, &["import-devices"]);
}

#[test]
fn a_fresh_server_waits_for_its_image_without_a_failure() {
    let mut world = stale();
    *world.live_mut("ubuntu") = Default::default();
    world.observed.store = Probe::Seen(reconciler::planning::Store {
        free: 500 * GIB,
        ..Default::default()
    });
    check(&world, &["ubuntu: Window", "r101 20: NotActive"]);
    assert!(of(&world).holds.iter().all(|hold| !hold.gate.is_failure()));
}

/// The night of 25 October has 02:30 twice, that of 28 March has none.
#[test]
fn nights_of_the_change_to_and_from_daylight_saving() {
    let mut world = World::school(at("2026-10-25T01:30"));
    world.desired.windows.reset = windows(&["daily 01:00–04:00"]);
    world.room_mut("r101").reset = Some(schedule(&["sun 02:30"]));
    world.observed.journal = Default::default();
    world.hosts().iter().for_each(|host| {
        world.outcome(
            host.as_str(),
            at("2026-10-24T12:00"),
            applied("ubuntu.qcow2"),
        );
    });
    check(&world, &[]);
    let first = at("2026-10-25T02:30");
    world.observed.at = first;
    check(&world, &["reset r101 20 whole"]);
    world
        .hosts()
        .iter()
        .for_each(|host| world.outcome(host.as_str(), first, applied("ubuntu.qcow2")));
    world.pass(60);
    check(&world, &[]);
    world.observed.at = at("2027-03-28T01:59") + SignedDuration::from_mins(1);
    let due = match &of(&world).steps[0].action {
        Action::ResetRoom { due, .. } => *due,
        other => panic!("{other:?}"),
    };
    assert!(due <= world.observed.at);
}

#[test]
fn test_classes_get_their_version_until_their_last_day() {
    let mut world = World::school(at("2026-11-24T23:00"));
    let until = day("2026-11-24");
    world.release("cad", "1", 10 * GIB, None).purpose =
        reconciler::planning::Purpose::TestClass { until };
    check(&world, &["download cad"]);
    world.observed.at = at("2026-11-25T00:00");
    check(&world, &[]);
}

#[test]
fn foreign_files_are_never_overwritten() {
    let mut world = stale();
    world.files_mut("lab").start_conf = Some("[LINBO]\n".to_owned());
    check(&world, &["lab: NotOurs", "r101 20: StartConf"]);
    assert!(matches!(of(&world).holds[0].gate, Gate::NotOurs(_)));
}
