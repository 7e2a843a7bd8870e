//! The state repo, as this server sees it: a bare clone that only ever fetches.
//!
//! * Nothing is checked out, no hook runs, nobody is asked for a password, and no Git
//!   configuration but the clone's own has a say.
//! * [`Cache::fetch`] only brings commits; whether one may be applied is for [`Cache::accept`]:
//!   never one that is not a descendant of the last one applied and, where signers are configured,
//!   never one that was not signed by one of them.
//! * Whatever goes wrong is told apart ([`StateError`], [`Refusal`]); an unreachable remote leaves
//!   the commits fetched before as usable as they were.
//!
//! Everything here blocks: call it from a thread that may.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use git2::Oid;
use serde::{Deserialize, Serialize};

mod accept;
mod base64;
mod clone;
mod error;
mod fetch;
pub mod force;
mod program;
mod remote;
mod signature;
#[cfg(test)]
mod tests;
mod tree;
mod trust;

pub use accept::{Refusal, Relation};
pub use error::{HostKey, HostKeyProblem, StateError};
pub use program::ProgramError;
pub use remote::{Credentials, Place, Remote, redact};
pub use signature::{BadSignature, SignatureFault, Signers, SignersProblem};
pub use tree::{Files, TreeProblem};

/// The clone's only reference: the tip that was fetched last.
const TIP: &str = "refs/heads/state";

/// A commit, by its full SHA-1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

impl CommitId {
    /// The 40 lower-case hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }

    fn from_oid(oid: Oid) -> Self {
        Self(oid.to_string())
    }

    fn oid(&self) -> Oid {
        Oid::from_str(&self.0).unwrap_or(Oid::ZERO_SHA1)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the name of a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a commit: 40 lower-case hexadecimal digits are expected")]
pub struct NotACommitId;

impl FromStr for CommitId {
    type Err = NotACommitId;

    fn from_str(text: &str) -> Result<Self, NotACommitId> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for CommitId {
    type Error = NotACommitId;

    fn try_from(text: String) -> Result<Self, NotACommitId> {
        let digits = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits && text.len() == 40 {
            Ok(Self(text))
        } else {
            Err(NotACommitId)
        }
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.0
    }
}

/// What people want to know of a commit. All text is one line without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The commit.
    pub id: CommitId,
    /// The first ten digits of its name.
    pub short: String,
    /// The first line of its message, at most 200 characters.
    pub subject: String,
    /// `Name <mail>` of the author.
    pub author: String,
    /// When it was committed, by the committer's clock.
    pub time: jiff::Timestamp,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id: _,
            short,
            subject,
            author,
            time: _,
        } = self;
        write!(f, "{short} \"{subject}\" by {author}")
    }
}

/// A clone that was damaged and moved out of the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, reason } = self;
        write!(
            f,
            "the clone of the state repo was damaged ({reason}); it was moved to {} and is made \
             anew; nothing is lost, that folder may be deleted",
            path.display()
        )
    }
}

/// The bare clone of the state repo.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
    set_aside: Option<SetAside>,
}

impl Cache {
    /// Opens the clone in `dir`, and makes an empty one where there is none. A damaged one is
    /// renamed to `<dir>.damaged` (see [`Self::set_aside`]) and made anew.
    ///
    /// # Errors
    /// [`StateError::Foreign`] when `dir` holds anything but such a clone; [`StateError::Disk`];
    /// [`StateError::Busy`] when another process writes to it for more than ten seconds.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        clone::open(dir)
    }

    /// The folder of the clone.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The damaged clone that [`Self::open`] moved out of the way, to be reported.
    #[must_use]
    pub const fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// The tip that was fetched last, of whatever remote; `None` before the first fetch.
    ///
    /// # Errors
    /// [`StateError::Damaged`].
    pub fn tip(&self) -> Result<Option<CommitId>, StateError> {
        match self.repo()?.refname_to_id(TIP) {
            Ok(tip) => Ok(Some(CommitId::from_oid(tip))),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.damaged(TIP, error)),
        }
    }

    /// Fetches the branch and returns its tip. Commits fetched before stay.
    ///
    /// # Errors
    /// Every variant but [`StateError::Tree`]; [`StateError::is_unreachable`] tells those that
    /// pass by themselves.
    pub fn fetch(&self, remote: &Remote) -> Result<CommitId, StateError> {
        fetch::fetch(self, remote)
    }

    /// The YAML and iCalendar files (`.yaml`, `.yml`, `.ics`) of one commit.
    ///
    /// # Errors
    /// [`StateError::Tree`] with every path that is a symbolic link, a submodule, malformed or too
    /// large; [`StateError::CommitMissing`]; [`StateError::Damaged`].
    pub fn read(&self, commit: &CommitId) -> Result<Files, StateError> {
        tree::read(self, commit, tree::Limits::DEFAULT)
    }

    /// Whether `tip` may be applied after `last_applied` (`None`: nothing was applied yet).
    ///
    /// With signers, each commit that is new, those on merged branches too, must be signed by one
    /// of them; the first time, and when nothing is new, the tip alone.
    ///
    /// # Errors
    /// The reason, which is also written for people.
    pub fn accept(
        &self,
        tip: &CommitId,
        last_applied: Option<&CommitId>,
        signers: Option<&Signers>,
    ) -> Result<(), Refusal> {
        accept::accept(self, tip, last_applied, signers)
    }

    /// The commits that the branch was at, as far as can be told: `tip` and its first parents, newest first, each with
    /// its committer's time. It ends with the first one that was made before `since`, or with the root.
    ///
    /// # Errors
    /// [`StateError::CommitMissing`]; [`StateError::Damaged`].
    pub fn first_parents(
        &self,
        tip: &CommitId,
        since: jiff::Timestamp,
    ) -> Result<Vec<(CommitId, jiff::Timestamp)>, StateError> {
        let repo = self.repo()?;
        let mut commit = self.commit(&repo, tip)?;
        let mut found = Vec::new();
        loop {
            let id = CommitId::from_oid(commit.id());
            let at = time_of(&commit);
            found.push((id.clone(), at));
            let parent = match commit.parent(0) {
                _ if at < since => break,
                Ok(parent) => parent,
                Err(error) if error.code() == git2::ErrorCode::NotFound => break,
                Err(error) => return Err(self.damaged(format!("the parent of {id}"), error)),
            };
            commit = parent;
        }
        Ok(found)
    }

    /// Subject, author and time of a commit.
    ///
    /// # Errors
    /// [`StateError::CommitMissing`]; [`StateError::Damaged`].
    pub fn describe(&self, commit: &CommitId) -> Result<Summary, StateError> {
        let repo = self.repo()?;
        let found = self.commit(&repo, commit)?;
        Ok(summary(&found))
    }
}

fn summary(commit: &git2::Commit<'_>) -> Summary {
    let id = CommitId::from_oid(commit.id());
    let text = |bytes: &[u8]| plain_line(&String::from_utf8_lossy(bytes));
    let author = commit.author();
    Summary {
        short: id.short().to_owned(),
        subject: text(commit.summary_bytes().unwrap_or_default()),
        author: format!(
            "{} <{}>",
            text(author.name_bytes()),
            text(author.email_bytes())
        ),
        time: time_of(commit),
        id,
    }
}

fn time_of(commit: &git2::Commit<'_>) -> jiff::Timestamp {
    jiff::Timestamp::from_second(commit.time().seconds()).unwrap_or_default()
}

/// One line of at most 200 characters that no terminal takes for commands.
fn plain_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.trim().chars().take(200).map(shown).collect()
}
