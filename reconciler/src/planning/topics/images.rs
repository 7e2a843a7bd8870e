//! Released images: absent, downloaded and verified, active, seeded.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use schema::digest::Digest;
use schema::fleet::{DomainJoin, Rebrand};
use schema::name::{FileName, HostName, ImageName, VersionName};
use schema::units::{Bytes, Rate};

use crate::manifest::Manifest;
use crate::planning::action::{Action, Reason, Step, StepId};
use crate::planning::desired::{Desired, DesiredImage, Purpose};
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Busy, LiveImage, Observed, Probe, Store, Torrent};
use crate::planning::plan::{Drafts, Goal};
use crate::planning::slots::{EARLY, Share};

/// What the exchange of an image's files and the making of its torrent take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(10);
/// What is left of a window has to be worth the beginning of a download.
const WORTH: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    for (image, gone_back) in &desired.gone_back {
        let goal = Goal::Active(image.clone(), gone_back.from.clone());
        drafts.hold(goal, gone_back.gate(desired, image), None);
    }
    for ((image, version), wanted) in &desired.images {
        if let Purpose::TestClass { until } = wanted.purpose
            && until < desired.day(observed.at)
        {
            continue;
        }
        let name = Named {
            desired,
            observed,
            image,
            version,
            wanted,
        };
        name.serve(drafts);
    }
    for (image, live) in &observed.live {
        let mut images = desired.images.iter();
        // The VM loads by rsync.
        let is_loaded =
            images.any(|((of, _), wanted)| of == image && wanted.purpose != Purpose::Vm);
        if let Probe::Seen(live) = live
            && is_loaded
        {
            seed(drafts, image, live, &observed.seeded);
        }
    }
}

/// One wanted version, with what there is to look at.
struct Named<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    image: &'a ImageName,
    version: &'a VersionName,
    wanted: &'a DesiredImage,
}

/// A time in which the line may be used.
struct Line {
    from: Timestamp,
    until: Timestamp,
    rate: Option<Rate>,
}

