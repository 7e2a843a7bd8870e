//! Schedules: `mon, wed 18:00`, `every 2 weeks mon 18:00 from 2026-09-14`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use super::dates::{date_pattern, dates, dates_pattern, day};
use super::weekdays::days_pattern;
use super::{
    Clock, Dates, FARTHEST_DAYS, FreeDays, Kind, Occurrence, ScheduleError, Weekdays, clock,
    days_and_times, days_missing, instant, is_dated, one_or_many,
};
use crate::text::written;

/// Recurring points in time. Written `mon, wed 18:00`, or as a list of such and of exceptions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Schedule(Vec<Point>);

one_or_many!(
    Schedule,
    Point,
    "mon, wed 18:00, not 2026-12-23",
    "Points in time, as in `mon, wed 18:00`, `every 2 weeks mon 18:00 from 2026-09-14` or `2026-10-02 14:00`, or a list of such; `not 2026-12-23..2026-12-27` leaves out days."
);

/// One line of a schedule, to the minute of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Written `mon, wed 18:00`, or `every 2 weeks mon 18:00 from 2026-09-14`.
    Weekly {
        /// The days.
        days: Weekdays,
        /// The local time.
        at: Time,
        /// Which weeks; all of them when absent.
        every: Option<Every>,
    },
    /// Written `2026-10-02 14:00`.
    Once {
        /// The day.
        day: Date,
        /// The local time.
        at: Time,
    },
    /// Written `not 2026-12-23` or `not 2026-12-23..2026-12-27`: no line of the schedule holds on
    /// these days.
    Not(Dates),
}

/// Every so many weeks, counted from the week of a day, which is the first that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Every {
    /// How many weeks, 2 to 52.
    pub weeks: u8,
    /// A day of the first week; no day before it counts.
    pub from: Date,
}

impl Every {
    /// Whether the week of the day is one of them.
    fn holds(self, day: Date) -> bool {
        let since_monday = i32::from(self.from.weekday().to_monday_zero_offset());
        let days = self.from.until(day).map(|span| span.get_days());
        days.is_ok_and(|days| {
            days >= 0 && (days + since_monday) / 7 % i32::from(self.weeks.max(1)) == 0
        })
    }
}

const KIND: Kind = Kind {
    name: "line of a schedule",
    accepted: Point::ACCEPTED,
};

/// Reads `mon, wed 18:00`.
fn weekly(text: &str) -> Result<(Weekdays, Time), String> {
    let (days, time) = days_and_times(text);
    if time.is_empty() {
        return Err("the time is missing".to_owned());
    }
    if days.is_empty() {
        return Err(days_missing(time));
    }
    let days = days.parse().map_err(|problem: ScheduleError| problem.why)?;
    Ok((days, one_time(time)?))
}

fn one_time(text: &str) -> Result<Time, String> {
    if text.contains(['-', '–']) {
        return Err("one time is wanted, this is a span".to_owned());
    }
    match clock(text)? {
        Clock::At(at) => Ok(at),
        Clock::Midnight => Err("write 00:00 and the day after".to_owned()),
    }
}

/// Reads what follows `every`: `2 weeks mon 18:00 from 2026-09-14`.
fn every(text: &str) -> Result<Point, String> {
    const SHAPE: &str = "weeks are counted as in `every 2 weeks mon 18:00 from 2026-09-14`";
    let rest = text.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let rest = rest.trim_start();
    let Some(rest) = rest.strip_prefix("weeks ").or(rest.strip_prefix("week ")) else {
        return Err(SHAPE.to_owned());
    };
    let weeks = number.parse().ok().filter(|weeks| (2..=52).contains(weeks));
    let weeks = weeks.ok_or("2 to 52 weeks are possible; every week is `mon 18:00`")?;
    let Some((rest, from)) = rest.split_once(" from ") else {
        return Err(format!("the day from which on is missing; {SHAPE}"));
    };
    let (days, at) = weekly(rest.trim())?;
    let from = day(from.trim_start())?;
    let every = Some(Every { weeks, from });
    Ok(Point::Weekly { days, at, every })
}

impl Point {
    const ACCEPTED: &'static str = "days and a time, as in `mon, wed 18:00`, `every 2 weeks mon 18:00 from 2026-09-14` or `not 2026-12-23`";

    /// Whether it takes away rather than adds.
    #[must_use]
    pub fn is_exception(&self) -> bool {
        matches!(self, Self::Not(_))
    }

    /// The time of this line on a day, if it holds then.
    #[must_use]
    pub fn on(&self, on: Date) -> Option<Time> {
        match *self {
            Self::Weekly { days, at, every } => (days.contains(on.weekday())
                && every.is_none_or(|every| every.holds(on)))
            .then_some(at),
            Self::Once { day, at } => (day == on).then_some(at),
            Self::Not(_) => None,
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("not ") {
            let rest = rest.trim_start();
            if !rest.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(
                    "exceptions are days of the calendar; of weekdays, name only the others"
                        .to_owned(),
                );
            }
            return dates(rest).map(Self::Not);
        }
        if let Some(rest) = text.strip_prefix("every ") {
            return every(rest);
        }
        if is_dated(text) {
            let (dates, time) = days_and_times(text);
            let day = day(dates)?;
            if time.is_empty() {
                return Err("the time is missing".to_owned());
            }
            let at = one_time(time)?;
            return Ok(Self::Once { day, at });
        }
        let (days, at) = weekly(text)?;
        let every = None;
        Ok(Self::Weekly { days, at, every })
    }
}

impl FromStr for Point {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::read(text).map_err(|why| KIND.error(text, why))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: &Time| format!("{:02}:{:02}", at.hour(), at.minute());
        match self {
            Self::Weekly { days, at, every } => match every {
                None => write!(f, "{days} {}", time(at)),
                Some(Every { weeks, from }) => {
                    write!(f, "every {weeks} weeks {days} {} from {from}", time(at))
                }
            },
            Self::Once { day, at } => write!(f, "{day} {}", time(at)),
            Self::Not(dates) => write!(f, "not {dates}"),
        }
    }
}

macro_rules! time_pattern {
    () => {
        "([01]?[0-9]|2[0-3]):[0-5][0-9]"
    };
}

written!(
    Point,
    concat!(
        "^(",
        days_pattern!(),
        " *",
        time_pattern!(),
        "|every +([2-9]|[1-4][0-9]|5[0-2]) *weeks +",
        days_pattern!(),
        " *",
        time_pattern!(),
        " +from +",
        date_pattern!(),
        "|",
        date_pattern!(),
        " +",
        time_pattern!(),
        "|not +",
        dates_pattern!(),
        ")$"
    ),
    "Days and a local time, as in `mon, wed 18:00`, `every 2 weeks mon 18:00 from 2026-09-14` or `2026-10-02 14:00`, or days that are left out, as in `not 2026-12-23`."
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
        let left_out = self
            .0
            .iter()
            .any(|point| matches!(point, Point::Not(dates) if dates.contains(day)));
        self.0
            .iter()
            .filter(move |_| !left_out)
            .filter_map(move |point| instant(day, point.on(day)?, zone, Occurrence::First))
    }
}
