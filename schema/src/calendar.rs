//! School holidays from an iCalendar file (RFC 5545), as the ministries and calendar sites give them.
//!
//! Read are the events of each calendar: all-day ones (`DTSTART;VALUE=DATE`, `DTEND` exclusive, one
//! day where it is missing) and, by their dates as written, those with times. What would need
//! more than that, such as recurrence, is refused: a holiday that is silently missed means PCs
//! that wake up in an empty school. Nothing that a file holds makes the reader panic.

use std::fmt;

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use crate::schedule::FreeDays;
use crate::text::{disturbs, excerpt};

/// What is wrong with a calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there, and what to do.
    pub message: String,
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for CalendarError {}

/// The largest calendar that is read, in bytes.
pub const LARGEST: usize = 4 << 20;
const MOST_EVENTS: usize = 10_000;
const DEEPEST: usize = 8;
const LONGEST_DAYS: i32 = 366;
const LONGEST_NAME: usize = 200;

/// Reads the holidays of a calendar. Events that were cancelled are left out, overlapping ones are
/// welcome.
///
/// # Errors
///
/// The first thing that is no calendar, or says more than can be followed, with its line.
pub fn read(text: &str) -> Result<FreeDays, CalendarError> {
    let fail = |line, message: String| Err(CalendarError { line, message });
    if text.len() > LARGEST {
        return fail(
            1,
            format!("the calendar is larger than {} MiB", LARGEST >> 20),
        );
    }
    let mut spans = Vec::new();
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut event = Event::default();
    let mut calendars = 0;
    let mut last_line = 1;
    for (line, content) in unfold(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        last_line = line;
        let property =
            Property::parse(&content).map_err(|message| CalendarError { line, message })?;
        let component = property.value.trim().to_ascii_uppercase();
        match property.name.as_str() {
            "BEGIN" => {
                match (open.is_empty(), component == "VCALENDAR") {
                    (true, false) => return fail(line, not_a_calendar(&content)),
                    (false, true) => {
                        return fail(line, "a calendar begins within another one".to_owned());
                    }
                    (true, true) => calendars += 1,
                    (false, false) => {}
                }
                if component == "VEVENT" {
                    if open.len() != 1 {
                        return fail(
                            line,
                            "an event has to stand directly in the calendar".to_owned(),
                        );
                    }
                    event = Event::default();
                }
                if open.len() == DEEPEST {
                    return fail(line, format!("parts are nested more than {DEEPEST} deep"));
                }
                open.push((component, line));
            }
            "END" => {
                let Some((begun, at)) = open.pop() else {
                    return fail(
                        line,
                        format!("END:{} without its BEGIN", excerpt(&component)),
                    );
                };
                if begun != component {
                    let (begun, component) = (excerpt(&begun), excerpt(&component));
                    return fail(
                        line,
                        format!("END:{component} where {begun} of line {at} is to end"),
                    );
                }
                if begun == "VEVENT" {
                    let read = std::mem::take(&mut event).finish();
                    spans.extend(read.map_err(|(place, message)| CalendarError {
                        line: place.unwrap_or(at),
                        message,
                    })?);
                    if spans.len() > MOST_EVENTS {
                        return fail(line, format!("more than {MOST_EVENTS} events"));
                    }
                }
            }
            _ if open.is_empty() => return fail(line, not_a_calendar(&content)),
            _ if open.last().is_some_and(|(name, _)| name == "VEVENT") => {
                event
                    .take(property, line)
                    .map_err(|message| CalendarError { line, message })?;
            }
            _ => {}
        }
    }
    match open.last() {
        Some((name, line)) => fail(
            *line,
            format!(
                "BEGIN:{} without its END: the file is cut short",
                excerpt(name)
            ),
        ),
        None if calendars == 0 => fail(last_line, not_a_calendar("")),
        None => Ok(FreeDays::new(spans)),
    }
}

fn not_a_calendar(content: &str) -> String {
    match content {
        "" => "it is empty; an iCalendar file begins with BEGIN:VCALENDAR".to_owned(),
        content => format!(
            "`{}` stands outside of a calendar; an iCalendar file begins with BEGIN:VCALENDAR",
            excerpt(content)
        ),
    }
}

/// Logical lines with the number of their first physical one; a line that begins with a blank
/// continues the one before it.
fn unfold(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut physical = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
        .peekable();
    std::iter::from_fn(move || {
        let (line, number) = physical.next()?;
        let mut line = line.to_owned();
        while let Some((more, _)) = physical.next_if(|(next, _)| next.starts_with([' ', '\t'])) {
            line.push_str(more.get(1..).unwrap_or_default());
        }
        Some((number, line))
    })
}

/// A content line: name, parameters, value.
struct Property<'a> {
    name: String,
    value: &'a str,
}

impl<'a> Property<'a> {
    fn parse(line: &'a str) -> Result<Self, String> {
        let mut quoted = false;
        let colon = line.char_indices().find(|&(_, c)| {
            quoted ^= c == '"';
            c == ':' && !quoted
        });
        let parts = colon.and_then(|(at, _)| Some((line.get(..at)?, line.get(at + 1..)?)));
        let Some((head, value)) = parts else {
            return Err(format!(
                "`{}` is no line of a calendar: the colon is missing",
                excerpt(line)
            ));
        };
        let name = head.split(';').next().unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("`{}` is no name of a property", excerpt(name)));
        }
        Ok(Self {
            name: name.to_ascii_uppercase(),
            value,
        })
    }
}

