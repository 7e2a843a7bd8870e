//! YAML into a tree of values that know their place, and nothing else: no scalar is ever
//! interpreted here, so `no`, `1.10`, `010` or `12:30:00` stay what was typed and a document's
//! types decide what they mean.
//!
//! Stricter than YAML on purpose: one document a file, keys are text and are given once, no tags,
//! no merge keys, no directives. Anchors and aliases work, within the [`Budget`]. Every input,
//! however large, deep or broken, ends quickly in a tree or in diagnostics, never in a panic.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle};

use crate::diagnostic::{Diagnostic, Span};

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
            bytes: 8 << 20,
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
    /// What is wrong, in the order in which it was found.
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
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_comments: false,
        flow_nesting_limit: budget.depth,
        block_nesting_limit: budget.depth,
    };
    let mut builder = Builder {
        file,
        budget,
        open: Vec::new(),
        root: None,
        documents: 0,
        anchors: HashMap::new(),
        aliased: 0,
        diagnostics: Vec::new(),
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                builder
                    .diagnostics
                    .push(syntax::diagnostic(file, text, &error));
                Err(Stop::Unreadable)
            }
        };
        match step {
            Ok(()) => {}
            Err(Stop::Enough) => break,
            Err(Stop::Unreadable) => {
                builder.root = None;
                break;
            }
        }
    }
    let node = builder.root.map(|built| built.node);
    Parsed {
        node: node.filter(|node| !node.is_null()),
        diagnostics: builder.diagnostics,
    }
}

/// Why no further event is read.
enum Stop {
    /// The rest is not wanted.
    Enough,
    /// The text makes no sense from here on.
    Unreadable,
}

/// A finished value with what it costs to repeat it.
#[derive(Clone)]
struct Built {
    node: Node,
    cost: usize,
    depth: usize,
}

/// A list or mapping whose end was not seen yet.
struct Open {
    start: Span,
    anchor: usize,
    cost: usize,
    depth: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Mapping(Vec<Entry>, Next),
}

/// What comes next in a mapping.
enum Next {
    Key,
    Value(Key),
    /// The value of a key that was refused.
    Dropped,
}

