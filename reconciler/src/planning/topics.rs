//! The topics that a plan is made of, each a function that proposes steps and holds.
//!
//! Their order is the order of a plan, and what comes first is admitted first.

mod classes;
mod images;
mod import;
mod leftovers;
mod rebrand;
mod retention;
pub(in crate::planning) mod rooms;
mod rows;
mod test_classes;
mod waiting;

use crate::linbo::devices::Devices;
use crate::planning::desired::Desired;
use crate::planning::gates::Gate;
use crate::planning::observed::Observed;
use crate::planning::plan::Drafts;

use waiting::Waiting;

/// A topic.
pub(super) type Topic = fn(&Desired, &Observed, &mut Drafts<'_>);

/// All topics.
pub(super) const ALL: &[Topic] = &[
    classes::propose,
    rows::propose,
    test_classes::propose,
    // After all that it has to follow: what changes a file takes the import first.
    import::propose,
    rebrand::propose,
    images::propose,
    rooms::propose,
    leftovers::propose,
    retention::propose,
];

/// What is wrong with `devices.csv`, if something is: the import would stop at it.
fn bad_devices(devices: &Devices) -> Option<Gate> {
    let (first, others) = devices.problems().split_first()?;
    let more = match others.len() {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    Some(Gate::BadDevices(format!(
        "line {}: {}{more}",
        first.line, first.message
    )))
}
