//! When the hosts of several rooms are woken and off again, within all budgets.
//!
//! # Invariants
//!
//! - On no circuit are more hosts on at any instant than it bears, nor more woken in any minute, those
//!   of earlier passes included. Wakes of one circuit lie evenly apart.
//! - At each instant that host is woken whose circuits all have room: of several, one of a room that has
//!   begun, so that rooms are through quickly, of several of those one of the room with most hosts to
//!   wake, and else one of the room that comes first. No host waits while all of its circuits have room.
//! - Each host of each batch is woken once or counted as left out.
//!
//! The last host of a room waits only while one of its circuits is full or was just used. So where each
//! hangs on `n` circuits, all are off after at most `2n + 1` times what any timetable takes
//! ([`lower_bound`]) and `n` minutes.
//!
//! Rooms that begin last are slow alone where their own circuits bear less than their hosts need: the
//! others' share of the school lies idle then. So a timetable may have a *target*: a room that could not
//! be through by then, did it begin any later, goes with those that have begun. [`shortest`] tries a few
//! targets, and comes within a tenth of [`lower_bound`] for most schools, rooms of equal priority
//! being in the order of [`longest_first`].

mod bound;
mod load;
mod ramp;
mod rest;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schema::name::RoomName;
use serde::Serialize;

use crate::planning::action::{Circuit, Pace};
pub use bound::{longest_first, lower_bound};
use load::Load;
use rest::{Nanos, Rest};

/// Hosts of one room that are to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The room.
    pub room: &'a RoomName,
    /// How many hosts.
    pub hosts: usize,
    /// All circuits that each of them hangs on. Where batches differ about one, the least counts.
    pub circuits: &'a [(Circuit, Pace)],
    /// How long each is thought to be on, from its wake until it is off.
    pub each: SignedDuration,
    /// When the first may be woken.
    pub not_before: Timestamp,
    /// When all have to be off: those that would be off later are left out. None when nothing presses.
    pub closes: Option<Timestamp>,
}

/// Hosts that were woken before now: those that are on take room, and each wake counts for a minute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken(BTreeMap<Circuit, Past>);

/// What happened on one circuit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Past {
    wakes: Vec<Timestamp>,
    offs: Vec<Timestamp>,
}

/// When which rooms are at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Timetable {
    /// From when it counts.
    pub from: Timestamp,
    /// The rooms.
    pub rooms: BTreeMap<RoomName, Span>,
    /// The circuits.
    pub peaks: BTreeMap<Circuit, Peak>,
}

/// When one room is at work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Span {
    /// When each of its hosts is woken, in order.
    pub wakes: Vec<Timestamp>,
    /// When the last of them is off; none when none is woken.
    pub off: Option<Timestamp>,
    /// How many of its hosts are not woken, since they would not be off in time or wait for hosts that
    /// are never off.
    pub left_out: usize,
}

/// When most hosts are on, on one circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// How many, those taken before included.
    pub hosts: usize,
    /// Since when, for the first time.
    pub at: Timestamp,
}

impl Taken {
    /// Adds a host: when it was woken, where that is known, and when it is thought to be off, which is
    /// [`Timestamp::MAX`] for one that stays on. A wake later than now, by a clock that was put back, is
    /// taken for one of now.
    pub fn add<'a>(
        &mut self,
        circuits: impl IntoIterator<Item = &'a Circuit>,
        woken: Option<Timestamp>,
        off: Timestamp,
    ) {
        for circuit in circuits {
            let past = self.0.entry(circuit.clone()).or_default();
            past.wakes.extend(woken);
            past.offs.push(off);
        }
    }
}

impl Timetable {
    /// Whether all hosts of the room's batches are woken, and off by then.
    #[must_use]
    pub fn fits(&self, room: &RoomName, closes: Timestamp) -> bool {
        self.rooms
            .get(room)
            .is_some_and(|span| span.left_out == 0 && span.off.is_none_or(|off| off <= closes))
    }

    /// How long it takes until the last host is off, as far as hosts are woken.
    #[must_use]
    pub fn makespan(&self) -> SignedDuration {
        let off = self.rooms.values().filter_map(|span| span.off).max();
        off.map_or(SignedDuration::ZERO, |off| off.duration_since(self.from))
    }

