//! When a room is reset next, and when its hosts may be touched at all: schedule and windows spelled out as times.

use std::fmt::Write as _;

use jiff::Timestamp;
use schema::fleet::Room;
use schema::name::RoomName;
use schema::schedule::Opening;
use serde_json::{Value, json};

use crate::planning::{Desired, Gate, Observed, Occurrence, Outlook};
use crate::report::title::{self, Clock};

/// How many of each are shown.
const SHOWN: usize = 3;

/// The next resets of a room, and the next spans in which its hosts may be touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomTimes {
    resets: Vec<Occurrence>,
    openings: Vec<Opening>,
    /// Why there are none.
    never: Option<&'static str>,
}

impl RoomTimes {
    /// What is to be foreseen for a room.
    #[must_use]
    pub fn of(desired: &Desired, observed: &Observed, name: &RoomName, room: &Room) -> Self {
        let Some(outlook) = Outlook::of(desired, observed, name, room) else {
            let never = if room.reset.is_none() {
                "it has no reset schedule"
            } else if observed.devices.seen().is_none() {
                "its hosts could not be seen"
            } else {
                "it has no hosts that can be reset"
            };
            return Self {
                resets: Vec::new(),
                openings: Vec::new(),
                never: Some(never),
            };
        };
        let resets: Vec<_> = outlook.occurrences(observed.at).take(SHOWN).collect();
        Self {
            never: resets
                .is_empty()
                .then_some("its schedule has no time to come"),
            resets,
            openings: outlook.openings(observed.at).take(SHOWN).collect(),
        }
    }

    /// For people.
    pub(super) fn text(&self, text: &mut String, clock: Clock<'_>) {
        // Writing to a String cannot fail.
        match self.never {
            Some(why) => _ = writeln!(text, "\nNo reset is to be foreseen: {why}."),
            None => text.push_str("\nIts next resets:\n"),
        }
        for reset in &self.resets {
            let due = clock.show(reset.due);
            let waits = waits(reset, clock);
            let says = match (reset.span, waits) {
                (Some(span), None) => shown(span, clock),
                (Some(span), Some(waits)) => format!("{}, since {waits}", shown(span, clock)),
                (None, Some(_)) if reset.waits == Some(Gate::DueSoon) => {
                    "with the next one, which is due when the window has opened".to_owned()
                }
                (None, Some(waits)) => format!("nobody knows when: {waits}"),
                (None, None) => "nobody knows when".to_owned(),
            };
            _ = writeln!(text, "  due {due}: {says}");
        }
        if !self.openings.is_empty() {
            text.push_str("\nIts hosts may be touched:\n");
        }
        for span in &self.openings {
            _ = writeln!(text, "  {}", shown(*span, clock));
        }
    }

    /// As JSON.
    pub(super) fn json(&self, clock: Clock<'_>) -> Value {
        let span = |span: &Opening| json!({ "from": span.opens, "until": span.closes });
        let resets = self.resets.iter().map(|reset| {
            json!({
                "due": reset.due, "span": reset.span.as_ref().map(span),
                "gate": reset.waits, "waits": waits(reset, clock),
            })
        });
        json!({
            "resets": resets.collect::<Vec<_>>(),
            "openings": self.openings.iter().map(span).collect::<Vec<_>>(),
            "never": self.never,
            "time_zone": clock.zone.iana_name(),
        })
    }
}

/// What keeps a reset from beginning when it is due.
fn waits(reset: &Occurrence, clock: Clock<'_>) -> Option<String> {
    let gate = reset.waits.as_ref()?;
    Some(title::gate(gate, clock).join(", "))
}

/// `Mon 23 Nov 17:30 to 22:00`, with the day where it is another.
fn shown(Opening { opens, closes }: Opening, clock: Clock<'_>) -> String {
    let day = |at: Timestamp| at.to_zoned(clock.zone.clone()).date();
    let end = clock.show(closes);
    let end = match end.rsplit_once(' ') {
        Some((_, time)) if day(opens) == day(closes) => time.to_owned(),
        _ => end,
    };
    format!("{} to {end}", clock.show(opens))
}
