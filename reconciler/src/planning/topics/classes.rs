//! Hardware classes: `start.conf.<class>` as the state repo says, and a boot configuration that follows.

use jiff::SignedDuration;

use crate::linbo::start_conf;
use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{ClassFiles, Grub, Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What writing a file and an import take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let mut outdated = Vec::new();
    for (name, class) in &desired.classes {
        let goal = Goal::StartConf(name.clone());
        let files = match observed.classes.get(name) {
            Some(Probe::Seen(files)) => files,
            Some(Probe::Unseen(cause)) => {
                drafts.hold(goal, Gate::Unseen(cause.clone()), None);
                continue;
            }
            None => {
                drafts.hold(
                    goal,
                    Gate::Unseen(format!("start.conf.{name} was not looked at")),
                    None,
                );
                continue;
            }
        };
        let ClassFiles {
            start_conf: before,
            grub,
        } = files;
        if before.as_ref() == Some(&class.start_conf) {
            if *grub == Grub::Stale {
                outdated.push(name.clone());
            }
            continue;
        }
        if before
            .as_ref()
            .is_some_and(|text| !start_conf::is_ours(text.as_bytes()))
        {
            drafts.hold(goal, Gate::NotOurs(name.clone()), None);
            continue;
        }
        if let Err(Closed { gate, wake }) =
            gates::window(desired, Work::Activate, observed.at, NEEDS)
        {
            drafts.hold(goal, gate, wake);
            continue;
        }
        let reason = if before.is_some() {
            Reason::Differs
        } else {
            Reason::Absent
        };
        let after = class.start_conf.clone();
        drafts.step(Step::new(
            Action::WriteStartConf {
                class: name.clone(),
                before: before.clone(),
                after,
            },
            reason,
        ));
    }
    if !outdated.is_empty() {
        import(desired, observed, drafts, outdated);
    }
}

fn import(
    desired: &Desired,
    observed: &Observed,
    drafts: &mut Drafts<'_>,
    classes: Vec<schema::name::ClassName>,
) {
    let devices = match &observed.devices {
        Probe::Seen(devices) => devices,
        Probe::Unseen(cause) => {
            return drafts.hold(Goal::Import, Gate::Unseen(cause.clone()), None);
        }
    };
    // Classes that no host has are left out by the import: nothing would become newer.
    let classes: Vec<_> = classes
        .into_iter()
        .filter(|class| devices.of_class(class).next().is_some())
        .collect();
    if classes.is_empty() {
        return;
    }
    if let Some(problem) = devices.problems().first() {
        let others = devices.problems().len() - 1;
        let more = if others == 0 {
            String::new()
        } else {
            format!(" (and {others} more)")
        };
        let gate = Gate::BadDevices(format!("line {}: {}{more}", problem.line, problem.message));
        return drafts.hold(Goal::Import, gate, None);
    }
    match gates::window(desired, Work::Activate, observed.at, NEEDS) {
        Ok(_) => drafts.step(Step::new(
            Action::ImportDevices { classes },
            Reason::BootOutdated,
        )),
        Err(Closed { gate, wake }) => drafts.hold(Goal::Import, gate, wake),
    }
}
