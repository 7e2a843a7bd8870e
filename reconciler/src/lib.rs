//! x

pub mod linbo;
pub mod manifest;
