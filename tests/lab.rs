//! End to end: the production program against the lab's real processes.

#[path = "lab/journey.rs"]
mod journey;
