//! Runs one program of OpenSSH: argument by argument, with an empty environment, a deadline and
//! bounded output.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place of `state` that starts a program, and hands the zone on to it"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEADLINE: Duration = Duration::from_secs(30);
const OUTPUT_LIMIT: u64 = 256 * 1024;

/// A program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started or watched.
    #[error("cannot run {program}: check that the package openssh-client is installed")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It was still running after the deadline and was ended.
    #[error("{program} was not done after {DEADLINE:?} and was ended")]
    Late {
        /// The program.
        program: &'static str,
    },
}

/// What a program said.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Outcome {
    /// The first line of its complaint, fit to be shown.
    pub(super) fn complaint(&self) -> String {
        super::plain_line(self.stderr.lines().next().unwrap_or_default())
    }
}

/// Runs `ssh-keygen` with `input` as its standard input.
pub(super) fn ssh_keygen(args: &[&OsStr], input: Option<File>) -> Result<Outcome, ProgramError> {
    run("ssh-keygen", args, input, DEADLINE)
}

fn run(
    program: &'static str,
    args: &[&OsStr],
    input: Option<File>,
    deadline: Duration,
) -> Result<Outcome, ProgramError> {
    let failed = |source| ProgramError::Start { program, source };
    let mut stdout = tempfile::tempfile().map_err(failed)?;
    let mut stderr = tempfile::tempfile().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .stdin(input.map_or_else(Stdio::null, Stdio::from))
        .stdout(stdout.try_clone().map_err(failed)?)
        .stderr(stderr.try_clone().map_err(failed)?);
    // Dates in an allowed-signers file are in the zone of this system.
    if let Some(zone) = std::env::var_os("TZ") {
        command.env("TZ", zone);
    }
    let mut child = command.spawn().map_err(failed)?;
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if started.elapsed() > deadline {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(ProgramError::Late { program });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let stdout = text(&mut stdout).map_err(failed)?;
    let stderr = text(&mut stderr).map_err(failed)?;
    Ok(Outcome {
        status,
        stdout,
        stderr,
    })
}

fn text(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended() {
        let outcome = run(
            "sleep",
            &[OsStr::new("60")],
            None,
            Duration::from_millis(50),
        );
        assert!(
            matches!(outcome, Err(ProgramError::Late { .. })),
            "{outcome:?}"
        );
    }

    #[test]
    fn the_environment_is_empty_but_for_three_names() {
        let outcome = run("env", &[], None, DEADLINE).unwrap();
        for line in outcome.stdout.lines() {
            let name = line.split('=').next().unwrap();
            assert!(["PATH", "LC_ALL", "TZ"].contains(&name), "{line}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run("no-such-program-here", &[], None, DEADLINE).unwrap_err();
        assert!(
            error.to_string().contains("no-such-program-here"),
            "{error}"
        );
    }
}
