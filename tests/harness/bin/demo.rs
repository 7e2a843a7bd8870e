//! `make demo`: a small fleet on this machine, and what becomes of it in one simulated week.
//!
//! Every command that is shown runs the production program, and what is shown is what it printed. The story is held
//! to what it says by exit codes and by what the PCs, the mail server and the release server saw; when it does not
//! come out as told, the demo fails.

use std::process::ExitCode;

use harness::demo;

fn main() -> ExitCode {
    demo::main()
}
