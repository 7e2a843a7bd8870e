//! Who may use the central server's line when: worked out by every server alone, and the same by all.
//!
//! # Invariants
//!
//! * It follows from the state repo and its history alone. What a school lacks is what it would lack had it
//!   followed all slots before.
//! * At every instant the rates that are granted together are at most the uplink, those of what is left over
//!   among them; each is at most what the school's own line may give, and within its download windows.
//! * A later release takes what earlier ones left: it moves none of their slots. So a school that comes to the
//!   fleet moves nobody's.
//! * A line that nobody has a slot on is shared equally by all whose window is open. That is for those who missed
//!   theirs, of whom nobody else knows.
//!
//! All that holds among servers that work by the same commit and by true clocks. Until the last of them has pulled a new
//! one, two may count on the same part of the line.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schema::fleet::Fleet;
use schema::name::SchoolName;
use schema::schedule::Windows;
use schema::units::Rate;
use serde::Serialize;

mod place;
mod release;
#[cfg(test)]
mod tests;
mod used;

use used::Used;

pub use release::{Release, Wants, releases};

/// What of a rate on the line is content: the rest are the headers of Ethernet, IP and TCP around packets of the usual
/// size.
const CONTENT: (u64, u64) = (97, 100);
/// A slot is at least so long, at a rate as much lower: the start of a transfer must not count.
pub const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
/// A server that wakes up so much before its slot waits for it: its timer fires every five minutes.
pub const EARLY: SignedDuration = SignedDuration::from_mins(6);
/// What is left over is shared out for an hour at a time, so that nobody has to begin anew all the time.
const BLOCK: SignedDuration = SignedDuration::from_hours(1);
/// Less than this is not worth a connection.
const LEAST: u64 = 1_000_000;
/// How far ahead something left over is looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The line of one school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The zone of its windows.
    pub zone: TimeZone,
    /// When it may download.
    pub windows: Windows,
    /// What a download may take of it; all when absent.
    pub rate: Option<Rate>,
}

/// A part of the central server's line for one school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Slot {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// What may be taken of the line.
    pub rate: Rate,
    /// Whose it is by right.
    pub kind: SlotKind,
}

/// By which right a school has a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// It lacks something that was released.
    Own,
    /// Nobody else needs the line.
    LeftOver,
}

/// What one school may take of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Whatever it likes: the fleet does not say what the uplink carries.
    Unbounded,
    /// This slot, now or as the next one.
    Slot(Slot),
    /// Nothing within two weeks.
    Nothing,
}

/// Who may use the line when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    uplink: Rate,
    /// Each school's line, by its place in `kinds`, with what it may give.
    schools: BTreeMap<SchoolName, (usize, Option<Rate>)>,
    /// The windows that there are, and how many schools have them.
    kinds: Vec<Kind>,
    own: BTreeMap<SchoolName, Vec<Slot>>,
    used: Used,
}

/// Schools with the same windows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    zone: TimeZone,
    windows: Windows,
    schools: u64,
}

impl Slots {
    /// The slots of a fleet: those of earlier releases first.
    #[must_use]
    pub fn new(uplink: Rate, lines: BTreeMap<SchoolName, Line>, releases: &[Release]) -> Self {
        let mut slots = Self {
            uplink,
            schools: BTreeMap::new(),
            kinds: Vec::new(),
            own: BTreeMap::new(),
            used: Used::default(),
        };
        for (name, line) in lines {
            let Line {
                zone,
                windows,
                rate,
            } = line;
            let same = |kind: &Kind| kind.zone == zone && kind.windows == windows;
            let place = slots.kinds.iter().position(same).unwrap_or_else(|| {
                slots.kinds.push(Kind {
                    zone,
                    windows,
                    schools: 0,
                });
                slots.kinds.len() - 1
            });
            slots.kinds[place].schools += 1;
            slots.schools.insert(name, (place, rate));
        }
        for release in releases {
            place::place(&mut slots, release);
        }
        slots
    }

