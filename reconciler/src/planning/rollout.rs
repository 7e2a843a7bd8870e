//! Rollouts: in which waves the hosts of a school get the state of an image that lies in LINBO's folder.
//!
//! # Invariants
//!
//! A sync takes what the server has. So a host whose wave is closed is not reset at all, unless it has that state
//! already. Waves open one after the other; what opened one is remembered in the journal with the hosts, so that it
//! stays open. A host counts as served by its own word alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schema::fleet::{Canary, Rollout, Then, Waves};
use schema::name::{FileName, HostName, RoomName};
use schema::policy::Portion;
use schema::text::ImageStamp;
use serde::Serialize;

/// How a host stands to the state of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has it, since then.
    Has(Timestamp),
    /// It failed at its last try, since the state is there.
    Failed,
    /// It has been left alone since before the state came, or people want that: no wave waits for it.
    LeftAlone,
    /// It has another one, or that is not known.
    Lacks,
}

/// The state of an image that hosts are to get: its file and the timestamp in its `.info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The diff, or the base where there is none.
    pub file: &'a FileName,
    /// Its timestamp.
    pub stamp: &'a ImageStamp,
}

/// The rollout of one state of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    waves: Vec<Wave>,
    of_host: BTreeMap<HostName, Seat>,
    stopped: Option<Stopped>,
}

/// A host of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seat {
    wave: usize,
    /// Whether it has the state.
    has: bool,
}

/// Some hosts of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wave {
    /// When it opened, or will; none while the one before is not healthy.
    opens: Option<Timestamp>,
    has: usize,
    wanted: usize,
}

/// Why a rollout stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Hosts that failed.
    pub failed: usize,
    /// Hosts of all waves that are open.
    pub hosts: usize,
}

/// What a rollout lets a host do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has the state.
    Has,
    /// It may get the state, since then.
    Open(Timestamp),
    /// Its wave is closed.
    Closed(Closed),
    /// The rollout has stopped.
    Stopped(Stopped),
}

/// A wave that is closed, by what opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// Its number, from 1.
    pub wave: usize,
    /// How many there are.
    pub of: usize,
    /// Hosts of the wave before that have the state.
    pub has: usize,
    /// Hosts of the wave before that have to have it.
    pub wanted: usize,
    /// When it opens; none while too few have it.
    pub opens: Option<Timestamp>,
}

impl Progress {
    /// The rollout, as it stands `now`, of a state that lies on the server since `began`, to these rooms with their
    /// hosts in order.
    #[must_use]
    pub fn of(
        rollout: &Rollout,
        began: Timestamp,
        now: Timestamp,
        rooms: &BTreeMap<&RoomName, Vec<(&HostName, Standing)>>,
    ) -> Self {
        let parts = match &rollout.waves {
            Some(waves) => parts(waves, rooms),
            None => vec![rooms.values().flatten().copied().collect()],
        };
        let mut progress = Self {
            waves: Vec::new(),
            of_host: BTreeMap::new(),
            stopped: None,
        };
        let mut seats = Vec::new();
        let mut opens = Some(began);
        let (mut failed, mut open) = (0, 0);
        for (number, part) in parts.iter().enumerate() {
            let since: Vec<Timestamp> = part.iter().filter_map(|(_, host)| host.since()).collect();
            let counted = part
                .iter()
                .filter(|(_, host)| *host != Standing::LeftAlone)
                .count();
            let wanted = rollout.wanted(counted);
            let wave = Wave {
                opens,
                has: since.len(),
                // Without a host that tried it nothing is known of a state: the first wave proves it, or none follows.
                wanted: wanted.max(usize::from(number == 0)),
            };
            if number == 0 || opens.is_some_and(|opens| opens <= now) {
                open += part.len();
                failed += part
                    .iter()
                    .filter(|(_, host)| *host == Standing::Failed)
                    .count();
            }
            opens = opens.and_then(|opened| rollout.next(opened, &wave, since));
            progress.waves.push(wave);
            seats.extend(part.iter().map(|(host, standing)| {
                let has = standing.since().is_some();
                ((*host).clone(), Seat { wave: number, has })
            }));
        }
        progress.of_host = seats.into_iter().collect();
        let share = u64::from(rollout.stop_at_failures.get());
        // One host that is broken says nothing of the image.
        if failed > 1 && failed as u64 * 100 > open as u64 * share {
            progress.stopped = Some(Stopped {
                failed,
                hosts: open,
            });
        }
        progress
    }

