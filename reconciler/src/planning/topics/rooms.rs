//! Rooms: every host put back to its image since the latest occurrence of the room's schedule, and since a new
//! version of its image came to its turn.

mod left_alone;
mod missed;
mod rollouts;
mod tries;
mod turns;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schema::fleet::{DownloadType, OsEntry, ResetCommand};
use schema::name::{HostName, ImageName};
use schema::policy::InUse;
use schema::schedule::Schedule;
use schema::text::ImageStamp;

use self::rollouts::Rollouts;
use self::tries::{Judge, Try};
use crate::linbo::command::{Command, CommandLine, OsNumber};
use crate::planning::action::{Action, Circuit, Pace, Reason, Step, Wake};
use crate::planning::cohort::{Cohort, Members};
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::gates::{Closed, Gate, Open, Openings};
use crate::planning::observed::{Busy, LiveImage, Observed, Probe};
use crate::planning::orders::Subject;
use crate::planning::plan::{Drafts, Goal, RoomRollout};
use crate::planning::rollout::Turn;
use crate::planning::suspension;

/// From power to a LINBO that answers, with slow firmware and one update of LINBO itself.
const BOOT: SignedDuration = SignedDuration::from_mins(5);
/// One operating system, synced from the local cache.
const SYNC: SignedDuration = SignedDuration::from_mins(10);
/// A new version, loaded into the local cache beforehand.
const LOAD: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    // Most rooms of a school have the same schedule, which is not searched for each of them.
    let mut known: BTreeMap<&Schedule, Option<Timestamp>> = BTreeMap::new();
    let mut places = Vec::new();
    let rooms = desired.rooms.iter();
    let cohorts = rooms.flat_map(|(name, room)| Cohort::all(desired, name, room, observed.at));
    for cohort in cohorts {
        let Some(schedule) = cohort.schedule() else {
            continue;
        };
        let latest = || schedule.latest(observed.at, &desired.zone, &desired.holidays);
        let Some(due) = *known.entry(schedule).or_insert_with(latest) else {
            continue;
        };
        let class = desired.classes.get(cohort.class());
        let Some(class) = class.filter(|class| !class.os.is_empty()) else {
            continue;
        };
        let name = cohort.name;
        let devices = match &observed.devices {
            Probe::Seen(devices) => devices,
            // Of a test class without hosts in this room nothing would be said, either.
            Probe::Unseen(_) if cohort.test.is_some() => continue,
            Probe::Unseen(cause) => {
                drafts.hold(Goal::Room(name.clone()), Gate::Unseen(cause.clone()), None);
                continue;
            }
        };
        let mut members = cohort.members(desired, devices);
        left_alone::to_others(&mut members, observed);
        left_alone::to_the_import(&mut members, observed);
        let strangers = std::mem::take(&mut members.strangers);
        if !strangers.is_empty() {
            drafts.hold(Goal::Room(name.clone()), Gate::NotReset(strangers), None);
        }
        if cohort.test.is_none() || !members.hosts.is_empty() {
            places.push(Place {
                cohort,
                class,
                due,
                members,
            });
        }
    }
    let rollouts = Rollouts::of(desired, observed, &places);
    let openings = Openings::default();
    let sift = |place| RoomReset {
        desired,
        observed,
        place,
        openings: &openings,
    };
    let ready: Vec<Ready<'_>> = places
        .iter()
        .filter_map(|place| sift(place).sift(&rollouts, drafts))
        .collect();
    turns::admit(desired, observed, ready, drafts);
}

/// Hosts of a room that are reset together, with what belongs to them.
struct Place<'a> {
    cohort: Cohort<'a>,
    class: &'a DesiredClass,
    /// The latest occurrence of their schedule.
    due: Timestamp,
    members: Members<'a>,
}

impl<'a> Place<'a> {
    fn images(&self) -> BTreeSet<&'a ImageName> {
        self.class.os.iter().map(|os| &os.image).collect()
    }

    fn uses(&self, image: &ImageName) -> bool {
        self.class.os.iter().any(|os| os.image == *image)
    }

    fn judge(&self, desired: &'a Desired, observed: &'a Observed) -> Judge<'a> {
        let Cohort { name, room, .. } = self.cohort;
        Judge::new(desired, observed, name, self.class, room.in_use)
    }
}

