//! How fast hosts are woken and how many are on, over all rooms that are reset side by side.
//!
//! # Invariants
//!
//! A host is admitted when every circuit of its room bears one more, and when its turn to be woken has
//! come on each of them. It counts as on from then until it is known to be off, or for as long as it may
//! still be on. Between two wakes on a circuit lies at least a minute divided by its pace, also when a
//! turn came to nothing. Of several rooms the one with most hosts to wake is served first, as in the
//! timetable, and of its hosts whoever asked first; whoever waits for a circuit of its own does not keep
//! others from theirs, and nobody is overtaken for ever.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schema::name::HostName;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::planning::action::{Circuit, Pace};

/// How long to sleep when only another host can end the wait.
const LONG: Duration = Duration::from_secs(3600);

/// The circuits of a server, and which hosts are on.
#[derive(Debug, Default)]
pub struct Circuits {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Who asked, by the order in which they did, and who is on.
    entries: BTreeMap<u64, Entry>,
    /// When the next host may be admitted to be woken, and when the next packet may be sent.
    turns: BTreeMap<Circuit, Instant>,
    packets: BTreeMap<Circuit, Instant>,
    last_id: u64,
    /// When a look through the entries may find something new, if nothing changes.
    next_look: Option<Instant>,
}

/// Some hosts of one room.
#[derive(Debug)]
struct Entry {
    hosts: BTreeSet<HostName>,
    circuits: Vec<(Circuit, Pace)>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// They wait, and are to be woken: the spread of their wakes.
    Asleep(Duration),
    /// They wait, and are on already.
    Awake,
    /// They are at work.
    Working,
    /// They may still be on, until then at the latest.
    Left(Instant),
    /// They were on at the last look, by no doing of this pass; what goes on for longer counts no more.
    Seen(Instant),
}

/// The right of some hosts to be on. What is left of it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    circuits: &'a Circuits,
    id: u64,
}

