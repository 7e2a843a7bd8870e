//! The program `reconcile`.

use std::process::ExitCode;

fn main() -> ExitCode {
    reconciler::cli::main(std::env::args_os(), reconciler::host::clock).into()
}
