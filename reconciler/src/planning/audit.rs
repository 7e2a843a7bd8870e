//! The judge: whether a plan keeps the promises, found out independently of the code that made it.
//!
//! A plan with a violation is not applied; the violation is reported as a fault of the program.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schema::fleet::DomainJoin;
use schema::name::PowerGroupName;
use schema::schedule::Windows;

use crate::linbo::start_conf;
use crate::planning::action::{Action, Step};
use crate::planning::desired::Desired;
use crate::planning::observed::{Observed, Probe};
use crate::planning::plan::Plan;

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
    let mut violations = Vec::new();
    let begun = plan.steps.iter().map(|step| (step, observed.at));
    let all = observed
        .running
        .iter()
        .map(|running| (&running.step, running.since))
        .chain(begun);
    let mut power: BTreeMap<&PowerGroupName, u64> = BTreeMap::new();
    let mut downloads = 0;
    for (step, _) in all {
        match &step.action {
            Action::ResetRoom {
                hosts,
                power: group,
                pace,
                ..
            } => {
                *power.entry(group).or_default() +=
                    (hosts.len() as u64).min(pace.on_at_once.into());
            }
            Action::Download { .. } => downloads += 1,
            Action::WriteStartConf { .. }
            | Action::ImportDevices { .. }
            | Action::Activate { .. }
            | Action::Seed { .. } => {}
        }
    }
    let mut check = |step: &Step, holds: bool, what: &str| {
        if !holds {
            violations.push(Violation {
                step: step.id.to_string(),
                what: what.to_owned(),
            });
        }
    };
    for step in &plan.steps {
        let unique = plan
            .steps
            .iter()
            .filter(|other| other.id == step.id)
            .count()
            == 1;
        check(step, unique, "stands twice in the plan");
        let runs = observed
            .running
            .iter()
            .any(|running| running.step.id == step.id);
        check(step, !runs, "is running already");
        let at = Clock {
            desired,
            at: observed.at,
        };
        match &step.action {
            Action::WriteStartConf { class, before, .. } => {
                check(
                    step,
                    at.quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                let ours = before
                    .as_ref()
                    .is_none_or(|text| start_conf::is_ours(text.as_bytes()));
                check(step, ours, "would overwrite a file that is not ours");
                let wanted = desired.classes.contains_key(class);
                check(step, wanted, "writes a class that no room has");
            }
            Action::ImportDevices { .. } => {
                check(
                    step,
                    at.quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                let sound = observed
                    .devices
                    .seen()
                    .is_some_and(|devices| devices.problems().is_empty());
                check(step, sound, "would import bad rows");
            }
            Action::Download { until, .. } => {
                check(
                    step,
                    at.within(&desired.windows.download),
                    "is outside its window",
                );
                check(
                    step,
                    *until > observed.at,
                    "would have to stop before it begins",
                );
                check(
                    step,
                    downloads <= 1,
                    "shares the uplink with another download",
                );
            }
            Action::Activate {
                image,
                version,
                manifest,
            } => {
                check(
                    step,
                    at.quiet(&desired.windows.activate),
                    "is outside its window or within lessons",
                );
                let wanted = desired.images.get(&(image.clone(), version.clone()));
                let joined =
                    wanted.is_some_and(|wanted| wanted.domain_join == DomainJoin::NotNeeded);
                check(
                    step,
                    joined,
                    "would show clients an image of another domain",
                );
                let complete = observed
                    .store
                    .seen()
                    .is_some_and(|store| store.is_complete(manifest));
                check(
                    step,
                    complete && wanted.is_some_and(|wanted| wanted.manifest == *manifest),
                    "would activate what was not verified against Git",
                );
                let calm =
                    matches!(observed.live.get(image), Some(Probe::Seen(live)) if !live.uploading);
                check(step, calm, "would disturb an upload");
                let read = observed.running.iter().any(|running| matches!(&running.step.action, Action::ResetRoom { images, .. } if images.contains(image)))
                    || plan.steps.iter().any(|other| matches!(&other.action, Action::ResetRoom { images, .. } if images.contains(image)));
                check(
                    step,
                    !read,
                    "would exchange an image that hosts are reading",
                );
            }
            Action::Seed { .. } => {}
            Action::ResetRoom {
                hosts,
                power: group,
                due,
                class,
                ..
            } => {
                check(
                    step,
                    at.quiet(&desired.windows.reset),
                    "is outside its window or within lessons",
                );
                let today = observed.at.to_zoned(desired.zone.clone()).date();
                check(
                    step,
                    desired.holidays.holding(today).is_none(),
                    "is in the holidays",
                );
                check(step, *due <= observed.at, "is not due yet");
                check(step, !hosts.is_empty(), "has no hosts");
                let known = hosts.iter().all(|wake| {
                    let device = observed
                        .devices
                        .seen()
                        .and_then(|devices| devices.get(&wake.host));
                    device.is_some_and(|device| device.pxe.is_reset() && device.class == *class)
                });
                check(
                    step,
                    known,
                    "touches a host that devices.csv does not give to this class with PXE flag 1 or 2",
                );
                let budget = u64::from(desired.power_of(group).on_at_once);
                check(
                    step,
                    power.get(group).copied().unwrap_or(0) <= budget,
                    "would overload its circuit",
                );
            }
        }
    }
    violations
}

/// The time of the plan, as the windows see it.
struct Clock<'a> {
    desired: &'a Desired,
    at: Timestamp,
}

impl Clock<'_> {
    fn within(&self, windows: &Windows) -> bool {
        windows.opening_at(self.at, &self.desired.zone).is_some()
    }

    fn quiet(&self, windows: &Windows) -> bool {
        self.within(windows) && !self.within(&self.desired.windows.lessons)
    }
}
