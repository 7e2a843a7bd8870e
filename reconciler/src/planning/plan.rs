//! The plan: what is to be done now, and what is wanted but has to wait.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::name::{ClassName, FileName, ImageName, RoomName, VersionName};
use serde::Serialize;

use crate::planning::action::{Action, Circuit, Resource, Share, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::{Closed, Gate, SKEW};
use crate::planning::guard::Guard;
use crate::planning::journal::backoff;
use crate::planning::observed::Observed;
use crate::planning::orders::Subject;
use crate::planning::suspension;
use crate::planning::topics;

/// Steps that may begin now, and holds: what is wanted but has to wait, with what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[must_use = "a plan that nobody reads or applies changes nothing"]
pub struct Plan {
    /// In the order in which they are to begin. They do not depend on one another.
    pub steps: Vec<Step>,
    /// In the order of the topics.
    pub holds: Vec<Hold>,
    /// When which room is thought to be at work, in the order of the rooms.
    pub turns: Vec<RoomTurn>,
    /// The most hosts that are thought to be on at once, those at work among them.
    pub peaks: Vec<CircuitPeak>,
    /// Which rooms are to get new versions of images, in the order of the rooms.
    pub rollouts: Vec<RoomRollout>,
    /// When something may begin by itself of which no hold speaks, since nobody waits for it.
    pub wake: Option<Timestamp>,
}

/// That hosts of a room are to get a new version of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomRollout {
    /// The room.
    pub room: RoomName,
    /// The image.
    pub image: ImageName,
    /// Since when the first of them may get it.
    pub since: Timestamp,
}

/// When one room is thought to be at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomTurn {
    /// The room.
    pub room: RoomName,
    /// How many of its hosts.
    pub hosts: usize,
    /// When the first is woken.
    pub from: Timestamp,
    /// When the last is off.
    pub until: Timestamp,
}

/// When most hosts are thought to be on, on one circuit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CircuitPeak {
    /// The circuit.
    pub circuit: Circuit,
    /// How many hosts.
    pub hosts: usize,
    /// Since when.
    pub at: Timestamp,
}

/// Something wanted that has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// What is wanted.
    pub goal: Goal,
    /// What it waits for.
    pub gate: Gate,
    /// When to look again, if that is known.
    pub wake: Option<Timestamp>,
}

/// What is wanted of which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// `start.conf.<class>` as the state repo says.
    StartConf(ClassName),
    /// A boot configuration that follows the classes.
    Import,
    /// So many rows of `devices.csv` as the state repo says.
    Rows(usize),
    /// So many hosts with the hardware class of a test class, or with that of their room.
    Classes(usize),
    /// A version in the store.
    Downloaded(ImageName, VersionName),
    /// A version under the name that the VM loads, in the store.
    Staged(ImageName, VersionName),
    /// A version under its production name.
    Active(ImageName, VersionName),
    /// A version that is in the store no more.
    Deleted(ImageName, VersionName),
    /// A torrent that fits its image file.
    Seeded(FileName),
    /// So many hosts of a room back at their image.
    Fresh(RoomName, usize),
    /// So many hosts off that were left on.
    Off(usize),
    /// A room whose hosts cannot all be reset.
    Room(RoomName),
}

impl From<&Action> for Goal {
    fn from(action: &Action) -> Self {
        match action {
            Action::WriteStartConf { class, .. } => Self::StartConf(class.clone()),
            Action::SetRows { rows } => Self::Rows(rows.len()),
            Action::SetClasses { hosts } => Self::Classes(hosts.len()),
            Action::ImportDevices { .. } => Self::Import,
            Action::Download { image, version, .. } => {
                Self::Downloaded(image.clone(), version.clone())
            }
            Action::Stage { image, version, .. } => Self::Staged(image.clone(), version.clone()),
            Action::Activate { image, version, .. } => Self::Active(image.clone(), version.clone()),
            Action::Delete { image, version, .. } => Self::Deleted(image.clone(), version.clone()),
            Action::Seed { file, .. } => Self::Seeded(file.clone()),
            Action::ResetRoom { room, hosts, .. } => Self::Fresh(room.clone(), hosts.len()),
            Action::SwitchOff { hosts } => Self::Off(hosts.len()),
        }
    }
}

/// The steps and holds that lead from what was observed to what is desired.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let mut drafts = Drafts {
        desired,
        guard: Guard::of(desired, observed),
        plan: Plan::default(),
        claims: Claims::of(observed),
    };
    for propose in topics::ALL {
        propose(desired, observed, &mut drafts);
    }
    drafts.plan
}

/// The plan while the topics write it.
pub(super) struct Drafts<'a> {
    desired: &'a Desired,
    guard: Guard<'a>,
    plan: Plan,
    claims: Claims<'a>,
}

