//! Images that belong to another domain: made ready for the VM in which they are moved into the school's.
//!
//! Under the name that the VM loads they are exchanged like any other image, see [`images`](super::images).

use jiff::SignedDuration;
use schema::fleet::{DomainJoin, Rebrand};
use schema::name::HostName;
use schema::units::Bytes;

use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What the copy of a diff takes at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let Probe::Seen(store) = &observed.store else {
        // Whoever wants a version says so.
        return;
    };
    let Some(vm) = &desired.rebrand else {
        return;
    };
    for ((image, version), wanted) in &desired.images {
        let Some(to) = Rebrand::stem(image) else {
            continue;
        };
        if wanted.domain_join == DomainJoin::NotNeeded {
            continue;
        }
        let goal = Goal::Staged(image.clone(), version.clone());
        if let Some(why) = not_ready(observed, vm) {
            let gate = Gate::NotReset(vec![(vm.clone(), why)]);
            drafts.hold(goal.clone(), gate, None);
        }
        let is_made = store.renamed(&wanted.published, &to).is_some();
        if is_made || !store.is_complete(&wanted.published) {
            continue;
        }
        let copied = wanted.diff.map_or(0, |diff| diff.0);
        let needed = copied.saturating_add(copied / 10);
        if needed > store.free {
            let gate = Gate::NoSpace {
                needed: Bytes(needed),
                free: Bytes(store.free),
            };
            drafts.hold(goal, gate, None);
            continue;
        }
        match gates::window(desired, Work::Activate, observed.at, NEEDS) {
            Ok(_) => {
                let action = Action::Stage {
                    image: image.clone(),
                    version: version.clone(),
                    manifest: wanted.published,
                    to,
                };
                drafts.step(Step::new(action, Reason::Absent));
            }
            Err(Closed { gate, wake }) => drafts.hold(goal, gate, wake),
        }
    }
}

/// Why the VM would not find what is made ready for it, as far as `devices.csv` tells.
fn not_ready(observed: &Observed, vm: &HostName) -> Option<String> {
    let Some(device) = observed.devices.seen()?.get(vm) else {
        return Some("is not in devices.csv".to_owned());
    };
    if device.class.as_str() != Rebrand::CLASS {
        return Some(format!(
            "has hardware class {}, and the VM needs {}",
            device.class,
            Rebrand::CLASS
        ));
    }
    let boots = device.pxe.is_reset();
    (!boots).then(|| "does not boot LINBO by its PXE flag".to_owned())
}
