//! Thousands of worlds, each from one number.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use reconciler::simulator::{Profile, Script, simulate};

use crate::fleets::Size;
use crate::shrink;
use crate::worlds::world;

const SIZE: Size = Size {
    schools: 20,
    rooms: 2,
};
const HOSTS_PER_ROOM: usize = 6;
const DAYS: i64 = 30;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The profile and the world of a seed: of four seeds, one is quiet, one light and two heavy.
fn of(seed: u64, tried: bool) -> Script {
    let profile = [
        Profile::None,
        Profile::Light,
        Profile::Heavy,
        Profile::Heavy,
    ][(seed % 4) as usize];
    let size = Size {
        schools: env("SCHOOLS").map_or(SIZE.schools, |schools| schools as usize),
        rooms: env("ROOMS").map_or(SIZE.rooms, |rooms| rooms as usize),
    };
    world(
        seed,
        profile,
        size,
        (
            env("HOSTS").map_or(HOSTS_PER_ROOM, |hosts| hosts as usize),
            env("DAYS").map_or(DAYS, |days| days as i64),
        ),
        tried,
    )
}

fn judge(seed: u64, tried: bool, passes: &AtomicU64) -> Option<String> {
    let outcome = simulate(&of(seed, tried));
    passes.fetch_add(outcome.account.passes, Ordering::Relaxed);
    let broken = outcome.broken.first()?;
    let (small, shrunk) = shrink::shrink(of(seed, tried), broken);
    Some(shrink::tell(broken, &small, &shrunk, seed))
}

/// `SEEDS` says how many, and `TRIED` that test classes come and go; the number printed with a failure finds it again.
#[test]
fn no_promise_is_broken_in_any_world() {
    no_promise_is_broken(env("SEEDS").unwrap_or(1000), env("TRIED").is_some());
}

/// Test classes come and go in these worlds. They are fewer; `TRIED=1` with `SEEDS` looks for more.
#[test]
fn no_promise_is_broken_where_hosts_try_something() {
    no_promise_is_broken(200, true);
}

fn no_promise_is_broken(seeds: u64, tried: bool) {
    let began = Instant::now();
    let first = env("FIRST").unwrap_or(1);
    let next = AtomicU64::new(first);
    let passes = AtomicU64::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..cores {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < first + seeds
                    && found.lock().unwrap().len() < 3
                {
                    if let Some(text) = judge(seed, tried, &passes) {
                        found.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let passes = passes.into_inner();
    println!("{seeds} worlds, {passes} passes in {:.1?}", began.elapsed());
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n----\n"));
}

/// The world of `SEED`, told in full.
#[test]
fn one_seed() {
    let Some(seed) = env("SEED") else { return };
    let tried = env("TRIED").is_some();
    let mut script = of(seed, tried);
    script.keep_all = true;
    let outcome = simulate(&script);
    let names: Vec<_> = script.schools.keys().map(ToString::to_string).collect();
    for event in &outcome.account.events {
        println!(
            "{}",
            event.line(
                event.site.map_or("", |site| &names[site]),
                &jiff::tz::TimeZone::UTC
            )
        );
    }
    if let Some(text) = judge(seed, tried, &AtomicU64::new(0)) {
        panic!("{text}");
    }
}

/// The same script gives the same account, byte for byte.
#[test]
fn a_seed_gives_one_account() {
    let account = || {
        let mut script = of(3, false);
        script.keep_all = true;
        let events = simulate(&script).account.events;
        events
            .iter()
            .map(|event| event.line("", &jiff::tz::TimeZone::UTC) + "\n")
            .collect::<String>()
    };
    let (first, second) = (account(), account());
    assert!(
        first.lines().count() > 500,
        "too little happened: {}",
        first.lines().count()
    );
    let differ = first
        .lines()
        .zip(second.lines())
        .find(|(one, other)| one != other);
    assert_eq!(differ, None);
    assert_eq!(first.len(), second.len());
}

/// What a rehearsal says is for people: no text of the program's own makes its way into it.
#[test]
fn a_rehearsal_is_written_in_words() {
    let fleet = crate::fleets::fleet(3, SIZE);
    for seed in 1..4 {
        let options = reconciler::simulator::Options {
            from: "2026-11-02T12:00:00Z".parse().unwrap(),
            weeks: 2,
            seed,
            faults: Profile::Heavy,
            start: reconciler::simulator::Start::Converged,
            hosts_per_room: HOSTS_PER_ROOM,
        };
        let text = reconciler::simulator::rehearse(&fleet, &options).to_string();
        assert!(text.contains("\nLate\n"), "{text}");
        let odd = |line: &&str| {
            ["(\"", "Name(", "{ ", "Some("]
                .iter()
                .any(|odd| line.contains(odd))
        };
        assert_eq!(text.lines().find(odd), None);
    }
}
