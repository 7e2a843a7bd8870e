//! The guard against mass changes: how many of a school's PCs would be re-imaged outside of a rollout, and whether
//! that is more than its state repo allows.
//!
//! # Invariants
//!
//! A PC that is put back to the state that it had already is never counted, and neither is one to which a new version
//! comes in waves, nor one that a test class names, nor one whose image people let go back. What counts is what would
//! happen to hosts sooner or later, whatever window is open just now: a school is not changed slice by slice. What could
//! not be seen counts as changed; of a host that was never heard of nothing can be taken away.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schema::fleet::{DomainJoin, Room, RoomHosts};
use schema::name::{ClassName, FileName, HostName, ImageName};
use schema::text::ImageStamp;

use crate::linbo::devices::Device;
use crate::linbo::start_conf::{self, StartConf};
use crate::linbo::status::{HostReport, ImageEvent};
use crate::planning::desired::{Desired, DesiredClass, Purpose};
use crate::planning::gates::{Change, Excess, Gate, SKEW};
use crate::planning::journal::{Attempt, HostMemory};
use crate::planning::observed::{Observed, Probe};
use crate::planning::orders::Subject;
use crate::planning::suspension;

/// What would change outside of a rollout, and whether it is too much.
#[derive(Debug)]
pub struct Guard<'a> {
    hosts: BTreeMap<&'a HostName, Change>,
    images: BTreeSet<&'a ImageName>,
    classes: BTreeSet<&'a ClassName>,
    /// What holds all of it; none when so much may change.
    held: Option<Held>,
}

/// Why nothing may change.
#[derive(Debug)]
enum Held {
    Excess(Excess),
    Unseen(String),
}

impl<'a> Guard<'a> {
    /// What would change outside of a rollout.
    #[must_use]
    pub fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let at_once = desired.rollout.waves.is_none();
        let live = observed.live.iter().filter(|_| at_once);
        let offered = live.filter_map(|(image, live)| {
            if desired.gone_back.contains_key(image) {
                return None;
            }
            let (file, _, stamp) = live.seen()?.state(image)?;
            Some((image, (file, stamp)))
        });
        let look = Look {
            desired,
            observed,
            at_once,
            offered: offered.collect(),
        };
        let (classes, hidden_classes) = look.classes();
        let (images, hidden_images) = look.images();
        let mut guard = Self {
            hosts: BTreeMap::new(),
            images: images.iter().map(|(image, _)| *image).collect(),
            classes,
            held: None,
        };
        if look.is_suspended(&Subject::Server) {
            return guard;
        }
        let devices = match &observed.devices {
            Probe::Seen(devices) => devices,
            Probe::Unseen(cause) => {
                guard.held = Some(Held::Unseen(cause.clone()));
                return guard;
            }
        };
        let (mut all, mut changed, mut unseen) = (0, 0, 0);
        for device in devices.rows().iter().filter(|device| device.pxe.is_reset()) {
            all += 1;
            let class = desired.classes.get(&device.class);
            let uses = |image: &ImageName| class.is_some_and(|class| has(class, image));
            let reset = class
                .filter(|_| look.is_reset(device))
                .map(|class| look.reset(device, class));
            let is_changed = guard.classes.contains(&device.class)
                || images.iter().any(|(image, version)| {
                    uses(image) && look.version(&device.host, image) != Some(*version)
                });
            match reset {
                Some(Sight::Changed(change)) => {
                    guard.hosts.insert(&device.host, change);
                    changed += 1;
                }
                _ if is_changed => changed += 1,
                Some(Sight::Unseen) => unseen += 1,
                _ if hidden_classes.contains(&device.class)
                    || hidden_images.iter().any(|image| uses(image)) =>
                {
                    unseen += 1;
                }
                Some(Sight::Same) | None => {}
            }
        }
        let share = u64::from(desired.guard.share.get());
        if changed > 0 && (changed + unseen) as u64 * 100 > all as u64 * share {
            guard.held = Some(Held::Excess(Excess {
                hosts: changed + unseen,
                unseen,
                of: all,
                allowed: desired.guard.clone(),
            }));
        }
        guard
    }

    /// What holds the reset of a host, if anything does.
    #[must_use]
    pub fn host(&self, host: &HostName) -> Option<Gate> {
        let held = self.held.as_ref()?;
        Some(held.gate(self.hosts.get(host)?.clone()))
    }

    /// What holds the exchange of an image in LINBO's folder.
    #[must_use]
    pub fn image(&self, image: &ImageName) -> Option<Gate> {
        let held = self.held.as_ref().filter(|_| self.images.contains(image))?;
        Some(held.gate(Change::Version(image.clone())))
    }

    /// What holds the writing of a class's `start.conf`.
    #[must_use]
    pub fn class(&self, class: &ClassName) -> Option<Gate> {
        let held = self
            .held
            .as_ref()
            .filter(|_| self.classes.contains(class))?;
        Some(held.gate(Change::Disk(class.clone())))
    }
}

