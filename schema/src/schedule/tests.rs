//! How recurring times are written, and a minute by minute oracle for when they are.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod oracle;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{date, datetime};
use proptest::prelude::*;

use super::*;
use crate::text::tests::{admitted_by, comes_back};

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").unwrap()
}

fn check<T: FromStr<Err = ScheduleError> + Display + Debug>(
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
fn weekdays() {
    check::<Weekdays>(
        &[
            ("daily", "daily"),
            ("Daily", "daily"),
            ("mon", "mon"),
            ("mon, wed", "mon, wed"),
            ("wed,mon", "mon, wed"),
            ("mon–fri", "mon–fri"),
            ("mon-fri", "mon–fri"),
            ("MON - Friday", "mon–fri"),
            ("mon–tue", "mon, tue"),
            ("fri–mon", "mon, fri–sun"),
            ("mon–sun", "daily"),
            ("mon–wed, fri", "mon–wed, fri"),
            ("mon, mon–mon", "mon"),
        ],
        &[
            ("", "the name of a day is missing"),
            ("mon,", "the name of a day is missing"),
            ("mon–", "the name of a day is missing"),
            ("mo, mi", "write `mon` for `mo`, days have English names"),
            ("mon, Mittwoch", "write `wed` for `Mittwoch`"),
            ("weekdays", "`weekdays` is no day"),
            ("mon wed", "`mon wed` is no day"),
            ("mon–tue–wed", "`tue–wed` is no day"),
            ("mon, daily", "`daily` is no day"),
        ],
    );
    let days: Weekdays = "mon, sun".parse().unwrap();
    assert!(
        days.contains(date(2026, 11, 22).weekday()) && !days.contains(date(2026, 11, 24).weekday())
    );
}

#[test]
fn windows() {
    check::<Window>(
        &[
            ("daily 22:00–05:00", "daily 22:00–05:00"),
            ("mon-fri 17:30-22:00", "mon–fri 17:30–22:00"),
            ("mon – fri 7:30 – 17:00", "mon–fri 07:30–17:00"),
            ("daily 00:00–24:00", "daily 00:00–24:00"),
            ("sat 20:00–0:00", "sat 20:00–24:00"),
            ("not wed 19:00-20:00", "not wed 19:00–20:00"),
            ("not wed", "not wed"),
            ("not sat–sun 0:00–24:00", "not sat, sun"),
            ("not 2026-12-23", "not 2026-12-23"),
            (
                "not  2026-12-23 .. 2026-12-27",
                "not 2026-12-23..2026-12-27",
            ),
            ("not 2026-12-23 8:00-9:00", "not 2026-12-23 08:00–09:00"),
            ("2026-12-27 10:00-16:00", "2026-12-27 10:00–16:00"),
            (
                "2026-12-27..2026-12-27 22:00 – 2:00",
                "2026-12-27 22:00–02:00",
            ),
        ],
        &[
            ("", "the times are missing"),
            ("daily", "the times are missing"),
            (
                "22:00–05:00",
                "the days are missing; every day is `daily 22:00–05:00`",
            ),
            ("daily 22:00", "the time at which it closes is missing"),
            ("daily 22:00–22:00", "a whole day is 00:00–24:00"),
            ("daily 00:00–00:00", "a whole day is 00:00–24:00"),
            ("daily 24:00–05:00", "begins at 00:00"),
            ("daily 22:00–25:00", "`25:00` is no time of day"),
            ("daily 22:00–24:01", "`24:01` is no time of day"),
            ("daily 22:60–05:00", "`22:60` is no time of day"),
            ("daily 22–05", "`22` is no time of day"),
            ("daily 22:00–05:00 Uhr", "`05:00 Uhr` is no time of day"),
            (
                "daily 22:00 to 05:00",
                "the time at which it closes is missing",
            ),
            (
                "daily 22:00—05:00",
                "the time at which it closes is missing",
            ),
            ("mo–fr 17:00–22:00", "write `mon` for `mo`"),
            ("not", "the times are missing"),
            ("not 18:00–19:00", "the days are missing"),
            ("2026-12-27", "the times are missing"),
            ("2026-12-27 10:00", "the time at which it closes is missing"),
            ("not 2026-12-32", "`2026-12-32` is no day, write it as"),
            (
                "not 23.12.2026",
                "write days of the calendar as `2026-12-23`",
            ),
            (
                "not 2026-12-27..2026-12-23",
                "2026-12-23 is before 2026-12-27",
            ),
            ("not 2026-12-27..2062-01-08", "is more than a year"),
            ("not not wed", "`not wed` is no day"),
        ],
    );
}

#[test]
fn points() {
    check::<Point>(
        &[
            ("mon, wed 18:00", "mon, wed 18:00"),
            ("daily 0:05", "daily 00:05"),
            (
                "every 2 weeks mon 18:00 from 2026-09-14",
                "every 2 weeks mon 18:00 from 2026-09-14",
            ),
            (
                "every  3weeks  mon,tue 8:00  from  2026-09-14",
                "every 3 weeks mon, tue 08:00 from 2026-09-14",
            ),
            ("2026-10-02 14:00", "2026-10-02 14:00"),
            ("not 2026-12-23", "not 2026-12-23"),
            ("not 2026-12-23..2026-12-27", "not 2026-12-23..2026-12-27"),
        ],
        &[
            ("mon, wed", "the time is missing"),
            ("18:00", "the days are missing; every day is `daily 18:00`"),
            ("mon 18:00–19:00", "one time is wanted, this is a span"),
            ("mon 24:00", "write 00:00"),
            ("mon 18", "`18` is no time of day"),
            ("mon 18:00, 19:00", "is no time of day"),
            ("2026-10-02", "the time is missing"),
            ("02.10.2026 14:00", "write days of the calendar as"),
            ("2026-10-02..2026-10-04 14:00", "is no day, write it as"),
            ("not wed", "of weekdays, name only the others"),
            (
                "every 2 weeks mon 18:00",
                "the day from which on is missing",
            ),
            (
                "every 1 week mon 18:00 from 2026-09-14",
                "2 to 52 weeks are possible",
            ),
            (
                "every 90 weeks mon 18:00 from 2026-09-14",
                "2 to 52 weeks are possible",
            ),
            (
                "every month mon 18:00 from 2026-09-14",
                "weeks are counted as",
            ),
            ("every 2 weeks mon from 2026-09-14", "the time is missing"),
            ("every 2 weeks mon 18:00 from monday", "`monday` is no day"),
        ],
    );
}

fn read<T: serde::de::DeserializeOwned>(yaml: &str) -> Result<T, String> {
    let (value, problems) = crate::read::text("x.yaml", yaml);
    value.ok_or_else(|| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_list_may_be_written_as_its_only_item() {
    let one: Windows = read("daily 22:00-05:00").unwrap();
    let two: Windows = read("[daily 22:00-05:00, \"sat, sun 8:00-12:00\"]").unwrap();
    assert_eq!(
        serde_json::to_string(&one).unwrap(),
        "\"daily 22:00–05:00\""
    );
    assert_eq!(
        serde_json::to_string(&two).unwrap(),
        "[\"daily 22:00–05:00\",\"sat, sun 08:00–12:00\"]"
    );
    assert_eq!(two.to_string(), "daily 22:00–05:00; sat, sun 08:00–12:00");
    let none: Schedule = read("[]").unwrap();
    assert_eq!(
        (none.is_empty(), none.to_string().as_str()),
        (true, "never")
    );
    let schedule: Schedule = read("mon, wed 18:00").unwrap();
    assert_eq!(schedule.iter().len(), 1);
    for (yaml, part) in [
        ("18", "days and two times, as in `daily 22:00–05:00`"),
        ("{a: b}", "or a list of such"),
        ("[daily 22:00]", "the time at which it closes is missing"),
    ] {
        let error = read::<Windows>(yaml).unwrap_err();
        assert!(error.contains(part), "{yaml}: {error}");
    }
}

fn shown(opening: Option<Opening>) -> String {
    opening.map_or("none".to_owned(), |Opening { opens, closes }| {
        let zone = berlin();
        let show = |at: Timestamp| {
            at.to_zoned(zone.clone())
                .strftime("%d. %H:%M%:z")
                .to_string()
        };
        format!("{} to {}", show(opens), show(closes))
    })
}

#[test]
fn windows_on_the_nights_when_the_clock_changes() {
    for (window, at, wanted) in [
        (
            "daily 22:00–05:00",
            "2026-03-29T00:00Z",
            "28. 22:00+01:00 to 29. 05:00+02:00",
        ),
        (
            "daily 22:00–05:00",
            "2026-10-25T00:00Z",
            "24. 22:00+02:00 to 25. 05:00+01:00",
        ),
        (
            "daily 02:30–04:00",
            "2026-03-29T01:00Z",
            "29. 03:00+02:00 to 29. 04:00+02:00",
        ),
        (
            "daily 22:00–02:30",
            "2026-03-29T00:59Z",
            "28. 22:00+01:00 to 29. 03:00+02:00",
        ),
        ("daily 02:15–02:45", "2026-03-29T01:00Z", "none"),
        (
            "daily 02:30–02:45",
            "2026-10-25T00:30Z",
            "25. 02:30+02:00 to 25. 02:45+01:00",
        ),
        (
            "daily 02:00–03:00",
            "2026-10-25T01:59Z",
            "25. 02:00+02:00 to 25. 03:00+01:00",
        ),
    ] {
        let windows: Windows = [window.parse().unwrap()].into_iter().collect();
        assert_eq!(
            shown(windows.opening_at(at.parse().unwrap(), &berlin())),
            wanted,
            "{window} at {at}"
        );
    }
}

#[test]
fn windows_that_touch_count_as_one() {
    let windows: Windows = ["daily 22:00–24:00", "daily 00:00–05:00", "sun 04:00–06:00"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(
        shown(windows.opening_at(at("2026-11-22T00:00Z"), &berlin())),
        "21. 22:00+01:00 to 22. 06:00+01:00"
    );
    assert_eq!(
        shown(windows.next_opening(at("2026-11-22T00:00Z"), &berlin())),
        "22. 22:00+01:00 to 23. 05:00+01:00"
    );
    assert_eq!(windows.opening_at(at("2026-11-22T05:00Z"), &berlin()), None);
}

#[test]
fn what_never_closes_or_never_opens_is_no_endless_search() {
    let at: Timestamp = "2026-11-22T12:00Z".parse().unwrap();
    let always = Windows::always();
    let opening = always.opening_at(at, &berlin()).unwrap();
    let days = |length: SignedDuration| length.as_hours() / 24;
    assert_eq!(days(opening.closes.duration_since(at)), 8);
    assert_eq!(days(at.duration_since(opening.opens)), 8);
    assert_eq!(always.next_opening(at, &berlin()), None);
    assert_eq!(Windows::default().opening_at(at, &berlin()), None);
    assert_eq!(Windows::default().next_opening(at, &berlin()), None);
    for at in [Timestamp::MIN, Timestamp::MAX] {
        for windows in [
            &always,
            &[("daily 22:00–05:00").parse().unwrap()]
                .into_iter()
                .collect(),
        ] {
            _ = (
                windows.opening_at(at, &berlin()),
                windows.next_opening(at, &berlin()),
            );
        }
    }
}

#[test]
fn schedules_leave_out_free_days_and_give_up_after_a_year() {
    let schedule: Schedule = ["mon, wed 18:00".parse().unwrap()].into_iter().collect();
    let at: Timestamp = "2026-12-28T12:00Z".parse().unwrap();
    let civil = |found: Option<Timestamp>| found.map(|found| berlin().to_datetime(found));
    let free = FreeDays::new([(
        date(2026, 12, 23),
        date(2027, 1, 9),
        "Weihnachten".to_owned(),
    )]);
    assert_eq!(
        civil(schedule.latest(at, &berlin(), &free)),
        Some(datetime(2026, 12, 21, 18, 0, 0, 0))
    );
    assert_eq!(
        civil(schedule.next(at, &berlin(), &free)),
        Some(datetime(2027, 1, 11, 18, 0, 0, 0))
    );
    let ever = FreeDays::new([(date(2020, 1, 1), date(2030, 1, 1), "closed".to_owned())]);
    assert_eq!(schedule.latest(at, &berlin(), &ever), None);
    assert_eq!(schedule.next(at, &berlin(), &ever), None);
    assert_eq!(
        Schedule::default().next(at, &berlin(), &FreeDays::default()),
        None
    );
    for at in [Timestamp::MIN, Timestamp::MAX] {
        _ = (
            schedule.latest(at, &berlin(), &free),
            schedule.next(at, &berlin(), &free),
        );
    }
}

#[test]
fn of_several_holidays_the_one_that_ends_last_holds_a_day() {
    let day = |day| {
        date(2026, 1, 1)
            .checked_add(jiff::Span::new().days(day))
            .unwrap()
    };
    let free = FreeDays::new([
        (day(20), day(22), "c".to_owned()),
        (day(1), day(12), "a".to_owned()),
        (day(5), day(5), "b".to_owned()),
    ]);
    for (number, wanted) in [
        (0, None),
        (1, Some(("a", 12))),
        (5, Some(("a", 12))),
        (12, Some(("a", 12))),
        (13, None),
        (21, Some(("c", 22))),
    ] {
        assert_eq!(
            free.holding(day(number)),
            wanted.map(|(name, last)| (name, day(last))),
            "{number}"
        );
    }
}

/// Whether a text is refused for a date only that no calendar has: patterns cannot know those.
fn is_no_date(error: &ScheduleError) -> bool {
    let why = &error.why;
    why.contains("is no day, write it as")
        || why.contains("is before")
        || why.contains("more than a year")
}

#[test]
fn every_so_many_weeks_counts_from_the_week_of_a_day() {
    let free = FreeDays::default();
    let of = |text: &str, at: &str| {
        let schedule: Schedule = [text.parse().unwrap()].into_iter().collect();
        let next = schedule.next(at.parse().unwrap(), &berlin(), &free);
        next.map(|next| berlin().to_datetime(next).date())
    };
    let text = "every 2 weeks mon, wed 18:00 from 2026-09-16";
    // The Monday before the first day does not count.
    assert_eq!(of(text, "2026-08-01T00:00Z"), Some(date(2026, 9, 16)));
    assert_eq!(of(text, "2026-09-17T00:00Z"), Some(date(2026, 9, 28)));
    assert_eq!(of(text, "2026-09-29T00:00Z"), Some(date(2026, 9, 30)));
    // Over the end of the year, whatever the numbers of the weeks are.
    assert_eq!(of(text, "2026-12-24T00:00Z"), Some(date(2027, 1, 4)));
    assert_eq!(of("2026-10-02 14:00", "2026-10-03T00:00Z"), None);
}

#[test]
fn an_exception_parts_an_opening() {
    let windows: Windows = [
        "daily 22:00–05:00",
        "not wed 23:00–01:00",
        "not 2026-12-24..2026-12-25",
        "2026-12-25 10:00–16:00",
    ]
    .iter()
    .map(|text| text.parse().unwrap())
    .collect();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let now = |text: &str| shown(windows.opening_at(at(text), &berlin()));
    let next = |text: &str| shown(windows.next_opening(at(text), &berlin()));
    assert_eq!(
        now("2026-12-16T21:30Z"),
        "16. 22:00+01:00 to 16. 23:00+01:00"
    );
    assert_eq!(
        next("2026-12-16T21:30Z"),
        "17. 01:00+01:00 to 17. 05:00+01:00"
    );
    assert_eq!(now("2026-12-16T23:30Z"), "none");
    assert_eq!(
        next("2026-12-16T23:30Z"),
        "17. 01:00+01:00 to 17. 05:00+01:00"
    );
    // Whole days, from midnight to midnight; what they close, a date does not open.
    assert_eq!(
        now("2026-12-23T21:30Z"),
        "23. 22:00+01:00 to 23. 23:00+01:00"
    );
    assert_eq!(
        next("2026-12-23T21:30Z"),
        "26. 00:00+01:00 to 26. 05:00+01:00"
    );
    assert_eq!(
        next("2026-12-25T11:00Z"),
        "26. 00:00+01:00 to 26. 05:00+01:00"
    );
}

#[test]
fn only_exceptions_are_refused() {
    for yaml in ["not wed", "[not wed, not 2026-12-23]"] {
        let error = read::<Windows>(yaml).unwrap_err();
        assert!(error.contains("there are only exceptions"), "{error}");
    }
    assert!(
        read::<Schedule>("not 2026-12-23")
            .unwrap_err()
            .contains("there are only exceptions")
    );
}

proptest! {
    #[test]
    fn what_a_pattern_admits_is_read_and_comes_back(
        days in admitted_by(Weekdays::PATTERN),
        window in admitted_by(Window::PATTERN),
        point in admitted_by(Point::PATTERN),
    ) {
        comes_back(&days.parse::<Weekdays>().unwrap())?;
        match point.parse::<Point>() {
            Ok(point) => comes_back(&point)?,
            Err(error) => prop_assert!(is_no_date(&error), "{}", error),
        }
        match window.parse::<Window>() {
            Ok(window) => comes_back(&window)?,
            Err(error) => prop_assert!(error.to_string().contains("it ends when it begins") || is_no_date(&error), "{}", error),
        }
    }

    #[test]
    fn nothing_makes_a_reader_panic(text in "\\PC{0,20}|(mon|daily|[a-z–, -]{0,9}) ?[0-9:–. -]{0,14}") {
        let errors = [text.parse::<Weekdays>().err(), text.parse::<Window>().err(), text.parse::<Point>().err()];
        prop_assert!(errors.into_iter().flatten().all(|error| !error.to_string().contains(char::is_control)));
    }

    #[test]
    fn the_holidays_of_a_day_are_those_that_hold_it(spans in prop::collection::vec((0..60_i32, 0..9_i32), 0..12), number in 0..70_i32) {
        let day = |day| date(2026, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
        let free = FreeDays::new(spans.iter().map(|&(first, more)| (day(first), day(first + more), "x".to_owned())));
        let last = spans.iter().filter(|&&(first, more)| (first..=first + more).contains(&number)).map(|(first, more)| day(first + more)).max();
        prop_assert_eq!(free.holding(day(number)).map(|(_, last)| last), last);
    }
}
