//! Steps that went well, some of them chosen by chance, are compared with what `predict` said of them:
//! observe, predict, perform, observe, compare, in every run and with everything else that goes on at
//! the same time.

use schema::name::HostName;

use super::chance::Permille;
use super::port::Port;
use crate::linbo::devices::Devices;
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Action, Desired, Observed, Probe, Step, predict};

/// How many steps are compared.
const CHOSEN: Permille = 250;

/// What stood before a step.
pub(super) struct Foretold {
    predicted: Observed,
    desired: std::sync::Arc<Desired>,
    changes: u64,
    calm: bool,
}

impl Port {
    /// Looks before a step; none when nothing can be said of it.
    pub(super) fn foretell(&self, step: &Step) -> Option<Foretold> {
        let chosen = self.luck("oracle", self.true_now()).happens(CHOSEN);
        if self.world.bug.is_some() || !chosen {
            return None;
        }
        let desired = self.world.obeyed(self.site, &self.school().borrow().disk)?;
        let mut predicted = self.look(&desired, &[]);
        predict(&mut predicted, step);
        let calm = self.school().borrow().faults.is_empty();
        Some(Foretold {
            predicted,
            desired,
            changes: self.world.changes(self.site),
            calm,
        })
    }

    /// Compares what is there after a step that went well.
    pub(super) fn compare(
        &self,
        step: &Step,
        foretold: &Foretold,
        hosts: &[(HostName, HostOutcome)],
    ) {
        let Foretold {
            predicted,
            desired,
            changes,
            calm,
        } = foretold;
        // What people did meanwhile was not foretold, and what cannot be seen cannot be compared.
        if *changes != self.world.changes(self.site) {
            return;
        }
        let found = self.look(desired, &[]);
        let calm = *calm && self.school().borrow().faults.is_empty();
        if let Some(how) = difference(step, predicted, &found, calm.then_some(hosts)) {
            let how = format!(
                "step {} did something else than was predicted: {how}",
                step.id
            );
            self.world
                .promises
                .borrow_mut()
                .unpredicted(self.site, self.true_now(), how);
        }
    }
}

fn difference(
    step: &Step,
    predicted: &Observed,
    found: &Observed,
    hosts: Option<&[(HostName, HostOutcome)]>,
) -> Option<String> {
    let differ = |what: &str, predicted: String, found: String| {
        (predicted != found).then(|| format!("{what} is {found}, predicted was {predicted}"))
    };
    match &step.action {
        Action::WriteStartConf { class, .. } => {
            let (Some(Probe::Seen(one)), Some(Probe::Seen(other))) =
                (predicted.classes.get(class), found.classes.get(class))
            else {
                return None;
            };
            differ("the class", format!("{one:?}"), format!("{other:?}"))
        }
        Action::SetRows { rows } => {
            let (Probe::Seen(one), Probe::Seen(other)) = (&predicted.devices, &found.devices)
            else {
                return None;
            };
            let row = |devices: &Devices, host| format!("{:?}", devices.get(host));
            rows.keys()
                .find_map(|host| differ("the row", row(one, host), row(other, host)))
        }
        Action::SetClasses { hosts } => {
            let (Probe::Seen(one), Probe::Seen(other)) = (&predicted.devices, &found.devices)
            else {
                return None;
            };
            hosts.keys().find_map(|host| {
                let class =
                    |devices: &Devices| devices.get(host).map(|device| device.class.clone());
                differ(
                    "the class",
                    format!("{:?}", class(one)),
                    format!("{:?}", class(other)),
                )
            })
        }
        Action::ImportDevices { classes, .. } => classes.iter().find_map(|class| {
            let (Some(Probe::Seen(one)), Some(Probe::Seen(other))) =
                (predicted.classes.get(class), found.classes.get(class))
            else {
                return None;
            };
            differ(
                "the boot configuration",
                format!("{:?}", one.grub),
                format!("{:?}", other.grub),
            )
        }),
        Action::Download { manifest, .. } => {
            let (Probe::Seen(one), Probe::Seen(other)) = (&predicted.store, &found.store) else {
                return None;
            };
            differ(
                "completeness",
                one.is_complete(manifest).to_string(),
                other.is_complete(manifest).to_string(),
            )
        }
        Action::Stage { manifest, to, .. } => {
            let (Probe::Seen(one), Probe::Seen(other)) = (&predicted.store, &found.store) else {
                return None;
            };
            let is_there =
                |store: &crate::planning::Store| store.renamed(manifest, to).is_some().to_string();
            differ("readiness", is_there(one), is_there(other))
        }
        Action::Activate { image, .. } => {
            let (Some(Probe::Seen(one)), Some(Probe::Seen(other))) =
                (predicted.live.get(image), found.live.get(image))
            else {
                return None;
            };
            // Another step may have made the torrent meanwhile.
            let files = |live: &crate::planning::LiveImage| {
                let file = |file: &Option<crate::planning::ImageFile>| {
                    file.as_ref().map(|file| (file.size, file.sha256))
                };
                format!("{:?} {:?}", file(&live.base), file(&live.diff))
            };
            differ("the image", files(one), files(other))
        }
        Action::Delete { manifest, .. } => {
            let (Probe::Seen(one), Probe::Seen(other)) = (&predicted.store, &found.store) else {
                return None;
            };
            let there = |store: &crate::planning::Store| {
                let there = store.manifests.contains_key(manifest);
                format!("{there} beside {} files", store.objects.len())
            };
            differ("the version in the store", there(one), there(other))
        }
        Action::Seed { image, file } => {
            let torrent = |observed: &Observed| {
                let live = observed.live.get(image)?.seen()?;
                live.files(image)
                    .find(|(name, _)| name == file)
                    .map(|(_, file)| format!("{:?}", file.torrent))
            };
            differ("the torrent", torrent(predicted)?, torrent(found)?)
        }
        Action::SwitchOff { hosts } => {
            let left = |observed: &Observed| {
                let left = observed.left_on.seen()?;
                Some(
                    hosts
                        .iter()
                        .filter(|host| left.contains(*host))
                        .count()
                        .to_string(),
                )
            };
            differ(
                "the number of hosts left on",
                left(predicted)?,
                left(found)?,
            )
        }
        Action::ResetRoom { .. } => {
            let bad = hosts?.iter().find(|(host, outcome)| {
                let applied =
                    |outcome: &HostOutcome| matches!(outcome, HostOutcome::Applied { .. });
                let expected = predicted
                    .journal
                    .host(host)
                    .attempts()
                    .last()
                    .is_some_and(|last| applied(&last.outcome));
                expected != applied(outcome)
            });
            bad.map(|(host, outcome)| format!("{host} {outcome}"))
        }
    }
}
