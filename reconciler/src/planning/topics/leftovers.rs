//! Leftovers: hosts that are on though nobody needs them any more, since they came up too late or what
//! worked on them was cut off.

use std::collections::BTreeSet;

use schema::name::HostName;

use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::Gate;
use crate::planning::observed::Observed;
use crate::planning::orders::Subject;
use crate::planning::plan::{Drafts, Plan};
use crate::planning::suspension;

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
    let hosts = left_on.difference(&needed);
    let hosts = hosts.filter(|host| may_be_touched(host, desired, observed));
    let hosts: Vec<HostName> = hosts.cloned().collect();
    if !hosts.is_empty() {
        drafts.step(Step::new(Action::SwitchOff { hosts }, Reason::LeftOn));
    }
}

/// Whether nobody needs the room of a host, nor wants it or the host to be left alone.
fn may_be_touched(host: &HostName, desired: &Desired, observed: &Observed) -> bool {
    let Some(devices) = observed.devices.seen() else {
        return false;
    };
    let room = devices.get(host).map(|device| &device.room);
    let Some((name, room)) = room.and_then(|name| desired.rooms.get_key_value(name)) else {
        return true;
    };
    let lessons = room.windows.lessons(&desired.windows);
    let today = observed.at.to_zoned(desired.zone.clone()).date();
    let is_needed = lessons.is_open(observed.at, &desired.zone)
        || desired.exams.iter().any(|exam| exam.holds(name, today));
    let mut subjects = [Subject::Room(name.clone()), Subject::Host(host.clone())].into_iter();
    !is_needed && subjects.all(|what| suspension::check(desired, observed, &what).is_ok())
}

/// Hosts that are being reset or soon will be: they are switched off at the end of that.
fn needed(plan: &Plan, observed: &Observed) -> BTreeSet<HostName> {
    let running = observed.running.iter().map(|running| &*running.step);
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
