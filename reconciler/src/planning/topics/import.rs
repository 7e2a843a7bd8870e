//! The device import: boot configurations that follow `start.conf.<class>`, and a domain that follows `devices.csv`.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use schema::name::{ClassName, HostName};

use crate::linbo::devices::Devices;
use crate::planning::action::{Action, Reason, Step};
use crate::planning::cohort::of_tests;
use crate::planning::desired::Desired;
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Grub, Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What an import takes at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(5);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let today = std::cell::LazyCell::new(|| desired.day(observed.at));
    let mut outdated = Vec::new();
    let mut current = Vec::new();
    for (name, class) in &desired.classes {
        let test = desired.test_of(name);
        if test.is_some_and(|test| test.until < *today) {
            continue;
        }
        let Some(Probe::Seen(files)) = observed.classes.get(name) else {
            continue;
        };
        let text = files.start_conf.as_ref();
        if text.is_some_and(|text| class.is_said_by(text)) {
            match files.grub {
                Grub::Stale => outdated.push(name.clone()),
                Grub::Current => current.push(name.clone()),
                Grub::ByHand => {}
            }
        }
    }
    let (mut hosts, are_rows_new) = (
        strays(desired, observed),
        !observed.journal.rows().is_empty(),
    );
    let are_hosts_astray = !hosts.is_empty();
    if let Probe::Seen(devices) = &observed.devices {
        let new = observed.journal.rows().iter();
        let new = new.filter_map(|host| devices.get(host));
        let new = new.filter(|device| device.pxe.is_reset());
        hosts.extend(new.map(|device| (device.host.clone(), device.class.clone())));
    }
    if !outdated.is_empty() {
        import(
            desired,
            observed,
            drafts,
            (outdated, hosts),
            Reason::BootOutdated,
        );
    } else if are_rows_new {
        import(
            desired,
            observed,
            drafts,
            (outdated, hosts),
            Reason::NewRows,
        );
    } else if are_hosts_astray {
        import(desired, observed, drafts, (outdated, hosts), Reason::Test);
    } else if has_failed(observed) && !current.is_empty() {
        import(
            desired,
            observed,
            drafts,
            (current, hosts),
            Reason::FailedBefore,
        );
    }
}

/// Hosts that were moved into a test class or out of one, or whose row the state repo keeps, and that LINBO's links
/// still lead to the class before. What else differs between the links and `devices.csv` is somebody else's work that
/// is not finished.
fn strays(desired: &Desired, observed: &Observed) -> BTreeMap<HostName, ClassName> {
    let of_tests = of_tests(desired, observed);
    let (Probe::Seen(devices), Probe::Seen(astray)) = (&observed.devices, &observed.astray) else {
        return BTreeMap::new();
    };
    let kept = desired.kept();
    if of_tests.is_empty() && kept.is_empty() {
        return BTreeMap::new();
    }
    let strays = astray.iter().filter_map(|(host, boots)| {
        let device = devices.get(host)?;
        let mut between = [&device.class, boots].into_iter();
        let is_ours =
            kept.contains_key(&device.host) || between.any(|class| of_tests.contains(class));
        (is_ours && device.pxe.is_reset()).then(|| (device.host.clone(), device.class.clone()))
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
    if classes.is_empty() && hosts.is_empty() && reason != Reason::NewRows {
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
