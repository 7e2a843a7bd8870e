//! What staff are told is coming is what the planner then does.

use std::collections::{BTreeMap, BTreeSet};

use harness::worlds::{GIB, World, applied, at, berlin, name, os, schedule, weeks, windows};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use reconciler::linbo::devices::Devices;
use reconciler::planning::{Action, Coming, Outlook, Probe, agenda, plan};
use schema::fleet::{Canary, DomainJoin, Exam, ExamRooms, ResetCommand, Suspension, Waves};
use schema::name::{ImageName, RoomName};
use schema::policy::Portion;
use schema::schedule::Opening;

/// Long enough for the planner to catch up with whatever was due before.
const RUN_IN: SignedDuration = SignedDuration::from_hours(9 * 24);
const HALF_AN_HOUR: SignedDuration = SignedDuration::from_mins(30);

/// When the resets of which rooms begin, in a world whose hosts are always there and never fail.
fn begun(mut world: World, until: Timestamp) -> BTreeSet<(Timestamp, RoomName)> {
    let mut begun = BTreeSet::new();
    while world.observed.at < until {
        let now = world.observed.at;
        for step in plan(&world.desired, &world.observed).steps {
            let Action::ResetRoom { room, hosts, .. } = step.action else {
                panic!("{step:?}");
            };
            for wake in hosts {
                let done = now + SignedDuration::from_mins(10);
                world.outcome(wake.host.as_str(), done, applied("ubuntu.qdiff"));
            }
            begun.insert((now, room));
        }
        world.observed.at = now + HALF_AN_HOUR;
    }
    begun
}

/// When the resets of which rooms are said to begin.
fn told(world: &World, from: Timestamp, until: Timestamp) -> BTreeSet<(Timestamp, RoomName)> {
    let World {
        desired, observed, ..
    } = world;
    let coming = agenda(desired, observed, &plan(desired, observed), from, until).unwrap();
    let resets = coming.into_iter().filter_map(|coming| match coming {
        Coming::Reset { span, rooms } => Some((span, rooms)),
        Coming::Rollout { .. } | Coming::TestClassEnds { .. } => None,
    });
    let all = resets.flat_map(|(span, rooms)| rooms.into_iter().map(move |room| (span, room)));
    all.filter(|(span, _)| from <= span.opens && span.opens < until)
        .map(|(span, room)| (span.opens, room))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each reset begins when it was said to, and none that was not said.
    #[test]
    fn what_is_told_is_what_is_done(world in weeks()) {
        let from = world.observed.at + RUN_IN;
        let until = from + RUN_IN;
        let mut begun = begun(world.clone(), until);
        begun.retain(|(at, _)| *at >= from);
        let told = told(&world, from, until);
        let only = |a: &BTreeSet<(Timestamp, RoomName)>, b| {
            let only = a.difference(b).map(|(at, room)| format!("{} {room}", at.to_zoned(berlin())));
            only.collect::<Vec<_>>()
        };
        prop_assert!(
            told == begun,
            "only told: {:#?}\nonly begun: {:#?}\n{:#?}\n{:#?}",
            only(&told, &begun), only(&begun, &told), world.desired, world.observed.orders
        );
    }
}

/// A room whose resets are due then, on a Monday at midnight.
fn room(due: &[&str]) -> World {
    let mut world = World::school(at("2026-11-23T00:00"));
    world.room_mut("r101").reset = Some(schedule(due));
    world
}

/// What comes between a time and three days later.
fn coming(world: &World, from: Timestamp) -> Option<Vec<Coming>> {
    let World {
        desired, observed, ..
    } = world;
    let until = from + SignedDuration::from_hours(3 * 24);
    agenda(desired, observed, &plan(desired, observed), from, until)
}

fn resets(world: &World, from: Timestamp) -> Vec<Opening> {
    let all = coming(world, from).unwrap().into_iter();
    let spans = all.filter_map(|coming| match coming {
        Coming::Reset { span, .. } => Some(span),
        Coming::Rollout { .. } | Coming::TestClassEnds { .. } => None,
    });
    spans.collect()
}

fn rollouts(
    world: &World,
    from: Timestamp,
) -> BTreeMap<ImageName, (Timestamp, BTreeSet<RoomName>)> {
    let all = coming(world, from).unwrap().into_iter();
    let rollouts = all.filter_map(|coming| match coming {
        Coming::Rollout { span, image, rooms } => Some((image, (span.opens, rooms))),
        Coming::Reset { .. } | Coming::TestClassEnds { .. } => None,
    });
    rollouts.collect()
}

#[test]
fn what_was_due_before_the_window_comes_with_an_occurrence_that_fits_into_it() {
    for (due, begins) in [
        (["mon 12:00", "mon 19:30"], &["2026-11-23T19:30"] as &[_]),
        // What is due as the window opens is not put off,
        (
            ["mon 17:30", "mon 19:30"],
            &["2026-11-23T17:30", "2026-11-23T19:30"],
        ),
        // and nothing is put off to an occurrence for which there is too little time.
        (
            ["mon 12:00", "mon 21:50"],
            &["2026-11-23T17:30", "2026-11-24T17:30"],
        ),
    ] {
        let world = room(&due);
        let (from, until) = (world.observed.at, at("2026-11-26T00:00"));
        let begins: BTreeSet<_> = begins
            .iter()
            .map(|begins| (at(begins), name("r101")))
            .collect();
        assert_eq!(told(&world, from, until), begins, "{due:?}");
        assert_eq!(begun(world, until), begins, "{due:?}");
    }
}

