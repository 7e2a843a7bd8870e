//! The tree out of the events of the YAML parser: aliases are replaced by what they stand for,
//! within the budget, and what this dialect does not have is reported.

use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;

use granit_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Budget, Entry, Key, NODE_COST, Node, Parsed, Scalar, Value, quote, syntax};
use crate::diagnostic::{Diagnostic, Found, Span};

/// Reads the first document of a text whose size is within the budget.
pub(super) fn tree(file: &str, text: &str, budget: Budget) -> Parsed {
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
        found: Found::default(),
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => {
                builder.found.push(syntax::diagnostic(file, text, &error));
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
        diagnostics: builder.found.finish(file),
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
    found: Found,
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
            let hint = "remove the tag; put the value in quotes if it has to begin with `!`";
            self.error(
                "unsupported-tag",
                tag,
                "tags (`!…`) are not used here",
                hint,
            );
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document begins here";
                    let hint = "one file holds one document: move what follows into another one";
                    self.error("several-documents", span, message, hint);
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
            let message = "this alias stands inside the value that it refers to";
            self.error("syntax", span, message, "write the value out");
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
        let message = "the anchors and aliases of this file repeat too much";
        let hint = "write the repeated values out, or keep them in one place";
        self.error("too-large", at, message, hint);
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
            RefusedKey::Merge => {
                let message = "merge keys (`<<`) are not used here";
                self.error("merge-key", at, message, "write the keys out");
            }
            RefusedKey::Empty => {
                let hint =
                    "write `key: value`; if `~` or `null` is meant as a name, put it in quotes";
                self.error("syntax", at, "a key is missing", hint);
            }
            RefusedKey::Collection => {
                let message = "a key has to be text, not a list or a mapping";
                let hint = "text that begins with `[` or `{` must be put in quotes";
                self.error("syntax", at, message, hint);
            }
        }
    }

    /// The entries without those whose key came before, which are reported.
    fn without_repeats(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let repeats = repeats(&entries);
        for (repeat, first_line) in &repeats {
            let Some(Entry { key, .. }) = entries.get(*repeat) else {
                continue;
            };
            let name = quote(&key.scalar.text);
            let message = format!("the key {name} is given twice, first in line {first_line}");
            self.error("duplicate-key", key.span, message, "remove one of the two");
        }
        let (mut index, mut repeats) = (0.., repeats.iter().map(|(repeat, _)| *repeat).peekable());
        entries.retain(|_| {
            let index = index.next();
            repeats.next_if(|repeat| Some(*repeat) == index).is_none()
        });
        entries
    }

    fn too_deep(&mut self, at: Span) -> Stop {
        self.found.push(too_deep(self.file, at));
        Stop::Unreadable
    }

    fn error(&mut self, code: &'static str, at: Span, message: impl Into<String>, hint: &str) {
        self.found
            .push(Diagnostic::error(code, self.file, at, message).with_hint(hint));
    }
}

/// The index of each entry whose key came before, and the line where it came first.
fn repeats(entries: &[Entry]) -> Vec<(usize, usize)> {
    const FEW: usize = 16;
    let keys = entries
        .iter()
        .map(|entry| (entry.key.scalar.text.as_str(), entry.key.span.line));
    if entries.len() <= FEW {
        let first = |index: usize, key: &str| keys.clone().take(index).find(|(k, _)| *k == key);
        let indexed = keys.clone().enumerate();
        return indexed
            .filter_map(|(i, (key, _))| Some((i, first(i, key)?.1)))
            .collect();
    }
    let mut lines: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
    let mut repeats = Vec::new();
    for (index, (key, line)) in keys.enumerate() {
        match lines.entry(key) {
            MapEntry::Occupied(first) => repeats.push((index, *first.get())),
            MapEntry::Vacant(vacant) => {
                vacant.insert(line);
            }
        }
    }
    repeats
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

pub(super) fn too_deep(file: &str, at: Span) -> Diagnostic {
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
