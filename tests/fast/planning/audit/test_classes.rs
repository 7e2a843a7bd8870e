//! The judge on test classes: who is moved, who is put back to what, and what is imported.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness::worlds::{World, at, busy, day, live, manifest, name, windows};
use reconciler::planning::action::ClassChange;
use reconciler::planning::{
    Action, DesiredTest, Grub, Plan, Probe, Purpose, Reason, Running, Step, plan,
};
use schema::fleet::{Exam, ExamRooms, Suspension};

use super::{Seed, judged, notices, says};
use crate::fast::planning::cases::MONDAY;

/// A Monday evening on which the second PC of `r101` is to get the class `gimp3`, and the third to go back from it.
fn moving() -> (World, Plan) {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.test_class("gimp3", &["r101-pc02"], "2026-11-27");
    let text = world.desired.classes["gimp3"].start_conf.clone();
    *world.files_mut("gimp3") = reconciler::planning::ClassFiles {
        start_conf: Some(text),
        grub: Grub::Current,
    };
    world.store("ubuntu-gimp3", "t1", 12 << 30, Some(1 << 30));
    *world.live_mut("ubuntu-gimp3") =
        live(&manifest("ubuntu-gimp3", "t1", 12 << 30, Some(1 << 30)));
    world.reclass("r101-pc03", "gimp3");
    world.import();
    let plan = plan(&world.desired, &world.observed);
    (world, plan)
}

fn test(world: &mut World) -> &mut DesiredTest {
    world.desired.test_classes.get_mut("gimp3").unwrap()
}

fn moves(plan: &mut Plan) -> &mut BTreeMap<schema::name::HostName, ClassChange> {
    let steps = plan.steps.iter_mut();
    let mut hosts = steps.filter_map(|step| match &mut step.action {
        Action::SetClasses { hosts } => Some(hosts),
        _ => None,
    });
    hosts.next().unwrap()
}

pub(super) fn suspension() -> Suspension {
    Suspension {
        reason: name("broken"),
        by: name("Erika"),
        until: None,
    }
}

const MOVES: &[(&str, Seed)] = &[
    ("is outside its window or within lessons", |world, _| {
        world.desired.windows.activate = windows(&["daily 01:00–02:00"]);
    }),
    ("is outside its window or within lessons", |world, _| {
        world.desired.windows.lessons = windows(&["daily 00:00–24:00"]);
    }),
    ("moves no host", |_, plan| moves(plan).clear()),
    ("that the import would refuse", |world, _| {
        world.row("no row")
    }),
    ("takes a host for another than it is", |world, _| {
        world.reclass("r101-pc02", "gimp3");
    }),
    ("takes a host for another than it is", |world, _| {
        world.observed.devices = Probe::Unseen("gone".to_owned());
    }),
    ("a class that the state repo does not", |world, _| {
        test(world).until = day("2026-11-23");
    }),
    ("a class that the state repo does not", |world, _| {
        test(world).hosts = [name("r101-pc09")].into();
    }),
    ("a class that the state repo does not", |world, _| {
        test(world).hosts.insert(name("r101-pc03"));
    }),
    ("a class that the state repo does not", |world, _| {
        test(world).class = name("other");
    }),
    ("a class that somebody else gave it", |world, plan| {
        world.class("office", &[]);
        world.reclass("r101-pc02", "office");
        moves(plan).get_mut("r101-pc02").unwrap().before = name("office");
    }),
    ("a class that cannot put it back", |world, _| {
        world.live_mut("ubuntu-gimp3").base = None;
    }),
    ("a class that cannot put it back", |world, _| {
        world.files_mut("gimp3").start_conf = Some("# Written by reconcile from x".to_owned());
    }),
    ("moves a host that is or may be busy", |world, _| {
        let works = busy(world.observed.at);
        world.observed.busy = Probe::Seen([(name("r101-pc02"), works)].into());
    }),
    ("moves a host that is or may be busy", |world, _| {
        world.observed.busy = Probe::Unseen("gone".to_owned());
    }),
    ("moves a host in an exam", |world, _| {
        world.desired.exams = vec![Exam {
            dates: name("2026-11-24"),
            rooms: ExamRooms::These([name("r101")].into()),
        }];
    }),
    ("touches what is suspended", |world, _| {
        world.room_mut("r101").suspended = Some(suspension());
    }),
    ("touches what is suspended", |world, _| {
        world.room_mut("r101").suspended_hosts = [(name("r101-pc03"), suspension())].into();
    }),
    ("touches what is suspended", |world, _| {
        world.desired.suspended.all = vec![("fleet x".to_owned(), suspension())];
    }),
];

