//! Windows: `daily 22:00–05:00`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::dates::{dates, dates_pattern};
use super::weekdays::days_pattern;
use super::{
    Clock, Dates, FARTHEST_DAYS, Kind, Occurrence, ScheduleError, Weekdays, clock, days_and_times,
    days_missing, instant, is_dated, one_or_many,
};
use crate::text::written;

/// A recurring span: on these days from `start` to `end`, into the next day when `end` is not later
/// than `start`. Written `daily 22:00–05:00`, to the minute; an end at midnight is `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Whether it closes what others open. Written with `not` in front: `not wed 19:00–20:00`, or
    /// without times for whole days, `not 2026-12-23..2026-12-27`.
    pub denies: bool,
    /// The days on which it opens.
    pub days: Days,
    /// The local time at which it opens.
    pub start: Time,
    /// The local time at which it closes.
    pub end: Time,
}

/// The days of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Days {
    /// These of every week.
    Weekly(Weekdays),
    /// These of the calendar.
    Dates(Dates),
}

impl Days {
    /// Whether the day is among them.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        match self {
            Self::Weekly(days) => days.contains(day.weekday()),
            Self::Dates(dates) => dates.contains(day),
        }
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weekly(days) => days.fmt(f),
            Self::Dates(dates) => dates.fmt(f),
        }
    }
}

const KIND: Kind = Kind {
    name: "window",
    accepted: Window::ACCEPTED,
};

/// Reads `22:00–05:00`.
fn span(times: &str) -> Result<(Time, Time), String> {
    let Some((start, end)) = times.split_once(['-', '–']) else {
        return Err("the time at which it closes is missing".to_owned());
    };
    let Clock::At(start) = clock(start.trim())? else {
        return Err("a window that opens at midnight begins at 00:00".to_owned());
    };
    match clock(end.trim())? {
        Clock::Midnight => Ok((start, Time::midnight())),
        Clock::At(end) if end == start => {
            Err("it ends when it begins; a whole day is 00:00–24:00".to_owned())
        }
        Clock::At(end) => Ok((start, end)),
    }
}

impl FromStr for Window {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |why: String| KIND.error(text, why);
        let (denies, rest) = match text.strip_prefix("not ") {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let (days, times) = days_and_times(rest);
        if times.is_empty() && !denies {
            return Err(error("the times are missing".to_owned()));
        }
        if days.is_empty() && !times.is_empty() {
            return Err(error(days_missing(times)));
        }
        let days = if is_dated(days) {
            Days::Dates(dates(days).map_err(error)?)
        } else {
            let days = days.parse();
            Days::Weekly(days.map_err(|problem: ScheduleError| error(problem.why))?)
        };
        let (start, end) = if times.is_empty() {
            WHOLE_DAY
        } else {
            span(times).map_err(error)?
        };
        Ok(Self {
            denies,
            days,
            start,
            end,
        })
    }
}

/// From midnight to midnight.
const WHOLE_DAY: (Time, Time) = (Time::midnight(), Time::midnight());

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            denies,
            days,
            start,
            end,
        } = self;
        if *denies {
            write!(f, "not {days}")?;
            if (*start, *end) == WHOLE_DAY {
                return Ok(());
            }
        } else {
            days.fmt(f)?;
        }
        let hour = if *end == Time::midnight() {
            24
        } else {
            end.hour()
        };
        write!(
            f,
            " {:02}:{:02}–{hour:02}:{:02}",
            start.hour(),
            start.minute(),
            end.minute()
        )
    }
}

written!(
    Window,
    concat!(
        "^((not +)?(",
        days_pattern!(),
        " *|",
        dates_pattern!(),
        " +)([01]?[0-9]|2[0-3]):[0-5][0-9] *[–-] *(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)|not +(",
        days_pattern!(),
        "|",
        dates_pattern!(),
        "))$"
    ),
    "Days and two local times, as in `daily 22:00–05:00` or `2026-12-27 10:00–16:00`; with `not` in front it closes, as in `not wed 19:00–20:00` or, for whole days, `not 2026-12-23..2026-12-27`."
);

