//! Suspensions: how they are shown, and reminders of those that may be forgotten.
//!
//! # Invariants
//!
//! A suspension without an end is brought to mind after two weeks, one with an end after a month, then every month.
//! What people were reminded of stands in the journal, written after the relay took the letter.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::SignedDuration;

use crate::planning::journal::Noticed;
use crate::planning::suspension::End;
use crate::planning::{Desired, Entry, InForce, Observed, in_force};
use crate::report::mail::News;
use crate::report::style::count;
use crate::report::title::Clock;
use crate::world::{Letter, Readers};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// After which time a suspension without an end may be forgotten.
const ENDLESS: i32 = 14;
/// After which time one with an end may be, and until people are reminded again.
const LONG: i32 = 30;

/// A suspension in one line.
#[must_use]
pub fn line(suspension: &InForce, clock: Clock<'_>) -> String {
    let InForce {
        what,
        reason,
        by,
        since,
        until,
        end,
    } = suspension;
    let since = since.map_or(String::new(), |since| {
        format!(" since {}", clock.show(since))
    });
    let until = match (until, end) {
        (Some(until), _) => format!("until {}", clock.show(*until)),
        (None, End::Command(command)) => format!("until `{command}`"),
        (None, End::File(file)) => format!("until it is taken out of {file}"),
    };
    format!("{what}{since} by {by}, {until}: {reason}")
}

/// What is to be noted of suspensions: which are new, and which are over. None when nothing is, or when not all could
/// be seen.
#[must_use]
pub fn changes(desired: &Desired, observed: &Observed) -> Option<Entry> {
    observed.orders.seen()?;
    let known = observed.journal.suspensions();
    let now: BTreeSet<String> = in_force(desired, observed)
        .iter()
        .map(InForce::key)
        .collect();
    let over = known.keys().filter(|key| !now.contains(*key));
    let over: Vec<_> = over.cloned().collect();
    let noticed: Vec<_> = now
        .into_iter()
        .filter(|key| !known.contains_key(key))
        .collect();
    (!noticed.is_empty() || !over.is_empty()).then_some(Entry::Suspensions {
        noticed,
        reminded: Vec::new(),
        over,
    })
}

/// The reminder that is due, if a suspension may be forgotten.
#[must_use]
pub fn reminder(
    server: &str,
    desired: &Desired,
    observed: &Observed,
    clock: Clock<'_>,
) -> Option<News> {
    let (mut reminded, mut lines) = (Vec::new(), String::new());
    for suspension in in_force(desired, observed) {
        let key = suspension.key();
        let known = observed.journal.suspensions().get(&key).copied();
        let Some(since) = suspension.since.or(known.map(|known| known.since)) else {
            continue;
        };
        let due = match (known, suspension.until) {
            (
                Some(Noticed {
                    reminded: Some(last),
                    ..
                }),
                _,
            ) => last + DAY * LONG,
            (_, Some(_)) => since + DAY * LONG,
            (_, None) => since + DAY * ENDLESS,
        };
        if due <= observed.at {
            let since = Some(since);
            let shown = line(
                &InForce {
                    since,
                    ..suspension
                },
                clock,
            );
            // Writing to a String cannot fail.
            _ = writeln!(lines, "- {shown}");
            reminded.push(key);
        }
    }
    if reminded.is_empty() {
        return None;
    }
    let number = count(reminded.len(), "suspension", "suspensions");
    Some(News {
        letter: Letter {
            readers: Readers::Administrators,
            subject: format!("[reconcile] {server}: {number} for a long time, forgotten?"),
            body: format!(
                "Suspended for a long time, perhaps forgotten:\n\n{lines}\nNothing is done for what is suspended. This is brought to mind again in {LONG} days.\n"
            ),
        },
        told: Entry::Suspensions {
            noticed: Vec::new(),
            reminded,
            over: Vec::new(),
        },
    })
}
