//! How policies are written.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::{Debug, Display};

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::text::tests::{admitted_by, comes_back};

fn check<T: FromStr<Err = PolicyError> + Display + Debug>(
    good: &[(&str, &str)],
    bad: &[(&str, &str)],
) {
    for (text, shown) in good {
        assert_eq!(text.parse::<T>().unwrap().to_string(), *shown, "{text}");
    }
    for (text, why) in bad {
        let error = text.parse::<T>().unwrap_err().to_string();
        assert!(
            error.contains(why) && error.contains("; accepted is "),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn hosts_in_use() {
    check::<InUse>(
        &[
            ("wait", "wait"),
            ("skip", "skip"),
            ("force after 2 hours", "force after 2 h"),
            ("force  after  90 min", "force after 90 min"),
        ],
        &[
            ("", "this word is not known"),
            ("force", "after how long is missing"),
            ("force after 2", "the unit is missing"),
            ("force after a while", "a number has to come first"),
            ("force 2 hours", "this word is not known"),
        ],
    );
}

#[test]
fn portions() {
    check::<Portion>(
        &[
            ("1 room", "1 room"),
            ("1rooms", "1 room"),
            ("5 hosts", "5 hosts"),
            ("25 %", "25 %"),
            ("25%", "25 %"),
        ],
        &[
            ("", "a number has to come first"),
            ("5", "rooms, hosts or % is missing"),
            ("0 rooms", "it would never begin"),
            ("0 %", "it would never begin"),
            ("101 %", "it is more than the whole"),
            ("5 PCs", "write hosts"),
            ("5 schools", "only rooms, hosts and % are known"),
            ("123456 hosts", "the number is too large"),
        ],
    );
}

#[test]
fn ends() {
    check::<Until>(
        &[
            ("2026-12-01", "2026-12-01"),
            ("2026-12-01 8:05", "2026-12-01 08:05"),
            ("2026-12-01 24:00", "2026-12-01"),
        ],
        &[
            ("01.12.2026", "no calendar has it"),
            ("2026-02-29", "no calendar has it"),
            ("2026-02-29 18:00", "`2026-02-29` is no day"),
            ("2026-12-01 25:00", "is no time of day"),
        ],
    );
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let end = |text: &str| zone.to_datetime(text.parse::<Until>().unwrap().end(&zone));
    assert_eq!(end("2026-12-31"), date(2027, 1, 1).at(0, 0, 0, 0));
    assert_eq!(end("2026-12-31 18:00"), date(2026, 12, 31).at(18, 0, 0, 0));
    assert_eq!(end("2026-03-29 02:30"), date(2026, 3, 29).at(3, 0, 0, 0));
}

proptest! {
    #[test]
    fn what_a_pattern_admits_is_read_and_comes_back(
        in_use in admitted_by(InUse::PATTERN),
        portion in admitted_by(Portion::PATTERN),
        until in admitted_by(Until::PATTERN),
    ) {
        if let Ok(in_use) = in_use.parse::<InUse>() {
            comes_back(&in_use)?;
        }
        comes_back(&portion.parse::<Portion>().unwrap())?;
        match until.parse::<Until>() {
            Ok(until) => comes_back(&until)?,
            Err(error) => prop_assert!(error.to_string().contains("is no day") || error.to_string().contains("no calendar"), "{}", error),
        }
    }

    #[test]
    fn nothing_makes_a_reader_panic(text in "\\PC{0,20}|[0-9]{0,3} ?[a-z%]{0,6}|force after \\PC{0,9}|[0-9 :-]{0,18}") {
        let errors = [text.parse::<InUse>().err(), text.parse::<Portion>().err(), text.parse::<Until>().err()];
        prop_assert!(errors.into_iter().flatten().all(|error| !error.to_string().contains(char::is_control)));
    }
}