impl Window {
    const ACCEPTED: &'static str = "days and two times, as in `daily 22:00–05:00`, `2026-12-27 10:00–16:00` or `not wed 19:00–20:00`";

    /// Whether it closes what others open.
    #[must_use]
    pub fn is_exception(&self) -> bool {
        self.denies
    }

    /// Its opening on a day, if it begins by `latest`; none where the change to daylight saving
    /// leaves nothing of it.
    fn on(&self, day: Date, zone: &TimeZone, latest: Timestamp) -> Option<Opening> {
        if !self.days.contains(day) {
            return None;
        }
        let opens = instant(day, self.start, zone, Occurrence::First)?;
        // Most begin later than is asked for: to find their end would be half of all the work.
        if opens > latest {
            return None;
        }
        let last_day = if self.end <= self.start {
            day.tomorrow().ok()?
        } else {
            day
        };
        let closes = instant(last_day, self.end, zone, Occurrence::Last)?;
        (opens < closes).then_some(Opening { opens, closes })
    }
}

/// One opening of a window: from `opens` until just before `closes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opening {
    /// The first instant within.
    pub opens: Timestamp,
    /// The first instant after it.
    pub closes: Timestamp,
}

impl Opening {
    /// Whether the instant is within.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.opens <= at && at < self.closes
    }
}

/// Windows of which any may be open, and exceptions, which go before them. Written as one window or
/// a list of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Windows(Vec<Window>);

one_or_many!(
    Windows,
    Window,
    "mon–fri 17:30–22:00, not 2026-12-23",
    "Recurring spans: days and two local times, as in `daily 22:00–05:00`, or a list of such; with `not` in front they close what others open, as in `not wed 19:00–20:00` or `not 2026-12-23`."
);

/// How far from where it is asked an opening is followed: what is longer is as good as always.
const FOLLOWED: SignedDuration = SignedDuration::from_hours(8 * 24);

/// How far ahead the next opening of windows without dates may be: they recur weekly, and the
/// change to daylight saving can swallow one of them.
const AHEAD_DAYS: u16 = 22;

impl Windows {
    /// A window that never closes.
    #[must_use]
    pub fn always() -> Self {
        let (start, end) = WHOLE_DAY;
        Self(vec![Window {
            denies: false,
            days: Days::Weekly(Weekdays::DAILY),
            start,
            end,
        }])
    }

    /// Whether any is open: [`opening_at`](Self::opening_at) for those who need not know how long.
    #[must_use]
    pub fn is_open(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.holding(at, zone, false).next().is_some() && !self.is_denied(at, zone)
    }

    /// The opening that holds `at`; where several do, the one that closes last. Windows that touch
    /// or overlap count as one; an exception parts them. It is followed for eight days to either
    /// side: what never closes gives an opening with ends that far away, which move with `at`.
    #[must_use]
    pub fn opening_at(&self, at: Timestamp, zone: &TimeZone) -> Option<Opening> {
        let held = self.holding(at, zone, false).reduce(|a, b| Opening {
            opens: a.opens.min(b.opens),
            closes: a.closes.max(b.closes),
        })?;
        if self.is_denied(at, zone) {
            return None;
        }
        let opens = self.back_from(held.opens, at.checked_sub(FOLLOWED).ok()?, zone);
        let closes = self.on_from(held.closes, at.checked_add(FOLLOWED).ok()?, zone);
        if !self.denies() {
            return Some(Opening { opens, closes });
        }
        let around = Opening { opens, closes };
        let before = self.exceptions_in(around, zone);
        let opens = before
            .map(|denied| denied.closes)
            .filter(|closes| *closes <= at)
            .max();
        let after = self.exceptions_in(around, zone);
        let closes = after
            .map(|denied| denied.opens)
            .filter(|opens| *opens > at)
            .min();
        Some(Opening {
            opens: opens.map_or(around.opens, |opens| opens.max(around.opens)),
            closes: closes.map_or(around.closes, |closes| closes.min(around.closes)),
        })
    }

