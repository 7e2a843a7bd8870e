//! How many days of PCs are simulated in a second on one core, faults, people and promises included.
//!
//! `cargo bench -p fleet-tests --bench simulator -- "12 PCs"`. The quickest of several fleets counts, by the time that the core
//! worked: how busy the machine is besides changes little.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark may print and panic"
)]

use std::env;
use std::time::Duration;

use reconciler::simulator::{Profile, simulate};

use crate::fleets::Size;

#[path = "../sim/fleets.rs"]
mod fleets;
#[path = "../sim/worlds.rs"]
mod worlds;

const DAYS: u32 = 30;
const RUNS: u32 = 3;
/// Schools, rooms of each, hosts of each room.
const SIZES: [(u32, u32, u32); 3] = [(20, 2, 6), (20, 3, 20), (5, 10, 20)];

fn main() {
    // Cargo's own argument; a test run of all targets does not measure.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let asked: Vec<String> = env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    for (schools, rooms, hosts) in SIZES {
        for profile in [Profile::None, Profile::Light, Profile::Heavy] {
            let pcs = rooms * hosts;
            let name = format!("{schools} schools, {pcs} PCs each, {profile:?}");
            if !asked.iter().all(|part| name.contains(part)) {
                continue;
            }
            let size = Size {
                schools: schools as usize,
                rooms: rooms as usize,
            };
            let least = (1..=RUNS).map(|seed| run(seed.into(), profile, size, hosts));
            let least = least.min().unwrap_or(Duration::MAX).as_secs_f64();
            let school_days = f64::from(schools * DAYS);
            println!(
                "{name:32} {:9.0} PC-days/s {:9.3} ms for a school's day",
                school_days * f64::from(pcs) / least,
                least * 1000.0 / school_days
            );
        }
    }
}

fn run(seed: u64, profile: Profile, size: Size, hosts: u32) -> Duration {
    let script = worlds::world(seed, profile, size, (hosts as usize, DAYS.into()), false);
    let began = worked();
    let outcome = simulate(&script);
    let took = worked() - began;
    assert_eq!(outcome.broken, [], "seed {seed}");
    took
}

/// How long this thread has had a core.
fn worked() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}
