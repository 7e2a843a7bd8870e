//! What a closed gate says of when it opens.

use harness::worlds::{GIB, World, at, windows};
use reconciler::planning::{Gate, plan};

#[test]
fn what_comes_too_late_is_looked_at_again_when_there_is_time_for_it() {
    let mut world = World::empty(at("2026-11-23T19:55"));
    world.release("ubuntu", "2026.11.1", GIB, None);
    world.store("ubuntu", "2026.11.1", GIB, None);
    world.desired.windows.activate = windows(&["daily 17:00–23:00"]);
    for (lessons, again) in [
        ("daily 20:00–21:00", "2026-11-23T21:00"),
        // The window ends with the lessons.
        ("daily 20:00–23:00", "2026-11-24T17:00"),
    ] {
        world.desired.windows.lessons = windows(&[lessons]);
        let holds = plan(&world.desired, &world.observed).holds;
        let [hold] = holds.as_slice() else {
            panic!("{holds:?}");
        };
        assert!(matches!(hold.gate, Gate::TooLate { .. }), "{hold:?}");
        assert_eq!(hold.wake, Some(at(again)), "{lessons}");
    }
}