/// Hosts of a room whose gates are open, but for the budgets that all rooms share.
struct Ready<'a> {
    cohort: Cohort<'a>,
    class: &'a DesiredClass,
    due: Timestamp,
    hosts: Vec<Wake>,
    /// How many rows of `devices.csv` name the room.
    rows: usize,
    /// The image of which a new version is to be loaded, if one is.
    loads: Option<ImageName>,
    circuits: Vec<(Circuit, Pace)>,
    /// How long each host is thought to be on.
    each: SignedDuration,
    open: Open,
}

impl Ready<'_> {
    /// The reset of the first so many hosts.
    fn step(mut self, hosts: usize) -> Step {
        self.hosts.truncate(hosts);
        // Whoever is told the room and not its hosts takes every row that names it.
        let whole_room = self.hosts.len() == self.rows;
        let force_from = match self.cohort.room.in_use {
            InUse::ForceAfter(length) => self.due.checked_add(length.to_duration()).ok(),
            InUse::Wait | InUse::Skip => None,
        };
        let action = Action::ResetRoom {
            room: self.cohort.name.clone(),
            test: self.cohort.test.map(|(test, _)| test.clone()),
            due: self.due,
            hosts: self.hosts,
            commands: commands(self.class, self.loads.is_some()),
            whole_room,
            images: {
                let images: BTreeSet<_> = self.class.os.iter().map(|os| &os.image).collect();
                images.into_iter().cloned().collect()
            },
            class: self.cohort.class().clone(),
            circuits: self.circuits,
            force_from,
        };
        let reason = match self.loads {
            Some(image) => Reason::NewVersion {
                image,
                due: self.due,
            },
            None => Reason::Stale { due: self.due },
        };
        Step::new(action, reason)
    }
}

/// What each host of a class runs to be put back. The cache is filled first where peers help with that.
fn commands(class: &DesiredClass, loads: bool) -> CommandLine {
    let restore = |(index, os): (usize, &OsEntry)| {
        let number = OsNumber::at_index(index)?;
        Some(match os.reset {
            ResetCommand::Sync => Command::Sync(number),
            ResetCommand::New => Command::New(number),
        })
    };
    let fill = loads && class.download != DownloadType::Rsync;
    let restore = class.os.iter().enumerate().filter_map(restore);
    let mut all = fill
        .then_some(Command::InitCache)
        .into_iter()
        .chain(restore);
    match all.next() {
        Some(first) => all
            .fold(CommandLine::new(first), CommandLine::then)
            .then(Command::Halt),
        None => CommandLine::new(Command::Halt),
    }
}

/// One room at this instant.
struct RoomReset<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    place: &'a Place<'a>,
    openings: &'a Openings<'a>,
}

/// What keeps some hosts of a room from being reset now.
#[derive(Default)]
struct Held {
    gave_up: Vec<(HostName, String)>,
    stalled: Vec<(HostName, String)>,
    missed: Vec<(HostName, String)>,
    blind: Vec<String>,
    busy: Vec<(HostName, Busy)>,
    waiting: (Vec<HostName>, Option<Timestamp>),
    in_use: (Vec<HostName>, Option<Timestamp>),
    /// Closed waves, stopped rollouts, suspensions and the guard, by how many hosts.
    turns: Vec<(Gate, Option<Timestamp>, usize)>,
    /// Images of which hosts are to get a new version, and since when.
    comes: BTreeMap<ImageName, Timestamp>,
}

