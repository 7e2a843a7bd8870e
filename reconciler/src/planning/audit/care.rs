//! What people asked for, judged anew: that things are left alone, that versions come in waves, that nobody is
//! disturbed at a PC, and that not too many PCs are changed at once.
//!
//! # Invariants
//!
//! Nothing of it is taken from the topics. Where the judge sees less than the planner, it objects to less: a plan that
//! keeps the promises is never refused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schema::fleet::{Room, RoomHosts, Suspension};
use schema::name::{ClassName, FileName, HostName, ImageName, RoomName, VersionName};
use schema::policy::InUse;
use schema::schedule::Schedule;
use schema::text::ImageStamp;

use super::{Court, Violation};
use crate::linbo::devices::{Device, Devices};
use crate::linbo::start_conf::StartConf;
use crate::linbo::verdict::HostOutcome;
use crate::planning::action::{Action, Step};
use crate::planning::desired::{Desired, DesiredTest, Purpose};
use crate::planning::ledger::{HostEntry, Ledger};
use crate::planning::observed::Probe;
use crate::planning::orders::{Orders, Subject};
use crate::planning::rollout::{Progress, Standing, Turn};

/// What a plan must not do to what people want to be left alone.
const SUSPENDED: &str = "touches what is suspended";

/// What is known of the hosts of a server, found out for the judge alone.
pub(super) struct Evidence<'a> {
    ledger: Ledger<'a>,
    rollouts: BTreeMap<ImageName, Progress>,
}

impl<'a> Evidence<'a> {
    /// Whether any host runs this version, by name.
    pub(super) fn runs(&self, image: &ImageName, version: &VersionName) -> bool {
        let hosts = self
            .ledger
            .rooms
            .values()
            .flat_map(|room| room.hosts.values());
        let mut applied = hosts.filter_map(|host| host.applied.get(image));
        applied.any(|applied| applied.version == Some(version))
    }

    fn host(&self, room: &RoomName, host: &HostName) -> Option<&HostEntry<'a>> {
        self.ledger.rooms.get(room)?.hosts.get(host)
    }
}

/// Hosts of a room that have one class.
struct Group<'a> {
    class: &'a ClassName,
    schedule: Option<&'a Schedule>,
    test: Option<&'a DesiredTest>,
}