    /// Whether no room leaves out more hosts than in another timetable of the same rooms.
    fn leaves_out_no_more_than(&self, other: &Self) -> bool {
        let mut pairs = self.rooms.values().zip(other.rooms.values());
        pairs.all(|(own, other)| own.left_out <= other.left_out)
    }
}

impl Span {
    /// When its first host is woken.
    #[must_use]
    pub fn first_wake(&self) -> Option<Timestamp> {
        self.wakes.first().copied()
    }

    fn wake(&mut self, at: Timestamp, off: Timestamp) {
        self.wakes.push(at);
        self.off = self.off.max(Some(off));
    }

    /// Takes in the span of another batch of the same room.
    fn join(&mut self, other: Self) {
        self.wakes.extend(other.wakes);
        self.wakes.sort_unstable();
        self.off = self.off.max(other.off);
        self.left_out = self.left_out.saturating_add(other.left_out);
    }
}

/// A batch on its way.
struct Queue<'a> {
    batch: &'a Batch<'a>,
    span: Span,
    waiting: usize,
}

/// Batches whose hosts may always be woken at the same instants: one is through before the next one begins.
struct Lane {
    /// The circuits, as places in the list of loads.
    circuits: Vec<usize>,
    not_before: Timestamp,
    /// The queues that are not through, by their places, last first.
    queues: Vec<usize>,
}

impl Lane {
    /// The lanes of all batches.
    fn all(batches: &[Batch<'_>], paces: &BTreeMap<&Circuit, Pace>) -> Vec<Self> {
        let mut lanes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, batch) in batches.iter().enumerate().rev() {
            let lane = (places(batch, paces), batch.not_before);
            lanes.entry(lane).or_default().push(place);
        }
        let lanes = lanes.into_iter();
        lanes
            .map(|((circuits, not_before), queues)| Self {
                circuits,
                not_before,
                queues,
            })
            .collect()
    }

    /// When its next host may be woken.
    fn opens(&self, loads: &[Load]) -> Timestamp {
        let circuits = self.circuits.iter().filter_map(|place| loads.get(*place));
        circuits
            .map(Load::opens)
            .fold(self.not_before, Timestamp::max)
    }
}

/// Targets that are tried, in percent of the lower bound: the later, the more rooms stay together.
const TARGETS: [i32; 4] = [100, 75, 50, 0];
/// A timetable that takes no more percent of the lower bound than this is short enough.
const SHORT_ENOUGH: i32 = 105;

