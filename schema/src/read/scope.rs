//! What the values of the document that this thread reads at the moment report to.
//!
//! serde has no room for it in its traits, so it is thread-local: opened and closed by
//! [`Open`], also if reading panics, and independent of what other threads read.

use std::cell::RefCell;

use super::error::Problem;
use crate::diagnostic::{Diagnostic, Found, Span};

struct Scope {
    file: String,
    found: Found,
    /// The place to name for a key that is missing in the mapping being read.
    mapping: Span,
    /// The place of the value that is about to be read, for the `At` that reads it.
    value: Option<Span>,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Scope) -> R) -> Option<R> {
    SCOPE.with_borrow_mut(|scope| scope.as_mut().map(f))
}

/// The scope of one document, for as long as this value lives.
pub(super) struct Open {
    outer: Option<Scope>,
}

impl Open {
    pub(super) fn new(file: &str) -> Self {
        let scope = Scope {
            file: file.into(),
            found: Found::default(),
            mapping: Span::START,
            value: None,
        };
        Self {
            outer: SCOPE.replace(Some(scope)),
        }
    }

    pub(super) fn close(self) -> Vec<Diagnostic> {
        with(|scope| std::mem::take(&mut scope.found).finish(&scope.file)).unwrap_or_default()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        SCOPE.set(self.outer.take());
    }
}

/// Records a problem at its own place or, if it has none, at `otherwise`.
pub(super) fn record(problem: &Problem, otherwise: Span) {
    with(|scope| {
        let at = problem.at.unwrap_or(otherwise);
        scope.found.push(Diagnostic {
            hint: problem.hint.clone(),
            ..Diagnostic::error(
                problem.code,
                scope.file.as_str(),
                at,
                problem.message.as_str(),
            )
        });
    });
}

/// The place of the mapping being read.
pub(super) fn mapping() -> Span {
    with(|scope| scope.mapping).unwrap_or(Span::START)
}

/// Makes this the place of the mapping being read, and says which it was before.
pub(super) fn set_mapping(place: Span) -> Span {
    with(|scope| std::mem::replace(&mut scope.mapping, place)).unwrap_or(place)
}

/// Says where the value is that an `At` reads next.
pub(super) fn set_value(place: Span) {
    with(|scope| scope.value = Some(place));
}

/// Where the value is that an `At` reads now; nothing outside of a state-repo file.
pub(super) fn take_value() -> Option<Span> {
    with(|scope| scope.value.take()).flatten()
}
