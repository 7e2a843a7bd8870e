//! Weeks of a school with all that moves its resets: schedules, windows, lessons, holidays, exams, suspensions, and
//! the nights in which clocks are changed. Everything begins and ends at full and half hours.

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan as _};
use proptest::prelude::*;
use reconciler::planning::{Orders, Probe, Subject, Suspended};
use schema::fleet::{Exam, ExamRooms, ResetCommand, Suspension};
use schema::name::RoomName;
use schema::schedule::{Dates, FreeDays};

use super::dice::Dice;
use super::{GIB, World, at, day, live, manifest, name, os, schedule, windows};

/// Mondays: of both changes of the clocks, the end of a year, a leap day, and any other.
const MONDAYS: &[&str] = &[
    "2026-11-16",
    "2026-10-19",
    "2027-03-22",
    "2026-12-21",
    "2028-02-21",
];

const WINDOWS: &[&[&str]] = &[
    &["mon–fri 17:30–22:00"],
    &["daily 22:00–05:00"],
    &["daily 00:00–24:00"],
    &["mon–fri 17:00–19:00", "sat 08:00–12:00"],
    &["daily 18:00–22:00", "not wed 19:00–20:00"],
    &["sun 01:30–03:30", "tue 12:00–23:00"],
];

const SCHEDULES: &[&[&str]] = &[
    &["mon, wed 18:00"],
    &["daily 02:30"],
    &["every 2 weeks tue 16:00 from 2026-09-14"],
    &["mon, tue, thu, fri 12:00", "not 2026-11-26"],
    &["daily 21:30"],
    &["daily 17:00", "daily 19:30"],
    &["sat 06:00"],
];

const LESSONS: &[&[&str]] = &[&["mon–fri 07:30–17:00"], &[], &["daily 08:00–21:00"]];

/// Schools on a Monday at midnight.
pub fn weeks() -> impl Strategy<Value = World> {
    proptest::collection::vec(any::<u16>(), 60).prop_map(|rolls| week(&mut Dice::new(rolls)))
}

fn week(dice: &mut Dice) -> World {
    let monday: &str = dice.pick(MONDAYS);
    let start = at(&format!("{monday}T00:00"));
    let monday = day(monday);
    let mut world = World::empty(start);
    world.release("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
    world.store("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
    let found = live(&manifest("ubuntu", "2026.10.1", 12 * GIB, Some(GIB)));
    world
        .observed
        .live
        .insert(name("ubuntu"), Probe::Seen(found));
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    world.desired.windows.reset = windows(dice.pick(WINDOWS));
    world.desired.windows.lessons = windows(dice.pick(LESSONS));
    world.desired.holidays = std::sync::Arc::default();
    for number in 1..=1 + dice.below(3) {
        let hosts = dice.below(3);
        let room = world.room(&format!("r10{number}"), "lab", hosts);
        room.reset = Some(schedule(dice.pick(SCHEDULES)));
        if dice.once_in(3) {
            room.windows.reset = Some(windows(dice.pick(WINDOWS)));
        }
        if dice.once_in(3) {
            room.windows.lessons = Some(windows(dice.pick(LESSONS)));
        }
    }
    days_off(&mut world, monday, dice);
    suspensions(&mut world, monday, dice);
    world
}

fn days_off(world: &mut World, monday: Date, dice: &mut Dice) {
    if dice.once_in(3) {
        let (from, to) = span(monday, 6, dice);
        world.desired.holidays =
            std::sync::Arc::new(FreeDays::new([(from, to, "Ferien".to_owned())]));
    }
    for _ in 0..dice.below(3) {
        let (from, to) = span(monday, 3, dice);
        let rooms: [RoomName; 1] = [name("r101")];
        world.desired.exams.push(Exam {
            dates: Dates { from, to },
            rooms: match dice.below(2) {
                0 => ExamRooms::These(rooms.into()),
                _ => ExamRooms::All,
            },
        });
    }
}

fn suspensions(world: &mut World, monday: Date, dice: &mut Dice) {
    let mut orders = Orders::default();
    for _ in 0..dice.below(3) {
        let (_, last) = span(monday, 4, dice);
        let until = match dice.below(3) {
            0 => last.to_string(),
            _ => format!("{last} 18:30"),
        };
        let suspension = Suspension {
            reason: name("new furniture"),
            by: name("Hausmeister"),
            until: (!dice.once_in(6)).then(|| name(&until)),
        };
        let ordered = Suspended {
            since: world.observed.at - SignedDuration::from_hours(2),
            reason: "new furniture".to_owned(),
            by: "root".to_owned(),
            until: suspension.until.map(|until| until.end(&super::berlin())),
        };
        let hosts = world.hosts();
        let room = world.room_mut("r101");
        match dice.below(5) {
            0 => room.suspended = Some(suspension),
            1 => {
                let of_room = hosts
                    .into_iter()
                    .filter(|host| host.as_str().starts_with("r101"));
                room.suspended_hosts = of_room.map(|host| (host, suspension.clone())).collect();
            }
            2 => world
                .desired
                .suspended
                .all
                .push(("school bs-nord".to_owned(), suspension)),
            3 => orders.suspend(Subject::Server, ordered),
            _ => orders.suspend(Subject::Room(name("r101")), ordered),
        }
    }
    world.observed.orders = Probe::Seen(orders);
}

/// Up to so many days of the two weeks after the first.
fn span(monday: Date, most: usize, dice: &mut Dice) -> (Date, Date) {
    let first = 3 + i64::try_from(dice.below(16)).unwrap_or(0);
    let days = i64::try_from(dice.below(most)).unwrap_or(0);
    let later = |days: i64| monday.saturating_add(days.days());
    (later(first), later(first + days))
}