impl<'a> RoomReset<'a> {
    /// The hosts that are to be reset now, if there are any and no gate of the room is closed. All others are held.
    fn sift(&self, rollouts: &Rollouts<'_>, drafts: &mut Drafts<'_>) -> Option<Ready<'a>> {
        let Self {
            observed, place, ..
        } = self;
        let judge = place.judge(self.desired, observed);
        // Hosts of a room that is left alone wait for nothing else, and take no time from others.
        let room_is_left_alone = suspension::check(
            self.desired,
            observed,
            &Subject::Room(place.cohort.name.clone()),
        );
        let is_left_alone = |host: &HostName| {
            suspension::check(self.desired, observed, &Subject::Host(host.clone()))
                .and_then(|()| room_is_left_alone.clone())
        };
        let no_time_left = std::cell::LazyCell::new(|| self.no_time_left());
        let mut held = Held::default();
        let (mut now, mut due, mut loads) = (Vec::new(), place.due, None);
        let images = place.images();
        for device in &place.members.hosts {
            let host = &device.host;
            if let Some(gate) = drafts.guard().host(host) {
                held.add(gate, None);
                continue;
            }
            let turn = rollouts.turn(images.iter().copied(), host, observed.at);
            let (opened, lacks) = match turn {
                None | Some((_, Turn::Has)) => (None, None),
                Some((image, Turn::Open(since))) => {
                    let mut open = rollouts.open(images.iter().copied(), host, observed.at);
                    let suspended = open.find_map(|image| {
                        let what = Subject::Image(image.clone());
                        suspension::check(self.desired, observed, &what).err()
                    });
                    if let Some(Closed { gate, wake }) = suspended {
                        held.add(gate, wake);
                        continue;
                    }
                    (Some(since), Some(image))
                }
                Some((image, turn)) => {
                    if let Turn::Closed(closed) = turn {
                        held.comes(image, closed.opens);
                    }
                    held.turn(image, turn);
                    continue;
                }
            };
            // What the schedule asks for anyway brings the new version too.
            let (mut host_due, mut next) = (place.due, judge.next_try(host, place.due));
            if let (Try::NotNeeded, Some(opened)) = (&next, opened) {
                (host_due, next) = (opened, judge.next_try(host, opened));
            }
            if let (Some(image), Try::Now | Try::Later(_) | Try::InUse(_)) = (lacks, &next) {
                held.comes(image, opened);
            }
            match next {
                Try::NotNeeded => {}
                Try::Now | Try::Later(_) | Try::InUse(_)
                    if let Err(Closed { gate, wake }) = is_left_alone(host) =>
                {
                    held.add(gate, wake);
                }
                Try::Now | Try::Later(_) | Try::InUse(_)
                    if host_due == place.due
                        && no_time_left.is_some()
                        && let Some(why) = self.why_missed(host) =>
                {
                    held.missed.push((host.clone(), why));
                }
                // The domain has to know its row first, and the import speaks for itself.
                Try::Now if self.observed.journal.rows().contains(host) => {}
                Try::Now if let Some(busy) = self.busy(host) => {
                    held.busy.push((host.clone(), busy));
                }
                Try::Now => {
                    due = due.max(host_due);
                    loads = loads.or(lacks);
                    now.push(Wake {
                        host: host.clone(),
                        mac: device.mac,
                    });
                }
                Try::Later(at) => wait(&mut held.waiting, host, Some(at)),
                Try::InUse(at) => wait(&mut held.in_use, host, at.or_else(|| self.next_due())),
                Try::No(why) => held.gave_up.push((host.clone(), why)),
                Try::Stalled(why) => held.stalled.push((host.clone(), why)),
                Try::Unseen(cause) => held.blind.push(cause),
            }
        }
        if !held.missed.is_empty() {
            let hosts = std::mem::take(&mut held.missed);
            let (goal, due) = (self.goal(hosts.len()), place.due);
            drafts.hold(goal, Gate::Missed { due, hosts }, *no_time_left);
        }
        self.hold(held, drafts);
        if now.is_empty() {
            return None;
        }
        let mut circuits = self
            .desired
            .circuits_of(place.cohort.name, place.cohort.room);
        let each = each(place.class, loads.is_some());
        if loads.is_some() {
            circuits.push(self.desired.loading());
        }
        match self.gates(now.len(), each, &circuits, loads) {
            Ok(open) => Some(Ready {
                cohort: place.cohort,
                class: place.class,
                due,
                hosts: now,
                rows: place.members.rows,
                loads: loads.cloned(),
                circuits,
                each,
                open,
            }),
            Err(Closed { gate, wake }) => {
                drafts.hold(self.goal(now.len()), gate, wake);
                None
            }
        }
    }

    fn goal(&self, hosts: usize) -> Goal {
        Goal::Fresh(self.place.cohort.name.clone(), hosts)
    }

    fn hold(&self, held: Held, drafts: &mut Drafts<'_>) {
        let Held {
            gave_up,
            stalled,
            missed: _,
            blind,
            busy,
            waiting,
            in_use,
            turns,
            comes,
        } = held;
        for (image, since) in comes {
            drafts.rollout(RoomRollout {
                room: self.place.cohort.name.clone(),
                image,
                since,
            });
        }
        if !gave_up.is_empty() {
            let next = self.next_due();
            drafts.hold(
                self.goal(gave_up.len()),
                Gate::GaveUp { hosts: gave_up },
                next,
            );
        }
        if !stalled.is_empty() {
            drafts.hold(
                self.goal(stalled.len()),
                Gate::Stalled { hosts: stalled },
                None,
            );
        }
        if let Some(cause) = blind.first() {
            drafts.hold(self.goal(blind.len()), Gate::Unseen(cause.clone()), None);
        }
        for (hosts, Closed { gate, wake }) in Gate::of_busy(&busy, self.observed.at) {
            drafts.hold(self.goal(hosts), gate, wake);
        }
        for (gate, (hosts, wake)) in [
            (Gate::Retry as fn(Vec<HostName>) -> Gate, waiting),
            (Gate::InUse, in_use),
        ] {
            if !hosts.is_empty() {
                drafts.hold(self.goal(hosts.len()), gate(hosts), wake);
            }
        }
        for (gate, wake, hosts) in turns {
            drafts.hold(self.goal(hosts), gate, wake);
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        let schedule = self.place.cohort.schedule()?;
        schedule.next(self.observed.at, &self.desired.zone, &self.desired.holidays)
    }

    /// The gates of a room of which so many hosts want to be reset now.
    fn gates(
        &self,
        hosts: usize,
        each: SignedDuration,
        circuits: &[(Circuit, Pace)],
        loads: Option<&ImageName>,
    ) -> Result<Open, Closed> {
        let Self {
            desired,
            observed,
            place,
            openings,
        } = self;
        let closed = |gate| Closed { gate, wake: None };
        let open =
            openings.room_window(desired, place.cohort.name, place.cohort.room, observed.at)?;
        if let Some(next) = self.next_due()
            && next + estimate(hosts, each, circuits) <= open.closes
            && place.due < open.opens
        {
            return Err(Closed {
                gate: Gate::DueSoon,
                wake: Some(next),
            });
        }
        let mut unseen = [
            observed.busy.cause(),
            observed.onboot.cause(),
            observed.astray.cause(),
        ]
        .into_iter();
        if let Some(cause) = unseen.find_map(|cause| cause) {
            return Err(closed(Gate::Unseen(cause.to_owned())));
        }
        // The numbers of the operating systems are those of the file that LINBO reads.
        let start_conf = match observed.classes.get(place.cohort.class()) {
            Some(Probe::Seen(files)) => files.start_conf.as_deref(),
            Some(Probe::Unseen(cause)) => return Err(closed(Gate::Unseen(cause.clone()))),
            None => None,
        };
        if !start_conf.is_some_and(|text| place.class.has_its_systems(text)) {
            return Err(closed(Gate::StartConf(place.cohort.class().clone())));
        }
        for image in place.images() {
            let live = self.live(image).map_err(closed)?;
            if loads.is_some() && place.class.download == DownloadType::Torrent {
                self.is_seeded(image, live).map_err(closed)?;
            }
        }
        Ok(open)
    }

    /// An image that hosts can be put back to.
    fn live(&self, image: &ImageName) -> Result<&'a LiveImage, Gate> {
        match self.observed.live.get(image) {
            Some(Probe::Seen(live)) if live.uploading => Err(Gate::Uploading(image.clone())),
            Some(Probe::Seen(live)) if live.base.is_some() => {
                match self.desired.pinned.get(image) {
                    Some(pinned) => is_pinned(image, live, pinned).map(|()| live),
                    None => Ok(live),
                }
            }
            Some(Probe::Seen(_)) => {
                let mut released = self.desired.images.keys();
                Err(if released.any(|(released, _)| released == image) {
                    Gate::NotActive(image.clone())
                } else {
                    Gate::ImageMissing(image.clone())
                })
            }
            Some(Probe::Unseen(cause)) => Err(Gate::Unseen(cause.clone())),
            None => Err(Gate::Unseen(format!(
                "the folder of {image} was not looked at"
            ))),
        }
    }

    /// Hosts that load by torrent wait for ever where nobody seeds.
    fn is_seeded(&self, image: &ImageName, live: &LiveImage) -> Result<(), Gate> {
        let seeded = match &self.observed.seeded {
            Probe::Seen(seeded) => seeded,
            Probe::Unseen(cause) => return Err(Gate::Unseen(cause.clone())),
        };
        let missing = live.files(image).find(|(file, _)| !seeded.contains(file));
        missing.map_or(Ok(()), |(file, _)| Err(Gate::NotSeeded(file)))
    }

    fn busy(&self, host: &HostName) -> Option<Busy> {
        self.observed.busy.seen()?.get(host).cloned()
    }
}