struct Builder<'a> {
    file: &'a str,
    budget: Budget,
    open: Vec<Open>,
    root: Option<Built>,
    documents: usize,
    anchors: HashMap<usize, Built>,
    aliased: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: granit_parser::Span) -> Result<(), Stop> {
        let span = span(at.start, at.end);
        if let Event::Scalar(_, _, _, Some(_))
        | Event::SequenceStart(_, _, Some(_))
        | Event::MappingStart(_, _, Some(_)) = &event
        {
            let tag = at
                .tag_span()
                .map_or(span, |tag| self::span(tag.start, tag.end));
            self.error("unsupported-tag", tag, "tags (`!…`) are not used here")
                .hint("remove the tag; put the value in quotes if it has to begin with `!`");
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.error("several-documents", span, "a second document begins here")
                        .hint(
                            "one file holds one document: move what follows into a file of its own",
                        );
                    return Err(Stop::Enough);
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                // The parser makes a `~` of a plain scalar that is not there.
                let absent = plain && span.start == span.end;
                let text = if absent {
                    String::new()
                } else {
                    text.into_owned()
                };
                let cost = NODE_COST + text.len();
                let node = Node {
                    span,
                    value: Value::Scalar(Scalar { text, plain }),
                };
                return self.finished(
                    Built {
                        node,
                        cost,
                        depth: 0,
                    },
                    anchor,
                );
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(span, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(span, anchor, Content::Mapping(Vec::new(), Next::Key))?;
            }
            Event::SequenceEnd | Event::MappingEnd => return self.end(span),
            Event::Alias(id) => return self.alias(id, span),
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, start: Span, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.open.len() >= self.budget.depth {
            return Err(self.too_deep(start));
        }
        self.open.push(Open {
            start,
            anchor,
            cost: NODE_COST,
            depth: 0,
            content,
        });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Stop> {
        let Some(Open {
            start,
            anchor,
            cost,
            depth,
            content,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let last = match &content {
            Content::List(items) => items.last().map(|item| item.span.end),
            Content::Mapping(entries, _) => entries.last().map(|entry| entry.value.span.end),
        };
        // The end of a block is reported where the next thing begins, that of `[..]` has a length.
        let end = if end.end > end.start {
            end.end
        } else {
            last.unwrap_or(start.end)
        };
        let span = Span {
            end: end.max(start.end),
            ..start
        };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Mapping(entries, _) => Value::Mapping(self.without_repeats(entries)),
        };
        self.finished(
            Built {
                node: Node { span, value },
                cost,
                depth: depth + 1,
            },
            anchor,
        )
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Stop> {
        let Some(target) = self.anchors.get(&id) else {
            self.error(
                "syntax",
                span,
                "this alias stands inside the value that it refers to",
            );
            return Err(Stop::Unreadable);
        };
        if self.open.len() + target.depth > self.budget.depth {
            return Err(self.too_deep(span));
        }
        let cost = target.cost;
        self.repeat(cost, span)?;
        let Some(mut built) = self.anchors.get(&id).cloned() else {
            return Ok(());
        };
        built.node.span = span;
        self.finished(built, 0)
    }

    /// Takes a copy of something out of the budget, before it is made.
    fn repeat(&mut self, cost: usize, at: Span) -> Result<(), Stop> {
        self.aliased = self.aliased.saturating_add(cost);
        if self.aliased <= self.budget.aliases {
            return Ok(());
        }
        self.error(
            "too-large",
            at,
            "the anchors and aliases of this file repeat too much",
        )
        .hint("write the repeated values out, or keep them in one place");
        Err(Stop::Unreadable)
    }

    fn finished(&mut self, built: Built, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.repeat(built.cost, built.node.span)?;
            self.anchors.insert(anchor, built.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(built);
            return Ok(());
        };
        parent.cost += built.cost;
        parent.depth = parent.depth.max(built.depth);
        let (entries, next) = match &mut parent.content {
            Content::List(items) => {
                items.push(built.node);
                return Ok(());
            }
            Content::Mapping(entries, next) => (entries, next),
        };
        match std::mem::replace(next, Next::Key) {
            Next::Value(key) => entries.push(Entry {
                key,
                value: built.node,
            }),
            Next::Dropped => {}
            Next::Key => {
                *next = Next::Dropped;
                match key(built.node) {
                    Ok(key) => *next = Next::Value(key),
                    Err(refused) => self.refuse_key(refused),
                }
            }
        }
        Ok(())
    }

    fn refuse_key(&mut self, (refused, at): (RefusedKey, Span)) {
        match refused {
            RefusedKey::Merge => self
                .error("merge-key", at, "merge keys (`<<`) are not used here")
                .hint("write the keys out"),
            RefusedKey::Empty => self
                .error("syntax", at, "a key is missing")
                .hint("write `key: value`; if `~` or `null` is meant as a name, put it in quotes"),
            RefusedKey::Collection => self
                .error(
                    "syntax",
                    at,
                    "a key has to be text, not a list or a mapping",
                )
                .hint("text that begins with `[` or `{` must be put in quotes"),
        };
    }

    /// The entries without those whose key came before, which are reported.
    fn without_repeats(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut lines: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            let Key { span, scalar } = &entry.key;
            if let Some(first) = lines.get(&scalar.text) {
                let message = format!(
                    "the key {} is given twice, first in line {first}",
                    quote(&scalar.text)
                );
                self.error("duplicate-key", *span, message)
                    .hint("remove one of the two");
                continue;
            }
            lines.insert(scalar.text.clone(), span.line);
            kept.push(entry);
        }
        kept
    }

    fn too_deep(&mut self, at: Span) -> Stop {
        self.diagnostics.push(too_deep(self.file, at));
        Stop::Unreadable
    }

    fn error(&mut self, code: &'static str, at: Span, message: impl Into<String>) -> Hint<'_> {
        self.diagnostics
            .push(Diagnostic::error(code, self.file, at, message));
        Hint(self.diagnostics.last_mut())
    }
}

/// The diagnostic just made, to which a hint may be added.
struct Hint<'a>(Option<&'a mut Diagnostic>);

impl Hint<'_> {
    fn hint(self, text: &str) {
        if let Some(diagnostic) = self.0 {
            diagnostic.hint = Some(text.into());
        }
    }
}

/// Why a value cannot be a key.
enum RefusedKey {
    Merge,
    Empty,
    Collection,
}

fn key(node: Node) -> Result<Key, (RefusedKey, Span)> {
    let span = node.span;
    match node.value {
        Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" => {
            Err((RefusedKey::Merge, span))
        }
        Value::Scalar(scalar) if scalar.is_null() => Err((RefusedKey::Empty, span)),
        Value::Scalar(scalar) => Ok(Key { span, scalar }),
        Value::List(_) | Value::Mapping(_) => Err((RefusedKey::Collection, span)),
    }
}

fn too_deep(file: &str, at: Span) -> Diagnostic {
    Diagnostic::error(
        "too-large",
        file,
        at,
        "lists and mappings are nested too deeply here",
    )
}

fn span(start: Marker, end: Marker) -> Span {
    let offset = |marker: Marker| marker.byte_offset().unwrap_or(0);
    let from = offset(start);
    Span {
        line: start.line().max(1),
        column: start.col() + 1,
        start: from,
        end: offset(end).max(from),
    }
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
