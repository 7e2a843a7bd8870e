//! Rooms share what circuits bear, with one another and with whatever is on already.

use std::collections::BTreeMap;

use harness::worlds::{World, applied, at, busy, name};
use jiff::{SignedDuration, Timestamp};
use reconciler::planning::{Probe, Running};
use schema::fleet::PowerBudget;
use schema::name::PowerGroupName;

use super::cases::{check, of, stale};

/// How long each host of class `lab` is thought to be on.
const EACH: SignedDuration = SignedDuration::from_mins(15);

/// Rooms of 20 and 15 hosts, of which the school bears as many as this at once.
fn school(on_at_once: u32) -> World {
    let mut world = stale();
    world.room("r102", "lab", 15);
    let budget = PowerBudget {
        wake_per_minute: 6,
        on_at_once,
    };
    world.desired.power = BTreeMap::from([(PowerGroupName::default(), budget)]);
    world
}

/// When the first host of a room is woken, and when the last one is off.
fn turn(world: &World, room: &str) -> (Timestamp, Timestamp) {
    let turns = of(world).turns;
    let turn = turns
        .iter()
        .find(|turn| turn.room.as_str() == room)
        .unwrap();
    (turn.from, turn.until)
}

/// Hosts whose outcome is known take no room any more; the others do, even when they take longer than was thought.
#[test]
fn hosts_at_work_take_room_until_they_are_heard_of() {
    let mut world = school(20);
    let began = world.observed.at;
    let mut first = Running::begun(of(&world).steps.remove(0), began);
    let hosts: Vec<_> = world.hosts().into_iter().take(20).collect();
    first.admitted = hosts.iter().map(|host| (host.clone(), began)).collect();
    world.observed.running = vec![first];
    world.pass(2);
    check(&world, &["r102 15: Turn"]);
    assert_eq!(turn(&world, "r102").0, began + EACH);
    world.pass(28);
    let soon = world.observed.at + SignedDuration::from_mins(1);
    assert_eq!(turn(&world, "r102").0, soon);
    world.observed.running[0].heard = hosts.into_iter().collect();
    assert_eq!(turn(&world, "r102").0, world.observed.at);
}

#[test]
fn hosts_that_are_busy_for_others_take_room() {
    let mut world = school(20);
    let now = world.observed.at;
    for host in world.hosts().iter().skip(20) {
        world.outcome(host.as_str(), now, applied("ubuntu.qcow2"));
    }
    let last_wake = now + SignedDuration::from_secs(190);
    assert_eq!(turn(&world, "r101"), (now, last_wake + EACH));
    world.observed.busy = Probe::Seen([(name("r102-pc01"), busy(now))].into());
    // The last of the 20 waits until the busy one is thought to be off.
    assert_eq!(turn(&world, "r101"), (now, now + EACH + EACH));
}

/// Among those that are due since the same time, the room with most to do.
#[test]
fn the_room_that_has_been_due_longest_comes_first() {
    let mut world = school(15);
    for (room, group) in [("r101", "main"), ("r102", "annex")] {
        let room = world.room_mut(room);
        room.power_group = Some(name(group));
        let budget = PowerBudget {
            wake_per_minute: 6,
            on_at_once: 15,
        };
        world.desired.power.insert(name(group), budget);
    }
    check(&world, &["reset r101 20 whole", "r102 15: Turn"]);
    let mut later = world;
    later.room_mut("r101").reset = Some(harness::worlds::schedule(&["mon 18:10"]));
    check(&later, &["reset r102 15 whole", "r101 20: Turn"]);
}

#[test]
fn nobody_is_thought_to_be_on_where_nobody_fits_in() {
    let mut world = stale();
    assert_eq!(of(&world).peaks[0].hosts, 20);
    world.observed.at = at("2026-11-23T21:50");
    check(&world, &["r101 20: TooLate"]);
    assert_eq!(of(&world).peaks, []);
}
