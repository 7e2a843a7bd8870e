//! The coming days of a school, as people read them under `tests/cases/forecast`, and as the planner makes them true.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use harness::golden;
use harness::worlds::{GIB, World, at, name, os};
use jiff::SignedDuration;
use reconciler::planning::slots::Release;
use reconciler::planning::{Action, Forecast, Server, audit, forecast, plan};
use reconciler::report::forecast as report;
use reconciler::report::style::Color;
use reconciler::report::text::Head;
use reconciler::report::title::Clock;
use schema::fleet::{DomainJoin, ResetCommand};

/// A school on a Monday at noon: a new version was merged, which another school needs as well, and an image waits for
/// somebody.
fn school() -> World {
    let mut world = World::school(at("2026-11-23T12:00"));
    world.room("r102", "lab", 12);
    world.converge();
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 13 * GIB, Some(2 * GIB));
    world.release("media", "1", GIB, None);
    let media = world.desired.images.get_mut(&(name("media"), name("1")));
    media.unwrap().domain_join = DomainJoin::Rebrand;
    world.class("media", &[os("media", ResetCommand::Sync)]);
    let lacks = [(name("bs-nord"), 16 * GIB), (name("bs-sued"), 60 * GIB)];
    let release = Release {
        at: at("2026-11-23T10:00"),
        lacks: lacks.into(),
    };
    world.share("40 Mbit/s", &[release]);
    world
}

fn shown(case: &str, server: &Server, world: &World, found: &Forecast) {
    let name = server.to_string();
    let head = Head {
        server: &name,
        commit: None,
        problems: &[],
        blind: &[],
        suspended: &[],
        clock: Clock {
            now: world.observed.at,
            zone: &world.desired.zone,
        },
    };
    let text = report::text(head, server, found, Color::Off);
    golden::check(&format!("forecast/{case}.txt"), &text);
    let json = serde_json::to_string_pretty(&report::json(head, found)).unwrap() + "\n";
    golden::check(&format!("forecast/{case}.json"), &json);
}

#[test]
fn a_week_with_a_new_version() {
    let world = school();
    let until = at("2026-11-30T12:00");
    let found = forecast(&world.desired, world.observed.clone(), until);
    shown("week", &world.desired.server, &world, &found);
}

#[test]
fn the_central_server_sees_who_downloads_when() {
    let mut world = school();
    world.desired.server = Server::Central;
    world.desired.images.clear();
    world.desired.rooms.clear();
    world.desired.classes.clear();
    let found = forecast(
        &world.desired,
        world.observed.clone(),
        at("2026-11-30T12:00"),
    );
    shown("central", &world.desired.server, &world, &found);
}

/// What is foreseen is what the planner would do: at the beginning of each step it stands in the plan of a world in
/// which all that was foreseen before has come true, and the judge has nothing against it.
#[test]
fn what_is_foreseen_is_allowed() {
    let world = school();
    let until = at("2026-11-30T12:00");
    let found = forecast(&world.desired, world.observed.clone(), until);
    assert!(found.work.len() > 5, "{:?}", found.work);
    let first = &found.work[0];
    let mut then = world.observed.clone();
    then.at = first.from;
    let plan = plan(&world.desired, &then);
    assert_eq!(audit(&world.desired, &then, &plan), []);
    for pair in found.work.windows(2) {
        assert!(pair[0].from <= pair[1].from + SignedDuration::from_mins(10));
    }
    for one in &found.work {
        assert!(one.from <= one.until && one.from >= world.observed.at);
        if let Action::Download { until, from, .. } = &one.step.action {
            assert!(*from <= one.from && one.until <= *until);
        }
    }
    // A download that does not fit is cut off and goes on: what is moved is what is lacked.
    let downloads = found
        .work
        .iter()
        .filter(|one| matches!(one.step.action, Action::Download { .. }));
    let through: Vec<bool> = downloads.map(|one| one.is_through).collect();
    assert!(
        through.iter().filter(|through| **through).count() == 2,
        "{through:?}"
    );
}

#[test]
fn nothing_to_do_is_said() {
    let mut world = World::school(at("2026-11-23T12:00"));
    world.room_mut("r101").reset = None;
    let found = forecast(
        &world.desired,
        world.observed.clone(),
        at("2026-11-24T12:00"),
    );
    assert_eq!(found.work, []);
    shown("nothing", &world.desired.server, &world, &found);
    let Some(hold) = found.blocked.first() else {
        return;
    };
    panic!("{hold:?}");
}

/// A download that takes longer than its window, in figures that are reckoned by hand: of 8 Mbit/s 97 % are content,
/// 970,000 bytes a second. The seven hours of a night move 24,444,000,000 bytes of 30 GiB; what is left of them takes
/// 8,009 seconds of the next night.
#[test]
fn a_download_goes_on_where_it_was_cut_off() {
    let mut world = World::school(at("2026-11-23T20:00"));
    world.desired.rooms.clear();
    world.desired.download_rate = Some(name("8 Mbit/s"));
    world.release("cad", "1", 30 * GIB, None);
    let foreseen = |until: &str| forecast(&world.desired, world.observed.clone(), at(until));
    let found = foreseen("2026-11-25T12:00");
    let downloads: Vec<_> = found
        .work
        .iter()
        .filter(|one| matches!(one.step.action, Action::Download { .. }))
        .map(|one| (one.from, one.until, one.is_through))
        .collect();
    let second = at("2026-11-24T22:00");
    assert_eq!(
        downloads,
        [
            (at("2026-11-23T22:00"), at("2026-11-24T05:00"), false),
            (second, second + SignedDuration::from_secs(8009), true),
        ]
    );
    // What begins at the end of the time that is looked at is beyond it.
    assert_eq!(foreseen("2026-11-23T22:00").work, []);
    assert_eq!(foreseen("2026-11-23T22:01").work.len(), 1);
}

#[test]
fn slots_are_shown_that_are_not_over_and_have_begun_by_then() {
    let mut world = school();
    let seen = |world: &World, from: &str, until: &str| {
        let mut observed = world.observed.clone();
        observed.at = at(from);
        forecast(&world.desired, observed, at(until)).slots.len()
    };
    let slot = forecast(
        &world.desired,
        world.observed.clone(),
        at("2026-11-30T12:00"),
    )
    .slots[0]
        .1;
    world.desired.rooms.clear();
    let text = |at: jiff::Timestamp| {
        let zoned = at.to_zoned(world.desired.zone.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%.f").to_string()
    };
    let second = SignedDuration::from_secs(1);
    let (begins, ends) = (text(slot.from), text(slot.until));
    assert_eq!(seen(&world, "2026-11-23T12:00", &begins), 0);
    let soon = text(slot.from + second);
    assert_eq!(seen(&world, "2026-11-23T12:00", &soon), 1);
    assert_eq!(seen(&world, &ends, "2026-11-24T04:00"), 0);
    let late = text(slot.until - second);
    assert_eq!(seen(&world, &late, "2026-11-24T04:00"), 1);
}
