//! End to end: the production program against the lab's real processes.

#![expect(clippy::expect_used, clippy::panic, reason = "a test may panic")]

#[path = "lab/classes.rs"]
mod classes;
#[path = "lab/downloads.rs"]
mod downloads;
#[path = "lab/fleet.rs"]
mod fleet;
#[path = "lab/journey.rs"]
mod journey;
#[path = "lab/resets.rs"]
mod resets;
