//! One line for each step and each hold: the words by which people know them, everywhere the same.

use crate::planning::Step;

/// What a step does.
#[must_use]
pub fn of_step(step: &Step) -> String {
    step.id.to_string()
}
