//! The end of a pass: people are told what is new, and the journal closes with a line of its own.
//!
//! # Invariants
//!
//! A letter counts as told once the relay has it *and* the journal says so; until then it is news
//! again in the next pass, and this one has failed.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::planning::{Entry, Record};
use crate::report::mail;
use crate::report::summary::{self, Summary};
use crate::report::title::Clock;
use crate::report::trouble::{self, Standing};
use crate::world::{Hands, Senses};

/// How a pass ended, once people were told.
#[derive(Debug)]
pub struct Close {
    /// What is wrong, and what is over.
    pub standing: Standing,
    /// Why people do not know all of it, or may hear of it again.
    pub untold: Option<String>,
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
}

/// Tells people what is new after `pass`, the pass that began then.
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
    let mut untold = None;
    if let Some((observed, _)) = &ended.last
        && let Some(news) = mail::news(teller.server, &standing, &observed.journal)
        && teller.has_relay
    {
        untold = match world.send(&news.letter).await {
            Ok(()) => note(world, pass, news.told).err().map(|error| {
                format!(
                    "the letter was sent, but that could not be noted, so it may come again: {error:#}"
                )
            }),
            Err(error) => Some(format!(
                "the letter was not sent, the next pass tries again: {error:#}"
            )),
        };
    }
    let failed = untold.is_some() || summary::has_failed(ended, &standing);
    Close {
        standing,
        untold,
        failed,
    }
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
