//! The calendar that staff subscribe to: what is coming, as iCalendar (RFC 5545).
//!
//! # Invariants
//!
//! Equal events give an equal text: a stamp of the writing would make it another one with each pass.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schema::name::{Domain, RoomName};
use schema::schedule::Opening;

use crate::planning::Coming;
use crate::report::style::every;

/// The longest line in bytes, without its end.
const LONGEST_LINE: usize = 75;

/// The calendar of a school: its title for people, its domain for the identities of the events.
#[must_use]
pub fn calendar(title: &str, domain: &Domain, coming: &[Coming]) -> String {
    let mut lines = Lines(String::new());
    lines.put("BEGIN", "VCALENDAR");
    lines.put("VERSION", "2.0");
    lines.put("PRODID", "-//linuxmuster-reconciler//EN");
    lines.put("METHOD", "PUBLISH");
    lines.put("X-WR-CALNAME", &escaped(&format!("{title}: PCs")));
    for event in coming {
        lines.put("BEGIN", "VEVENT");
        lines.event(domain, event);
        lines.put("END", "VEVENT");
    }
    lines.put("END", "VCALENDAR");
    lines.0
}

struct Lines(String);

impl Lines {
    fn event(&mut self, domain: &Domain, event: &Coming) {
        match event {
            Coming::Reset { span, rooms } => {
                self.span("reset", *span, domain);
                let summary = format!("Reset of {}", named(rooms));
                let description = "The PCs are put back to their images. Files that were saved on a PC are gone afterwards.";
                self.say(&summary, description);
            }
            Coming::Rollout { span, image, rooms } => {
                self.span(&format!("rollout-{image}"), *span, domain);
                let summary = format!("New version of {image} for {}", named(rooms));
                let description = "PCs are put back to a new version of their image. Files that were saved on a PC are gone afterwards.";
                self.say(&summary, description);
            }
            Coming::TestClassEnds { until, name } => {
                self.put("UID", &format!("test-class-{name}@{domain}"));
                self.put("DTSTAMP", &format!("{}T000000Z", day(*until)));
                self.put("DTSTART;VALUE=DATE", &day(*until));
                let summary = format!("Last day of test class {name}");
                self.say(&summary, "Its PCs go back to the class of their rooms.");
            }
        }
    }

    fn span(&mut self, kind: &str, Opening { opens, closes }: Opening, domain: &Domain) {
        let (opens, closes) = (utc(opens), utc(closes));
        self.put("UID", &format!("{kind}-{opens}-{closes}@{domain}"));
        self.put("DTSTAMP", &opens);
        self.put("DTSTART", &opens);
        self.put("DTEND", &closes);
    }

    fn say(&mut self, summary: &str, description: &str) {
        self.put("SUMMARY", &escaped(summary));
        self.put("DESCRIPTION", &escaped(description));
    }

    /// A line, folded: what goes on begins with a blank.
    fn put(&mut self, name: &str, value: &str) {
        let mut length = 0;
        for c in name.chars().chain([':']).chain(value.chars()) {
            if length + c.len_utf8() > LONGEST_LINE {
                self.0.push_str("\r\n ");
                length = 1;
            }
            self.0.push(c);
            length += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

fn named(rooms: &BTreeSet<RoomName>) -> String {
    let noun = if rooms.len() == 1 { "room" } else { "rooms" };
    let rooms: Vec<_> = rooms.iter().collect();
    format!("{noun} {}", every(&rooms))
}

fn utc(at: Timestamp) -> String {
    let at = at.to_zoned(TimeZone::UTC);
    let time = at.time();
    let mut text = day(at.date());
    // Writing to a String cannot fail.
    _ = write!(
        text,
        "T{:02}{:02}{:02}Z",
        time.hour(),
        time.minute(),
        time.second()
    );
    text
}

fn day(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

/// A text as RFC 5545 writes it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn reset() -> Coming {
        Coming::Reset {
            span: Opening {
                opens: "2026-11-23T17:00:00Z".parse().unwrap(),
                closes: "2026-11-23T21:00:00Z".parse().unwrap(),
            },
            rooms: ["r101", "r102"].map(|room| room.parse().unwrap()).into(),
        }
    }

    #[test]
    fn what_is_coming_is_an_event_each() {
        let ends = Coming::TestClassEnds {
            until: "2026-12-18".parse().unwrap(),
            name: "gimp3".parse().unwrap(),
        };
        let text = calendar(
            "Berufsschule; Nord",
            &"bs-nord.example".parse().unwrap(),
            &[reset(), ends],
        );
        let wanted = "BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//linuxmuster-reconciler//EN
METHOD:PUBLISH
X-WR-CALNAME:Berufsschule\\; Nord: PCs
BEGIN:VEVENT
UID:reset-20261123T170000Z-20261123T210000Z@bs-nord.example
DTSTAMP:20261123T170000Z
DTSTART:20261123T170000Z
DTEND:20261123T210000Z
SUMMARY:Reset of rooms r101 and r102
DESCRIPTION:The PCs are put back to their images. Files that were saved on 
 a PC are gone afterwards.
END:VEVENT
BEGIN:VEVENT
UID:test-class-gimp3@bs-nord.example
DTSTAMP:20261218T000000Z
DTSTART;VALUE=DATE:20261218
SUMMARY:Last day of test class gimp3
DESCRIPTION:Its PCs go back to the class of their rooms.
END:VEVENT
END:VCALENDAR
";
        assert_eq!(text, wanted.replace('\n', "\r\n"));
    }

    #[test]
    fn a_line_is_never_too_long_and_is_read_again() {
        let title = "Ä".repeat(200);
        let text = calendar(&title, &"bs-nord.example".parse().unwrap(), &[reset()]);
        assert!(text.lines().all(|line| line.len() <= LONGEST_LINE));
        let free = schema::calendar::read(&text).unwrap();
        let day = "2026-11-23".parse().unwrap();
        assert_eq!(
            free.holding(day).map(|(name, _)| name),
            Some("Reset of rooms r101 and r102")
        );
    }
}
