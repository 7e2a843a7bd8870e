//! Rollouts that are announced for a day: until then hosts keep what they have.

use harness::worlds::{GIB, World, at, day};
use reconciler::planning::{Gate, NotBefore, audit};
use schema::fleet::Origin;

use super::cases::{check, of, stale};

/// The school of Monday evening for which a new version is merged, and announced for Friday.
fn announced() -> World {
    let mut world = stale();
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, None);
    world.desired.not_before = Some(NotBefore {
        day: day("2026-11-27"),
        origin: Origin::Written {
            file: "fleet.yaml".to_owned(),
            line: 12,
        },
    });
    world
}

#[test]
fn until_its_day_a_version_is_loaded_and_not_put_in_place_and_resets_go_on() {
    let mut world = announced();
    check(&world, &["reset r101 20 whole", "ubuntu: Window"]);
    world.store("ubuntu", "2", 12 * GIB, None);
    check(&world, &["reset r101 20 whole", "ubuntu: NotBefore"]);
    let hold = of(&world).holds.remove(0);
    assert_eq!(hold.wake, Some(at("2026-11-27T00:00")));
    assert!(!hold.gate.needs_a_person() && !hold.gate.is_failure());
    assert_eq!(
        hold.gate,
        Gate::NotBefore(world.desired.not_before.clone().unwrap())
    );
    // A look ahead to that day finds it open, and a day that is over does nothing.
    for (time, activates) in [
        ("2026-11-26T23:59", false),
        ("2026-11-27T00:00", true),
        ("2027-03-01T18:00", true),
    ] {
        world.observed.at = at(time);
        let steps = of(&world).steps;
        let found = steps
            .iter()
            .any(|step| step.id.to_string().starts_with("activate/ubuntu"));
        assert_eq!(found, activates, "{time}");
    }
}

/// A server that has nothing yet takes nothing from its hosts by what comes.
#[test]
fn what_is_the_first_of_its_image_waits_for_no_day() {
    let mut world = announced();
    world.store("ubuntu", "2", 12 * GIB, None);
    let live = world.live_mut("ubuntu");
    (live.base, live.diff) = (None, None);
    let plan = of(&world);
    assert!(plan.steps[0].id.to_string().starts_with("activate/ubuntu"));
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
}
