//! The ledger: of every host, what it runs, what was tried, and what became of it.
//!
//! # Invariants
//!
//! It is a view of what was observed, made anew each time: the status files, which hold the last image
//! of a host alone, the journal, which survives restarts, and what runs just now. The newest evidence
//! decides, and no evidence is [`HostState::Unknown`]. A time in the future is not believed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::fleet::{Room, RoomHosts};
use schema::name::{
    ClassName, FileName, HostName, ImageName, RoomName, TestClassName, VersionName,
};
use schema::text::ImageStamp;
use serde::Serialize;

use crate::linbo::cause::Cause;
use crate::linbo::devices::Devices;
use crate::linbo::status::ImageEvent;
use crate::linbo::verdict::HostOutcome;
use crate::planning::action::Action;
use crate::planning::cohort::Cohort;
use crate::planning::desired::Desired;
use crate::planning::gates::SKEW;
use crate::planning::journal::Attempt;
use crate::planning::observed::{Busy, LiveImage, Observed, Probe};
use crate::planning::stalled::{self, Stalled};

/// All hosts of all rooms of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger<'a> {
    /// Rooms by name.
    pub rooms: BTreeMap<RoomName, RoomEntry<'a>>,
}

/// A room and its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEntry<'a> {
    /// What its hosts are to have.
    pub own: GroupEntry<'a>,
    /// What those of its hosts are to have that are in test classes.
    pub tests: BTreeMap<&'a TestClassName, GroupEntry<'a>>,
    /// Its hosts by name.
    pub hosts: BTreeMap<HostName, HostEntry<'a>>,
}

/// What hosts of one class are to have, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupEntry<'a> {
    /// Their hardware class.
    pub class: &'a ClassName,
    /// The images of that class, in LINBO's order.
    pub images: Vec<&'a ImageName>,
    /// The latest occurrence of their schedule, since which they are to be fresh.
    pub due: Option<Timestamp>,
    /// The next occurrence.
    pub next: Option<Timestamp>,
}

impl<'a> RoomEntry<'a> {
    /// What a host of the room is to have.
    #[must_use]
    pub fn group(&self, host: &HostEntry<'_>) -> &GroupEntry<'a> {
        let test = host.test.and_then(|test| self.tests.get(test));
        test.unwrap_or(&self.own)
    }
}

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostEntry<'a> {
    /// The test class that it is in, whose images and schedule are its own then.
    pub test: Option<&'a TestClassName>,
    /// How it stands.
    pub state: HostState,
    /// When that was found out; none when nothing is known of it.
    pub since: Option<Timestamp>,
    /// What it applied last of each image that it ever had, as far as is remembered.
    pub applied: BTreeMap<ImageName, Applied<'a>>,
    /// Whether it runs what is wanted.
    pub runs: Runs,
    /// Whether it was put back since the latest occurrence of its room's schedule.
    pub is_fresh: bool,
    /// The attempts that are remembered, oldest first.
    pub attempts: &'a [Attempt],
    /// How many of them failed since it was last put back. What it did not answer neither counts nor
    /// ends the row.
    pub failures: usize,
    /// When something was begun on it whose end nobody heard, where nothing newer is known.
    pub unheard: Option<Timestamp>,
    /// After how many resets in vain it is left alone, if it is.
    pub stalled: Option<u32>,
    /// What keeps it busy that this pass did not start, if something does.
    pub busy: Option<Busy>,
    /// Why its status file could not be read, if it could not.
    pub unseen: Option<&'a str>,
}

/// How a host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It said itself that it was put back to its image, and nothing newer says otherwise.
    Applied,
    /// The last attempt failed.
    Failed,
    /// Somebody worked at it at the last attempt, or that could not be found out.
    InUse,
    /// It did not answer at the last attempt: it neither failed nor was put back.
    Unreachable,
    /// Nothing shows how the last attempt ended, or there has never been one.
    Unknown,
    /// Something runs on it just now.
    Busy,
}

/// What a host applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied<'a> {
    /// The file: the diff, where the server had one.
    pub file: &'a FileName,
    /// Which state of it, by its `.info`; none when the host had none.
    pub stamp: Option<&'a ImageStamp>,
    /// The version by name, where that is known.
    pub version: Option<&'a VersionName>,
    /// When it was applied, or when that was found out.
    pub at: Timestamp,
}

/// Whether a host runs what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// All images of its class, in the state that is wanted.
    Wanted,
    /// Another state of an image, or not all of them.
    Other,
    /// That cannot be told.
    Unknown,
}