/// Hosts take what lies there, whatever the state repo pins.
fn is_pinned(image: &ImageName, live: &LiveImage, pinned: &ImageStamp) -> Result<(), Gate> {
    let found = live.state(image).map(|(_, _, stamp)| stamp);
    if found == Some(pinned) {
        return Ok(());
    }
    Err(Gate::NotPinned {
        image: image.clone(),
        pinned: pinned.clone(),
        found: found.cloned(),
    })
}

impl Held {
    fn turn(&mut self, image: &ImageName, turn: Turn) {
        let (gate, wake) = match turn {
            Turn::Closed(closed) => (
                Gate::Wave {
                    image: image.clone(),
                    closed,
                },
                closed.opens,
            ),
            Turn::Stopped(stopped) => (
                Gate::RolloutStopped {
                    image: image.clone(),
                    stopped,
                },
                None,
            ),
            Turn::Has | Turn::Open(_) => return,
        };
        self.add(gate, wake);
    }

    /// One more host that is to get a new version, if it is known since when.
    fn comes(&mut self, image: &ImageName, since: Option<Timestamp>) {
        if let Some(since) = since {
            let first = self.comes.entry(image.clone()).or_insert(since);
            *first = since.min(*first);
        }
    }

    /// One more host that waits for this.
    fn add(&mut self, gate: Gate, wake: Option<Timestamp>) {
        match self.turns.iter_mut().find(|(known, ..)| *known == gate) {
            Some((_, _, hosts)) => *hosts += 1,
            None => self.turns.push((gate, wake, 1)),
        }
    }
}

fn wait(hosts: &mut (Vec<HostName>, Option<Timestamp>), host: &HostName, until: Option<Timestamp>) {
    hosts.0.push(host.clone());
    hosts.1 = match (hosts.1, until) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

/// How long each host of a class is thought to be on.
pub(in crate::planning) fn each(class: &DesiredClass, loads: bool) -> SignedDuration {
    let systems = SYNC * i32::try_from(class.os.len()).unwrap_or(1);
    BOOT + systems + if loads { LOAD } else { SignedDuration::ZERO }
}

/// How long so many hosts take on these circuits when no other room is at work.
pub(in crate::planning) fn estimate(
    hosts: usize,
    each: SignedDuration,
    circuits: &[(Circuit, Pace)],
) -> SignedDuration {
    let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    let bounds = circuits.iter().map(|(_, pace)| {
        let waking = i64::from(hosts) * 60 / i64::from(pace.wake_per_minute.max(1));
        let rounds = hosts.div_ceil(pace.on_at_once.max(1)).max(1);
        let rounds = i32::try_from(rounds).unwrap_or(i32::MAX);
        each.saturating_mul(rounds)
            .saturating_add(SignedDuration::from_secs(waking))
    });
    bounds.max().unwrap_or(each)
}
