//! The Git remote: what was merged when, and what a server makes of it.

use std::rc::Rc;

use schema::fleet::Fleet;

use super::time::Moment;
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
    /// What it says, or what is wrong with it.
    pub fleet: Result<Rc<Fleet>, String>,
}

/// The branch on the remote.
#[derive(Debug)]
pub(super) struct Remote {
    /// All commits, in the order in which the branch was set to them.
    pub commits: Vec<Commit>,
    /// Where the branch is.
    pub head: Option<usize>,
}

impl Remote {
    /// A commit's name: made up, since nothing is hashed here.
    #[must_use]
    pub(super) fn line(&self, number: usize) -> CommitLine {
        let subject = self
            .commits
            .get(number)
            .map(|commit| commit.subject.clone())
            .unwrap_or_default();
        CommitLine {
            id: format!("{:040x}", number + 1),
            subject,
        }
    }

    /// The commit of this name.
    #[must_use]
    pub(super) fn find(&self, id: &str) -> Option<usize> {
        usize::from_str_radix(id, 16)
            .ok()?
            .checked_sub(1)
            .filter(|number| *number < self.commits.len())
    }

    /// Whether a commit is another one or builds on it.
    #[must_use]
    pub(super) fn builds_on(&self, commit: usize, other: usize) -> bool {
        let parent = |number: &usize| self.commits.get(*number).and_then(|commit| commit.parent);
        // A history cannot be longer than there are commits.
        std::iter::successors(Some(commit), parent)
            .take(self.commits.len())
            .any(|number| number == other)
    }
}
