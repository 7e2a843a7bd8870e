//! Which hosts of a school may be on, over all rooms that are reset side by side, as a server's hands see to it.
//!
//! # Invariants
//!
//! The room with most hosts to wake is served first, of several the one that asked first; who waits for a circuit of its
//! own does not keep others from theirs.
//! Between two wakes on a circuit lies at least a minute divided by its pace. A host holds its place until it is known
//! to be off or, where nobody knows, for as long as it may be on.
//!
//! Unlike a real server's hands, these know of hosts whose pass was cut off and of those that come up later than anybody
//! waits for them: each holds its place as long as it is on in truth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use schema::name::HostName;

use super::bug::Bug;
use super::pc::Phase;
use super::port::Port;
use super::time::{Due, MINUTE, Moment};
use super::world::World;
use crate::planning::Circuit;
use crate::planning::action::{Pace, Wake};

/// The circuits of one school.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    loads: Vec<Load>,
    /// Rooms at work, by the order in which they asked.
    rooms: BTreeMap<u64, Room>,
    /// Hosts that nobody works on any more and that may be on.
    left: BTreeMap<HostName, Left>,
    numbers: u64,
}

#[derive(Debug)]
struct Load {
    circuit: Circuit,
    on: usize,
    /// When the next host may be woken.
    turn: Moment,
}

/// A circuit's place among the loads, and what it bears.
type Hanging = Rc<[(usize, Pace)]>;

#[derive(Debug)]
struct Room {
    hangs_on: Hanging,
    waiting: VecDeque<HostName>,
    /// Hosts that were admitted and not taken note of yet.
    admitted: VecDeque<HostName>,
    working: BTreeSet<HostName>,
    /// When it is worth looking again, if nothing changes.
    look: Option<Moment>,
    /// When it goes on by itself.
    asked: Option<Moment>,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Left {
    hangs_on: Hanging,
    /// None when that is as long as it is on.
    until: Option<Moment>,
}

impl Circuits {
    fn place(&mut self, circuit: &Circuit) -> usize {
        let known = self.loads.iter().position(|load| load.circuit == *circuit);
        known.unwrap_or_else(|| {
            self.loads.push(Load {
                circuit: circuit.clone(),
                on: 0,
                turn: Moment::default(),
            });
            self.loads.len() - 1
        })
    }

    fn enter(&mut self, hosts: &[Wake], circuits: &[(Circuit, Pace)]) -> u64 {
        let places = circuits
            .iter()
            .map(|(circuit, pace)| (self.place(circuit), *pace));
        let hangs_on = places.collect();
        for wake in hosts {
            // More is known of it now; one that is on anyway uses power already, and comes first.
            if self
                .left
                .get(&wake.host)
                .is_some_and(|left| left.until.is_some())
            {
                self.forget(&wake.host);
            }
        }
        let hosts = hosts.iter().map(|wake| wake.host.clone());
        let (on, off): (Vec<_>, Vec<_>) = hosts.partition(|host| self.left.contains_key(host));
        self.numbers += 1;
        let room = Room {
            hangs_on,
            waiting: on.into_iter().chain(off).collect(),
            admitted: VecDeque::new(),
            working: BTreeSet::new(),
            look: None,
            asked: None,
            waker: None,
        };
        self.rooms.insert(self.numbers, room);
        self.numbers
    }

    fn forget(&mut self, host: &HostName) {
        if let Some(left) = self.left.remove(host) {
            self.release(&left.hangs_on);
        }
    }

    fn release(&mut self, hangs_on: &[(usize, Pace)]) {
        for (place, _) in hangs_on {
            if let Some(load) = self.loads.get_mut(*place) {
                load.on = load.on.saturating_sub(1);
            }
        }
    }

    /// Ends the work on a host, which may be on until then; none when it is off.
    fn end(&mut self, room: u64, host: &HostName, until: Option<Left>) {
        let Some(room) = self.rooms.get_mut(&room) else {
            return;
        };
        if !room.working.remove(host) {
            return;
        }
        match until {
            Some(left) => {
                self.left.insert(host.clone(), left);
            }
            None => {
                let hangs_on = Rc::clone(&room.hangs_on);
                self.release(&hangs_on);
            }
        }
    }

