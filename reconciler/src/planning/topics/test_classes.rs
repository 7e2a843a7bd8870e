//! The hardware classes of hosts in `devices.csv`: that of a test class, and that of their room when it is over.
//!
//! # Invariants
//!
//! Nobody is moved whose class is somebody else's choice: only from the class of its room to a test class of the state
//! repo, from a class whose `start.conf` is that of a test class back to the one of its room, and where the state repo
//! keeps the row. No host gets a class that cannot put it back yet. All hosts are moved by one step, so that one import follows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use schema::name::{ClassName, HostName, RoomName};

use super::Waiting;
use crate::linbo::devices::{Device, Devices};
use crate::planning::action::{Action, ClassChange, Reason, Step};
use crate::planning::cohort::of_tests;
use crate::planning::desired::Desired;
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What a change of `devices.csv` and the import after it take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let of_tests = of_tests(desired, observed);
    let kept = desired.kept();
    if of_tests.is_empty() && kept.is_empty() {
        return;
    }
    let devices = match &observed.devices {
        Probe::Seen(devices) => devices,
        Probe::Unseen(cause) => {
            let hosts = desired.tests(observed.at).map(|(_, test)| test.hosts.len());
            let goal = Goal::Classes(hosts.sum());
            return drafts.hold(goal, Gate::Unseen(cause.clone()), None);
        }
    };
    let mut moves = Moves {
        desired,
        observed,
        of_tests,
        kept,
        now: BTreeMap::new(),
        strangers: missing(desired, observed, devices),
        waiting: Waiting::default(),
    };
    for device in devices.rows().iter().filter(|row| row.pxe.is_reset()) {
        moves.look(device);
    }
    if !moves.strangers.is_empty() {
        let goal = Goal::Classes(moves.strangers.len());
        drafts.hold(goal, Gate::NotReset(moves.strangers), None);
    }
    moves.waiting.hold(drafts, observed, Goal::Classes);
    let hosts = moves.now;
    if hosts.is_empty() {
        return;
    }
    let goal = || Goal::Classes(hosts.len());
    // The import would refuse the whole file, and hosts would go on with the class that they had.
    if let Some(gate) = super::bad_devices(devices) {
        return drafts.hold(goal(), gate, None);
    }
    match gates::window(desired, Work::Activate, observed.at, NEEDS) {
        Ok(_) => {
            let of_test = |class| moves.of_tests.contains(class);
            let mut changes = hosts.values();
            let is_test = changes.any(|change| of_test(&change.before) || of_test(&change.after));
            let reason = if is_test {
                Reason::Test
            } else {
                Reason::Differs
            };
            drafts.step(Step::new(Action::SetClasses { hosts }, reason));
        }
        Err(Closed { gate, wake }) => drafts.hold(goal(), gate, wake),
    }
}

/// Hosts of test classes that there are not.
fn missing(desired: &Desired, observed: &Observed, devices: &Devices) -> Vec<(HostName, String)> {
    let hosts: BTreeSet<&HostName> = desired
        .tests(observed.at)
        .flat_map(|(_, test)| &test.hosts)
        .collect();
    let why = |host: &HostName| match devices.get(host) {
        None => Some("is not in devices.csv"),
        Some(device) if !device.pxe.is_reset() => Some("does not boot LINBO by its PXE flag"),
        Some(_) => None,
    };
    let missing = hosts
        .into_iter()
        .filter_map(|host| Some((host.clone(), why(host)?.to_owned())));
    missing.collect()
}

/// What becomes of the hosts.
struct Moves<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    of_tests: BTreeSet<&'a ClassName>,
    /// Hosts whose row the state repo keeps, and their rooms.
    kept: BTreeMap<&'a HostName, &'a RoomName>,
    now: BTreeMap<HostName, ClassChange>,
    strangers: Vec<(HostName, String)>,
    waiting: Waiting,
}

impl Moves<'_> {
    fn look(&mut self, device: &Device) {
        let (desired, observed) = (self.desired, self.observed);
        let mut tests = desired.tests(observed.at);
        let test = tests.find(|(_, test)| test.names(&device.host));
        let is_tested = self.of_tests.contains(&device.class);
        let kept = self.kept.get(&device.host).copied();
        if test.is_none() && !is_tested && kept.is_none() {
            return;
        }
        let name = kept.unwrap_or(&device.room);
        let Some(room) = desired.rooms.get(name) else {
            let why = format!(
                "is in room {}, which the state repo does not have",
                device.room
            );
            return self.strangers.push((device.host.clone(), why));
        };
        let wanted = test.map_or(&room.class, |(_, test)| &test.class);
        if *wanted == device.class {
            return;
        }
        if device.class != room.class && !is_tested && kept.is_none() {
            let why = format!(
                "has hardware class {}, its room has {}",
                device.class, room.class
            );
            return self.strangers.push((device.host.clone(), why));
        }
        let admitted = self.waiting.admits(desired, observed, name, &device.host);
        let ready = admitted.and_then(|is_free| {
            if is_free {
                self.is_ready(wanted).map(|()| true)
            } else {
                Ok(false)
            }
        });
        match ready {
            Ok(false) => {}
            Ok(true) => {
                let change = ClassChange {
                    before: device.class.clone(),
                    after: wanted.clone(),
                };
                self.now.insert(device.host.clone(), change);
            }
            Err(closed) => self.waiting.on(closed),
        }
    }

    /// Whether a class can put a host back.
    fn is_ready(&self, wanted: &ClassName) -> Result<(), Closed> {
        let (desired, observed) = (self.desired, self.observed);
        let closed = |gate| Closed { gate, wake: None };
        let class = desired.classes.get(wanted);
        let class = class.ok_or_else(|| closed(Gate::StartConf(wanted.clone())))?;
        match observed.classes.get(wanted) {
            Some(Probe::Seen(files)) if files.start_conf.as_ref() == Some(&class.start_conf) => {}
            Some(Probe::Unseen(cause)) => return Err(closed(Gate::Unseen(cause.clone()))),
            Some(Probe::Seen(_)) | None => {
                return Err(closed(Gate::StartConf(wanted.clone())));
            }
        }
        for os in &class.os {
            match observed.live.get(&os.image) {
                Some(Probe::Seen(live)) if live.uploading => {
                    return Err(closed(Gate::Uploading(os.image.clone())));
                }
                Some(Probe::Seen(live)) if live.base.is_some() => {}
                Some(Probe::Unseen(cause)) => return Err(closed(Gate::Unseen(cause.clone()))),
                Some(Probe::Seen(_)) | None => {
                    return Err(closed(Gate::NotActive(os.image.clone())));
                }
            }
        }
        Ok(())
    }
}
