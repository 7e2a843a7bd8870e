//! The port: everything that the engine asks of the world, in two traits.
//!
//! A dry run is handed [`Senses`] alone, so the type checker proves that it changes nothing.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use schema::name::HostName;

use crate::linbo::verdict::HostOutcome;
use crate::planning::{Desired, Observed, Record, Running, Step};

/// What is to be made true, and how that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The state of the newest commit that is valid and accepted; none when there has never been one.
    pub desired: Option<Arc<Desired>>,
    /// The commit that it comes from.
    pub commit: Option<CommitLine>,
    /// What is wrong: the remote is down, a newer commit is not valid or not accepted. Each is a text
    /// for people of one or more lines.
    pub problems: Vec<Problem>,
}

/// A commit, for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CommitLine {
    /// Its full id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
}

impl CommitLine {
    /// The first digits of its id.
    #[must_use]
    pub fn short(&self) -> &str {
        self.id.get(..9).unwrap_or(&self.id)
    }
}

/// Something wrong with the state repo, or with the files that the settings name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Whether the pass has failed because of it. A remote that is down for a while is no failure.
    pub is_failure: bool,
    /// What is wrong, for people.
    pub text: String,
}

/// Something that happens while a step is performed.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A host was admitted to its circuits: from now on it counts as on.
    Admitted(HostName),
    /// The outcome of one host.
    Host(HostName, HostOutcome),
    /// Bytes moved so far, of how many, and bytes per second lately.
    Bytes {
        /// So far.
        done: u64,
        /// In all.
        total: u64,
        /// Lately, per second.
        per_second: u64,
    },
    /// A line for people who watch.
    Note(String),
}

/// Why a step did not end well.
#[derive(Debug)]
pub enum Failure {
    /// It stopped at a safe point, to go on later.
    Paused,
    /// It failed.
    Failed {
        /// What failed, where and why, with causes.
        error: anyhow::Error,
        /// The last lines of what programs said.
        evidence: Vec<String>,
    },
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed {
            error,
            evidence: Vec::new(),
        }
    }
}

/// A letter to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Whom it is for.
    pub readers: Readers,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub body: String,
}

/// Whom a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The fleet's administrators and the school's contact.
    Administrators,
    /// The school's contact; the administrators where there is none.
    Staff,
}

/// What may be read of the world.
pub trait Senses {
    /// What is to be made true.
    fn target(&self) -> impl Future<Output = Target>;

    /// The clock.
    fn now(&self) -> Timestamp;

    /// A clock that nobody can set: two looks at it tell how much time has gone by.
    fn instant(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Lets time go by. A world with a time of its own has its own way to.
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(span)
    }

    /// What is true now. What cannot be seen is part of the observation.
    fn observe(&self, desired: &Desired, running: &[Running]) -> impl Future<Output = Observed>;
}

/// What may be done to the world.
pub trait Hands {
    /// Performs one step. Dropping the future must be safe at every await.
    ///
    /// # Errors
    ///
    /// When its effect is not there, or not all of it.
    fn perform(
        &self,
        step: &Step,
        tell: &mut dyn FnMut(Progress),
    ) -> impl Future<Output = Result<(), Failure>>;

    /// Writes one record into the journal; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it could not be made durable. Nothing may be begun then.
    fn record(&self, record: &Record) -> Result<(), anyhow::Error>;

    /// Hands a letter to the mail relay.
    ///
    /// # Errors
    ///
    /// When the relay did not take it; it is tried again with the next pass.
    fn send(&self, letter: &Letter) -> impl Future<Output = Result<(), anyhow::Error>>;

    /// Puts the calendar of what is coming where staff can fetch it. One that says the same already is left as it is.
    ///
    /// # Errors
    ///
    /// When it could not be written; the one before is still there then.
    fn publish(&self, calendar: &str) -> Result<(), anyhow::Error>;
}
