//! Hardware classes: `start.conf.<class>` as the state repo says, and a boot configuration that follows.

use jiff::SignedDuration;
use schema::name::ClassName;

use crate::linbo::start_conf;
use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::{Desired, DesiredClass, Purpose};
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{ClassFiles, Grub, Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What writing a file and an import take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let mut outdated = Vec::new();
    let mut current = Vec::new();
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
            match grub {
                Grub::Stale => outdated.push(name.clone()),
                Grub::Current => current.push(name.clone()),
                Grub::ByHand => {}
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
        if let Some(gate) = drafts.guard().class(name) {
            drafts.hold(goal, gate, None);
            continue;
        }
        if let Some(gate) = before
            .as_ref()
            .and_then(|_| missing_image(desired, observed, class))
        {
            drafts.hold(goal, gate, None);
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
        import(desired, observed, drafts, outdated, Reason::BootOutdated);
    } else if has_failed(observed) && !current.is_empty() {
        import(desired, observed, drafts, current, Reason::FailedBefore);
    }
}

/// Whether the last import failed. What it does besides boot configurations, such as DHCP and the hooks
/// of the school, cannot be seen, so it is not known to be done.
fn has_failed(observed: &Observed) -> bool {
    let import = Action::ImportDevices {
        classes: Vec::new(),
    };
    observed.journal.failures(&import.id()).is_some()
}

/// A class that works is not changed to one that cannot: a released image that it is to use has to be
/// active before. One made on site is made by a host of the class, so the class has to be there first.
fn missing_image(desired: &Desired, observed: &Observed, class: &DesiredClass) -> Option<Gate> {
    let images = class.os.iter().map(|os| &os.image);
    let mut released = images.filter(|image| {
        let mut wanted = desired
            .images
            .iter()
            .filter(|((name, _), _)| name == *image);
        wanted.any(|(_, wanted)| wanted.purpose == Purpose::Rooms)
    });
    released.find_map(|image| match observed.live.get(image) {
        Some(Probe::Seen(live)) => live.base.is_none().then(|| Gate::NotActive(image.clone())),
        Some(Probe::Unseen(cause)) => Some(Gate::Unseen(cause.clone())),
        None => Some(Gate::Unseen(format!(
            "the folder of {image} was not looked at"
        ))),
    })
}

/// A class that has no file, or may have none: the import would put one there that is not ours.
fn without_file(desired: &Desired, observed: &Observed) -> Option<Gate> {
    desired
        .classes
        .keys()
        .find_map(|class| match observed.classes.get(class) {
            Some(Probe::Seen(files)) => files
                .start_conf
                .is_none()
                .then(|| Gate::StartConf(class.clone())),
            Some(Probe::Unseen(cause)) => Some(Gate::Unseen(cause.clone())),
            None => Some(Gate::Unseen(format!(
                "start.conf.{class} was not looked at"
            ))),
        })
}

fn import(
    desired: &Desired,
    observed: &Observed,
    drafts: &mut Drafts<'_>,
    classes: Vec<ClassName>,
    reason: Reason,
) {
    let devices = match &observed.devices {
        Probe::Seen(devices) => devices,
        Probe::Unseen(cause) => {
            return drafts.hold(Goal::Import, Gate::Unseen(cause.clone()), None);
        }
    };
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
    // Classes that no host has are left out by the import: nothing would become newer.
    let classes: Vec<_> = classes
        .into_iter()
        .filter(|class| devices.of_class(class).next().is_some())
        .collect();
    if classes.is_empty() {
        return;
    }
    if let Some(gate) = without_file(desired, observed) {
        return drafts.hold(Goal::Import, gate, None);
    }
    match gates::window(desired, Work::Activate, observed.at, NEEDS) {
        Ok(_) => drafts.step(Step::new(Action::ImportDevices { classes }, reason)),
        Err(Closed { gate, wake }) => drafts.hold(Goal::Import, gate, wake),
    }
}
