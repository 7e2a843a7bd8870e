//! How a room is reset: hosts woken at the pace of their circuit, each told what to restore.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use schema::name::{ClassName, HostName, ImageName};

use super::bug::Bug;
use super::circuits::Places;
use super::event::What;
use super::fault::Kind;
use super::pc::{End, Lie, Phase, Restore};
use super::port::Port;
use super::time::{MINUTE, Moment, SECOND, clocks_change};
use super::truth::Contents;
use super::word::{self, Run};
use crate::config::Driver;
use crate::linbo::start_conf::StartConf;
use crate::linbo::verdict::HostOutcome;
use crate::planning::Action;
use crate::world::{Failure, Progress};

/// How long the driver waits for LINBO to answer.
pub(super) const ANSWER: i64 = 8 * MINUTE;
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
            class,
            circuits,
            force_from,
            ..
        } = action
        else {
            return Ok(());
        };
        let (mut waiting, mut used) = (Vec::new(), Vec::new());
        for wake in hosts {
            match self.in_use(&wake.host, *force_from) {
                Some(outcome) => used.push((&wake.host, outcome)),
                None => waiting.push(wake.clone()),
            }
        }
        for (host, outcome) in used {
            self.tell_of(host, outcome, tell);
        }
        let places = Places::ask(self, &waiting, circuits);
        let mut queue: BinaryHeap<Reverse<(Moment, usize, Next)>> = BinaryHeap::new();
        let mut asleep: Vec<HostName> = Vec::new();
        loop {
            let now = self.true_now();
            while let Some(host) = places.admitted() {
                // Somebody may have begun to work at it while it waited.
                if let Some(outcome) = self.in_use(&host, *force_from) {
                    places.off(&host);
                    self.tell_of(&host, outcome, tell);
                    continue;
                }
                self.wake(&host);
                tell(Progress::Admitted(host.clone()));
                let event = (self.answers(&host), asleep.len(), Next::Ask(now + ANSWER));
                queue.push(Reverse(event));
                asleep.push(host);
            }
            let event = queue.peek().map(|Reverse((at, ..))| *at);
            if event.is_none() && places.is_through() {
                return Ok(());
            }
            places.until(event).await;
            let now = self.true_now();
            while let Some(Reverse((at, index, next))) = queue.peek().copied()
                && at <= now
            {
                queue.pop();
                let host = &asleep[index];
                let (outcome, left) = match next {
                    Next::Ask(latest) => match self.order(host, (class, images), latest) {
                        Ok(at) => {
                            queue.push(Reverse((at, index, Next::Judge(now))));
                            continue;
                        }
                        // It may come up yet.
                        Err(outcome) => (outcome, Some(ANSWER)),
                    },
                    Next::Judge(began) => {
                        let outcome = self.judge(host, began);
                        (outcome, self.is_on(host).then_some(LONGEST))
                    }
                };
                match left {
                    Some(lasts) => places.left(host, lasts),
                    None => places.off(host),
                }
                self.tell_of(host, outcome, tell);
            }
        }
    }

    fn tell_of(&self, host: &HostName, outcome: HostOutcome, tell: &mut dyn FnMut(Progress)) {
        if !self.is(|kind| matches!(kind, Kind::Silent)) {
            tell(Progress::Host(host.clone(), outcome));
        }
    }

    fn is_on(&self, host: &HostName) -> bool {
        let school = self.school().borrow();
        let pc = school.pcs.get(host);
        pc.is_some_and(|pc| pc.is_on(self.true_now()))
    }

    /// Switches off what was left on.
    pub(super) fn switch_off(&self, hosts: &[HostName]) {
        let mut school = self.school().borrow_mut();
        for host in hosts {
            if let Some(pc) = school.pcs.get_mut(host)
                && pc.phase == Phase::Linbo
            {
                pc.phase = Phase::Off;
                pc.woken = false;
            }
        }
    }

    /// When it is worth asking a host that was just woken.
    fn answers(&self, host: &HostName) -> Moment {
        let now = self.true_now();
        match self.school().borrow().pcs.get(host).map(|pc| &pc.phase) {
            Some(Phase::Booting(answers)) => (*answers).min(now + ANSWER),
            Some(Phase::Linbo) => now + SECOND,
            _ => now + ANSWER,
        }
    }

    /// Tells a host what to do, if it answers: when that will be over.
    fn order(
        &self,
        host: &HostName,
        (class, images): (&ClassName, &[ImageName]),
        latest: Moment,
    ) -> Result<Moment, HostOutcome> {
        let now = self.true_now();
        let booted = self.booted(host, class);
        let images = booted.as_deref().unwrap_or(images);
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
        let fails = self.is(|kind| matches!(kind, Kind::SyncFails(bad) if bad == host));
        let end = if fails || self.is_spoiled(host, &reads) {
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
                .is_some_and(|held| held.contents == *contents)
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
        pc.ended = None;
        pc.phase = Phase::Syncing(Restore {
            ends,
            end,
            reads: reads.clone(),
        });
        drop(school);
        self.happened(What::Reads(host.clone(), reads));
        Ok(ends.min(now + LONGEST))
    }

    /// The images of the class that a host is led to, where that is another one: it reads the file of that.
    fn booted(&self, host: &HostName, class: &ClassName) -> Option<Vec<ImageName>> {
        let school = self.school().borrow();
        let boots = school
            .disk
            .boots
            .get(host)
            .filter(|boots| *boots != class)?;
        let text = school.disk.classes.get(boots)?.start_conf.as_ref()?;
        let systems = StartConf::parse(text.as_bytes());
        let images = systems.operating_systems();
        Some(images.filter_map(|os| os.image()?.parse().ok()).collect())
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
                restored: Vec::new(),
            };
        };
        pc.settle(now, &zone);
        let (end, over, reads) = match (&pc.phase, &pc.ended) {
            (Phase::Syncing(sync), _) => (None, sync.ends, sync.reads.clone()),
            (_, Some(sync)) => (Some(sync.end), sync.ends, sync.reads.clone()),
            _ => (None, now, Vec::new()),
        };
        let plain = || {
            let files = reads.iter();
            let files: Option<Vec<_>> = files
                .map(|(image, contents)| word::expected(image, *contents))
                .collect();
            let outcomes = files?.into_iter();
            let outcomes =
                outcomes.map(|(file, stamp)| HostOutcome::applied_one(file, Some(stamp)));
            HostOutcome::of_images(outcomes)
        };
        let believes = self.has(Bug::BelievesZero) && matches!(end, Some(End::Lied(_)));
        // A log says when by the clock on the wall, which has to tell.
        let is_plain = end == Some(End::Restored)
            && (self.world.driver == Driver::Wrapper
                || error == 0 && !clocks_change(now.timestamp(), &zone));
        // The texts of what went well are made up and judged in a test, once for all.
        if (is_plain || believes)
            && let Some(applied) = plain()
        {
            return applied;
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
