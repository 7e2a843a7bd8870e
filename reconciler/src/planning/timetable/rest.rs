//! What is still to do on a circuit while a timetable is made, and how long that takes at least.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Batch;
pub(super) use super::bound::Nanos;
use super::bound::{Demand, is_shared};
use crate::planning::action::{Circuit, Pace};

/// The hosts of one circuit that are still to be woken.
pub(super) struct Rest {
    demand: Demand,
    pace: Pace,
    /// How long it takes until the last of them is off.
    takes: Nanos,
}

/// What is to do on each circuit, in their order. On circuits that all rooms share there is nothing: they
/// tell no room from another.
pub(super) fn all(
    now: Timestamp,
    batches: &[Batch<'_>],
    paces: &BTreeMap<&Circuit, Pace>,
) -> Vec<Rest> {
    let rest = |(circuit, pace): (&&Circuit, &Pace)| {
        let hangs_on =
            |batch: &&Batch<'_>| batch.circuits.iter().any(|(named, _)| named == *circuit);
        let demand = if is_shared(batches, circuit) {
            Demand::NONE
        } else {
            Demand::of(now, batches.iter().filter(hangs_on)).begun()
        };
        Rest::new(demand, *pace)
    };
    paces.iter().map(rest).collect()
}

/// When a room on these circuits is through at the earliest that begins at `at`, since `now`.
pub(super) fn ends(now: Timestamp, at: Timestamp, circuits: &[usize], rests: &[Rest]) -> Nanos {
    let rests = circuits.iter().filter_map(|place| rests.get(*place));
    let takes = rests.map(|rest| rest.takes).max().unwrap_or(0);
    takes.saturating_add(at.duration_since(now).as_nanos())
}

impl Rest {
    fn new(demand: Demand, pace: Pace) -> Self {
        let takes = demand.takes(pace);
        Self {
            demand,
            pace,
            takes,
        }
    }

    /// So many hosts of a batch are woken or left out.
    pub(super) fn remove(&mut self, batch: &Batch<'_>, hosts: usize) {
        self.demand.remove(batch, hosts);
        self.takes = self.demand.takes(self.pace);
    }
}