    /// The next opening that begins after `at`; none where windows never open, or never close.
    #[must_use]
    pub fn next_opening(&self, at: Timestamp, zone: &TimeZone) -> Option<Opening> {
        let dated = self
            .0
            .iter()
            .any(|window| matches!(window.days, Days::Dates(_)));
        let ahead = if dated { FARTHEST_DAYS } else { AHEAD_DAYS };
        let ahead_hours = 24 * i64::from(ahead);
        let limit = at
            .checked_add(SignedDuration::from_hours(ahead_hours))
            .ok()?;
        // Begin where it is closed: after the opening that is now, or up to where it is parted.
        let from = if self.is_denied(at, zone) {
            at
        } else {
            let chain = self.on_from(at, limit, zone);
            let around = Opening {
                opens: at,
                closes: chain,
            };
            let parted = self.exceptions_in(around, zone);
            let parted = parted
                .map(|denied| denied.opens)
                .filter(|opens| *opens > at);
            parted.min().map_or(chain, |parted| parted.min(chain))
        };
        if from >= limit {
            return None;
        }
        let yesterday = zone.to_datetime(from).date().yesterday().ok();
        let days = std::iter::successors(yesterday, |day| day.tomorrow().ok());
        let opens = days.take(usize::from(ahead)).find_map(|day| {
            let begins = self.0.iter().filter_map(|window| {
                let opening = window.on(day, zone, Timestamp::MAX)?;
                Some(if window.denies {
                    opening.closes
                } else {
                    opening.opens
                })
            });
            begins
                .filter(|begin| *begin > from && (!self.denies() || self.is_open(*begin, zone)))
                .min()
        })?;
        if self.denies() {
            return self.opening_at(opens, zone);
        }
        let closes = self.on_from(opens, opens.checked_add(FOLLOWED).ok()?, zone);
        Some(Opening { opens, closes })
    }

    /// Whether there are exceptions.
    fn denies(&self) -> bool {
        self.0.iter().any(|window| window.denies)
    }

    fn is_denied(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.denies() && self.holding(at, zone, true).next().is_some()
    }

    /// The exceptions that begin on a day of this span or of the two around it.
    fn exceptions_in(&self, span: Opening, zone: &TimeZone) -> impl Iterator<Item = Opening> {
        let first = zone.to_datetime(span.opens).date().yesterday().ok();
        let last = zone.to_datetime(span.closes).date();
        let last = last.tomorrow().unwrap_or(last);
        self.0
            .iter()
            .filter(|window| window.denies)
            .flat_map(move |window| {
                let days = std::iter::successors(first, |day| day.tomorrow().ok());
                days.take_while(move |day| *day <= last)
                    .filter_map(move |day| window.on(day, zone, Timestamp::MAX))
            })
    }

    /// The openings that hold an instant, or the exceptions.
    fn holding(
        &self,
        at: Timestamp,
        zone: &TimeZone,
        denies: bool,
    ) -> impl Iterator<Item = Opening> {
        let today = zone.to_datetime(at).date();
        // Where clocks are set back over midnight, a window of tomorrow can already be open.
        let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
        days.into_iter()
            .flatten()
            .flat_map(move |day| {
                self.0
                    .iter()
                    .filter(move |window| window.denies == denies)
                    .filter_map(move |window| window.on(day, zone, at))
            })
            .filter(move |opening| at < opening.closes)
    }

    /// Where the chain of openings that hold `at` or begin with it ends, at or after `limit` if it
    /// goes on there, whatever the exceptions are; `at` itself where there is none.
    fn on_from(&self, mut at: Timestamp, limit: Timestamp, zone: &TimeZone) -> Timestamp {
        while at < limit {
            let closes = self.holding(at, zone, false).map(|opening| opening.closes);
            match closes.max() {
                Some(closes) => at = closes,
                None => break,
            }
        }
        at
    }

    /// Where the chain of openings that reach `at` begins, at or before `limit` if it goes on there,
    /// whatever the exceptions are.
    fn back_from(&self, mut at: Timestamp, limit: Timestamp, zone: &TimeZone) -> Timestamp {
        while at > limit {
            let Ok(before) = at.checked_sub(SignedDuration::from_nanos(1)) else {
                break;
            };
            let opens = self
                .holding(before, zone, false)
                .map(|opening| opening.opens);
            match opens.min() {
                Some(opens) => at = opens,
                None => break,
            }
        }
        at
    }
}
