//! The loop over a world in memory, whose clock is tokio's and does not wait.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use harness::worlds::{GIB, World, applied, at, failed, name, os};
use jiff::{SignedDuration, Timestamp};
use reconciler::engine::{Event, Rhythm, converge};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{
    Action, Desired, Entry, Grub, Observed, Probe, Record, Running, Step, StepResult, predict,
};
use reconciler::report::summary::Summary;
use reconciler::world::{CommitLine, Failure, Hands, Letter, Progress, Senses, Target};
use schema::fleet::ResetCommand;
use tokio::time::Instant;

/// How a step of a kind goes.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It has its effect after so many minutes.
    Takes(u64),
    /// It ends well at once, and nothing has changed.
    Vain,
    /// It fails at once.
    Fails,
    /// It ends well, and one host was not heard of.
    Silent,
    /// It tells of its hosts a minute apart, then goes on for very long.
    Slow,
}

type Change = fn(&mut Desired);

struct Memory {
    began: Instant,
    start: Timestamp,
    desired: RefCell<Desired>,
    observed: RefCell<Observed>,
    commit: Cell<u32>,
    /// When the newest commit comes, and what it changes.
    merge: Option<(u64, Change)>,
    merged: Cell<bool>,
    fates: BTreeMap<&'static str, Fate>,
    /// The record from which on the journal cannot be written.
    full_at: usize,
    records: RefCell<Vec<Record>>,
    blind: Cell<bool>,
    /// How long a look takes.
    look: Duration,
    log: Rc<RefCell<Vec<String>>>,
    /// What whoever watches hears of hosts.
    heard: Rc<RefCell<Vec<String>>>,
}

impl Memory {
    fn new(world: World) -> Self {
        let World {
            desired, observed, ..
        } = world;
        Self {
            began: Instant::now(),
            start: observed.at,
            desired: RefCell::new(desired),
            observed: RefCell::new(observed),
            commit: Cell::new(1),
            merge: None,
            merged: Cell::new(false),
            fates: BTreeMap::new(),
            full_at: usize::MAX,
            records: RefCell::default(),
            blind: Cell::new(false),
            look: Duration::from_secs(1),
            log: Rc::default(),
            heard: Rc::default(),
        }
    }

    fn fate(mut self, kind: &'static str, fate: Fate) -> Self {
        self.fates.insert(kind, fate);
        self
    }

    fn minutes(&self) -> u64 {
        self.began.elapsed().as_secs() / 60
    }

    async fn run(&self, stop: impl Future<Output = ()>) -> Summary {
        let rhythm = Rhythm {
            tick: Duration::from_secs(30),
            pull: Duration::from_secs(300),
        };
        let (log, heard) = (Rc::clone(&self.log), Rc::clone(&self.heard));
        let began = self.began;
        let mut emit = |event: Event<'_>| {
            let what = match event {
                Event::Started(step) => format!("begin {}", short(step)),
                Event::Finished(step, StepResult::Failed { .. }) => {
                    format!("failed {}", short(step))
                }
                Event::Finished(step, _) => format!("end {}", short(step)),
                Event::Target(target) => format!("commit {}", target.commit.as_ref().unwrap().id),
                Event::Progress(_, Progress::Host(host, outcome)) => {
                    return heard.borrow_mut().push(format!("{host} {outcome}"));
                }
                Event::Planned(_) | Event::Progress(..) => return,
            };
            log.borrow_mut()
                .push(format!("{} {what}", began.elapsed().as_secs() / 60));
        };
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(
            40 * hour,
            converge(self, self.start, rhythm, stop, &mut emit),
        )
        .await
        .unwrap()
    }

    async fn log(&self) -> Vec<String> {
        self.run(std::future::pending()).await;
        self.log.borrow().clone()
    }

    fn entries(&self) -> Vec<String> {
        let line = |record: &Record| match &record.entry {
            Entry::Started { step, .. } => Some(format!("started {}", kind(&step.to_string()))),
            Entry::Finished { step, .. } => Some(format!("finished {}", kind(&step.to_string()))),
            Entry::Host { host, outcome, .. } => Some(format!(
                "{host} {}",
                outcome.to_string().split([' ', ':']).next().unwrap()
            )),
            _ => None,
        };
        self.records.borrow().iter().filter_map(line).collect()
    }
}

fn kind(id: &str) -> String {
    id.split('/').take(2).collect::<Vec<_>>().join(" ")
}

fn short(step: &Step) -> String {
    kind(&step.id.to_string())
}

