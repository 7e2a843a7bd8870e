//! Test classes: hosts come, try their image and go back, each step as soon as it can be and not before.

use harness::worlds::{World, at, busy, day, name, windows};
use reconciler::planning::{Action, Gate, Goal, Plan, Probe, audit, predict};
use schema::fleet::{RoomHosts, Suspension, TestReset};

use super::cases::{check, of, short};
use super::oracle::judge;

/// A Tuesday night: two hosts of `r101` are to try `ubuntu-gimp3` until Friday.
fn asked() -> World {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.import();
    world.test_class("gimp3", &["r101-pc01", "r101-pc02"], "2026-11-27");
    world
}

/// Does all that can be done now, as it is predicted, and tells it.
fn all_now(world: &mut World) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..20 {
        let Plan { steps, .. } = of(world);
        if steps.is_empty() {
            return done;
        }
        for step in steps {
            let id = step.id.to_string();
            done.push(id.split(['/', ':']).take(2).collect::<Vec<_>>().join(" "));
            predict(&mut world.observed, &step);
        }
    }
    panic!("no end: {done:?}");
}

/// The steps of now, which the judge and the oracle let pass.
fn of_sound(world: &World) -> Vec<String> {
    let plan = of(world);
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    assert_eq!(judge(world, &plan), Vec::<String>::new());
    short(world)
}

const MOVES: &str = "set-classes r101-pc01=gimp3,r101-pc02=gimp3";

#[test]
fn hosts_come_when_everything_is_there_and_go_back_after_the_last_day() {
    let mut world = asked();
    assert_eq!(
        all_now(&mut world),
        [
            "start-conf gimp3",
            "download ubuntu-gimp3",
            "activate ubuntu-gimp3",
            MOVES,
            "seed ubuntu-gimp3.qcow2",
            "import-devices",
            "seed ubuntu-gimp3.qdiff",
        ]
    );
    // What they are to try has been there since last night, and comes with what is due at six anyway.
    world.observed.at = at("2026-11-25T17:45");
    assert_eq!(of_sound(&world), ["r101 2: DueSoon"]);
    // The two follow the others of the room.
    world.observed.at = at("2026-11-25T18:00");
    assert_eq!(of_sound(&world), ["reset r101 18", "r101 2: Busy"]);
    assert_eq!(all_now(&mut world), ["reset r101", "reset r101"]);
    world.observed.at = at("2026-11-27T23:59");
    assert_eq!(of_sound(&world), [""; 0]);
    world.observed.at = at("2026-11-28T00:00");
    assert_eq!(
        all_now(&mut world),
        ["set-classes r101-pc01=lab,r101-pc02=lab", "import-devices"]
    );
    world.observed.at = at("2026-11-30T18:00");
    assert_eq!(of_sound(&world), ["reset r101 20 whole"]);
    let plan = of(&world);
    assert!(
        matches!(&plan.steps[0].action, Action::ResetRoom { test: None, hosts, .. } if hosts.len() == 20)
    );
}

#[test]
fn hosts_go_back_when_the_test_class_is_gone_from_the_state_repo() {
    let mut world = asked();
    all_now(&mut world);
    world.desired.test_classes.clear();
    world.desired.classes.remove("gimp3");
    world
        .desired
        .images
        .retain(|(image, _), _| image.as_str() == "ubuntu");
    assert_eq!(
        all_now(&mut world),
        ["set-classes r101-pc01=lab,r101-pc02=lab", "import-devices"]
    );
    check(&world, &[]);
}

/// What else LINBO's links lead astray is somebody else's work that is not finished.
#[test]
fn hosts_that_try_nothing_are_not_imported_because_others_do() {
    let mut world = asked();
    all_now(&mut world);
    check(&world, &["r101 2: Window"]);
    world.lead("r101-pc05", "other");
    check(&world, &["r101: NotReset", "r101 2: Window"]);
    world.lead("r101-pc02", "lab");
    let mut plan = of(&world);
    let import = plan.steps.remove(0).action;
    let expected = [(name("r101-pc02"), name("gimp3"))].into();
    assert!(matches!(import, Action::ImportDevices { hosts, .. } if hosts == expected));
}

#[test]
fn one_that_is_named_no_more_goes_back_alone() {
    let mut world = asked();
    all_now(&mut world);
    let test = world.desired.test_classes.get_mut("gimp3").unwrap();
    test.hosts.remove("r101-pc02");
    assert_eq!(
        all_now(&mut world),
        ["set-classes r101-pc02=lab", "import-devices"]
    );
}

