//! When it is worth looking again, by what a plan holds.

use harness::worlds::{World, at, name};
use jiff::SignedDuration;
use reconciler::planning::gates::SOON;
use reconciler::planning::{Gate, Goal, Hold, Plan, Resource, wake};

#[test]
fn what_nobody_tells_is_looked_at_after_a_while() {
    let world = World::empty(at("2026-11-23T18:00"));
    let now = world.observed.at;
    let turn = now + SignedDuration::from_hours(2);
    let mins = SignedDuration::from_mins;
    for (gate, known, expected) in [
        (Gate::Turn, Some(turn), Some(turn - SOON)),
        (Gate::Lessons, Some(turn), Some(turn)),
        (Gate::Lessons, None, None),
        (Gate::Busy(Resource::Import), None, Some(now + mins(10))),
        (Gate::Uploading(name("ubuntu")), None, Some(now + mins(10))),
        (Gate::StartConf(name("lab")), None, Some(now + mins(10))),
        (Gate::Unseen("gone".to_owned()), None, Some(now + mins(60))),
    ] {
        let hold = Hold {
            goal: Goal::Import,
            gate: gate.clone(),
            wake: known,
        };
        let plan = Plan {
            holds: vec![hold],
            ..Plan::default()
        };
        assert_eq!(wake(&plan, &world.desired, now), expected, "{gate:?}");
    }
}
