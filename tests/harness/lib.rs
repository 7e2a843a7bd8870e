//! What the tests of the reconciler share: worlds to plan in, and files to compare with.

pub mod golden;
pub mod worlds;
