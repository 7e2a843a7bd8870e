//! How careful a school is: retries, waves of a rollout, the guard against mass changes, exams,
//! announcements and suspensions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::name::RoomName;
use crate::policy::{Portion, Until};
use crate::schedule::Dates;
use crate::text::PlainText;
use crate::units::{Length, Percent};

/// How often a host is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Tries of one occurrence of a reset, the first among them; at least 1.
    pub tries: u32,
    /// The wait after the first failure; it grows with each further one.
    pub wait: Length,
    /// After so many failed occurrences in a row a host is stalled: not tried again until somebody
    /// resolves it. At least 1.
    pub stalled_after: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            tries: 3,
            wait: Length::from_minutes(10),
            stalled_after: 3,
        }
    }
}

/// How a new version comes to the hosts of a school.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The first day on which a new version of a released image takes the place of another; none if at once.
    pub from: Option<Date>,
    /// Its waves; none if all rooms may have it at once.
    pub waves: Option<Waves>,
    /// With more than this share of the tried hosts failed, it stops by itself.
    pub stop_at_failures: Percent,
    /// Hosts that load the version at the same time, at least 1.
    pub loading_at_once: u32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            from: None,
            waves: Some(Waves::default()),
            stop_at_failures: Percent::clamped(10),
            loading_at_once: 30,
        }
    }
}

/// The waves of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waves {
    /// Who is first.
    pub canary: Canary,
    /// Who has it afterwards.
    pub then: Then,
    /// A wave opens when at least this share of the one before has the version …
    pub healthy: Percent,
    /// … and so much time has passed since.
    pub soak: Length,
}

impl Default for Waves {
    fn default() -> Self {
        Self {
            canary: Canary::Portion(Portion::Rooms(1)),
            then: Then::Portion(Portion::Share(Percent::clamped(25))),
            healthy: Percent::clamped(95),
            soak: Length::from_minutes(24 * 60),
        }
    }
}

/// Who has a new version first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canary {
    /// So much of the school, by the order of the rooms' names.
    Portion(Portion),
    /// These rooms; never empty.
    Rooms(BTreeSet<RoomName>),
}

/// Who has a new version after the canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// So much of the school at a time, by the order of the rooms' names.
    Portion(Portion),
    /// These rooms, one group after the other, and at last all that nobody names.
    Groups(Vec<BTreeSet<RoomName>>),
}

/// What nobody is to change by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// A plan that would re-image more than this share of a school's hosts outside of a rollout is held.
    pub reimage_at_most: Percent,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            reimage_at_most: Percent::clamped(40),
        }
    }
}

/// When people are told of what is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// So many days before, at least 1.
    pub days_before: u32,
}

/// Days on which rooms are in an exam: nothing touches their hosts then, from midnight to midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exam {
    /// The days.
    pub dates: Dates,
    /// The rooms.
    pub rooms: ExamRooms,
}

/// Which rooms are in an exam.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExamRooms {
    /// All of the school.
    All,
    /// These.
    These(BTreeSet<RoomName>),
}

impl Exam {
    /// Whether it holds this room on this day.
    #[must_use]
    pub fn holds(&self, room: &RoomName, day: Date) -> bool {
        self.dates.contains(day)
            && match &self.rooms {
                ExamRooms::All => true,
                ExamRooms::These(rooms) => rooms.contains(room),
            }
    }
}

/// That something is left alone for the time being, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Why.
    pub reason: PlainText,
    /// Who wanted it.
    pub by: PlainText,
    /// Until when; until somebody takes it out of the state repo when absent.
    pub until: Option<Until>,
}

impl Suspension {
    /// Whether it still holds at `at`.
    #[must_use]
    pub fn holds(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.until.is_none_or(|until| at < until.end(zone))
    }
}