#[test]
fn what_is_suspended_for_weeks_comes_after_them() {
    let mut world = room(&["2026-11-23 18:00"]);
    world.room_mut("r101").suspended = Some(Suspension {
        reason: name("building works"),
        by: name("it"),
        until: Some(name("2026-12-22 12:00")),
    });
    let World {
        desired, observed, ..
    } = &world;
    let until = at("2026-12-23T00:00");
    let plan = plan(desired, observed);
    let coming = agenda(desired, observed, &plan, observed.at, until).unwrap();
    let [Coming::Reset { span, .. }] = coming.as_slice() else {
        panic!("{coming:?}");
    };
    assert_eq!(span.opens, at("2026-12-22T17:30"));
}

#[test]
fn what_is_over_is_not_coming() {
    let world = room(&["mon, wed 18:00"]);
    let opens = |from| resets(&world, at(from))[0].opens;
    assert_eq!(opens("2026-11-23T21:59"), at("2026-11-23T18:00"));
    assert_eq!(opens("2026-11-23T22:00"), at("2026-11-25T18:00"));
}

#[test]
fn nothing_is_foretold_where_the_hosts_or_the_orders_could_not_be_seen() {
    let world = room(&["mon 18:00"]);
    let from = world.observed.at;
    assert!(coming(&world, from).is_some());
    let mut blind = world.clone();
    blind.observed.devices = Probe::Unseen("damaged".to_owned());
    assert_eq!(coming(&blind, from), None);
    let mut blind = world;
    blind.observed.orders = Probe::Unseen("damaged".to_owned());
    assert_eq!(coming(&blind, from), None);
}

#[test]
fn a_room_that_is_never_reset_has_no_outlook() {
    let has_one = |change: fn(&mut World)| {
        let mut world = room(&["mon 18:00"]);
        change(&mut world);
        let World {
            desired, observed, ..
        } = &world;
        let name = name("r101");
        Outlook::of(desired, observed, &name, &desired.rooms[&name]).is_some()
    };
    assert!(has_one(|_| {}));
    assert!(!has_one(|world| world.room_mut("r101").reset = None));
    assert!(!has_one(|world| world.class("lab", &[])));
    assert!(!has_one(|world| {
        world.observed.devices = Probe::Seen(Devices::default());
    }));
}

#[test]
fn a_room_waits_for_the_first_of_its_hosts_that_may_be_touched_again() {
    let mut world = room(&["mon 18:00"]);
    let hosts = world.hosts().into_iter().enumerate();
    let left_alone = hosts.map(|(index, host)| {
        let until = if index == 4 { "19:00" } else { "20:00" };
        let suspension = Suspension {
            reason: name("under repair"),
            by: name("it"),
            until: Some(name(&format!("2026-11-23 {until}"))),
        };
        (host, suspension)
    });
    world.room_mut("r101").suspended_hosts = left_alone.collect();
    let opens = resets(&world, world.observed.at)[0].opens;
    assert_eq!(opens, at("2026-11-23T19:00"));
}

#[test]
fn a_night_before_an_exam_ends_at_midnight() {
    let mut world = room(&["mon 23:00"]);
    world.desired.windows.reset = windows(&["daily 22:00–05:00"]);
    let night = |world: &World| resets(world, world.observed.at)[0].closes;
    assert_eq!(night(&world), at("2026-11-24T05:00"));
    let begins = |world: &World| !plan(&world.desired, &world.observed).steps.is_empty();
    let mut late = world.clone();
    late.observed.at = at("2026-11-23T23:55");
    assert!(begins(&late));
    let tuesday = "2026-11-24".parse().unwrap();
    let exam = Exam {
        dates: tuesday,
        rooms: ExamRooms::All,
    };
    world.desired.exams.push(exam.clone());
    assert_eq!(night(&world), at("2026-11-24T00:00"));
    late.desired.exams.push(exam);
    assert!(!begins(&late), "it would still be at work in the exam");
}

/// Two new versions of one name, each for a room of its own.
fn news() -> World {
    let mut world = World::empty(at("2026-11-24T09:00"));
    for (image, class, room) in [("ubuntu", "lab", "r101"), ("windows", "office", "r102")] {
        world.release(image, "2026.11.1", 12 * GIB, None);
        world.store(image, "2026.11.1", 12 * GIB, None);
        world.class(class, &[os(image, ResetCommand::Sync)]);
        world.room(room, class, 2);
    }
    world
}

#[test]
fn each_new_version_comes_to_the_rooms_that_use_its_image_and_are_reset() {
    let mut world = news();
    world.room("a100", "lab", 2).reset = None;
    world.desired.rollout.waves = Some(Waves {
        canary: Canary::Portion(Portion::Rooms(1)),
        ..Waves::default()
    });
    let tonight = at("2026-11-24T17:30");
    let expected = [
        (name("ubuntu"), (tonight, [name("r101")].into())),
        (name("windows"), (tonight, [name("r102")].into())),
    ];
    assert_eq!(rollouts(&world, world.observed.at), expected.into());
}

#[test]
fn a_version_that_waits_for_a_person_comes_nobody_knows_when() {
    let mut world = news();
    let key = (name("ubuntu"), name("2026.11.1"));
    world.desired.images.get_mut(&key).unwrap().domain_join = DomainJoin::Rebrand;
    let foreseen: Vec<_> = rollouts(&world, world.observed.at).into_keys().collect();
    assert_eq!(foreseen, [name("windows")]);
}

#[test]
fn a_new_version_does_not_come_in_the_past() {
    let mut world = news();
    let tomorrow = at("2026-11-25T17:30");
    world.observed.at = at("2026-11-24T22:00");
    let opens = |(opens, _): (Timestamp, _)| opens;
    let foreseen: Vec<_> = rollouts(&world, at("2026-11-24T12:00"))
        .into_values()
        .map(opens)
        .collect();
    assert_eq!(foreseen, [tomorrow; 2]);
}