    /// What the rollout lets a host do at `now`. A host that takes no part in it waits for nothing.
    #[must_use]
    pub fn turn(&self, host: &HostName, now: Timestamp) -> Turn {
        let seat = self.of_host.get(host);
        if seat.is_some_and(|seat| seat.has) {
            return Turn::Has;
        }
        if let Some(stopped) = self.stopped {
            return Turn::Stopped(stopped);
        }
        let number = seat.map_or(0, |seat| seat.wave);
        let Some(wave) = self.waves.get(number) else {
            return Turn::Has;
        };
        if let Some(opened) = wave.opens.filter(|opens| *opens <= now) {
            return Turn::Open(opened);
        }
        let closed = |number: usize, wave: &Wave, before: &Wave| Closed {
            wave: number + 1,
            of: self.waves.len(),
            has: before.has,
            wanted: before.wanted,
            opens: wave.opens,
        };
        // The first closed wave is what all behind it wait for, each for the one before.
        let before = number.checked_sub(1).and_then(|at| self.waves.get(at));
        before.map_or(Turn::Open(now), |before| {
            Turn::Closed(closed(number, wave, before))
        })
    }
}

impl Standing {
    const fn since(self) -> Option<Timestamp> {
        match self {
            Self::Has(since) => Some(since),
            Self::Failed | Self::LeftAlone | Self::Lacks => None,
        }
    }
}

/// What a school's settings say of a wave.
trait Rules {
    /// How many of so many hosts make a wave healthy.
    fn wanted(&self, hosts: usize) -> usize;
    /// When the wave after one opens that opened then; none while too few of its hosts have the state.
    fn next(&self, opened: Timestamp, wave: &Wave, has: Vec<Timestamp>) -> Option<Timestamp>;
}

impl Rules for Rollout {
    fn wanted(&self, hosts: usize) -> usize {
        let healthy = self.waves.as_ref().map_or(0, |waves| waves.healthy.get());
        (hosts * usize::from(healthy)).div_ceil(100)
    }

    fn next(&self, opened: Timestamp, wave: &Wave, mut has: Vec<Timestamp>) -> Option<Timestamp> {
        let soak = self.waves.as_ref()?.soak.to_duration();
        has.sort_unstable();
        let healthy = match wave.wanted.checked_sub(1) {
            Some(last) => *has.get(last)?,
            // Nobody is there who could have it.
            None => opened,
        };
        healthy.max(opened).checked_add(soak).ok()
    }
}

/// The hosts of each wave: the canary first, whole rooms in the order of their names then.
fn parts<'a>(
    waves: &Waves,
    rooms: &BTreeMap<&'a RoomName, Vec<(&'a HostName, Standing)>>,
) -> Vec<Vec<(&'a HostName, Standing)>> {
    let all: usize = rooms.values().map(Vec::len).sum();
    let mut rest: BTreeMap<&RoomName, &[(&HostName, Standing)]> = rooms
        .iter()
        .map(|(room, hosts)| (*room, hosts.as_slice()))
        .filter(|(_, hosts)| !hosts.is_empty())
        .collect();
    let mut parts = vec![match &waves.canary {
        Canary::Rooms(named) => named_rooms(&mut rest, named),
        Canary::Portion(portion) => take(&mut rest, *portion, all),
    }];
    match &waves.then {
        Then::Groups(groups) => {
            parts.extend(groups.iter().map(|named| named_rooms(&mut rest, named)));
            parts.push(rest.into_values().flatten().copied().collect());
        }
        Then::Portion(portion) => {
            while !rest.is_empty() {
                parts.push(take(&mut rest, *portion, all));
            }
        }
    }
    parts.retain(|part: &Vec<_>| !part.is_empty());
    parts
}

/// Takes these rooms out of those that are left.
fn named_rooms<T: Copy>(
    rest: &mut BTreeMap<&RoomName, &[T]>,
    named: &BTreeSet<RoomName>,
) -> Vec<T> {
    let rooms = named.iter().filter_map(|room| rest.remove(room));
    rooms.flatten().copied().collect()
}

/// Takes a portion of a school with so many hosts out of its rooms; at least one host.
fn take<T: Copy>(rest: &mut BTreeMap<&RoomName, &[T]>, portion: Portion, all: usize) -> Vec<T> {
    let most = |count: u32| usize::try_from(count).unwrap_or(usize::MAX).max(1);
    let mut part = Vec::new();
    match portion {
        Portion::Rooms(count) => {
            let rooms = std::iter::from_fn(|| rest.pop_first()).take(most(count));
            part.extend(rooms.flat_map(|(_, hosts)| hosts).copied());
        }
        Portion::Hosts(count) => {
            let mut left = most(count);
            while left > 0
                && let Some(mut room) = rest.first_entry()
            {
                let (now, later) = room.get().split_at(left.min(room.get().len()));
                part.extend_from_slice(now);
                left -= now.len();
                if later.is_empty() {
                    room.remove();
                } else {
                    room.insert(later);
                }
            }
        }
        Portion::Share(share) => {
            let enough = (all * usize::from(share.get())).div_ceil(100).max(1);
            while part.len() < enough
                && let Some((_, hosts)) = rest.pop_first()
            {
                part.extend_from_slice(hosts);
            }
        }
    }
    part
}

#[cfg(test)]
mod tests;
