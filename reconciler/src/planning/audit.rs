//! The judge: whether a plan keeps the promises, found out independently of the code that made it.
//!
//! A plan with a violation is not applied; the violation is reported as a fault of the program.

mod care;
mod devices;
mod store;

use std::fmt;

use schema::fleet::DomainJoin;
use schema::name::{ClassName, HostName};
use schema::schedule::Windows;

use crate::linbo::devices::Devices;
use crate::linbo::start_conf;
use crate::planning::action::{Action, Wake};
use crate::planning::desired::{Desired, Purpose};
use crate::planning::observed::{LiveImage, Observed, Probe};
use crate::planning::plan::Plan;
use crate::planning::slots::Share;

/// A promise that a plan would break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The step.
    pub step: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, what } = self;
        write!(f, "step {step} {what}")
    }
}

/// Everything that is wrong with a plan; empty when it may be applied.
#[must_use]
pub fn audit(desired: &Desired, observed: &Observed, plan: &Plan) -> Vec<Violation> {
    let court = Court { desired, observed };
    if plan.steps.is_empty() {
        return Vec::new();
    }
    let evidence = court.evidence();
    let mut violations = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let mut check = |holds: bool, what: &str| {
            if !holds {
                violations.push(Violation {
                    step: step.id.to_string(),
                    what: what.to_owned(),
                });
            }
        };
        check(
            step.id == step.action.id(),
            "has another identity than its action",
        );
        check(
            plan.steps[..index].iter().all(|other| other.id != step.id),
            "stands twice in the plan",
        );
        check(
            observed
                .running
                .iter()
                .all(|running| running.step.id != step.id),
            "is running already",
        );
        let others = observed
            .running
            .iter()
            .map(|running| &*running.step)
            .chain(&plan.steps[..index]);
        for other in others {
            let disturbs =
                disturb(&step.action, &other.action) || disturb(&other.action, &step.action);
            check(!disturbs, &format!("would disturb {}", other.id));
        }
        court.hear(&step.action, &mut check);
        court.hear_people(&step.action, &mut check);
        court.hear_use(&step.action, &mut check);
        court.hear_waves(&step.action, &evidence, &mut check);
        court.hear_deletion(&step.action, &evidence, &mut check);
    }
    violations.extend(court.hear_guard(&plan.steps, &evidence));
    violations
}

/// Whether `a` changes what `b` works with.
fn disturb(a: &Action, b: &Action) -> bool {
    match (a, b) {
        (Action::SetClasses { hosts }, Action::ResetRoom { class, .. })
        | (Action::SetClasses { hosts }, Action::WriteStartConf { class, .. }) => hosts
            .values()
            .any(|change| change.before == *class || change.after == *class),
        (Action::SetRows { rows }, Action::ResetRoom { room, .. }) => {
            let mut rows = rows.values();
            rows.any(|change| {
                [change.before(), change.after()]
                    .into_iter()
                    .flatten()
                    .any(|row| row.room == *room)
            })
        }
        (
            Action::SetRows { .. } | Action::SetClasses { .. },
            Action::SetRows { .. } | Action::SetClasses { .. },
        )
        | (
            Action::ImportDevices { .. },
            Action::ImportDevices { .. }
            | Action::SetRows { .. }
            | Action::SetClasses { .. }
            | Action::WriteStartConf { .. },
        ) => true,
        (Action::WriteStartConf { class, .. }, Action::WriteStartConf { class: other, .. })
        | (Action::WriteStartConf { class, .. }, Action::ResetRoom { class: other, .. }) => {
            class == other
        }
        (Action::ImportDevices { classes, hosts }, Action::ResetRoom { class, .. }) => {
            classes.contains(class) || hosts.values().any(|of| of == class)
        }
        (Action::Download { .. }, Action::Download { .. })
        | (
            Action::Delete { .. },
            Action::Delete { .. }
            | Action::Download { .. }
            | Action::Stage { .. }
            | Action::Activate { .. },
        ) => true,
        (
            Action::Activate { image, .. } | Action::Seed { image, .. },
            Action::Activate { image: other, .. } | Action::Seed { image: other, .. },
        ) => image == other,
        (
            Action::Activate { image, .. } | Action::Seed { image, .. },
            Action::ResetRoom { images, .. },
        ) => images.contains(image),
        (Action::ResetRoom { room, .. }, Action::ResetRoom { room: other, .. }) => room == other,
        _ => false,
    }
}

struct Court<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
}

