//! Makes a linuxmuster.net server true to its state repo.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "unit tests start real programs and look at real clocks"
    )
)]

pub mod adopt;
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
