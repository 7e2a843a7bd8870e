//! The simulated implementations of the port: one school's server as the production loop sees it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use jiff::{SignedDuration, Timestamp};

use super::bug::Bug;
use super::event::What;
use super::fault::{Kind, Sense};
use super::pc::Phase;
use super::time::{DAY, Moment, Until};
use super::truth::School;
use super::world::World;
use crate::engine::Event as Told;
use crate::planning::journal::lines::Contents;
use crate::planning::suspension::Suspensions;
use crate::planning::{
    Action, Busy, Desired, Entry, Observed, Occupant, Orders, Probe, Record, Running, Step,
    Subject, preview,
};
use crate::state::CommitId;
use crate::state::force::{Unfetched, decide, in_force, not_valid};
use crate::world::{Failure, Hands, Letter, Problem, Progress, Senses, Target};

/// One server's senses and hands, for the life of one pass.
pub(super) struct Port {
    pub(super) world: Rc<World>,
    pub(super) site: usize,
    pub(super) life: u64,
}

impl Port {
    pub(super) fn school(&self) -> &RefCell<School> {
        &self.world.sites[self.site].school
    }

    pub(super) fn true_now(&self) -> Moment {
        self.world.time.now()
    }

    pub(super) fn nap(&self, milliseconds: i64) -> Until {
        self.until(self.true_now() + milliseconds)
    }

    pub(super) fn until(&self, at: Moment) -> Until {
        Until {
            time: Rc::clone(&self.world.time),
            at,
            site: self.site,
            life: self.life,
            asked: false,
        }
    }

    pub(super) fn happened(&self, what: What) {
        self.world.happened(Some(self.site), what);
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.world.bug == Some(bug)
    }

    /// Takes note of what the loop says, as the command line does for people.
    pub(super) fn hear(&self, told: &Told<'_>) {
        match told {
            Told::Target(target) => {
                for problem in &target.problems {
                    self.happened(What::Problem(problem.text.clone()));
                }
            }
            Told::Started(step) => self.happened(What::Began(Rc::new((*step).clone()))),
            Told::Progress(_, Progress::Host(host, outcome)) => {
                self.happened(What::Host(host.clone(), outcome.clone()));
            }
            Told::Finished(step, result) => {
                self.happened(What::Finished(Rc::new((*step).clone()), (*result).clone()));
            }
            Told::Planned(plan) => self.world.planned(self.site, plan),
            Told::Progress(..) => {}
        }
    }

    /// What is in force, as the production code decides it: no more than what a clone knows of
    /// commits is simulated.
    fn look_at_remote(&self) -> (Option<usize>, Vec<Problem>) {
        let school = self.school().borrow();
        let remote = self.world.remote.borrow();
        let applied = school.disk.applied.and_then(|number| remote.id(number));
        let unfetched = |why: &str, passes| Unfetched {
            why: why.to_owned(),
            passes,
        };
        let newest = if school.suffers(|kind| matches!(kind, Kind::GitDown)) {
            Err(unfetched("the Git remote does not answer", true))
        } else {
            let head = remote.head.and_then(|head| remote.id(head));
            head.ok_or_else(|| unfetched("the branch does not exist", false))
        };
        let signed = remote.signers && !self.has(Bug::TakesAnySignature);
        let accept = |tip: &CommitId| {
            if self.has(Bug::AcceptsAnyCommit) {
                return Ok(());
            }
            decide(&*remote, tip, applied.as_ref(), signed)
        };
        let load = |commit: &CommitId| {
            let number = remote.find(commit.as_str()).unwrap_or_default();
            match remote.commits.get(number).map(|commit| &commit.fleet) {
                Some(Err(why)) => Err(not_valid(&remote.line(number), why)),
                _ => Ok(number),
            }
        };
        in_force(newest, applied.as_ref(), accept, load)
    }
}

impl Senses for Port {
    async fn target(&self) -> Target {
        self.nap(self.world.latency(self.site, "git", 100, 3000))
            .await;
        let (number, problems) = self.look_at_remote();
        let desired = number.and_then(|number| self.world.desired(self.site, number));
        let desired = desired.map(|desired| self.misread(desired));
        let commit = number.map(|number| self.world.remote.borrow().line(number));
        Target {
            desired,
            commit,
            problems,
        }
    }

