//! A fleet of a million hosts: loading it, cutting one server out of it, planning it. A school's evening.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark may panic, and says what it measured"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use harness::big_fleet::{BigFleet, State};
use harness::worlds::Evening;
use jiff::Timestamp;
use jiff::civil::date;
use reconciler::planning::slots::{Slots, Wants, releases};
use reconciler::planning::{
    Desired, Observed, Pace, Server, Taken, audit, longest_first, lower_bound, plan, preview,
    shortest,
};
use schema::fleet::Fleet;

/// Monday, with the window for resets open: the rooms are due since 18:00.
const AT: &str = "2026-11-23T18:05:00+01:00";

fn fleet() -> Fleet {
    let loaded = schema::load(&BigFleet::MILLION.tree());
    assert!(
        loaded.diagnostics.is_empty(),
        "{:?}",
        loaded.diagnostics.first()
    );
    loaded.fleet.expect("a sound fleet")
}

fn all_desired(fleet: &Fleet) -> Vec<Desired> {
    let servers = fleet
        .schools
        .keys()
        .map(|name| Server::School(name.clone()));
    servers
        .map(|server| Desired::of(fleet, &server).expect("a known school"))
        .collect()
}

fn observed(desired: &Desired, state: State) -> Observed {
    let at: Timestamp = AT.parse().expect("a time");
    let reported = match state {
        State::Converged => date(2026, 11, 23).at(18, 4, 0, 0),
        State::Due | State::Fresh => date(2026, 11, 18).at(18, 4, 0, 0),
    };
    BigFleet::MILLION
        .observed(desired, state, at, reported)
        .expect("an observation")
}

/// States of a server, with how many steps and holds its plan has together: one for each of 50 rooms, some for images.
const STATES: [(&str, State, usize); 3] = [
    ("converged", State::Converged, 0),
    ("due", State::Due, 50),
    ("fresh", State::Fresh, 52),
];

fn load(c: &mut Criterion) {
    let tree = BigFleet::MILLION.tree();
    let mut group = c.benchmark_group("1000 schools");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10))
        .warm_up_time(Duration::from_secs(1));
    group.bench_function("load and check", |b| {
        b.iter_with_large_drop(|| schema::load(black_box(&tree)));
    });
    group.finish();
}

