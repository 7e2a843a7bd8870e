//! Which commit is in force: decided here for whatever knows the commits, be it the clone or a
//! world in memory.
//!
//! # Invariants
//!
//! Only a descendant of the commit applied last is taken and, where signers are configured, only
//! when every new commit is signed by one of them. Every doubt is a refusal. Whatever is wrong with
//! the newest commit, the one applied last stays in force, and what is wrong is said.

use super::accept::{Refusal, Relation};
use super::error::StateError;
use super::signature::{BadSignature, SignatureFault};
use super::{CommitId, Summary};
use crate::world::{CommitLine, Problem};

/// More new commits than this at once are not checked one by one.
pub(super) const COMMITS: usize = 10_000;

/// What is asked of those who know the commits.
pub trait History {
    /// What people want to know of a commit.
    ///
    /// # Errors
    ///
    /// [`StateError::CommitMissing`] when it is not there; whatever keeps it from being read.
    fn describe(&self, commit: &CommitId) -> Result<Summary, StateError>;

    /// Whether a commit has another one, not itself, among those that it builds on.
    ///
    /// # Errors
    ///
    /// When that could not be found out.
    fn builds_on(&self, commit: &CommitId, other: &CommitId) -> Result<bool, StateError>;

    /// Whether both build on some commit.
    fn are_related(&self, one: &CommitId, other: &CommitId) -> bool;

    /// The commits that `tip` builds on, with itself, and `since` does not; oldest first, cut off
    /// after `most`.
    ///
    /// # Errors
    ///
    /// When that could not be found out.
    fn new_since(
        &self,
        tip: &CommitId,
        since: &CommitId,
        most: usize,
    ) -> Result<Vec<CommitId>, StateError>;

    /// What is wrong with a commit's signature; none when all is well.
    ///
    /// # Errors
    ///
    /// When that could not be found out.
    fn fault(&self, commit: &CommitId) -> Result<Option<SignatureFault>, StateError>;
}

/// Whether `tip` may be applied after `last_applied` (none: nothing was applied yet).
///
/// # Errors
///
/// The reason, which is also written for people.
pub fn decide(
    history: &impl History,
    tip: &CommitId,
    last_applied: Option<&CommitId>,
    must_be_signed: bool,
) -> Result<(), Refusal> {
    let described = history.describe(tip)?;
    if let Some(last_applied) = last_applied.filter(|last| *last != tip) {
        let last = match history.describe(last_applied) {
            Ok(last) => last,
            Err(StateError::CommitMissing { .. }) => {
                return Err(Refusal::HistoryLost {
                    tip: Box::new(described),
                    last_applied: last_applied.clone(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        if !history.builds_on(tip, last_applied)? {
            let relation = if history.builds_on(last_applied, tip)? {
                Relation::Older
            } else if history.are_related(tip, last_applied) {
                Relation::Diverged
            } else {
                Relation::Unrelated
            };
            return Err(Refusal::NotADescendant {
                tip: Box::new(described),
                last_applied: Box::new(last),
                relation,
            });
        }
    }
    if !must_be_signed {
        return Ok(());
    }
    let mut commits = match last_applied {
        Some(last_applied) => history.new_since(tip, last_applied, COMMITS + 1)?,
        None => Vec::new(),
    };
    if commits.len() > COMMITS {
        let tip = Box::new(described);
        return Err(Refusal::TooManyCommits { tip });
    }
    // Promise: no commit is applied that is not signed, so the tip is judged in any case.
    if commits.is_empty() {
        commits.push(tip.clone());
    }
    let mut bad = Vec::new();
    for id in commits {
        if let Some(fault) = history.fault(&id)? {
            let commit = history.describe(&id)?;
            bad.push(BadSignature { commit, fault });
        }
    }
    if bad.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Signatures { bad })
    }
}

/// Why there is no newest commit to judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfetched {
    /// What is wrong, for people.
    pub why: String,
    /// Whether it passes without anybody having to act on this server.
    pub passes: bool,
}

/// What is in force: the newest commit when it may be applied and can be used, otherwise the one
/// applied last; and all that is wrong on the way.
pub fn in_force<T>(
    newest: Result<CommitId, Unfetched>,
    applied: Option<&CommitId>,
    accept: impl FnOnce(&CommitId) -> Result<(), Refusal>,
    load: impl Fn(&CommitId) -> Result<T, String>,
) -> (Option<T>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut say = |is_failure, text: String| problems.push(Problem { is_failure, text });
    let stay = if applied.is_some() {
        "\nthe last good commit stays in force"
    } else {
        ""
    };
    let loaded = match newest {
        Err(Unfetched { why, passes }) => {
            say(!passes || applied.is_none(), format!("{why}{stay}"));
            None
        }
        Ok(tip) => {
            let taken = accept(&tip).map_err(|refusal| chain(&refusal));
            match taken.and_then(|()| load(&tip)) {
                Ok(loaded) => Some(loaded),
                Err(text) => {
                    say(true, format!("{}{stay}", text.trim_end()));
                    None
                }
            }
        }
    };
    let loaded = loaded.or_else(|| match load(applied?) {
        Ok(loaded) => Some(loaded),
        Err(text) => {
            say(
                true,
                format!("the commit applied last cannot be used either\n{text}"),
            );
            None
        }
    });
    (loaded, problems)
}

/// Says that a commit does not validate, with `errors` as they are shown to people.
#[must_use]
pub fn not_valid(commit: &CommitLine, errors: &str) -> String {
    format!(
        "commit {} \u{201c}{}\u{201d} does not validate\n{errors}",
        commit.short(),
        commit.subject,
    )
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