impl Held {
    fn gate(&self, change: Change) -> Gate {
        match self {
            Self::Excess(excess) => Gate::Guard {
                change,
                excess: Box::new(excess.clone()),
            },
            Self::Unseen(cause) => Gate::Unseen(cause.clone()),
        }
    }
}

/// What the next reset of a host would do to it.
enum Sight {
    Same,
    Changed(Change),
    Unseen,
}

struct Look<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    /// Whether new versions come to all hosts at once.
    at_once: bool,
    /// The states of images that then come to all hosts, as hosts know them.
    offered: BTreeMap<&'a ImageName, (FileName, &'a ImageStamp)>,
}

impl<'a> Look<'a> {
    /// Classes whose `start.conf` would do something else to disks, and those of which that cannot be told.
    fn classes(&self) -> (BTreeSet<&'a ClassName>, BTreeSet<&'a ClassName>) {
        let (mut changed, mut hidden) = (BTreeSet::new(), BTreeSet::new());
        for (name, class) in &self.desired.classes {
            match self.observed.classes.get(name) {
                Some(Probe::Seen(files)) => {
                    let before = files.start_conf.as_deref();
                    let before = before.filter(|text| start_conf::is_ours(text.as_bytes()));
                    if before.is_some_and(|before| {
                        before != class.start_conf && !same_disk(before, &class.start_conf)
                    }) {
                        changed.insert(name);
                    }
                }
                Some(Probe::Unseen(_)) => _ = hidden.insert(name),
                None => {}
            }
        }
        (changed, hidden)
    }

    /// Images that would be exchanged for all their hosts at once with the version that comes, and those of which that
    /// cannot be told. What cannot come for long, since people suspended it say, is no part of it.
    fn images(&self) -> (Vec<(&'a ImageName, &'a str)>, Vec<&'a ImageName>) {
        let (mut changed, mut hidden) = (Vec::new(), Vec::new());
        let wanted = self.desired.images.iter().filter(|(_, wanted)| {
            wanted.purpose == Purpose::Rooms && wanted.domain_join == DomainJoin::NotNeeded
        });
        let wanted = wanted.filter(|((image, _), _)| !self.desired.gone_back.contains_key(image));
        for ((image, version), wanted) in wanted.filter(|_| self.at_once) {
            let live = match self.observed.live.get(image) {
                Some(Probe::Seen(live)) => live,
                Some(Probe::Unseen(_)) => {
                    hidden.push(image);
                    continue;
                }
                None => continue,
            };
            let store = self.observed.store.seen();
            let holds = store
                .and_then(|store| store.manifests.get(&wanted.manifest))
                .map(|manifest| live.holds(manifest));
            if live.base.is_none()
                || holds == Some(true)
                || self.is_suspended(&Subject::Image(image.clone()))
            {
                continue;
            }
            match store {
                None => hidden.push(image),
                Some(store) if store.is_complete(&wanted.manifest) => {
                    changed.push((image, version.as_str()));
                }
                Some(_) => {}
            }
        }
        (changed, hidden)
    }

    /// Whether a host is reset by the schedule of its room. One of a test class is changed because it is named there.
    fn is_reset(&self, device: &Device) -> bool {
        let listed = |room: &Room| match &room.hosts {
            RoomHosts::FromDevices => true,
            RoomHosts::Listed(hosts) => hosts
                .iter()
                .any(|host| host.as_str().eq_ignore_ascii_case(device.host.as_str())),
        };
        let room = self.desired.rooms.get(&device.room);
        room.is_some_and(|room| room.reset.is_some() && room.class == device.class && listed(room))
    }

