//! Recurring times: windows in which work may run, and schedules by which something is to be fresh.
//!
//! All of it is civil time in a zone that the caller gives. Daylight saving: a time that does not
//! exist means the next one that does; a time that exists twice means its first occurrence at the
//! start of a window and its last at the end, and its first, once, in a schedule. Lengths are
//! absolute.
//!
//! # Invariants
//!
//! No search goes further than [`FARTHEST_DAYS`] from where it begins, whatever the windows, the
//! points and the holidays are.

mod dates;
mod free;
mod points;
mod weekdays;
mod window;

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};

pub use self::dates::Dates;
pub(crate) use self::dates::{NO_DATE, day};
pub use self::free::FreeDays;
pub use self::points::{Every, Point, Schedule};
pub use self::weekdays::Weekdays;
pub use self::window::{Days, Opening, Window, Windows};
use crate::text::excerpt;

/// How many days a search looks ahead or back.
pub const FARTHEST_DAYS: u16 = 400;

/// Why a text is no set of weekdays, no window or no line of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleError {
    text: String,
    kind: &'static str,
    why: String,
    accepted: &'static str,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            text,
            kind,
            why,
            accepted,
        } = self;
        write!(f, "`{text}` is no {kind}: {why}; accepted is {accepted}")
    }
}

impl std::error::Error for ScheduleError {}

/// What a piece of a text is, for its error.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    accepted: &'static str,
}

impl Kind {
    fn error(self, text: &str, why: impl Into<String>) -> ScheduleError {
        let Self { name, accepted } = self;
        ScheduleError {
            text: excerpt(text),
            kind: name,
            why: why.into(),
            accepted,
        }
    }
}

/// A time of day as it is written: 24:00 is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    At(Time),
    Midnight,
}

/// Reads `7:30` or `07:30`.
fn clock(text: &str) -> Result<Clock, String> {
    let wrong = || format!("`{}` is no time of day, write it as `07:30`", excerpt(text));
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !(1..=2).contains(&hour.len()) || minute.len() != 2 || !digits(hour) || !digits(minute) {
        return Err(wrong());
    }
    if (hour, minute) == ("24", "00") {
        return Ok(Clock::Midnight);
    }
    let (Ok(hour), Ok(minute)) = (hour.parse(), minute.parse()) else {
        return Err(wrong());
    };
    Time::new(hour, minute, 0, 0)
        .map(Clock::At)
        .map_err(|_| wrong())
}

/// Whether a text begins with a year, as dates do and times do not.
fn is_dated(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4 && text.get(4..).is_some_and(|rest| rest.starts_with('-'))
}

/// Why there are no days where a digit comes first.
fn days_missing(text: &str) -> String {
    match text.split(' ').next() {
        Some(date) if date.contains('.') || date.contains('/') => {
            "write days of the calendar as `2026-12-23`".to_owned()
        }
        _ => format!("the days are missing; every day is `daily {text}`"),
    }
}

/// Reads `7:30`; none is midnight at the end of the day, `24:00`.
pub(crate) fn time_of_day(text: &str) -> Result<Option<Time>, String> {
    clock(text).map(|clock| match clock {
        Clock::At(time) => Some(time),
        Clock::Midnight => None,
    })
}

/// Parts `mon, wed 18:00` into days and times: where the first digit is. Of `2026-12-27 10:00`
/// dates are the days.
fn days_and_times(text: &str) -> (&str, &str) {
    let first = if is_dated(text) {
        let colon = text.find(':').unwrap_or(text.len());
        let before = text.get(..colon).unwrap_or_default();
        let hour = before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        if colon == text.len() {
            None
        } else {
            Some(hour)
        }
    } else {
        text.find(|c: char| c.is_ascii_digit())
    };
    let at = first.unwrap_or(text.len());
    let (days, times) = text.split_at(at);
    (days.trim(), times.trim())
}

/// The instant at which something ends; [`Timestamp::MAX`] after the end of all calendars.
pub(crate) fn end_of(time: DateTime, zone: &TimeZone) -> Timestamp {
    instant(time.date(), time.time(), zone, Occurrence::Last).unwrap_or(Timestamp::MAX)
}

/// Which of the instants that a civil time names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occurrence {
    First,
    Last,
}

/// The instant of a civil time. One that does not exist is the end of the gap it lies in.
fn instant(day: Date, time: Time, zone: &TimeZone, which: Occurrence) -> Option<Timestamp> {
    let civil = DateTime::from_parts(day, time);
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, after } => {
            let offset = if which == Occurrence::First {
                before
            } else {
                after
            };
            offset.to_timestamp(civil).ok()
        }
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the later offset, a time within the gap lies just before the gap.
            let within = after.to_timestamp(civil).ok()?;
            zone.following(within)
                .next()
                .map(|transition| transition.timestamp())
        }
    }
}

/// Serde and JSON Schema for a list that may be written as its only item.
macro_rules! one_or_many {
    ($many:ident, $one:ident, $example:literal, $description:literal) => {
        impl $many {
            /// Whether there is none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// The same, unless there are exceptions and nothing that they are exceptions of.
            pub(crate) fn checked(self) -> Result<Self, &'static str> {
                if !self.is_empty() && self.iter().all($one::is_exception) {
                    return Err(concat!(
                        "there are only exceptions, so this is never\nput them behind what they are exceptions of, as in `[",
                        $example,
                        "]`"
                    ));
                }
                Ok(self)
            }

            /// All of them, as they were written.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = &$one> {
                self.0.iter()
            }
        }

        impl FromIterator<$one> for $many {
            fn from_iter<I: IntoIterator<Item = $one>>(items: I) -> Self {
                Self(items.into_iter().collect())
            }
        }

        impl std::fmt::Display for $many {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                if self.0.is_empty() {
                    return f.write_str("never");
                }
                for (at, item) in self.0.iter().enumerate() {
                    let between = if at == 0 { "" } else { "; " };
                    write!(f, "{between}{item}")?;
                }
                Ok(())
            }
        }

        impl serde::Serialize for $many {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.0.as_slice() {
                    [only] => only.serialize(serializer),
                    items => items.serialize(serializer),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $many {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct OneOrMany;

                impl<'de> serde::de::Visitor<'de> for OneOrMany {
                    type Value = $many;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(f, "{} or a list of such", $one::ACCEPTED)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$many, E> {
                        let one = text.parse().map_err(E::custom)?;
                        $many(vec![one]).checked().map_err(E::custom)
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<$many, A::Error> {
                        let mut items = Vec::new();
                        while let Some(item) = list.next_element()? {
                            items.push(item);
                        }
                        $many(items).checked().map_err(serde::de::Error::custom)
                    }
                }

                deserializer.deserialize_any(OneOrMany)
            }
        }

        impl schemars::JsonSchema for $many {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($many).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let one = generator.subschema_for::<$one>();
                schemars::json_schema!({
                    "anyOf": [one, { "type": "array", "items": one }],
                    "description": $description
                })
            }
        }
    };
}
use one_or_many;

#[cfg(test)]
mod tests;
