//! What a step is expected to change: its nominal effect, as a function.
//!
//! It drives the look-ahead of the dry run, is the simulator's idea of success, and is what the
//! real adapters are compared with.

use std::sync::Arc;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::name::{FileName, HostName, ImageName, VersionName};

use crate::linbo::image_info::ImageRecord;
use crate::linbo::verdict::HostOutcome;
use crate::manifest::{MadeFrom, Manifest, ManifestFile, digest_of};
use crate::planning::action::{Action, RowChange, Step};
use crate::planning::journal::{Entry, Record, StepResult};
use crate::planning::observed::{
    ClassFiles, Grub, ImageFile, LiveImage, Observed, Probe, Store, Torrent,
};

/// Changes `observed` as performing `step` is expected to. Time does not pass.
pub fn predict(observed: &mut Observed, step: &Step) {
    let note = |observed: &mut Observed, entry| {
        observed.journal.fold(&Record {
            at: observed.at,
            pass: observed.at,
            entry,
        });
    };
    match &step.action {
        Action::WriteStartConf { class, after, .. } => {
            // The boot configuration is older than a file that was just written.
            let grub = match observed.classes.get(class) {
                Some(Probe::Seen(ClassFiles {
                    grub: Grub::ByHand, ..
                })) => Grub::ByHand,
                _ => Grub::Stale,
            };
            let files = ClassFiles {
                start_conf: Some(after.clone()),
                grub,
            };
            observed.classes.insert(class.clone(), Probe::Seen(files));
        }
        Action::SetRows { rows } => {
            if let Probe::Seen(devices) = &mut observed.devices {
                *devices = devices.edited(&RowChange::edits(rows));
            }
            for (host, change) in rows {
                if change.before().is_none() {
                    Arc::make_mut(&mut observed.reports)
                        .entry(host.clone())
                        .or_insert(Probe::Seen(None));
                }
            }
            if let Probe::Seen(astray) = &mut observed.astray {
                let gone = |host: &HostName| {
                    rows.get(host)
                        .is_some_and(|change| change.after().is_none())
                };
                Arc::make_mut(astray).retain(|host, _| !gone(host));
            }
            let begun = Entry::Started {
                step: step.id.clone(),
                title: String::new(),
                hosts: Vec::new(),
            };
            note(observed, begun);
        }
        Action::SetClasses { hosts } => {
            if let (Probe::Seen(devices), Probe::Seen(astray)) =
                (&observed.devices, &mut observed.astray)
            {
                let astray = Arc::make_mut(astray);
                for (host, change) in hosts {
                    let before = devices.get(host).filter(|device| device.pxe.is_reset());
                    let Some(before) = before else { continue };
                    let boots = astray.remove(host).unwrap_or_else(|| before.class.clone());
                    if boots != change.after {
                        astray.insert(host.clone(), boots);
                    }
                }
            }
            if let Probe::Seen(devices) = &mut observed.devices {
                let after = hosts.iter().map(|(host, change)| (host, &change.after));
                *devices = devices.edited(&devices.moved(after));
            }
        }
        Action::ImportDevices { classes, hosts } => {
            if let Probe::Seen(astray) = &mut observed.astray
                && !hosts.is_empty()
            {
                Arc::make_mut(astray).retain(|host, _| !hosts.contains_key(host));
            }
            for class in classes {
                if let Some(Probe::Seen(files)) = observed.classes.get_mut(class) {
                    files.grub = Grub::Current;
                }
            }
        }
        Action::Download {
            image,
            version,
            manifest: digest,
            bytes,
            diff,
            ..
        } => {
            let Probe::Seen(store) = &mut observed.store else {
                return;
            };
            store.free = store.free.saturating_sub(bytes.0);
            if !store.manifests.contains_key(digest)
                && let Some(manifest) =
                    stand_in(image, version, digest, bytes.0, diff.map(|diff| diff.0))
            {
                store.manifests.insert(*digest, manifest);
            }
            for file in store
                .manifests
                .get(digest)
                .iter()
                .flat_map(|manifest| manifest.files())
            {
                store.objects.insert(file.sha256);
                store.damaged.remove(&file.sha256);
                store.partial.remove(&file.sha256);
            }
        }
        Action::Stage {
            manifest: digest,
            to,
            ..
        } => {
            let Probe::Seen(store) = &mut observed.store else {
                return;
            };
            if let Some((name, manifest)) = staged(store, digest, to, observed.at) {
                let contents = manifest.files().iter().map(|file| file.sha256);
                store.objects.extend(contents);
                store.manifests.insert(name, manifest);
            }
        }
        Action::Activate {
            image, manifest, ..
        } => activate(observed, image, manifest),
        Action::Delete {
            manifest, bytes, ..
        } => {
            let Probe::Seen(store) = &mut observed.store else {
                return;
            };
            let freed = store.alone(manifest);
            store.manifests.remove(manifest);
            store.objects.retain(|object| !freed.contains(object));
            store.partial.retain(|object, _| !freed.contains(object));
            store.damaged.retain(|object| !freed.contains(object));
            store.free = store.free.saturating_add(bytes.0);
        }
        Action::Seed { image, file } => {
            if let Some(Probe::Seen(live)) = observed.live.get_mut(image) {
                let found = if file.as_str().ends_with(".qdiff") {
                    &mut live.diff
                } else {
                    &mut live.base
                };
                if let Some(found) = found {
                    found.torrent = Torrent::Current;
                }
            }
            if let Probe::Seen(seeded) = &mut observed.seeded {
                seeded.insert(file.clone());
            }
        }
        Action::SwitchOff { hosts } => {
            if let Probe::Seen(left_on) = &mut observed.left_on {
                left_on.retain(|host| !hosts.contains(host));
            }
        }
        Action::ResetRoom { hosts, images, .. } => {
            let outcomes = images.iter().filter_map(|image| {
                let live = observed.live.get(image).and_then(Probe::seen);
                let found = live.and_then(|live| live.files(image).last());
                let (file, stamp) = match found {
                    Some((file, found)) => {
                        let record = found.record.as_ref();
                        (file, record.and_then(|record| record.timestamp.clone()))
                    }
                    None => (format!("{image}.qcow2").parse::<FileName>().ok()?, None),
                };
                Some(HostOutcome::applied_one(file, stamp))
            });
            let Some(outcome) = HostOutcome::of_images(outcomes) else {
                return;
            };
            for wake in hosts {
                let outcome = outcome.clone();
                let entry = Entry::Host {
                    step: step.id.clone(),
                    host: wake.host.clone(),
                    outcome,
                    version: None,
                };
                note(observed, entry);
            }
        }
    }
    note(
        observed,
        Entry::Finished {
            step: step.id.clone(),
            result: StepResult::Done,
        },
    );
}

