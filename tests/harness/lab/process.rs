//! Starting programs so that they always end: own process group, output into files, a deadline.

use std::{
    fs,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

/// What a program that ended left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code, or 128 plus the number of the signal that ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a program that must have exited with 0.
    pub fn success(self) -> Result<String> {
        ensure!(
            self.status == 0,
            "exit {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        Ok(self.stdout)
    }
}

/// A program that runs in a process group of its own; dropping it kills the group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    over: Option<ExitStatus>,
}

impl Running {
    /// Starts `command`, whose outputs go to `<output>.stdout` and `<output>.stderr`.
    pub fn start(command: &mut Command, output: &Path) -> Result<Self> {
        let stdout = output.with_extension("stdout");
        let stderr = output.with_extension("stderr");
        let child = command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&stdout)?)
            .stderr(fs::File::create(&stderr)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            child,
            stdout,
            stderr,
            over: None,
        })
    }

    /// The process id, which is that of the group, too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> Result<bool> {
        if self.over.is_none() {
            self.over = self.child.try_wait()?;
        }
        Ok(self.over.is_some())
    }

    /// Sends `signal` to the whole group.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (None, Some(pid)) = (self.over, pid) {
            kill_process_group(pid, signal)?;
        }
        Ok(())
    }

    /// Kills the group and waits for its leader.
    pub fn kill(&mut self) -> Result<()> {
        if !self.is_over()? {
            self.signal(Signal::KILL)?;
            self.over = Some(self.child.wait()?);
        }
        Ok(())
    }

    /// What it wrote so far.
    pub fn stdout(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stdout)?).into_owned())
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stderr)?).into_owned())
    }

    /// Waits for the end; kills the group and fails if that does not come within `limit`.
    pub fn wait(mut self, limit: Duration) -> Result<Output> {
        let begin = Instant::now();
        while !self.is_over()? {
            if begin.elapsed() > limit {
                self.kill()?;
                bail!(
                    "killed after {limit:?}\n--- stdout\n{}\n--- stderr\n{}",
                    self.stdout()?,
                    self.stderr()?
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
        let status = self.over.map_or(-1, |status| {
            let killed = status.signal().map(|signal| 128 + signal);
            status.code().or(killed).unwrap_or(-1)
        });
        Ok(Output {
            status,
            stdout: self.stdout()?,
            stderr: self.stderr()?,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

/// Runs a tool such as `git` in `folder` and gives its standard output; its failure is an error with all it said.
pub fn run_tool(program: &str, arguments: &[&str], folder: &Path) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}; is it installed?"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}\n{}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
