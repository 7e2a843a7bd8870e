//! The rest between two looks of a pass while something runs.
//!
//! The loop asks for one tick after the other. Most looks would find what the one before found, so a rest
//! goes on until the first tick after something happened that a plan may depend on, or after the plan's
//! earliest wake. Now and then, by chance, a tick that could be left out is kept: a step that is planned
//! then was announced by nothing, so the `wake` of a hold is wrong.
//!
//! What happens to hosts that a pass resets lets nothing begin but what waits for its turn or for a wave, unless one
//! has to be tried again.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::chance::Permille;
use super::port::Port;
use super::time::{DAY, Due, MINUTE, Moment};
use super::world::World;
use crate::linbo::verdict::HostOutcome;
use crate::planning::{self, Desired, Gate, Plan};
use crate::world::Progress;

/// After something happened every tick is kept for as long as it may take until the loop has asked the
/// Git remote again.
const RESTLESS: i64 = 15 * MINUTE;
/// How many rests end early by chance.
const KEPT: Permille = 50;

/// What a rest of one school's pass depends on.
#[derive(Default)]
pub(super) struct Rest {
    /// How often something happened that a plan may depend on.
    stirs: Cell<u64>,
    /// How often of those it may have let something begin.
    news: Cell<u64>,
    /// When something last happened from outside.
    stirred: Cell<Moment>,
    /// When the last plan is worth being made anew.
    wake: Cell<Moment>,
    /// Whether something of it waits for what becomes of hosts.
    waits_for_hosts: Cell<bool>,
    /// When a host on which an earlier pass began something comes to its end, as of the last look.
    pub(super) orphans: Cell<Option<Moment>>,
    /// The stirs at the time of a look that is expected to find nothing.
    idle: Cell<Option<u64>>,
}

impl Rest {
    /// A pass begins, and has not rested yet.
    pub(super) fn begin(&self) {
        self.idle.set(None);
    }

    /// A step ended; the loop looks by itself.
    pub(super) fn ended(&self) {
        self.stirs.set(self.stirs.get() + 1);
        self.news.set(self.news.get() + 1);
    }

    /// A step went on.
    pub(super) fn went_on(&self, progress: &Progress) {
        let is_news = match progress {
            Progress::Host(_, HostOutcome::Applied { .. }) => self.waits_for_hosts.get(),
            Progress::Host(..) => true,
            // Nobody may begin earlier for it.
            Progress::Admitted(_) => false,
            Progress::Bytes { .. } | Progress::Note(_) => return,
        };
        self.stirs.set(self.stirs.get() + 1);
        self.news.set(self.news.get() + u64::from(is_news));
    }

    /// A plan was made: whether its steps could have been foreseen.
    pub(super) fn planned(&self, now: Moment, wake: Moment, plan: &Plan) -> bool {
        // When it is whose turn is a guess that each look makes anew.
        let idle = self.idle.take() == Some(self.stirs.get())
            && now < self.wake.get()
            && !self.waits_for_hosts.get();
        let mut gates = plan.holds.iter().map(|hold| &hold.gate);
        self.waits_for_hosts
            .set(gates.any(|gate| matches!(gate, Gate::Turn | Gate::Wave { .. })));
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
            news: rest.news.get(),
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
    news: u64,
    asked: Option<Moment>,
}

impl Future for Tick<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Port { world, site, life } = self.port;
        let now = world.time.now();
        let news = world.sites[*site].rest.news.get();
        if now < self.until && self.news != news {
            self.news = news;
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
/// how much the server's clock is wrong, `orphans` when a host comes to its end of which nobody tells.
pub(super) fn wake(
    plan: &Plan,
    desired: Option<&Desired>,
    now: Moment,
    error: i64,
    orphans: Option<Moment>,
) -> Moment {
    let at = (now + error).timestamp();
    let by_itself = desired.and_then(|desired| planning::wake(plan, desired, at));
    let by_itself = by_itself.map(|wake| Moment::from(wake) + -error);
    let next = [by_itself, orphans].into_iter().flatten();
    // A day at the most, and not at once.
    next.map(|next| next.max(now + 1))
        .fold(now + DAY, Moment::min)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::planning::{Action, Reason, Step};
    use crate::simulator::time::HOUR;

    /// What a tick that was kept says of a wake is no matter of the next pass, which looks for reasons of its own.
    #[test]
    fn a_pass_does_not_end_the_rest_of_one_that_was_killed() {
        let file = "ubuntu.qcow2".parse().unwrap();
        let image = "ubuntu".parse().unwrap();
        let plan = Plan {
            steps: vec![Step::new(Action::Seed { image, file }, Reason::Absent)],
            ..Plan::default()
        };
        for (begins, foreseen) in [(false, false), (true, true)] {
            let rest = Rest::default();
            rest.wake.set(Moment(HOUR));
            rest.idle.set(Some(0));
            if begins {
                rest.begin();
            }
            assert_eq!(rest.planned(Moment(1), Moment(HOUR), &plan), foreseen);
        }
    }
}
