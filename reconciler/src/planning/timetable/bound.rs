//! How long the budgets make any timetable at least.

use jiff::{SignedDuration, Timestamp};

use super::{Batch, paces};
use crate::planning::action::Pace;

/// Nanoseconds: of more hosts and time than there can be.
type Nanos = i128;

const MINUTE: Nanos = 60_000_000_000;

/// How long it takes at least from now until all hosts are off, whoever wakes them, though by budgets
/// that let a whole minute's wakes happen at once. What is on already and when batches close does not
/// count.
///
/// It is the most that any circuit alone asks for: the time of its hosts divided by how many are on at
/// once, or the time until the last may be woken.
#[must_use]
pub fn lower_bound(now: Timestamp, batches: &[Batch<'_>]) -> SignedDuration {
    let mut longest = 0;
    for (circuit, pace) in paces(batches) {
        let on = |batch: &&Batch<'_>| batch.circuits.iter().any(|(other, _)| other == circuit);
        let all = Demand::of(now, batches.iter().filter(on));
        let each = batches
            .iter()
            .filter(on)
            .map(|batch| Demand::of(now, [batch]));
        longest = each
            .chain([all])
            .map(|demand| demand.takes(pace))
            .fold(longest, Nanos::max);
    }
    let free = batches.iter().map(|batch| Demand::of(now, [batch]));
    longest = free
        .map(|demand| demand.takes(Pace::UNBOUNDED))
        .fold(longest, Nanos::max);
    duration(longest)
}

/// What some batches ask of a circuit.
struct Demand {
    hosts: usize,
    /// The time of all hosts together.
    work: Nanos,
    /// The time of the host that takes least.
    shortest: Nanos,
    /// When the first may be woken, since now.
    begins: Nanos,
}

impl Demand {
    fn of<'a>(now: Timestamp, batches: impl IntoIterator<Item = &'a Batch<'a>>) -> Self {
        let mut sum = Self {
            hosts: 0,
            work: 0,
            shortest: Nanos::MAX,
            begins: Nanos::MAX,
        };
        for batch in batches.into_iter().filter(|batch| batch.hosts > 0) {
            let each = batch.each.as_nanos().max(0);
            let hosts = Nanos::try_from(batch.hosts).unwrap_or(Nanos::MAX);
            let begins = batch.not_before.duration_since(now).as_nanos().max(0);
            sum.hosts = sum.hosts.saturating_add(batch.hosts);
            sum.work = sum.work.saturating_add(each.saturating_mul(hosts));
            sum.shortest = sum.shortest.min(each);
            sum.begins = sum.begins.min(begins);
        }
        sum
    }

    /// How long it takes until the last host is off.
    fn takes(&self, pace: Pace) -> Nanos {
        let Some(last) = self.hosts.checked_sub(1) else {
            return 0;
        };
        let last = Nanos::try_from(last).unwrap_or(Nanos::MAX);
        let (on, woken) = (
            Nanos::from(pace.on_at_once),
            Nanos::from(pace.wake_per_minute),
        );
        // A host is woken at least its time after the one that is so many places before it, and at
        // least a minute after the one that is a minute's wakes before it.
        let time = |rounds: Nanos, minutes: Nanos| {
            let rounds = rounds.saturating_mul(self.shortest);
            rounds.saturating_add(minutes.saturating_mul(MINUTE))
        };
        let by_rounds = time(last / on, last % on / woken);
        let by_minutes = time(last % woken / on, last / woken);
        let last_off = by_rounds.max(by_minutes).saturating_add(self.shortest);
        let takes = last_off.max(self.work / on);
        takes.saturating_add(self.begins)
    }
}

fn duration(nanos: Nanos) -> SignedDuration {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    match (i64::try_from(seconds), i32::try_from(rest)) {
        (Ok(seconds), Ok(rest)) => SignedDuration::new(seconds, rest),
        _ => SignedDuration::MAX,
    }
}
