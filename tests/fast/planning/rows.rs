//! Rows of `devices.csv` that the state repo keeps: each change once, all by one step, and one import after them.

use std::collections::BTreeMap;

use harness::worlds::{World, at, busy, name};
use reconciler::linbo::devices::Device;
use reconciler::planning::action::RowChange;
use reconciler::planning::journal::{Entry, StepResult};
use reconciler::planning::{Action, Gate, Goal, Plan, Probe, audit, predict};
use schema::fleet::{Exam, ExamRooms, Suspension};
use schema::name::HostName;

use super::cases::{check, of, short};
use super::oracle::judge;

/// A Tuesday night: all rows of `r101` are kept as they are.
fn kept() -> World {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.room("r102", "lab", 4);
    world.converge();
    world.import();
    world.keep_rows("r101");
    world
}

fn rows(world: &World) -> BTreeMap<HostName, RowChange> {
    let plan = of(world);
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    assert_eq!(judge(world, &plan), Vec::<String>::new());
    let rows = plan.steps.into_iter().find_map(|step| match step.action {
        Action::SetRows { rows } => Some(rows),
        _ => None,
    });
    rows.unwrap_or_default()
}

/// Does all that can be done now, as it is predicted, and tells it.
fn all_now(world: &mut World) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..10 {
        let Plan { steps, .. } = of(world);
        if steps.is_empty() {
            return done;
        }
        for step in steps {
            done.push(step.id.to_string());
            predict(&mut world.observed, &step);
        }
    }
    panic!("no end: {done:?}");
}

/// Why nothing happens to some hosts.
fn told(world: &World) -> Vec<String> {
    let holds = of(world).holds.into_iter();
    let told = holds.filter_map(|hold| match (hold.goal, hold.gate) {
        (Goal::Rows(_), Gate::NotReset(hosts)) => Some(hosts),
        _ => None,
    });
    told.flatten()
        .map(|(host, why)| format!("{host} {why}"))
        .collect()
}

fn row(world: &World, host: &str) -> Device {
    let devices = world.observed.devices.seen().unwrap();
    devices.get(&name(host)).unwrap().clone()
}

#[test]
fn rows_that_are_right_are_left_alone() {
    let mut world = kept();
    check(&world, &[]);
    // A printer has no part in it.
    world.device("r101", "printer", "nopxe", 0);
    check(&world, &[]);
}