#[test]
fn who_is_moved_is_meant_to_be_and_can_be() {
    let (world, plan) = moving();
    assert_eq!(judged(&world, &plan), [""; 0]);
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids, ["set-classes/r101-pc02=gimp3,r101-pc03=lab"]);
    notices(moving, MOVES);
}

/// Of a test class that is gone from the state repo, its file tells.
#[test]
fn who_goes_back_from_a_test_class_that_is_gone_comes_from_one() {
    let (mut world, _) = moving();
    world.desired.test_classes.clear();
    world.desired.classes.remove("gimp3");
    let plan = plan(&world.desired, &world.observed);
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids, ["set-classes/r101-pc03=lab"]);
    assert_eq!(judged(&world, &plan), [""; 0]);
    world.files_mut("gimp3").start_conf = Some("[LINBO]".to_owned());
    says(&world, &plan, "somebody else gave it");
}

/// Two steps at a time of which one moves hosts.
#[test]
fn whom_a_move_disturbs() {
    let (mut world, first) = moving();
    world.observed.running = vec![Running::begun(first.steps[0].clone(), world.observed.at)];
    let with = |action: Action| {
        let mut plan = Plan::default();
        plan.steps.push(Step::new(action, Reason::Absent));
        let found = judged(&world, &plan);
        found
            .iter()
            .any(|line| line.contains("would disturb set-classes"))
    };
    let write = |class: &str| Action::WriteStartConf {
        class: name(class),
        before: None,
        after: String::new(),
    };
    assert!(with(write("lab")) && with(write("gimp3")));
    assert!(!with(write("office")));
    let others = [(name("r101-pc09"), change("lab", "gimp3"))];
    let hosts = others.into();
    assert!(with(Action::SetClasses { hosts }));
    let (classes, hosts) = (Vec::new(), BTreeMap::new());
    assert!(with(Action::ImportDevices { classes, hosts }));
    for (class, disturbs) in [("lab", true), ("gimp3", true), ("office", false)] {
        assert_eq!(with(reset_of(class)), disturbs, "{class}");
    }
}

fn change(before: &str, after: &str) -> ClassChange {
    ClassChange {
        before: name(before),
        after: name(after),
    }
}

pub(super) fn reset_of(class: &str) -> Action {
    Action::ResetRoom {
        room: name("r101"),
        test: None,
        due: at(MONDAY),
        hosts: Vec::new(),
        commands: reconciler::linbo::command::CommandLine::new(
            reconciler::linbo::command::Command::Halt,
        ),
        whole_room: false,
        images: Vec::new(),
        class: name(class),
        circuits: Vec::new(),
        force_from: None,
    }
}

/// A Wednesday evening on which the second PC of `r101` is to be put back to what it tries.
fn trying() -> (World, Plan) {
    let (mut world, _) = moving();
    world.reclass("r101-pc02", "gimp3");
    world.reclass("r101-pc03", "lab");
    world.import();
    world.observed.at = at("2026-11-25T18:00");
    world.room_mut("r101").reset = None;
    let daily = harness::worlds::schedule(&["daily 18:00"]);
    test(&mut world).reset = schema::fleet::TestReset::At(daily);
    let plan = plan(&world.desired, &world.observed);
    (world, plan)
}

const TRIES: &[(&str, Seed)] = &[
    (
        "is of another class than the room, or its test class",
        |world, _| {
            test(world).until = day("2026-11-24");
        },
    ),
    (
        "is of another class than the room, or its test class",
        |world, _| {
            test(world).hosts = [name("r101-pc09")].into();
        },
    ),
    (
        "is of another class than the room, or its test class",
        |world, _| {
            test(world).class = name("lab");
        },
    ),
    (
        "is of another class than the room, or its test class",
        |world, _| {
            world.desired.test_classes.clear();
        },
    ),
    ("restores a host that may boot another class", |world, _| {
        world.lead("r101-pc02", "lab");
    }),
    ("restores a host that may boot another class", |world, _| {
        world.observed.astray = Probe::Unseen("gone".to_owned());
    }),
];

#[test]
fn who_tries_something_is_put_back_to_that() {
    let (world, plan) = trying();
    assert_eq!(judged(&world, &plan), [""; 0]);
    let ids: Vec<_> = plan.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(ids, ["reset/r101/2026-11-25T17:00:00Z/gimp3"]);
    notices(trying, TRIES);
    // On its last day as on any other, and where no link leads it elsewhere.
    let (mut world, plan) = trying();
    test(&mut world).until = day("2026-11-25");
    world.observed.astray = Probe::Seen(Arc::default());
    assert_eq!(judged(&world, &plan), [""; 0]);
}

