//! The days to come: the planner run forward over what its steps are expected to do, each as long as it is expected
//! to take.
//!
//! It is what would happen if nothing went wrong, nobody used a PC and nothing was merged: a timetable, and no promise.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schema::name::SchoolName;
use serde::Serialize;

use crate::planning::action::{Action, Circuit, Step, StepId};
use crate::planning::desired::{Desired, Server};
use crate::planning::observed::{Observed, Running};
use crate::planning::plan::{CircuitPeak, Hold, Plan, plan};
use crate::planning::predict::predict;
use crate::planning::slots::{Slot, content};
use crate::planning::wake::wake;

/// What is to come at one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Forecast {
    /// When it was observed.
    pub at: Timestamp,
    /// How far it looks.
    pub until: Timestamp,
    /// What is done, in the order in which it begins.
    pub work: Vec<Foreseen>,
    /// The most hosts that are on at once, by circuit, and when.
    pub peaks: Vec<CircuitPeak>,
    /// Who may use the central server's line: this school, or all of them at the central server.
    pub slots: Vec<(SchoolName, Slot)>,
    /// What then still waits, as far as a person has to do something before.
    pub blocked: Vec<Hold>,
}

/// A step that is foreseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// The step, as it is planned at its beginning.
    pub step: Step,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Whether it is through then, or goes on another time.
    pub is_through: bool,
}

/// More events than any sensible span has: a planner that goes in circles must not keep people waiting.
const MOST_EVENTS: usize = 20_000;
/// What waits is not looked at more often than this.
const STEP: SignedDuration = SignedDuration::from_mins(1);
/// How long rooms take of which the plan has no turn.
const RESET: SignedDuration = SignedDuration::from_mins(30);
const SHORT: SignedDuration = SignedDuration::from_secs(10);
const IMPORT: SignedDuration = SignedDuration::from_mins(2);
const ACTIVATE: SignedDuration = SignedDuration::from_mins(1);
/// A torrent is made by reading the whole file.
const SEED: SignedDuration = SignedDuration::from_mins(3);

/// Runs the planner forward from what was observed until an instant.
pub fn forecast(desired: &Desired, observed: Observed, until: Timestamp) -> Forecast {
    let mut future = Future {
        forecast: Forecast {
            at: observed.at,
            until,
            work: Vec::new(),
            peaks: Vec::new(),
            slots: slots(desired, observed.at, until),
            blocked: Vec::new(),
        },
        observed,
        running: Vec::new(),
        moved: BTreeMap::new(),
        peaks: BTreeMap::new(),
    };
    for _ in 0..MOST_EVENTS {
        let plan = plan(desired, &future.observed);
        future.note(&plan);
        if future.begin(&plan) {
            continue;
        }
        let at = future.observed.at;
        let soonest = at.saturating_add(STEP).unwrap_or(at);
        let wake = wake(&plan, desired, at).map(|wake| wake.max(soonest));
        let ends = future.running.iter().map(|one| one.ends);
        let next = ends.chain(wake).min();
        match next {
            Some(next) if next < until => future.advance(next),
            _ => {
                let blocked = plan.holds.into_iter();
                future.forecast.blocked =
                    blocked.filter(|hold| hold.gate.needs_a_person()).collect();
                break;
            }
        }
    }
    future.forecast.peaks = future.peaks.into_values().collect();
    future.forecast
}

fn slots(desired: &Desired, at: Timestamp, until: Timestamp) -> Vec<(SchoolName, Slot)> {
    let all = desired.slots.iter().flat_map(|slots| slots.iter());
    let mine = |school: &SchoolName| match &desired.server {
        Server::Central => true,
        Server::School(name) => name == school,
    };
    let coming = all.filter(|(school, slot)| mine(school) && at < slot.until && slot.from < until);
    let mut coming: Vec<_> = coming
        .map(|(school, slot)| (school.clone(), *slot))
        .collect();
    coming.sort_by(|(one, a), (other, b)| (a.from, one).cmp(&(b.from, other)));
    coming
}

struct Future {
    forecast: Forecast,
    observed: Observed,
    running: Vec<Going>,
    /// Bytes of downloads that were cut off.
    moved: BTreeMap<StepId, u64>,
    peaks: BTreeMap<Circuit, CircuitPeak>,
}

struct Going {
    step: Step,
    ends: Timestamp,
    is_through: bool,
}

impl Future {
    fn note(&mut self, plan: &Plan) {
        for peak in &plan.peaks {
            let most = self.peaks.entry(peak.circuit.clone());
            let most = most.or_insert_with(|| peak.clone());
            if peak.hosts > most.hosts {
                *most = peak.clone();
            }
        }
    }

    /// Begins the steps of a plan; whether there were any.
    fn begin(&mut self, plan: &Plan) -> bool {
        let at = self.observed.at;
        for step in &plan.steps {
            let (from, ends, is_through) = self.takes(plan, step);
            self.observed.running.push(Running::begun(step.clone(), at));
            self.forecast.work.push(Foreseen {
                step: step.clone(),
                from,
                until: ends,
                is_through,
            });
            self.running.push(Going {
                step: step.clone(),
                ends,
                is_through,
            });
        }
        !plan.steps.is_empty()
    }

    /// When a step begins to do something, when it ends, and whether it is through then.
    fn takes(&self, plan: &Plan, step: &Step) -> (Timestamp, Timestamp, bool) {
        let at = self.observed.at;
        let span = match &step.action {
            Action::Download {
                bytes,
                rate,
                from,
                until,
                ..
            } => {
                let left = bytes.0 - self.moved.get(&step.id).copied().unwrap_or(0).min(bytes.0);
                // A line without a limit is taken for one of a gigabit.
                let per_second = rate
                    .map_or(125_000_000, |rate| content(rate).bits() / 8)
                    .max(1);
                let seconds = i64::try_from(left.div_ceil(per_second)).unwrap_or(i64::MAX);
                let ends = from.saturating_add(SignedDuration::from_secs(seconds));
                let ends = ends.unwrap_or(*until);
                return (*from, ends.min(*until), ends <= *until);
            }
            Action::ResetRoom { room, .. } => {
                let turn = plan.turns.iter().find(|turn| turn.room == *room);
                turn.map_or(RESET, |turn| turn.until.duration_since(at).max(SHORT))
            }
            Action::WriteStartConf { .. }
            | Action::SetRows { .. }
            | Action::SetClasses { .. }
            | Action::SwitchOff { .. }
            | Action::Delete { .. } => SHORT,
            Action::ImportDevices { .. } => IMPORT,
            Action::Activate { .. } | Action::Stage { .. } => ACTIVATE,
            Action::Seed { .. } => SEED,
        };
        (at, at.saturating_add(span).unwrap_or(at), true)
    }

    /// Goes on to an instant, at which some steps may end.
    fn advance(&mut self, to: Timestamp) {
        self.observed.at = to;
        let ended: Vec<Going> = self.running.extract_if(.., |one| one.ends <= to).collect();
        for Going {
            step, is_through, ..
        } in ended
        {
            let running = &mut self.observed.running;
            running.retain(|running| running.step.id != step.id);
            if is_through {
                predict(&mut self.observed, &step);
                self.moved.remove(&step.id);
            } else if let Action::Download {
                rate: Some(rate),
                from,
                until,
                ..
            } = &step.action
            {
                let seconds = until.duration_since(*from).as_secs().unsigned_abs();
                *self.moved.entry(step.id).or_default() += content(*rate).bits() / 8 * seconds;
            }
        }
    }
}
