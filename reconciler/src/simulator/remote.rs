//! The Git remote: what was merged when, and what a server makes of it.

use std::path::PathBuf;
use std::rc::Rc;

use jiff::Timestamp;
use schema::fleet::Fleet;

use super::time::Moment;
use crate::state::force::History;
use crate::state::{CommitId, SignatureFault, StateError, Summary};
use crate::world::CommitLine;

/// A commit of the state repo.
#[derive(Debug, Clone)]
pub struct Commit {
    /// When the branch is set to it.
    pub at: Moment,
    /// The commit that it builds on, by its number; none for the first of a history.
    pub parent: Option<usize>,
    /// The first line of its message.
    pub subject: String,
    /// Who signed it.
    pub signer: Signer,
    /// What it says, or what is wrong with it.
    pub fleet: Result<Rc<Fleet>, String>,
}

/// Who signed a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signer {
    /// Somebody whom the servers know.
    #[default]
    Known,
    /// Somebody whom they do not.
    Stranger,
    /// Nobody.
    Nobody,
}

/// The branch on the remote.
#[derive(Debug)]
pub(super) struct Remote {
    /// All commits, in the order in which the branch was set to them.
    pub commits: Vec<Commit>,
    /// Where the branch is.
    pub head: Option<usize>,
    /// Whether the servers take signed commits only.
    pub signers: bool,
    /// The commits' names.
    ids: Vec<CommitId>,
}

impl Remote {
    /// An empty branch that will be set to these commits.
    pub(super) fn new(commits: Vec<Commit>, signers: bool) -> Self {
        // Made up, since nothing is hashed here.
        let name = |number| format!("{:04x}{:036}", number + 1, 0).parse().ok();
        Self {
            ids: (0..commits.len()).filter_map(name).collect(),
            commits,
            head: None,
            signers,
        }
    }

    /// A commit's name and subject.
    #[must_use]
    pub(super) fn line(&self, number: usize) -> CommitLine {
        let commit = self.commits.get(number);
        let id = self.ids.get(number).map(|id| id.as_str().to_owned());
        CommitLine {
            id: id.unwrap_or_default(),
            subject: commit.map_or_else(String::new, |commit| commit.subject.clone()),
        }
    }

    /// The commit of this name.
    #[must_use]
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        usize::from_str_radix(id.get(..4)?, 16)
            .ok()?
            .checked_sub(1)
            .filter(|number| *number < self.commits.len())
    }

    /// A commit and those that it builds on, newest first.
    fn line_of(&self, commit: usize) -> impl Iterator<Item = usize> {
        let parent = |number: &usize| self.commits.get(*number).and_then(|commit| commit.parent);
        // A history cannot be longer than there are commits.
        std::iter::successors(Some(commit), parent).take(self.commits.len())
    }

    /// What a commit and those that it builds on say of the fleet, oldest first, each with the time at which it was made.
    #[must_use]
    pub(super) fn history(&self, commit: usize) -> Vec<(Timestamp, Rc<Fleet>)> {
        let said = self.line_of(commit).filter_map(|number| {
            let commit = self.commits.get(number)?;
            Some((
                commit.at.timestamp(),
                Rc::clone(commit.fleet.as_ref().ok()?),
            ))
        });
        let mut said: Vec<_> = said.collect();
        said.reverse();
        said
    }

    /// Whether a commit is another one or builds on it.
    #[must_use]
    pub(super) fn builds_on(&self, commit: usize, other: usize) -> bool {
        self.line_of(commit).any(|number| number == other)
    }

    /// The first of the new commits on which a commit builds that a known hand did not sign.
    #[must_use]
    pub(super) fn foreign(&self, commit: usize, since: Option<usize>) -> Option<usize> {
        let new = self
            .line_of(commit)
            .take_while(|number| Some(*number) != since);
        let bad = |number: &usize| {
            let commit = self.commits.get(*number);
            commit.is_none_or(|commit| commit.signer != Signer::Known)
        };
        // The first time, the tip alone.
        new.take(if since.is_none() { 1 } else { usize::MAX })
            .find(bad)
    }

    /// The name by which the production code knows a commit.
    #[must_use]
    pub(super) fn id(&self, number: usize) -> Option<CommitId> {
        self.ids.get(number).cloned()
    }

    fn number(&self, commit: &CommitId) -> Result<usize, StateError> {
        self.find(commit.as_str())
            .ok_or_else(|| StateError::CommitMissing {
                commit: commit.clone(),
                path: PathBuf::from("state.git"),
            })
    }
}

impl History for Remote {
    fn describe(&self, commit: &CommitId) -> Result<Summary, StateError> {
        let number = self.number(commit)?;
        let at = self.commits.get(number).map(|commit| commit.at);
        Ok(Summary {
            short: commit.short().to_owned(),
            subject: self.line(number).subject,
            author: "Ada <ada@musterstadt.example>".to_owned(),
            time: at.unwrap_or_default().timestamp(),
            id: commit.clone(),
        })
    }

    fn builds_on(&self, commit: &CommitId, other: &CommitId) -> Result<bool, StateError> {
        let (commit, other) = (self.number(commit)?, self.number(other)?);
        Ok(commit != other && Self::builds_on(self, commit, other))
    }

    fn are_related(&self, one: &CommitId, other: &CommitId) -> bool {
        let (Ok(one), Ok(other)) = (self.number(one), self.number(other)) else {
            return false;
        };
        self.line_of(one)
            .any(|number| Self::builds_on(self, other, number))
    }

    fn new_since(
        &self,
        tip: &CommitId,
        since: &CommitId,
        most: usize,
    ) -> Result<Vec<CommitId>, StateError> {
        let (tip, since) = (self.number(tip)?, self.number(since)?);
        let new = self
            .line_of(tip)
            .filter(|number| !Self::builds_on(self, since, *number))
            .filter_map(|number| self.id(number));
        let mut new: Vec<CommitId> = new.collect();
        new.reverse();
        new.truncate(most);
        Ok(new)
    }

    fn fault(&self, commit: &CommitId) -> Result<Option<SignatureFault>, StateError> {
        let number = self.number(commit)?;
        let signer = self.commits.get(number).map(|commit| commit.signer);
        Ok(match signer.unwrap_or(Signer::Nobody) {
            Signer::Known => None,
            Signer::Nobody => Some(SignatureFault::Unsigned),
            Signer::Stranger => Some(SignatureFault::UnknownKey {
                fingerprint: "SHA256:stranger".to_owned(),
                signers: PathBuf::from("/etc/linuxmuster/reconciler.signers"),
            }),
        })
    }
}
