//! Whether a fetched commit may be applied: fast-forward only and, where signers are configured,
//! signed by one of them. Every doubt is a refusal.

use git2::Repository;

use super::error::StateError;
use super::force::{COMMITS, History, decide};
use super::program::ProgramError;
use super::signature::{
    self, BadSignature, LoadedSigners, SignatureFault, Signers, SignersProblem,
};
use super::{Cache, CommitId, Summary, summary};

const SHOWN: usize = 10;

/// Why a commit is not applied. What was applied before stays in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The branch does not continue what was applied.
    #[error(
        "the branch is at {tip}, which does not build on {last_applied}, the commit applied last: \
         {}", relation_text(*.relation)
    )]
    NotADescendant {
        /// The tip of the branch.
        tip: Box<Summary>,
        /// The commit applied last.
        last_applied: Box<Summary>,
        /// How the two relate.
        relation: Relation,
    },
    /// The commit applied last exists no more.
    #[error(
        "the branch is at {tip}, and {last_applied}, the commit applied last, is not in the repo \
         any more: its history was rewritten, or the settings name another repo; put that commit \
         back, or, if this is intended, tell this server to start from the new history"
    )]
    HistoryLost {
        /// The tip of the branch.
        tip: Box<Summary>,
        /// The commit applied last.
        last_applied: CommitId,
    },
    /// The allowed-signers file cannot be used, so nothing can be accepted.
    #[error("no commit is accepted, because the allowed-signers file {0}")]
    Signers(#[from] SignersProblem),
    /// New commits are not signed as they must be.
    #[error("{}", bad_text(.bad))]
    Signatures {
        /// Every such commit, oldest first.
        bad: Vec<BadSignature>,
    },
    /// Too many commits to check.
    #[error(
        "the branch is at {tip} and has more than {COMMITS} new commits: this is not a state \
         repo's way; check the branch in the settings"
    )]
    TooManyCommits {
        /// The tip of the branch.
        tip: Box<Summary>,
    },
    /// It could not be found out.
    #[error("it could not be found out whether the new commit may be applied")]
    Unchecked(#[from] StateError),
}

impl From<ProgramError> for Refusal {
    fn from(error: ProgramError) -> Self {
        Self::Unchecked(error.into())
    }
}

/// How a tip that is no descendant relates to the commit applied last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The tip is an ancestor: the branch was set back.
    Older,
    /// Both have an ancestor in common: history was rewritten.
    Diverged,
    /// Nothing in common.
    Unrelated,
}

const fn relation_text(relation: Relation) -> &'static str {
    match relation {
        Relation::Older => {
            "the branch was set back to an older commit; to undo a change, revert it with a new \
             commit (git revert) and push that"
        }
        Relation::Diverged => {
            "someone force-pushed, or the settings name the wrong branch; merge the commit applied \
             last into the branch and push that, or, if this is intended, tell this server to \
             start from the new history"
        }
        Relation::Unrelated => {
            "they have no history in common: the settings name the wrong repo or branch, or the \
             repo was made anew; correct the settings, or, if this is intended, tell this server \
             to start from the new history"
        }
    }
}

fn bad_text(bad: &[BadSignature]) -> String {
    let mut text = match bad.len() {
        1 => "a new commit is not signed as it must be: ".to_owned(),
        count => format!("{count} new commits are not signed as they must be: "),
    };
    let shown: Vec<_> = bad.iter().take(SHOWN).map(ToString::to_string).collect();
    text.push_str(&shown.join("; "));
    if let Some(more @ 1..) = bad.len().checked_sub(SHOWN) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

pub(super) fn accept(
    cache: &Cache,
    tip: &CommitId,
    last_applied: Option<&CommitId>,
    signers: Option<&Signers>,
) -> Result<(), Refusal> {
    let commits = Known {
        cache,
        repo: cache.repo()?,
        signers: signers.map(Signers::load).transpose()?,
    };
    decide(&commits, tip, last_applied, commits.signers.is_some())
}

/// The commits of the clone, judged by the signers of one moment.
struct Known<'a> {
    cache: &'a Cache,
    repo: Repository,
    signers: Option<LoadedSigners>,
}

impl Known<'_> {
    fn damaged(&self, error: git2::Error) -> StateError {
        self.cache.damaged("history", error)
    }
}

impl History for Known<'_> {
    fn describe(&self, commit: &CommitId) -> Result<Summary, StateError> {
        Ok(summary(&self.cache.commit(&self.repo, commit)?))
    }

    fn builds_on(&self, commit: &CommitId, other: &CommitId) -> Result<bool, StateError> {
        self.repo
            .graph_descendant_of(commit.oid(), other.oid())
            .map_err(|error| self.damaged(error))
    }

    fn are_related(&self, one: &CommitId, other: &CommitId) -> bool {
        self.repo.merge_base(one.oid(), other.oid()).is_ok()
    }

    fn new_since(
        &self,
        tip: &CommitId,
        since: &CommitId,
        most: usize,
    ) -> Result<Vec<CommitId>, StateError> {
        self.cache
            .history(&self.repo, tip.oid(), Some(since.oid()))?
            .take(most)
            .map(|id| {
                id.map(CommitId::from_oid)
                    .map_err(|error| self.damaged(error))
            })
            .collect()
    }

    fn fault(&self, commit: &CommitId) -> Result<Option<SignatureFault>, StateError> {
        let Some(signers) = &self.signers else {
            return Ok(None);
        };
        let commit = self.cache.commit(&self.repo, commit)?;
        signature::judge(self.cache, &self.repo, &commit, signers)
    }
}
