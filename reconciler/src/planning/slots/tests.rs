#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use schema::name::SchoolName;
use schema::units::Rate;

use super::place::START;
use super::{CONTENT, Line, Release, Slot, SlotKind, Slots};

const GIB: u64 = 1 << 30;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn name(number: usize) -> SchoolName {
    format!("bs-{number:03}").parse().unwrap()
}

fn line(windows: &str, rate: Option<&str>) -> Line {
    Line {
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        windows: windows
            .split("; ")
            .map(|one| one.parse().unwrap())
            .collect(),
        rate: rate.map(|rate| rate.parse().unwrap()),
    }
}

fn release(when: &str, lacks: impl IntoIterator<Item = (usize, u64)>) -> Release {
    Release {
        at: at(when),
        lacks: lacks
            .into_iter()
            .map(|(school, bytes)| (name(school), bytes))
            .collect(),
    }
}

fn slots(uplink: &str, lines: &[Line], releases: &[Release]) -> Slots {
    let lines = lines.iter().cloned().enumerate();
    let lines = lines.map(|(number, line)| (name(number), line)).collect();
    Slots::new(uplink.parse().unwrap(), lines, releases)
}

fn moved(slots: &[Slot]) -> u64 {
    let bits = slots.iter().map(|slot| {
        let millis = slot.until.duration_since(slot.from + START).as_millis();
        u128::from(slot.rate.bits()) * u128::try_from(millis).unwrap_or(0) / 1000
    });
    let bits: u128 = bits.sum();
    u64::try_from(bits * u128::from(CONTENT.0) / u128::from(CONTENT.1) / 8).unwrap()
}

fn shown(slots: &[Slot]) -> Vec<String> {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let time = |at: Timestamp| {
        at.to_zoned(zone.clone())
            .strftime("%a %H:%M:%S")
            .to_string()
    };
    let slot = |slot: &Slot| format!("{}–{} {}", time(slot.from), time(slot.until), slot.rate);
    slots.iter().map(slot).collect()
}

const NIGHTS: &str = "daily 22:00–05:00";

#[test]
fn a_small_download_is_slow_rather_than_short_and_several_go_side_by_side() {
    let lines = [
        line(NIGHTS, None),
        line(NIGHTS, None),
        line(NIGHTS, Some("20 Mbit/s")),
    ];
    let lacks = [(0, GIB), (1, GIB), (2, GIB)];
    let slots = slots(
        "50 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    assert_eq!(
        shown(slots.of(&name(0))),
        ["Mon 22:00:00–Mon 22:10:02 14.8 Mbit/s"]
    );
    assert_eq!(
        shown(slots.of(&name(1))),
        ["Mon 22:00:00–Mon 22:10:02 14.8 Mbit/s"]
    );
    assert_eq!(
        shown(slots.of(&name(2))),
        ["Mon 22:00:00–Mon 22:10:02 14.8 Mbit/s"]
    );
}

