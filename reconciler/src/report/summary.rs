//! What a pass did and how it left things, for people and for the exit code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use schema::name::{HostName, RoomName};

use crate::linbo::verdict::HostOutcome;
use crate::planning::{Desired, Observed, Plan, Step, StepResult, Violation};
use crate::report::style::{Color, Mark, count};
use crate::report::title::{self, Clock};
use crate::report::trouble::{Kind, Standing, host_key};
use crate::world::{CommitLine, Problem};

/// What a pass did, and how it left things.
#[derive(Debug, Default)]
pub struct Summary {
    /// The commit worked towards.
    pub commit: Option<CommitLine>,
    /// What that says.
    pub desired: Option<Arc<Desired>>,
    /// What is wrong with the state repo.
    pub problems: Vec<Problem>,
    /// The steps that ended, in the order of their ends.
    pub finished: Vec<(Step, StepResult)>,
    /// The last outcome of each host.
    pub hosts: BTreeMap<HostName, (RoomName, HostOutcome)>,
    /// The last observation and the plan made of it, which has no steps when the pass ran to its end.
    pub last: Option<(Observed, Plan)>,
    /// What the judge found wrong with a plan, if anything: then nothing more was begun.
    pub violations: Vec<Violation>,
    /// What made the journal unwritable, if anything: then nothing more was begun.
    pub journal: Option<anyhow::Error>,
    /// Whether it was asked to stop.
    pub stopped: bool,
}

/// Whether a pass failed: exit code 1.
#[must_use]
pub fn has_failed(summary: &Summary, standing: &Standing) -> bool {
    let step = summary
        .finished
        .iter()
        .any(|(_, result)| matches!(result, StepResult::Failed { .. }));
    let host = summary
        .hosts
        .values()
        .any(|(_, outcome)| matches!(outcome, HostOutcome::Failed { .. }));
    step || host || standing.has(Kind::Failure)
}

/// One line: how many steps did what.
#[must_use]
pub fn line(summary: &Summary, standing: &Standing) -> String {
    let results = |wanted: fn(&StepResult) -> bool| {
        summary
            .finished
            .iter()
            .filter(|(_, result)| wanted(result))
            .count()
    };
    let done = results(|result| *result == StepResult::Done);
    let paused = results(|result| *result == StepResult::Paused);
    let failed = results(|result| matches!(result, StepResult::Failed { .. }));
    let waiting = summary
        .last
        .as_ref()
        .map_or(0, |(_, plan)| plan.holds.len());
    let hosts = |wanted: fn(&HostOutcome) -> bool| {
        summary
            .hosts
            .values()
            .filter(|(_, outcome)| wanted(outcome))
            .count()
    };
    let mut parts = Vec::new();
    let mut say = |number: usize, what: &str| {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    };
    say(done, "done");
    say(paused, "paused");
    say(failed, "failed");
    say(waiting, "waiting");
    let number = hosts(|outcome| matches!(outcome, HostOutcome::Applied { .. }));
    say(
        number,
        if number == 1 {
            "host applied"
        } else {
            "hosts applied"
        },
    );
    let number = hosts(|outcome| matches!(outcome, HostOutcome::Failed { .. }));
    say(
        number,
        if number == 1 {
            "host failed"
        } else {
            "hosts failed"
        },
    );
    let number = hosts(|outcome| matches!(outcome, HostOutcome::InUse { .. }));
    say(
        number,
        if number == 1 {
            "host in use"
        } else {
            "hosts in use"
        },
    );
    let number = hosts(|outcome| matches!(outcome, HostOutcome::Unreachable { .. }));
    say(
        number,
        if number == 1 {
            "host unreachable"
        } else {
            "hosts unreachable"
        },
    );
    let number = hosts(|outcome| matches!(outcome, HostOutcome::Unknown { .. }));
    say(
        number,
        if number == 1 {
            "host unknown"
        } else {
            "hosts unknown"
        },
    );
    if !standing.open.is_empty() {
        parts.push(count(standing.open.len(), "problem", "problems"));
    }
    if summary.stopped {
        parts.push("stopped before its end".to_owned());
    }
    if parts.is_empty() {
        "Nothing to do: the server is as the state repo says.".to_owned()
    } else {
        format!("Pass: {}.", parts.join(", "))
    }
}

/// The summary that a pass prints at its end.
#[must_use]
pub fn text(summary: &Summary, standing: &Standing, clock: Clock<'_>, color: Color) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for problem in summary
        .problems
        .iter()
        .filter(|problem| !problem.is_failure)
    {
        _ = writeln!(
            text,
            "{} {}",
            Mark::Wait.paint(color),
            problem.text.replace('\n', "\n  ")
        );
    }
    for (host, (room, outcome)) in &summary.hosts {
        let is_told = standing.open.contains_key(&host_key(host));
        if !is_told && !matches!(outcome, HostOutcome::Applied { .. }) {
            _ = writeln!(
                text,
                "{} host {host} in room {room} {outcome}",
                Mark::Blocked.paint(color)
            );
        }
    }
    for trouble in standing.open.values() {
        _ = writeln!(text, "{} {}", Mark::Blocked.paint(color), trouble.title);
        for line in trouble.details.iter().flat_map(|line| line.lines()) {
            _ = writeln!(text, "    {line}");
        }
    }
    let holds = summary
        .last
        .iter()
        .flat_map(|(_, plan)| &plan.holds)
        .filter(|hold| !hold.gate.is_trouble());
    for hold in holds {
        let item = title::held(hold, clock);
        _ = writeln!(
            text,
            "{} {}: {}",
            item.mark.paint(color),
            item.object,
            item.what
        );
        for note in item.notes {
            _ = writeln!(text, "    {note}");
        }
    }
    _ = writeln!(text, "{}", line(summary, standing));
    text
}