impl<'a> Ledger<'a> {
    /// What is known of all hosts of all rooms.
    #[must_use]
    pub fn of(desired: &'a Desired, observed: &'a Observed) -> Self {
        let rooms = desired.rooms.iter().map(|(name, room)| {
            let devices = observed.devices.seen();
            let own = View::of(desired, observed, Cohort::of_room(name, room));
            let hosts = members(name, room, devices).into_iter();
            let mut entry = RoomEntry {
                own: own.group(),
                tests: BTreeMap::new(),
                hosts: hosts.map(|host| (host.clone(), own.host(&host))).collect(),
            };
            for cohort in Cohort::all(desired, name, room, observed.at).skip(1) {
                let hosts = devices.map(|devices| cohort.members(desired, devices).hosts);
                let hosts = hosts.unwrap_or_default();
                let view = View::of(desired, observed, cohort);
                if let (Some((test, _)), false) = (cohort.test, hosts.is_empty()) {
                    entry.tests.insert(test, view.group());
                }
                let hosts = hosts.into_iter().map(|device| &device.host);
                entry
                    .hosts
                    .extend(hosts.map(|host| (host.clone(), view.host(host))));
            }
            (name.clone(), entry)
        });
        Self {
            rooms: rooms.collect(),
        }
    }

    /// A host and the room that it is of.
    #[must_use]
    pub fn host(&self, host: &HostName) -> Option<(&RoomName, &RoomEntry<'a>, &HostEntry<'a>)> {
        self.rooms
            .iter()
            .find_map(|(name, room)| Some((name, room, room.hosts.get(host)?)))
    }
}

impl HostEntry<'_> {
    /// The last attempt.
    #[must_use]
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// Why it stands as it does, where the last attempt did not go well and nothing newer is known.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.state {
            _ if self.unheard.is_some() => None,
            HostState::Failed | HostState::Unreachable | HostState::Unknown => {
                Cause::of(&self.last()?.outcome)
            }
            HostState::Applied | HostState::InUse | HostState::Busy => None,
        }
    }
}

/// The hosts of a room that are to be reset, and those that the state repo lists, whatever they are.
fn members(name: &RoomName, room: &Room, devices: Option<&Devices>) -> Vec<HostName> {
    match &room.hosts {
        RoomHosts::FromDevices => devices
            .into_iter()
            .flat_map(|devices| devices.in_room(name))
            .filter(|device| device.pxe.is_reset() && device.class == room.class)
            .map(|device| device.host.clone())
            .collect(),
        RoomHosts::Listed(hosts) => hosts
            .iter()
            .map(|host| {
                let row = devices.and_then(|devices| devices.get(host));
                row.map_or(host, |device| &device.host).clone()
            })
            .collect(),
    }
}

/// What the hosts of one room are compared with.
struct View<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    cohort: Cohort<'a>,
    due: Option<Timestamp>,
    wanted: Vec<Wanted<'a>>,
}

/// What is wanted of one image.
struct Wanted<'a> {
    image: &'a ImageName,
    /// The file and its timestamp that a host with the wanted state reports; none when that cannot be told.
    state: Option<(FileName, &'a ImageStamp)>,
    /// Whether the server itself has what is wanted, where it was seen.
    is_live: Option<bool>,
}

impl<'a> View<'a> {
    fn of(desired: &'a Desired, observed: &'a Observed, cohort: Cohort<'a>) -> Self {
        let systems = desired.classes.get(cohort.class()).into_iter();
        let systems = systems.flat_map(|class| &class.os);
        let schedule = cohort.schedule();
        Self {
            desired,
            observed,
            cohort,
            due: schedule
                .and_then(|reset| reset.latest(observed.at, &desired.zone, &desired.holidays)),
            wanted: systems
                .map(|os| Wanted::of(desired, observed, &os.image))
                .collect(),
        }
    }

