//! Test classes: the hosts of each get its hardware class in `devices.csv`, and that of their room back when it is over.
//!
//! # Invariants
//!
//! Nobody is moved whose class is somebody else's choice: only from the class of its room to a test class of the state
//! repo, and from a class whose `start.conf` is that of a test class back to the one of its room. No host gets a class
//! that cannot put it back yet. All hosts are moved by one step, so that one import follows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use schema::name::{ClassName, HostName};

use crate::linbo::devices::{Device, Devices};
use crate::planning::action::{Action, ClassChange, Reason, Step};
use crate::planning::cohort::of_tests;
use crate::planning::desired::Desired;
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Busy, Observed, Probe};
use crate::planning::orders::Subject;
use crate::planning::plan::{Drafts, Goal};
use crate::planning::suspension;

/// What a change of `devices.csv` and the import after it take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let of_tests = of_tests(desired, observed);
    if of_tests.is_empty() {
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
        now: BTreeMap::new(),
        strangers: missing(desired, observed, devices),
        busy: Vec::new(),
        held: Vec::new(),
    };
    for device in devices.rows().iter().filter(|row| row.pxe.is_reset()) {
        moves.look(device);
    }
    moves.hold(drafts);
    if moves.now.is_empty() {
        return;
    }
    let goal = || Goal::Classes(moves.now.len());
    // The import would refuse the whole file, and hosts would go on with the class that they had.
    if let Some(gate) = super::bad_devices(devices) {
        return drafts.hold(goal(), gate, None);
    }
    match gates::window(desired, Work::Activate, observed.at, NEEDS) {
        Ok(_) => drafts.step(Step::new(
            Action::SetClasses { hosts: moves.now },
            Reason::Test,
        )),
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
    now: BTreeMap<HostName, ClassChange>,
    strangers: Vec<(HostName, String)>,
    busy: Vec<(HostName, Busy)>,
    /// What some of them wait for, and how many.
    held: Vec<(Closed, usize)>,
}

impl Moves<'_> {
    fn look(&mut self, device: &Device) {
        let (desired, observed) = (self.desired, self.observed);
        let mut tests = desired.tests(observed.at);
        let test = tests.find(|(_, test)| test.names(&device.host));
        let is_tested = self.of_tests.contains(&device.class);
        if test.is_none() && !is_tested {
            return;
        }
        let Some(room) = desired.rooms.get(&device.room) else {
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
        if device.class != room.class && !is_tested {
            let why = format!(
                "has hardware class {}, its room has {}",
                device.class, room.class
            );
            return self.strangers.push((device.host.clone(), why));
        }
        if let Some(busy) = observed.busy.seen().and_then(|busy| busy.get(&device.host)) {
            return self.busy.push((device.host.clone(), busy.clone()));
        }
        match self.gates(device, wanted) {
            Ok(()) => {
                let change = ClassChange {
                    before: device.class.clone(),
                    after: wanted.clone(),
                };
                self.now.insert(device.host.clone(), change);
            }
            Err(closed) => match self.held.iter_mut().find(|(known, _)| *known == closed) {
                Some((_, hosts)) => *hosts += 1,
                None => self.held.push((closed, 1)),
            },
        }
    }

    /// What a host has to wait for before it gets a class.
    fn gates(&self, device: &Device, wanted: &ClassName) -> Result<(), Closed> {
        let (desired, observed) = (self.desired, self.observed);
        let closed = |gate| Closed { gate, wake: None };
        for what in [
            Subject::Room(device.room.clone()),
            Subject::Host(device.host.clone()),
        ] {
            suspension::check(desired, observed, &what)?;
        }
        if let Some(cause) = observed.busy.cause() {
            return Err(closed(Gate::Unseen(cause.to_owned())));
        }
        let today = desired.day(observed.at);
        if desired
            .exams
            .iter()
            .any(|exam| exam.holds(&device.room, today))
        {
            return Err(closed(Gate::Exam));
        }
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

    fn hold(&self, drafts: &mut Drafts<'_>) {
        if !self.strangers.is_empty() {
            let goal = Goal::Classes(self.strangers.len());
            drafts.hold(goal, Gate::NotReset(self.strangers.clone()), None);
        }
        for (hosts, Closed { gate, wake }) in Gate::of_busy(&self.busy, self.observed.at) {
            drafts.hold(Goal::Classes(hosts), gate, wake);
        }
        for (Closed { gate, wake }, hosts) in &self.held {
            drafts.hold(Goal::Classes(*hosts), gate.clone(), *wake);
        }
    }
}