    /// Admits whom the circuits bear. `off` says until when a host is on in truth.
    fn look(&mut self, now: Moment, unbounded: bool, off: impl Fn(&HostName) -> Moment) {
        let end = |(host, left): (&HostName, &Left)| left.until.max(Some(off(host))).unwrap_or(now);
        let over: Vec<HostName> = self
            .left
            .iter()
            .filter(|left| end(*left) <= now)
            .map(|(host, _)| host.clone())
            .collect();
        for host in &over {
            self.forget(host);
        }
        let next_end = self.left.iter().map(end).min();
        let Self {
            loads, rooms, left, ..
        } = self;
        // Circuits for which an earlier host waits: later ones do not take what it needs.
        let mut closed = vec![false; loads.len()];
        let mut kept = vec![0_usize; loads.len()];
        let mut in_turn: Vec<&mut Room> = rooms.values_mut().collect();
        in_turn.sort_by_key(|room| Reverse(room.waiting.len()));
        for room in in_turn {
            room.look = next_end;
            while let Some(host) = room.waiting.front() {
                if let Some(left) = left.remove(host) {
                    left.hangs_on
                        .iter()
                        .for_each(|(place, _)| loads[*place].on -= 1);
                    room.hangs_on
                        .iter()
                        .for_each(|(place, _)| loads[*place].on += 1);
                    room.working.insert(host.clone());
                    room.admitted.extend(room.waiting.pop_front());
                    continue;
                }
                let full: Vec<usize> = room
                    .hangs_on
                    .iter()
                    .filter(|(place, pace)| {
                        let on = loads[*place].on + kept[*place];
                        closed[*place] || on > 0 && on >= pace.on_at_once.max(1) as usize
                    })
                    .map(|(place, _)| *place)
                    .collect();
                if !full.is_empty() && !unbounded {
                    // Loading cuts across: the first that waits for it alone keeps its other places.
                    let loading = |place: &usize| loads[*place].circuit == Circuit::Loading;
                    if full.iter().all(loading) && !full.iter().any(|place| closed[*place]) {
                        let others = room.hangs_on.iter().filter(|(place, _)| !loading(place));
                        others.for_each(|(place, _)| kept[*place] += 1);
                    }
                    full.iter().for_each(|place| closed[*place] = true);
                    break;
                }
                let turns = room.hangs_on.iter().map(|(place, _)| loads[*place].turn);
                if let Some(turn) = turns.max().filter(|turn| *turn > now && !unbounded) {
                    room.look = Some(room.look.map_or(turn, |look| look.min(turn)));
                    break;
                }
                for (place, pace) in room.hangs_on.iter() {
                    let wakes = i64::from(pace.wake_per_minute.max(1));
                    let load = &mut loads[*place];
                    // Rounded up: a wake too many in a minute is one too many.
                    load.turn = now + (MINUTE + wakes - 1) / wakes;
                    load.on += 1;
                }
                room.working.insert(host.clone());
                room.admitted.extend(room.waiting.pop_front());
            }
        }
    }
}

impl Room {
    /// When it has to go on, unless it does so anyway.
    fn goes_on(&mut self, now: Moment) -> Option<Moment> {
        let at = if self.admitted.is_empty() {
            self.look.filter(|_| !self.waiting.is_empty())?
        } else {
            now
        };
        if self.asked.is_some_and(|asked| now < asked && asked <= at) {
            return None;
        }
        self.asked = Some(at);
        Some(at)
    }
}

/// The places of one room's hosts. What is left of them when this is dropped is as it is in truth.
pub(super) struct Places<'p> {
    port: &'p Port,
    number: u64,
}

impl<'p> Places<'p> {
    pub(super) fn ask(port: &'p Port, hosts: &[Wake], circuits: &[(Circuit, Pace)]) -> Self {
        let site = &port.world.sites[port.site];
        let number = site.circuits.borrow_mut().enter(hosts, circuits);
        let places = Self { port, number };
        places.look();
        places
    }

