//! Makes a linuxmuster.net server true to its state repo.

pub mod config;
pub mod engine;
pub mod linbo;
pub mod manifest;
pub mod planning;
pub mod report;
pub mod world;
pub mod host;
