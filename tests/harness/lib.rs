//! What the tests of the reconciler stand on.

pub mod fuzz;
pub mod demo;
pub mod lab;
