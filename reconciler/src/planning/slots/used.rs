//! How much of the line is granted at each instant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::units::Rate;

/// Bits per second, from each instant to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Used(BTreeMap<Timestamp, u64>);

impl Used {
    /// How much is granted at an instant.
    pub(super) fn at(&self, at: Timestamp) -> u64 {
        self.0.range(..=at).next_back().map_or(0, |(_, bits)| *bits)
    }

    /// The most that is granted at any time from one instant until before another.
    pub(super) fn most(&self, from: Timestamp, until: Timestamp) -> u64 {
        let later = self.0.range(from..until.max(from));
        later.map(|(_, bits)| *bits).fold(self.at(from), u64::max)
    }

    /// When what is granted changes next.
    pub(super) fn changes_after(&self, at: Timestamp) -> Option<Timestamp> {
        use std::ops::Bound::{Excluded, Unbounded};
        let next = self.0.range((Excluded(at), Unbounded)).next();
        next.map(|(at, _)| *at)
    }

    /// Grants some more from one instant until another.
    pub(super) fn add(&mut self, from: Timestamp, until: Timestamp, rate: Rate) {
        if until <= from {
            return;
        }
        for edge in [from, until] {
            let bits = self.at(edge);
            self.0.entry(edge).or_insert(bits);
        }
        for (_, bits) in self.0.range_mut(from..until) {
            *bits = bits.saturating_add(rate.bits());
        }
    }
}