    fn group(&self) -> GroupEntry<'a> {
        let Desired { zone, holidays, .. } = self.desired;
        let schedule = self.cohort.schedule();
        GroupEntry {
            class: self.cohort.class(),
            images: self.wanted.iter().map(|wanted| wanted.image).collect(),
            due: self.due,
            next: schedule.and_then(|schedule| schedule.next(self.observed.at, zone, holidays)),
        }
    }

    fn host(&self, host: &HostName) -> HostEntry<'a> {
        let believed = self.observed.at + SKEW;
        let memory = self.observed.journal.host(host);
        let all = memory.attempts();
        let count = all.iter().rposition(|attempt| attempt.at <= believed);
        let attempts = all
            .get(..count.map_or(0, |last| last + 1))
            .unwrap_or_default();
        let mut applied: BTreeMap<ImageName, Applied<'a>> = BTreeMap::new();
        let put_in_place = memory.applied().filter(|attempt| attempt.at <= believed);
        for attempt in put_in_place {
            for (file, stamp) in attempt.outcome.applied() {
                if applied.contains_key(file.stem()) {
                    continue;
                }
                let version = attempt
                    .version_of(file)
                    .or_else(|| version_of(self.observed, file, stamp));
                let found = Applied {
                    file,
                    stamp,
                    version,
                    at: attempt.at,
                };
                let image = file.stem().parse().ok();
                applied.extend(image.map(|image| (image, found)));
            }
        }
        let (reported, unseen) = self.report(host);
        // The report of a sync stands before the judgement of the same sync, which knows more.
        let is_newer = |at: Timestamp, than: Option<&Attempt>| than.is_none_or(|last| at > last.at);
        let began = attempts
            .iter()
            .rfind(|attempt| !attempt.outcome.is_untouched());
        let unheard = memory.unheard().filter(|begun| *begun <= believed);
        let reported =
            reported.filter(|report| report.at <= believed && is_newer(report.at, began));
        let is_wanted = |file: &FileName| self.wanted.iter().any(|wanted| file.is_of(wanted.image));
        // A host that is back to some of its images alone is not.
        let whole = attempts.iter().rev().find(|attempt| {
            matches!(attempt.outcome, HostOutcome::Applied { .. })
                && attempt.outcome.applied().any(|(file, _)| is_wanted(file))
        });
        let tells = |at: Timestamp| memory.is_told_by(at, believed);
        let by_itself = reported
            .as_ref()
            .filter(|report| is_wanted(report.file) && tells(report.at));
        let put_back = whole
            .map(|attempt| attempt.at)
            .max(by_itself.map(|report| report.at));
        let is_fresh = self
            .due
            .is_some_and(|due| put_back.is_some_and(|at| at >= due));
        let report_at = reported.as_ref().map(|report| report.at);
        let report_at = report_at.filter(|at| is_newer(*at, attempts.last()) && tells(*at));
        let is_reported = report_at.is_some();
        if let Some(reported) = reported
            && let Ok(image) = reported.file.stem().parse()
        {
            applied.insert(image, reported);
        }
        let busy = self.busy(host);
        let (state, since) = match attempts.last() {
            _ if let Some(busy) = &busy => (HostState::Busy, Some(busy.since)),
            _ if let Some(begun) = self.reset_since(host) => (HostState::Busy, Some(begun)),
            _ if is_reported => (HostState::Applied, report_at),
            _ if unheard.is_some() => (HostState::Unknown, unheard),
            None => (HostState::Unknown, None),
            Some(last) => {
                let state = match last.outcome {
                    HostOutcome::Applied { .. } => HostState::Applied,
                    HostOutcome::Failed { .. } => HostState::Failed,
                    HostOutcome::InUse { .. } => HostState::InUse,
                    HostOutcome::Unreachable { .. } => HostState::Unreachable,
                    HostOutcome::Unknown { .. } => HostState::Unknown,
                };
                (state, Some(last.at))
            }
        };
        let since_applied = attempts.iter().rev().take_while(|attempt| {
            !is_reported && !matches!(attempt.outcome, HostOutcome::Applied { .. })
        });
        let failures = since_applied
            .filter(|attempt| matches!(attempt.outcome, HostOutcome::Failed { .. }))
            .count();
        HostEntry {
            test: self.cohort.test.map(|(name, _)| name),
            state,
            since,
            runs: match (state, self.runs(&applied)) {
                // Whatever it had before, what was begun since may have spoiled it.
                (HostState::Failed | HostState::Unknown, Runs::Wanted) => Runs::Unknown,
                (_, runs) => runs,
            },
            is_fresh,
            unheard: unheard.filter(|_| !is_reported),
            applied,
            attempts,
            failures,
            stalled: self.stalled(host).filter(|_| !is_fresh),
            busy,
            unseen,
        }
    }

    fn stalled(&self, host: &HostName) -> Option<u32> {
        let class = self.desired.classes.get(self.cohort.class())?;
        let report = self.observed.reports.get(host).and_then(Probe::seen);
        let reported = report
            .and_then(Option::as_ref)
            .and_then(|report| stalled::reported(self.desired, class, report));
        let resolved = stalled::resolved(self.observed, self.cohort.name, host);
        let stalled = Stalled::of(
            self.desired,
            self.observed,
            host,
            self.due?,
            resolved,
            reported,
        )?;
        Some(stalled.resets)
    }

    fn busy(&self, host: &HostName) -> Option<Busy> {
        self.observed.busy.seen()?.get(host).cloned()
    }

    /// Since when this pass resets it.
    fn reset_since(&self, host: &HostName) -> Option<Timestamp> {
        let resets = self.observed.running.iter().filter(|running| {
            matches!(&running.step.action, Action::ResetRoom { hosts, .. }
                if hosts.iter().any(|wake| wake.host == *host))
        });
        resets.map(|running| running.since).min()
    }

    /// What a host last said that it applied, and why that could not be seen.
    fn report(&self, host: &HostName) -> (Option<Applied<'a>>, Option<&'a str>) {
        let report = match self.observed.reports.get(host) {
            Some(Probe::Seen(Some(report))) if report.event == ImageEvent::Applied => report,
            Some(Probe::Unseen(cause)) => return (None, Some(cause)),
            _ => return (None, None),
        };
        let Ok(at) = report.at.to_zoned(self.desired.zone.clone()) else {
            return (None, None);
        };
        let applied = Applied {
            file: &report.file,
            stamp: report.stamp.as_ref(),
            version: version_of(self.observed, &report.file, report.stamp.as_ref()),
            at: at.timestamp(),
        };
        (Some(applied), None)
    }

    fn runs(&self, applied: &BTreeMap<ImageName, Applied<'_>>) -> Runs {
        let each = self.wanted.iter().map(|wanted| wanted.is_met(applied));
        // Other before unknown: one image that is certainly another is enough.
        each.max_by_key(|runs| match runs {
            Runs::Wanted => 0,
            Runs::Unknown => 1,
            Runs::Other => 2,
        })
        .unwrap_or(Runs::Unknown)
    }
}

