//! What the tests of the reconciler stand on.

pub mod big_fleet;
pub mod fuzz;
pub mod lab;