    fn now(&self) -> Timestamp {
        (self.true_now() + self.school().borrow().clock_error()).timestamp()
    }

    fn instant(&self) -> Instant {
        self.world.time.instant()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> {
        self.rest(i64::try_from(span.as_millis()).unwrap_or(DAY).max(1))
    }

    async fn observe(&self, desired: &Desired, running: &[Running]) -> Observed {
        self.nap(self.world.latency(self.site, "observe", 50, 20_000))
            .await;
        let often = if self.world.bug.is_some() { 125 } else { 30 };
        if running.is_empty() && self.luck("dry run", self.true_now()).happens(often) {
            self.dry_run(desired);
        }
        self.look(desired, running)
    }
}

impl Port {
    /// What is read of a commit.
    fn misread(&self, desired: Arc<Desired>) -> Arc<Desired> {
        let mut desired = desired;
        if self.has(Bug::ForgetsExams) {
            Arc::make_mut(&mut desired).exams.clear();
        }
        if self.has(Bug::ForgetsFirstDay) {
            Arc::make_mut(&mut desired).not_before = None;
        }
        if self.has(Bug::ForgetsSuspensions) {
            let desired = Arc::make_mut(&mut desired);
            desired.suspended = Suspensions::default();
            for room in desired.rooms.values_mut() {
                room.suspended = None;
                room.suspended_hosts.clear();
            }
        }
        desired
    }

    /// Leaves what a power cut left of a record's line, as the production reader finds it.
    fn tear(&self, school: &mut School, record: &Record) {
        let Ok(line) = serde_json::to_vec(record) else {
            return;
        };
        let last = i64::try_from(line.len()).unwrap_or(0);
        let cut = self.luck("torn", self.true_now()).between(0, last);
        let left = line.get(..usize::try_from(cut).unwrap_or(0));
        for line in Contents::of(left.unwrap_or_default()).lines {
            // It lacked nothing but its end.
            school.disk.journal.fold(&line.record);
        }
    }

    /// What a dry run does, at the very instant at which a pass looks too.
    fn dry_run(&self, desired: &Desired) {
        let before = self.school().borrow().disk.clone();
        let observed = self.look(desired, &[]);
        let obeyed = observed.obeyed(&Arc::new(desired.clone()));
        let foretold = preview(&obeyed, observed)
            .rounds
            .into_iter()
            .next()
            .unwrap_or_default();
        if self.has(Bug::DryRunWrites) {
            self.school()
                .borrow_mut()
                .disk
                .classes
                .values_mut()
                .for_each(|class| class.written += 1);
        }
        let unchanged = self.school().borrow().disk == before;
        self.world
            .promises
            .borrow_mut()
            .looked(self.site, self.true_now(), unchanged);
        let foretold = if self.has(Bug::Fickle) {
            Vec::new()
        } else {
            foretold
        };
        *self.world.sites[self.site].foretold.borrow_mut() = Some(foretold);
    }

