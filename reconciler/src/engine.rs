//! The loop: observe, plan, judge, begin what is ready, look again whenever something ended or a
//! tick has gone by, until nothing runs and nothing can begin.
//!
//! # Invariants
//!
//! A record is durable before a step begins. Nothing is retried here: the next round is the retry, and
//! waiting is the planner's. While something long runs the loop keeps looking, so that a window that
//! opens is not missed and a commit that was merged meanwhile counts. Dropping the whole loop at any
//! await loses nothing: what was begun stands in the journal, what is true is observed.

pub mod close;

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use schema::name::{HostName, RoomName};
use tokio::sync::mpsc;

use crate::linbo::verdict::HostOutcome;
use crate::planning::ledger::version_of;
use crate::planning::{
    Action, Desired, Entry, Observed, Plan, Record, Running, Step, StepId, StepResult, audit, plan,
};
use crate::report::summary::Summary;
use crate::report::title;
use crate::world::{Failure, Hands, Progress, Senses, Target};

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

/// One pass, until nothing runs and nothing can begin, or until `stop` resolves: then nothing more is
/// begun, and what runs is left at its next safe point.
pub async fn converge<W: Senses + Hands>(
    world: &W,
    pass: Timestamp,
    rhythm: Rhythm,
    stop: impl Future<Output = ()>,
    emit: &mut dyn FnMut(Event<'_>),
) -> Summary {
    let (tell, told) = mpsc::unbounded_channel();
    let mut pass = Pass {
        world,
        pass,
        summary: Summary::default(),
        running: Vec::new(),
        told,
        done: Vec::new(),
        heard: BTreeSet::new(),
        unseen: Vec::new(),
    };
    let stopped = {
        let run = pin!(pass.run(rhythm, tell, emit));
        let stop = pin!(stop);
        // The stop is asked first, so that nothing is begun when it has come already.
        matches!(select(stop, run).await, Either::Left(_))
    };
    // What hosts said until then is kept, and known to whoever tells people.
    pass.listen(emit);
    if let Some((observed, _)) = &mut pass.summary.last {
        let unseen = pass.unseen.iter();
        unseen.for_each(|record| observed.journal.fold(record));
    }
    pass.summary.stopped = stopped;
    pass.summary
}

struct Pass<'w, W> {
    world: &'w W,
    pass: Timestamp,
    summary: Summary,
    running: Vec<Running>,
    told: mpsc::UnboundedReceiver<Told>,
    /// Steps that ended well in this pass and should not be wanted again.
    done: Vec<Step>,
    /// Hosts whose outcome is known since their reset began.
    heard: BTreeSet<HostName>,
    /// Records that the last look did not see yet.
    unseen: Vec<Record>,
}

type Told = (StepId, Progress);
type Ended = (StepId, Result<(), Failure>);