/// A manifest that nobody has seen yet: a base and a diff of the expected sizes, with its own digest and that of it
/// in place of theirs.
fn stand_in(
    image: &ImageName,
    version: &VersionName,
    digest: &Digest,
    size: u64,
    diff: Option<u64>,
) -> Option<Manifest> {
    let file = |ending, size, sha256| {
        let name = format!("{image}.{ending}").parse::<FileName>().ok()?;
        Some(ManifestFile { name, size, sha256 })
    };
    let base = size.saturating_sub(diff.unwrap_or(0)).max(1);
    let mut files = vec![file("qcow2", base, *digest)?];
    if let Some(diff) = diff {
        files.push(file(
            "qdiff",
            diff,
            digest_of(digest.to_string().as_bytes()),
        )?);
    }
    Manifest::new(image.clone(), version.clone(), files).ok()
}

/// A published version under another name, with contents that nobody has seen in place of those that are written anew.
pub(crate) fn staged(
    store: &Store,
    published: &Digest,
    to: &ImageName,
    at: Timestamp,
) -> Option<(Digest, Manifest)> {
    let manifest = store.manifests.get(published)?;
    let unseen = |what: &str| digest_of(format!("{to} {what} {published}").as_bytes());
    let base = ManifestFile {
        name: format!("{to}.qcow2").parse().ok()?,
        ..manifest.base().clone()
    };
    let diff = manifest.diff().and_then(|diff| {
        Some(ManifestFile {
            name: format!("{to}.qdiff").parse().ok()?,
            size: diff.size,
            sha256: unseen("diff"),
        })
    });
    let files = std::iter::once(base).chain(diff).collect();
    let made = MadeFrom {
        source: *published,
        domain: None,
        at,
        commit: None,
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let staged = Manifest::made_here(to.clone(), manifest.version().clone(), files, made).ok()?;
    Some((unseen("manifest"), staged))
}

fn activate(observed: &mut Observed, image: &ImageName, manifest: &Digest) {
    let Probe::Seen(store) = &observed.store else {
        return;
    };
    let Some(manifest) = store.manifests.get(manifest) else {
        return;
    };
    // Its timestamp is in none of the manifests: some other than that of the state before.
    let stamp = observed.at.strftime("%Y%m%d%H%M").to_string().parse().ok();
    let file = |file: &ManifestFile| ImageFile {
        size: file.size,
        sha256: Some(file.sha256),
        written: observed.at,
        record: Some(ImageRecord {
            timestamp: stamp.clone(),
            ..ImageRecord::default()
        }),
        torrent: Torrent::Missing,
    };
    let live = LiveImage {
        base: Some(file(manifest.base())),
        diff: manifest.diff().map(file),
        uploading: false,
    };
    if let Probe::Seen(kept) = &mut observed.kept {
        let before = observed.live.get(image).and_then(Probe::seen);
        let before = before.into_iter().flat_map(|live| live.files(image));
        kept.extend(before.filter_map(|(_, file)| file.sha256));
        kept.extend(live.files(image).filter_map(|(_, file)| file.sha256));
    }
    if let Probe::Seen(seeded) = &mut observed.seeded {
        seeded.retain(|file| live.files(image).all(|(name, _)| name != *file));
    }
    observed.live.insert(image.clone(), Probe::Seen(live));
}