impl Circuits {
    /// Waits until one more host may be on. One that is asleep has its turn to be woken then.
    pub(super) async fn place(
        &self,
        host: &HostName,
        circuits: &[(Circuit, Pace)],
        asleep: bool,
    ) -> Place<'_> {
        let stage = if asleep {
            Stage::Asleep(spread(circuits))
        } else {
            Stage::Awake
        };
        self.admit([host.clone()].into(), circuits, stage).await
    }

    /// Waits until several hosts may be on, and may be woken with so much time between two of them.
    pub(super) async fn places(
        &self,
        hosts: BTreeSet<HostName>,
        circuits: &[(Circuit, Pace)],
        between: Duration,
    ) -> Place<'_> {
        self.admit(hosts, circuits, Stage::Asleep(between)).await
    }

    /// How many hosts these circuits bear at once besides those of which nobody knows when they go off; at
    /// least one.
    pub(super) fn spare(&self, circuits: &[(Circuit, Pace)]) -> usize {
        let state = self.state();
        let left = |circuit: &Circuit| {
            let left = state.entries.values().filter(|entry| {
                matches!(entry.stage, Stage::Left(_) | Stage::Seen(_))
                    && entry.circuits.iter().any(|(of, _)| of == circuit)
            });
            left.count()
        };
        let spare = circuits.iter().map(|(circuit, pace)| {
            let most = usize::try_from(pace.on_at_once).unwrap_or(usize::MAX);
            most.saturating_sub(left(circuit))
        });
        spare.min().unwrap_or(usize::MAX).max(1)
    }

    /// Notes that a host that nobody asked for is or may be on for so long.
    pub(super) fn note(&self, host: &HostName, circuits: &[(Circuit, Pace)], lasts: Duration) {
        let mut state = self.state();
        state.forget(host);
        let stage = Stage::Left(Instant::now() + lasts);
        state.add([host.clone()].into(), circuits, stage);
        drop(state);
        self.changed();
    }

    /// Notes which hosts were on at a look though nobody of this pass had begun to work on them, and for how long
    /// they count. Those `at_work` count until whoever works on them asks for their places.
    pub fn seen_on(
        &self,
        hosts: impl IntoIterator<Item = (HostName, Vec<(Circuit, Pace)>)>,
        at_work: &BTreeSet<HostName>,
        lasts: Duration,
    ) {
        let hosts: BTreeMap<_, _> = hosts.into_iter().collect();
        let mut state = self.state();
        state.entries.retain(|_, entry| {
            let is_on = |host| hosts.contains_key(host) || at_work.contains(host);
            !matches!(entry.stage, Stage::Seen(_)) || entry.hosts.iter().any(is_on)
        });
        for (host, circuits) in hosts {
            let is_known = |entry: &Entry| entry.hosts.contains(&host);
            if !state.entries.values().any(is_known) {
                let stage = Stage::Seen(Instant::now() + lasts);
                state.add([host].into(), &circuits, stage);
            }
        }
        drop(state);
        self.changed();
    }

    async fn admit(
        &self,
        hosts: BTreeSet<HostName>,
        circuits: &[(Circuit, Pace)],
        stage: Stage,
    ) -> Place<'_> {
        let id = {
            let mut state = self.state();
            for host in &hosts {
                state.forget(host);
            }
            state.add(hosts, circuits, stage)
        };
        // From here on the entry goes when whoever asked gives up.
        let place = Place { circuits: self, id };
        self.changed();
        loop {
            let changed = self.changed.notified();
            let next_look = {
                let mut state = self.state();
                let now = Instant::now();
                if state.next_look.is_none_or(|next| next <= now) {
                    let admitted = state.look(now);
                    if admitted {
                        self.changed.notify_waiters();
                    }
                }
                if state.is_working(id) {
                    return place;
                }
                state.next_look.unwrap_or(now + LONG)
            };
            tokio::select! {
                () = changed => {}
                () = sleep_until(next_look) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The counts are made anew at each look, so that there is nothing that could be half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is other than at the last look.
    fn changed(&self) {
        self.state().next_look = None;
        self.changed.notify_waiters();
    }
}

impl State {
    fn add(
        &mut self,
        hosts: BTreeSet<HostName>,
        circuits: &[(Circuit, Pace)],
        stage: Stage,
    ) -> u64 {
        self.last_id += 1;
        let circuits = circuits.to_vec();
        let entry = Entry {
            hosts,
            circuits,
            stage,
        };
        self.entries.insert(self.last_id, entry);
        self.last_id
    }

    fn is_working(&self, id: u64) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| entry.stage == Stage::Working)
    }

    /// Forgets what was left of a host: more is known of it now.
    fn forget(&mut self, host: &HostName) {
        self.entries.retain(|_, entry| {
            !(matches!(entry.stage, Stage::Left(_) | Stage::Seen(_)) && entry.hosts.contains(host))
        });
    }

    /// All entries in the order in which they are served. Rooms with the same circuits count as one.
    fn in_turn(&self) -> Vec<u64> {
        let waits = |entry: &&Entry| matches!(entry.stage, Stage::Asleep(_));
        let mut waiting: BTreeMap<&[(Circuit, Pace)], usize> = BTreeMap::new();
        for entry in self.entries.values().filter(waits) {
            *waiting.entry(&entry.circuits).or_default() += entry.hosts.len();
        }
        let rank = |entry: &Entry| {
            let most = || waiting.get(entry.circuits.as_slice()).copied().unwrap_or(0);
            waits(&entry).then(|| Reverse(most()))
        };
        let mut all: Vec<_> = self.entries.iter().collect();
        // Who is on already waits for nobody who sleeps.
        all.sort_by_cached_key(|(_, entry)| rank(entry));
        all.into_iter().map(|(id, _)| *id).collect()
    }

    /// Admits whom the circuits bear. Whether anybody was.
    fn look(&mut self, now: Instant) -> bool {
        self.entries
            .retain(|_, entry| !matches!(entry.stage, Stage::Left(until) if until <= now));
        let mut load = Load::of(&self.entries, now);
        let mut next = None;
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |next: Instant| next.min(at)));
        let mut any = false;
        for id in self.in_turn() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            match entry.stage {
                Stage::Asleep(_) | Stage::Awake => {}
                Stage::Working => continue,
                Stage::Left(until) | Stage::Seen(until) => {
                    if until > now {
                        sooner(until);
                    }
                    continue;
                }
            }
            if !load.bears(entry) {
                continue;
            }
            if let Stage::Asleep(between) = entry.stage {
                let turn = entry
                    .circuits
                    .iter()
                    .filter_map(|(of, _)| self.turns.get(of));
                if let Some(turn) = turn.max().filter(|turn| **turn > now) {
                    sooner(*turn);
                    continue;
                }
                let count = u32::try_from(entry.hosts.len()).unwrap_or(u32::MAX);
                let last = between.saturating_mul(count.saturating_sub(1));
                for (circuit, pace) in &entry.circuits {
                    self.turns
                        .insert(circuit.clone(), now + last + interval(*pace));
                }
            }
            load.take(entry);
            entry.stage = Stage::Working;
            any = true;
        }
        self.next_look = Some(next.unwrap_or(now + LONG));
        any
    }
}

/// What hangs on each circuit, during one look through the entries.
#[derive(Default)]
struct Load {
    on: BTreeMap<Circuit, usize>,
    working: BTreeMap<Circuit, usize>,
    /// Circuits for which an earlier one waits: later ones do not take what it needs. Whether it is on
    /// already makes two queues of them, since those that sleep wait for those that are on.
    closed: BTreeSet<(bool, Circuit)>,
    keeps_places: bool,
}

