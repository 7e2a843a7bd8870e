//! What can be held in seconds: the house's own rules, its units, and broken input for every parser.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "fast/fuzz.rs"]
mod fuzz;
#[path = "fast/systemd.rs"]
mod systemd;
#[path = "fast/tidy.rs"]
mod tidy;

use std::path::PathBuf;

/// The folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in a folder of the workspace")
        .to_owned()
}
