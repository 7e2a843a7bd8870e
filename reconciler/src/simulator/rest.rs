//! The rest between two looks of a pass while something runs.
//!
//! The loop asks for one tick after the other. Most looks would find what the one before found, so a rest
//! goes on until the first tick after something happened that a plan may depend on, or after the plan's
//! earliest wake. Now and then, by chance, a tick that could be left out is kept: a step that is planned
//! then was announced by nothing, so the `wake` of a hold is wrong.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::chance::Permille;
use super::port::Port;
use super::time::{DAY, Due, MINUTE, Moment};
use super::world::World;
use crate::planning::{Desired, Gate, Plan};

/// After something happened every tick is kept for as long as it may take until the loop has asked the
/// Git remote again.
const RESTLESS: i64 = 15 * MINUTE;
/// How many rests end early by chance.
const KEPT: Permille = 50;

/// What a rest of one school's pass depends on.
#[derive(Default)]
pub(super) struct Rest {
    /// How often something happened that a plan may depend on, and when last.
    stirs: Cell<u64>,
    stirred: Cell<Moment>,
    /// When the last plan is worth being made anew.
    wake: Cell<Moment>,
    /// The stirs at the time of a look that is expected to find nothing.
    idle: Cell<Option<u64>>,
}

impl Rest {
    /// A step ended; the loop looks by itself.
    pub(super) fn ended(&self) {
        self.stirs.set(self.stirs.get() + 1);
    }

    /// A plan was made: whether its steps could have been foreseen.
    pub(super) fn planned(&self, now: Moment, wake: Moment, plan: &Plan) -> bool {
        let idle = self.idle.take() == Some(self.stirs.get()) && now < self.wake.get();
        // What waits for a step of the same plan learns only when that runs how long it takes.
        self.wake
            .set(if plan.steps.is_empty() { wake } else { now });
        !idle || plan.steps.is_empty()
    }
}

impl World {
    /// Something happened to a school from outside.
    pub(super) fn stir(&self, site: usize) {
        let here = &self.sites[site];
        let rest = &here.rest;
        rest.ended();
        rest.stirred.set(self.time.now());
        let waker = Waker::noop().clone();
        let life = here.life.get();
        self.time
            .at(self.time.now(), Due::Task { site, life, waker });
    }
}

impl Port {
    /// The rest of a pass until the next look.
    pub(super) fn rest(&self, tick: i64) -> Tick<'_> {
        let now = self.true_now();
        let rest = &self.world.sites[self.site].rest;
        rest.idle.set(None);
        let ticks = ((rest.wake.get() - now + tick - 1) / tick).max(1);
        let mut kept = ticks;
        if self.world.bug.is_some() || now - rest.stirred.get() < RESTLESS + 2 * tick {
            kept = 1;
        } else if ticks > 1 {
            let mut luck = self.luck("rest", now);
            if luck.happens(KEPT) {
                kept = luck.between(1, ticks - 1);
                rest.idle.set(Some(rest.stirs.get()));
            }
        }
        Tick {
            port: self,
            began: now,
            tick,
            until: now + kept * tick,
            stirs: rest.stirs.get(),
            asked: None,
        }
    }
}

/// See [`Port::rest`].
pub(super) struct Tick<'p> {
    port: &'p Port,
    began: Moment,
    tick: i64,
    until: Moment,
    stirs: u64,
    asked: Option<Moment>,
}

impl Future for Tick<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Port { world, site, life } = self.port;
        let now = world.time.now();
        let stirs = world.sites[*site].rest.stirs.get();
        if now < self.until && self.stirs != stirs {
            self.stirs = stirs;
            let ticks = (now - self.began) / self.tick + 1;
            self.until = self.until.min(self.began + ticks * self.tick);
        }
        if now >= self.until {
            return Poll::Ready(());
        }
        if self.asked != Some(self.until) {
            self.asked = Some(self.until);
            let (site, life, waker) = (*site, *life, context.waker().clone());
            world.time.at(self.until, Due::Task { site, life, waker });
        }
        Poll::Pending
    }
}

/// When a plan that was made now can come out otherwise, unless something happens before. `error` is by
/// how much the server's clock is wrong.
pub(super) fn wake(plan: &Plan, desired: Option<&Desired>, now: Moment, error: i64) -> Moment {
    let truly = |at: jiff::Timestamp| Moment::from(at) + -error;
    let mut next = now + DAY;
    let mut at_latest = |at: Moment| next = next.min(at.max(now + 1));
    for hold in &plan.holds {
        match (&hold.gate, hold.wake) {
            // Hosts that are quicker than thought let the next room begin earlier.
            (Gate::Turn, _) => at_latest(now),
            (_, Some(wake)) => at_latest(truly(wake)),
            (
                Gate::Busy(_) | Gate::HostsBusy(_) | Gate::Uploading(_) | Gate::StartConf(_),
                None,
            ) => {
                at_latest(now + 10 * MINUTE);
            }
            (Gate::Unseen(_), None) => at_latest(now + 60 * MINUTE),
            _ => {}
        }
    }
    let at = (now + error).timestamp();
    let due = desired.and_then(|desired| {
        let rooms = desired.rooms.values();
        let schedules: std::collections::BTreeSet<_> =
            rooms.filter_map(|room| room.reset.as_ref()).collect();
        let next = |schedule: &schema::schedule::Schedule| {
            schedule.next(at, &desired.zone, &desired.holidays)
        };
        schedules.into_iter().filter_map(next).min()
    });
    if let Some(due) = due {
        at_latest(truly(due));
    }
    next
}