#[test]
fn nobody_is_moved_before_the_image_is_there() {
    let mut world = asked();
    world.desired.windows.download = windows(&["daily 05:00–06:00"]);
    assert_eq!(all_now(&mut world), ["start-conf gimp3"]);
    check(&world, &["classes 2: NotActive", "ubuntu-gimp3: Window"]);
    // A room that is in use by day is not moved by day.
    let mut world = asked();
    world.observed.at = at("2026-11-25T12:00");
    check(
        &world,
        &[
            "gimp3: Window",
            "classes 2: StartConf",
            "ubuntu-gimp3: Window",
        ],
    );
}

#[test]
fn a_host_is_moved_when_nothing_runs_there_and_nobody_wants_it_left_alone() {
    let ready = || {
        let mut world = asked();
        all_now(&mut world);
        world.reclass("r101-pc01", "lab");
        world.reclass("r101-pc02", "lab");
        world.import();
        world
    };
    check(&ready(), &[MOVES]);
    let one = "set-classes r101-pc02=gimp3";
    let mut world = ready();
    let works = busy(world.observed.at);
    world.observed.busy = Probe::Seen([(name("r101-pc01"), works)].into());
    check(&world, &[one, "classes 1: HostsBusy"]);
    let mut world = ready();
    let room = world.room_mut("r101");
    let suspension = Suspension {
        reason: name("broken"),
        by: name("Erika"),
        until: None,
    };
    room.suspended_hosts = [(name("r101-pc01"), suspension)].into();
    check(&world, &[one, "classes 1: Suspended"]);
}

#[test]
fn a_class_that_somebody_gave_a_host_is_left_alone() {
    let mut world = asked();
    world.class("office", &[]);
    world.reclass("r101-pc01", "office");
    world.import();
    world
        .desired
        .test_classes
        .get_mut("gimp3")
        .unwrap()
        .hosts
        .insert(name("r109-pc01"));
    all_now(&mut world);
    let holds = of(&world).holds;
    let told = holds
        .iter()
        .find(|hold| matches!(hold.goal, Goal::Classes(_)));
    let Some(Gate::NotReset(hosts)) = told.map(|hold| &hold.gate) else {
        panic!("{holds:?}");
    };
    let hosts: Vec<_> = hosts
        .iter()
        .map(|(host, why)| format!("{host} {why}"))
        .collect();
    assert_eq!(
        hosts,
        [
            "r109-pc01 is not in devices.csv",
            "r101-pc01 has hardware class office, its room has lab",
        ]
    );
}

#[test]
fn a_host_that_boots_another_class_is_not_put_back() {
    let mut world = asked();
    all_now(&mut world);
    // The import said that it did, and did not.
    world.lead("r101-pc01", "lab");
    world.observed.at = at("2026-11-25T18:00");
    check(
        &world,
        &[
            "import-devices",
            "reset r101 18",
            "r101: NotReset",
            "r101 1: Busy",
        ],
    );
    // Who changed a row by hand imports it, too.
    let mut world = asked();
    world.desired.test_classes.clear();
    world.class("office", &[]);
    world.reclass("r101-pc01", "office");
    assert!(!short(&world).contains(&"import-devices".to_owned()));
}

#[test]
fn a_test_class_has_a_schedule_of_its_own() {
    let mut world = asked();
    all_now(&mut world);
    world.observed.at = at("2026-11-25T17:45");
    all_now(&mut world);
    world.observed.at = at("2026-11-25T18:00");
    let resets = |world: &World| {
        let plan = of(world);
        let ids = plan.steps.iter().map(|step| step.id.to_string());
        ids.collect::<Vec<_>>()
    };
    let test = |world: &mut World, reset| {
        world.desired.test_classes.get_mut("gimp3").unwrap().reset = reset;
    };
    test(&mut world, TestReset::Never);
    all_now(&mut world);
    assert_eq!(resets(&world), [""; 0]);
    let daily = harness::worlds::schedule(&["daily 18:00"]);
    test(&mut world, TestReset::At(daily));
    assert_eq!(resets(&world), ["reset/r101/2026-11-25T17:00:00Z/gimp3"]);
    world.observed.at = at("2026-11-26T18:00");
    assert_eq!(resets(&world), ["reset/r101/2026-11-26T17:00:00Z/gimp3"]);
}

#[test]
fn a_test_class_waits_for_no_wave_and_no_first_day() {
    let mut world = asked();
    world.desired.rollout.waves = Some(Default::default());
    world.desired.not_before = Some(reconciler::planning::NotBefore {
        day: day("2027-02-15"),
        origin: schema::fleet::Origin::Default,
    });
    all_now(&mut world);
    // A newer version of what is tried.
    world
        .desired
        .images
        .retain(|(image, _), _| image.as_str() == "ubuntu");
    world
        .release("ubuntu-gimp3", "t2", 12 << 30, Some(1 << 30))
        .purpose = reconciler::planning::Purpose::TestClass {
        until: day("2026-11-27"),
    };
    let done = all_now(&mut world);
    assert!(
        done.contains(&"activate ubuntu-gimp3".to_owned()),
        "{done:?}"
    );
    world.observed.at = at("2026-11-25T18:00");
    let gates = short(&world);
    assert_eq!(gates, ["reset r101 18", "r101 2: Busy"]);
    assert_eq!(all_now(&mut world), ["reset r101", "reset r101"]);
}

