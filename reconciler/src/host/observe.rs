//! What is true on this server: one look at everything that its desired state speaks of.
//!
//! # Invariants
//!
//! Nothing is changed but what is remembered of digests. What cannot be seen says so with its path
//! and the error; it never looks like something that is not there. All times are compared with one
//! reading of the clock, taken before anything was looked at. Files are read on threads of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use schema::fleet::Rebrand;
use schema::name::{ClassName, FileName, HostName, ImageName};

use crate::config::{Config, Paths};
use crate::host::store::StoreFolder;
use crate::host::tmux::Tmux;
use crate::linbo::devices::Devices;
use crate::planning::{Action, Desired, Journal, LiveImage, Observed, Probe, Running};

use super::boot_links;
use super::digests::Digests;
use super::orders;
use read::{Links, read};

mod classes;
mod hosts;
mod images;
mod kept;
mod left_on;
mod onboot;
mod read;
mod seeds;
mod store;

/// `devices.csv` of the largest school has some hundred kilobytes.
const LONGEST_DEVICES: u64 = 16 << 20;

/// The set of files that lay in LINBO's folder of an image before the one that lies there; none when there is none.
pub async fn before(paths: &Paths, digests: &Digests, image: &ImageName) -> Probe<LiveImage> {
    let folder = StoreFolder::new(&paths.store).previous(image);
    images::look(folder, image, Some(digests)).await
}

/// Looks at everything that `desired` speaks of. `journal` and `running` become part of what is seen.
pub async fn observe(
    config: &Config,
    digests: &Digests,
    journal: &Journal,
    desired: &Desired,
    running: &[Running],
) -> Observed {
    let at = crate::host::clock();
    let paths = &config.paths;
    let images = images(desired);
    let released = desired.images.keys().map(|(image, _)| image.clone());
    let for_vm = desired
        .images
        .keys()
        .filter_map(|(image, _)| Rebrand::stem(image));
    let for_vm = for_vm.filter(|_| desired.rebrand.is_some());
    let released: BTreeSet<ImageName> = released.chain(for_vm).collect();
    let at_work = at_work(running);
    let live = images.iter().map(|image| async {
        let asked = released.contains(image).then_some(digests);
        let folder = paths.linbo.join("images").join(image.as_str());
        (image.clone(), images::look(folder, image, asked).await)
    });
    // Before the reports: what ends between the two looks has left its own by then.
    let busy = hosts::busy(config, journal, at, at_work.clone()).await;
    let (live, store, seeded, (devices, classes, astray, reports, onboot)) = tokio::join!(
        join_all(live),
        store::look(&paths.store, digests),
        seeds::look(Tmux::new(&config.commands.tmux), image_files(&images)),
        async {
            let devices = devices(&paths.devices).await;
            let hosts = hosts::of_rooms(desired, devices.seen());
            let onboot = onboot::look(&paths.linbo, &hosts, devices.seen()).await;
            let astray = astray(&paths.linbo, &devices, &hosts).await;
            let names = class_names(desired, devices.seen(), astray.seen());
            let classes = names.iter().map(async |class| {
                let found = classes::look(&paths.linbo, class).await;
                (class.clone(), found)
            });
            (
                devices.clone(),
                join_all(classes).await,
                astray,
                hosts::reports(config, journal, hosts).await,
                onboot,
            )
        },
    );
    let kept = kept::look(paths, &store, digests).await;
    let left_on = match &busy {
        Probe::Seen(busy) => {
            let mut asked = journal.may_be_on(at - left_on::LATE);
            asked.retain(|host| !busy.contains_key(host) && !at_work.contains(host));
            left_on::look(config, asked, devices.seen()).await
        }
        // What may be busy is not to be switched off, and that it cannot be seen is said already.
        Probe::Unseen(_) => Probe::Seen(BTreeSet::new()),
    };
    Observed {
        at,
        devices,
        astray,
        // What stands in place of a foreign class's file, or whether it can be read, is its owner's affair.
        classes: classes
            .into_iter()
            .filter(|(name, found)| desired.classes.contains_key(name) || found.seen().is_some())
            .collect(),
        live: live.into_iter().collect(),
        store,
        kept,
        reports: Arc::new(reports),
        busy,
        orders: orders::look(&paths.state),
        left_on,
        onboot,
        seeded,
        journal: journal.clone(),
        running: running.to_vec(),
    }
}

