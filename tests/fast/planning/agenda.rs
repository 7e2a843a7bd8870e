//! What staff are told is coming is what the planner then does.

use std::collections::BTreeSet;

use harness::worlds::{World, applied, berlin, weeks};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use reconciler::planning::{Action, Coming, agenda, plan};
use schema::name::RoomName;

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
