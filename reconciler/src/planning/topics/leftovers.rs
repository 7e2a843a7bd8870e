//! Leftovers: hosts that are on though nobody needs them any more, since they came up too late or what
//! worked on them was cut off.

use std::collections::BTreeSet;

use schema::name::HostName;

use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::Gate;
use crate::planning::observed::Observed;
use crate::planning::plan::{Drafts, Plan};

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let Some(left_on) = observed.left_on.seen() else {
        return;
    };
    // Within lessons, whoever sits at a PC may have switched it on.
    let lessons = &desired.windows.lessons;
    if left_on.is_empty() || lessons.is_open(observed.at, &desired.zone) {
        return;
    }
    let needed = needed(drafts.so_far(), observed);
    let hosts: Vec<HostName> = left_on.difference(&needed).cloned().collect();
    if !hosts.is_empty() {
        drafts.step(Step::new(Action::SwitchOff { hosts }, Reason::LeftOn));
    }
}

/// Hosts that are being reset or soon will be: they are switched off at the end of that.
fn needed(plan: &Plan, observed: &Observed) -> BTreeSet<HostName> {
    let running = observed.running.iter().map(|running| &running.step);
    let steps = running
        .chain(&plan.steps)
        .filter_map(|step| match &step.action {
            Action::ResetRoom { hosts, .. } => Some(hosts.iter().map(|wake| &wake.host)),
            _ => None,
        });
    let holds = plan.holds.iter().filter_map(|hold| match &hold.gate {
        Gate::Retry(hosts) | Gate::HostsBusy(hosts) => Some(hosts.iter()),
        _ => None,
    });
    steps.flatten().chain(holds.flatten()).cloned().collect()
}
