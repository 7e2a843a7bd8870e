//! The ledger as a table: how every host stands.

use std::fmt::Write as _;

use schema::name::{HostName, RoomName};
use serde_json::{Value, json};

use crate::planning::journal::Attempt;
use crate::planning::ledger::{Applied, GroupEntry, HostEntry, HostState, RoomEntry, Runs};
use crate::planning::{Ledger, Subject};
use crate::report::hanging;
use crate::report::json::FORMAT_VERSION;
use crate::report::markdown::{self, escape};
use crate::report::style::{Color, count};
use crate::report::text::{Head, opening};
use crate::report::title::Clock;

const TITLES: [&str; 6] = ["host", "state", "runs", "as wanted", "since", "why"];

/// The table for people.
#[must_use]
pub fn text(head: Head<'_>, ledger: &Ledger<'_>, color: Color) -> String {
    let mut text = opening(head, color);
    // Writing to a String cannot fail.
    for (name, room) in &ledger.rooms {
        _ = writeln!(text, "\nroom {name}: {}", about(&room.own, head.clock));
        for test in tests(room, head.clock) {
            _ = writeln!(text, "  {test}");
        }
        table(&mut text, room.hosts.iter(), room, head.clock, color);
    }
    let counts = Counts::of(ledger);
    if counts.stalled > 0 {
        _ = writeln!(text, "\n{}", counts.way_on());
    }
    _ = writeln!(text, "\n{}", counts.line());
    text
}

/// The rows of some hosts of a room.
pub(super) fn table<'a>(
    text: &mut String,
    hosts: impl Iterator<Item = (&'a HostName, &'a HostEntry<'a>)>,
    room: &RoomEntry<'_>,
    clock: Clock<'_>,
    color: Color,
) {
    let (entries, mut rows): (Vec<_>, Vec<_>) = hosts
        .map(|(name, entry)| (entry, row(name, entry, room, clock)))
        .unzip();
    rows.insert(0, TITLES.map(str::to_owned));
    let mut widths = [0; TITLES.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (index, row) in rows.iter().enumerate() {
        let state = index.checked_sub(1).and_then(|index| entries.get(index));
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let cell = format!("{cell:width$}");
                match state {
                    Some(entry) if column == 1 => painted(&cell, entry.state, color),
                    _ => cell,
                }
            });
        let line = cells.collect::<Vec<_>>().join("  ");
        _ = writeln!(text, "  {}", line.trim_end());
    }
}