    /// What is to be seen now.
    pub(super) fn look(&self, desired: &Desired, running: &[Running]) -> Observed {
        let now = self.true_now();
        let mut at = self.now();
        if self.has(Bug::WrongTime) {
            at += jiff::SignedDuration::from_hours(11);
        }
        let school = &mut *self.school().borrow_mut();
        school.settle(now);
        let mut reports = school.reports(desired);
        let blind = |sense: Sense| {
            school
                .is_blind(sense)
                .then(|| format!("{sense}: permission denied"))
        };
        let mut names: BTreeSet<_> = desired.classes.keys().collect();
        names.extend(school.disk.devices.classes());
        names.extend(&school.disk.booted);
        let classes = names.into_iter().map(|name| {
            let seen = || {
                school
                    .disk
                    .classes
                    .get(name)
                    .cloned()
                    .unwrap_or_default()
                    .seen()
            };
            (name.clone(), probe(blind(Sense::Classes), seen))
        });
        let mut wanted: std::collections::BTreeSet<_> =
            desired.images.keys().map(|(image, _)| image).collect();
        wanted.extend(
            desired
                .classes
                .values()
                .flat_map(|class| class.os.iter().map(|os| &os.image)),
        );
        let live = wanted.into_iter().map(|image| {
            let seen = || {
                school
                    .disk
                    .live
                    .get(image)
                    .map(super::truth::Live::seen)
                    .unwrap_or_default()
            };
            (image.clone(), probe(blind(Sense::Live), seen))
        });
        let full = school.suffers(|kind| matches!(kind, Kind::DiskFull));
        let resets = running.iter().map(|running| &running.step.action);
        let ours: BTreeSet<_> = resets
            .filter_map(|action| match action {
                Action::ResetRoom { hosts, .. } => Some(hosts.iter().map(|wake| &wake.host)),
                _ => None,
            })
            .flatten()
            .collect();
        let (mut busy, mut left_on, mut orphans) = (BTreeMap::new(), BTreeSet::new(), None);
        let mut comes_to_an_end = |at: Moment| orphans = orphans.min(Some(at)).or(Some(at));
        let on = school.pcs.iter().filter(|(_, pc)| pc.phase != Phase::Off);
        for (host, pc) in on.filter(|(host, _)| !ours.contains(host)) {
            match &pc.phase {
                Phase::Syncing(sync) => {
                    // It said something just now: what hangs in this world is told of by its own driver.
                    let found = Busy {
                        by: Occupant::Orphan(format!("hosts/{host}.log")),
                        since: at,
                        until: at + SignedDuration::from_hours(2),
                    };
                    busy.insert(host.clone(), found);
                    comes_to_an_end(sync.ends);
                }
                Phase::Booting(answers) => comes_to_an_end(*answers),
                Phase::Linbo if pc.woken => _ = left_on.insert(host.clone()),
                Phase::Off | Phase::Linbo | Phase::Up(_) => {}
            }
        }
        self.world.sites[self.site].rest.orphans.set(orphans);
        let seeded = || {
            let live = school.disk.live.iter();
            live.flat_map(|(image, live)| live.seeded(image)).collect()
        };
        let onboot = || {
            let waits = school.onboot();
            waits
                .map(|(host, says)| (host.clone(), says.to_owned()))
                .collect()
        };
        let kept = || {
            if self.has(Bug::ForgetsThePrevious) {
                return std::collections::BTreeSet::new();
            }
            school.disk.kept()
        };
        let unseen = blind(Sense::Reports);
        if unseen.is_some() || self.has(Bug::ForgetsHosts) {
            let hosts = reports.keys().cloned();
            let hidden = hosts.map(|host| (host, probe(unseen.clone(), || None)));
            reports = std::sync::Arc::new(hidden.collect());
        }
        let mut observed = Observed {
            at,
            devices: probe(blind(Sense::Devices), || school.disk.devices.clone()),
            astray: probe(blind(Sense::Classes), || {
                std::sync::Arc::clone(&school.disk.astray)
            }),
            classes: classes.collect(),
            live: live.collect(),
            store: probe(blind(Sense::Store), || school.disk.store.seen(full)),
            kept: probe(blind(Sense::Store), kept),
            reports,
            busy: probe(blind(Sense::Busy), || busy),
            orders: probe(blind(Sense::Orders), || school.disk.orders.clone()),
            left_on: probe(blind(Sense::LeftOn), || left_on),
            onboot: probe(blind(Sense::Onboot), onboot),
            seeded: probe(blind(Sense::Seeding), seeded),
            journal: school.disk.journal.clone(),
            running: running.to_vec(),
        };
        if self.has(Bug::ForgetsOrders) {
            observed.orders = Probe::Seen(Orders::default());
        }
        if self.has(Bug::ForgetsRollbacks)
            && let Probe::Seen(orders) = &mut observed.orders
        {
            for image in orders.clone().rolled_back().keys() {
                orders.resume(Subject::Image(image.clone()), observed.at);
            }
        }
        if self.has(Bug::NeverStops)
            && let Probe::Seen(orders) = &mut observed.orders
        {
            orders.resume(Subject::Server, observed.at);
        }
        if self.has(Bug::OpensAllWaves) {
            for live in observed.live.values_mut() {
                if let Probe::Seen(live) = live {
                    let files = live.base.iter_mut().chain(&mut live.diff);
                    files.for_each(|file| file.record = None);
                }
            }
        }
        if self.has(Bug::Restless) {
            for files in observed.classes.values_mut() {
                if let Probe::Seen(files) = files {
                    files.grub = crate::planning::Grub::Stale;
                }
            }
        }
        observed
    }
}

fn probe<T>(blind: Option<String>, seen: impl FnOnce() -> T) -> Probe<T> {
    match blind {
        Some(cause) => Probe::Unseen(cause),
        None => Probe::Seen(seen()),
    }
}

impl Hands for Port {
    async fn perform(&self, step: &Step, tell: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        if self.world.sites[self.site].dying.get() {
            // Killed between the record and the step: nothing of it happens.
            return std::future::pending().await;
        }
        let foretold = self.foretell(step);
        let mut hosts = Vec::new();
        let mut listen = |progress: Progress| {
            if let Progress::Host(host, outcome) = &progress {
                hosts.push((host.clone(), outcome.clone()));
            }
            self.world.sites[self.site].rest.went_on(&progress);
            tell(progress);
        };
        self.act(step, &mut listen).await?;
        if let Some(foretold) = foretold {
            self.compare(step, &foretold, &hosts);
        }
        Ok(())
    }

