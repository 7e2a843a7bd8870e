//! Programs: the one place that starts them.
//!
//! # Invariants
//!
//! A program is an argument list, never a text for a shell. It gets a fixed environment, no terminal,
//! and a process group of its own, so that ending it ends what it started as well. What it says is
//! bounded. A program that is [attached](Program::start) never outlives the value that stands for it;
//! one that is [detached](Program::start_detached) outlives even the sudden death of the reconciler,
//! and a lock on its output tells so. Secrets are never arguments: those stand in every process list.

mod attached;
mod group;
mod tail;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

pub use attached::Attached;
pub use group::{Group, Process, processes};
pub use tail::KEPT;

/// Where programs are looked for when the reconciler itself was started without a `PATH`.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that is to be started.
#[derive(Debug)]
pub struct Program {
    setting: &'static str,
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Option<File>,
    output: Option<File>,
    deadline: Option<Duration>,
}

/// Why a program did not run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program.
    #[error(
        "the program {} was not found; install it, or say where it is with the setting commands.{setting}",
        .program.display()
    )]
    NotFound {
        /// What was looked for.
        program: PathBuf,
        /// The setting that names it.
        setting: &'static str,
    },
    /// There is such a file, but it may not be run.
    #[error(
        "{} may not be executed; make it executable, or name another program with the setting commands.{setting}",
        .program.display()
    )]
    NotExecutable {
        /// The file.
        program: PathBuf,
        /// The setting that names it.
        setting: &'static str,
    },
    /// The system did not start it.
    #[error("the program {} could not be started", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its end could not be waited for.
    #[error("it could not be found out how the program {} ended", .program.display())]
    Wait {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How a program ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a program may have failed"]
pub struct Finished {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was ended because its deadline had passed.
    pub timed_out: bool,
    /// The last [`KEPT`] bytes of its standard output; empty when that went to a file.
    pub stdout: Vec<u8>,
    /// Whether `stdout` is all of it.
    pub stdout_is_whole: bool,
    /// The last [`KEPT`] bytes of both outputs, in the order in which they arrived.
    pub said: Vec<u8>,
}

impl Finished {
    /// Whether it ended by itself, with exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && !self.timed_out
    }

    /// How it ended, in words that follow "the program": `ended with exit code 3`.
    #[must_use]
    pub fn how(&self) -> String {
        match (self.timed_out, self.code, self.signal) {
            (true, ..) => "was ended because it took too long".to_owned(),
            (_, Some(code), _) => format!("ended with exit code {code}"),
            (_, _, Some(signal)) => format!("was ended by signal {signal}"),
            _ => "ended in an unknown way".to_owned(),
        }
    }

    /// The last lines that it said, at most `count`, without empty ones. What a terminal would have
    /// overwritten (lines that end with a carriage return alone) counts as lines too.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        last_lines(&self.said, count)
    }

    fn new(status: ExitStatus, timed_out: bool) -> Self {
        Self {
            code: status.code(),
            signal: status.signal(),
            timed_out,
            stdout: Vec::new(),
            stdout_is_whole: true,
            said: Vec::new(),
        }
    }
}

/// The last lines of what a program said, at most `count`, without empty ones and without control
/// characters.
#[must_use]
pub fn last_lines(said: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(said);
    let clean = |line: &str| -> String {
        line.chars()
            .filter(|c| *c == '\t' || !c.is_control())
            .collect()
    };
    let lines = text
        .split(['\n', '\r'])
        .map(|line| clean(line.trim_end()))
        .filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.collect();
    let skipped = lines.len().saturating_sub(count);
    lines.into_iter().skip(skipped).collect()
}

impl Program {
    /// A program by the setting `commands.<setting>` that names it, and its name to be found in
    /// `PATH` or its absolute path.
    #[must_use]
    pub fn new(setting: &'static str, path: impl AsRef<Path>) -> Self {
        Self {
            setting,
            path: path.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: None,
            output: None,
            deadline: None,
        }
    }

    /// Adds one argument. Never a secret.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments. Never a secret.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Sets one variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What it reads; nothing unless this is called. A lock on the file lasts as long as the program
    /// and whatever it starts.
    #[must_use]
    pub fn stdin(mut self, file: File) -> Self {
        self.input = Some(file);
        self
    }

