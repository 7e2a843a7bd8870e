//! The story of `make demo`, in chapters.

mod stage;
mod story;

use std::{io::Write as _, process::ExitCode};

/// Tells the story; fails where it does not come out as told.
#[must_use]
pub fn main() -> ExitCode {
    let Err(error) = story::tell() else {
        return ExitCode::SUCCESS;
    };
    // Nobody is left to be told when even that cannot be written.
    writeln!(
        std::io::stderr(),
        "\nThe demo did not come out as told: {error:#}"
    )
    .ok();
    ExitCode::FAILURE
}