#[test]
fn new_changed_and_removed_hosts_are_one_step_and_one_import() {
    let mut world = kept();
    world.row_is("r101", "r101-pc30", "52:54:00:00:00:30 10.30.0.30");
    world.row_is("r101", "r101-pc31", "52:54:00:00:00:31 dhcp");
    world.row_is("r101", "r101-pc01", "52:54:00:00:00:01 10.30.0.1");
    world.row_is("r101", "r101-pc02", "removed");
    world.row_is("r101", "r101-pc99", "removed");
    let rows = rows(&world);
    let shown: Vec<String> = rows
        .iter()
        .map(|(host, change)| match change {
            RowChange::Added(row) => format!("+{host} {} {:?}", row.class, row.ip),
            RowChange::Changed { after, .. } => format!("~{host} {:?}", after.ip.unwrap()),
            RowChange::Removed(_) => format!("-{host}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "~r101-pc01 10.30.0.1",
            "-r101-pc02",
            "+r101-pc30 lab Some(10.30.0.30)",
            "+r101-pc31 lab None",
        ]
    );
    assert_eq!(
        all_now(&mut world),
        [
            "set-rows/r101-pc01,r101-pc02,r101-pc30,r101-pc31",
            "import-devices"
        ]
    );
    // New hosts are put to their image in the evening.
    check(&world, &["r101 2: Window"]);
}

#[test]
fn an_import_that_fails_is_tried_again_until_the_domain_knows_all() {
    let mut world = kept();
    world.row_is("r101", "r101-pc02", "removed");
    let [step] = &of(&world).steps[..] else {
        panic!("one step")
    };
    predict(&mut world.observed, step);
    // The row is gone: nothing but the journal tells that the domain does not know it.
    let import = of(&world).steps[0].clone();
    assert_eq!(import.id.to_string(), "import-devices");
    world.failure(&import, world.observed.at, "samba: no answer");
    check(&world, &["import: Backoff"]);
    world.pass(30);
    check(&world, &["import-devices"]);
    let done = Entry::Finished {
        step: import.id,
        result: StepResult::Done,
    };
    world.note(world.observed.at, done);
    check(&world, &[]);
}

#[test]
fn a_killed_change_is_followed_by_an_import() {
    let mut world = kept();
    world.row_is("r101", "r101-pc02", "removed");
    let step = of(&world).steps[0].clone();
    let begun = Entry::Started {
        step: step.id.clone(),
        title: String::new(),
        hosts: Vec::new(),
    };
    world.note(world.observed.at, begun);
    check(&world, &["set-rows r101-pc02", "import: Busy"]);
}

#[test]
fn hosts_that_nobody_named_are_told_and_stay() {
    let mut world = kept();
    world.device("r101", "r101-new", "lab", 1);
    assert_eq!(
        told(&world),
        [
            "r101-new is in devices.csv, but not among the `devices` of its room: add it there, or say `removed`"
        ]
    );
    assert!(rows(&world).is_empty());
    // It went to another room: whoever put it there wants it.
    world.row_is("r101", "r101-new", "removed");
    world.row_is("r101", "r102-pc01", "removed");
    assert_eq!(
        told(&world),
        ["r102-pc01 is to be removed from room r101, and is in room r102 by devices.csv"]
    );
    assert_eq!(rows(&world).len(), 1);
}

#[test]
fn a_host_moves_to_the_room_that_names_it_and_gets_its_class() {
    let mut world = kept();
    let (mac, ip) = {
        let row = row(&world, "r102-pc01");
        (row.mac.unwrap(), row.ip.unwrap())
    };
    world.row_is("r101", "r102-pc01", &format!("{mac} {ip}"));
    world.room_mut("r101").class = name("office");
    let office = world.desired.classes["lab"].os.clone();
    world.class("office", &office);
    let done = all_now(&mut world);
    assert_eq!(done[0], "set-rows/r102-pc01");
    assert!(
        done[1].starts_with("set-classes/r101-pc01=office"),
        "{done:?}"
    );
    assert_eq!(done[2..], ["import-devices"]);
    let row = row(&world, "r102-pc01");
    assert_eq!((row.room.as_str(), row.class.as_str()), ("r101", "office"));
}

/// The judge sees to both rooms.
#[test]
fn a_host_does_not_leave_a_room_that_is_in_an_exam_or_suspended() {
    let mut world = kept();
    let before = row(&world, "r102-pc01");
    let says = format!("{} {}", before.mac.unwrap(), before.ip.unwrap());
    world.row_is("r101", "r102-pc01", &says);
    assert_eq!(rows(&world).len(), 1);
    let free = world.clone();
    world.desired.exams.push(Exam {
        dates: name("2026-11-24"),
        rooms: ExamRooms::These([name("r102")].into()),
    });
    assert!(rows(&world).is_empty());
    assert!(short(&world).contains(&"rows 1: Exam".to_owned()));
    let mut world = free;
    world.room_mut("r102").suspended = Some(Suspension {
        reason: name("broken"),
        by: name("Erika"),
        until: None,
    });
    assert!(rows(&world).is_empty());
    assert!(short(&world).contains(&"rows 1: Suspended".to_owned()));
}

#[test]
fn a_new_host_of_a_test_class_has_that_class_at_once() {
    let mut world = kept();
    world.test_class("gimp3", &["r101-pc30"], "2026-11-27");
    world.row_is("r101", "r101-pc30", "52:54:00:00:00:30 10.30.0.30");
    all_now(&mut world);
    assert_eq!(row(&world, "r101-pc30").class.as_str(), "gimp3");
}

#[test]
fn two_hosts_never_get_one_address_but_may_swap_theirs() {
    let mut world = kept();
    let [one, two, other] = ["r101-pc01", "r101-pc02", "r102-pc01"].map(|host| row(&world, host));
    let says = |mac: &Device, ip: &Device| format!("{} {}", mac.mac.unwrap(), ip.ip.unwrap());
    world.row_is("r101", "r101-pc01", &says(&one, &two));
    world.row_is("r101", "r101-pc02", &says(&two, &one));
    assert_eq!(rows(&world).len(), 2);
    world.row_is("r101", "r101-pc02", &says(&other, &one));
    assert!(rows(&world).is_empty());
    let why = format!(
        "r101-pc02 would get the MAC address {}, which r102-pc01 has",
        other.mac.unwrap()
    );
    assert_eq!(told(&world), [why]);
    // One that goes makes room.
    world.row_is("r101", "r101-pc02", "removed");
    assert_eq!(rows(&world).len(), 2);
}

#[test]
fn nothing_changes_where_it_must_not() {
    let mut world = kept();
    world.row_is("r101", "r101-pc02", "removed");
    let free = world.clone();
    check(&free, &["set-rows r101-pc02"]);
    world.observed.at = at("2026-11-25T10:00");
    assert!(
        short(&world)
            .iter()
            .any(|line| line.starts_with("rows 1: "))
    );

    let mut world = free.clone();
    let works = busy(world.observed.at);
    world.observed.busy = Probe::Seen([(name("r101-pc02"), works)].into());
    check(&world, &["rows 1: HostsBusy"]);

    let mut world = free.clone();
    world.observed.busy = Probe::Unseen("no tmux".to_owned());
    assert!(short(&world).contains(&"rows 1: Unseen".to_owned()));

    let mut world = free.clone();
    world.desired.exams.push(Exam {
        dates: name("2026-11-24"),
        rooms: ExamRooms::All,
    });
    assert!(short(&world).contains(&"rows 1: Exam".to_owned()));

    let mut world = free.clone();
    let suspended = Suspension {
        reason: name("broken"),
        by: name("Erika"),
        until: None,
    };
    world.room_mut("r101").suspended = Some(suspended);
    assert!(short(&world).contains(&"rows 1: Suspended".to_owned()));

    let mut world = free.clone();
    world.row("r9;broken;lab;not-a-mac;10.0.0.1;;;;;;1;;;;;");
    assert!(short(&world).contains(&"rows 1: BadDevices".to_owned()));

    let mut world = free;
    world.observed.devices = Probe::Unseen("no such file".to_owned());
    assert!(short(&world).contains(&"rows 20: Unseen".to_owned()));
}
