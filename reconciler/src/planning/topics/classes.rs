//! Hardware classes: `start.conf.<class>` as the state repo says, and a boot configuration that follows.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use schema::name::{ClassName, HostName};

use crate::linbo::devices::Devices;
use crate::linbo::start_conf;
use crate::planning::action::{Action, Reason, Step};
use crate::planning::cohort::of_tests;
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{ClassFiles, Grub, Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What writing a file and an import take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let today = std::cell::LazyCell::new(|| desired.day(observed.at));
    let mut outdated = Vec::new();
    let mut current = Vec::new();
    for (name, class) in &desired.classes {
        if desired
            .test_of(name)
            .is_some_and(|test| test.until < *today)
        {
            continue;
        }
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
        if before.as_ref().is_some_and(|text| class.is_said_by(text)) {
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
    let strays = strays(desired, observed);
    if !outdated.is_empty() {
        import(
            desired,
            observed,
            drafts,
            (outdated, strays),
            Reason::BootOutdated,
        );
    } else if !strays.is_empty() {
        import(
            desired,
            observed,
            drafts,
            (Vec::new(), strays),
            Reason::Test,
        );
    } else if has_failed(observed) && !current.is_empty() {
        let all = (current, strays);
        import(desired, observed, drafts, all, Reason::FailedBefore);
    }
}

/// Hosts that were moved into a test class or out of one, and that LINBO's links still lead to the class before. What
/// else differs between the links and `devices.csv` is somebody else's work that is not finished.
fn strays(desired: &Desired, observed: &Observed) -> BTreeMap<HostName, ClassName> {
    let of_tests = of_tests(desired, observed);
    let (Probe::Seen(devices), Probe::Seen(astray)) = (&observed.devices, &observed.astray) else {
        return BTreeMap::new();
    };
    if of_tests.is_empty() {
        return BTreeMap::new();
    }
    let strays = astray.iter().filter_map(|(host, boots)| {
        let device = devices.get(host)?;
        let mut between = [&device.class, boots].into_iter();
        let is_stray = device.pxe.is_reset() && between.any(|class| of_tests.contains(class));
        is_stray.then(|| (device.host.clone(), device.class.clone()))
    });
    strays.collect()
}

/// Whether the last import failed. What it does besides boot configurations, such as DHCP and the hooks
/// of the school, cannot be seen, so it is not known to be done.
fn has_failed(observed: &Observed) -> bool {
    let import = Action::ImportDevices {
        classes: Vec::new(),
        hosts: BTreeMap::new(),
    };
    observed.journal.failures(&import.id()).is_some()
}

/// A class that works is not changed to one that cannot: a released image that it is to use has to be
/// active before. One made on site is made by a host of the class, so the class has to be there first.
fn missing_image(desired: &Desired, observed: &Observed, class: &DesiredClass) -> Option<Gate> {
    let images = class.os.iter().map(|os| &os.image);
    let mut released = images.filter(|image| {
        let mut wanted = desired.images.keys();
        wanted.any(|(name, _)| name == *image)
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
fn without_file(desired: &Desired, observed: &Observed, devices: &Devices) -> Option<Gate> {
    // The import makes the file of a class that has hosts.
    let has_hosts = |class: &&ClassName| {
        desired.test_of(class).is_none() || devices.of_class(class).next().is_some()
    };
    let classes = desired.classes.keys().filter(has_hosts);
    classes
        .into_iter()
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
    (classes, hosts): (Vec<ClassName>, BTreeMap<HostName, ClassName>),
    reason: Reason,
) {
    let devices = match &observed.devices {
        Probe::Seen(devices) => devices,
        Probe::Unseen(cause) => {
            return drafts.hold(Goal::Import, Gate::Unseen(cause.clone()), None);
        }
    };
    if let Some(gate) = super::bad_devices(devices) {
        return drafts.hold(Goal::Import, gate, None);
    }
    // Classes that no host has are left out by the import: nothing would become newer.
    let classes: Vec<_> = classes
        .into_iter()
        .filter(|class| devices.of_class(class).next().is_some())
        .collect();
    if classes.is_empty() && hosts.is_empty() {
        return;
    }
    if let Some(gate) = without_file(desired, observed, devices) {
        return drafts.hold(Goal::Import, gate, None);
    }
    match gates::window(desired, Work::Activate, observed.at, NEEDS) {
        Ok(_) => drafts.step(Step::new(Action::ImportDevices { classes, hosts }, reason)),
        Err(Closed { gate, wake }) => drafts.hold(Goal::Import, gate, wake),
    }
}