    /// Where both its outputs go instead of being kept here.
    #[must_use]
    pub fn output_to(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    /// When it is ended, counted from its start. Without one it may run for ever.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What it is called in messages: the last part of its path.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or(self.path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// Its arguments so far.
    #[must_use]
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Runs it until its end or its deadline. Dropping the future ends it.
    ///
    /// # Errors
    ///
    /// When it could not be started. A program that fails is no error here: see [`Finished`].
    pub async fn run(self) -> Result<Finished, ProcessError> {
        self.start()?.finished(&mut |_| ()).await
    }

    /// As [`run()`](Self::run), handing over each line of its standard output when it is complete;
    /// a carriage return ends a line too.
    ///
    /// # Errors
    ///
    /// When it could not be started.
    pub async fn run_heard(self, heard: &mut dyn FnMut(&str)) -> Result<Finished, ProcessError> {
        self.start()?.finished(heard).await
    }

    /// Starts it, within a tokio runtime. It is ended when the value is dropped.
    ///
    /// # Errors
    ///
    /// When it could not be started.
    pub fn start(self) -> Result<Attached, ProcessError> {
        Attached::start(self)
    }

    /// Starts it, within a tokio runtime, to live on when the reconciler ends, in whatever way: for commands that must not be
    /// cut off, such as a sync on a host. Its output goes to `output`; when that is from
    /// [`locked_output()`], the lock is held for exactly as long as the program and what it started
    /// live. A deadline is not kept: whoever waits for it keeps one.
    ///
    /// # Errors
    ///
    /// When it could not be started.
    pub fn start_detached(mut self, output: File) -> Result<Detached, ProcessError> {
        self.output = Some(output);
        let program = self.path.clone();
        let (child, group) = self.spawn()?;
        Ok(Detached {
            program,
            child,
            group,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that starts programs"
    )]
    fn spawn(mut self) -> Result<(Child, Group), ProcessError> {
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(inherited())
            .envs(self.environment.drain(..));
        command.process_group(0);
        command.stdin(self.input.take().map_or_else(Stdio::null, Stdio::from));
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ProcessError::NotFound {
                program: self.path.clone(),
                setting: self.setting,
            },
            io::ErrorKind::PermissionDenied => ProcessError::NotExecutable {
                program: self.path.clone(),
                setting: self.setting,
            },
            _ => ProcessError::Start {
                program: self.path.clone(),
                source,
            },
        };
        if let Some(file) = self.output.take() {
            command
                .stdout(file.try_clone().map_err(failed)?)
                .stderr(file);
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut tries = 0;
        let child = loop {
            match command.spawn() {
                // It is being written this very moment, by an upgrade say.
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => break other.map_err(failed)?,
            }
        };
        let group = child
            .id()
            .and_then(Group::new)
            .ok_or_else(|| ProcessError::Start {
                program: self.path.clone(),
                source: io::Error::other("it has no process id"),
            })?;
        tracing::debug!(program = %self.path.display(), arguments = ?self.arguments, ?group, "started");
        Ok((child, group))
    }
}

/// What every program inherits. The locale is fixed, so that texts and numbers can be understood.
/// A preloaded library and the variables of faketime are passed on, since the clock of a test bed
/// must be that of all programs in it: a file written by a child is compared with our time.
#[expect(
    clippy::disallowed_methods,
    reason = "what a program needs of the environment is handed on by name"
)]
fn inherited() -> Vec<(OsString, OsString)> {
    let wanted = |name: &OsStr| {
        let name = name.to_string_lossy();
        matches!(
            &*name,
            "PATH" | "HOME" | "TMUX_TMPDIR" | "TZ" | "LD_PRELOAD"
        ) || name.starts_with("FAKETIME")
    };
    let usual = [
        ("PATH", USUAL_PATH),
        ("LANG", "C.UTF-8"),
        ("LC_ALL", "C.UTF-8"),
    ];
    let usual = usual
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()));
    usual
        .chain(std::env::vars_os().filter(|(name, _)| wanted(name)))
        .collect()
}

/// A program that lives on when the reconciler ends.
#[derive(Debug)]
pub struct Detached {
    program: PathBuf,
    child: Child,
    group: Group,
}

impl Detached {
    /// Its process group.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    /// Waits for its end. Dropping the future leaves it running.
    ///
    /// # Errors
    ///
    /// When the system does not tell how it ended.
    pub async fn wait(&mut self) -> Result<Finished, ProcessError> {
        let waited = self.child.wait().await;
        let status = waited.map_err(|source| ProcessError::Wait {
            program: self.program.clone(),
            source,
        })?;
        Ok(Finished::new(status, false))
    }

    /// Ends it and all that it started: asked first, after two seconds by force.
    pub async fn stop(&mut self) {
        self.group.end().await;
    }
}

/// A file for the output of a detached program, emptied and locked; none when another program that
/// still lives has it. The lock goes to the program together with the file: drop all other copies.
///
/// # Errors
///
/// When the file cannot be opened or written.
pub fn locked_output(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().append(true).create(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    Ok(Some(file))
}

/// Whether a program lives whose output was locked by [`locked_output()`]. No file, no program.
///
/// # Errors
///
/// When that cannot be found out; it is not to be taken for a no.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // Shared, so that two dry runs that look at the same time do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