/// The image of a test class is put in place until its last day is over, and waits for no first day of a rollout.
#[test]
fn the_image_of_a_test_class_is_put_in_place_in_time() {
    let (mut world, _) = moving();
    world
        .desired
        .images
        .retain(|(image, _), _| image.as_str() == "ubuntu");
    let until = day("2026-11-24");
    world.release("ubuntu-gimp3", "t2", 12 << 30, None).purpose = Purpose::TestClass { until };
    world.store("ubuntu-gimp3", "t2", 12 << 30, None);
    world.desired.not_before = Some(reconciler::planning::NotBefore {
        day: day("2027-02-15"),
        origin: schema::fleet::Origin::Default,
    });
    // It is no mass change either: who gets it is named.
    world.desired.guard.share = name("0 %");
    let plan = plan(&world.desired, &world.observed);
    assert!(
        plan.steps
            .iter()
            .any(|step| step.id.to_string().starts_with("activate/ubuntu-gimp3")),
        "{plan:#?}"
    );
    assert_eq!(judged(&world, &plan), [""; 0]);
    world.desired.guard.share = name("100 %");
    world.release("ubuntu-gimp3", "t2", 12 << 30, None);
    says(&world, &plan, "before the day of its rollout");
}

/// The import makes the file of a class that has hosts, whoever is to write it.
#[test]
fn an_import_waits_for_the_file_of_a_test_class_that_has_hosts() {
    let (mut world, _) = moving();
    let import = |class: &str| {
        let (classes, hosts) = (vec![name(class)], BTreeMap::new());
        let step = Step::new(Action::ImportDevices { classes, hosts }, Reason::Absent);
        Plan {
            steps: vec![step],
            ..Plan::default()
        }
    };
    world.files_mut("gimp3").start_conf = None;
    says(&world, &import("lab"), "not ours");
    world.reclass("r101-pc03", "lab");
    assert_eq!(judged(&world, &import("lab")), [""; 0]);
    world.files_mut("lab").start_conf = None;
    says(&world, &import("lab"), "not ours");
}

/// Who tried something goes back to what the others of the room have, and that takes nothing from anybody.
#[test]
fn who_goes_back_is_no_mass_change() {
    let (mut world, _) = trying();
    let tried = harness::worlds::applied("ubuntu-gimp3.qdiff");
    world.outcome("r101-pc02", at("2026-11-25T18:20"), tried);
    world.reclass("r101-pc02", "lab");
    world.import();
    test(&mut world).until = day("2026-11-27");
    test(&mut world).hosts.clear();
    world.desired.guard.share = name("0 %");
    world.room_mut("r101").reset = Some(harness::worlds::schedule(&["mon 18:00"]));
    world.observed.at = at("2026-11-30T18:00");
    let plan = plan(&world.desired, &world.observed);
    assert_eq!(plan.steps.len(), 1, "{plan:#?}");
    assert_eq!(judged(&world, &plan), [""; 0]);
}

/// An image under test that fails on several hosts goes to no others.
#[test]
fn a_test_that_failed_on_several_hosts_is_not_gone_on_with() {
    let (mut world, _) = trying();
    for host in ["r101-pc04", "r101-pc05"] {
        test(&mut world).hosts.insert(name(host));
        world.reclass(host, "gimp3");
    }
    world.import();
    for file in world.live_mut("ubuntu-gimp3").diff.iter_mut() {
        file.record.as_mut().unwrap().timestamp = Some(name("202611241200"));
    }
    let good = plan(&world.desired, &world.observed);
    assert_eq!(judged(&world, &good), [""; 0]);
    assert_eq!(good.steps.len(), 1, "{good:#?}");
    let activated = reconciler::planning::Entry::Finished {
        step: Action::Activate {
            image: name("ubuntu-gimp3"),
            version: name("t1"),
            manifest: harness::worlds::manifest_digest("ubuntu-gimp3", "t1"),
        }
        .id(),
        result: reconciler::planning::StepResult::Done,
    };
    world.note(at("2026-11-24T22:00"), activated);
    for host in ["r101-pc04", "r101-pc05"] {
        world.outcome(
            host,
            at("2026-11-25T17:50"),
            harness::worlds::failed("no space"),
        );
    }
    says(&world, &good, "rollout that stopped");
}