#[test]
fn it_is_looked_again_when_a_test_class_ends_and_when_it_is_due() {
    let mut world = asked();
    all_now(&mut world);
    world.observed.at = at("2026-11-25T18:00");
    all_now(&mut world);
    world.observed.at = at("2026-11-26T12:00");
    let next = |world: &World| {
        let plan = of(world);
        reconciler::planning::wake(&plan, &world.desired, world.observed.at)
    };
    world.room_mut("r101").reset = None;
    assert_eq!(next(&world), Some(at("2026-11-28T00:00")));
    let test = world.desired.test_classes.get_mut("gimp3").unwrap();
    test.reset = TestReset::At(harness::worlds::schedule(&["fri 18:00"]));
    assert_eq!(next(&world), Some(at("2026-11-27T18:00")));
    world.observed.at = at("2026-11-28T12:00");
    world.desired.windows.activate = windows(&["sun 04:00–06:00"]);
    // What it waits for then is told with what is held.
    assert_eq!(next(&world), Some(at("2026-11-29T04:00")));
}

#[test]
fn names_of_hosts_are_compared_without_regard_to_case() {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.test_class("gimp3", &["R101-PC01"], "2026-11-27");
    let done = all_now(&mut world);
    assert!(
        done.contains(&"set-classes r101-pc01=gimp3".to_owned()),
        "{done:?}"
    );
}

/// Hosts that a room lists are no strangers there while they try something, nor when the test is just over.
#[test]
fn a_room_that_lists_its_hosts_knows_where_they_are() {
    let mut world = asked();
    let hosts = world.hosts();
    world.room_mut("r101").hosts = RoomHosts::Listed(hosts.into_iter().collect());
    all_now(&mut world);
    check(&world, &["r101 2: Window"]);
    world.desired.windows.activate = windows(&["daily 05:00–06:00"]);
    world.observed.at = at("2026-11-28T12:00");
    check(&world, &["classes 2: Window", "r101 18: Missed"]);
}

#[test]
fn all_hosts_of_a_test_class_get_their_image_at_once() {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.room("r102", "lab", 3);
    world.converge();
    world.import();
    let hosts = ["r101-pc01", "r101-pc02", "r102-pc01"];
    world.test_class("gimp3", &hosts, "2026-11-27");
    world.desired.rollout.waves = Some(Default::default());
    all_now(&mut world);
    world.observed.at = at("2026-11-26T17:30");
    for host in world.hosts() {
        let outcome = harness::worlds::applied("ubuntu.qdiff");
        if !hosts.contains(&host.as_str()) {
            world.outcome(host.as_str(), at("2026-11-25T18:10"), outcome);
        }
    }
    assert_eq!(of_sound(&world), ["reset r101 2", "reset r102 1"]);
}

#[test]
fn the_file_of_a_test_class_is_kept_until_it_is_over() {
    let mut world = asked();
    all_now(&mut world);
    world.files_mut("gimp3").start_conf =
        Some("# Written by reconcile from test-classes/".to_owned());
    world.room_mut("r101").reset = None;
    world.observed.at = at("2026-11-27T23:00");
    check(&world, &["start-conf gimp3"]);
    world.observed.at = at("2026-11-28T00:00");
    check(&world, &["set-classes r101-pc01=lab,r101-pc02=lab"]);
}

/// An import makes files for all classes that have hosts, and for those of rooms whether they have or not.
#[test]
fn an_import_waits_for_the_files_of_rooms() {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.class("office", &[]);
    world.files_mut("office").start_conf = None;
    world.files_mut("lab").grub = reconciler::planning::Grub::Stale;
    check(&world, &["start-conf office", "import: StartConf"]);
}

#[test]
fn what_keeps_hosts_from_a_test_class_is_told_once() {
    let mut world = asked();
    world.device("r101", "r101-pc21", "lab", 0);
    let test = world.desired.test_classes.get_mut("gimp3").unwrap();
    test.hosts = [name("r101-pc21")].into();
    let holds = of(&world).holds;
    let why = holds.iter().find_map(|hold| match &hold.gate {
        Gate::NotReset(hosts) => Some(hosts[0].1.clone()),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("does not boot LINBO by its PXE flag"));
    let mut world = asked();
    all_now(&mut world);
    world.reclass("r101-pc01", "lab");
    world.import();
    world.live_mut("ubuntu-gimp3").uploading = true;
    check(&world, &["classes 2: Uploading"]);
    world.observed.devices = Probe::Unseen("gone".to_owned());
    check(&world, &["classes 2: Unseen", "r101: Unseen"]);
}