#[test]
fn who_is_not_through_tonight_goes_on_tomorrow_and_nothing_short_is_begun_in_vain() {
    let lines = [
        line("daily 22:00–23:00", None),
        line("daily 22:00–23:00", None),
    ];
    let lacks = [(0, 100 * GIB), (1, GIB)];
    let slots = slots(
        "100 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    let big = slots.of(&name(0));
    assert!(moved(big) >= 100 * GIB);
    // The small one is through at once and slows the big one down only meanwhile.
    assert_eq!(shown(slots.of(&name(1))).len(), 1);
    assert_eq!(big.len(), 3, "{:?}", shown(big));
    // What would be over before it has really begun waits for the next night.
    let lacks = [(0, 43 * GIB - GIB / 2), (1, GIB)];
    let slots = self::slots(
        "100 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    assert_eq!(slots.of(&name(0)).len(), 2);
    assert_eq!(shown(slots.of(&name(1))).len(), 1);
}

#[test]
fn what_nobody_has_a_slot_on_is_shared_by_all_whose_window_is_open() {
    let lines = [
        line(NIGHTS, None),
        line(NIGHTS, None),
        line("daily 12:00–14:00", None),
        line(NIGHTS, Some("10 Mbit/s")),
    ];
    let slots = slots("90 Mbit/s", &lines, &[]);
    let share = |school, when| slots.at_or_after(&name(school), at(when));
    let found = share(0, "2026-11-02T23:10:00Z").unwrap();
    assert_eq!(found.kind, SlotKind::LeftOver);
    assert_eq!(shown(&[found]), ["Tue 00:10:00–Tue 01:00:00 30 Mbit/s"]);
    assert_eq!(
        shown(&[share(3, "2026-11-02T23:10:00Z").unwrap()]),
        ["Tue 00:10:00–Tue 01:00:00 10 Mbit/s"]
    );
    // By day there is nobody else, and by night there is nothing for it.
    assert_eq!(
        shown(&[share(2, "2026-11-02T18:10:00Z").unwrap()]),
        ["Tue 12:00:00–Tue 13:00:00 90 Mbit/s"]
    );
    assert_eq!(share(9, "2026-11-02T18:10:00Z"), None);
}

#[test]
fn while_the_line_is_granted_as_a_whole_nothing_is_left_over() {
    let lines = [line(NIGHTS, None), line(NIGHTS, None)];
    let lacks = [(0, 600 * GIB)];
    let slots = slots(
        "100 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    let late = slots.end().unwrap();
    let next = slots
        .at_or_after(&name(1), at("2026-11-02T23:10:00Z"))
        .unwrap();
    assert!(
        next.from >= late - SignedDuration::from_hours(1),
        "{next:?} before {late}"
    );
    // Its own slot ends where the window closes, and goes on with the next one.
    let own = slots
        .at_or_after(&name(0), at("2026-11-03T10:00:00Z"))
        .unwrap();
    assert_eq!(
        (own.kind, own.from),
        (SlotKind::Own, at("2026-11-03T21:00:00Z"))
    );
}

#[test]
fn the_hour_that_does_not_exist_and_the_one_that_is_twice_are_no_trouble() {
    for night in ["2027-03-27T12:00:00Z", "2026-10-24T12:00:00Z"] {
        let lines = [line("daily 02:30–03:30", None), line(NIGHTS, None)];
        let slots = slots(
            "100 Mbit/s",
            &lines,
            &[release(night, [(0, 90 * GIB), (1, 90 * GIB)])],
        );
        for school in [0, 1] {
            let own = slots.of(&name(school));
            assert!(moved(own) >= 90 * GIB, "{:?}", shown(own));
        }
        check(&slots, &lines, at(night));
    }
}

/// What holds of all slots, at each instant at which any begins or ends, and now and then.
fn check(slots: &Slots, lines: &[Line], from: Timestamp) {
    let own = |school| slots.of(&name(school)).iter();
    let mut instants: Vec<Timestamp> = (0..lines.len())
        .flat_map(own)
        .flat_map(|slot| [slot.from, slot.until])
        .collect();
    instants.extend((0..200).map(|step| from + SignedDuration::from_mins(37 * step)));
    for instant in instants {
        let mut sum = 0;
        for (number, line) in lines.iter().enumerate() {
            let Some(slot) = slots.at_or_after(&name(number), instant) else {
                continue;
            };
            assert!(slot.until > instant && slot.from < slot.until);
            assert!(line.rate.is_none_or(|most| slot.rate <= most));
            let open = line.windows.opening_at(slot.from, &line.zone);
            assert!(
                open.is_some_and(|open| slot.until <= open.closes),
                "{slot:?} in {open:?}"
            );
            if slot.from <= instant {
                sum += slot.rate.bits();
            }
        }
        assert!(sum <= slots.uplink().bits(), "{sum} at {instant}");
    }
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let windows = prop::sample::select(vec![
        NIGHTS,
        "daily 01:00–03:00",
        "mon–thu 20:00–06:00",
        "daily 00:00–24:00",
        "sat, sun 08:00–20:00; daily 23:00–04:30",
    ]);
    let rate = prop::option::of(prop::sample::select(vec![
        "20 Mbit/s",
        "100 Mbit/s",
        "1 Gbit/s",
    ]));
    let one = (windows, rate).prop_map(|(windows, rate)| line(windows, rate));
    prop::collection::vec(one, 1..12)
}

fn history() -> impl Strategy<Value = Vec<Release>> {
    let lacks = prop::collection::vec((0..12_usize, 1..20 * GIB), 1..12);
    let one = (0..40_i64, lacks);
    prop::collection::vec(one, 1..4).prop_map(|mut found| {
        found.sort_by_key(|(hours, _)| *hours);
        let begin = at("2026-10-23T09:30:00Z");
        let release = |(hours, lacks): (i64, Vec<(usize, u64)>)| Release {
            at: begin + SignedDuration::from_hours(hours),
            lacks: lacks
                .into_iter()
                .map(|(school, bytes)| (name(school), bytes))
                .collect(),
        };
        found.into_iter().map(release).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The uplink is never exceeded, everybody is served within his windows and at no more than his line gives.
    #[test]
    fn budgets_hold_and_everybody_is_served(lines in lines(), releases in history(), uplink in 1_u64..40) {
        let uplink = Rate::bits_per_second(uplink * 50_000_000).unwrap();
        let all = slots(&uplink.to_string(), &lines, &releases);
        check(&all, &lines, releases[0].at);
        let mut lacks: BTreeMap<SchoolName, u64> = BTreeMap::new();
        for release in &releases {
            for (school, bytes) in &release.lacks {
                *lacks.entry(school.clone()).or_default() += bytes;
            }
        }
        for number in 0..lines.len() {
            let lacked = lacks.get(&name(number)).copied().unwrap_or(0);
            let moved = moved(all.of(&name(number)));
            prop_assert!(moved + 8 >= lacked, "{} of {}", moved, lacked);
            // Nor is much granted that nobody needs: a millisecond of each slot.
            let spare = all.of(&name(number)).len() as u64 * uplink.bits() / 8000;
            prop_assert!(moved <= lacked + spare);
        }
    }

    /// What is released later, and a school that comes later, moves nobody's slots.
    #[test]
    fn slots_that_were_granted_stay(lines in lines(), releases in history(), more in history()) {
        let last = releases.last().unwrap().at;
        let known = |school: &SchoolName| (0..lines.len()).any(|number| name(number) == *school);
        let releases: Vec<_> = releases.into_iter().map(|mut release| {
            release.lacks.retain(|school, _| known(school));
            release
        }).collect();
        let before = slots("1 Gbit/s", &lines, &releases);
        let later = more.into_iter().map(|release| Release { at: release.at.max(last), ..release });
        let all: Vec<_> = releases.iter().cloned().chain(later).collect();
        let mut with_one_more = lines.clone();
        with_one_more.push(line(NIGHTS, None));
        let after = slots("1 Gbit/s", &with_one_more, &all);
        for number in 0..lines.len() {
            let (old, new) = (before.of(&name(number)), after.of(&name(number)));
            prop_assert!(old.iter().all(|slot| new.contains(slot)), "{:?} in {:?}", shown(old), shown(new));
        }
    }
}

/// How many seconds with any window open it takes at the least, found by pouring water: each minute, whoever's window
/// closes first gets as much of the line as he lacks.
fn least(lines: &[Line], uplink: u64, release: &Release) -> i64 {
    let mut left: Vec<u64> = (0..lines.len())
        .map(|number| release.lacks[&name(number)] * 8)
        .collect();
    let (mut instant, mut took) = (release.at, 0);
    while left.iter().any(|left| *left > 0) {
        let open = |line: &Line| {
            line.windows
                .opening_at(instant, &line.zone)
                .map(|open| open.closes)
        };
        let mut open: Vec<_> = lines
            .iter()
            .map(open)
            .enumerate()
            .filter_map(|(number, closes)| Some((closes?, number)))
            .collect();
        open.sort_unstable();
        let mut water = uplink * 60;
        for (_, number) in &open {
            let most = lines[*number].rate.map_or(uplink, Rate::bits) * 60;
            let some = left[*number].min(water).min(most);
            left[*number] -= some;
            water -= some;
        }
        took += if open.is_empty() { 0 } else { 60 };
        instant += SignedDuration::from_secs(60);
    }
    took
}

fn open_seconds(lines: &[Line], from: Timestamp, until: Timestamp) -> i64 {
    let minutes = (0..)
        .map(|minute| from + SignedDuration::from_mins(minute))
        .take_while(|instant| *instant < until);
    let open = minutes.filter(|instant| {
        lines
            .iter()
            .any(|line| line.windows.is_open(*instant, &line.zone))
    });
    i64::try_from(open.count()).unwrap() * 60
}

#[test]
fn two_hundred_schools_are_through_in_little_more_than_the_line_takes() {
    let windows = [
        NIGHTS,
        "daily 21:00–06:00",
        "daily 00:00–06:00",
        "mon–fri 20:00–05:00",
        "daily 23:00–07:00",
    ];
    let cases = [
        (20, None),
        (20, Some("300 Mbit/s")),
        (2, None),
        (2, Some("50 Mbit/s")),
        (15, Some("120 Mbit/s")),
    ];
    for (gib, rate) in cases {
        let lines: Vec<_> = (0..200)
            .map(|number| line(windows[number % windows.len()], rate))
            .collect();
        let release = release(
            "2026-11-02T12:00:00Z",
            (0..200).map(|number| (number, gib * GIB)),
        );
        let slots = slots("1 Gbit/s", &lines, std::slice::from_ref(&release));
        check(&slots, &lines, release.at);
        let took = open_seconds(&lines, release.at, slots.end().unwrap());
        let least = least(&lines, 1_000_000_000, &release);
        assert!(
            took * 100 <= least * 105,
            "{gib} GiB at {rate:?}: {took} s where {least} s are possible"
        );
        // Who missed his slot has another one the night after.
        let after = slots.end().unwrap();
        for number in [0, 57, 199] {
            let next = slots.at_or_after(&name(number), after).unwrap();
            assert!(
                next.from < after + SignedDuration::from_hours(24),
                "{next:?}"
            );
        }
    }
}

/// People's clocks may be wrong by any time.
#[test]
fn a_commit_of_the_end_of_time_takes_nothing_from_anybody() {
    let lines = [line("daily 00:00–24:00", None)];
    for at in [
        Timestamp::MIN,
        Timestamp::MAX,
        Timestamp::MAX - SignedDuration::from_secs(2),
    ] {
        let lacks = [(name(0), GIB)].into();
        let slots = slots("100 Mbit/s", &lines, &[Release { at, lacks }]);
        let now = self::at("2026-11-24T10:00:00Z");
        assert!(
            slots
                .at_or_after(&name(0), now)
                .is_some_and(|slot| slot.from == now)
        );
    }
}

#[test]
fn nobody_needs_more_nights_than_the_line_makes_him() {
    let lines = vec![line(NIGHTS, None); 60];
    let slots = slots(
        "1 Gbit/s",
        &lines,
        &[release(
            "2026-11-02T12:00:00Z",
            (0..60).map(|number| (number, 20 * GIB)),
        )],
    );
    // 60 schools with 177 s each are through in one night, none of them in more than two parts.
    assert!((0..60).all(|number| slots.of(&name(number)).len() <= 2));
    assert!(slots.end().unwrap() < at("2026-11-03T04:00:00Z"));
}

#[test]
fn of_a_rate_on_the_line_a_part_is_content() {
    let rate = "100 Mbit/s".parse().unwrap();
    assert_eq!(super::content(rate).bits(), 97_000_000);
}

/// A window of once a week is found, and where nothing was released all of it is left over. The end of all slots is
/// that of the last one.
#[test]
fn a_slot_is_looked_for_over_two_weeks() {
    let lines = [line("sat 10:00–12:00", None)];
    let free = slots("50 Mbit/s", &lines, &[]);
    assert_eq!(free.end(), None);
    let sunday = at("2026-11-01T12:00:00Z");
    let slot = free.at_or_after(&name(0), sunday).unwrap();
    assert_eq!(shown(&[slot]), ["Sat 10:00:00–Sat 11:00:00 50 Mbit/s"]);
    let granted = slots(
        "50 Mbit/s",
        &lines,
        &[release("2026-11-01T12:00:00Z", [(0, GIB)])],
    );
    let own = *granted.of(&name(0)).last().unwrap();
    assert_eq!(granted.end(), Some(own.until));
    assert_eq!(granted.at_or_after(&name(0), own.from), Some(own));
    // With its last instant a slot is over.
    assert_ne!(granted.at_or_after(&name(0), own.until), Some(own));
}

/// Rates of less than a step are not rounded to nothing.
#[test]
fn rates_are_rounded_down_to_steps() {
    for (rate, rounded) in [(99_999, 99_999), (100_000, 100_000), (1_250_000, 1_200_000)] {
        assert_eq!(super::place::round_down(rate), rounded);
    }
}

#[test]
fn who_lacks_nothing_gets_nothing_and_who_is_alone_is_no_quicker_than_suits() {
    let lines = [line(NIGHTS, None), line(NIGHTS, None)];
    let slots = slots(
        "50 Mbit/s",
        &lines,
        &[release("2026-11-02T21:30:00Z", [(0, 0), (1, GIB)])],
    );
    assert_eq!(shown(slots.of(&name(0))), [""; 0]);
    assert_eq!(
        shown(slots.of(&name(1))),
        ["Mon 22:30:00–Mon 22:40:02 14.8 Mbit/s"]
    );
}

/// A slow line cannot make good later what it misses now, one of which the uplink is the bound can: two nights at
/// 20 Mbit/s go before four nights at the 50 Mbit/s of the uplink.
#[test]
fn a_slow_line_goes_first() {
    let lines = [
        line(NIGHTS, Some("20 Mbit/s")),
        line("daily 22:00–04:00", None),
    ];
    let lacks = [(0, 80 * GIB), (1, 480 * GIB)];
    let slots = slots(
        "50 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    let first = shown(&slots.of(&name(0))[..1]);
    assert_eq!(first, ["Mon 22:00:00–Tue 05:00:00 20 Mbit/s"]);
    let beside = shown(&slots.of(&name(1))[..1]);
    assert_eq!(beside, ["Mon 22:00:00–Tue 04:00:00 30 Mbit/s"]);
}

/// Less than a quarter of what suits is not worth to begin with: it waits until there is more.
#[test]
fn nobody_begins_with_too_little() {
    let lines = [
        line(NIGHTS, Some("48 Mbit/s")),
        line("daily 22:00–06:00", None),
    ];
    // The first takes an hour, a little more with what is no content.
    let lacks = [(0, 20 * GIB), (1, GIB)];
    let slots = slots(
        "50 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    assert_eq!(
        shown(slots.of(&name(0))),
        ["Mon 22:00:00–Mon 23:01:33 48 Mbit/s"]
    );
    assert_eq!(
        shown(slots.of(&name(1))),
        ["Mon 23:01:33–Mon 23:11:36 14.8 Mbit/s"]
    );
}

/// When somebody is through, those that go on get at least twice as much, one after the other: of the 40 Mbit/s that
/// become free the second takes what its line bears, and the third the rest.
#[test]
fn what_becomes_free_goes_to_those_who_have_begun() {
    let lines = [
        line("daily 21:55–05:00", Some("40 Mbit/s")),
        line(NIGHTS, Some("30 Mbit/s")),
        line(NIGHTS, None),
    ];
    // Ten minutes at 40 Mbit/s, and twice ten at 10.
    let lacks = [(0, 2_910_000_000), (1, 727_500_000), (2, 727_500_000)];
    let slots = slots(
        "60 Mbit/s",
        &lines,
        &[release("2026-11-02T12:00:00Z", lacks)],
    );
    assert_eq!(
        shown(slots.of(&name(0))),
        ["Mon 21:55:00–Mon 22:05:04 40 Mbit/s"]
    );
    let both = [
        "Mon 22:00:00–Mon 22:05:04 10 Mbit/s",
        "Mon 22:05:04–Mon 22:06:48 30 Mbit/s",
    ];
    assert_eq!(shown(slots.of(&name(1))), both);
    assert_eq!(shown(slots.of(&name(2))), both);
}

/// What is never through ends after 400 days; what would begin at that very instant does not.
#[test]
fn nobody_is_served_for_ever() {
    let begin = "2026-11-02T21:00:00Z";
    let slots = slots(
        "1 Mbit/s",
        &[line("daily 22:00–23:00", None)],
        &[release(begin, [(0, 10_000 * GIB)])],
    );
    let end = at(begin) + jiff::SignedDuration::from_hours(400 * 24);
    let own = slots.of(&name(0));
    assert!(own.iter().all(|slot| slot.from < slot.until));
    let last = own.last().unwrap();
    assert_eq!(end.duration_since(last.from).as_hours(), 24);
}