impl Senses for Memory {
    async fn target(&self) -> Target {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Some((minute, change)) = self.merge
            && self.minutes() >= minute
            && !self.merged.replace(true)
        {
            change(&mut self.desired.borrow_mut());
            self.commit.set(self.commit.get() + 1);
        }
        let commit = CommitLine {
            id: self.commit.get().to_string(),
            subject: String::new(),
        };
        let desired = (!self.blind.get()).then(|| self.desired.borrow().clone().into());
        self.blind
            .set(self.blind.get() || self.merge.is_some_and(|(minute, _)| minute == u64::MAX));
        Target {
            desired,
            commit: Some(commit),
            problems: Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        self.start + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }

    async fn observe(&self, _: &Desired, running: &[Running]) -> Observed {
        let at = self.now();
        let mut observed = self.observed.borrow().clone();
        tokio::time::sleep(self.look).await;
        observed.at = at;
        observed.running = running.to_vec();
        observed
    }
}

impl Hands for Memory {
    async fn perform(&self, step: &Step, tell: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        let fate = self
            .fates
            .iter()
            .find(|(kind, _)| step.id.to_string().starts_with(**kind));
        let fate = fate.map_or(Fate::Takes(0), |(_, fate)| *fate);
        let hosts = match &step.action {
            Action::ResetRoom { hosts, .. } => hosts.clone(),
            _ => Vec::new(),
        };
        match fate {
            Fate::Takes(minutes) => {
                tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
                hosts.iter().for_each(|wake| {
                    tell(Progress::Host(wake.host.clone(), applied("ubuntu.qcow2")));
                });
                let journal = self.observed.borrow().journal.clone();
                predict(&mut self.observed.borrow_mut(), step);
                self.observed.borrow_mut().journal = journal;
            }
            Fate::Vain => {}
            Fate::Fails => return Err(anyhow::anyhow!("the disk is full").into()),
            Fate::Silent => {
                hosts
                    .iter()
                    .skip(1)
                    .for_each(|wake| tell(Progress::Host(wake.host.clone(), failed("no"))));
            }
            Fate::Slow => {
                for wake in hosts {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    tell(Progress::Host(wake.host, applied("ubuntu.qcow2")));
                }
                tokio::time::sleep(Duration::from_secs(36_000)).await;
            }
        }
        Ok(())
    }

    fn record(&self, record: &Record) -> Result<(), anyhow::Error> {
        if self.records.borrow().len() >= self.full_at {
            return Err(anyhow::anyhow!("no space left on device"));
        }
        self.records.borrow_mut().push(record.clone());
        self.observed.borrow_mut().journal.fold(record);
        Ok(())
    }