impl<'a> Wanted<'a> {
    fn of(desired: &Desired, observed: &'a Observed, image: &'a ImageName) -> Self {
        let live = observed.live.get(image).and_then(Probe::seen);
        let state = live.and_then(|live| {
            let (name, file) = live.files(image).last()?;
            Some((name, file.record.as_ref()?.timestamp.as_ref()?))
        });
        let is_live = live.and_then(|live| is_wanted(desired, observed, image, live));
        Self {
            image,
            state,
            is_live,
        }
    }

    fn is_met(&self, applied: &BTreeMap<ImageName, Applied<'_>>) -> Runs {
        let Some(found) = applied.get(self.image) else {
            return Runs::Unknown;
        };
        let is_live_state = match (&self.state, found.stamp) {
            (Some((file, _)), _) if file != found.file => Some(false),
            (Some((_, stamp)), Some(found)) => Some(*stamp == found),
            _ => None,
        };
        match (is_live_state, self.is_live) {
            (Some(true), Some(true)) => Runs::Wanted,
            (Some(false), Some(true)) | (Some(true), Some(false)) => Runs::Other,
            _ => Runs::Unknown,
        }
    }
}

/// Whether LINBO's folder has the version of an image that is wanted; of an image made on
/// site, whatever lies there is wanted.
fn is_wanted(
    desired: &Desired,
    observed: &Observed,
    image: &ImageName,
    live: &LiveImage,
) -> Option<bool> {
    let mut images = desired.images.iter();
    let released = images.find(|((released, _), _)| released == image);
    let Some((_, wanted)) = released else {
        return Some(live.base.is_some());
    };
    let manifests = &observed.store.seen()?.manifests;
    Some(
        manifests
            .get(&wanted.manifest)
            .is_some_and(|manifest| live.holds(manifest)),
    )
}

/// The version whose file a host applied, by name: that which lies in LINBO's folder, if the stamp is
/// of that one and its manifest is known.
#[must_use]
pub fn version_of<'a>(
    observed: &'a Observed,
    file: &FileName,
    stamp: Option<&ImageStamp>,
) -> Option<&'a VersionName> {
    let (image, live) = observed.live.get_key_value(file.stem())?;
    let live = live.seen()?;
    let found = live.file(file)?;
    if found.record.as_ref()?.timestamp.as_ref()? != stamp? {
        return None;
    }
    let manifests = observed.store.seen()?.manifests.values();
    manifests
        .filter(|manifest| manifest.image() == image && live.holds(manifest))
        .map(crate::manifest::Manifest::version)
        .next()
}
