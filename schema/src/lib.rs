//! The language of the state repo: what its documents say, whether they are right, and the fleet
//! that they resolve to.
//!
//! A file becomes a tree of values that know their place ([`yaml`]), then a typed document
//! ([`read`]); whatever is wrong with it becomes a [`diagnostic::Diagnostic`].
//!
//! # Invariants
//!
//! Nothing here reads a file, asks the clock or starts a process: a fleet is a function of texts.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "unit tests measure how long broken input takes"
    )
)]

pub mod calendar;
mod check;
pub mod device;
pub mod diagnostic;
pub mod digest;
pub mod document;
pub mod fleet;
pub mod json_schema;
mod load;
pub mod name;
pub mod policy;
pub mod read;
pub mod schedule;
mod short;
pub mod text;
pub mod tree;
pub mod units;
pub mod yaml;

pub use load::{Loaded, load};
