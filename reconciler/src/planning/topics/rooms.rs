//! Rooms: every host put back to its image since the latest occurrence of the room's schedule.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schema::fleet::{OsEntry, ResetCommand, Room, RoomHosts};
use schema::name::{HostName, ImageName, RoomName};
use schema::schedule::Schedule;

use crate::linbo::command::{Command, CommandLine, OsNumber};
use crate::linbo::devices::{Device, Devices};
use crate::linbo::status::{HostReport, ImageEvent};
use crate::linbo::verdict::HostOutcome;
use crate::planning::action::{Action, Circuit, Pace, Reason, Step, Wake};
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::journal::Attempt;
use crate::planning::observed::{Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// From power to a LINBO that answers, with slow firmware and one update of LINBO itself.
const BOOT: SignedDuration = SignedDuration::from_mins(5);
/// One operating system, synced from the local cache.
const SYNC: SignedDuration = SignedDuration::from_mins(10);
/// Between two tries of one host.
const RETRY_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Tries of a host that failed, for each occurrence.
const TRIES: usize = 3;
/// Tries of a host that did not answer, or whose outcome is not known, for each occurrence.
const TRIES_SILENT: usize = 2;

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    // Most rooms of a school have the same schedule, which is not searched for each of them.
    let mut known: BTreeMap<&Schedule, Option<Timestamp>> = BTreeMap::new();
    for (name, room) in &desired.rooms {
        let Some(schedule) = &room.reset else {
            continue;
        };
        let latest = || schedule.latest(observed.at, &desired.zone, &desired.holidays);
        let Some(due) = *known.entry(schedule).or_insert_with(latest) else {
            continue;
        };
        let Some(class) = desired
            .classes
            .get(&room.class)
            .filter(|class| !class.os.is_empty())
        else {
            continue;
        };
        let devices = match &observed.devices {
            Probe::Seen(devices) => devices,
            Probe::Unseen(cause) => {
                drafts.hold(Goal::Room(name.clone()), Gate::Unseen(cause.clone()), None);
                continue;
            }
        };
        let mut members = Members::of(name, room, devices);
        members.leave_to_others(observed);
        let strangers = std::mem::take(&mut members.strangers);
        if !strangers.is_empty() {
            drafts.hold(Goal::Room(name.clone()), Gate::NotReset(strangers), None);
        }
        let reset = RoomReset {
            desired,
            observed,
            name,
            room,
            class,
            due,
        };
        reset.propose(&members, drafts);
    }
}

/// The hosts of a room: those that can be reset, and those that are listed and cannot, with the reason.
struct Members<'a> {
    /// How many rows name the room, whatever they are.
    rows: usize,
    hosts: Vec<&'a Device>,
    strangers: Vec<(HostName, String)>,
}

impl<'a> Members<'a> {
    fn of(name: &RoomName, room: &Room, devices: &'a Devices) -> Self {
        let rows = devices.in_room(name).count();
        let mut members = Self {
            rows,
            hosts: Vec::new(),
            strangers: Vec::new(),
        };
        let listed: Vec<&Device> = match &room.hosts {
            RoomHosts::FromDevices => {
                let ours = |device: &&Device| device.pxe.is_reset() && device.class == room.class;
                devices.in_room(name).filter(ours).collect()
            }
            RoomHosts::Listed(hosts) => {
                let missing = hosts.iter().filter(|host| devices.get(host).is_none());
                members
                    .strangers
                    .extend(missing.map(|host| (host.clone(), "is not in devices.csv".to_owned())));
                hosts.iter().filter_map(|host| devices.get(host)).collect()
            }
        };
        for device in listed {
            let why = if device.room != *name {
                format!("is in room {} by devices.csv", device.room)
            } else if device.class != room.class {
                format!(
                    "has hardware class {}, the room has {}",
                    device.class, room.class
                )
            } else if !device.pxe.is_reset() {
                "does not boot LINBO by its PXE flag".to_owned()
            } else {
                members.hosts.push(device);
                continue;
            };
            members.strangers.push((device.host.clone(), why));
        }
        members
    }
}

impl Members<'_> {
    /// Leaves those alone for which somebody else's commands wait: they would run as soon as a host is woken.
    fn leave_to_others(&mut self, observed: &Observed) {
        let Some(onboot) = observed.onboot.seen() else {
            return;
        };
        let strangers = &mut self.strangers;
        self.hosts.retain(|device| {
            let waits = onboot.get(&device.host);
            strangers.extend(waits.map(|says| {
                let why = format!("has commands of others waiting for its next start: `{says}`");
                (device.host.clone(), why)
            }));
            waits.is_none()
        });
    }
}

