//! What is wrong with a file, for people: where, why and what to do, as an excerpt with the place
//! underlined, as one line, or as JSON.
//!
//! Rendering never panics, whatever the place and the source are, and no control character of a
//! file reaches a terminal.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

mod found;
mod suggest;
#[cfg(test)]
mod tests;

pub(crate) use found::Found;
pub use suggest::suggest;

/// Lines longer than this many bytes are not shown as an excerpt.
const LONGEST_EXCERPT: usize = 4096;

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Span {
    /// Line of the first character, from 1.
    pub line: usize,
    /// Column of the first character, from 1, counted in characters.
    pub column: usize,
    /// Byte offset of the first character in the file.
    pub start: usize,
    /// Byte offset after the last character.
    pub end: usize,
}

impl Span {
    /// The first position of a file.
    pub const START: Self = Self {
        line: 1,
        column: 1,
        start: 0,
        end: 0,
    };

    /// The bytes of the file that it covers.
    pub fn range(self) -> Range<usize> {
        self.start..self.end.max(self.start)
    }
}

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The state repo cannot be used as it is.
    Error,
    /// It can be used, but probably does not mean what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong with one file.
///
/// `Display` is the form of one line: `file:line:column: error[code]: message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is, in kebab-case; stable, for machines.
    pub code: &'static str,
    /// The file, relative to the root of the state repo.
    pub file: String,
    /// The place in it, if there is one.
    pub at: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a hint.
    pub fn error(
        code: &'static str,
        file: impl Into<String>,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Self {
        let (file, at, message) = (file.into(), at.into(), message.into());
        Self {
            severity: Severity::Error,
            code,
            file,
            at,
            message,
            hint: None,
        }
    }

    /// A warning without a hint.
    pub fn warning(
        code: &'static str,
        file: impl Into<String>,
        at: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, file, at, message)
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            severity,
            code,
            file,
            at,
            message,
            hint: _,
        } = self;
        f.write_str(&clean(file))?;
        if let Some(at) = at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        write!(f, ": {severity}[{code}]: {}", clean(message))
    }
}

/// Brings diagnostics into the order of their files and of the places in them; those without a
/// place are the last of their file.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let place = |d: &Diagnostic| d.at.map_or(usize::MAX, |at| at.start);
        a.file.cmp(&b.file).then(place(a).cmp(&place(b)))
    });
}

/// The diagnostic as rustc would show it: the title, the line with the place underlined (if the
/// text of the file is given), and the hint. Several lines, without a line break at the end.
pub fn render(diagnostic: &Diagnostic, source: Option<&str>, color: bool) -> String {
    let Diagnostic {
        severity,
        code,
        file,
        at,
        message,
        hint,
    } = diagnostic;
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let file = clean(file);
    let mut group = Group::with_title(level.primary_title(clean(message)).id(*code));
    let excerpt = at.and_then(|at| Some((at, excerpt(source?, at)?)));
    group = match (excerpt, at) {
        (Some((at, (line, marked))), _) => group.element(
            Snippet::source(line)
                .path(file)
                .line_start(at.line)
                .annotation(AnnotationKind::Primary.span(marked)),
        ),
        (None, Some(at)) => group.element(Origin::path(file).line(at.line).char_column(at.column)),
        (None, None) => group.element(Origin::path(file)),
    };
    if let Some(hint) = hint {
        group = group.element(Level::HELP.message(clean(hint)));
    }
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.render(&[group])
}

/// The line in which a place begins, and the part of it to underline. A place that goes on over
/// further lines is underlined to the end of its first.
fn excerpt(source: &str, at: Span) -> Option<(&str, Range<usize>)> {
    let start = boundary(source, at.start);
    let line_start = source
        .get(..start)?
        .rfind(['\n', '\r'])
        .map_or(0, |i| i + 1);
    let line_end = source
        .get(start..)?
        .find(['\n', '\r'])
        .map_or(source.len(), |i| start + i);
    if line_end - line_start > LONGEST_EXCERPT {
        return None;
    }
    let line = source.get(line_start..line_end)?;
    let end = boundary(source, at.end.min(line_end)).max(start);
    let marked = source.get(start..end)?.trim_end().len();
    Some((line, start - line_start..start - line_start + marked))
}

/// The nearest start of a character at or before `offset`.
fn boundary(source: &str, offset: usize) -> usize {
    let offset = offset.min(source.len());
    (0..=offset)
        .rev()
        .find(|i| source.is_char_boundary(*i))
        .unwrap_or(0)
}

/// The text on one line, without characters that could steer a terminal or reverse its direction.
fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if harmful(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}
