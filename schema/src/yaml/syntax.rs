//! What the YAML parser complains about, said for people, at the place where it can be mended.

use granit_parser::{ErrorKind, ScanError};

use super::build::too_deep;
use super::quote;
use crate::diagnostic::{Diagnostic, Span};

/// The diagnostic for a text that is not YAML.
pub(super) fn diagnostic(file: &str, text: &str, error: &ScanError) -> Diagnostic {
    let at = place(text, error);
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_deep(file, at);
    }
    if let Some(tab) = tab_in_indentation(text, at) {
        return Diagnostic::error("syntax", file, tab, "a tab is used for indentation")
            .with_hint("YAML is indented with spaces only");
    }
    let (message, hint) = words(text, at, error.kind());
    let diagnostic = Diagnostic::error("syntax", file, at, message);
    match hint {
        Some(hint) => diagnostic.with_hint(hint),
        None => diagnostic,
    }
}

fn words(text: &str, at: Span, kind: &ErrorKind) -> (String, Option<&'static str>) {
    const QUOTE_IT: &str = "text with `: ` or ` #` in it, or beginning with one of \
         `[ ] { } & * ! | > @ %` or a quote or backquote, must be put in quotes";
    let here = text.get(at.start..).and_then(|rest| rest.chars().next());
    let (message, hint) = match kind {
        ErrorKind::UnclosedQuotedScalar => (
            "this quoted text is never closed",
            Some("add the closing quote"),
        ),
        ErrorKind::DocumentIndicatorInQuotedScalar => (
            "this quoted text is not closed before the document ends",
            Some("add the closing quote"),
        ),
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("the bracket `{open}` is never closed"), None);
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("the bracket `{open}` is closed by `{close}`"), None);
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            ("this closing bracket has no opening one", Some(QUOTE_IT))
        }
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
            if here == Some(',') =>
        {
            ("a value is missing before this comma", None)
        }
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => (
            "the file ends inside a bracket",
            Some("add the closing `]` or `}`"),
        ),
        ErrorKind::ExpectedFlowSequenceSeparator | ErrorKind::ExpectedFlowMappingSeparator => (
            "a `,` or the closing bracket is expected here",
            Some(QUOTE_IT),
        ),
        ErrorKind::UnknownAnchor => {
            let alias = text.get(at.range()).unwrap_or_default();
            return (
                format!("the alias {} refers to nothing above it", quote(alias)),
                Some("text that begins with `*` must be put in quotes"),
            );
        }
        ErrorKind::UnexpectedCharacter { character } if character.is_control() => {
            let message = format!(
                "the control character U+{:04X} stands here",
                u32::from(*character)
            );
            return (message, Some("remove it"));
        }
        ErrorKind::UnexpectedCharacter { character: '`' } => {
            ("text cannot begin with a backquote", Some(QUOTE_IT))
        }
        ErrorKind::UnexpectedCharacter { character } => {
            return (
                format!("text cannot begin with `{character}`"),
                Some(QUOTE_IT),
            );
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement
            if before(text, at).contains(": ") =>
        {
            ("a second `: ` in the same line", Some(QUOTE_IT))
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "this `key: value` does not fit the line above",
            Some(
                "perhaps its indentation is wrong, or the line above lacks a `:` after its key, \
                 or a closing bracket",
            ),
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "this line is no `key: value`",
            Some("a `:` and a space stand after a key; a list item begins with `- `"),
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::InvalidBlockScalarIndent => (
            "the indentation of this line does not fit the lines above",
            Some("keys of one mapping, and the `-` of one list, begin in the same column"),
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "something follows the closing quote",
            Some("put the quotes around the whole value; inside '…' a quote is written ''"),
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "inside \"…\" a backslash begins an escape, and this is none",
            Some("write '…' instead of \"…\", or \\\\ for a backslash"),
        ),
        ErrorKind::DirectiveDisallowed => (
            "directives (`%…`) are not used here",
            Some("remove this line"),
        ),
        other => return (format!("this is not YAML: {other}"), None),
    };
    (message.into(), hint)
}

/// The line of a place, up to it.
fn before(text: &str, at: Span) -> &str {
    let before = text.get(..at.start).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default()
}

/// The place of an error: one character, or the whole word of an alias.
fn place(text: &str, error: &ScanError) -> Span {
    let marker = error.marker();
    let start = marker.byte_offset().unwrap_or(text.len()).min(text.len());
    let rest = text.get(start..).unwrap_or_default();
    let length = match error.kind() {
        ErrorKind::UnknownAnchor => rest
            .find([' ', ',', ']', '}', '\n', '\r'])
            .unwrap_or(rest.len()),
        _ => rest
            .chars()
            .next()
            .filter(|c| !matches!(c, '\n' | '\r'))
            .map_or(0, char::len_utf8),
    };
    Span {
        line: marker.line().max(1),
        column: marker.col() + 1,
        start,
        end: start + length,
    }
}

/// The first tab in the indentation of the line of an error, or of the line after it: the parser
/// often trips one line early.
fn tab_in_indentation(text: &str, at: Span) -> Option<Span> {
    let line_start = text.get(..at.start)?.rfind('\n').map_or(0, |i| i + 1);
    let mut start = line_start;
    for (number, line) in text
        .get(line_start..)?
        .split_inclusive('\n')
        .take(2)
        .enumerate()
    {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indentation)?.find('\t') {
            let (line, start) = (at.line + number, start + tab);
            return Some(Span {
                line,
                column: tab + 1,
                start,
                end: start + 1,
            });
        }
        start += line.len();
    }
    None
}
