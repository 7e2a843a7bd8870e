//! The look-ahead: what a pass would do from here if every step had its expected effect.

use jiff::Timestamp;
use serde::Serialize;

use crate::planning::action::Step;
use crate::planning::desired::Desired;
use crate::planning::observed::Observed;
use crate::planning::plan::{CircuitPeak, Hold, RoomTurn, plan};
use crate::planning::predict::predict;

/// What a pass would do, in rounds: the steps of a round begin together, those of the next follow.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[must_use]
pub struct Preview {
    /// When it was observed.
    pub at: Timestamp,
    /// Rounds of steps.
    pub rounds: Vec<Vec<Step>>,
    /// What still waits when all of them are done.
    pub holds: Vec<Hold>,
    /// When which room is thought to be at work.
    pub turns: Vec<RoomTurn>,
    /// The most hosts that are thought to be on at once.
    pub peaks: Vec<CircuitPeak>,
}

/// More rounds than any chain of actions has.
const MOST_ROUNDS: usize = 200;

/// Plans, predicts and plans again at the same instant until nothing new can begin. Steps that compete
/// for a circuit or the uplink follow one another here as they would in time.
pub fn preview(desired: &Desired, mut observed: Observed) -> Preview {
    let mut rounds = Vec::new();
    let (mut holds, mut turns, mut peaks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..MOST_ROUNDS {
        let next = plan(desired, &observed);
        holds = next.holds;
        // The first that knows of rooms knows of all that can begin from here.
        if turns.is_empty() {
            (turns, peaks) = (next.turns, next.peaks);
        }
        if next.steps.is_empty() {
            break;
        }
        for step in &next.steps {
            predict(&mut observed, step);
        }
        rounds.push(next.steps);
    }
    Preview {
        at: observed.at,
        rounds,
        holds,
        turns,
        peaks,
    }
}

impl Preview {
    /// All steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.rounds.iter().flatten()
    }
}