/// The table as Markdown.
#[must_use]
pub fn markdown(head: Head<'_>, ledger: &Ledger<'_>) -> String {
    let counts = Counts::of(ledger);
    let mut text = markdown::opening(head, &counts.line());
    if counts.stalled > 0 {
        _ = writeln!(text, "\n{}", counts.way_on());
    }
    for (name, room) in &ledger.rooms {
        _ = writeln!(
            text,
            "\n#### room {}\n\n{}\n\n| {} |\n|{}",
            escape(name.as_str()),
            escape(&all_about(room, head.clock)),
            TITLES.join(" | "),
            " --- |".repeat(TITLES.len())
        );
        for (host, entry) in &room.hosts {
            let cells = row(host, entry, room, head.clock).map(|cell| escape(&cell));
            _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// The table as one JSON document.
#[must_use]
pub fn json(head: Head<'_>, ledger: &Ledger<'_>) -> Value {
    let rooms = ledger.rooms.iter().map(|(name, room)| {
        let hosts = room
            .hosts
            .iter()
            .map(|(host, entry)| host_json(host, entry));
        let mut value = room_json(name, room);
        value["hosts"] = hosts.collect();
        value
    });
    json!({
        "format_version": FORMAT_VERSION,
        "server": head.server,
        "at": head.clock.now,
        "commit": head.commit,
        "problems": head.problems,
        "unseen": head.blind,
        "suspended": head.suspended,
        "rooms": rooms.collect::<Vec<_>>(),
        "counts": Counts::of(ledger),
    })
}

pub(super) fn room_json(name: &RoomName, room: &RoomEntry<'_>) -> Value {
    let mut value = json!(room.own);
    value["room"] = json!(name);
    if !room.tests.is_empty() {
        value["tests"] = json!(room.tests);
    }
    value
}

pub(super) fn host_json(host: &HostName, entry: &HostEntry<'_>) -> Value {
    let applied = entry.applied.iter().map(|(image, applied)| {
        json!({
            "image": image, "file": applied.file, "stamp": applied.stamp, "version": applied.version,
            "at": applied.at,
        })
    });
    let cause = entry.cause();
    let mut value = json!({
        "host": host,
        "state": entry.state,
        "since": entry.since,
        "runs": entry.runs,
        "is_fresh": entry.is_fresh,
        "failures": entry.failures,
        "stalled": entry.stalled.map(|resets| {
            json!({ "resets": resets, "resume": Subject::Host(host.clone()).resume() })
        }),
        "applied": applied.collect::<Vec<_>>(),
        "cause": cause,
        "meaning": cause.map(|cause| cause.meaning()),
        "advice": cause.map(|cause| cause.advice()),
        "last": entry.last().map(attempt_json),
        "unheard": entry.unheard,
        "busy": entry.busy,
        "unseen": entry.unseen,
    });
    if let Some(test) = entry.test {
        value["test"] = json!(test);
    }
    value
}

pub(super) fn attempt_json(attempt: &Attempt) -> Value {
    let (room, due) = attempt.step.reset().unzip();
    json!({
        "at": attempt.at, "room": room, "due": due, "outcome": attempt.outcome,
        "version": attempt.version,
    })
}

/// What is said of a room beside its name, with its test classes.
fn all_about(room: &RoomEntry<'_>, clock: Clock<'_>) -> String {
    let own = about(&room.own, clock);
    std::iter::once(own)
        .chain(tests(room, clock))
        .collect::<Vec<_>>()
        .join("; ")
}

/// What is said of the test classes that hosts of a room are in.
fn tests(room: &RoomEntry<'_>, clock: Clock<'_>) -> impl Iterator<Item = String> {
    let tests = room.tests.values();
    tests.map(move |group| format!("test {}", about(group, clock)))
}

/// What is said of the hosts of a class.
pub(super) fn about(room: &GroupEntry<'_>, clock: Clock<'_>) -> String {
    let due = match room.due {
        Some(due) => format!(", reset due since {}", clock.show(due)),
        None => String::new(),
    };
    let next = match room.next {
        Some(next) => format!(", next {}", clock.show(next)),
        None if room.due.is_none() => ", never reset".to_owned(),
        None => String::new(),
    };
    format!("class {}{due}{next}", room.class)
}

fn row(
    name: &HostName,
    entry: &HostEntry<'_>,
    room: &RoomEntry<'_>,
    clock: Clock<'_>,
) -> [String; 6] {
    let state = match (entry.stalled, entry.state, entry.failures) {
        (Some(resets), ..) => format!("stalled {resets}\u{d7}"),
        (None, HostState::Failed, 2..) => format!("failed {}\u{d7}", entry.failures),
        (None, state, _) => word(state).to_owned(),
    };
    let runs: Vec<String> = room
        .group(entry)
        .images
        .iter()
        .filter_map(|image| Some(format!("{image} {}", version(entry.applied.get(*image)?))))
        .collect();
    let since = entry
        .since
        .map_or_else(|| "never".to_owned(), |at| clock.show(at));
    let runs = if runs.is_empty() {
        "\u{2013}".to_owned()
    } else {
        runs.join(", ")
    };
    let wanted = wanted(entry.runs).to_owned();
    [
        name.to_string(),
        state,
        runs,
        wanted,
        since,
        why(entry, clock),
    ]
}

/// Why a host stands as it does, in plain words where its cause is known.
pub(super) fn why(entry: &HostEntry<'_>, clock: Clock<'_>) -> String {
    if let Some(busy) = entry.busy.as_ref().filter(|busy| busy.hangs(clock.now)) {
        return hanging::what(busy, clock);
    }
    let said = entry.last().and_then(|attempt| attempt.outcome.why());
    match (entry.cause(), entry.state) {
        (Some(cause), _) => cause.meaning().to_owned(),
        (None, HostState::Applied | HostState::Busy) => String::new(),
        (None, _) if entry.unheard.is_some() => {
            "something was begun on it, and nobody heard how it ended".to_owned()
        }
        (None, _) => said.unwrap_or_default().to_owned(),
    }
}

/// Which state of an image, by the best name that is known.
pub(super) fn version(applied: &Applied<'_>) -> String {
    match (applied.version, applied.stamp) {
        (Some(version), _) => version.to_string(),
        (None, Some(stamp)) => format!("of {}", stamp.as_str()),
        (None, None) => "of unknown date".to_owned(),
    }
}

pub(super) const fn word(state: HostState) -> &'static str {
    match state {
        HostState::Applied => "applied",
        HostState::Failed => "failed",
        HostState::InUse => "in use",
        HostState::Unreachable => "unreachable",
        HostState::Unknown => "unknown",
        HostState::Busy => "busy",
    }
}

const fn wanted(runs: Runs) -> &'static str {
    match runs {
        Runs::Wanted => "yes",
        Runs::Other => "no",
        Runs::Unknown => "unknown",
    }
}

fn painted(cell: &str, state: HostState, color: Color) -> String {
    let code = match state {
        HostState::Applied => 32,
        HostState::Failed => 31,
        HostState::InUse => 35,
        HostState::Unreachable => 33,
        HostState::Unknown => 90,
        HostState::Busy => 36,
    };
    match color {
        Color::On => format!("\u{1b}[{code}m{cell}\u{1b}[0m"),
        Color::Off => cell.to_owned(),
    }
}

/// How many hosts stand how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// All.
    pub hosts: usize,
    /// Those that were put back at their last attempt.
    pub applied: usize,
    /// Those that failed at it.
    pub failed: usize,
    /// Those that somebody worked at.
    pub in_use: usize,
    /// Those that did not answer.
    pub unreachable: usize,
    /// Those of which nothing is known, or not how it ended.
    pub unknown: usize,
    /// Those on which something runs.
    pub busy: usize,
    /// Those that run what is wanted.
    pub as_wanted: usize,
    /// Those that are left alone after too many resets in vain.
    pub stalled: usize,
}

