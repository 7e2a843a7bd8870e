//! What staff are told beforehand: a letter and a calendar (`tests/cases/letters`).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use harness::golden;
use harness::worlds::{GIB, World, applied, at, day, live, manifest, name, os, schedule};
use jiff::SignedDuration;
use reconciler::planning::{
    Action, Coming, Entry, NotBefore, Plan, Probe, StepResult, agenda, in_force, plan,
};
use reconciler::report::announce::announcement;
use reconciler::report::calendar::calendar;
use reconciler::report::mail::News;
use reconciler::report::suspended::{changes, line, reminder};
use reconciler::report::title::Clock;
use reconciler::world::Readers;
use schema::fleet::{Announce, Canary, Exam, ExamRooms, Origin, ResetCommand, Waves};
use schema::policy::Portion;
use schema::schedule::Dates;

/// The stamp of [`applied`].
const STAMP: &str = "202611011930";

/// A school of two rooms on a Sunday whose staff are told five days before.
fn school() -> World {
    let mut world = World::empty(at("2026-11-22T12:00"));
    world.release("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
    world.store("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    world.room("r101", "lab", 3);
    world.room("r102", "lab", 2);
    world.desired.staff.as_mut().unwrap().announce = Some(Announce { days_before: 5 });
    let mut found = live(&manifest("ubuntu", "2026.10.1", 12 * GIB, Some(GIB)));
    let record = found.diff.as_mut().unwrap().record.as_mut().unwrap();
    record.timestamp = Some(name(STAMP));
    world
        .observed
        .live
        .insert(name("ubuntu"), Probe::Seen(found));
    world
}

fn of(world: &World) -> Plan {
    plan(&world.desired, &world.observed)
}

fn letter(world: &World) -> Option<News> {
    let clock = Clock {
        now: world.observed.at,
        zone: &world.desired.zone,
    };
    announcement(&world.desired, &world.observed, &of(world), clock)
}

fn coming(world: &World, days: i64) -> Vec<Coming> {
    let World {
        desired, observed, ..
    } = world;
    let until = observed.at + SignedDuration::from_hours(24 * days);
    agenda(desired, observed, &of(world), observed.at, until).unwrap()
}

fn tried(world: &mut World) {
    for host in world.hosts() {
        world.outcome(
            host.as_str(),
            at("2026-11-19T18:10"),
            applied("ubuntu.qdiff"),
        );
    }
}

#[test]
fn a_letter_tells_staff_what_is_coming_and_each_thing_once() {
    let mut world = school();
    world.room("r103", "lab", 1).reset = Some(schedule(&["fri 18:00"]));
    world.room("r104", "lab", 1);
    world.room("gym", "lab", 1).reset = None;
    world.outcome("r104-pc01", at("2026-11-19T18:10"), applied("ubuntu.qdiff"));
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    let tests = [("gimp3", "2026-11-27"), ("blender", "2026-11-28")];
    for (test, until) in tests {
        world.test_class(test, &[], until);
    }
    let news = letter(&world).unwrap();
    assert_eq!(news.letter.readers, Readers::Staff);
    let text = format!("Subject: {}\n\n{}", news.letter.subject, news.letter.body);
    golden::check("letters/announcement.txt", &text);
    world.note(world.observed.at, news.told);
    assert_eq!(letter(&world), None, "all of it was told");
    // A day later there is more.
    world.pass(24 * 60);
    let Entry::Announced { keys } = letter(&world).unwrap().told else {
        unreachable!("it is an announcement");
    };
    assert_eq!(keys, ["first-reset/r103", "test-class/blender/2026-11-28"]);
}

#[test]
fn nobody_is_told_of_what_will_not_happen() {
    let told = |change: fn(&mut World)| {
        let mut world = school();
        change(&mut world);
        letter(&world).map(|news| match news.told {
            Entry::Announced { keys } => keys,
            other => unreachable!("{other:?}"),
        })
    };
    let keys = |keys: &[&str]| Some(keys.iter().map(|key| (*key).to_owned()).collect());
    assert_eq!(
        told(|_| {}),
        keys(&["first-reset/r101", "first-reset/r102"])
    );
    assert_eq!(
        told(|world| world.desired.staff.as_mut().unwrap().announce = None),
        None
    );
    assert_eq!(told(tried), None);
    let exam = |world: &mut World| {
        let dates = Dates {
            from: day("2026-11-22"),
            to: day("2026-11-27"),
        };
        let rooms = ExamRooms::These([name("r101")].into());
        world.desired.exams.push(Exam { dates, rooms });
    };
    assert_eq!(told(exam), keys(&["first-reset/r102"]));
    assert_eq!(
        told(|world| world.observed.orders = Probe::Unseen("damaged".to_owned())),
        None
    );
    // Without a window, a version that waits for a person, or that is suspended, comes nobody knows when.
    let new = |world: &mut World| {
        tried(world);
        world.desired.images.clear();
        world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    };
    let rollout = keys(&["rollout/ubuntu/2026.11.1"]);
    assert_eq!(told(new), rollout);
    let suspended = |world: &mut World| {
        let suspension = schema::fleet::Suspension {
            reason: name("no sound"),
            by: name("it"),
            until: None,
        };
        tried(world);
        world.desired.images.clear();
        world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
        let images = &mut world.desired.suspended.images;
        images.insert(name("ubuntu"), suspension);
        world.observed.at = at("2026-11-22T23:00");
    };
    assert_eq!(told(suspended), None);
}

#[test]
fn the_calendar_shows_a_rollout_when_it_is_the_turn_of_a_room() {
    let mut world = school();
    world.desired.rollout.waves = Some(Waves {
        canary: Canary::Portion(Portion::Rooms(1)),
        ..Waves::default()
    });
    for host in world.hosts() {
        world.outcome(
            host.as_str(),
            at("2026-11-18T18:10"),
            applied("ubuntu.qcow2"),
        );
    }
    let activate = Action::Activate {
        image: name("ubuntu"),
        version: name("2026.10.1"),
        manifest: world.desired.images.values().next().unwrap().manifest,
    };
    let done = Entry::Finished {
        step: activate.id(),
        result: StepResult::Done,
    };
    world.note(at("2026-11-24T02:00"), done);
    world.observed.at = at("2026-11-24T09:00");
    let rollouts = |world: &World| {
        let all = coming(world, 7)
            .into_iter()
            .filter_map(|coming| match coming {
                Coming::Rollout { span, rooms, .. } => Some((span.opens, rooms)),
                _ => None,
            });
        all.collect::<Vec<_>>()
    };
    let first = at("2026-11-24T17:30");
    assert_eq!(rollouts(&world), [(first, [name("r101")].into())]);
    world.observed.at = first;
    let steps = of(&world).steps;
    assert!(
        matches!(steps.as_slice(), [step] if step.id.to_string().starts_with("reset/r101/")),
        "{steps:?}"
    );
    let mut suspended = world.clone();
    let images = &mut suspended.desired.suspended.images;
    images.insert(
        name("ubuntu"),
        schema::fleet::Suspension {
            reason: name("no sound"),
            by: name("it"),
            until: None,
        },
    );
    assert_eq!(of(&suspended).steps, []);
    assert_eq!(rollouts(&suspended), []);
    for number in 1..=3 {
        let host = format!("r101-pc0{number}");
        world.outcome(&host, at("2026-11-24T18:00"), applied("ubuntu.qdiff"));
    }
    world.observed.at = at("2026-11-25T09:00");
    let second = at("2026-11-25T18:00");
    assert_eq!(rollouts(&world), [(second, [name("r102")].into())]);
    world.test_class("gimp3", &[], "2026-11-27");
    let text = calendar(
        "Berufsschule Nord",
        &name("bs-nord.example"),
        &coming(&world, 7),
    );
    golden::check("letters/calendar.ics", &text.replace("\r\n", "\n"));
    world.observed.at = second;
    let steps = of(&world).steps;
    assert!(
        steps
            .iter()
            .any(|step| step.id.to_string().starts_with("reset/r102/"))
    );
}

/// As soon as a version is merged, the evening is foreseen on which the first rooms get it.
#[test]
fn the_calendar_foresees_a_version_that_is_still_to_be_downloaded() {
    let mut world = school();
    tried(&mut world);
    world.desired.rollout.waves = Some(Waves {
        canary: Canary::Portion(Portion::Rooms(1)),
        ..Waves::default()
    });
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    // It is loaded in the night from Monday on, too late for that evening.
    world.observed.at = at("2026-11-23T12:00");
    let rollouts = |world: &World| -> Vec<_> {
        let all = coming(world, 7).into_iter();
        all.filter_map(|coming| match coming {
            Coming::Rollout { span, rooms, .. } => Some((span.opens, rooms)),
            _ => None,
        })
        .collect()
    };
    let tuesday = (at("2026-11-24T17:30"), [name("r101")].into());
    assert_eq!(rollouts(&world), std::slice::from_ref(&tuesday));
    let body = letter(&world).unwrap().letter.body;
    assert!(body.contains("not before Tue 24 Nov 17:30"), "{body}");
    // It is there, and waits for its activation.
    world.store("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.observed.at = at("2026-11-24T09:00");
    assert_eq!(rollouts(&world), [tuesday]);
    // At once means everywhere.
    world.desired.rollout.waves = None;
    let both = [name("r101"), name("r102")].into();
    assert_eq!(rollouts(&world), [(at("2026-11-24T17:30"), both)]);
    // It needs more time than that evening has.
    world.observed.at = at("2026-11-24T22:30");
    assert_eq!(rollouts(&world)[0].0, at("2026-11-25T17:30"));
    let suspension = schema::fleet::Suspension {
        reason: name("no sound"),
        by: name("it"),
        until: None,
    };
    let images = &mut world.desired.suspended.images;
    images.insert(name("ubuntu"), suspension);
    world.observed.at = at("2026-11-24T09:00");
    assert_eq!(rollouts(&world), []);
    let keys = letter(&world).map(|news| news.told);
    assert_eq!(keys, None, "what is suspended comes nobody knows when");
}

/// A version that is announced for a day is foreseen for its evening, and told so many days before it.
#[test]
fn a_rollout_that_is_announced_for_a_day_is_told_days_before_it() {
    let mut world = school();
    tried(&mut world);
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.desired.not_before = Some(NotBefore {
        day: day("2026-12-04"),
        origin: Origin::Default,
    });
    let evening = at("2026-12-04T17:30");
    for (now, store, is_told) in [
        ("2026-11-23T12:00", false, false),
        ("2026-11-24T12:00", true, false),
        ("2026-11-28T23:59", true, false),
        ("2026-11-29T00:00", true, true),
    ] {
        world.observed.at = at(now);
        if store {
            world.store("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
        }
        let all = coming(&world, 14).into_iter();
        let rollouts = all.filter_map(|coming| match coming {
            Coming::Rollout { span, .. } => Some(span.opens),
            _ => None,
        });
        assert_eq!(rollouts.collect::<Vec<_>>(), [evening], "{now}");
        let told = letter(&world).map(|news| news.letter.body);
        let is_in = told.is_some_and(|body| body.contains("not before Fri 4 Dec 17:30"));
        assert_eq!(is_in, is_told, "{now}");
    }
}

/// A school in which everything that can be suspended is, on the server and in the state repo.
fn suspended() -> World {
    let mut world = school();
    let suspension = |reason: &str, until: Option<&str>| schema::fleet::Suspension {
        reason: name(reason),
        by: name("Hausmeister"),
        until: until.map(name),
    };
    let all = [
        ("fleet landkreis", suspension("audit", Some("2027-06-30"))),
        ("school bs-nord", suspension("building works", None)),
    ];
    world.desired.suspended.all = all.map(|(what, of)| (what.to_owned(), of)).into();
    let images = &mut world.desired.suspended.images;
    images.insert(name("ubuntu"), suspension("no sound", None));
    let room = world.room_mut("r101");
    room.suspended = Some(suspension("new furniture", Some("2026-11-25 12:00")));
    let hosts = &mut room.suspended_hosts;
    hosts.insert(name("r101-pc01"), suspension("under repair", None));
    let mut orders = reconciler::planning::Orders::default();
    orders.suspend(
        name("room r102"),
        reconciler::planning::Suspended {
            since: at("2026-11-20T09:00"),
            reason: "projector".to_owned(),
            by: "anna".to_owned(),
            until: None,
        },
    );
    world.observed.orders = Probe::Seen(orders);
    world
}

fn remind(world: &mut World) -> Option<News> {
    if let Some(changes) = changes(&world.desired, &world.observed) {
        world.note(world.observed.at, changes);
    }
    let clock = Clock {
        now: world.observed.at,
        zone: &world.desired.zone,
    };
    let news = reminder("bs-nord", &world.desired, &world.observed, clock)?;
    world.note(world.observed.at, news.told.clone());
    Some(news)
}

#[test]
fn suspensions_that_may_be_forgotten_are_brought_to_mind_once_each_time() {
    let mut world = suspended();
    let mut days = Vec::new();
    for day in 0..80 {
        if let Some(news) = remind(&mut world) {
            let Entry::Suspensions { reminded, .. } = &news.told else {
                unreachable!("it is a reminder");
            };
            days.push((day, reminded.len()));
            if day == 14 {
                let text = format!("Subject: {}\n\n{}", news.letter.subject, news.letter.body);
                golden::check("letters/reminder.txt", &text);
            }
            assert_eq!(remind(&mut world), None, "once each time");
        }
        world.pass(24 * 60);
    }
    // The order is two days older than what the state repo says; the fleet's has an end, the room's is over.
    assert_eq!(
        days,
        [
            (12, 1),
            (14, 3),
            (30, 1),
            (42, 1),
            (44, 3),
            (60, 1),
            (72, 1),
            (74, 3)
        ]
    );
    // What is over and comes again is new.
    world.desired.suspended.all.clear();
    assert_eq!(remind(&mut world), None);
    world.desired.suspended = suspended().desired.suspended;
    assert_eq!(remind(&mut world), None);
    let noticed = world.observed.journal.suspensions();
    assert_eq!(noticed["repo/school bs-nord/building works"].reminded, None);
    // What cannot be seen is not over.
    world.observed.orders = Probe::Unseen("damaged".to_owned());
    assert_eq!(changes(&world.desired, &world.observed), None);
}

#[test]
fn every_suspension_in_force_is_shown_with_what_ends_it() {
    let world = suspended();
    let clock = Clock {
        now: world.observed.at,
        zone: &world.desired.zone,
    };
    let all = in_force(&world.desired, &world.observed);
    let lines: Vec<_> = all.iter().map(|of| line(of, clock)).collect();
    golden::check("letters/suspended.txt", &(lines.join("\n") + "\n"));
}
