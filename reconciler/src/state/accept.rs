//! Whether a fetched commit may be applied: fast-forward only and, where signers are configured,
//! signed by one of them. Every doubt is a refusal.

use super::error::StateError;
use super::program::ProgramError;
use super::signature::{self, BadSignature, Signers, SignersProblem};
use super::{Cache, CommitId, Summary, summary};

/// More new commits than this at once are not checked one by one.
const COMMITS: usize = 10_000;
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
    let repo = cache.repo()?;
    let tip_commit = cache.commit(&repo, tip)?;
    let signers = signers.map(Signers::load).transpose()?;

    if let Some(last_applied) = last_applied.filter(|last| *last != tip) {
        let last_commit = match cache.commit(&repo, last_applied) {
            Ok(commit) => commit,
            Err(StateError::CommitMissing { .. }) => {
                return Err(Refusal::HistoryLost {
                    tip: Box::new(summary(&tip_commit)),
                    last_applied: last_applied.clone(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let (new, old) = (tip_commit.id(), last_commit.id());
        let damaged = |error| cache.damaged("history", error);
        if !repo.graph_descendant_of(new, old).map_err(damaged)? {
            let relation = if repo.graph_descendant_of(old, new).map_err(damaged)? {
                Relation::Older
            } else if repo.merge_base(new, old).is_ok() {
                Relation::Diverged
            } else {
                Relation::Unrelated
            };
            return Err(Refusal::NotADescendant {
                tip: Box::new(summary(&tip_commit)),
                last_applied: Box::new(summary(&last_commit)),
                relation,
            });
        }
    }

    let Some(signers) = signers else {
        return Ok(());
    };
    let mut commits = Vec::new();
    if let Some(last_applied) = last_applied {
        for id in cache.history(&repo, tip_commit.id(), Some(last_applied.oid()))? {
            commits.push(id.map_err(|error| cache.damaged("history", error))?);
            if commits.len() > COMMITS {
                let tip = Box::new(summary(&tip_commit));
                return Err(Refusal::TooManyCommits { tip });
            }
        }
    }
    // Promise: no commit is applied that is not signed, so the tip is judged in any case.
    if commits.is_empty() {
        commits.push(tip_commit.id());
    }
    let mut bad = Vec::new();
    for id in commits {
        let commit = cache.commit(&repo, &CommitId::from_oid(id))?;
        if let Some(fault) = signature::judge(cache, &repo, &commit, &signers)? {
            bad.push(BadSignature {
                commit: summary(&commit),
                fault,
            });
        }
    }
    if bad.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Signatures { bad })
    }
}
