//! Recurring times: windows in which work may run, and schedules by which something is to be fresh.
//!
//! All of it is civil time in a zone that the caller gives. Daylight saving: a time that does not
//! exist means the next one that does; a time that exists twice means its first occurrence at the
//! start of a window and its last at the end. Lengths are absolute.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::Timestamp;

/// A set of weekdays, never empty. Written `mon, wed`, `mon–fri` (or `mon-fri`), `daily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weekdays(u8);

/// A recurring span: on these days from `start` to `end`, into the next day when `end` is not later
/// than `start`. Written `daily 22:00–05:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The days on which it opens.
    pub days: Weekdays,
    /// The local time at which it opens.
    pub start: Time,
    /// The local time at which it closes.
    pub end: Time,
}

/// One opening of a window: from `opens` until just before `closes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// The first instant within.
    pub opens: Timestamp,
    /// The first instant after it.
    pub closes: Timestamp,
}

/// Windows of which any may be open. Written as one window or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// The opening that holds `at`; where several do, the one that closes last. Windows that touch
    /// or overlap count as one.
    #[must_use]
    pub fn opening_at(&self, at: Timestamp, zone: &TimeZone) -> Option<Opening> {
        todo!()
    }

    /// The next opening that begins after `at`.
    #[must_use]
    pub fn next_opening(&self, at: Timestamp, zone: &TimeZone) -> Option<Opening> {
        todo!()
    }
}

/// Recurring points in time. Written `mon, wed 18:00`, or as a list of such.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule(Vec<Point>);

/// One line of a schedule: these days at this local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The days.
    pub days: Weekdays,
    /// The local time.
    pub at: Time,
}

impl Schedule {
    /// The latest occurrence that is not after `at` and whose day is not free.
    #[must_use]
    pub fn latest(&self, at: Timestamp, zone: &TimeZone, free: &FreeDays) -> Option<Timestamp> {
        todo!()
    }

    /// The first occurrence after `at` whose day is not free.
    #[must_use]
    pub fn next(&self, at: Timestamp, zone: &TimeZone, free: &FreeDays) -> Option<Timestamp> {
        todo!()
    }
}

/// Days on which no lesson is held and nothing is to be done: the school holidays of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FreeDays {
    /// First and last day, both included, by first day, with the name of the holiday.
    spans: Vec<(Date, Date, String)>,
}

impl FreeDays {
    /// The holiday that holds `day`: its name and its last day.
    #[must_use]
    pub fn holding(&self, day: Date) -> Option<(&str, Date)> {
        todo!()
    }
}