impl<W: Senses + Hands> Pass<'_, W> {
    async fn run(
        &mut self,
        rhythm: Rhythm,
        tell: mpsc::UnboundedSender<Told>,
        emit: &mut dyn FnMut(Event<'_>),
    ) {
        let world = self.world;
        if !self.record(Entry::PassStarted) {
            return;
        }
        let mut target = world.target().await;
        let mut pulled = world.instant();
        emit(Event::Target(&target));
        self.note(&target);
        let mut work = FuturesUnordered::new();
        loop {
            let Some(desired) = &target.desired else {
                return;
            };
            let mut ended: VecDeque<Ended> = VecDeque::new();
            let observed =
                meanwhile(&mut work, &mut ended, world.observe(desired, &self.running)).await;
            let desired = &observed.obeyed(desired);
            if let Some(before) = self.summary.desired.replace(Arc::clone(desired))
                && before.gone_back != desired.gone_back
            {
                self.done.clear();
            }
            if ended.is_empty() {
                let now = observed.at;
                let look_again = self.begin(desired, observed, emit, |step| {
                    let tell = tell.clone();
                    work.push(async move {
                        let id = step.id.clone();
                        let told_as = id.clone();
                        let mut tell = move |progress| {
                            // The receiver lives as long as the pass.
                            drop(tell.send((told_as.clone(), progress)));
                        };
                        let result = world.perform(&step, &mut tell).await;
                        (id, result)
                    });
                    now
                });
                if look_again {
                    continue;
                }
                if work.is_empty() {
                    return;
                }
                let tick = world.sleep(rhythm.tick);
                let mut tick = pin!(tick);
                while ended.is_empty() {
                    tokio::select! {
                        biased;
                        Some((id, progress)) = self.told.recv() => self.progress(&id, &progress, emit),
                        Some(end) = work.next() => ended.push_back(end),
                        () = &mut tick => break,
                    }
                }
            }
            self.finish_all(ended, emit);
            if world.instant().duration_since(pulled) >= rhythm.pull {
                let mut ended = VecDeque::new();
                let next = meanwhile(&mut work, &mut ended, world.target()).await;
                pulled = world.instant();
                self.finish_all(ended, emit);
                self.note(&next);
                // What runs is not dropped because the state repo could not be read just now.
                if next.desired.is_some() {
                    if next.desired != target.desired {
                        self.done.clear();
                    }
                    if next.commit != target.commit {
                        emit(Event::Target(&next));
                    }
                    target = next;
                }
            }
        }
    }

    /// Takes in what was told so far.
    fn listen(&mut self, emit: &mut dyn FnMut(Event<'_>)) {
        while let Ok((id, progress)) = self.told.try_recv() {
            self.progress(&id, &progress, emit);
        }
    }

    fn finish_all(&mut self, ended: VecDeque<Ended>, emit: &mut dyn FnMut(Event<'_>)) {
        self.listen(emit);
        for (id, result) in ended {
            if let Some(index) = self
                .running
                .iter()
                .position(|running| running.step.id == id)
            {
                let Running { step, .. } = self.running.remove(index);
                self.end(Arc::unwrap_or_clone(step), result, emit);
            }
        }
    }

    /// Takes a target up, whose commit is noted durably before anything is done for it.
    fn note(&mut self, target: &Target) {
        self.summary.problems.clone_from(&target.problems);
        let Some(commit) = &target.commit else { return };
        if self.summary.commit.as_ref() == Some(commit) {
            return;
        }
        self.record(Entry::Commit {
            id: commit.id.clone(),
            subject: commit.subject.clone(),
        });
        self.summary.commit = Some(commit.clone());
    }

    /// Begins what the plan says, unless the judge objects or the journal cannot be written. Whether
    /// the plan has to be made anew, since a step turned out to have been in vain.
    fn begin(
        &mut self,
        desired: &Desired,
        observed: Observed,
        emit: &mut dyn FnMut(Event<'_>),
        mut spawn: impl FnMut(Step) -> Timestamp,
    ) -> bool {
        let plan = plan(desired, &observed);
        let violations = audit(desired, &observed, &plan);
        emit(Event::Planned(&plan));
        let steps = plan.steps.clone();
        self.summary.last = Some((observed, plan));
        self.unseen.clear();
        if !violations.is_empty() {
            self.summary.violations = violations;
        }
        let mut look_again = false;
        for step in steps {
            if !self.summary.violations.is_empty() || self.summary.journal.is_some() {
                return false;
            }
            if let Some(index) = self.done.iter().position(|done| done.id == step.id) {
                self.done.remove(index);
                look_again = true;
                let why = "it was done, but its effect was not seen afterwards".to_owned();
                self.finish(
                    step,
                    StepResult::Failed {
                        why,
                        evidence: Vec::new(),
                    },
                    emit,
                );
                continue;
            }
            if self.record(Entry::Started {
                step: step.id.clone(),
                title: title::of_step(&step),
                hosts: match &step.action {
                    Action::ResetRoom { hosts, .. } => {
                        hosts.iter().map(|wake| wake.host.clone()).collect()
                    }
                    _ => Vec::new(),
                },
            }) {
                if let Action::ResetRoom { hosts, .. } = &step.action {
                    hosts
                        .iter()
                        .for_each(|wake| _ = self.heard.remove(&wake.host));
                }
                emit(Event::Started(&step));
                let since = spawn(step.clone());
                self.running.push(Running::begun(step, since));
            }
        }
        look_again
    }

    fn progress(&mut self, id: &StepId, progress: &Progress, emit: &mut dyn FnMut(Event<'_>)) {
        let now = self.world.now();
        let Some(running) = self
            .running
            .iter_mut()
            .find(|running| running.step.id == *id)
        else {
            return;
        };
        match progress {
            Progress::Admitted(host) => {
                running.admitted.insert(host.clone(), now);
            }
            Progress::Host(host, _) => {
                running.heard.insert(host.clone());
            }
            Progress::Bytes { .. } | Progress::Note(_) => {}
        }
        let step = &Arc::clone(&running.step);
        if let (Progress::Host(host, outcome), Action::ResetRoom { room, .. }) =
            (progress, &step.action)
        {
            self.host(id, room, host, outcome);
        }
        emit(Event::Progress(step, progress));
    }

    fn host(&mut self, step: &StepId, room: &RoomName, host: &HostName, outcome: &HostOutcome) {
        self.heard.insert(host.clone());
        let version = match (outcome, &self.summary.last) {
            (HostOutcome::Applied { file, stamp, .. }, Some((observed, _))) => {
                version_of(observed, file, stamp.as_ref()).cloned()
            }
            _ => None,
        };
        self.summary
            .hosts
            .insert(host.clone(), (room.clone(), outcome.clone()));
        self.record(Entry::Host {
            step: step.clone(),
            host: host.clone(),
            outcome: outcome.clone(),
            version,
        });
    }

    fn end(&mut self, step: Step, result: Result<(), Failure>, emit: &mut dyn FnMut(Event<'_>)) {
        let result = match result {
            Ok(()) => StepResult::Done,
            Err(Failure::Paused) => StepResult::Paused,
            Err(Failure::Failed { error, evidence }) => StepResult::Failed {
                why: format!("{error:#}"),
                evidence,
            },
        };
        if let (StepResult::Done, Action::ResetRoom { room, hosts, .. }) = (&result, &step.action) {
            for wake in hosts
                .iter()
                .filter(|wake| !self.heard.contains(&wake.host))
                .cloned()
                .collect::<Vec<_>>()
            {
                let outcome = HostOutcome::Unknown {
                    why: "nothing was heard of it".to_owned(),
                    evidence: Vec::new(),
                    restored: Vec::new(),
                };
                self.host(&step.id, room, &wake.host, &outcome);
                emit(Event::Progress(&step, &Progress::Host(wake.host, outcome)));
            }
        }
        if result == StepResult::Done {
            self.done.retain(|done| !renews(&step.action, &done.action));
            // A reset has outcomes of its own, and its hosts are tried again by them.
            if !matches!(step.action, Action::ResetRoom { .. }) {
                self.done.push(step.clone());
            }
        }
        self.finish(step, result, emit);
    }

    fn finish(&mut self, step: Step, result: StepResult, emit: &mut dyn FnMut(Event<'_>)) {
        self.record(Entry::Finished {
            step: step.id.clone(),
            result: result.clone(),
        });
        emit(Event::Finished(&step, &result));
        self.summary.finished.push((step, result));
    }

    /// Whether the record is on the disk.
    fn record(&mut self, entry: Entry) -> bool {
        let record = Record {
            at: self.world.now(),
            pass: self.pass,
            entry,
        };
        match self.world.record(&record) {
            Ok(()) => {
                self.unseen.push(record);
                true
            }
            Err(error) => {
                self.summary.journal.get_or_insert(error);
                false
            }
        }
    }
}

/// Awaits `what` while steps go on, and notes those that end meanwhile.
async fn meanwhile<T>(
    work: &mut FuturesUnordered<impl Future<Output = Ended>>,
    ended: &mut VecDeque<Ended>,
    what: impl Future<Output = T>,
) -> T {
    let mut what = pin!(what);
    loop {
        tokio::select! {
            biased;
            Some(end) = work.next(), if !work.is_empty() => ended.push_back(end),
            found = &mut what => return found,
        }
    }
}

/// Whether an action makes another one that was done before needed once more.
fn renews(action: &Action, done: &Action) -> bool {
    match (action, done) {
        (Action::Activate { image, .. }, Action::Seed { image: seeded, .. }) => image == seeded,
        (
            Action::WriteStartConf { .. } | Action::SetRows { .. } | Action::SetClasses { .. },
            Action::ImportDevices { .. },
        ) => true,
        _ => false,
    }
}
