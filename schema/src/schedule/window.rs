//! Windows: `daily 22:00–05:00`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::weekdays::days_pattern;
use super::{
    Clock, Kind, Occurrence, ScheduleError, Weekdays, clock, days_and_times, instant, one_or_many,
};
use crate::text::written;

/// A recurring span: on these days from `start` to `end`, into the next day when `end` is not later
/// than `start`. Written `daily 22:00–05:00`, to the minute; an end at midnight is `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The days on which it opens.
    pub days: Weekdays,
    /// The local time at which it opens.
    pub start: Time,
    /// The local time at which it closes.
    pub end: Time,
}

const KIND: Kind = Kind {
    name: "window",
    accepted: Window::ACCEPTED,
};

impl FromStr for Window {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let error = |why: String| KIND.error(text, why);
        let (days, times) = days_and_times(text);
        if times.is_empty() {
            return Err(error("the times are missing".to_owned()));
        }
        if days.is_empty() {
            return Err(error(format!(
                "the days are missing; every day is `daily {times}`"
            )));
        }
        let days = days
            .parse()
            .map_err(|problem: ScheduleError| error(problem.why))?;
        let Some((start, end)) = times.split_once(['-', '–']) else {
            return Err(error("the time at which it closes is missing".to_owned()));
        };
        let Clock::At(start) = clock(start.trim()).map_err(error)? else {
            return Err(error(
                "a window that opens at midnight begins at 00:00".to_owned(),
            ));
        };
        let end = match clock(end.trim()).map_err(error)? {
            Clock::Midnight => Time::midnight(),
            Clock::At(end) if end == start => {
                return Err(error(
                    "it ends when it begins; a whole day is 00:00–24:00".to_owned(),
                ));
            }
            Clock::At(end) => end,
        };
        Ok(Self { days, start, end })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, start, end } = self;
        let hour = if *end == Time::midnight() {
            24
        } else {
            end.hour()
        };
        write!(
            f,
            "{days} {:02}:{:02}–{hour:02}:{:02}",
            start.hour(),
            start.minute(),
            end.minute()
        )
    }
}

written!(
    Window,
    concat!(
        "^",
        days_pattern!(),
        " *([01]?[0-9]|2[0-3]):[0-5][0-9] *[–-] *(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)$"
    ),
    "Days and two local times, as in `daily 22:00–05:00`."
);

impl Window {
    const ACCEPTED: &'static str =
        "days and two times, as in `daily 22:00–05:00` or `mon–fri 17:30–22:00`";

    /// Its opening on a day, if it begins by `latest`; none where the change to daylight saving
    /// leaves nothing of it.
    fn on(&self, day: Date, zone: &TimeZone, latest: Timestamp) -> Option<Opening> {
        if !self.days.contains(day.weekday()) {
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

/// Windows of which any may be open. Written as one window or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Windows(Vec<Window>);

one_or_many!(
    Windows,
    Window,
    "Recurring spans: days and two local times, as in `daily 22:00–05:00`, or a list of such."
);

/// How far from where it is asked an opening is followed: what is longer is as good as always.
const FOLLOWED: SignedDuration = SignedDuration::from_hours(8 * 24);

/// How far ahead the next opening may be: windows recur weekly, and the change to daylight saving
/// can swallow one of them.
const AHEAD_DAYS: usize = 22;

impl Windows {
    /// A window that never closes.
    #[must_use]
    pub fn always() -> Self {
        let (start, end) = (Time::midnight(), Time::midnight());
        Self(vec![Window {
            days: Weekdays::DAILY,
            start,
            end,
        }])
    }

    /// Whether any is open: [`opening_at`](Self::opening_at) for those who need not know how long.
    #[must_use]
    pub fn is_open(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.holding(at, zone).next().is_some()
    }

    /// The opening that holds `at`; where several do, the one that closes last. Windows that touch
    /// or overlap count as one. It is followed for eight days to either side: what never closes
    /// gives an opening with ends that far away, which move with `at`.
    #[must_use]
    pub fn opening_at(&self, at: Timestamp, zone: &TimeZone) -> Option<Opening> {
        let held = self.holding(at, zone).reduce(|a, b| Opening {
            opens: a.opens.min(b.opens),
            closes: a.closes.max(b.closes),
        })?;
        let opens = self.back_from(held.opens, at.checked_sub(FOLLOWED).ok()?, zone);
        let closes = self.on_from(held.closes, at.checked_add(FOLLOWED).ok()?, zone);
        Some(Opening { opens, closes })
    }

    /// The next opening that begins after `at`; none where windows never open, or never close.
    #[must_use]
    pub fn next_opening(&self, at: Timestamp, zone: &TimeZone) -> Option<Opening> {
        let limit = at
            .checked_add(SignedDuration::from_hours(
                24 * i64::try_from(AHEAD_DAYS).ok()?,
            ))
            .ok()?;
        let from = self.on_from(at, limit, zone);
        if from >= limit {
            return None;
        }
        let yesterday = zone.to_datetime(from).date().yesterday().ok();
        let days = std::iter::successors(yesterday, |day| day.tomorrow().ok());
        let next = days.take(AHEAD_DAYS).find_map(|day| {
            let later = |opening: &Opening| opening.opens > from;
            self.0
                .iter()
                .filter_map(|window| window.on(day, zone, Timestamp::MAX))
                .filter(later)
                .min()
        })?;
        let closes = self.on_from(next.closes, next.opens.checked_add(FOLLOWED).ok()?, zone);
        Some(Opening {
            opens: next.opens,
            closes,
        })
    }

    /// The openings that hold an instant.
    fn holding(&self, at: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Opening> {
        let today = zone.to_datetime(at).date();
        // Where clocks are set back over midnight, a window of tomorrow can already be open.
        let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
        days.into_iter()
            .flatten()
            .flat_map(move |day| {
                self.0
                    .iter()
                    .filter_map(move |window| window.on(day, zone, at))
            })
            .filter(move |opening| at < opening.closes)
    }

    /// Where the chain of openings that hold `at` or begin with it ends, at or after `limit` if it
    /// goes on there; `at` itself where there is none.
    fn on_from(&self, mut at: Timestamp, limit: Timestamp, zone: &TimeZone) -> Timestamp {
        while at < limit {
            match self.holding(at, zone).map(|opening| opening.closes).max() {
                Some(closes) => at = closes,
                None => break,
            }
        }
        at
    }

    /// Where the chain of openings that reach `at` begins, at or before `limit` if it goes on there.
    fn back_from(&self, mut at: Timestamp, limit: Timestamp, zone: &TimeZone) -> Timestamp {
        while at > limit {
            let Ok(before) = at.checked_sub(SignedDuration::from_nanos(1)) else {
                break;
            };
            match self
                .holding(before, zone)
                .map(|opening| opening.opens)
                .min()
            {
                Some(opens) => at = opens,
                None => break,
            }
        }
        at
    }
}
