//! The ten promises as properties over whole fleets, in the simulator.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic"
)]

#[path = "sim/bugs.rs"]
mod bugs;
#[path = "sim/fleets.rs"]
mod fleets;
#[path = "sim/scenarios.rs"]
mod scenarios;
#[path = "sim/seeds.rs"]
mod seeds;
#[path = "sim/shrink.rs"]
mod shrink;
#[path = "sim/worlds.rs"]
mod worlds;