fn plans(c: &mut Criterion) {
    let fleet = fleet();
    let all = all_desired(&fleet);
    let one = all.first().expect("a school");
    let mut group = c.benchmark_group("one school");
    group
        .sample_size(50)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    let server = one.server.clone();
    group.bench_function("desired", |b| {
        b.iter_with_large_drop(|| Desired::of(black_box(&fleet), &server))
    });
    for (name, state, goals) in STATES {
        let observed = observed(one, state);
        let made = plan(one, &observed);
        let found = made.steps.len() + made.holds.len();
        assert_eq!(found, goals, "{name}: {:?}", made.holds);
        group.bench_function(format!("plan, {name}"), |b| {
            b.iter_with_large_drop(|| plan(black_box(one), black_box(&observed)));
        });
        group.bench_function(format!("audit, {name}"), |b| {
            b.iter(|| audit(one, &observed, black_box(&made)))
        });
        group.bench_function(format!("look ahead, {name}"), |b| {
            b.iter_batched(
                || observed.clone(),
                |observed| preview(one, observed),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
    let mut group = c.benchmark_group("1000 schools");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .warm_up_time(Duration::from_secs(1));
    for (name, state, ..) in STATES {
        // The schools of this fleet find the same; only what is desired differs.
        let observed = observed(one, state);
        group.bench_function(format!("plan, {name}"), |b| {
            b.iter(|| {
                let steps = |desired| plan(black_box(desired), black_box(&observed)).steps.len();
                all.iter().map(steps).sum::<usize>()
            });
        });
    }
    group.finish();
}

/// What every server works out when a commit changes what schools want: all of them lack a version.
fn slots(c: &mut Criterion) {
    let mut fleet = fleet();
    fleet.central.uplink = "1 Gbit/s".parse().ok();
    let at = harness::worlds::at("2026-11-23T10:00");
    let mut group = c.benchmark_group("1000 schools");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .warm_up_time(Duration::from_secs(1));
    group.bench_function("what they want", |b| {
        b.iter(|| Wants::of(black_box(&fleet)))
    });
    let wants = Wants::of(&fleet);
    let releases = releases([(at, &wants)], false);
    assert_eq!(
        releases.first().map(|release| release.lacks.len()),
        Some(1000)
    );
    group.bench_function("slots of a release", |b| {
        b.iter(|| Slots::of_fleet(black_box(&fleet), &releases));
    });
    group.finish();
}

const fn pace(wake_per_minute: u32, on_at_once: u32) -> Pace {
    Pace {
        wake_per_minute,
        on_at_once,
    }
}

/// No more percent of the lower bound than this may a timetable take.
const MOST: i128 = 110;

/// Budgets of a school, of four rooms on one fuse, and of a room.
const BUDGETS: [(&str, [Pace; 3]); 5] = [
    (
        "the school is the bottleneck",
        [pace(20, 120), pace(20, 120), pace(10, u32::MAX)],
    ),
    (
        "fuses are tight",
        [pace(60, 150), pace(20, 60), pace(10, u32::MAX)],
    ),
    ("rooms are slow", [pace(30, 150), pace(12, 90), pace(3, 20)]),
    (
        "rooms are very slow",
        [pace(60, 150), pace(60, 90), pace(2, 10)],
    ),
    (
        "rooms are slow, and the school bears many",
        [pace(60, 300), pace(60, 90), pace(2, 10)],
    ),
];

/// 40 rooms of 30 hosts side by side, all on the school's circuit, four rooms on a fuse.
fn evenings(c: &mut Criterion) {
    let mut group = c.benchmark_group("40 rooms of 30 hosts");
    group
        .sample_size(50)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1));
    for (name, budgets) in BUDGETS {
        let evening = Evening::of_school(40, 30, 4, budgets);
        let mut batches = evening.batches();
        longest_first(evening.now, &mut batches);
        let takes = shortest(evening.now, &Taken::default(), &batches).makespan();
        let bound = lower_bound(evening.now, &batches);
        let percent = takes.as_millis() * 100 / bound.as_millis();
        println!("timetable, {name}: {takes:#} of at least {bound:#}, {percent} %");
        assert!(
            percent <= MOST,
            "{name}: {percent} % of the lower bound, at most {MOST} %"
        );
        group.bench_function(format!("timetable, {name}"), |b| {
            b.iter_with_large_drop(|| {
                let mut batches = black_box(&evening).batches();
                longest_first(evening.now, &mut batches);
                shortest(evening.now, &Taken::default(), &batches)
            });
        });
    }
    group.finish();
}

/// How many schools are drawn.
const SCHOOLS: u64 = 2000;

/// How far the timetables of schools as there are lie above their lower bounds: of those whose hosts take equally long,
/// nineteen of twenty take a tenth more at the most.
fn all_schools(_: &mut Criterion) {
    let percent = |evening: &Evening| {
        let mut batches = evening.batches();
        longest_first(evening.now, &mut batches);
        let takes = shortest(evening.now, &Taken::default(), &batches).makespan();
        takes.as_millis() * 100 / lower_bound(evening.now, &batches).as_millis()
    };
    let (mut alike, mut mixed) = (Vec::new(), Vec::new());
    let mut dice = 1_u64;
    for _ in 0..SCHOOLS {
        let roll = |_| {
            // Numbers of a linear congruential generator, of which the high bits are good.
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            u16::try_from(dice >> 48).unwrap_or(0)
        };
        let evening = Evening::of_some_school((0..160).map(roll).collect());
        let is_alike = evening
            .stays
            .windows(2)
            .all(|pair| pair[0].each == pair[1].each);
        let percent = percent(&evening);
        if is_alike {
            alike.push(percent)
        } else {
            mixed.push(percent)
        };
    }
    for (name, percents) in [
        ("equally long", &mut alike),
        ("8 to 15 minutes", &mut mixed),
    ] {
        percents.sort_unstable();
        let at = |share: usize| {
            percents
                .get(percents.len() * share / 100)
                .or(percents.last())
        };
        println!(
            "timetables of {} schools, hosts take {name}: {:?} % in the middle, {:?} % at 95 of 100, {:?} % at the most",
            percents.len(),
            at(50).copied().unwrap_or(0),
            at(95).copied().unwrap_or(0),
            percents.last().copied().unwrap_or(0),
        );
    }
    let within = alike.iter().filter(|percent| **percent <= MOST).count();
    assert!(
        within * 100 >= alike.len() * 95,
        "{within} of {} within {MOST} %",
        alike.len()
    );
}

criterion_group!(benches, load, plans, slots, evenings, all_schools);
criterion_main!(benches);
