//! A table of every minute around a change of the clock, from which openings and occurrences are
//! read off without any arithmetic of offsets.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::ToSpan;
use jiff::civil::Weekday::Monday;
use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::schedule::{Dates, Every, FreeDays, Opening, Point, Schedule, Window, Windows};

const AROUND: i32 = 32;
const CASES: u32 = 24;

struct Table {
    zone: TimeZone,
    days: Vec<Date>,
    minutes: Vec<Timestamp>,
    /// First and last minute that a clock on the wall shows as this.
    shown: BTreeMap<DateTime, (usize, usize)>,
    /// The minute of the change.
    change: usize,
}

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        // Gap and fold at midnight.
        ("America/Sao_Paulo", date(2018, 11, 4)),
        ("America/Sao_Paulo", date(2018, 2, 18)),
        // Back over midnight into the day before, at 00:01.
        ("America/St_Johns", date(2006, 10, 29)),
        // A whole day that does not exist.
        ("Pacific/Apia", date(2011, 12, 31)),
    ]
    .map(|(zone, day)| Table::new(TimeZone::get(zone).unwrap(), day))
    .into()
});

impl Table {
    fn new(zone: TimeZone, day: Date) -> Self {
        let first = zone
            .to_timestamp(day.checked_sub(AROUND.days()).unwrap().at(0, 0, 0, 0))
            .unwrap();
        let middle = zone.to_timestamp(day.at(12, 0, 0, 0)).unwrap();
        let change = zone.preceding(middle).next().unwrap().timestamp();
        let minute = |number: i64| first + SignedDuration::from_mins(number);
        let minutes: Vec<_> = (0..i64::from(AROUND) * 2 * 1440).map(minute).collect();
        let mut shown = BTreeMap::new();
        for (at, minute) in minutes.iter().enumerate() {
            shown.entry(zone.to_datetime(*minute)).or_insert((at, at)).1 = at;
        }
        let mut days: Vec<_> = shown.keys().map(|shown| shown.date()).collect();
        days.dedup();
        let span = (*days.first().unwrap(), *days.last().unwrap());
        let days = span
            .0
            .series(1.day())
            .take_while(|day| *day <= span.1)
            .collect();
        let change = minutes.binary_search(&change).unwrap();
        Self {
            zone,
            days,
            minutes,
            shown,
            change,
        }
    }

    /// The first and last minute of a time on the wall, or of the next one that is ever shown.
    fn find(&self, civil: DateTime) -> (usize, usize) {
        let end = self.minutes.len();
        self.shown
            .range(civil..)
            .next()
            .map_or((end, end), |(_, found)| *found)
    }

    fn open(&self, windows: &Windows) -> Vec<bool> {
        let mut open = vec![false; self.minutes.len()];
        let mut in_order: Vec<&Window> = windows.iter().collect();
        in_order.sort_by_key(|window| window.denies);
        for window in in_order {
            for day in self.days.iter().filter(|day| window.days.contains(**day)) {
                let last = if window.end <= window.start {
                    day.tomorrow().unwrap()
                } else {
                    *day
                };
                let from = self.find(day.to_datetime(window.start)).0;
                let to = self.find(last.to_datetime(window.end)).1;
                if from < to {
                    open[from..to].fill(!window.denies);
                }
            }
        }
        open
    }

    /// The run of open minutes that holds this one; none where it is too long to be followed.
    fn run(&self, open: &[bool], at: usize) -> Option<Opening> {
        let from = open[..at].iter().rposition(|open| !open)? + 1;
        let to = at + open[at..].iter().position(|open| !open)?;
        (to - from < 8 * 1440).then(|| Opening {
            opens: self.minutes[from],
            closes: self.minutes[to],
        })
    }

    fn occurrences(&self, schedule: &Schedule, free: &FreeDays) -> Vec<usize> {
        let mut found = Vec::new();
        let left_out = |day: Date| {
            schedule
                .iter()
                .any(|point| matches!(point, Point::Not(dates) if dates.contains(day)))
        };
        for day in self.days.iter().copied() {
            if left_out(day) || free.holding(day).is_some() {
                continue;
            }
            let times = schedule.iter().filter_map(|point| match *point {
                Point::Weekly { days, at, every } => {
                    let week = every.is_none_or(|Every { weeks, from }| {
                        // Mondays, counted one by one.
                        let mondays = from
                            .series(1.day())
                            .take_while(|counted| *counted <= day)
                            .filter(|counted| *counted != from && counted.weekday() == Monday)
                            .count();
                        from <= day && mondays % usize::from(weeks) == 0
                    });
                    (week && days.contains(day.weekday())).then_some(at)
                }
                Point::Once { day: once, at } => (once == day).then_some(at),
                Point::Not(_) => None,
            });
            found.extend(times.map(|at| self.find(day.to_datetime(at)).0));
        }
        found.retain(|at| *at < self.minutes.len());
        found.sort_unstable();
        found
    }

    /// Minutes to ask about: all around the change, some of the two weeks around it.
    fn asked(&self, samples: &[Index]) -> impl Iterator<Item = usize> {
        let night = (self.change - 240..self.change + 240).step_by(7);
        let near = self.change - 65..self.change + 65;
        let samples: Vec<_> = samples
            .iter()
            .map(|index| self.change - 7 * 1440 + index.index(14 * 1440))
            .collect();
        night.chain(near).chain(samples)
    }
}

fn days() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("daily".to_owned()),
        subsequence(vec!["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 1..7)
            .prop_map(|days| days.join(", ")),
    ]
}

/// Times of which many lie where clocks change.
fn time() -> impl Strategy<Value = String> {
    let hours = prop_oneof![select(vec![0, 1, 2, 3, 22, 23]), 0..24];
    (hours, select(vec![0, 1, 15, 30, 59]))
        .prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"))
}

