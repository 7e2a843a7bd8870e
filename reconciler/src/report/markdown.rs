//! A plan as Markdown: a comment on a pull request.

use std::fmt::Write as _;

use crate::planning::Preview;
use crate::report::style::Mark;
use crate::report::suspended;
use crate::report::text::{Head, last_line};
use crate::report::title::{self, Item};

/// The beginning of everything that is said of a look at a server: which, the sum, what is wrong.
pub(super) fn opening(head: Head<'_>, sum: &str) -> String {
    let mut text = String::new();
    let commit = head
        .commit
        .map(|commit| format!(" at `{}`", &commit.id[..commit.id.len().min(9)]))
        .unwrap_or_default();
    // Writing to a String cannot fail.
    _ = writeln!(text, "### {}{commit}\n\n**{sum}**", head.server);
    for problem in head.problems {
        _ = writeln!(
            text,
            "\n> **{}** {}",
            Mark::Blocked.sign(),
            escape(&problem.text).replace('\n', "\n> ")
        );
    }
    for cause in head.blind {
        _ = writeln!(
            text,
            "\n> **{}** not seen: {}",
            Mark::Blocked.sign(),
            escape(cause)
        );
    }
    for suspension in head.suspended {
        let line = escape(&suspended::line(suspension, head.clock));
        _ = writeln!(text, "\n> **{}** suspended: {line}", Mark::Wait.sign());
    }
    text
}

/// A plan.
#[must_use]
pub fn plan(head: Head<'_>, preview: &Preview) -> String {
    let mut text = opening(head, &last_line(head, preview));
    let steps = preview.steps().map(|step| title::item(step, head.clock));
    let holds = preview
        .holds
        .iter()
        .map(|hold| title::held(hold, head.clock));
    let items: Vec<Item> = steps.chain(holds).collect();
    if !items.is_empty() {
        _ = writeln!(
            text,
            "\n| | object | what | why |\n| --- | --- | --- | --- |"
        );
    }
    for Item {
        mark,
        object,
        what,
        notes,
        ..
    } in &items
    {
        let notes: Vec<String> = notes
            .iter()
            .map(|note| escape(note).replace('\n', "<br>"))
            .collect();
        _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            mark.sign(),
            escape(object),
            escape(what),
            notes.join("<br>")
        );
    }
    for Item { object, diff, .. } in &items {
        if let Some(diff) = diff {
            let fence = fence(diff);
            _ = writeln!(
                text,
                "\n<details><summary>{}</summary>\n\n{fence}diff\n{diff}{fence}\n\n</details>",
                in_html(object)
            );
        }
    }
    text
}

/// More backticks than stand in a row within, so that nothing within ends the block.
fn fence(diff: &str) -> String {
    let longest = diff.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Markdown is not read within HTML.
fn in_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "&#64;")
}

/// What stands in a name or a message must not become markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
