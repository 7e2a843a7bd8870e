//! Stands for LINBO's programs and clients in the lab; see `harness::lab`.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::lab::stand_in_main()
}
