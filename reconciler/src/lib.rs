//! Makes a linuxmuster.net server true to its state repo.

pub mod cli;
pub mod config;
pub mod engine;
pub mod host;
pub mod linbo;
pub mod manifest;
pub mod planning;
pub mod report;
pub mod simulator;
pub mod state;
pub mod world;