impl Load {
    fn of(entries: &BTreeMap<u64, Entry>, now: Instant) -> Self {
        let mut load = Self::default();
        for entry in entries.values() {
            let (on, working) = match entry.stage {
                Stage::Asleep(_) => (0, 0),
                Stage::Seen(until) if until <= now => (0, 0),
                Stage::Awake | Stage::Left(_) | Stage::Seen(_) => (entry.hosts.len(), 0),
                Stage::Working => (entry.hosts.len(), entry.hosts.len()),
            };
            for (circuit, _) in &entry.circuits {
                *load.on.entry(circuit.clone()).or_default() += on;
                *load.working.entry(circuit.clone()).or_default() += working;
            }
        }
        load
    }

    /// Whether every circuit of an entry bears it. Those that do not are closed to later ones.
    fn bears(&mut self, entry: &Entry) -> bool {
        let count = entry.hosts.len();
        let is_full = |circuit: &Circuit, pace: &Pace| {
            let counts = if entry.stage == Stage::Awake {
                &self.working
            } else {
                &self.on
            };
            let taken = counts.get(circuit).copied().unwrap_or(0);
            let most = usize::try_from(pace.on_at_once.max(1)).unwrap_or(usize::MAX);
            // What alone is more than a circuit bears would wait for ever.
            taken > 0 && taken.saturating_add(count) > most
        };
        let is_on = entry.stage == Stage::Awake;
        let full: Vec<(bool, Circuit)> = entry
            .circuits
            .iter()
            .map(|(circuit, pace)| (pace, (is_on, circuit.clone())))
            .filter(|(pace, key)| is_full(&key.1, pace) || self.closed.contains(key))
            .map(|(_, key)| key)
            .collect();
        if full.is_empty() {
            return true;
        }
        // A host that goes off frees its room, group and school together, so that the next in line comes
        // in by itself. Loading cuts across: the first that waits for it alone keeps its other places.
        if full == [(is_on, Circuit::Loading)] && !self.keeps_places {
            self.keeps_places = true;
            self.count(entry, &[Circuit::Loading]);
        }
        self.closed.extend(full);
        false
    }

    fn take(&mut self, entry: &Entry) {
        self.count(entry, &[]);
    }

    fn count(&mut self, entry: &Entry, but: &[Circuit]) {
        let is_on = entry.stage == Stage::Awake;
        for (circuit, _) in &entry.circuits {
            if but.contains(circuit) {
                continue;
            }
            *self.working.entry(circuit.clone()).or_default() += entry.hosts.len();
            if !is_on {
                *self.on.entry(circuit.clone()).or_default() += entry.hosts.len();
            }
        }
    }
}

impl Place<'_> {
    /// Waits until a packet may be sent, right before it is: looks lie between the turn of a host and its
    /// packet, and take now longer, now shorter.
    pub(super) async fn packet(&self) {
        loop {
            let at = {
                let mut state = self.circuits.state();
                let now = Instant::now();
                let State {
                    entries, packets, ..
                } = &mut *state;
                let Some(entry) = entries.get(&self.id) else {
                    return;
                };
                let times = entry.circuits.iter().filter_map(|(of, _)| packets.get(of));
                match times.max().filter(|at| **at > now) {
                    Some(at) => *at,
                    None => {
                        for (circuit, pace) in &entry.circuits {
                            packets.insert(circuit.clone(), now + interval(*pace));
                        }
                        return;
                    }
                }
            };
            sleep_until(at).await;
        }
    }

    /// A host is off.
    pub(super) fn off(&self, host: &HostName) {
        if let Some(entry) = self.circuits.state().entries.get_mut(&self.id) {
            entry.hosts.remove(host);
        }
        self.circuits.changed();
    }

    /// A host may still be on for so long.
    pub(super) fn left(&self, host: &HostName, lasts: Duration) {
        let mut state = self.circuits.state();
        let circuits = state
            .entries
            .get_mut(&self.id)
            .and_then(|entry| entry.hosts.remove(host).then(|| entry.circuits.clone()));
        if let Some(circuits) = circuits {
            let stage = Stage::Left(Instant::now() + lasts);
            state.add([host.clone()].into(), &circuits, stage);
        }
        drop(state);
        self.circuits.changed();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.circuits.state().entries.remove(&self.id);
        self.circuits.changed();
    }
}

/// Time between two wakes.
fn interval(pace: Pace) -> Duration {
    Duration::from_secs(60) / pace.wake_per_minute.max(1)
}

/// Time between two wakes that all of these circuits bear.
fn spread(circuits: &[(Circuit, Pace)]) -> Duration {
    let intervals = circuits.iter().map(|(_, pace)| interval(*pace));
    intervals.max().unwrap_or_default()
}

/// Whole seconds between two wakes, at least one: for tools that know no finer pace. Rounded up, so
/// that every budget holds.
#[must_use]
pub(super) fn seconds_between_wakes(circuits: &[(Circuit, Pace)]) -> u64 {
    let paces = circuits.iter().map(|(_, pace)| pace.wake_per_minute);
    60_u64.div_ceil(u64::from(paces.min().unwrap_or(u32::MAX).max(1)))
}

#[cfg(test)]
mod tests;