    fn record(&self, record: &Record) -> Result<(), anyhow::Error> {
        let site = &self.world.sites[self.site];
        if site.dying.get() {
            bail!("cannot write the journal: the process is being killed");
        }
        let mut school = site.school.borrow_mut();
        // Each of these befalls one record.
        let mut once = |wanted: &Kind| {
            let found = school.faults.iter().find(|(_, kind)| *kind == wanted);
            let found = found.map(|(number, _)| *number);
            found.and_then(|number| school.faults.remove(&number))
        };
        if once(&Kind::TornRecord).is_some() {
            self.tear(&mut school, record);
            site.dying.set(true);
            bail!("cannot write the journal: cut off in the middle");
        }
        let killed = once(&Kind::KilledAtRecord).is_some();
        if school.suffers(|kind| matches!(kind, Kind::JournalFull)) {
            return Err(anyhow!("cannot write the journal: no space left on device"));
        }
        let mut record = record.clone();
        match &mut record.entry {
            Entry::Host { .. } if self.has(Bug::ForgetsHosts) => return Ok(()),
            Entry::Told { opened, .. } if self.has(Bug::ForgetsLetters) => opened.clear(),
            Entry::Announced { keys } if self.has(Bug::ForgetsLetters) => keys.clear(),
            _ => {}
        }
        school.disk.journal.fold(&record);
        drop(school);
        if let Entry::Commit { id, .. } = &record.entry {
            let number = self.world.remote.borrow().find(id);
            let before = site.school.borrow().disk.applied;
            if before != number {
                self.world.at_odds.set(self.world.time.now());
            }
            site.school.borrow_mut().disk.applied = number;
            if let Some(number) = number {
                self.happened(What::Commit(number));
            }
        }
        if killed {
            site.dying.set(true);
        }
        Ok(())
    }

    async fn send(&self, letter: &Letter) -> Result<(), anyhow::Error> {
        self.nap(self.world.latency(self.site, "mail", 200, 5000))
            .await;
        if self
            .school()
            .borrow()
            .suffers(|kind| matches!(kind, Kind::MailDown))
        {
            self.happened(What::NoLetter);
            bail!("the relay does not answer");
        }
        if !self.has(Bug::TellsNobody) {
            self.happened(What::Letter(letter.clone()));
        }
        Ok(())
    }

    fn publish(&self, _: &str) -> Result<(), anyhow::Error> {
        bail!("nobody fetches a calendar here")
    }
}
