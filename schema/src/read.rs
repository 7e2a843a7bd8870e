//! A file into a typed document, with everything that is wrong with it found in one run.
//!
//! Documents are plain structs with derived `Deserialize` whose fields are [`At`]: a value that
//! cannot be read is recorded with its place, its field holds nothing, and reading goes on. Without
//! an `At` around it a value that cannot be read takes the value around it along, up to the next
//! `At` or the document.
//!
//! What is read is what was typed. Text is taken verbatim (`no`, `1.10` and `010` stay as they
//! are), a truth value is `true` or `false`, a number is decimal digits, and nothing is made of a
//! key without a value: it is an error, so an optional field is `#[serde(default)] x: At<T>`
//! rather than `At<Option<T>>`. What a newtype says about a text that it refuses is the message; what
//! it says after a line break is the hint. Unknown keys are always errors. Not for `flatten`, `untagged` and
//! internally tagged enums, which lose the places.

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Span, sort};
use crate::yaml::{self, Budget, Node};

mod access;
mod at;
mod error;
mod many;
mod number;
mod scope;
#[cfg(test)]
mod tests;
mod value;
mod word_or;

pub use at::At;
pub use many::{Map, OneOrMany};
pub use word_or::WordOr;

/// Reads a document from the text of a file: [`yaml::parse_within`], then [`document`].
///
/// The diagnostics are in the order of their places. The document is there if its outermost
/// mapping could be read, however much is wrong inside; it may be used for further checks, but for
/// work only if no diagnostic is an error.
pub fn text<T: DeserializeOwned>(file: &str, text: &str) -> (Option<T>, Vec<Diagnostic>) {
    let parsed = yaml::parse_within(file, text, Budget::default());
    let mut diagnostics = parsed.diagnostics;
    let Some(node) = parsed.node else {
        if diagnostics.is_empty() {
            diagnostics.push(
                Diagnostic::error("empty-file", file, Span::START, "this file has no content")
                    .with_hint("write `{}` if everything is to have its default"),
            );
        }
        return (None, diagnostics);
    };
    let (document, more) = self::document(file, &node);
    diagnostics.extend(more);
    sort(&mut diagnostics);
    (document, diagnostics)
}

/// Reads a document from a tree of values; what is wrong is in the order of the places.
pub fn document<T: DeserializeOwned>(file: &str, node: &Node) -> (Option<T>, Vec<Diagnostic>) {
    let scope = scope::Open::new(file);
    let reader = value::Reader::document(node);
    let place = reader.place;
    let document = match T::deserialize(reader) {
        Ok(document) => Some(document),
        Err(error) => {
            scope::record(error.problem(), place.span);
            None
        }
    };
    (document, scope.close())
}