impl<'a> Court<'a> {
    /// What the steps of a plan are judged by.
    pub(super) fn evidence(&self) -> Evidence<'a> {
        let ledger = Ledger::of(self.desired, self.observed);
        let rollouts = self.observed.live.keys().filter_map(|image| {
            let progress = self.rollout(image, &ledger)?;
            Some((image.clone(), progress))
        });
        let rollouts = rollouts.collect();
        Evidence { ledger, rollouts }
    }

    /// Whether people let be touched what an action touches.
    pub(super) fn hear_people(&self, action: &Action, check: &mut impl FnMut(bool, &str)) {
        let Some(orders) = self.observed.orders.seen() else {
            return check(false, "does not know what people ordered");
        };
        let mut touched = vec![Subject::Server];
        let mut room = None;
        match action {
            Action::Download { image, .. }
            | Action::Stage { image, .. }
            | Action::Activate { image, .. }
            | Action::Delete { image, .. } => {
                touched.push(Subject::Image(image.clone()));
            }
            Action::ResetRoom {
                room: name, hosts, ..
            } => {
                room = self.desired.rooms.get(name);
                touched.push(Subject::Room(name.clone()));
                touched.extend(hosts.iter().map(|wake| Subject::Host(wake.host.clone())));
            }
            Action::SetRows { rows } => {
                for (host, change) in rows {
                    let row = change.after().or(change.before());
                    check(self.lets_row_change(orders, host, row), SUSPENDED);
                }
                return;
            }
            Action::SetClasses { hosts } => {
                for host in hosts.keys() {
                    let row = self.devices().and_then(|devices| devices.get(host));
                    check(self.lets_row_change(orders, host, row), SUSPENDED);
                }
                return;
            }
            Action::WriteStartConf { .. }
            | Action::ImportDevices { .. }
            | Action::Seed { .. }
            | Action::SwitchOff { .. } => {}
        }
        let mut touched = touched.iter();
        let is_free = touched.all(|what| !self.is_suspended(orders, room, what));
        check(is_free, SUSPENDED);
    }

    /// Whether people let the row of a host in `devices.csv` be changed.
    fn lets_row_change(&self, orders: &Orders, host: &HostName, row: Option<&Device>) -> bool {
        let room = row.and_then(|row| self.desired.rooms.get(&row.room));
        let of_room = row.map(|row| Subject::Room(row.room.clone()));
        let touched = [Subject::Server, Subject::Host(host.clone())];
        let mut touched = touched.iter().chain(&of_room);
        touched.all(|what| !self.is_suspended(orders, room, what))
    }

    fn is_suspended(&self, orders: &Orders, room: Option<&Room>, what: &Subject) -> bool {
        let (desired, now) = (self.desired, self.observed.at);
        let holds = |suspension: &Suspension| suspension.holds(now, &desired.zone);
        let by_state_repo = match what {
            Subject::Server => desired.suspended.all.iter().any(|(_, of)| holds(of)),
            Subject::Image(image) => desired.suspended.images.get(image).is_some_and(holds),
            Subject::Room(_) => room.is_some_and(|room| room.suspended.as_ref().is_some_and(holds)),
            Subject::Host(host) => {
                room.is_some_and(|room| room.suspended_hosts.get(host).is_some_and(holds))
            }
        };
        by_state_repo || orders.suspension(what, now).is_some()
    }

    /// Whether nobody is disturbed whose PC was found in use since the reset was due.
    pub(super) fn hear_use(&self, action: &Action, check: &mut impl FnMut(bool, &str)) {
        let Action::ResetRoom {
            room: name,
            due,
            hosts,
            force_from,
            ..
        } = action
        else {
            return;
        };
        let Some(room) = self.desired.rooms.get(name) else {
            return;
        };
        let forced = match room.in_use {
            InUse::ForceAfter(length) => due.checked_add(length.to_duration()).ok(),
            InUse::Wait | InUse::Skip => None,
        };
        check(
            *force_from == forced,
            "treats hosts in use otherwise than the room says",
        );
        let wait = self.desired.retries.wait.to_duration();
        let asks_too_early = |host: &HostName| {
            let last = self.observed.journal.host(host).attempts().last();
            last.is_some_and(|last| {
                matches!(last.outcome, HostOutcome::InUse { .. })
                    && last.at >= *due
                    && last.at <= self.observed.at
                    && self.resolved(name, host).is_none_or(|at| last.at > at)
                    && (room.in_use == InUse::Skip || self.observed.at < last.at + wait)
            })
        };
        check(
            !hosts.iter().any(|wake| asks_too_early(&wake.host)),
            "comes back too early to a host that is in use",
        );
    }

    /// When the troubles of a host were last declared to be resolved.
    fn resolved(&self, room: &RoomName, host: &HostName) -> Option<Timestamp> {
        let orders = self.observed.orders.seen()?;
        let of = [
            Subject::Server,
            Subject::Room(room.clone()),
            Subject::Host(host.clone()),
        ];
        of.iter().filter_map(|what| orders.resumed(what)).max()
    }

    /// Whether each host has what the server offers of each image, or may get it.
    pub(super) fn hear_waves(
        &self,
        action: &Action,
        evidence: &Evidence<'_>,
        check: &mut impl FnMut(bool, &str),
    ) {
        let Action::ResetRoom { hosts, images, .. } = action else {
            return;
        };
        let orders = self.observed.orders.seen();
        for image in images {
            let Some(progress) = evidence.rollouts.get(image) else {
                continue;
            };
            let what = Subject::Image(image.clone());
            let is_free = orders.is_some_and(|orders| !self.is_suspended(orders, None, &what));
            for wake in hosts {
                match progress.turn(&wake.host, self.observed.at) {
                    Turn::Has => {}
                    Turn::Open(_) => check(is_free, "brings hosts a suspended image"),
                    Turn::Closed(_) => check(false, "touches a host whose wave is closed"),
                    Turn::Stopped(_) => check(false, "goes on with a rollout that stopped"),
                }
            }
        }
    }

    /// How the rollout of what the server offers of an image stands; none where that has no name.
    fn rollout(&self, image: &ImageName, ledger: &Ledger<'_>) -> Option<Progress> {
        let (file, stamp) = self.offered(image)?;
        let devices = self.devices()?;
        let journal = &self.observed.journal;
        let mut rooms: BTreeMap<&RoomName, Vec<(&HostName, Standing)>> = BTreeMap::new();
        let mut dues: BTreeMap<&HostName, Timestamp> = BTreeMap::new();
        for (name, room) in &self.desired.rooms {
            let entry = ledger.rooms.get(name);
            let mut members = Vec::new();
            for group in self.groups(room) {
                let class = self.desired.classes.get(group.class);
                let uses = class.is_some_and(|class| class.os.iter().any(|os| os.image == *image));
                let Some(due) = self.latest(group.schedule).filter(|_| uses) else {
                    continue;
                };
                for device in self.members(name, room, &group, devices) {
                    dues.insert(&device.host, due);
                    members.push(device);
                }
            }
            if members.is_empty() {
                continue;
            }
            let hosts = members.into_iter();
            let hosts = hosts.map(|device| {
                let host = &device.host;
                let runs = journal.host(host).runs(&file);
                let runs = runs.filter(|runs| runs.stamp.as_ref() == Some(stamp));
                let applied = entry.and_then(|entry| entry.hosts.get(host)?.applied.get(image));
                let applied =
                    applied.filter(|applied| *applied.file == file && applied.stamp == Some(stamp));
                let since = runs
                    .map(|runs| runs.since)
                    .or_else(|| applied.map(|applied| applied.at));
                let standing = match since {
                    Some(since) => Standing::Has(since),
                    None if self.is_host_suspended(room, host) => Standing::LeftAlone,
                    None => Standing::Lacks,
                };
                (host, standing)
            });
            rooms.insert(name, hosts.collect());
        }
        if rooms.is_empty() {
            return None;
        }
        let began = journal.activated(image);
        let began = began.and_then(|at| Timestamp::from_second(at.as_second()).ok());
        let all = rooms.values().flatten();
        let first = all.filter_map(|(_, standing)| match standing {
            Standing::Has(since) => Some(*since),
            _ => None,
        });
        let resumed = self.observed.orders.seen().and_then(|orders| {
            let of = [Subject::Server, Subject::Image(image.clone())];
            of.iter().filter_map(|what| orders.resumed(what)).max()
        });
        // An image made on site is news since its file was written.
        let written = self
            .live(image)?
            .state(image)
            .map(|(_, file, _)| file.written);
        let since = began.or_else(|| first.min()).max(resumed);
        let since = since.max(since.and(written));
        for (name, hosts) in &mut rooms {
            for (host, standing) in hosts {
                let last = journal.host(host).attempts().last();
                let (Standing::Lacks, Some(since), Some(last)) = (*standing, since, last) else {
                    continue;
                };
                let resolved = self.resolved(name, host);
                let has_failed = matches!(last.outcome, HostOutcome::Failed { .. })
                    && resolved.is_none_or(|at| last.at > at);
                if last.at >= since && has_failed {
                    *standing = Standing::Failed;
                } else if last.at < since
                    && dues
                        .get(*host)
                        .is_some_and(|due| self.has_stalled(name, host, *due))
                {
                    *standing = Standing::LeftAlone;
                }
            }
        }
        let began = began.unwrap_or(Timestamp::MIN);
        Some(Progress::of(
            &self.desired.rollout_of(image),
            began,
            self.observed.at,
            &rooms,
        ))
    }

    fn is_host_suspended(&self, room: &Room, host: &HostName) -> bool {
        let host = Subject::Host(host.clone());
        self.observed.orders.seen().is_none_or(|orders| {
            let of = [&Subject::Server, &host];
            of.iter()
                .any(|what| self.is_suspended(orders, Some(room), what))
        })
    }

    /// Whether a host failed at too many occurrences in a row.
    fn has_stalled(&self, name: &RoomName, host: &HostName, due: Timestamp) -> bool {
        let resolved = self.resolved(name, host);
        let mut steps = Vec::new();
        for attempt in self.observed.journal.host(host).attempts().iter().rev() {
            let is_good = matches!(
                attempt.outcome,
                HostOutcome::Applied { .. } | HostOutcome::InUse { .. }
            );
            if attempt.at >= due {
                continue;
            }
            if is_good || resolved.is_some_and(|at| attempt.at <= at) {
                break;
            }
            if steps.last() != Some(&&attempt.step) {
                steps.push(&attempt.step);
            }
        }
        let most = usize::try_from(self.desired.retries.stalled_after.max(1));
        most.is_ok_and(|most| steps.len() >= most)
    }

    /// Who may be in a room: those with its class, and those of test classes.
    fn groups<'d>(&'d self, room: &'d Room) -> Vec<Group<'d>> {
        let today = self.desired.day(self.observed.at);
        let tests = self.desired.test_classes.values();
        let tests = tests.filter(|test| test.until >= today).map(|test| Group {
            class: &test.class,
            schedule: test.schedule(room),
            test: Some(test),
        });
        let own = Group {
            class: &room.class,
            schedule: room.reset.as_ref(),
            test: None,
        };
        std::iter::once(own).chain(tests).collect()
    }

    fn latest(&self, schedule: Option<&Schedule>) -> Option<Timestamp> {
        let Desired { zone, holidays, .. } = self.desired;
        schedule?.latest(self.observed.at, zone, holidays)
    }

    /// The hosts of a group in the order in which waves take them.
    fn members<'d>(
        &self,
        name: &RoomName,
        room: &Room,
        group: &Group<'_>,
        devices: &'d Devices,
    ) -> Vec<&'d Device> {
        let mut members: Vec<&Device> = match (&room.hosts, group.test) {
            (RoomHosts::Listed(hosts), None) => {
                hosts.iter().filter_map(|host| devices.get(host)).collect()
            }
            (RoomHosts::FromDevices, _) | (_, Some(_)) => devices.in_room(name).collect(),
        };
        let (onboot, astray) = (self.observed.onboot.seen(), self.observed.astray.seen());
        members.retain(|device| {
            let host = &device.host;
            let others = onboot.is_some_and(|onboot| onboot.contains_key(host));
            let astray = astray.is_some_and(|astray| astray.contains_key(host));
            let is_of_group = device.room == *name
                && device.class == *group.class
                && group.test.is_none_or(|test| test.names(host));
            is_of_group && device.pxe.is_reset() && !others && !astray
        });
        members
    }

    /// The image file and its timestamp that a sync takes from the server.
    fn offered(&self, image: &ImageName) -> Option<(FileName, &'a ImageStamp)> {
        let live = self.observed.live.get(image).and_then(Probe::seen)?;
        let (file, found) = live.files(image).last()?;
        Some((file, found.record.as_ref()?.timestamp.as_ref()?))
    }

    /// Whether the steps of a plan together re-image more PCs outside of a rollout than the state repo allows.
    pub(super) fn hear_guard(&self, steps: &[Step], evidence: &Evidence<'_>) -> Vec<Violation> {
        let mut changed: BTreeSet<&HostName> = BTreeSet::new();
        let mut guilty = Vec::new();
        for step in steps {
            let hosts = self.changed(&step.action, evidence);
            if !hosts.is_empty() {
                guilty.push(step);
                changed.extend(hosts);
            }
        }
        let rows = self.devices().map(Devices::rows).unwrap_or_default();
        let all = rows.iter().filter(|row| row.pxe.is_reset()).count();
        let allowed = usize::from(self.desired.guard.share.get());
        if changed.len() * 100 <= all * allowed {
            return Vec::new();
        }
        let what = format!(
            "re-images, with others, {} of {all} PCs outside of a rollout, and {allowed} % are allowed",
            changed.len()
        );
        let guilty = guilty.into_iter().map(|step| Violation {
            step: step.id.to_string(),
            what: what.clone(),
        });
        guilty.collect()
    }

    /// The hosts that an action puts to something else than they have, outside of a rollout.
    fn changed<'s>(&'s self, action: &'s Action, evidence: &Evidence<'_>) -> Vec<&'s HostName> {
        let at_once = self.desired.rollout.waves.is_none();
        match action {
            // Who is in a test class is changed because it is named there.
            Action::ResetRoom { test: Some(_), .. } => Vec::new(),
            Action::ResetRoom {
                room,
                hosts,
                images,
                ..
            } => {
                let is_changed = |host: &HostName| {
                    evidence.host(room, host).is_some_and(|entry| {
                        let mut new = images.iter().filter(|image| !self.goes_back(image));
                        self.loses_image(entry, images)
                            || (at_once && new.any(|image| self.updates(entry, image)))
                    })
                };
                let hosts = hosts.iter().map(|wake| &wake.host);
                hosts.filter(|host| is_changed(host)).collect()
            }
            Action::WriteStartConf {
                class,
                before: Some(before),
                after,
            } => {
                let conf = |text: &str| StartConf::parse(text.as_bytes());
                let is_same = conf(before).disk() == conf(after).disk();
                let rows = self.rows_of(|of| !is_same && of == class);
                rows.map(|device| &device.host).collect()
            }
            Action::Activate { image, version, .. }
                if at_once && self.is_for_rooms(image, version) && !self.goes_back(image) =>
            {
                let is_there = self.live(image).is_some_and(|live| live.base.is_some());
                let classes = &self.desired.classes;
                let uses = |class: &ClassName| {
                    let class = classes.get(class);
                    class.is_some_and(|class| class.os.iter().any(|os| os.image == *image))
                };
                let rows = self.rows_of(move |class| is_there && uses(class));
                let has_it = |device: &Device| match evidence.host(&device.room, &device.host) {
                    Some(entry) => {
                        let applied = entry.applied.get(image);
                        applied.is_some_and(|applied| applied.version == Some(version))
                    }
                    // One that its room does not list.
                    None => {
                        let memory = self.observed.journal.host(&device.host);
                        let state = memory.state(image, Timestamp::MAX);
                        state.is_some_and(|(last, file, _)| last.version_of(file) == Some(version))
                    }
                };
                let rows = rows.filter(|device| !has_it(device));
                rows.map(|device| &device.host).collect()
            }
            Action::WriteStartConf { .. }
            | Action::SetRows { .. }
            | Action::SetClasses { .. }
            | Action::ImportDevices { .. }
            | Action::Download { .. }
            | Action::Stage { .. }
            | Action::Activate { .. }
            | Action::Delete { .. }
            | Action::Seed { .. }
            | Action::SwitchOff { .. } => Vec::new(),
        }
    }

    /// Whether a host was last put back to an image that is none of these, and that it did not try in a test class.
    fn loses_image(&self, entry: &HostEntry<'_>, images: &[ImageName]) -> bool {
        let last = entry.applied.values().map(|applied| applied.at).max();
        let mut newest = entry
            .applied
            .iter()
            .filter(|(_, applied)| Some(applied.at) == last);
        let mut tests = self.desired.test_classes.values();
        newest.any(|(image, _)| {
            !images.contains(image) && !tests.any(|test| test.images.contains(image))
        })
    }

    /// Whether a host has another state of an image than the server offers.
    fn updates(&self, entry: &HostEntry<'_>, image: &ImageName) -> bool {
        match (self.offered(image), entry.applied.get(image)) {
            (Some((file, stamp)), Some(has)) => has
                .stamp
                .is_some_and(|found| *has.file != file || found != stamp),
            _ => false,
        }
    }

    /// Whether rooms have an image, and not a test class or a VM alone.
    fn is_for_rooms(&self, image: &ImageName, version: &VersionName) -> bool {
        let wanted = self.desired.images.get(&(image.clone(), version.clone()));
        let mut tests = self.desired.test_classes.values();
        wanted.is_none_or(|wanted| wanted.purpose == Purpose::Rooms)
            && !tests.any(|test| test.images.contains(image))
    }

    /// Whether people let an image go back: nobody is asked whether that may be.
    fn goes_back(&self, image: &ImageName) -> bool {
        self.desired.gone_back.contains_key(image)
    }

    /// The PCs of some classes that boot LINBO.
    fn rows_of(&self, is_wanted: impl Fn(&ClassName) -> bool) -> impl Iterator<Item = &Device> {
        let rows = self.devices().map(Devices::rows).unwrap_or_default();
        rows.iter()
            .filter(move |row| row.pxe.is_reset() && is_wanted(&row.class))
    }
}
