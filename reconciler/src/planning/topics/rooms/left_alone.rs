//! Hosts that are not put back since what they run at their next start is not what is meant.

use crate::planning::cohort::Members;
use crate::planning::observed::Observed;

/// Leaves those alone that would boot another class: its images would be restored.
pub(super) fn to_the_import(members: &mut Members<'_>, observed: &Observed) {
    let Some(astray) = observed.astray.seen().filter(|astray| !astray.is_empty()) else {
        return;
    };
    let strangers = &mut members.strangers;
    members.hosts.retain(|device| {
        let other = astray.get(&device.host);
        strangers.extend(other.map(|boots| {
            let why = format!(
                "boots hardware class {boots} and not {}: linuxmuster-import-devices has to run first",
                device.class
            );
            (device.host.clone(), why)
        }));
        other.is_none()
    });
}

/// Leaves those alone for which somebody else's commands wait: they would run as soon as a host is woken.
pub(super) fn to_others(members: &mut Members<'_>, observed: &Observed) {
    let Some(onboot) = observed.onboot.seen() else {
        return;
    };
    let strangers = &mut members.strangers;
    members.hosts.retain(|device| {
        let waits = onboot.get(&device.host);
        strangers.extend(waits.map(|says| {
            let why = format!("has commands of others waiting for its next start: `{says}`");
            (device.host.clone(), why)
        }));
        waits.is_none()
    });
}