impl Counts {
    /// Those of all rooms.
    #[must_use]
    pub fn of(ledger: &Ledger<'_>) -> Self {
        Self::of_hosts(ledger.rooms.values().flat_map(|room| room.hosts.values()))
    }

    pub(super) fn of_hosts<'a>(hosts: impl Iterator<Item = &'a HostEntry<'a>>) -> Self {
        let mut counts = Self::default();
        for entry in hosts {
            counts.hosts += 1;
            *match entry.state {
                HostState::Applied => &mut counts.applied,
                HostState::Failed => &mut counts.failed,
                HostState::InUse => &mut counts.in_use,
                HostState::Unreachable => &mut counts.unreachable,
                HostState::Unknown => &mut counts.unknown,
                HostState::Busy => &mut counts.busy,
            } += 1;
            counts.as_wanted += usize::from(entry.runs == Runs::Wanted);
            counts.stalled += usize::from(entry.stalled.is_some());
        }
        counts
    }

    /// How hosts are tried again that are left alone.
    fn way_on(self) -> String {
        format!(
            "{} left alone after so many resets in vain. When that is mended: `reconcile resume host NAME`",
            count(self.stalled, "host is", "hosts are")
        )
    }

    pub(super) fn line(self) -> String {
        let states = [
            (self.applied, HostState::Applied),
            (self.failed, HostState::Failed),
            (self.in_use, HostState::InUse),
            (self.unreachable, HostState::Unreachable),
            (self.unknown, HostState::Unknown),
            (self.busy, HostState::Busy),
        ];
        let some = states.into_iter().filter(|(number, _)| *number > 0);
        let mut parts: Vec<String> = some
            .map(|(number, state)| format!("{number} {}", word(state)))
            .collect();
        parts.push(format!("{} as wanted", self.as_wanted));
        if self.stalled > 0 {
            parts.push(format!("{} stalled", self.stalled));
        }
        format!(
            "{}: {}.",
            count(self.hosts, "host", "hosts"),
            parts.join(", ")
        )
    }
}
