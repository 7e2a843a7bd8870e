//! The end of a pass: people are told what is new and what is coming, and the journal closes with a line of its own.
//!
//! # Invariants
//!
//! A letter counts as told once the relay has it *and* the journal says so; until then it is news
//! again in the next pass, and this one has failed.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::planning::{Coming, Desired, Entry, Observed, Plan, Record, agenda, retention};
use crate::report::announce::announcement;
use crate::report::calendar::calendar;
use crate::report::mail::{self, News};
use crate::report::summary::{self, Summary};
use crate::report::suspended;
use crate::report::title::Clock;
use crate::report::trouble::{self, Standing};
use crate::world::{Hands, Senses};

/// How a pass ended, once people were told.
#[derive(Debug)]
pub struct Close {
    /// What is wrong, and what is over.
    pub standing: Standing,
    /// Why people do not know all of it, or may hear of it again.
    pub untold: Vec<String>,
    /// Whether the pass failed: exit code 1.
    pub failed: bool,
}

/// The names and settings by which a pass tells people.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// What the server is called in letters.
    pub server: &'a str,
    /// The zone in which people read times.
    pub zone: &'a TimeZone,
    /// Whether there is a relay to hand letters to.
    pub has_relay: bool,
    /// Whether staff can fetch a calendar.
    pub has_calendar: bool,
}

/// How far ahead the calendar shows what is coming.
const SHOWN_AHEAD: SignedDuration = SignedDuration::from_hours(8 * 7 * 24);

/// Tells people what is new after `pass`, the pass that began then, and what is coming.
pub async fn tell<W: Senses + Hands>(
    world: &W,
    teller: Teller<'_>,
    pass: Timestamp,
    ended: &Summary,
) -> Close {
    let clock = Clock {
        now: world.now(),
        zone: teller.zone,
    };
    let standing = trouble::standing(ended, clock);
    let mut untold = Vec::new();
    if let (Some((observed, plan)), Some(desired)) = (&ended.last, &ended.desired) {
        let changes = [
            suspended::changes(desired, observed),
            retention::changes(desired, observed),
        ];
        for changes in changes.into_iter().flatten() {
            untold.extend(
                note(world, pass, changes)
                    .err()
                    .map(|error| format!("{error:#}")),
            );
        }
        let letters = [
            mail::news(teller.server, &standing, &observed.journal),
            suspended::reminder(teller.server, desired, observed, clock),
            announcement(desired, observed, plan, clock),
        ];
        for news in letters.into_iter().flatten().filter(|_| teller.has_relay) {
            untold.extend(send(world, pass, news).await.err());
        }
        if let Some(staff) = desired.staff.as_ref().filter(|_| teller.has_calendar)
            && let Some(coming) = shown(desired, observed, plan)
        {
            let calendar = calendar(staff.title.as_str(), &staff.domain, &coming);
            let published = world.publish(&calendar);
            untold.extend(published.err().map(|error| format!("{error:#}")));
        }
    }
    let failed = !untold.is_empty() || summary::has_failed(ended, &standing);
    Close {
        standing,
        untold,
        failed,
    }
}

/// What is coming, from the beginning of the day on: what has begun is still to be seen, and the calendar changes once
/// a day at most where nothing else does.
fn shown(desired: &Desired, observed: &Observed, plan: &Plan) -> Option<Vec<Coming>> {
    let today = observed.at.to_zoned(desired.zone.clone()).start_of_day();
    let from = today.ok()?.timestamp();
    let until = from.checked_add(SHOWN_AHEAD).ok()?;
    agenda(desired, observed, plan, from, until)
}

/// Sends a letter and notes that.
async fn send<W: Senses + Hands>(world: &W, pass: Timestamp, news: News) -> Result<(), String> {
    world.send(&news.letter).await.map_err(|error| {
        format!("the letter was not sent, the next pass tries again: {error:#}")
    })?;
    note(world, pass, news.told).map_err(|error| {
        format!("the letter was sent, but that could not be noted, so it may come again: {error:#}")
    })
}

/// Closes the journal of `pass` with its exit code and one line.
///
/// # Errors
///
/// When that could not be made durable. Nothing hangs on this record but the history.
pub fn close<W: Senses + Hands>(
    world: &W,
    pass: Timestamp,
    ended: &Summary,
    close: &Close,
    exit: u8,
) -> Result<(), anyhow::Error> {
    let summary = summary::line(ended, &close.standing);
    note(world, pass, Entry::PassFinished { exit, summary })
}

fn note<W: Senses + Hands>(world: &W, pass: Timestamp, entry: Entry) -> Result<(), anyhow::Error> {
    world.record(&Record {
        at: world.now(),
        pass,
        entry,
    })
}
