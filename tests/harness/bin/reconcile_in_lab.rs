//! The production program, built beside the tests so that they find it.

use std::process::ExitCode;

fn main() -> ExitCode {
    reconciler::cli::main(std::env::args_os(), reconciler::host::clock).into()
}
