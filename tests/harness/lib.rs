//! What the tests of the reconciler stand on.

pub mod demo;
pub mod fuzz;
pub mod lab;
