//! What the PCs know of power: one log of all of them, `<lab>/power.log`, that owes nothing to the program under test.

use std::{fs, io::ErrorKind, time::Duration};

use anyhow::{Context as _, Result};

use super::{
    host::{State, append},
    world::World,
};

/// What happened to a PC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// A magic packet was sent to it.
    Packet,
    /// It is in this state from now on.
    Is(State),
}

/// When what happened to which PC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerEvent {
    /// Milliseconds of the lab's time, since 1970.
    pub at: i64,
    /// The PC.
    pub host: String,
    /// What happened.
    pub what: Power,
}

const PACKET: &str = "packet";

impl World {
    /// Notes what happened to a host so long ago.
    pub(super) fn note_power(&self, host: &str, what: Power, ago: Duration) -> Result<()> {
        let at = self.now()?.timestamp().as_millisecond() - i64::try_from(ago.as_millis())?;
        let word = match what {
            Power::Packet => PACKET,
            Power::Is(state) => state.word(),
        };
        append(
            &self.root.join("power.log"),
            &format!("{at} {host} {word}\n"),
        )
    }

    pub(super) fn power(&self) -> Result<Vec<PowerEvent>> {
        let text = match fs::read_to_string(self.root.join("power.log")) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("cannot read the log of power"),
        };
        text.lines().map(parse).collect()
    }
}

fn parse(line: &str) -> Result<PowerEvent> {
    let mut words = line.split(' ');
    let mut next = || {
        words
            .next()
            .with_context(|| format!("{line:?} is no event"))
    };
    let (at, host, word) = (next()?.parse()?, next()?.to_owned(), next()?);
    let what = match word {
        PACKET => Power::Packet,
        word => Power::Is(State::read(word).with_context(|| format!("{word:?} is no state"))?),
    };
    Ok(PowerEvent { at, host, what })
}
