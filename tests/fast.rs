//! What can be held in seconds: the house's own rules, its units, broken input for every parser, the
//! planner's promises, the loop, and what plans look like.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod fast {
    mod announce;
    mod engine;
    mod forecast;
    mod fuzz;
    mod image;
    mod ledger;
    mod planning;
    mod plans;
    mod systemd;
    mod tidy;
}

use std::path::PathBuf;

/// The folder of the workspace.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests lie in a folder of the workspace")
        .to_owned()
}
