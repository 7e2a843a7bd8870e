//! One circuit while a timetable is made: who is on, who was woken lately, when it has room again.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::{Past, Peak, after};
use crate::planning::action::Pace;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A circuit. Time on it goes forward only: hosts are woken in order of time.
#[derive(Debug)]
pub(super) struct Load {
    on_at_once: usize,
    per_minute: usize,
    /// Time between two wakes.
    interval: SignedDuration,
    /// When those that are on are off.
    offs: BinaryHeap<Reverse<Timestamp>>,
    /// The latest wakes, at most those of a minute.
    wakes: VecDeque<Timestamp>,
    opens: Timestamp,
    peak: Peak,
}

impl Load {
    pub(super) fn new(now: Timestamp, pace: Pace, past: &Past) -> Self {
        let per_minute = pace.wake_per_minute.max(1);
        let interval = 60_000_000_000_u64.div_ceil(u64::from(per_minute));
        let is_bounded = per_minute < u32::MAX;
        let offs = past.offs.iter().filter(|off| **off > now);
        let offs: BinaryHeap<_> = offs.copied().map(Reverse).collect();
        let mut wakes: Vec<_> = past.wakes.iter().map(|at| *at.min(&now)).collect();
        wakes.sort_unstable();
        let mut load = Self {
            on_at_once: places(pace.on_at_once),
            per_minute: if is_bounded { places(per_minute) } else { 0 },
            interval: SignedDuration::from_nanos(i64::try_from(interval).unwrap_or(i64::MAX)),
            peak: Peak {
                hosts: offs.len(),
                at: now,
            },
            offs,
            wakes: wakes.into(),
            opens: now,
        };
        load.settle();
        load
    }

    /// When the next host may be woken.
    pub(super) fn opens(&self) -> Timestamp {
        self.opens
    }

    pub(super) fn peak(&self) -> Peak {
        self.peak
    }

    /// Wakes a host, not before it opens.
    pub(super) fn wake(&mut self, at: Timestamp, off: Timestamp) {
        while self.offs.peek().is_some_and(|Reverse(off)| *off <= at) {
            self.offs.pop();
        }
        if off > at {
            self.offs.push(Reverse(off));
        }
        if self.offs.len() > self.peak.hosts {
            self.peak = Peak {
                hosts: self.offs.len(),
                at,
            };
        }
        self.wakes.push_back(at);
        self.settle();
    }

    /// Finds out when it opens.
    fn settle(&mut self) {
        // Nobody is woken until enough are off, so they need not be counted any more.
        while self.offs.len() >= self.on_at_once {
            let Some(Reverse(off)) = self.offs.pop() else {
                break;
            };
            self.opens = self.opens.max(off);
        }
        while self.wakes.len() > self.per_minute {
            self.wakes.pop_front();
        }
        if let Some(last) = self.wakes.back() {
            self.opens = self.opens.max(after(*last, self.interval));
        }
        // Wakes of this timetable are a minute apart by then; those of others may have come at once.
        if let Some(first) = self.wakes.front()
            && self.wakes.len() == self.per_minute
        {
            self.opens = self.opens.max(after(*first, MINUTE));
        }
    }
}

fn places(bound: u32) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}
