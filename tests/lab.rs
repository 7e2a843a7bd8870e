//! End to end: the production program against the lab's real processes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "lab/crash.rs"]
mod crash;
#[path = "lab/dry_run.rs"]
mod dry_run;
#[path = "lab/git.rs"]
mod git;
#[path = "lab/one_school.rs"]
mod one_school;
#[path = "lab/pitfalls.rs"]
mod pitfalls;