/// The classes that are wanted, and those that hosts of wanted rooms have or boot: one may be that of a test class whose
/// file is gone from the state repo.
fn class_names(
    desired: &Desired,
    devices: Option<&Devices>,
    astray: Option<&Arc<BTreeMap<HostName, ClassName>>>,
) -> BTreeSet<ClassName> {
    let rows = devices.map(Devices::rows).unwrap_or_default().iter();
    let of_rooms = rows.filter(|row| desired.rooms.contains_key(&row.room));
    let have = of_rooms.map(|row| &row.class);
    let boot = astray.into_iter().flat_map(|astray| astray.values());
    desired
        .classes
        .keys()
        .chain(have)
        .chain(boot)
        .cloned()
        .collect()
}

/// Which hosts are led to another class than they have. What cannot be known of devices is said of them already.
async fn astray(
    linbo: &Path,
    devices: &Probe<Devices>,
    hosts: &BTreeSet<HostName>,
) -> Probe<Arc<BTreeMap<HostName, ClassName>>> {
    let Probe::Seen(devices) = devices else {
        return Probe::Seen(Arc::default());
    };
    let (linbo, devices, hosts) = (linbo.to_owned(), devices.clone(), hosts.clone());
    blocking(
        move || match boot_links::of_hosts(&linbo, &devices, &hosts) {
            Ok(mut found) => {
                found.retain(|host, boots| {
                    devices
                        .get(host)
                        .is_none_or(|device| device.class != *boots)
                });
                Probe::Seen(Arc::new(found))
            }
            Err(error) => Probe::Unseen(format!("{error}: {}", error.source)),
        },
    )
    .await
}

/// All images that a class or the release of an image names.
fn images(desired: &Desired) -> BTreeSet<ImageName> {
    let of_classes = desired
        .classes
        .values()
        .flat_map(|class| class.os.iter().map(|os| &os.image));
    let released = desired.images.keys().map(|(image, _)| image);
    of_classes.chain(released).cloned().collect()
}

/// The files that an image may have.
fn image_files(images: &BTreeSet<ImageName>) -> BTreeSet<FileName> {
    let endings = ["qcow2", "qdiff"];
    let names = images
        .iter()
        .flat_map(|image| endings.map(|ending| format!("{image}.{ending}")));
    names.filter_map(|name| name.parse().ok()).collect()
}

/// The hosts on which this pass itself works.
pub(super) fn at_work(running: &[Running]) -> BTreeSet<HostName> {
    let mut all = BTreeSet::new();
    for running in running {
        match &running.step.action {
            Action::ResetRoom { hosts, .. } => {
                all.extend(hosts.iter().map(|wake| wake.host.clone()));
            }
            Action::SwitchOff { hosts } => all.extend(hosts.iter().cloned()),
            _ => {}
        }
    }
    all
}

async fn devices(path: &Path) -> Probe<Devices> {
    let path = path.to_owned();
    blocking(
        move || match read(&path, LONGEST_DEVICES, Links::Followed) {
            Ok(Some(file)) => Probe::Seen(Devices::parse(&file.bytes)),
            Ok(None) => Probe::Unseen(format!("{} is not there", path.display())),
            Err(cause) => Probe::Unseen(cause),
        },
    )
    .await
}

/// Does something on a thread where it may wait for a disk.
async fn blocking<T: Send + 'static>(look: impl FnOnce() -> Probe<T> + Send + 'static) -> Probe<T> {
    let looked = tokio::task::spawn_blocking(look).await;
    looked.unwrap_or_else(|error| Probe::Unseen(format!("looking was cut off: {error}")))
}

/// Several looks at once, by their names.
type Probes<K, T> = BTreeMap<K, Probe<T>>;

#[cfg(test)]
mod tests;
