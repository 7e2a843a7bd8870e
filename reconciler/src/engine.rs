//! The loop: observe, plan, judge, begin what is ready, look again whenever something ended or a
//! tick has gone by, until nothing runs and nothing can begin.
//!
//! # Invariants
//!
//! A record is durable before a step begins. Nothing is retried here: the next round is the retry, and
//! waiting is the planner's. While something long runs the loop keeps looking, so that a window that
//! opens is not missed and a commit that was merged meanwhile counts. Dropping the whole loop at any
//! await loses nothing: what was begun stands in the journal, what is true is observed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use schema::name::{HostName, RoomName};
use tokio::sync::mpsc;

use crate::linbo::verdict::HostOutcome;
use crate::planning::{
    Action, Desired, Entry, Observed, Plan, Record, Running, Step, StepId, StepResult, Violation, audit, plan,
};
use crate::report::title;
use crate::world::{CommitLine, Failure, Hands, Problem, Progress, Senses, Target};

/// How often the loop looks, and when it began.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Between two observations while something runs.
    pub tick: Duration,
    /// Between two looks at the state repo while something runs.
    pub pull: Duration,
}

/// Something that people who watch may want to know at once.
#[derive(Debug)]
pub enum Event<'a> {
    /// A commit is worked towards.
    Target(&'a Target),
    /// A plan was made.
    Planned(&'a Plan),
    /// A step begins.
    Started(&'a Step),
    /// A step goes on.
    Progress(&'a Step, &'a Progress),
    /// A step ended.
    Finished(&'a Step, &'a StepResult),
}

/// What a pass did, and how it left things.
#[derive(Debug, Default)]
pub struct Summary {
    /// The commit worked towards.
    pub commit: Option<CommitLine>,
    /// What is wrong with the state repo.
    pub problems: Vec<Problem>,
    /// The steps that ended, in the order of their ends.
    pub finished: Vec<(Step, StepResult)>,
    /// The last outcome of each host.
    pub hosts: BTreeMap<HostName, (RoomName, HostOutcome)>,
    /// The last observation and the plan made of it, which has no steps when the pass ran to its end.
    pub last: Option<(Observed, Plan)>,
    /// What the judge found wrong with a plan, if anything: then nothing more was begun.
    pub violations: Vec<Violation>,
    /// What made the journal unwritable, if anything: then nothing more was begun.
    pub journal: Option<anyhow::Error>,
    /// Whether it was asked to stop.
    pub stopped: bool,
}

/// One pass, until nothing runs and nothing can begin, or until `stop` resolves: then nothing more is
/// begun, and what runs is left at its next safe point.
pub async fn converge<W: Senses + Hands>(
    world: &W,
    pass: Timestamp,
    rhythm: Rhythm,
    stop: impl Future<Output = ()>,
    emit: &mut dyn FnMut(Event<'_>),
) -> Summary {
    let mut pass = Pass { world, pass, summary: Summary::default(), done: BTreeSet::new(), heard: BTreeSet::new() };
    let stopped = {
        let run = pin!(pass.run(rhythm, emit));
        let stop = pin!(stop);
        matches!(select(run, stop).await, Either::Right(_))
    };
    pass.summary.stopped = stopped;
    pass.summary
}

struct Pass<'w, W> {
    world: &'w W,
    pass: Timestamp,
    summary: Summary,
    /// Steps that ended well in this pass.
    done: BTreeSet<StepId>,
    /// Hosts whose outcome is known since their reset began.
    heard: BTreeSet<HostName>,
}

type Told = (StepId, Progress);
type Ended = (StepId, Result<(), Failure>);

impl<W: Senses + Hands> Pass<'_, W> {
    async fn run(&mut self, rhythm: Rhythm, emit: &mut dyn FnMut(Event<'_>)) {
        let world = self.world;
        if !self.record(Entry::PassStarted) {
            return;
        }
        let mut target = world.target().await;
        let mut pulled = world.instant();
        emit(Event::Target(&target));
        self.note(&target);
        let (tell, mut told) = mpsc::unbounded_channel::<Told>();
        let mut running: Vec<Running> = Vec::new();
        let mut work = FuturesUnordered::new();
        loop {
            let Some(desired) = &target.desired else { return };
            let mut ended: VecDeque<Ended> = VecDeque::new();
            let observed = {
                let mut observe = pin!(world.observe(desired, &running));
                loop {
                    tokio::select! {
                        biased;
                        Some(end) = work.next(), if !work.is_empty() => ended.push_back(end),
                        observed = &mut observe => break observed,
                    }
                }
            };
            if ended.is_empty() {
                let now = observed.at;
                self.begin(desired, observed, &mut running, emit, |step| {
                    let tell = tell.clone();
                    work.push(async move {
                        let id = step.id.clone();
                        let told_as = id.clone();
                        let mut tell = move |progress| {
                            // The receiver lives as long as the pass.
                            _ = tell.send((told_as.clone(), progress));
                        };
                        let result = world.perform(&step, &mut tell).await;
                        (id, result)
                    });
                    now
                });
                if work.is_empty() {
                    return;
                }
                let tick = world.sleep(rhythm.tick);
                let mut tick = pin!(tick);
                while ended.is_empty() {
                    tokio::select! {
                        biased;
                        Some((id, progress)) = told.recv() => self.progress(&running, &id, &progress, emit),
                        Some(end) = work.next() => ended.push_back(end),
                        () = &mut tick => break,
                    }
                }
            }
            while let Ok((id, progress)) = told.try_recv() {
                self.progress(&running, &id, &progress, emit);
            }
            for (id, result) in ended {
                if let Some(index) = running.iter().position(|running| running.step.id == id) {
                    let Running { step, .. } = running.remove(index);
                    self.end(step, result, emit);
                }
            }
            if world.instant().duration_since(pulled) >= rhythm.pull {
                target = world.target().await;
                pulled = world.instant();
                emit(Event::Target(&target));
                self.note(&target);
            }
        }
    }

    /// Takes a target up, whose commit is noted durably before anything is done for it.
    fn note(&mut self, target: &Target) {
        self.summary.problems.clone_from(&target.problems);
        if let Some(commit) = &target.commit
            && self.summary.commit.as_ref() != Some(commit)
        {
            self.record(Entry::Commit { id: commit.id.clone(), subject: commit.subject.clone() });
        }
        self.summary.commit.clone_from(&target.commit);
    }

    /// Begins what the plan says, unless the judge objects or the journal cannot be written.
    fn begin(
        &mut self,
        desired: &Desired,
        observed: Observed,
        running: &mut Vec<Running>,
        emit: &mut dyn FnMut(Event<'_>),
        mut spawn: impl FnMut(Step) -> Timestamp,
    ) {
        let plan = plan(desired, &observed);
        let violations = audit(desired, &observed, &plan);
        emit(Event::Planned(&plan));
        let steps = plan.steps.clone();
        self.summary.last = Some((observed, plan));
        if !violations.is_empty() {
            self.summary.violations = violations;
        }
        for step in steps {
            if !self.summary.violations.is_empty() || self.summary.journal.is_some() {
                return;
            }
            // A reset has outcomes of its own, and its hosts are tried again by them.
            if self.done.contains(&step.id) && !matches!(step.action, Action::ResetRoom { .. }) {
                let why = "it was done, but its effect was not seen afterwards".to_owned();
                self.finish(step, StepResult::Failed { why, evidence: Vec::new() }, emit);
                continue;
            }
            if self.record(Entry::Started { step: step.id.clone(), title: title::of_step(&step) }) {
                if let Action::ResetRoom { hosts, .. } = &step.action {
                    hosts.iter().for_each(|wake| _ = self.heard.remove(&wake.host));
                }
                emit(Event::Started(&step));
                let since = spawn(step.clone());
                running.push(Running { step, since });
            }
        }
    }

    fn progress(&mut self, running: &[Running], id: &StepId, progress: &Progress, emit: &mut dyn FnMut(Event<'_>)) {
        let Some(Running { step, .. }) = running.iter().find(|running| running.step.id == *id) else { return };
        if let (Progress::Host(host, outcome), Action::ResetRoom { room, .. }) = (progress, &step.action) {
            self.host(id, room, host, outcome);
        }
        emit(Event::Progress(step, progress));
    }

    fn host(&mut self, step: &StepId, room: &RoomName, host: &HostName, outcome: &HostOutcome) {
        self.heard.insert(host.clone());
        self.summary.hosts.insert(host.clone(), (room.clone(), outcome.clone()));
        self.record(Entry::Host { step: step.clone(), host: host.clone(), outcome: outcome.clone() });
    }

    fn end(&mut self, step: Step, result: Result<(), Failure>, emit: &mut dyn FnMut(Event<'_>)) {
        let result = match result {
            Ok(()) => StepResult::Done,
            Err(Failure::Paused) => StepResult::Paused,
            Err(Failure::Failed { error, evidence }) => {
                StepResult::Failed { why: format!("{error:#}"), evidence }
            }
        };
        if let (StepResult::Done, Action::ResetRoom { room, hosts, .. }) = (&result, &step.action) {
            for wake in hosts.iter().filter(|wake| !self.heard.contains(&wake.host)).cloned().collect::<Vec<_>>() {
                let why = "nothing was heard of it".to_owned();
                self.host(&step.id, room, &wake.host, &HostOutcome::Unknown { why });
            }
        }
        if result == StepResult::Done {
            self.done.insert(step.id.clone());
        }
        self.finish(step, result, emit);
    }

    fn finish(&mut self, step: Step, result: StepResult, emit: &mut dyn FnMut(Event<'_>)) {
        self.record(Entry::Finished { step: step.id.clone(), result: result.clone() });
        emit(Event::Finished(&step, &result));
        self.summary.finished.push((step, result));
    }

    /// Whether the record is on the disk.
    fn record(&mut self, entry: Entry) -> bool {
        let record = Record { at: self.world.now(), pass: self.pass, entry };
        match self.world.record(&record) {
            Ok(()) => true,
            Err(error) => {
                self.summary.journal.get_or_insert(error);
                false
            }
        }
    }
}