impl<'a> Court<'a> {
    fn hear(&self, action: &Action, check: &mut impl FnMut(bool, &str)) {
        let Self {
            desired, observed, ..
        } = self;
        match action {
            Action::WriteStartConf {
                class,
                before,
                after,
            } => {
                check(
                    self.is_quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                let files = observed.classes.get(class).and_then(Probe::seen);
                check(
                    files.is_some_and(|files| files.start_conf == *before),
                    "takes the file for another than it is",
                );
                let ours = before
                    .as_ref()
                    .is_none_or(|text| start_conf::is_ours(text.as_bytes()));
                check(ours, "would overwrite a file that is not ours");
                let wanted = desired.classes.get(class);
                check(
                    wanted.is_some_and(|wanted| wanted.start_conf == *after),
                    "writes what the state repo does not say",
                );
            }
            Action::SetRows { rows } => self.hear_rows(rows, check),
            Action::SetClasses { hosts } => self.hear_classes(hosts, check),
            Action::ImportDevices { .. } => {
                check(
                    self.is_quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                check(
                    self.devices()
                        .is_some_and(|devices| devices.problems().is_empty()),
                    "would import bad rows",
                );
                let has_hosts = |class: &&ClassName| {
                    let of_test = desired.test_classes.contains_key(class.as_str());
                    let mut rows = self.devices().into_iter().flat_map(Devices::rows);
                    !of_test || rows.any(|row| row.class == **class)
                };
                let there = desired.classes.keys().filter(has_hosts).all(|class| {
                    observed
                        .classes
                        .get(class)
                        .and_then(Probe::seen)
                        .is_some_and(|files| files.start_conf.is_some())
                });
                check(there, "would put a start.conf in place that is not ours");
            }
            Action::Download {
                image,
                version,
                manifest,
                bytes,
                rate,
                from,
                until,
                ..
            } => {
                let windows = &desired.windows.download;
                check(
                    *from >= observed.at && windows.is_open(*from, &desired.zone),
                    "is outside its window",
                );
                let is_granted = match desired.line(*from) {
                    Share::Unbounded => true,
                    Share::Slot(slot) => {
                        let rated = rate.is_some_and(|rate| rate <= slot.rate);
                        slot.from <= *from && *until <= slot.until && rated
                    }
                    Share::Nothing => false,
                };
                check(is_granted, "takes more of the line than is its share");
                check(*until > *from, "would have to stop before it begins");
                let wanted = desired.images.get(&(image.clone(), version.clone()));
                check(
                    wanted.is_some_and(|wanted| wanted.manifest == *manifest),
                    "fetches what is not in Git",
                );
                check(
                    observed
                        .store
                        .seen()
                        .is_some_and(|store| store.free >= bytes.0),
                    "has no space",
                );
            }
            Action::Stage {
                image,
                version,
                manifest,
                to,
            } => {
                check(
                    self.is_quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                let wanted = desired.images.get(&(image.clone(), version.clone()));
                let is_foreign = wanted.is_some_and(|wanted| {
                    wanted.domain_join == DomainJoin::Rebrand && wanted.published == *manifest
                });
                check(is_foreign, "makes ready what has not to be moved");
                check(
                    desired.rebrand.is_some() && to.as_str() == format!("{image}-rebrand"),
                    "makes a version ready for no VM",
                );
                let store = observed.store.seen();
                check(
                    store.is_some_and(|store| store.is_complete(manifest)),
                    "makes ready what was not verified against Git",
                );
            }
            Action::Activate {
                image,
                version,
                manifest,
            } => {
                let for_vm = desired.images.get(&(image.clone(), version.clone()));
                let for_vm = for_vm.is_some_and(|wanted| wanted.purpose == Purpose::Vm);
                let base = observed.store.seen().and_then(|store| {
                    let manifest = store.manifests.get(manifest)?;
                    Some(manifest.base().sha256)
                });
                let has_base = self
                    .live(image)
                    .is_some_and(|live| live.base.as_ref().and_then(|found| found.sha256) == base);
                check(
                    !(for_vm && has_base && observed.journal.was_last(image, &action.id())),
                    "puts aside what the VM has uploaded",
                );
                check(
                    self.is_quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                let wanted = desired.images.get(&(image.clone(), version.clone()));
                let joined =
                    wanted.is_some_and(|wanted| wanted.domain_join == DomainJoin::NotNeeded);
                check(joined, "would show clients an image of another domain");
                let today = desired.day(observed.at);
                let is_over = wanted.is_some_and(|wanted| {
                    matches!(wanted.purpose, Purpose::TestClass { until } if until < today)
                });
                check(!is_over, "serves a test class that is over");
                let complete = observed
                    .store
                    .seen()
                    .is_some_and(|store| store.is_complete(manifest));
                check(
                    complete && wanted.is_some_and(|wanted| wanted.manifest == *manifest),
                    "would activate what was not verified against Git",
                );
                check(
                    self.live(image).is_some_and(|live| !live.uploading),
                    "would disturb an upload",
                );
                let waits = wanted.is_some_and(|wanted| wanted.purpose == Purpose::Rooms);
                let early = desired.not_before.as_ref().is_some_and(|of| today < of.day);
                let replaces = self
                    .live(image)
                    .is_some_and(|live| live.base.is_some() || live.diff.is_some());
                check(
                    !(early && replaces && waits) || desired.gone_back.contains_key(image),
                    "puts a version in place before the day of its rollout",
                );
                check(
                    observed.busy.seen().is_some(),
                    "does not know which hosts are busy",
                );
                let orders = observed.orders.seen();
                let refused = orders.and_then(|orders| orders.rolled_back().get(image));
                check(
                    refused.is_none_or(|order| {
                        wanted.is_none_or(|wanted| wanted.published != order.from)
                    }),
                    "puts in place what people went back from",
                );
            }
            Action::Seed { image, .. } => {
                check(
                    self.live(image).is_some_and(|live| !live.uploading),
                    "would disturb an upload",
                );
            }
            Action::ResetRoom { .. } => self.hear_reset(action, check),
            // See `hear_deletion`.
            Action::Delete { .. } => {}
            Action::SwitchOff { hosts } => {
                let left_on = observed.left_on.seen();
                check(
                    left_on.is_some_and(|left| hosts.iter().all(|host| left.contains(host))),
                    "switches off what is not known to be left on",
                );
                check(
                    !self.is_open(&desired.windows.lessons),
                    "would switch hosts off within lessons",
                );
                let today = observed.at.to_zoned(desired.zone.clone()).date();
                let in_exam = |host| {
                    let device = self.devices().and_then(|devices| devices.get(host));
                    device.is_some_and(|device| {
                        let mut exams = desired.exams.iter();
                        exams.any(|exam| exam.holds(&device.room, today))
                    })
                };
                check(
                    !hosts.iter().any(in_exam),
                    "would switch hosts off in an exam",
                );
            }
        }
    }

    fn hear_reset(&self, action: &Action, check: &mut impl FnMut(bool, &str)) {
        let Action::ResetRoom {
            room,
            test,
            due,
            hosts,
            whole_room,
            images,
            class,
            circuits,
            ..
        } = action
        else {
            return;
        };
        let Self {
            desired, observed, ..
        } = self;
        let wanted = desired.rooms.get(room);
        let is_quiet = wanted.is_some_and(|wanted| {
            let lessons = wanted.windows.lessons(&desired.windows);
            self.is_open(wanted.windows.reset(&desired.windows)) && !self.is_open(lessons)
        });
        check(is_quiet, "is outside its window or within lessons");
        let today = observed.at.to_zoned(desired.zone.clone()).date();
        check(
            desired.holidays.holding(today).is_none(),
            "is in the holidays",
        );
        let in_exam = desired.exams.iter().any(|exam| exam.holds(room, today));
        check(!in_exam, "touches a room that is in an exam");
        check(*due <= observed.at, "is not due yet");
        check(!hosts.is_empty(), "has no hosts");
        let fits = match test {
            None => wanted.is_some_and(|wanted| wanted.class == *class),
            Some(name) => desired.test_classes.get(name).is_some_and(|test| {
                let named = |host: &HostName| test.names(host);
                test.class == *class
                    && test.until >= today
                    && hosts.iter().all(|wake| named(&wake.host))
            }),
        };
        check(fits, "is of another class than the room, or its test class");
        let astray = observed.astray.seen();
        let is_astray = |wake: &Wake| astray.is_none_or(|astray| astray.contains_key(&wake.host));
        check(
            !hosts.iter().any(is_astray),
            "restores a host that may boot another class",
        );
        let new = observed.journal.rows();
        check(
            !hosts.iter().any(|wake| new.contains(&wake.host)),
            "resets a host whose row no import has made known",
        );
        let bounded = wanted.is_some_and(|wanted| {
            let of_room = desired.circuits_of(room, wanted);
            of_room.iter().all(|circuit| circuits.contains(circuit))
        });
        check(bounded, "does not keep the budgets of its circuits");
        let device = |host| self.devices().and_then(|devices| devices.get(host));
        let known = hosts.iter().filter_map(|wake| device(&wake.host));
        let known = known
            .filter(|device| {
                device.pxe.is_reset() && device.class == *class && device.room == *room
            })
            .count();
        check(
            known == hosts.len(),
            "touches a host that devices.csv does not give to this room and class with PXE flag 1 or 2",
        );
        let rows = self
            .devices()
            .map_or(0, |devices| devices.in_room(room).count());
        check(
            !whole_room || hosts.len() == rows,
            "would touch more hosts of the room than it names",
        );
        let free = observed
            .busy
            .seen()
            .is_some_and(|busy| hosts.iter().all(|wake| !busy.contains_key(&wake.host)));
        check(free, "touches a host that is or may be busy");
        let there = images.iter().all(|image| {
            self.live(image)
                .is_some_and(|live| live.base.is_some() && !live.uploading)
        });
        check(there, "restores an image that is not there as a whole");
    }

    /// Whether each host comes from its room's class to a test class that is for it, or goes back from one.
    fn devices(&self) -> Option<&'a Devices> {
        self.observed.devices.seen()
    }

    fn live(&self, image: &schema::name::ImageName) -> Option<&'a LiveImage> {
        self.observed.live.get(image)?.seen()
    }

    fn is_open(&self, windows: &Windows) -> bool {
        windows.is_open(self.observed.at, &self.desired.zone)
    }

    fn is_quiet(&self, windows: &Windows) -> bool {
        self.is_open(windows) && !self.is_open(&self.desired.windows.lessons)
    }
}
