//! What the tests of the reconciler stand on: broken input, files to compare with, a small real world,
//! and worlds to plan in.

pub mod fuzz;
pub mod golden;
pub mod lab;
pub mod worlds;