    fn with<T>(&self, what: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let site = &self.port.world.sites[self.port.site];
        site.circuits
            .borrow_mut()
            .rooms
            .get_mut(&self.number)
            .map(what)
    }

    /// The next host that has come to its turn.
    pub(super) fn admitted(&self) -> Option<HostName> {
        self.with(|room| room.admitted.pop_front()).flatten()
    }

    /// Whether none waits for its turn any more.
    pub(super) fn is_through(&self) -> bool {
        self.with(|room| room.waiting.is_empty() && room.admitted.is_empty())
            .unwrap_or(true)
    }

    /// A host is off.
    pub(super) fn off(&self, host: &HostName) {
        self.end(host, None);
    }

    /// A host may still be on for so long.
    pub(super) fn left(&self, host: &HostName, lasts: i64) {
        self.end(host, Some(self.port.true_now() + lasts));
    }

    fn end(&self, host: &HostName, until: Option<Moment>) {
        let site = &self.port.world.sites[self.port.site];
        let hangs_on = self.with(|room| Rc::clone(&room.hangs_on));
        let left = hangs_on.zip(until).map(|(hangs_on, until)| Left {
            hangs_on,
            until: Some(until),
        });
        site.circuits.borrow_mut().end(self.number, host, left);
        self.look();
    }

    /// Admits whom the circuits bear now, and has the rooms go on that this concerns.
    fn look(&self) {
        let Port { world, site, life } = self.port;
        let here = &world.sites[*site];
        let now = world.time.now();
        let unbounded = self.port.has(Bug::WakesAllAtOnce);
        let school = here.school.borrow();
        let off = |host: &HostName| match school.pcs.get(host).map(|pc| &pc.phase) {
            Some(Phase::Syncing(sync)) => sync.ends,
            // Until somebody switches it off.
            Some(Phase::Booting(_) | Phase::Linbo) => now + MINUTE,
            Some(Phase::Off | Phase::Up(_)) | None => now,
        };
        let mut circuits = here.circuits.borrow_mut();
        circuits.look(now, unbounded, off);
        for room in circuits.rooms.values_mut() {
            if let Some(waker) = room.waker.clone()
                && let Some(at) = room.goes_on(now)
            {
                let (site, life) = (*site, *life);
                world.time.at(at, Due::Task { site, life, waker });
            }
        }
    }

    /// Waits until a moment, or until the next host has come to its turn.
    pub(super) fn until(&self, at: Option<Moment>) -> Next<'_, 'p> {
        Next {
            places: self,
            at,
            asked: false,
        }
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        let World { sites, .. } = &*self.port.world;
        let mut circuits = sites[self.port.site].circuits.borrow_mut();
        if let Some(room) = circuits.rooms.remove(&self.number) {
            for host in room.working {
                let hangs_on = Rc::clone(&room.hangs_on);
                circuits.left.insert(
                    host,
                    Left {
                        hangs_on,
                        until: None,
                    },
                );
            }
        }
    }
}

/// See [`Places::until`].
pub(super) struct Next<'a, 'p> {
    places: &'a Places<'p>,
    at: Option<Moment>,
    asked: bool,
}

impl Future for Next<'_, '_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Port { world, site, life } = self.places.port;
        let now = world.time.now();
        let look = |places: &Places<'_>| places.with(|room| room.look).flatten();
        if look(self.places).is_some_and(|at| at <= now) {
            self.places.look();
        }
        let has_admitted = self.places.with(|room| !room.admitted.is_empty());
        if has_admitted.unwrap_or(true) || self.at.is_some_and(|at| at <= now) {
            return Poll::Ready(());
        }
        let waker = context.waker();
        self.places.with(|room| room.waker = Some(waker.clone()));
        let turn = self.places.with(|room| room.goes_on(now)).flatten();
        let event = self
            .at
            .filter(|_| !std::mem::replace(&mut self.asked, true));
        for at in turn.into_iter().chain(event) {
            let (site, life, waker) = (*site, *life, waker.clone());
            world.time.at(at, Due::Task { site, life, waker });
        }
        Poll::Pending
    }
}
