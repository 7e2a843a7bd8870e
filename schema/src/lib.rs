//! The language of the state repo: what its documents say, whether they are right, and the fleet
//! that they resolve to.
//!
//! # Invariants
//!
//! Nothing here reads a file, asks the clock or starts a process: [`load()`] is a function of texts.

pub mod calendar;
pub mod digest;
pub mod fleet;
pub mod name;
pub mod schedule;
pub mod text;
pub mod units;