/// The timetable of [`timetable`], or one with a target by which all are off earlier, if there is one for
/// which no room leaves out more hosts. It depends on nothing but its arguments.
pub fn shortest(now: Timestamp, taken: &Taken, batches: &[Batch<'_>]) -> Timetable {
    let bound = lower_bound(now, batches);
    let share = |percent: i32| bound.checked_mul(percent).map(|share| share / 100);
    let mut best = timetable(now, taken, batches);
    for percent in TARGETS {
        if share(SHORT_ENOUGH).is_none_or(|enough| best.makespan() <= enough) {
            break;
        }
        let Some(target) = share(percent) else {
            break;
        };
        let other = with_target(now, taken, batches, target.as_nanos());
        if other.makespan() < best.makespan() && other.leaves_out_no_more_than(&best) {
            best = other;
        }
    }
    best
}

/// Wakes all hosts as early as the budgets allow, earlier batches first. Its time grows with the number
/// of hosts times the number of sets of circuits that batches hang on.
pub fn timetable(now: Timestamp, taken: &Taken, batches: &[Batch<'_>]) -> Timetable {
    with_target(now, taken, batches, Nanos::MAX)
}

/// A timetable in which rooms that could not be through by `target`, counted from now, go with those that
/// have begun.
fn with_target(now: Timestamp, taken: &Taken, batches: &[Batch<'_>], target: Nanos) -> Timetable {
    let paces = paces(batches);
    let mut rests = if target == Nanos::MAX {
        Vec::new()
    } else {
        rest::all(now, batches, &paces)
    };
    let nothing = Past::default();
    let load = |(circuit, pace): (&&Circuit, &Pace)| {
        Load::new(now, *pace, taken.0.get(circuit).unwrap_or(&nothing))
    };
    let mut loads: Vec<Load> = paces.iter().map(load).collect();
    let queue = |batch| Queue {
        batch,
        span: Span::default(),
        waiting: batch.hosts,
    };
    let mut queues: Vec<Queue<'_>> = batches.iter().map(queue).collect();
    let mut lanes = Lane::all(batches, &paces);
    let is_urgent = |at: Timestamp, lane: &Lane, rests: &[Rest]| {
        rest::ends(now, at, &lane.circuits, rests) > target
    };
    while let Some((at, place, lane)) = next(now, &mut lanes, &queues, &loads, |at, lane| {
        is_urgent(at, lane, &rests)
    }) {
        let (Some(queue), Some(lane)) = (queues.get_mut(place), lanes.get(lane)) else {
            break;
        };
        let off = after(at, queue.batch.each.max(SignedDuration::ZERO));
        // A circuit never opens earlier again: what is too late now stays so.
        if at == Timestamp::MAX || queue.batch.closes.is_some_and(|closes| off > closes) {
            queue.span.left_out = std::mem::take(&mut queue.waiting);
            for circuit in &lane.circuits {
                if let Some(rest) = rests.get_mut(*circuit) {
                    rest.remove(queue.batch, queue.span.left_out);
                }
            }
            continue;
        }
        for circuit in &lane.circuits {
            if let Some(load) = loads.get_mut(*circuit) {
                load.wake(at, off);
            }
            if let Some(rest) = rests.get_mut(*circuit) {
                rest.remove(queue.batch, 1);
            }
        }
        queue.span.wake(at, off);
        queue.waiting -= 1;
    }
    let mut rooms: BTreeMap<_, Span> = BTreeMap::new();
    for queue in queues {
        let room = rooms.entry(queue.batch.room.clone()).or_default();
        room.join(queue.span);
    }
    let peaks = paces.into_keys().cloned();
    Timetable {
        from: now,
        rooms,
        peaks: peaks.zip(loads.iter().map(Load::peak)).collect(),
    }
}

/// When the next host is woken, of which queue and in which lane.
fn next(
    now: Timestamp,
    lanes: &mut [Lane],
    queues: &[Queue<'_>],
    loads: &[Load],
    is_urgent: impl Fn(Timestamp, &Lane) -> bool,
) -> Option<(Timestamp, usize, usize)> {
    let waits = |place: &usize| queues.get(*place).filter(|queue| queue.waiting > 0);
    let mut first: Option<(Timestamp, bool, Reverse<usize>, usize, usize)> = None;
    for (number, lane) in lanes.iter_mut().enumerate() {
        while lane.queues.pop_if(|place| waits(place).is_none()).is_some() {}
        let Some((place, queue)) = lane
            .queues
            .last()
            .and_then(|place| Some((*place, waits(place)?)))
        else {
            continue;
        };
        let at = lane.opens(loads).max(now);
        if first.is_some_and(|(earliest, ..)| earliest < at) {
            continue;
        }
        let goes_on = !queue.span.wakes.is_empty() || is_urgent(at, lane);
        let waiting = if goes_on { queue.waiting } else { 0 };
        let ranked = (at, !goes_on, Reverse(waiting), place, number);
        first = Some(first.map_or(ranked, |first| first.min(ranked)));
    }
    first.map(|(at, _, _, place, lane)| (at, place, lane))
}

/// What each circuit bears.
fn paces<'a>(batches: &'a [Batch<'_>]) -> BTreeMap<&'a Circuit, Pace> {
    let mut paces: BTreeMap<_, Pace> = BTreeMap::new();
    for (circuit, pace) in batches.iter().flat_map(|batch| batch.circuits) {
        let least = paces.entry(circuit).or_insert(*pace);
        least.wake_per_minute = least.wake_per_minute.min(pace.wake_per_minute).max(1);
        least.on_at_once = least.on_at_once.min(pace.on_at_once).max(1);
    }
    paces
}

/// Where the circuits of a batch stand in the list of all, each once.
fn places(batch: &Batch<'_>, paces: &BTreeMap<&Circuit, Pace>) -> Vec<usize> {
    let is_named = |circuit: &Circuit| batch.circuits.iter().any(|(named, _)| named == circuit);
    let all = paces.keys().enumerate();
    all.filter_map(|(place, circuit)| is_named(circuit).then_some(place))
        .collect()
}

/// So much later, at most the end of time.
fn after(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.saturating_add(time).unwrap_or(Timestamp::MAX)
}