    fn reset(&self, device: &'a Device, class: &DesiredClass) -> Sight {
        let host = &device.host;
        let report = match self.observed.reports.get(host) {
            Some(Probe::Seen(report)) => report.as_ref(),
            Some(Probe::Unseen(_)) | None => return Sight::Unseen,
        };
        let memory = self.observed.journal.host(host);
        let is_foreign = |file: &FileName| !class.os.iter().any(|os| file.is_of(&os.image));
        // Most hosts never had another image.
        let may_be_taken =
            memory.files().any(is_foreign) || report.is_some_and(|report| is_foreign(&report.file));
        let mut change = None;
        if may_be_taken || self.at_once {
            let said = report.and_then(|report| self.said(memory, report));
            let taken = may_be_taken.then(|| self.taken(memory, said, is_foreign));
            let taken = taken.flatten().map(Change::ImageTaken);
            let other = || self.other_version(memory, said, class);
            change = taken.or_else(|| other().map(Change::Version));
        }
        match change {
            Some(_)
                if self.is_suspended(&Subject::Host(host.clone()))
                    || self.is_suspended(&Subject::Room(device.room.clone())) =>
            {
                Sight::Same
            }
            Some(change) => Sight::Changed(change),
            None if self.at_once
                && class.os.iter().any(|os| {
                    matches!(self.observed.live.get(&os.image), Some(Probe::Unseen(_)))
                }) =>
            {
                Sight::Unseen
            }
            None => Sight::Same,
        }
    }

    /// An image that a host was last put back to, and that is foreign to its class by now. What it tried in a test
    /// class is not taken from it: that it goes back was said when it came.
    fn taken(
        &self,
        memory: &HostMemory,
        said: Option<&HostReport>,
        is_foreign: impl Fn(&FileName) -> bool,
    ) -> Option<ImageName> {
        let mut believed = memory.applied().filter(|attempt| self.is_believed(attempt));
        let last = believed.next().filter(|_| said.is_none());
        let files = last.into_iter().flat_map(|last| last.outcome.applied());
        let mut files = said
            .map(|said| &said.file)
            .into_iter()
            .chain(files.map(|(file, _)| file));
        files.find_map(|file| {
            let image = file.stem();
            let mut tests = self.desired.test_classes.values();
            if !is_foreign(file) || tests.any(|test| test.images.contains(image)) {
                None
            } else {
                image.parse().ok()
            }
        })
    }

    /// An image of its class that a host has in another state than the one that all would get at once.
    fn other_version(
        &self,
        memory: &HostMemory,
        said: Option<&HostReport>,
        class: &DesiredClass,
    ) -> Option<ImageName> {
        let is_other = |image: &&ImageName| {
            let Some((file, stamp)) = self.offered.get(image) else {
                return false;
            };
            let has = match said.filter(|said| said.file.is_of(image)) {
                Some(said) => Some((&said.file, said.stamp.as_ref())),
                None => memory
                    .state(image, self.believed())
                    .map(|(_, file, stamp)| (file, stamp)),
            };
            has.is_some_and(|(has, found)| {
                found.is_some_and(|found| has != file || found != *stamp)
            })
        };
        let mut images = class.os.iter().map(|os| &os.image);
        images.find(is_other).cloned()
    }

    /// What a host said itself that it was put back to, where that is newer than all that is remembered.
    fn said<'r>(&self, memory: &HostMemory, report: &'r HostReport) -> Option<&'r HostReport> {
        if report.event != ImageEvent::Applied {
            return None;
        }
        let at = report.at.to_zoned(self.desired.zone.clone()).ok()?;
        let at = at.timestamp();
        // What did not answer has what it had before.
        let attempts = memory.attempts().iter().rev();
        let mut attempts = attempts.skip_while(|attempt| !self.is_believed(attempt));
        let began = attempts.find(|attempt| !attempt.outcome.is_untouched());
        let is_newer = began.is_none_or(|began| at > began.at);
        (at <= self.believed() && is_newer).then_some(report)
    }

    /// What is later was noted by a clock that was wrong.
    fn believed(&self) -> Timestamp {
        self.observed.at + SKEW
    }

    fn is_believed(&self, attempt: &Attempt) -> bool {
        attempt.at <= self.believed()
    }

    /// The version of an image that a host was last put back to, by name, if that is known.
    fn version(&self, host: &HostName, image: &ImageName) -> Option<&'a str> {
        let memory = self.observed.journal.host(host);
        let (last, file, _) = memory.state(image, Timestamp::MAX)?;
        last.version_of(file).map(schema::name::VersionName::as_str)
    }

    /// Whether people want it to be left alone. That they may want so is not known to be so.
    fn is_suspended(&self, what: &Subject) -> bool {
        let check = suspension::check(self.desired, self.observed, what);
        check.is_err_and(|closed| matches!(closed.gate, Gate::Suspended { .. }))
    }
}

fn has(class: &DesiredClass, image: &ImageName) -> bool {
    class.os.iter().any(|os| os.image == *image)
}

fn same_disk(before: &str, after: &str) -> bool {
    let read = |text: &str| StartConf::parse(text.as_bytes());
    read(before).disk() == read(after).disk()
}
