//! The topics that a plan is made of, each a function that proposes steps and holds.
//!
//! Their order is the order of a plan, and what comes first is admitted first.

mod classes;
mod images;
mod leftovers;
mod retention;
pub(in crate::planning) mod rooms;

use crate::planning::desired::Desired;
use crate::planning::observed::Observed;
use crate::planning::plan::Drafts;

/// A topic.
pub(super) type Topic = fn(&Desired, &Observed, &mut Drafts<'_>);

/// All topics.
pub(super) const ALL: &[Topic] = &[
    classes::propose,
    images::propose,
    rooms::propose,
    leftovers::propose,
    retention::propose,
];
