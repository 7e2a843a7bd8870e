//! How a room is reset: hosts woken at the pace of their circuit, each told what to restore.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use schema::name::{HostName, ImageName};

use super::bug::Bug;
use super::event::What;
use super::fault::Kind;
use super::pc::{End, Lie, Phase};
use super::port::Port;
use super::time::{MINUTE, Moment, SECOND};
use super::truth::Contents;
use super::word::{self, Run};
use crate::config::Driver;
use crate::linbo::verdict::HostOutcome;
use crate::planning::Action;
use crate::planning::action::Wake;
use crate::world::{Failure, Progress};

/// How long the driver waits for LINBO to answer.
const ANSWER: i64 = 8 * MINUTE;
/// How long it waits for a sync to end.
const LONGEST: i64 = 60 * MINUTE;

/// What the driver does next about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// It looks whether LINBO answers, until a moment.
    Ask(Moment),
    /// It looks whether the sync is over that began at a moment.
    Judge(Moment),
}

impl Port {
    pub(super) async fn reset(
        &self,
        action: &Action,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        let Action::ResetRoom {
            hosts,
            images,
            circuits,
            ..
        } = action
        else {
            return Ok(());
        };
        // Each room keeps the tightest of its bounds; the planner keeps rooms of one circuit apart.
        let paces = || circuits.iter().map(|(_, pace)| pace);
        let wake_per_minute = paces().map(|pace| pace.wake_per_minute).min();
        let wake_per_minute = wake_per_minute.unwrap_or(u32::MAX);
        let on_at_once = paces().map(|pace| pace.on_at_once).min();
        let on_at_once = on_at_once.unwrap_or(u32::MAX);
        let (gap, mut free) = if self.has(Bug::WakesAllAtOnce) {
            (0, hosts.len())
        } else {
            // Rounded up: a wake too many in a minute is one too many.
            (
                (MINUTE + i64::from(wake_per_minute) - 1) / i64::from(wake_per_minute),
                on_at_once as usize,
            )
        };
        let mut waiting: VecDeque<&Wake> = hosts.iter().collect();
        let mut queue: BinaryHeap<Reverse<(Moment, usize, Next)>> = BinaryHeap::new();
        let mut next_wake = self.true_now();
        let mut asleep: Vec<&HostName> = Vec::new();
        loop {
            let now = self.true_now();
            while free > 0 && next_wake <= now {
                let Some(wake) = waiting.pop_front() else {
                    break;
                };
                let index = asleep.len();
                asleep.push(&wake.host);
                free -= 1;
                next_wake = now + gap;
                self.wake(&wake.host);
                tell(Progress::Admitted(wake.host.clone()));
                queue.push(Reverse((
                    self.answers(&wake.host),
                    index,
                    Next::Ask(now + ANSWER),
                )));
            }
            let event = queue.peek().map(|Reverse((at, ..))| *at);
            let wake = (free > 0 && !waiting.is_empty()).then_some(next_wake);
            let Some(at) = event.into_iter().chain(wake).min() else {
                return Ok(());
            };
            self.until(at).await;
            let now = self.true_now();
            while let Some(Reverse((at, index, next))) = queue.peek().copied()
                && at <= now
            {
                queue.pop();
                let host = asleep[index];
                let outcome = match next {
                    Next::Ask(latest) => match self.order(host, images, latest) {
                        Ok(at) => {
                            queue.push(Reverse((at, index, Next::Judge(now))));
                            continue;
                        }
                        Err(outcome) => outcome,
                    },
                    Next::Judge(began) => self.judge(host, began),
                };
                free += 1;
                if !self.is(|kind| matches!(kind, Kind::Silent)) {
                    tell(Progress::Host(host.clone(), outcome));
                }
            }
        }
    }

    fn wake(&self, host: &HostName) {
        let now = self.true_now();
        let deaf = self.is(|kind| matches!(kind, Kind::DeadWake(dead) if dead == host));
        let used = self.world.is_used(self.site, host);
        let boot = self
            .luck(host.as_str(), now)
            .between(70 * SECOND, 4 * MINUTE);
        let mut woken = false;
        if let Some(pc) = self.school().borrow_mut().pcs.get_mut(host)
            && pc.phase == Phase::Off
            && !deaf
            && !used
        {
            pc.phase = Phase::Booting(now + boot);
            pc.woken = true;
            woken = true;
        }
        if woken {
            self.happened(What::Woke(host.clone()));
        }
    }

