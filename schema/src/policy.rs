//! Small languages of what is to be done when something stands in the way, and of how much is done
//! at a time: `force after 2 hours`, `1 room`, `2026-12-01 18:00`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::text::{excerpt, written};
use crate::units::{Length, Percent};

/// Why a text is none of the policies of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    text: String,
    kind: &'static str,
    why: String,
    accepted: &'static str,
}

impl fmt::Display for PolicyError {
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

impl std::error::Error for PolicyError {}

/// What is done with a host that somebody uses when it is to be reset. Written `wait`, `skip` or
/// `force after 2 hours`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum InUse {
    /// It is looked at again until the window closes.
    #[default]
    Wait,
    /// It is left alone until its next reset.
    Skip,
    /// As [`Wait`](Self::Wait), but so long after its reset was due it is reset all the same.
    ForceAfter(Length),
}

impl FromStr for InUse {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let error = |why: String| PolicyError {
            text: excerpt(text),
            kind: "way to treat a host in use",
            why,
            accepted: "`wait`, `skip` or `force after 2 hours`",
        };
        match text {
            "wait" => return Ok(Self::Wait),
            "skip" => return Ok(Self::Skip),
            "force" => return Err(error("after how long is missing".to_owned())),
            _ => {}
        }
        let Some(length) = text
            .strip_prefix("force ")
            .and_then(|rest| rest.trim_start().strip_prefix("after "))
        else {
            return Err(error("this word is not known".to_owned()));
        };
        let length = length.trim_start().parse();
        length
            .map(Self::ForceAfter)
            .map_err(|problem: crate::units::UnitError| error(problem.why().to_owned()))
    }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => f.write_str("wait"),
            Self::Skip => f.write_str("skip"),
            Self::ForceAfter(length) => write!(f, "force after {length}"),
        }
    }
}

written!(
    InUse,
    "^(wait|skip|force +after +[0-9]+ *(s|sec|seconds?|min|minutes?|h|hours?|days?|weeks?))$",
    "What is done with a host that somebody uses: `wait`, `skip` or `force after 2 hours`."
);

/// A part of a school's hosts. Written `1 room`, `5 hosts` or `25 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Portion {
    /// So many rooms, at least 1.
    Rooms(u32),
    /// So many hosts, at least 1.
    Hosts(u32),
    /// This share of all hosts, at least 1 %.
    Share(Percent),
}

const MOST: u32 = 100_000;

impl FromStr for Portion {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let error = |why: &str| PolicyError {
            text: excerpt(text),
            kind: "part of a school",
            why: why.to_owned(),
            accepted: "a number of rooms or hosts, or a share, as in `1 room`, `5 hosts` or `25 %`",
        };
        if text.ends_with('%') {
            let share: Percent = text
                .parse()
                .map_err(|problem: crate::units::UnitError| error(problem.why()))?;
            return match share.get() {
                0 => Err(error("it would never begin")),
                _ => Ok(Self::Share(share)),
            };
        }
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        if number.is_empty() {
            return Err(error("a number has to come first"));
        }
        let number = number.parse().ok().filter(|number| *number <= MOST);
        let number: u32 = number.ok_or_else(|| error("the number is too large"))?;
        if number == 0 {
            return Err(error("it would never begin"));
        }
        match unit.trim_start_matches(' ') {
            "room" | "rooms" => Ok(Self::Rooms(number)),
            "host" | "hosts" => Ok(Self::Hosts(number)),
            "" => Err(error("rooms, hosts or % is missing")),
            "pc" | "pcs" | "PC" | "PCs" => Err(error("write hosts")),
            _ => Err(error("only rooms, hosts and % are known")),
        }
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |count: u32| if count == 1 { "" } else { "s" };
        match *self {
            Self::Rooms(count) => write!(f, "{count} room{}", many(count)),
            Self::Hosts(count) => write!(f, "{count} host{}", many(count)),
            Self::Share(share) => share.fmt(f),
        }
    }
}

written!(
    Portion,
    "^(0*[1-9][0-9]{0,4} *(rooms?|hosts?)|(100|0?[1-9]|[1-9][0-9]) *%)$",
    "A part of a school: `1 room`, `5 hosts` or `25 %`."
);

/// The end of something. Written as a day, `2026-12-01`, which is its last, or with the time at
/// which it ends, `2026-12-01 18:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Until {
    /// The last day.
    Day(Date),
    /// The first minute after it, local time.
    Time(DateTime),
}

impl Until {
    /// The first instant after it.
    #[must_use]
    pub fn end(self, zone: &TimeZone) -> Timestamp {
        let civil = match self {
            Self::Day(day) => day.tomorrow().unwrap_or(day).to_datetime(Time::midnight()),
            Self::Time(time) => time,
        };
        crate::schedule::end_of(civil, zone)
    }
}

impl FromStr for Until {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let error = |why: String| PolicyError {
            text: excerpt(text),
            kind: "end",
            why,
            accepted: "a day, which is the last, or a day and a time, as in `2026-12-01` or `2026-12-01 18:00`",
        };
        let (day, time) = match text.split_once(' ') {
            Some((day, time)) => (day, Some(time.trim_start_matches(' '))),
            None => (text, None),
        };
        let day = match crate::schedule::day(day) {
            Ok(day) => day,
            Err(_) if time.is_none() => return Err(error(crate::schedule::NO_DATE.to_owned())),
            Err(why) => return Err(error(why)),
        };
        let Some(time) = time else {
            return Ok(Self::Day(day));
        };
        match crate::schedule::time_of_day(time).map_err(error)? {
            Some(time) => Ok(Self::Time(day.to_datetime(time))),
            None => Ok(Self::Day(day)),
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Time(time) => {
                write!(f, "{} {:02}:{:02}", time.date(), time.hour(), time.minute())
            }
        }
    }
}

written!(
    Until,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}( +(([01]?[0-9]|2[0-3]):[0-5][0-9]|24:00))?$",
    "The last day, as in `2026-12-01`, or the time at which it ends, as in `2026-12-01 18:00`."
);

#[cfg(test)]
mod tests;
