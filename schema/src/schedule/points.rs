//! Schedules: `mon, wed 18:00`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::weekdays::days_pattern;
use super::{
    Clock, FARTHEST_DAYS, FreeDays, Kind, Occurrence, ScheduleError, Weekdays, clock,
    days_and_times, instant, one_or_many,
};
use crate::text::written;

/// Recurring points in time. Written `mon, wed 18:00`, or as a list of such.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Schedule(Vec<Point>);

one_or_many!(
    Schedule,
    Point,
    "Recurring points in time: days and a local time, as in `mon, wed 18:00`, or a list of such."
);

/// One line of a schedule: these days at this local time. Written `mon, wed 18:00`, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// The days.
    pub days: Weekdays,
    /// The local time.
    pub at: Time,
}

const KIND: Kind = Kind {
    name: "line of a schedule",
    accepted: Point::ACCEPTED,
};

impl Point {
    const ACCEPTED: &'static str = "days and a time, as in `mon, wed 18:00`";
}

impl FromStr for Point {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |why: String| KIND.error(text, why);
        let (days, time) = days_and_times(text);
        if time.is_empty() {
            return Err(error("the time is missing".to_owned()));
        }
        if days.is_empty() {
            return Err(error(format!(
                "the days are missing; every day is `daily {time}`"
            )));
        }
        if time.contains(['-', '–']) {
            return Err(error("one time is wanted, this is a span".to_owned()));
        }
        let days = days
            .parse()
            .map_err(|problem: ScheduleError| error(problem.why))?;
        match clock(time).map_err(error)? {
            Clock::At(at) => Ok(Self { days, at }),
            Clock::Midnight => Err(error("write 00:00 and the days after".to_owned())),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:02}:{:02}",
            self.days,
            self.at.hour(),
            self.at.minute()
        )
    }
}

written!(
    Point,
    concat!("^", days_pattern!(), " *([01]?[0-9]|2[0-3]):[0-5][0-9]$"),
    "Days and a local time, as in `mon, wed 18:00`."
);

impl Schedule {
    /// The latest occurrence that is not after `at` and whose day is not free.
    #[must_use]
    pub fn latest(&self, at: Timestamp, zone: &TimeZone, free: &FreeDays) -> Option<Timestamp> {
        let today = zone.to_datetime(at).date();
        // Where clocks are set back over midnight, tomorrow can already have begun once.
        let days = std::iter::successors(today.tomorrow().ok(), |day| day.yesterday().ok());
        self.search(days, free, |day| {
            self.on(day, zone)
                .filter(|&occurrence| occurrence <= at)
                .max()
        })
    }

    /// The first occurrence after `at` whose day is not free.
    #[must_use]
    pub fn next(&self, at: Timestamp, zone: &TimeZone, free: &FreeDays) -> Option<Timestamp> {
        let today = zone.to_datetime(at).date();
        let days = std::iter::successors(today.yesterday().ok(), |day| day.tomorrow().ok());
        self.search(days, free, |day| {
            self.on(day, zone)
                .filter(|&occurrence| occurrence > at)
                .min()
        })
    }

    fn search(
        &self,
        days: impl Iterator<Item = Date>,
        free: &FreeDays,
        best: impl Fn(Date) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        if self.0.is_empty() {
            return None;
        }
        days.take(usize::from(FARTHEST_DAYS)).find_map(|day| {
            let found = best(day)?;
            free.holding(day).is_none().then_some(found)
        })
    }

    /// The occurrences on a day.
    fn on(&self, day: Date, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let weekday = day.weekday();
        self.0
            .iter()
            .filter(move |point| point.days.contains(weekday))
            .filter_map(move |point| instant(day, point.at, zone, Occurrence::First))
    }
}