/// One room at one occurrence of its schedule.
struct RoomReset<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    name: &'a RoomName,
    room: &'a Room,
    class: &'a DesiredClass,
    due: Timestamp,
}

impl RoomReset<'_> {
    fn propose(&self, members: &Members<'_>, drafts: &mut Drafts<'_>) {
        let mut now = Vec::new();
        let mut later: Option<Timestamp> = None;
        let mut gave_up = Vec::new();
        let mut waiting = Vec::new();
        let mut busy = Vec::new();
        let mut blind: Vec<String> = Vec::new();
        for device in &members.hosts {
            let host = &device.host;
            match self.next_try(host) {
                Try::NotNeeded => {}
                Try::Now if self.is_busy(host) => busy.push(host.clone()),
                Try::Now => now.push(Wake {
                    host: host.clone(),
                    mac: device.mac,
                }),
                Try::Later(at) => {
                    waiting.push(host.clone());
                    later = Some(later.map_or(at, |earlier| earlier.min(at)));
                }
                Try::No(why) => gave_up.push((host.clone(), why)),
                Try::Unseen(cause) => blind.push(cause),
            }
        }
        let goal = |hosts| Goal::Fresh(self.name.clone(), hosts);
        if !gave_up.is_empty() {
            let next = self.next_due();
            drafts.hold(goal(gave_up.len()), Gate::GaveUp { hosts: gave_up }, next);
        }
        if let Some(cause) = blind.first() {
            drafts.hold(goal(blind.len()), Gate::Unseen(cause.clone()), None);
        }
        if !busy.is_empty() {
            drafts.hold(goal(busy.len()), Gate::HostsBusy(busy), None);
        }
        if !waiting.is_empty() {
            drafts.hold(goal(waiting.len()), Gate::Retry(waiting), later);
        }
        if now.is_empty() {
            return;
        }
        let count = now.len();
        // Whoever is told the room and not its hosts takes every row that names it.
        let whole_room = count == members.rows;
        if let Err(Closed { gate, wake }) = self.gates(count) {
            return drafts.hold(goal(count), gate, wake);
        }
        drafts.step(Step::new(
            self.action(now, whole_room),
            Reason::Stale { due: self.due },
        ));
    }

    fn action(&self, hosts: Vec<Wake>, whole_room: bool) -> Action {
        let mut restore =
            self.class
                .os
                .iter()
                .enumerate()
                .filter_map(|(index, os): (usize, &OsEntry)| {
                    let number = OsNumber::at_index(index)?;
                    Some(match os.reset {
                        ResetCommand::Sync => Command::Sync(number),
                        ResetCommand::New => Command::New(number),
                    })
                });
        let commands = match restore.next() {
            Some(first) => restore
                .fold(CommandLine::new(first), CommandLine::then)
                .then(Command::Halt),
            None => CommandLine::new(Command::Halt),
        };
        Action::ResetRoom {
            room: self.name.clone(),
            due: self.due,
            hosts,
            commands,
            whole_room,
            images: self.images().into_iter().cloned().collect(),
            class: self.room.class.clone(),
            circuits: vec![(Circuit::Group(Desired::circuit_of(self.room)), self.pace())],
            force_from: None,
        }
    }

    fn pace(&self) -> Pace {
        self.desired
            .power_of(&Desired::circuit_of(self.room))
            .into()
    }

    fn images(&self) -> BTreeSet<&ImageName> {
        self.class.os.iter().map(|os| &os.image).collect()
    }

    /// How long so many hosts take: woken one after the other, in as many rounds as the circuit needs.
    fn estimate(&self, hosts: usize) -> SignedDuration {
        let Pace {
            wake_per_minute,
            on_at_once,
        } = self.pace();
        let hosts = i64::try_from(hosts).unwrap_or(i64::MAX / 1000);
        let waking = SignedDuration::from_secs(hosts * 60 / i64::from(wake_per_minute));
        let rounds = (hosts - 1) / i64::from(on_at_once) + 1;
        let systems = i32::try_from(self.class.os.len())
            .unwrap_or(i32::MAX / 1000)
            .max(1);
        let round = BOOT + SYNC * systems;
        waking + round * i32::try_from(rounds).unwrap_or(1000)
    }

    fn next_due(&self) -> Option<Timestamp> {
        let schedule = self.room.reset.as_ref()?;
        schedule.next(self.observed.at, &self.desired.zone, &self.desired.holidays)
    }

    /// Whether the occurrence belongs to an earlier window than the one that is open.
    fn was_missed(&self) -> bool {
        let windows = &self.desired.windows.reset;
        windows
            .opening_at(self.observed.at, &self.desired.zone)
            .is_none_or(|opening| self.due < opening.opens)
    }

    /// The gates of a room that wants to be reset now.
    fn gates(&self, hosts: usize) -> Result<(), Closed> {
        let closed = |gate| Closed { gate, wake: None };
        let needs = self.estimate(hosts);
        let closes = gates::window(self.desired, Work::Reset, self.observed.at, needs)?;
        if let Some(next) = self.next_due()
            && next + needs <= closes
            && self.was_missed()
        {
            return Err(Closed {
                gate: Gate::DueSoon,
                wake: Some(next),
            });
        }
        if let Probe::Unseen(cause) = &self.observed.busy {
            return Err(closed(Gate::Unseen(cause.clone())));
        }
        if let Probe::Unseen(cause) = &self.observed.onboot {
            return Err(closed(Gate::Unseen(cause.clone())));
        }
        // The numbers of the operating systems are those of the file that LINBO reads.
        let start_conf = match self.observed.classes.get(&self.room.class) {
            Some(Probe::Seen(files)) => files.start_conf.as_ref(),
            Some(Probe::Unseen(cause)) => return Err(closed(Gate::Unseen(cause.clone()))),
            None => None,
        };
        if start_conf != Some(&self.class.start_conf) {
            return Err(closed(Gate::StartConf(self.room.class.clone())));
        }
        for image in self.images() {
            match self.observed.live.get(image) {
                Some(Probe::Seen(live)) if live.uploading => {
                    return Err(closed(Gate::Uploading(image.clone())));
                }
                Some(Probe::Seen(live)) if live.base.is_some() => {}
                Some(Probe::Unseen(cause)) => return Err(closed(Gate::Unseen(cause.clone()))),
                None => {
                    return Err(closed(Gate::Unseen(format!(
                        "the folder of {image} was not looked at"
                    ))));
                }
                Some(Probe::Seen(_))
                    if self
                        .desired
                        .images
                        .keys()
                        .any(|(released, _)| released == image) =>
                {
                    return Err(closed(Gate::NotActive(image.clone())));
                }
                Some(Probe::Seen(_)) => return Err(closed(Gate::ImageMissing(image.clone()))),
            }
        }
        Ok(())
    }

    fn is_busy(&self, host: &HostName) -> bool {
        self.observed
            .busy
            .seen()
            .is_some_and(|busy| busy.contains_key(host))
    }

    /// When a host is to be tried, by what is known of it since the occurrence.
    fn next_try(&self, host: &HostName) -> Try {
        // What a clock that was put back left in the future says nothing about now.
        let believed = self.observed.at + gates::SKEW;
        let since = |attempt: &&Attempt| attempt.at >= self.due && attempt.at <= believed;
        let (mut tries, mut failed, mut last) = (0, false, None);
        for attempt in self.observed.journal.attempts(host).iter().filter(since) {
            last = Some(attempt);
            match attempt.outcome {
                // Looking whether somebody still works at it is no try.
                HostOutcome::InUse { .. } => continue,
                HostOutcome::Applied { .. } => return Try::NotNeeded,
                HostOutcome::Failed { .. } => failed = true,
                HostOutcome::Unreachable { .. } | HostOutcome::Unknown { .. } => {}
            }
            tries += 1;
        }
        let report = match self.observed.reports.get(host) {
            Some(Probe::Seen(report)) => report.as_ref(),
            Some(Probe::Unseen(cause)) => return Try::Unseen(cause.clone()),
            None => return Try::Unseen(format!("the status of host {host} was not looked at")),
        };
        let reported = report.and_then(|report| self.reported(report));
        if reported.is_some_and(|at| {
            at >= self.due && at <= believed && last.is_none_or(|judged| at > judged.at)
        }) {
            return Try::NotNeeded;
        }
        let Some(last) = last else {
            return Try::Now;
        };
        if tries >= if failed { TRIES } else { TRIES_SILENT } {
            return Try::No(last.outcome.to_string());
        }
        let next = last.at + RETRY_AFTER;
        if next <= self.observed.at {
            Try::Now
        } else {
            Try::Later(next)
        }
    }

    /// When a host last said that it applied one of the images of its class.
    fn reported(&self, report: &HostReport) -> Option<Timestamp> {
        let HostReport {
            at, event, file, ..
        } = report;
        let stem = file
            .as_str()
            .rsplit_once('.')
            .map_or(file.as_str(), |(stem, _)| stem);
        let is_ours = self.class.os.iter().any(|os| os.image.as_str() == stem);
        if *event != ImageEvent::Applied || !is_ours {
            return None;
        }
        at.to_zoned(self.desired.zone.clone())
            .ok()
            .map(|zoned| zoned.timestamp())
    }
}

/// When a host is to be tried.
enum Try {
    NotNeeded,
    Now,
    Later(Timestamp),
    No(String),
    /// It may have been put back by others.
    Unseen(String),
}
