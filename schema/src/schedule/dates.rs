//! Days of the calendar: `2026-12-23`, `2026-12-23..2026-12-27`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use super::{Kind, ScheduleError};
use crate::text::{excerpt, written};

/// A day, or all days from one to another, both included. Written `2026-12-23` or
/// `2026-12-23..2026-12-27`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dates {
    /// The first day.
    pub from: Date,
    /// The last day, not before the first.
    pub to: Date,
}

impl Dates {
    /// Whether the day is among them.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        self.from <= day && day <= self.to
    }
}

impl From<Date> for Dates {
    fn from(day: Date) -> Self {
        Self { from: day, to: day }
    }
}

const KIND: Kind = Kind {
    name: "day",
    accepted: "a day or a span of days, as in `2026-12-23` or `2026-12-23..2026-12-27`",
};

/// Why a text alone is no day.
pub(crate) const NO_DATE: &str = "no calendar has it";

/// What is longer is a slip of the pen.
const LONGEST_DAYS: i32 = 366;

/// Reads `2026-12-23`.
pub(crate) fn day(text: &str) -> Result<Date, String> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    let day = if shape { text.parse().ok() } else { None };
    day.ok_or_else(|| format!("`{}` is no day, write it as `2026-12-23`", excerpt(text)))
}

/// Reads days; says only why they are none.
pub(super) fn dates(text: &str) -> Result<Dates, String> {
    let Some((from, to)) = text.split_once("..") else {
        return day(text).map(Dates::from);
    };
    let (from, to) = (day(from.trim_end())?, day(to.trim_start())?);
    if to < from {
        return Err(format!("{to} is before {from}"));
    }
    if from
        .until(to)
        .is_ok_and(|length| length.get_days() > LONGEST_DAYS)
    {
        return Err(format!("{from} to {to} is more than a year"));
    }
    Ok(Dates { from, to })
}

impl FromStr for Dates {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        if text.contains("..") {
            return dates(text).map_err(|why| KIND.error(text, why));
        }
        let day = day(text).map_err(|_| KIND.error(text, NO_DATE))?;
        Ok(day.into())
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        if from == to {
            return from.fmt(f);
        }
        write!(f, "{from}..{to}")
    }
}

/// A day of the calendar.
macro_rules! date_pattern {
    () => {
        "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    };
}

macro_rules! dates_pattern {
    () => {
        concat!(
            $crate::schedule::dates::date_pattern!(),
            "( *\\.\\. *",
            $crate::schedule::dates::date_pattern!(),
            ")?"
        )
    };
}
pub(super) use {date_pattern, dates_pattern};

written!(
    Dates,
    concat!("^", dates_pattern!(), "$"),
    "A day or a span of days, as in `2026-12-23` or `2026-12-23..2026-12-27`."
);