    /// When it is worth asking a host that was just woken.
    fn answers(&self, host: &HostName) -> Moment {
        let now = self.true_now();
        match self.school().borrow().pcs.get(host).map(|pc| &pc.phase) {
            Some(Phase::Booting(answers)) => *answers,
            Some(Phase::Linbo) => now + SECOND,
            _ => now + ANSWER,
        }
    }

    /// Tells a host what to do, if it answers: when that will be over.
    fn order(
        &self,
        host: &HostName,
        images: &[ImageName],
        latest: Moment,
    ) -> Result<Moment, HostOutcome> {
        let now = self.true_now();
        let reads: Vec<(ImageName, Contents)> = {
            let school = self.school().borrow();
            let live = |image: &ImageName| {
                school
                    .disk
                    .live
                    .get(image)
                    .map(super::truth::Live::contents)
            };
            images
                .iter()
                .map(|image| (image.clone(), live(image).unwrap_or_default()))
                .collect()
        };
        let mut luck = self.luck(host.as_str(), now).part(1);
        let end = if self.is(|kind| matches!(kind, Kind::SyncFails(bad) if bad == host)) {
            End::Failed
        } else if self.is(|kind| matches!(kind, Kind::Flaps(bad) if bad == host)) {
            End::Died
        } else if let Some(lie) = self.lie(host) {
            End::Lied(lie)
        } else {
            End::Restored
        };
        let mut school = self.school().borrow_mut();
        let zone = school.zone.clone();
        let unreachable = || HostOutcome::Unreachable {
            why: "no answer from LINBO".to_owned(),
        };
        let pc = school.pcs.get_mut(host).ok_or_else(unreachable)?;
        pc.settle(now, &zone);
        if pc.phase != Phase::Linbo || now > latest {
            return Err(unreachable());
        }
        let cached = reads.iter().all(|(image, contents)| {
            pc.holds
                .get(image)
                .is_some_and(|(held, _)| held == contents)
        });
        let each = if cached {
            luck.between(3 * MINUTE, 8 * MINUTE)
        } else {
            luck.between(5 * MINUTE, 18 * MINUTE)
        };
        let whole = each * i64::try_from(images.len()).unwrap_or(1);
        let ends = now
            + if end == End::Restored {
                whole
            } else {
                whole / 2
            };
        pc.phase = Phase::Syncing {
            ends,
            end,
            reads: reads.clone(),
        };
        drop(school);
        self.happened(What::Reads(host.clone(), reads));
        Ok(ends.min(now + LONGEST))
    }

    fn lie(&self, host: &HostName) -> Option<Lie> {
        let school = self.school().borrow();
        school.faults.values().find_map(|kind| match kind {
            Kind::Lies(liar, lie) if liar == host => Some(*lie),
            _ => None,
        })
    }

    /// What the driver can find out of a host that was told to sync at a moment.
    fn judge(&self, host: &HostName, began: Moment) -> HostOutcome {
        let now = self.true_now();
        let mut school = self.school().borrow_mut();
        let error = school.clock_error();
        let zone = school.zone.clone();
        let Some(pc) = school.pcs.get_mut(host) else {
            let why = "the host is gone".to_owned();
            return HostOutcome::Unknown {
                why,
                evidence: Vec::new(),
            };
        };
        let (end, over, reads) = match &pc.phase {
            Phase::Syncing { end, ends, reads } => {
                ((*ends <= now).then_some(*end), *ends, reads.clone())
            }
            _ => (None, now, Vec::new()),
        };
        pc.settle(now, &zone);
        let last = reads.last();
        let plain = last.and_then(|(image, contents)| word::expected(image, *contents));
        let believes = self.has(Bug::BelievesZero) && matches!(end, Some(End::Lied(_)));
        let is_plain = end == Some(End::Restored) && self.world.driver == Driver::Wrapper;
        // The texts of what went well are made up and judged in a test, once for all.
        if let Some((file, stamp)) = plain
            && (is_plain || believes)
        {
            let stamp = Some(stamp);
            return HostOutcome::Applied { file, stamp };
        }
        let run = Run {
            end,
            reads: &reads,
            started: began + error,
            judged: now + error,
            over,
            status: pc.report.as_ref(),
            zone: &zone,
        };
        run.judge(self.world.driver)
    }
}
