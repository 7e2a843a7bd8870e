//! The judge on rows of `devices.csv` that the state repo keeps.

use std::collections::BTreeMap;

use harness::worlds::{World, at, busy, name, windows};
use reconciler::planning::action::RowChange;
use reconciler::planning::journal::Entry;
use reconciler::planning::{Action, Plan, Probe, Reason, Running, Step, plan};
use schema::fleet::{Exam, ExamRooms};
use schema::name::HostName;

use super::{Seed, judged, notices};

/// A Tuesday night on which a row comes, one changes and one goes.
fn changing() -> (World, Plan) {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.converge();
    world.keep_rows("r101");
    world.row_is("r101", "r101-pc01", "52:54:00:00:00:01 10.30.0.1");
    world.row_is("r101", "r101-pc02", "removed");
    world.row_is("r101", "r101-pc30", "52:54:00:00:00:30 10.30.0.30");
    let plan = plan(&world.desired, &world.observed);
    (world, plan)
}

fn rows(plan: &mut Plan) -> &mut BTreeMap<HostName, RowChange> {
    let steps = plan.steps.iter_mut();
    let mut rows = steps.filter_map(|step| match &mut step.action {
        Action::SetRows { rows } => Some(rows),
        _ => None,
    });
    rows.next().unwrap()
}

fn added(plan: &mut Plan) -> &mut reconciler::linbo::devices::Device {
    match rows(plan).get_mut("r101-pc30") {
        Some(RowChange::Added(row)) => row,
        other => panic!("{other:?}"),
    }
}

const UNSAID: &str = "a row that the state repo does not say";

const CHANGES: &[(&str, Seed)] = &[
    ("is outside its window or within lessons", |world, _| {
        world.desired.windows.activate = windows(&["daily 01:00–02:00"]);
    }),
    ("changes no row", |_, plan| rows(plan).clear()),
    ("that the import would refuse", |world, _| {
        world.row("no row")
    }),
    ("that was not seen", |world, _| {
        world.observed.devices = Probe::Unseen("gone".to_owned());
    }),
    ("takes a row for another than it is", |world, _| {
        world.reclass("r101-pc01", "office");
    }),
    (UNSAID, |world, _| {
        world.row_is("r101", "r101-pc01", "52:54:00:00:00:01 10.30.0.2");
    }),
    (UNSAID, |world, _| {
        world.room_mut("r101").devices.remove("r101-pc02");
    }),
    (UNSAID, |world, _| {
        world.row_is("r101", "r101-pc02", "52:54:00:00:00:02 10.30.0.2");
    }),
    (UNSAID, |_, plan| added(plan).class = name("office")),
    (UNSAID, |_, plan| added(plan).room = name("r102")),
    (UNSAID, |_, plan| {
        added(plan).pxe = reconciler::linbo::devices::Pxe::Off;
    }),
    (UNSAID, |_, plan| added(plan).mac = None),
    ("gives two hosts one address", |world, plan| {
        world.row("r9;pc9;lab;00:00:00:00:00:09;10.30.0.30;;;;;;1;;;;;");
        let _: &mut Plan = plan;
    }),
    ("a host that is or may be busy", |world, _| {
        let works = busy(world.observed.at);
        world.observed.busy = Probe::Seen([(name("r101-pc02"), works)].into());
    }),
    ("a host in an exam", |world, _| {
        world.desired.exams = vec![Exam {
            dates: name("2026-11-24"),
            rooms: ExamRooms::These([name("r101")].into()),
        }];
    }),
    ("touches what is suspended", |world, _| {
        world.room_mut("r101").suspended = Some(super::test_classes::suspension());
    }),
];

#[test]
fn rows_become_what_the_state_repo_says_and_nothing_else() {
    let (world, plan) = changing();
    assert_eq!(judged(&world, &plan), [""; 0]);
    notices(changing, CHANGES);
}

#[test]
fn whom_a_change_of_rows_disturbs() {
    let (mut world, first) = changing();
    world.observed.running = vec![Running::begun(first.steps[0].clone(), world.observed.at)];
    let with = |action: Action| {
        let mut plan = Plan::default();
        plan.steps.push(Step::new(action, Reason::Absent));
        let found = judged(&world, &plan);
        found
            .iter()
            .any(|line| line.contains("would disturb set-rows"))
    };
    let (rows, hosts) = (BTreeMap::new(), BTreeMap::new());
    assert!(with(Action::SetRows { rows }));
    assert!(with(Action::SetClasses { hosts }));
    let (classes, hosts) = (Vec::new(), BTreeMap::new());
    assert!(with(Action::ImportDevices { classes, hosts }));
    let reset = |name_of: &str| {
        let mut action = super::test_classes::reset_of("lab");
        if let Action::ResetRoom { room, .. } = &mut action {
            *room = name(name_of);
        }
        action
    };
    assert!(with(reset("r101")));
    assert!(!with(reset("r102")));
}

#[test]
fn a_host_is_not_reset_before_the_domain_knows_its_row() {
    let mut world = World::school(at("2026-11-23T12:00"));
    world.import();
    world.observed.at = at("2026-11-23T18:30");
    let plan = plan(&world.desired, &world.observed);
    assert_eq!(judged(&world, &plan), [""; 0]);
    let step = plan.steps.iter().find_map(|step| match &step.action {
        Action::ResetRoom { hosts, .. } => Some(hosts[0].host.clone()),
        _ => None,
    });
    let rows = [(step.unwrap(), RowChange::Removed(some_row(&world)))];
    let begun = Entry::Started {
        step: Action::SetRows { rows: rows.into() }.id(),
        title: String::new(),
        hosts: Vec::new(),
    };
    world.note(world.observed.at, begun);
    super::says(&world, &plan, "whose row no import has made known");
}

fn some_row(world: &World) -> reconciler::linbo::devices::Device {
    world.observed.devices.seen().unwrap().rows()[0].clone()
}
