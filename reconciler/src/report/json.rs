//! A plan as one JSON document.
//!
//! # Compatibility
//!
//! `format_version` is major and minor. A minor version only adds keys; readers skip what they do
//! not know.

use serde_json::{Value, json};

use crate::planning::{Hold, Preview, Step};
use crate::report::text::{Counts, Head};
use crate::report::title::{self, Clock, Item};

/// The version of the document.
pub const FORMAT_VERSION: &str = "1.0";

/// A plan.
#[must_use]
pub fn plan(head: Head<'_>, preview: &Preview) -> Value {
    let steps = preview.rounds.iter().enumerate();
    let steps = steps.flat_map(|(round, steps)| {
        steps
            .iter()
            .map(move |step| self::step(step, round, head.clock))
    });
    json!({
        "format_version": FORMAT_VERSION,
        "server": head.server,
        "at": preview.at,
        "commit": head.commit,
        "problems": head.problems,
        "unseen": head.blind,
        "suspended": head.suspended,
        "steps": steps.collect::<Vec<_>>(),
        "holds": preview.holds.iter().map(|hold| self::hold(hold, head.clock)).collect::<Vec<_>>(),
        "timetable": preview.turns,
        "peaks": preview.peaks,
        "counts": Counts::of(preview),
    })
}

pub(super) fn step(step: &Step, round: usize, clock: Clock<'_>) -> Value {
    let Item {
        mark,
        object,
        what,
        notes,
        diff,
    } = title::item(step, clock);
    json!({
        "id": step.id, "round": round, "mark": mark, "object": object, "what": what, "notes": notes,
        "diff": diff, "action": step.action, "reason": step.reason,
    })
}

pub(super) fn hold(hold: &Hold, clock: Clock<'_>) -> Value {
    let Item {
        mark,
        object,
        what,
        notes,
        ..
    } = title::held(hold, clock);
    json!({
        "mark": mark, "object": object, "what": what, "notes": notes,
        "goal": hold.goal, "gate": hold.gate, "wake": hold.wake,
    })
}
