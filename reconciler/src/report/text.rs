//! A plan as text for people.

use std::fmt::Write as _;

use crate::planning::{Action, InForce, Preview};
use crate::report::style::{Color, Mark, count};
use crate::report::suspended;
use crate::report::title::{self, Clock, Item};
use crate::world::{CommitLine, Problem};

/// What a plan was made of, for its head.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The server.
    pub server: &'a str,
    /// The commit.
    pub commit: Option<&'a CommitLine>,
    /// What is wrong with the state repo.
    pub problems: &'a [Problem],
    /// What could not be seen.
    pub blind: &'a [String],
    /// What is suspended.
    pub suspended: &'a [InForce],
    /// The clock by which times are written.
    pub clock: Clock<'a>,
}

/// The beginning of everything that is said of a look at a server: which, when, and what is wrong.
pub(super) fn opening(head: Head<'_>, color: Color) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = writeln!(text, "{}", first_line(head));
    for problem in head.problems {
        _ = writeln!(
            text,
            "\n{} {}",
            Mark::Blocked.paint(color),
            problem.text.replace('\n', "\n  ")
        );
    }
    if !head.blind.is_empty() {
        _ = writeln!(
            text,
            "\n{} not all could be seen:",
            Mark::Blocked.paint(color)
        );
        for cause in head.blind {
            _ = writeln!(text, "    {cause}");
        }
    }
    if !head.suspended.is_empty() {
        _ = writeln!(text, "\n{} suspended:", Mark::Wait.paint(color));
        for suspension in head.suspended {
            _ = writeln!(text, "    {}", suspended::line(suspension, head.clock));
        }
    }
    text
}

/// What a dry run prints.
#[must_use]
pub fn plan(head: Head<'_>, preview: &Preview, color: Color) -> String {
    let mut text = opening(head, color);
    let now = preview.rounds.first().into_iter().flatten();
    let then = preview.rounds.iter().skip(1).flatten();
    block(
        &mut text,
        now.map(|step| title::item(step, head.clock)),
        "would",
        color,
    );
    block(
        &mut text,
        then.map(|step| title::item(step, head.clock)),
        "then would",
        color,
    );
    block(
        &mut text,
        preview
            .holds
            .iter()
            .map(|hold| title::held(hold, head.clock)),
        "",
        color,
    );
    timetable(&mut text, head.clock, preview);
    _ = writeln!(text, "\n{}", last_line(head, preview));
    text
}

/// When which room is at work, and how many hosts are on then.
fn timetable(text: &mut String, clock: Clock<'_>, preview: &Preview) {
    if preview.turns.is_empty() {
        return;
    }
    text.push_str("\nTimetable, as far as can be foreseen:\n");
    // Writing to a String cannot fail.
    for turn in &preview.turns {
        _ = writeln!(
            text,
            "  {} to {}  room {}, {}",
            clock.show(turn.from),
            clock.show(turn.until),
            turn.room,
            count(turn.hosts, "host", "hosts")
        );
    }
    for peak in &preview.peaks {
        _ = writeln!(
            text,
            "  at most {} on at once in {}, at {}",
            count(peak.hosts, "host", "hosts"),
            peak.circuit,
            clock.show(peak.at)
        );
    }
}

fn first_line(head: Head<'_>) -> String {
    let commit = match head.commit {
        Some(CommitLine { id, subject }) => {
            format!(" at {} \u{201c}{subject}\u{201d}", &id[..id.len().min(9)])
        }
        None => String::new(),
    };
    format!(
        "{}{commit}, {}",
        head.server,
        head.clock.show(head.clock.now)
    )
}

pub(super) fn block(
    text: &mut String,
    items: impl Iterator<Item = Item>,
    mood: &str,
    color: Color,
) {
    for (index, item) in items.enumerate() {
        if index == 0 {
            text.push('\n');
        }
        let Item {
            mark,
            object,
            what,
            notes,
            diff,
        } = item;
        let mood = if mood.is_empty() {
            String::new()
        } else {
            format!("{mood} ")
        };
        _ = writeln!(text, "{} {object}: {mood}{what}", mark.paint(color));
        for line in notes.iter().flat_map(|note| note.lines()) {
            _ = writeln!(text, "    {line}");
        }
        for line in diff.iter().flat_map(|diff| diff.lines()) {
            _ = writeln!(text, "    {}", painted(line, color));
        }
    }
}

fn painted(line: &str, color: Color) -> String {
    let code = match line.as_bytes().first() {
        Some(b'+') => 32,
        Some(b'-') => 31,
        _ => return line.to_owned(),
    };
    match color {
        Color::On => format!("\u{1b}[{code}m{line}\u{1b}[0m"),
        Color::Off => line.to_owned(),
    }
}

/// The last line: how much of what, or that nothing is to be done.
#[must_use]
pub fn last_line(head: Head<'_>, preview: &Preview) -> String {
    let Counts {
        add,
        change,
        delete,
        hosts,
        waiting,
        blocked,
    } = Counts::of(preview);
    if add + change + delete + hosts + waiting + blocked == 0 {
        let known = if head.blind.is_empty() {
            "Nothing to do: the server is as the state repo says."
        } else {
            "Nothing to do as far as could be seen, but not all could be."
        };
        return known.to_owned();
    }
    let resets = if hosts == 0 {
        String::new()
    } else {
        format!("{} to reset, ", count(hosts, "host", "hosts"))
    };
    let blocked = if blocked == 0 {
        String::new()
    } else {
        format!(", {blocked} blocked")
    };
    format!(
        "Plan: {add} to add, {change} to change, {delete} to delete, {resets}{waiting} waiting{blocked}."
    )
}

/// How much of what a plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// New things.
    pub add: usize,
    /// Changes in place.
    pub change: usize,
    /// Things deleted.
    pub delete: usize,
    /// Hosts to reset.
    pub hosts: usize,
    /// Holds that wait for a gate.
    pub waiting: usize,
    /// Holds that wait for a person.
    pub blocked: usize,
}

impl Counts {
    /// Those of a plan.
    #[must_use]
    pub fn of(preview: &Preview) -> Self {
        let blocked = preview
            .holds
            .iter()
            .filter(|hold| hold.gate.needs_a_person())
            .count();
        let waiting = preview.holds.len() - blocked;
        let mut counts = Self {
            add: 0,
            change: 0,
            delete: 0,
            hosts: 0,
            waiting,
            blocked,
        };
        for step in preview.steps() {
            let clock = Clock {
                now: preview.at,
                zone: &jiff::tz::TimeZone::UTC,
            };
            match (&step.action, title::item(step, clock).mark) {
                (Action::ResetRoom { hosts, .. }, _) => counts.hosts += hosts.len(),
                (_, Mark::Add) => counts.add += 1,
                (_, Mark::Delete) => counts.delete += 1,
                _ => counts.change += 1,
            }
        }
        counts
    }
}
