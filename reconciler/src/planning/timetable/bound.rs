//! How long the budgets make any timetable at least, and which order comes closest to that.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use super::{Batch, paces, ramp};
use crate::planning::action::{Circuit, Pace};

/// Nanoseconds: of more hosts and time than there can be.
pub(super) type Nanos = i128;

pub(super) const MINUTE: Nanos = 60_000_000_000;

/// How long it takes at least from now until all hosts are off, whoever wakes them, though by budgets
/// that let a whole minute's wakes happen at once. What is on already and when batches close does not
/// count.
///
/// It is the most that any circuit asks for: the time until the last of its hosts may be woken, or the last
/// of those that take long, and the time in which all of them can have been on (`ramp`).
#[must_use]
pub fn lower_bound(now: Timestamp, batches: &[Batch<'_>]) -> SignedDuration {
    let paces = paces(batches);
    let mut longest = 0;
    for (circuit, pace) in &paces {
        let mut on: Vec<&Batch<'_>> = batches
            .iter()
            .filter(|batch| batch.hosts > 0 && hangs_on(batch, circuit))
            .collect();
        if on.is_empty() {
            continue;
        }
        let alone = on.iter().map(|batch| Demand::of(now, [*batch]));
        let alone = alone.map(|demand| demand.takes(*pace)).max().unwrap_or(0);
        let begins = Demand::of(now, on.iter().copied()).begins;
        let ramp = ramp::takes(*pace, &on, &paces);
        longest = longest.max(alone).max(ramp.saturating_add(begins));
        on.sort_by_key(|batch| Reverse(batch.each));
        let mut long = Demand::NONE;
        for batch in on {
            long.add(now, batch);
            longest = longest.max(long.takes(*pace));
        }
    }
    let alone = batches.iter().map(|batch| Demand::of(now, [batch]));
    let free = alone.map(|demand| demand.takes(Pace::UNBOUNDED));
    duration(free.fold(longest, Nanos::max))
}

/// Puts batches of equal priority into the order by which all are through soonest: first the room on
/// whose own circuits, those that not all rooms share, most is still to do. Of equal ones the first stays
/// first.
pub fn longest_first(now: Timestamp, batches: &mut [Batch<'_>]) {
    let mut longest = vec![0; batches.len()];
    for (circuit, pace) in paces(batches) {
        if is_shared(batches, circuit) {
            continue;
        }
        let on: Vec<bool> = batches
            .iter()
            .map(|batch| hangs_on(batch, circuit))
            .collect();
        let mut rest = Demand::NONE;
        for ((batch, on), longest) in batches.iter().zip(on).zip(&mut longest).rev() {
            if on {
                rest.add(now, batch);
                *longest = rest.takes(pace).max(*longest);
            }
        }
    }
    let mut places: Vec<_> = batches.iter().copied().zip(longest).collect();
    places.sort_by_key(|(_, longest)| Reverse(*longest));
    for (batch, (sorted, _)) in batches.iter_mut().zip(places) {
        *batch = sorted;
    }
}

/// Whether all of several batches hang on a circuit.
pub(super) fn is_shared(batches: &[Batch<'_>], circuit: &Circuit) -> bool {
    batches.len() > 1 && batches.iter().all(|batch| hangs_on(batch, circuit))
}

fn hangs_on(batch: &Batch<'_>, circuit: &Circuit) -> bool {
    batch.circuits.iter().any(|(named, _)| named == circuit)
}

/// What some batches ask of a circuit.
pub(super) struct Demand {
    hosts: usize,
    /// The time of all hosts together.
    work: Nanos,
    /// The time of the host that takes least.
    shortest: Nanos,
    /// When the first may be woken, since now.
    begins: Nanos,
}

impl Demand {
    pub(super) const NONE: Self = Self {
        hosts: 0,
        work: 0,
        shortest: Nanos::MAX,
        begins: Nanos::MAX,
    };

    pub(super) fn of<'a>(now: Timestamp, batches: impl IntoIterator<Item = &'a Batch<'a>>) -> Self {
        let mut all = Self::NONE;
        batches.into_iter().for_each(|batch| all.add(now, batch));
        all
    }

    fn add(&mut self, now: Timestamp, batch: &Batch<'_>) {
        if batch.hosts == 0 {
            return;
        }
        let each = batch.each.as_nanos().max(0);
        let hosts = Nanos::try_from(batch.hosts).unwrap_or(Nanos::MAX);
        let begins = batch.not_before.duration_since(now).as_nanos().max(0);
        self.hosts = self.hosts.saturating_add(batch.hosts);
        self.work = self.work.saturating_add(each.saturating_mul(hosts));
        self.shortest = self.shortest.min(each);
        self.begins = self.begins.min(begins);
    }

    /// The same of hosts that may be woken at once: when they may is no time that they take.
    pub(super) const fn begun(self) -> Self {
        Self { begins: 0, ..self }
    }

    /// Takes out so many hosts of a batch. The host that takes least is thought to be still there.
    pub(super) fn remove(&mut self, batch: &Batch<'_>, hosts: usize) {
        let each = batch.each.as_nanos().max(0);
        let count = Nanos::try_from(hosts).unwrap_or(Nanos::MAX);
        self.hosts = self.hosts.saturating_sub(hosts);
        self.work = self.work.saturating_sub(each.saturating_mul(count)).max(0);
    }

    /// How long it takes until the last host is off.
    pub(super) fn takes(&self, pace: Pace) -> Nanos {
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
        let takes = last_off.max(self.shared(on, woken));
        takes.saturating_add(self.begins)
    }

    /// How long it takes until all work is done: in the first minutes no more are on than were woken.
    fn shared(&self, on: Nanos, woken: Nanos) -> Nanos {
        let minutes = on / woken;
        let begun = (minutes * (minutes + 1) / 2).saturating_mul(woken.saturating_mul(MINUTE));
        match self.work.checked_sub(begun) {
            Some(rest) if rest >= 0 => (minutes * MINUTE).saturating_add(rest / on),
            _ => self.work / on,
        }
    }
}

fn duration(nanos: Nanos) -> SignedDuration {
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    match (i64::try_from(seconds), i32::try_from(rest)) {
        (Ok(seconds), Ok(rest)) => SignedDuration::new(seconds, rest),
        _ => SignedDuration::MAX,
    }
}