impl Named<'_> {
    fn store(&self) -> Result<&Store, Gate> {
        match &self.observed.store {
            Probe::Seen(store) => Ok(store),
            Probe::Unseen(cause) => Err(Gate::Unseen(cause.clone())),
        }
    }

    fn live(&self) -> Result<&LiveImage, Gate> {
        match self.observed.live.get(self.image) {
            Some(Probe::Seen(live)) => Ok(live),
            Some(Probe::Unseen(cause)) => Err(Gate::Unseen(cause.clone())),
            None => Err(Gate::Unseen(format!(
                "the folder of {} was not looked at",
                self.image
            ))),
        }
    }

    /// What is active already needs neither the store's files nor a download, and what cannot be seen
    /// may be active.
    fn serve(&self, drafts: &mut Drafts<'_>) {
        let live = match self.live() {
            Ok(live) => live,
            Err(gate) => {
                return drafts.hold(
                    Goal::Active(self.image.clone(), self.version.clone()),
                    gate,
                    None,
                );
            }
        };
        let manifest = self
            .store()
            .ok()
            .and_then(|store| store.manifests.get(&self.wanted.manifest));
        let is_there = |manifest: &Manifest| live.holds(manifest) || self.is_in_vm(live, manifest);
        if !manifest.is_some_and(is_there) && self.download(drafts) {
            self.activate(live, drafts);
        }
    }

    /// Whether the VM was given just that, and has perhaps uploaded what was made of it: that is not put aside.
    fn is_in_vm(&self, live: &LiveImage, manifest: &Manifest) -> bool {
        let base = live.base.as_ref().and_then(|base| base.sha256);
        let given = Action::Activate {
            image: self.image.clone(),
            version: self.version.clone(),
            manifest: self.wanted.manifest,
        };
        self.wanted.purpose == Purpose::Vm
            && base == Some(manifest.base().sha256)
            && self.observed.journal.was_last(self.image, &given.id())
    }

    /// Whether the version is in the store, verified; otherwise proposes to download it.
    fn download(&self, drafts: &mut Drafts<'_>) -> bool {
        let goal = || Goal::Downloaded(self.image.clone(), self.version.clone());
        let store = match self.store() {
            Ok(store) => store,
            Err(gate) => {
                drafts.hold(goal(), gate, None);
                return false;
            }
        };
        if store.is_complete(&self.wanted.manifest) {
            return true;
        }
        let bytes = store
            .missing(&self.wanted.manifest)
            .unwrap_or(self.wanted.size.0);
        let line = self.line();
        // A tenth more than the files, so that the disk is not full to the last byte afterwards.
        let needed = bytes.saturating_add(bytes / 10);
        match line {
            Err(Closed { gate, wake }) => drafts.hold(goal(), gate, wake),
            Ok(_) if needed > store.free => {
                let gate = Gate::NoSpace {
                    needed: Bytes(needed),
                    free: Bytes(store.free),
                };
                drafts.hold(goal(), gate, None);
            }
            Ok(line) => {
                let action = Action::Download {
                    image: self.image.clone(),
                    version: self.version.clone(),
                    manifest: self.wanted.manifest,
                    bytes: Bytes(bytes),
                    diff: self.wanted.diff,
                    rate: line.rate,
                    from: line.from,
                    until: line.until,
                };
                drafts.step(Step::new(action, self.why_download(store)));
            }
        }
        false
    }

    fn why_download(&self, store: &Store) -> Reason {
        let manifest = store.manifests.get(&self.wanted.manifest);
        let has = |which: &dyn Fn(&Digest) -> bool| {
            let mut files = manifest.into_iter().flat_map(|manifest| manifest.files());
            files.any(|file| which(&file.sha256))
        };
        if has(&|digest| store.partial.contains_key(digest)) {
            Reason::Resumed
        } else if has(&|digest| store.damaged.contains(digest)) {
            Reason::Damaged
        } else {
            Reason::Absent
        }
    }

    /// When the line may be used next, and how much of it.
    fn line(&self) -> Result<Line, Closed> {
        let at = self.observed.at;
        match self.desired.line(at) {
            Share::Unbounded => Ok(Line {
                from: at,
                until: gates::window(self.desired, Work::Download, at, WORTH)?,
                rate: self.desired.download_rate,
            }),
            Share::Slot(slot) if slot.from <= at + EARLY => Ok(Line {
                from: slot.from.max(at),
                until: slot.until,
                rate: Some(slot.rate),
            }),
            Share::Slot(slot) => Err(Closed {
                gate: self.failed().unwrap_or(Gate::Slot(Some(slot))),
                wake: Some(slot.from - EARLY),
            }),
            Share::Nothing => Err(Closed {
                gate: Gate::Slot(None),
                wake: None,
            }),
        }
    }

    /// A download that failed is told as one that did until it goes well, though its next try is in its next slot.
    fn failed(&self) -> Option<Gate> {
        let id = StepId::download(self.image, self.version, &self.wanted.manifest);
        let failures = self.observed.journal.failures(&id)?;
        Some(Gate::Backoff {
            failures: failures.count,
            why: failures.why.clone(),
        })
    }

    fn activate(&self, live: &LiveImage, drafts: &mut Drafts<'_>) {
        let begun = match self.wanted.purpose {
            Purpose::Rooms if self.desired.gone_back.contains_key(self.image) => Ok(()),
            Purpose::Rooms => gates::rollout_begun(self.desired, live, self.observed.at),
            Purpose::TestClass { .. } | Purpose::Vm => Ok(()),
        };
        let ready = begun.and_then(|()| match drafts.guard().image(self.image) {
            Some(gate) => Err(Closed { gate, wake: None }),
            None => self.ready_to_activate(live),
        });
        match ready {
            Ok(reason) => drafts.step(Step::new(
                Action::Activate {
                    image: self.image.clone(),
                    version: self.version.clone(),
                    manifest: self.wanted.manifest,
                },
                reason,
            )),
            Err(Closed { gate, wake }) => {
                drafts.hold(
                    Goal::Active(self.image.clone(), self.version.clone()),
                    gate,
                    wake,
                );
            }
        }
    }

    fn ready_to_activate(&self, live: &LiveImage) -> Result<Reason, Closed> {
        let closed = |gate| Closed { gate, wake: None };
        match self.wanted.domain_join {
            DomainJoin::NotNeeded => {}
            DomainJoin::Rebrand => {
                let vm = self.desired.rebrand.clone();
                let vm = vm.zip(Rebrand::stem(self.image));
                return Err(closed(Gate::NotRebranded(vm)));
            }
        }
        if live.uploading {
            return Err(closed(Gate::Uploading(self.image.clone())));
        }
        gates::window(self.desired, Work::Activate, self.observed.at, NEEDS)?;
        let busy = match &self.observed.busy {
            Probe::Seen(busy) => busy,
            Probe::Unseen(cause) => return Err(closed(Gate::Unseen(cause.clone()))),
        };
        let syncing: Vec<(HostName, Busy)> = busy
            .iter()
            .filter(|(host, _)| self.may_sync(host))
            .map(|(host, busy)| (host.clone(), busy.clone()))
            .collect();
        if let Some((_, closed)) = Gate::of_busy(&syncing, self.observed.at).into_iter().next() {
            return Err(closed);
        }
        if live.base.is_none() && live.diff.is_none() {
            return Ok(Reason::Absent);
        }
        let store = self.store().map_err(closed)?;
        let known = store
            .manifests
            .values()
            .find(|manifest| manifest.image() == self.image && live.holds(manifest));
        Ok(Reason::OtherVersion(
            known.map(|manifest| manifest.version().clone()),
        ))
    }

    /// Whether a busy host may be reading this image. One that is not known may be reading any.
    fn may_sync(&self, host: &HostName) -> bool {
        let class = self
            .observed
            .devices
            .seen()
            .and_then(|devices| devices.get(host))
            .map(|device| &device.class);
        let class = class.and_then(|class| self.desired.classes.get(class));
        class.is_none_or(|class| class.os.iter().any(|os| os.image == *self.image))
    }
}

/// Torrents of released images; those of others are their makers' affair. No window: an image without
/// its torrent leaves clients waiting, and one with an old torrent is overwritten by its seeder.
fn seed(
    drafts: &mut Drafts<'_>,
    image: &ImageName,
    live: &LiveImage,
    seeded: &Probe<BTreeSet<FileName>>,
) {
    for (file, found) in live.files(image) {
        let reason = match found.torrent {
            // A server that was restarted, or a seeder that died.
            Torrent::Current => match seeded {
                Probe::Seen(seeded) if !seeded.contains(&file) => Reason::NotSeeded,
                Probe::Seen(_) | Probe::Unseen(_) => continue,
            },
            Torrent::Missing => Reason::Absent,
            Torrent::Stale => Reason::Outdated,
        };
        if live.uploading {
            drafts.hold(Goal::Seeded(file), Gate::Uploading(image.clone()), None);
            continue;
        }
        drafts.step(Step::new(
            Action::Seed {
                image: image.clone(),
                file,
            },
            reason,
        ));
    }
}