/// Days of the calendar, near the change of the clock.
fn dates(table: usize) -> impl Strategy<Value = Dates> {
    let change = TABLES[table]
        .zone
        .to_datetime(TABLES[table].minutes[TABLES[table].change]);
    (-6..6_i32, 0..4_i32).prop_map(move |(first, more)| {
        let from = change.date() + first.days();
        Dates {
            from,
            to: from + more.days(),
        }
    })
}

fn window(table: usize) -> impl Strategy<Value = Window> {
    let days = prop_oneof![3 => days(), 1 => dates(table).prop_map(|dates| dates.to_string())];
    let end = prop_oneof![time(), Just("24:00".to_owned())];
    (days, time(), end).prop_filter_map("a window has a length", |(days, start, end)| {
        format!("{days} {start}–{end}").parse().ok()
    })
}

fn windows(table: usize) -> impl Strategy<Value = Windows> {
    let exception = prop_oneof![
        window(table).prop_map(|window| Window {
            denies: true,
            ..window
        }),
        dates(table).prop_map(|dates| format!("not {dates}").parse().unwrap()),
    ];
    let exceptions = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(exception, 1..4).boxed()
    ];
    (prop::collection::vec(window(table), 1..4), exceptions)
        .prop_map(|(windows, exceptions)| windows.into_iter().chain(exceptions).collect())
}

fn schedule(table: usize) -> impl Strategy<Value = Schedule> {
    let point = prop_oneof![
        3 => (days(), time()).prop_map(|(days, time)| format!("{days} {time}")),
        1 => (days(), time(), 2..4_u8, dates(table)).prop_map(|(days, time, weeks, dates)| {
            format!("every {weeks} weeks {days} {time} from {}", dates.from)
        }),
        1 => (dates(table), time()).prop_map(|(dates, time)| format!("{} {time}", dates.from)),
        1 => dates(table).prop_map(|dates| format!("not {dates}")),
    ];
    let point = point.prop_map(|text| text.parse::<Point>().unwrap());
    prop::collection::vec(point, 1..5).prop_map(|points| points.into_iter().collect())
}

fn samples() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 40)
}

/// That the openings from each of the minutes are those that the table shows.
fn agree(windows: &Windows, table: &Table, samples: &[Index]) -> Result<(), TestCaseError> {
    let open = table.open(windows);
    for at in table.asked(samples) {
        let now = table.minutes[at];
        let found = windows.opening_at(now, &table.zone);
        prop_assert_eq!(found.is_some(), open[at], "{} at {}", windows, now);
        prop_assert_eq!(windows.is_open(now, &table.zone), open[at]);
        prop_assert!(found.is_none_or(|found| found.contains(now)));
        let wanted = table.run(&open, at);
        if open[at] && wanted.is_some() {
            prop_assert_eq!(found, wanted, "{} at {}", windows, now);
        }
        let found = windows.next_opening(now, &table.zone);
        let Some(next) = (at + 1..open.len()).find(|&next| open[next] && !open[next - 1]) else {
            prop_assert_eq!(found, None, "{} after {}", windows, now);
            continue;
        };
        let opens = found.map(|found| found.opens);
        prop_assert_eq!(
            opens,
            Some(table.minutes[next]),
            "{} after {}",
            windows,
            now
        );
        if let Some(wanted) = table.run(&open, next) {
            prop_assert_eq!(found, Some(wanted), "{} after {}", windows, now);
        }
    }
    Ok(())
}

#[test]
fn the_hardest_windows_agree_with_the_minutes() {
    for text in [
        "daily 00:00–24:00",
        "daily 02:00–00:01",
        "daily 03:00–02:00",
        "daily 02:30–02:29",
        "daily 02:15–02:45",
        "sun 02:00–03:00",
        "sun 03:00–02:00",
        "sat 23:30–00:30",
    ] {
        let windows = [text.parse::<Window>().unwrap()].into_iter().collect();
        for table in TABLES.iter() {
            agree(&windows, table, &[]).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn openings_are_those_of_the_minutes(
        (table, windows) in (0..TABLES.len()).prop_flat_map(|table| (Just(table), windows(table))),
        samples in samples(),
    ) {
        agree(&windows, &TABLES[table], &samples)?;
    }

    #[test]
    fn occurrences_are_those_of_the_minutes(
        (table, schedule) in (0..TABLES.len()).prop_flat_map(|table| (Just(table), schedule(table))),
        samples in samples(),
        spans in prop::collection::vec((0..64_usize, 0..9_usize), 0..4),
    ) {
        let table = &TABLES[table];
        let day = |number: usize| table.days[number.min(table.days.len() - 1)];
        let free = FreeDays::new(spans.iter().map(|&(first, more)| (day(first), day(first + more), "x".to_owned())));
        let occurrences = table.occurrences(&schedule, &free);
        for at in table.asked(&samples) {
            let now = table.minutes[at];
            let split = occurrences.partition_point(|&occurrence| occurrence <= at);
            let minute = |index: Option<&usize>| index.map(|&index| table.minutes[index]);
            let (latest, next) = (minute(occurrences[..split].last()), minute(occurrences.get(split)));
            let found = schedule.latest(now, &table.zone, &free);
            let before = latest.is_none() && found.is_some_and(|found| found < table.minutes[0]);
            prop_assert!(found == latest || before, "{} up to {}: {:?}, not {:?}", schedule, now, found, latest);
            let found = schedule.next(now, &table.zone, &free);
            let after = next.is_none() && found.is_some_and(|found| found > table.minutes[table.minutes.len() - 1]);
            prop_assert!(found == next || after, "{} after {}: {:?}, not {:?}", schedule, now, found, next);
        }
    }
}
