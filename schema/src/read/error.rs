//! Why a value could not be read.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::diagnostic::{Span, suggest};
use crate::yaml::quote;

/// A diagnostic in the making: the file is not known yet, and the place perhaps neither.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) at: Option<Span>,
}

impl Problem {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            at: None,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub(super) fn at(mut self, place: Span) -> Self {
        self.at.get_or_insert(place);
        self
    }

    pub(super) fn unknown_key(key: &str, accepted: &'static [&'static str]) -> Self {
        Self::new("unknown-key", format!("unknown key {}", quote(key))).hint(meant(
            key,
            accepted,
            "the keys here are",
        ))
    }

    fn unknown_word(word: &str, accepted: &'static [&'static str]) -> Self {
        let message = match accepted {
            [] => format!("unknown word {}", quote(word)),
            _ => format!("expected {}, found {}", one_of(accepted), quote(word)),
        };
        Self::new("unknown-word", message).suggesting(word, accepted)
    }

    fn suggesting(self, word: &str, accepted: &'static [&'static str]) -> Self {
        match suggest(word, accepted.iter().copied()) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// "did you mean" or, if nothing is near, the whole list.
fn meant(word: &str, accepted: &'static [&'static str], list: &str) -> String {
    match suggest(word, accepted.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if accepted.is_empty() => "no keys are expected here".into(),
        None => format!("{list} {}", listed(accepted, "and")),
    }
}

/// The words as "`a`, `b` or `c`".
pub(super) fn one_of(words: &[&str]) -> String {
    listed(words, "or")
}

/// The words as "`a`, `b` and `c`".
pub(super) fn listed(words: &[&str], last: &str) -> String {
    match words {
        [] => "nothing".into(),
        [word] => format!("`{word}`"),
        [words @ .., word] => format!("`{}` {last} `{word}`", words.join("`, `")),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The error type of the deserializer. Its `source` is the [`Problem`], so that code that knows
/// only `D::Error` finds it.
#[derive(Debug)]
pub(super) struct Error(Box<Problem>);

impl Error {
    pub(super) fn problem(&self) -> &Problem {
        &self.0
    }

    /// The same, with a place if it had none.
    pub(super) fn at(mut self, place: Span) -> Self {
        self.0.at.get_or_insert(place);
        self
    }
}

/// The problem behind an error, if it is one of ours.
pub(super) fn problem_of(error: &(impl std::error::Error + ?Sized)) -> Option<&Problem> {
    error.source().and_then(|source| source.downcast_ref())
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        match text.split_once('\n') {
            Some((message, hint)) => Problem::new("invalid-value", message).hint(hint).into(),
            None => Problem::new("invalid-value", text).into(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("expected {expected}, found {}", in_words(found));
        Problem::new("wrong-kind", message).into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let message = format!("expected {expected}, found {}", in_words(found));
        Problem::new("invalid-value", message).into()
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let message = format!("expected {expected}, found a list of {length}");
        Problem::new("wrong-kind", message).into()
    }

    fn unknown_variant(word: &str, accepted: &'static [&'static str]) -> Self {
        Problem::unknown_word(word, accepted).into()
    }

    fn unknown_field(key: &str, accepted: &'static [&'static str]) -> Self {
        Problem::unknown_key(key, accepted).into()
    }

    fn missing_field(key: &'static str) -> Self {
        Problem::new("missing-key", format!("missing key `{key}`")).into()
    }

    fn duplicate_field(key: &'static str) -> Self {
        Problem::new("duplicate-key", format!("the key `{key}` is given twice")).into()
    }
}

fn in_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("text {}", quote(text)),
        Unexpected::Char(text) => format!("text `{text}`"),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number {value}"),
        Unexpected::Signed(value) => format!("the number {value}"),
        Unexpected::Float(value) => format!("the number {value}"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map | Unexpected::StructVariant => "a mapping".into(),
        Unexpected::Unit | Unexpected::Option => "nothing".into(),
        other => other.to_string(),
    }
}