/// First day, last day (included) and name.
type Holiday = (Date, Date, String);

/// What has been read of an event.
#[derive(Default)]
struct Event {
    start: Option<Moment>,
    end: Option<(Moment, usize)>,
    days: Option<Span>,
    name: Option<String>,
    cancelled: bool,
}

/// A date, and whether a time of day after midnight stands with it.
#[derive(Clone, Copy)]
struct Moment {
    date: Date,
    within: bool,
}

impl Event {
    fn take(&mut self, property: Property<'_>, line: usize) -> Result<(), String> {
        let Property { name, value } = property;
        let twice = |taken: bool| {
            if taken {
                Err(format!("a second {name} in one event"))
            } else {
                Ok(())
            }
        };
        match name.as_str() {
            "DTSTART" => {
                twice(self.start.is_some())?;
                self.start = Some(moment(value)?);
            }
            "DTEND" => {
                twice(self.end.is_some())?;
                self.end = Some((moment(value)?, line));
            }
            "DURATION" => {
                twice(self.days.is_some())?;
                self.days = Some(whole_days(value)?);
            }
            "SUMMARY" => self.name = Some(unescape(value)),
            "STATUS" => self.cancelled = value.trim().eq_ignore_ascii_case("CANCELLED"),
            "RRULE" | "RDATE" | "EXRULE" => {
                return Err(format!(
                    "{name}: events that recur are not read; export the calendar with each holiday as an event of its own"
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// First and last day; none where it was cancelled.
    fn finish(self) -> Result<Option<Holiday>, (Option<usize>, String)> {
        let Some(Moment { date: first, .. }) = self.start else {
            return Err((None, "an event without DTSTART".to_owned()));
        };
        let outside = |place| (place, "the event leaves the calendar".to_owned());
        let (last, place) = match (self.end, self.days) {
            (Some((end, line)), _) => {
                if end.date < first {
                    return Err((
                        Some(line),
                        format!(
                            "the event ends on {}, before it begins on {first}",
                            end.date
                        ),
                    ));
                }
                // The end is the first moment after the event, so midnight leaves its day out.
                let inside = end.within || end.date == first;
                let last = if inside {
                    Ok(end.date)
                } else {
                    end.date.yesterday()
                };
                (last.map_err(|_| outside(Some(line)))?, Some(line))
            }
            (None, Some(days)) => {
                let after = first.checked_add(days).map_err(|_| outside(None))?;
                (
                    after.yesterday().map_err(|_| outside(None))?.max(first),
                    None,
                )
            }
            (None, None) => (first, None),
        };
        let longest = first.checked_add(LONGEST_DAYS.days()).unwrap_or(Date::MAX);
        if last > longest {
            return Err((
                place,
                format!(
                    "the event lasts from {first} to {last}, more than {LONGEST_DAYS} days: a mistake?"
                ),
            ));
        }
        let name = self
            .name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "holiday".to_owned());
        Ok((!self.cancelled).then_some((first, last, name)))
    }
}

/// `20261223`, `20261223T000000` or `20261223T000000Z`.
fn moment(value: &str) -> Result<Moment, String> {
    let wrong = || format!("`{}` is no date; it is written as 20261223", excerpt(value));
    let value = value.trim();
    let (date, time) = match value.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z').unwrap_or(time)),
        None => (value, "000000"),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if date.len() != 8 || !digits(date) || time.len() != 6 || !digits(time) {
        return Err(wrong());
    }
    let number = |from, to| date.get(from..to).and_then(|part| part.parse::<i16>().ok());
    let small = |from, to| number(from, to).and_then(|n| i8::try_from(n).ok());
    let (Some(year), Some(month), Some(day)) = (number(0, 4), small(4, 6), small(6, 8)) else {
        return Err(wrong());
    };
    let date = Date::new(year, month, day).map_err(|_| wrong())?;
    Ok(Moment {
        date,
        within: time != "000000",
    })
}

/// `P5D` or `P2W`.
fn whole_days(value: &str) -> Result<Span, String> {
    let value = value.trim();
    let wrong = || {
        format!(
            "`{}`: of durations only whole days and weeks are read, as in P5D; or use DTEND",
            excerpt(value)
        )
    };
    let count = value.strip_prefix('P').ok_or_else(wrong)?;
    let (count, scale) = match (count.strip_suffix('D'), count.strip_suffix('W')) {
        (Some(days), _) => (days, 1),
        (_, Some(weeks)) => (weeks, 7),
        _ => return Err(wrong()),
    };
    if count.is_empty() || count.len() > 4 || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let count: i32 = count.parse().map_err(|_| wrong())?;
    Span::new().try_days(count * scale).map_err(|_| wrong())
}

/// A text value on one line, of bounded length, without control characters.
fn unescape(value: &str) -> String {
    let mut escaped = false;
    let name: String = value
        .chars()
        .filter_map(|c| {
            if !escaped && c == '\\' {
                escaped = true;
                return None;
            }
            let newline = std::mem::take(&mut escaped) && matches!(c, 'n' | 'N');
            Some(if newline || disturbs(c) { ' ' } else { c })
        })
        .take(LONGEST_NAME)
        .collect();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests;
