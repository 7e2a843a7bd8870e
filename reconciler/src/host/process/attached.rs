//! A program that ends with the value that stands for it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument as _;

use super::tail::{Lines, Tail};
use super::{Finished, Group, ProcessError, Program};

/// How long to wait for output after the program has ended: something that it left behind may hold
/// the stream open for ever.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Between asking a program to end and ending it by force.
const GRACE: Duration = Duration::from_secs(2);

/// A running program. Dropping it ends it and all that it started: asked first, after two seconds by
/// force, at once when there is no runtime left to wait in.
#[derive(Debug)]
pub struct Attached {
    program: PathBuf,
    name: String,
    // None only while being dropped.
    child: Option<Child>,
    group: Group,
    ends: Option<Instant>,
    status: Option<ExitStatus>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    heard: Tail,
    said: Tail,
    lines: Lines,
    timed_out: bool,
}

impl Attached {
    pub(super) fn start(program: Program) -> Result<Self, ProcessError> {
        let (path, name) = (program.path.clone(), program.name());
        // A deadline that no clock can show is none.
        let ends = program
            .deadline
            .and_then(|deadline| Instant::now().checked_add(deadline));
        let (mut child, group) = program.spawn()?;
        Ok(Self {
            program: path,
            name,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child: Some(child),
            group,
            ends,
            status: None,
            heard: Tail::default(),
            said: Tail::default(),
            lines: Lines::default(),
            timed_out: false,
        })
    }

    /// Its process group.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    /// Waits for its end, handing over each line of its standard output. Dropping the future loses
    /// nothing: it can be called again, or the program be stopped.
    ///
    /// # Errors
    ///
    /// When the system does not tell how it ended.
    pub async fn finished(
        &mut self,
        heard: &mut dyn FnMut(&str),
    ) -> Result<Finished, ProcessError> {
        let span = tracing::debug_span!("process", program = %self.name);
        self.wait(heard).instrument(span).await
    }

    /// Ends it and all that it started, and says how it ended.
    ///
    /// # Errors
    ///
    /// When the system does not tell how it ended.
    pub async fn stop(&mut self) -> Result<Finished, ProcessError> {
        self.group.end().await;
        self.finished(&mut |_| ()).await
    }

    async fn wait(&mut self, heard: &mut dyn FnMut(&str)) -> Result<Finished, ProcessError> {
        let (mut out, mut err) = ([0; 8192], [0; 8192]);
        let mut aftermath: Option<Instant> = None;
        let mut force: Option<Instant> = None;
        let status = loop {
            if let Some(status) = self.status {
                if self.stdout.is_none() && self.stderr.is_none() {
                    break status;
                }
                aftermath.get_or_insert_with(|| Instant::now() + AFTERMATH);
            }
            let failed = |source| ProcessError::Wait {
                program: self.program.clone(),
                source,
            };
            let child = self
                .child
                .as_mut()
                .ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
            tokio::select! {
                biased;
                read = some(&mut self.stdout, &mut out), if self.stdout.is_some() => match read {
                    0 => self.stdout = None,
                    count => {
                        self.heard.push(&out[..count]);
                        self.said.push(&out[..count]);
                        self.lines.push(&out[..count], heard);
                    }
                },
                read = some(&mut self.stderr, &mut err), if self.stderr.is_some() => match read {
                    0 => self.stderr = None,
                    count => self.said.push(&err[..count]),
                },
                waited = child.wait(), if self.status.is_none() => {
                    self.status = Some(waited.map_err(failed)?);
                }
                () = until(self.ends), if self.ends.is_some() && self.status.is_none() => {
                    self.timed_out = true;
                    self.ends = None;
                    self.group.ask();
                    force = Some(Instant::now() + GRACE);
                }
                () = until(force), if force.is_some() => {
                    force = None;
                    self.group.kill();
                }
                () = until(aftermath), if aftermath.is_some() => {
                    (self.stdout, self.stderr) = (None, None);
                }
            }
        };
        self.lines.end(heard);
        let mut finished = Finished::new(status, self.timed_out);
        // One that ended by itself may leave a service behind; of one that was ended nothing may stay.
        if self.timed_out || finished.signal.is_some() {
            self.group.end().await;
        }
        (finished.stdout, finished.stdout_is_whole) = self.heard.take();
        finished.said = self.said.take().0;
        tracing::debug!(code = ?finished.code, signal = ?finished.signal, timed_out = finished.timed_out, "ended");
        Ok(finished)
    }
}

/// Reads some bytes; an error ends the stream as its end does.
async fn some(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match stream {
        Some(stream) => stream.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Ends a group by force when it is dropped. It keeps the child, so that the id of the group cannot
/// become that of another one before.
struct Last {
    group: Group,
    child: Child,
    done: bool,
}

impl Drop for Last {
    fn drop(&mut self) {
        if !self.done {
            self.group.kill();
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else {
            return;
        };
        if self.status.is_some() {
            return;
        }
        let mut last = Last {
            group: self.group,
            child,
            done: false,
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            last.group.ask();
            // Its handle is not needed: the task ends by itself within seconds.
            drop(runtime.spawn(async move {
                last.group.end().await;
                last.done = true;
                if let Err(error) = last.child.wait().await {
                    tracing::debug!(%error, "the end of a program that was ended was not seen");
                }
            }));
        }
    }
}
