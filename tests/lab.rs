//! End to end: the production program against the lab's real processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

#[path = "lab/adopt.rs"]
mod adopt;
#[path = "lab/announce.rs"]
mod announce;
#[path = "lab/classes.rs"]
mod classes;
#[path = "lab/crash.rs"]
mod crash;
#[path = "lab/downloads.rs"]
mod downloads;
#[path = "lab/dry_run.rs"]
mod dry_run;
#[path = "lab/fleet.rs"]
mod fleet;
#[path = "lab/fortnight.rs"]
mod fortnight;
#[path = "lab/git.rs"]
mod git;
#[path = "lab/guard.rs"]
mod guard;
#[path = "lab/journey.rs"]
mod journey;
#[path = "lab/ledger.rs"]
mod ledger;
#[path = "lab/one_school.rs"]
mod one_school;
#[path = "lab/pitfalls.rs"]
mod pitfalls;
#[path = "lab/rebranded.rs"]
mod rebranded;
#[path = "lab/resets.rs"]
mod resets;
#[path = "lab/retention.rs"]
mod retention;
#[path = "lab/rollback.rs"]
mod rollback;
#[path = "lab/rollout.rs"]
mod rollout;
#[path = "lab/rows.rs"]
mod rows;
#[path = "lab/test_classes.rs"]
mod test_classes;
#[path = "lab/vm.rs"]
mod vm;
