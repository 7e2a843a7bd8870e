//! Occurrences of a reset for which no time is left: said of those hosts alone that nothing else is said of.

use harness::worlds::{World, applied, at, failed, name, unreachable};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Entry, Gate, Probe};
use schema::fleet::{Exam, ExamRooms};

use super::cases::{check, of};

/// The evening before the next reset, with a window that was open meanwhile. The hosts of `r101` were put back the
/// week before.
fn school() -> World {
    let mut world = World::school(at("2026-11-18T18:10"));
    world.observed.at = at("2026-11-24T22:30");
    world
}

fn whys(world: &World) -> Vec<String> {
    let holds = of(world).holds;
    let mut whys: Vec<String> = holds
        .iter()
        .filter_map(|hold| match &hold.gate {
            Gate::Missed { hosts, .. } => Some(hosts.iter().map(|(_, why)| why.clone())),
            _ => None,
        })
        .flatten()
        .collect();
    whys.sort();
    whys.dedup();
    whys
}

#[test]
fn a_reset_is_missed_when_no_window_is_left_before_the_next() {
    let mut world = school();
    check(&world, &["r101 20: Missed"]);
    let hold = of(&world).holds.remove(0);
    assert_eq!(hold.wake, Some(at("2026-11-25T17:30")));
    assert!(!hold.gate.is_failure() && !hold.gate.needs_a_person());
    assert_eq!(whys(&world), ["nothing was begun in that time"]);
    world.note(world.observed.at, Entry::PassStarted);
    assert_eq!(whys(&world), ["no pass ran in that time"]);
    for (time, expected) in [
        // It can still be caught up on Tuesday.
        ("2026-11-23T22:30", "r101 20: Window"),
        ("2026-11-24T18:00", "reset r101 20 whole"),
        ("2026-11-25T17:40", "r101 20: DueSoon"),
        ("2026-11-25T18:00", "reset r101 20 whole"),
    ] {
        world.observed.at = at(time);
        check(&world, &[expected]);
    }
}

#[test]
fn what_failed_or_was_done_is_not_missed() {
    let mut world = school();
    let monday = at("2026-11-23T21:50");
    let why = "somebody is logged in".to_owned();
    world.outcome("r101-pc01", monday, applied("ubuntu.qcow2"));
    world.outcome("r101-pc02", monday, failed("the cache is full"));
    world.outcome("r101-pc03", monday, unreachable());
    world.outcome("r101-pc04", monday, HostOutcome::InUse { why });
    check(&world, &["r101 18: Missed", "r101 1: Window"]);
    let said = whys(&world);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].starts_with("in use") && said[2].starts_with("unreachable"),
        "{said:?}"
    );
    // So often that it was given up, which is told of the host itself.
    world.outcome("r101-pc03", monday, unreachable());
    check(
        &world,
        &["r101 17: Missed", "r101 1: GaveUp", "r101 1: Window"],
    );
}

/// What was tried as the reset became due was tried for it; a clock that is a little behind makes nothing untold.
#[test]
fn a_try_counts_from_the_time_that_it_is_due_until_now() {
    for tried in ["2026-11-23T18:00", "2026-11-24T22:32"] {
        let mut world = school();
        for host in world.hosts() {
            world.outcome(host.as_str(), at(tried), unreachable());
        }
        let said = whys(&world);
        assert!(
            said.len() == 1 && said[0].starts_with("unreachable"),
            "{said:?}"
        );
    }
}

#[test]
fn what_nobody_wanted_in_time_is_not_missed() {
    let mut fresh = school();
    fresh.observed.journal = Default::default();
    check(&fresh, &["r101 20: Window"]);
    // In force only when the window for it was closed.
    for (since, expected) in [
        ("2026-11-24T08:00", "r101 20: Window"),
        ("2026-11-23T22:00", "r101 20: Window"),
        ("2026-11-23T21:59", "r101 20: Missed"),
    ] {
        let mut new = school();
        let commit = Entry::Commit {
            id: "0f".to_owned(),
            subject: "r101 is reset on Mondays too".to_owned(),
        };
        new.note(at(since), commit);
        check(&new, &[expected]);
    }
    let mut exam = school();
    exam.desired.exams = vec![Exam {
        dates: name("2026-11-23"),
        rooms: ExamRooms::All,
    }];
    check(&exam, &["r101 20: Window"]);
    let mut unseen = school();
    unseen.observed.orders = Probe::Unseen("damaged".to_owned());
    check(&unseen, &["r101 20: Unseen"]);
}
