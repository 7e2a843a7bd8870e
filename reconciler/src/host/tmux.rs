//! The tmux sessions of this machine: those of `linbo-remote` show which hosts are busy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use crate::host::process::{ProcessError, Program};
use crate::linbo::remote::sessions;

/// How long tmux may take for one answer.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait before a tmux server that was just ending is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// The tmux server of this user.
#[derive(Debug, Clone, Copy)]
pub struct Tmux<'a> {
    /// The program.
    pub program: &'a Path,
    /// Where it looks for its server, if not at its usual place.
    pub sockets: Option<&'a Path>,
    /// How long it may take to answer.
    pub deadline: Duration,
}

/// Why tmux did not do what it was asked for.
#[derive(Debug, Error)]
pub enum TmuxError {
    /// It could not be run.
    #[error("cannot {what} with tmux")]
    Program {
        /// What it was asked for.
        what: &'static str,
        /// Why.
        source: ProcessError,
    },
    /// It refused.
    #[error("cannot {what} with tmux: {said}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// What it said.
        said: String,
    },
    /// It did not answer in time.
    #[error("cannot {what} with tmux: no answer within {} s", after.as_secs_f32())]
    Silent {
        /// What it was asked for.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
}

/// What tmux says when it is asked for its sessions.
enum Answer {
    Listed(Vec<u8>),
    NoServer,
    /// The server's last session has just ended, and so does the server.
    Ending,
}

impl<'a> Tmux<'a> {
    /// The server at its usual place.
    #[must_use]
    pub const fn new(program: &'a Path) -> Self {
        Self {
            program,
            sockets: None,
            deadline: DEADLINE,
        }
    }

    /// The names of all sessions. No server means no session.
    ///
    /// # Errors
    ///
    /// When that cannot be found out; it is not to be taken for none.
    pub async fn sessions(&self) -> Result<BTreeSet<String>, TmuxError> {
        let list = self.list(&["list-sessions", "-F", "#{session_name}"]);
        Ok(sessions(&list.await?))
    }

    /// Since when each session is there. No server means no session.
    ///
    /// # Errors
    ///
    /// When that cannot be found out; it is not to be taken for none.
    pub async fn since(&self) -> Result<BTreeMap<String, Timestamp>, TmuxError> {
        let list = self.list(&["list-sessions", "-F", "#{session_created} #{session_name}"]);
        let list = list.await?;
        let text = String::from_utf8_lossy(&list);
        let each = text.lines().filter_map(|line| {
            let (created, session) = line.trim().split_once(' ')?;
            // A session whose age is unknown is there all the same.
            let created = created.parse().ok();
            let created = created.and_then(|seconds| Timestamp::from_second(seconds).ok());
            Some((session.to_owned(), created.unwrap_or(Timestamp::MAX)))
        });
        Ok(each.collect())
    }

    /// The first processes of all sessions. No server means no session.
    ///
    /// # Errors
    ///
    /// When that cannot be found out; it is not to be taken for none.
    pub async fn panes(&self) -> Result<BTreeMap<String, Vec<u32>>, TmuxError> {
        let list = self.list(&["list-panes", "-a", "-F", "#{pane_pid} #{session_name}"]);
        let list = list.await?;
        let mut panes: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for line in String::from_utf8_lossy(&list).lines() {
            if let Some((id, session)) = line.split_once(' ')
                && let Ok(id) = id.parse()
            {
                panes.entry(session.to_owned()).or_default().push(id);
            }
        }
        Ok(panes)
    }

    async fn list(&self, arguments: &[&str]) -> Result<Vec<u8>, TmuxError> {
        let asked = async {
            loop {
                match self.ask(arguments).await? {
                    Answer::Listed(list) => return Ok(list),
                    Answer::NoServer => return Ok(Vec::new()),
                    Answer::Ending => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        let late = |_| TmuxError::Silent {
            what: LIST,
            after: self.deadline,
        };
        tokio::time::timeout(self.deadline, asked)
            .await
            .map_err(late)?
    }

    /// Ends a session and what runs in it.
    ///
    /// # Errors
    ///
    /// When there is none of this name, or tmux cannot be run.
    pub async fn end(&self, session: &str) -> Result<(), TmuxError> {
        const WHAT: &str = "end a session";
        // The equals sign keeps tmux from taking the name for a pattern.
        let program = self.program(&["kill-session", "-t", &format!("={session}")]);
        let ended = program.run().await;
        let ended = ended.map_err(|source| TmuxError::Program { what: WHAT, source })?;
        if ended.is_success() {
            return Ok(());
        }
        let said = ended.last_lines(1).pop().unwrap_or_else(|| ended.how());
        Err(TmuxError::Refused { what: WHAT, said })
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let program = Program::new("tmux", self.program)
            .args(arguments)
            .deadline(self.deadline);
        match self.sockets {
            Some(sockets) => program.env("TMUX_TMPDIR", sockets),
            None => program,
        }
    }

    async fn ask(&self, arguments: &[&str]) -> Result<Answer, TmuxError> {
        let list = self.program(arguments).run().await;
        let list = list.map_err(|source| TmuxError::Program { what: LIST, source })?;
        if list.is_success() && list.stdout_is_whole {
            return Ok(Answer::Listed(list.stdout));
        }
        let said = list.last_lines(1).pop().unwrap_or_else(|| list.how());
        // The socket was never there, or was left behind by a server that is gone. Any other trouble
        // with it, such as one that belongs to somebody else, shows nothing of sessions.
        let is_gone = said.starts_with("no server running")
            || said.starts_with("error connecting")
                && ["(No such file or directory)", "(Connection refused)"]
                    .iter()
                    .any(|why| said.contains(why));
        match said.as_str() {
            _ if is_gone => Ok(Answer::NoServer),
            "server exited unexpectedly" | "server exited" | "lost server" => Ok(Answer::Ending),
            _ => Err(TmuxError::Refused { what: LIST, said }),
        }
    }
}

const LIST: &str = "list the sessions";