impl Drafts<'_> {
    /// Notes that `goal` is wanted and has to wait.
    pub(super) fn hold(&mut self, goal: Goal, gate: Gate, wake: Option<Timestamp>) {
        self.plan.holds.push(Hold { goal, gate, wake });
    }

    /// Notes when a room is thought to be at work.
    pub(super) fn turn(&mut self, turn: RoomTurn) {
        self.plan.turns.push(turn);
    }

    /// Notes how many hosts are thought to be on.
    pub(super) fn peak(&mut self, peak: CircuitPeak) {
        self.plan.peaks.push(peak);
    }

    /// Notes that hosts of a room are to get a new version.
    pub(super) fn rollout(&mut self, rollout: RoomRollout) {
        self.plan.rollouts.push(rollout);
    }

    /// Notes that something may begin by itself.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.plan.wake = Some(self.plan.wake.map_or(at, |known| known.min(at)));
    }

    /// What the guard against mass changes holds.
    pub(super) const fn guard(&self) -> &Guard<'_> {
        &self.guard
    }

    /// What was written so far.
    pub(super) const fn so_far(&self) -> &Plan {
        &self.plan
    }

    /// Proposes a step whose gates are all open but for those that every step has: it is not running
    /// already, it is not in backoff, and what it claims is free. Otherwise it becomes a hold.
    pub(super) fn step(&mut self, step: Step) {
        let Claims { observed, .. } = &self.claims;
        if observed
            .running
            .iter()
            .any(|running| running.step.id == step.id)
        {
            return;
        }
        if let Err(Closed { gate, wake }) = suspension(self.desired, observed, &step.action) {
            return self.hold(Goal::from(&step.action), gate, wake);
        }
        let failures = observed.journal.failures(&step.id);
        if let Some(failures) = failures
            && let next = failures.last + backoff(failures.count)
            && observed.at < next
            // A clock that was put back must not stretch a wait of minutes to one of years.
            && failures.last <= observed.at + SKEW
        {
            let gate = Gate::Backoff {
                failures: failures.count,
                why: failures.why.clone(),
            };
            return self.hold(Goal::from(&step.action), gate, Some(next));
        }
        match self.claims.admit(&step.action) {
            Ok(()) => self.plan.steps.push(step),
            Err(Closed { gate, wake }) => self.hold(Goal::from(&step.action), gate, wake),
        }
    }
}

/// Whether people let an action be done.
fn suspension(desired: &Desired, observed: &Observed, action: &Action) -> Result<(), Closed> {
    let what = match action {
        Action::Download { image, .. }
        | Action::Stage { image, .. }
        | Action::Activate { image, .. }
        | Action::Delete { image, .. } => Subject::Image(image.clone()),
        Action::ResetRoom { room, .. } => Subject::Room(room.clone()),
        Action::WriteStartConf { .. }
        | Action::SetRows { .. }
        | Action::SetClasses { .. }
        | Action::ImportDevices { .. }
        | Action::Seed { .. }
        | Action::SwitchOff { .. } => Subject::Server,
    };
    suspension::check(desired, observed, &what)
}

/// What is taken of each resource by running and admitted steps.
struct Claims<'a> {
    observed: &'a Observed,
    taken: BTreeMap<Resource, u64>,
}

impl<'a> Claims<'a> {
    fn of(observed: &'a Observed) -> Self {
        let mut claims = Self {
            observed,
            taken: BTreeMap::new(),
        };
        for running in &observed.running {
            for (resource, share) in running.step.action.claims() {
                claims.take(resource, share);
            }
        }
        claims
    }

    fn take(&mut self, resource: Resource, share: Share) {
        let amount = Self::amount(&resource, share);
        *self.taken.entry(resource).or_default() += amount;
    }

    fn amount(resource: &Resource, share: Share) -> u64 {
        match share {
            Share::Whole => Self::capacity(resource),
            Share::Units(units) => u64::from(units),
        }
    }

    fn capacity(resource: &Resource) -> u64 {
        match resource {
            Resource::Image(_) | Resource::Class(_) | Resource::Import | Resource::Store => {
                u64::from(u32::MAX)
            }
            Resource::Uplink | Resource::Room(_) => 1,
        }
    }

    fn admit(&mut self, action: &Action) -> Result<(), Closed> {
        let claims = action.claims();
        for (resource, share) in &claims {
            let taken = self.taken.get(resource).copied().unwrap_or(0);
            if taken + Self::amount(resource, *share) > Self::capacity(resource) {
                return Err(Closed {
                    gate: Gate::Busy(resource.clone()),
                    wake: None,
                });
            }
        }
        for (resource, share) in claims {
            self.take(resource, share);
        }
        Ok(())
    }
}
