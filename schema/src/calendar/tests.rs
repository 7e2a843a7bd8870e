//! What a calendar says, what is refused in it, and that no file makes the reader panic.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const GOOD: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1@x\r\nDTSTART;VALUE=DATE:20261223\r\nDTEND;VALUE=DATE:20270110\r\nSUMMARY:Weihnachts\r\n ferien\\, Baden\\;Württemberg\\nund \\\\\r\nBEGIN:VALARM\r\nSUMMARY:no\r\nRRULE:no\r\nEND:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261101\r\nSUMMARY;LANGUAGE=\"de:DE\":Allerheiligen\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[test]
fn holidays_are_read_with_folded_lines_and_escaped_names() {
    let wanted = FreeDays::new([
        (
            date(2026, 12, 23),
            date(2027, 1, 9),
            "Weihnachtsferien, Baden;Württemberg und \\".to_owned(),
        ),
        (
            date(2026, 11, 1),
            date(2026, 11, 1),
            "Allerheiligen".to_owned(),
        ),
    ]);
    assert_eq!(read(GOOD), Ok(wanted.clone()));
    assert_eq!(read(&GOOD.replace("\r\n", "\n")), Ok(wanted.clone()));
    assert_eq!(
        read(&format!(
            "\u{feff}{}",
            GOOD.to_lowercase()
                .replace("weihnachts\r\n ferien", "x")
                .trim_end()
        ))
        .map(|free| free.iter().count()),
        Ok(2)
    );
    assert_eq!(
        wanted.holding(date(2027, 1, 9)).map(|(_, last)| last),
        Some(date(2027, 1, 9))
    );
    assert_eq!(wanted.holding(date(2027, 1, 10)), None);
}

fn event(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR")
}

#[test]
fn an_event_lasts_as_the_standard_says() {
    for (lines, last) in [
        ("DTSTART;VALUE=DATE:20260301", Some(1)),
        ("DTSTART:20260301", Some(1)),
        ("DTSTART:20260301\nDTEND:20260301", Some(1)),
        ("DTSTART:20260301\nDTEND:20260302", Some(1)),
        ("DTEND:20260305\nDTSTART:20260301", Some(4)),
        ("DTSTART:20260301\nDURATION:P3D", Some(3)),
        ("DTSTART:20260301\nDURATION:P2W", Some(14)),
        ("DTSTART:20260301T080000\nDTEND:20260302T120000", Some(2)),
        ("DTSTART:20260301T000000Z\nDTEND:20260303T000000Z", Some(2)),
        ("DTSTART;TZID=Europe/Berlin:20260301T080000", Some(1)),
        ("DTSTART:20260301\nSTATUS:CANCELLED", None),
    ] {
        let free = read(&event(lines)).unwrap();
        let wanted = last.map(|day| (date(2026, 3, 1), date(2026, 3, day), "holiday"));
        assert_eq!(free.iter().next(), wanted, "{lines}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let deep = format!("BEGIN:VCALENDAR\n{}", "BEGIN:X\n".repeat(20));
    let many = format!(
        "BEGIN:VCALENDAR\n{}END:VCALENDAR",
        "BEGIN:VEVENT\nDTSTART:20260101\nEND:VEVENT\n".repeat(MOST_EVENTS + 1)
    );
    for (text, line, part) in [
        (String::new(), 1, "it is empty"),
        ("\n\n".to_owned(), 1, "it is empty"),
        ("<html>".to_owned(), 1, "the colon is missing"),
        (
            "<a href=\"x\">: y".to_owned(),
            1,
            "is no name of a property",
        ),
        ("VERSION:2.0".to_owned(), 1, "stands outside of a calendar"),
        ("BEGIN:VEVENT".to_owned(), 1, "stands outside of a calendar"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT".to_owned(), 2, "cut short"),
        (
            "BEGIN:VCALENDAR\nEND:VEVENT".to_owned(),
            2,
            "END:VEVENT where VCALENDAR of line 1 is to end",
        ),
        (
            "BEGIN:VCALENDAR\nBEGIN:VCALENDAR".to_owned(),
            2,
            "within another",
        ),
        (
            "BEGIN:VCALENDAR\nBEGIN:X\nBEGIN:VEVENT".to_owned(),
            3,
            "directly in the calendar",
        ),
        (
            "BEGIN:VCALENDAR\nEND:VCALENDAR\nEND:VCALENDAR".to_owned(),
            3,
            "without its BEGIN",
        ),
        (event("SUMMARY:x"), 2, "without DTSTART"),
        (event("DTSTART:20260230"), 3, "`20260230` is no date"),
        (event("DTSTART:2026-02-03"), 3, "is no date"),
        (event("DTSTART:20260203T0800"), 3, "is no date"),
        (
            event("DTSTART:20260203\nDTSTART:20260203"),
            4,
            "a second DTSTART",
        ),
        (
            event("DTSTART:20260203\n\nDTEND:20260202"),
            5,
            "ends on 2026-02-02, before it begins",
        ),
        (event("DTSTART:20260203\nDTEND:20360202"), 4, "a mistake?"),
        (event("DTSTART:20260203\nDURATION:PT2H"), 4, "whole days"),
        (event("DTSTART:20260203\nRRULE:FREQ=YEARLY"), 4, "recur"),
        (event("DTSTART:20260203\nRDATE:20270203"), 4, "recur"),
        (deep, 9, "nested more than 8 deep"),
        (many, 30_004, "more than 10000 events"),
        (" ".repeat(LARGEST + 1), 1, "larger than 4 MiB"),
    ] {
        let error = read(&text).unwrap_err();
        let start: String = text.chars().take(80).collect();
        assert_eq!(error.line, line, "{start}: {error}");
        assert!(error.message.contains(part), "{start}: {error}");
    }
}

#[test]
fn a_name_stays_on_its_line_and_short() {
    let free = read(&event(&format!(
        "DTSTART:20260203\nSUMMARY:a\tb\u{1b}[2J\u{202e}{}",
        "x".repeat(999)
    )))
    .unwrap();
    let (.., name) = free.iter().next().unwrap();
    assert!(
        name.starts_with("a b [2J x") && name.chars().count() == LONGEST_NAME,
        "{name}"
    );
}

proptest! {
    #[test]
    fn a_broken_calendar_is_read_or_refused(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[\\r\\n\t :;=\"\\\\A-Z0-9]{0,4}|BEGIN:VEVENT\n|END:VEVENT\n|\\PC{0,3}"), 1..6),
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (from, length, insert) in cuts {
            let from = from.index(text.len() + 1);
            let to = (from + length.index(30)).min(text.len());
            text.splice(from..to, insert.chars());
        }
        let text: String = text.into_iter().collect();
        match read(&text) {
            Ok(free) => prop_assert!(free.iter().all(|(first, last, name)| first <= last && !name.contains(char::is_control))),
            Err(error) => prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1 && !error.message.is_empty()),
        }
    }

    #[test]
    fn garbage_is_refused(text in "\\PC{0,60}|(BEGIN|END|DTSTART|DTEND|SUMMARY)[;:]\\PC{0,20}") {
        prop_assert!(read(&text).is_err());
    }
}
