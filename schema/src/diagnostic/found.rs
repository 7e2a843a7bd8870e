//! What was found in one file, and not more of it than a person or the memory can take.

use super::{Diagnostic, sort};

/// How many diagnostics of one file are kept.
const MOST: usize = 1000;

/// The diagnostics of one file; from the thousandth on they are only counted.
#[derive(Debug, Default)]
pub(crate) struct Found {
    kept: Vec<Diagnostic>,
    more: usize,
}

impl Found {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.kept.len() < MOST {
            self.kept.push(diagnostic);
        } else {
            self.more += 1;
        }
    }

    /// The diagnostics in order and, if there were too many, one that says how many are left out.
    pub(crate) fn finish(self, file: &str) -> Vec<Diagnostic> {
        let Self { mut kept, more } = self;
        sort(&mut kept);
        if more > 0 {
            let message = format!("{more} further problems of this file are not shown");
            kept.push(Diagnostic::error("too-many-problems", file, None, message));
        }
        kept
    }
}