    fn publish(&self, _: &str) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn send(&self, _: &Letter) -> Result<(), anyhow::Error> {
        Ok(())
    }
}

fn stale(time: &str, hosts: usize) -> World {
    let mut world = World::empty(at(time));
    world.release("ubuntu", "1", 12 * GIB, None);
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    world.room("r101", "lab", hosts);
    world.converge();
    world.observed.journal = Default::default();
    world
}

#[tokio::test(start_paused = true)]
async fn a_window_that_opens_during_a_download_is_not_missed() {
    let mut world = stale("2026-11-23T17:00", 3);
    world.desired.windows.download = harness::worlds::windows(&["daily 00:00–24:00"]);
    world.release("mint", "1", 10 * GIB, None);
    // The Wednesday before was missed, but the window that opens at 17:30 holds the reset of 18:00 as well.
    let memory = Memory::new(world)
        .fate("download", Fate::Takes(180))
        .fate("reset", Fate::Takes(20));
    let log = memory.log().await;
    assert_eq!(
        log,
        [
            "0 commit 1",
            "0 begin download mint",
            "60 begin reset r101",
            "80 end reset r101",
            "180 end download mint",
            "180 begin activate mint",
            "180 end activate mint",
            "180 begin seed mint.qcow2",
            "180 end seed mint.qcow2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_failed_waits_for_its_time() {
    let mut world = stale("2026-11-23T22:30", 0);
    world.release("mint", "1", 10 * GIB, None);
    world.live_mut("ubuntu").base.as_mut().unwrap().torrent =
        reconciler::planning::Torrent::Missing;
    // Alone, it ends the pass: the next one is the retry.
    let memory = Memory::new(world.clone())
        .fate("download", Fate::Fails)
        .fate("seed", Fate::Takes(12));
    let log = memory.log().await;
    assert_eq!(
        log,
        [
            "0 commit 1",
            "0 begin download mint",
            "0 begin seed ubuntu.qcow2",
            "0 failed download mint",
            "5 begin download mint",
            "5 failed download mint",
            "12 end seed ubuntu.qcow2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_without_effect_is_a_failure_and_not_repeated() {
    let mut world = stale("2026-11-23T22:30", 0);
    world.live_mut("ubuntu").base.as_mut().unwrap().torrent =
        reconciler::planning::Torrent::Missing;
    let memory = Memory::new(world).fate("seed", Fate::Vain);
    let summary = memory.run(std::future::pending()).await;
    let log = memory.log.borrow().clone();
    assert_eq!(
        log,
        [
            "0 commit 1",
            "0 begin seed ubuntu.qcow2",
            "0 end seed ubuntu.qcow2",
            "0 failed seed ubuntu.qcow2"
        ]
    );
    let (_, plan) = summary.last.unwrap();
    assert!(
        plan.steps.is_empty(),
        "the plan was made anew after the failure"
    );
    assert_eq!(plan.holds.len(), 1);
}

/// An import after each file, a torrent after each activation: no failures.
#[tokio::test(start_paused = true)]
async fn what_is_needed_twice_in_a_pass_is_done_twice() {
    let mut world = stale("2026-11-23T22:30", 1);
    let minute = at("2026-11-23T22:31");
    world.outcome("r101-pc01", minute, applied("ubuntu.qcow2"));
    world.observed.at = minute;
    world.files_mut("lab").grub = Grub::Stale;
    world.live_mut("ubuntu").base.as_mut().unwrap().torrent =
        reconciler::planning::Torrent::Missing;
    world.release("mint", "1", GIB, None);
    let mut memory = Memory::new(world).fate("download", Fate::Takes(30));
    memory.merge = Some((5, |desired| {
        let class = harness::worlds::class("lab", &[os("ubuntu", ResetCommand::New)]);
        desired.classes.insert(name("lab"), class);
    }));
    let log = memory.log().await;
    let of = |what: &str| log.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!(
        (of("end import-devices"), of("end start-conf lab")),
        (2, 1),
        "{log:#?}"
    );
    assert!(log.iter().all(|line| !line.contains("failed")), "{log:#?}");
    assert!(log.contains(&"5 commit 2".to_owned()), "{log:#?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_begun_without_a_journal() {
    // The first two records are those of the pass and of its commit.
    for full_at in 0..6_usize {
        let mut world = stale("2026-11-23T22:30", 0);
        world.release("mint", "1", 10 * GIB, None);
        world.live_mut("ubuntu").base.as_mut().unwrap().torrent =
            reconciler::planning::Torrent::Missing;
        let mut memory = Memory::new(world)
            .fate("download", Fate::Takes(9))
            .fate("seed", Fate::Takes(2));
        memory.full_at = full_at;
        let summary = memory.run(std::future::pending()).await;
        let begun = memory
            .log
            .borrow()
            .iter()
            .filter(|line| line.contains("begin"))
            .count();
        assert_eq!(begun, full_at.saturating_sub(2).min(2), "{full_at}");
        assert_eq!(summary.finished.len(), begun, "what was begun ends");
        assert!(summary.journal.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_begins_nothing_more_and_keeps_what_was_heard() {
    let memory = Memory::new(stale("2026-11-23T18:30", 2));
    let summary = memory.run(std::future::ready(())).await;
    assert!(summary.stopped && memory.entries().is_empty());

    // The stop comes in the middle of a look, a moment after a host was heard.
    let mut memory = Memory::new(stale("2026-11-23T18:30", 3)).fate("reset", Fate::Slow);
    memory.look = Duration::from_secs(20);
    let stop = tokio::time::sleep(Duration::from_secs(2 + 20 + 60 + 15));
    let summary = memory.run(stop).await;
    assert!(summary.stopped);
    assert_eq!(
        memory.entries(),
        ["started reset r101", "r101-pc01 applied"]
    );
    let (observed, _) = summary.last.unwrap();
    let known = observed.journal.host(&name("r101-pc01")).attempts().len();
    assert_eq!(known, 1, "people are told by what this journal knows");
}

#[tokio::test(start_paused = true)]
async fn hosts_are_noted_in_order_and_before_the_end() {
    let memory = Memory::new(stale("2026-11-23T18:30", 3)).fate("reset", Fate::Silent);
    let summary = memory.run(std::future::pending()).await;
    let expected = [
        "started reset r101",
        "r101-pc02 failed",
        "r101-pc03 failed",
        "r101-pc01 outcome",
        "finished reset r101",
    ];
    assert_eq!(memory.entries(), expected);
    let (_, outcome) = &summary.hosts[&name::<schema::name::HostName>("r101-pc01")];
    assert!(matches!(outcome, HostOutcome::Unknown { .. }));
    let heard = memory.heard.borrow();
    assert_eq!(heard.len(), 3, "whoever watches hears of each: {heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_merged_meanwhile_counts() {
    let mut world = stale("2026-11-23T22:30", 0);
    world.release("mint", "1", 10 * GIB, None);
    let mut memory = Memory::new(world).fate("download", Fate::Takes(60));
    memory.merge = Some((10, |desired| {
        desired.classes.insert(
            name("lab"),
            harness::worlds::class("lab", &[os("ubuntu", ResetCommand::New)]),
        );
    }));
    let log = memory.log().await;
    assert!(
        log.contains(&"10 begin start-conf lab".to_owned()),
        "{log:#?}"
    );
}

/// The state repo cannot be read for a while: what runs goes on, and is not dropped.
#[tokio::test(start_paused = true)]
async fn a_state_repo_that_is_gone_stops_nothing() {
    let mut world = stale("2026-11-23T22:30", 0);
    world.release("mint", "1", 10 * GIB, None);
    let mut memory = Memory::new(world).fate("download", Fate::Takes(60));
    memory.merge = Some((u64::MAX, |_| {}));
    let log = memory.log().await;
    assert!(log.contains(&"60 end download mint".to_owned()), "{log:#?}");
    assert!(matches!(memory.observed.borrow().store, Probe::Seen(_)));
}
