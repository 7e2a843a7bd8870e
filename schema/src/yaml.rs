//! YAML into a tree of values that know their place, and nothing else: no scalar is ever
//! interpreted here, so `no`, `1.10`, `010` or `12:30:00` stay what was typed and a document's
//! types decide what they mean.
//!
//! Stricter than YAML on purpose: one document a file, keys are text and are given once, no tags,
//! no merge keys, no directives. Anchors and aliases work, within the [`Budget`]. Every input,
//! however large, deep or broken, ends quickly in a tree or in diagnostics, never in a panic.

use crate::diagnostic::{Diagnostic, Span};

mod build;
mod syntax;
#[cfg(test)]
mod tests;

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is written; for an alias, where the alias is.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// The three kinds of value that YAML has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A piece of text.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in the order of the file. No two keys have the same text.
    Mapping(Vec<Entry>),
}

/// A piece of text, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The raw characters of a plain scalar; the content of a quoted or block scalar.
    pub text: String,
    /// Whether it was written without quotes, and not as a block.
    pub plain: bool,
}

impl Scalar {
    /// Whether YAML takes it for no value at all: nothing, `~` or `null`, unquoted.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Its value.
    pub value: Node,
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it is written.
    pub span: Span,
    /// Its text.
    pub scalar: Scalar,
}

impl Node {
    /// Whether it is no value at all, see [`Scalar::is_null`].
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// The entry of a mapping that has this key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key.scalar.text == key),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }
}

/// What a file may cost at most. Beyond it a file is refused, with a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Size of the file in bytes.
    pub bytes: usize,
    /// Lists and mappings inside each other.
    pub depth: usize,
    /// What all anchors and aliases together stand for: bytes of text, and [`NODE_COST`] for each value.
    pub aliases: usize,
}

/// What a value costs besides its text when an alias repeats it.
pub const NODE_COST: usize = 32;

impl Default for Budget {
    /// Far above any file that a person maintains.
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            depth: 64,
            aliases: 4 << 20,
        }
    }
}

/// What could be read of a text.
#[derive(Debug)]
pub struct Parsed {
    /// The document without what the diagnostics complain about; nothing if it is empty or its
    /// syntax is broken.
    pub node: Option<Node>,
    /// What is wrong, in the order of the places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the one document of a text; `None` if there is nothing in it but comments.
///
/// # Errors
/// Everything that is wrong with the text, each with its place.
pub fn parse(file: &str, text: &str) -> Result<Option<Node>, Vec<Diagnostic>> {
    let Parsed { node, diagnostics } = parse_within(file, text, Budget::default());
    if diagnostics.is_empty() {
        Ok(node)
    } else {
        Err(diagnostics)
    }
}

/// Reads the one document of a text as far as that is possible.
///
/// A key that is given twice, a tag, a merge key, a key that is not text and a second document are
/// reported and left out; the rest is there, so that what is wrong with it is found as well.
pub fn parse_within(file: &str, text: &str, budget: Budget) -> Parsed {
    if text.len() > budget.bytes {
        let message = format!(
            "this file has {} bytes; at most {} are read",
            text.len(),
            budget.bytes
        );
        let diagnostic = Diagnostic::error("too-large", file, Span::START, message)
            .with_hint("split it into several files");
        return Parsed {
            node: None,
            diagnostics: vec![diagnostic],
        };
    }
    build::tree(file, text, budget)
}

/// A piece of a file inside a message: in backquotes, on one line, and not too long.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.replace(['\n', '\r', '\t'], " "))
}