    /// The slots of a fleet that says what its uplink carries.
    #[must_use]
    pub fn of_fleet(fleet: &Fleet, releases: &[Release]) -> Option<Self> {
        let lines = fleet.schools.iter().map(|(name, school)| {
            let line = Line {
                zone: school.time_zone.clone(),
                windows: school.windows.download.clone(),
                rate: school.download_rate,
            };
            (name.clone(), line)
        });
        Some(Self::new(fleet.central.uplink?, lines.collect(), releases))
    }

    /// The slots of a school in the order of time, those that are over among them.
    #[must_use]
    pub fn of(&self, school: &SchoolName) -> &[Slot] {
        self.own.get(school).map_or(&[], Vec::as_slice)
    }

    /// All slots, by schools.
    pub fn iter(&self) -> impl Iterator<Item = (&SchoolName, &Slot)> {
        let schools = self.own.iter();
        schools.flat_map(|(school, slots)| slots.iter().map(move |slot| (school, slot)))
    }

    /// When the last slot of all ends.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        let last = self.own.values().filter_map(|slots| slots.last());
        last.map(|slot| slot.until).max()
    }

    /// What the schools together may take of the line.
    #[must_use]
    pub const fn uplink(&self) -> Rate {
        self.uplink
    }

    /// The slot of a school that holds `at`, or else its next one: its own, or what is left over. None where there
    /// is none within two weeks.
    #[must_use]
    pub fn at_or_after(&self, school: &SchoolName, at: Timestamp) -> Option<Slot> {
        let own = self.of(school).iter().find(|slot| at < slot.until).copied();
        if own.is_some_and(|own| own.from <= at) {
            return own;
        }
        let limit = own.map_or_else(|| at.saturating_add(AHEAD), |own| Ok(own.from));
        let limit = limit.unwrap_or(at);
        self.left_over(school, at, limit).or(own)
    }

    /// The first part of the line that is left over for a school at or after `at`, and begins before `limit`.
    fn left_over(&self, school: &SchoolName, at: Timestamp, limit: Timestamp) -> Option<Slot> {
        let (place, rate) = self.schools.get(school)?;
        let kind = self.kinds.get(*place)?;
        let mut begins = block_of(at);
        while begins < limit {
            let Some(open) = kind.windows.opening_at(begins, &kind.zone) else {
                let next = kind.windows.next_opening(begins, &kind.zone)?;
                // The first block that the window holds as a whole.
                begins = block_of(next.opens);
                if begins < next.opens {
                    begins = begins.saturating_add(BLOCK).ok()?;
                }
                continue;
            };
            let ends = begins.saturating_add(BLOCK).ok()?;
            let share = self.share(begins, ends);
            let share = rate.map_or(share, |rate| rate.bits().min(share));
            if ends <= open.closes && share >= LEAST {
                return Some(Slot {
                    from: begins.max(at),
                    until: ends.min(limit),
                    rate: Rate::bits_per_second(share)?,
                    kind: SlotKind::LeftOver,
                });
            }
            begins = ends;
        }
        None
    }

    /// What is left over for each school whose window is open all the time between two instants.
    fn share(&self, from: Timestamp, until: Timestamp) -> u64 {
        let free = self
            .uplink
            .bits()
            .saturating_sub(self.used.most(from, until));
        let is_open = |kind: &&Kind| {
            let opening = kind.windows.opening_at(from, &kind.zone);
            opening.is_some_and(|opening| until <= opening.closes)
        };
        let schools: u64 = self
            .kinds
            .iter()
            .filter(is_open)
            .map(|kind| kind.schools)
            .sum();
        place::round_down(free.checked_div(schools).unwrap_or(0))
    }
}

/// The beginning of the hour that holds an instant.
fn block_of(at: Timestamp) -> Timestamp {
    let block = BLOCK.as_secs();
    let second = at.as_second().div_euclid(block) * block;
    Timestamp::from_second(second).unwrap_or(at)
}

/// What of a rate on the line is left for content, with the headers taken off.
#[must_use]
pub fn content(rate: Rate) -> Rate {
    let bits = rate.bits() / CONTENT.1 * CONTENT.0;
    Rate::bits_per_second(bits).unwrap_or(rate)
}
