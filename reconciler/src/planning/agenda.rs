//! What is coming: resets by their schedules, new versions of images and the ends of test classes, as staff want to
//! know them.
//!
//! # Invariants
//!
//! It asks the gates that the planner asks, at the times to come: nothing is foretold for holidays, exams, lessons,
//! closed windows and suspensions, nor for rooms without hosts. What depends on the hosts is not foretold: some are
//! off or fail and are tried again, and what one evening has no time for goes on in the next.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use schema::fleet::Room;
use schema::name::{HostName, ImageName, RoomName, TestClassName, VersionName};
use schema::schedule::Opening;

use crate::planning::cohort::Cohort;
use crate::planning::desired::{Desired, Purpose};
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Observed, Probe};
use crate::planning::orders::Subject;
use crate::planning::plan::{Goal, Hold, Plan};
use crate::planning::rollout::{Progress, Standing, Turn};
use crate::planning::suspension;
use crate::planning::topics::rooms;

/// Something that staff should know of beforehand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coming {
    /// These rooms are put back to their images within a span of time.
    Reset {
        /// When the first host may be woken, and when the last one has to be off.
        span: Opening,
        /// The rooms.
        rooms: BTreeSet<RoomName>,
    },
    /// Hosts of these rooms get a new version of an image within a span of time. While it is on its way to the server,
    /// that is foreseen of the first wave, as if it came in time.
    Rollout {
        /// When the first host may be woken, and when the last one has to be off.
        span: Opening,
        /// The image.
        image: ImageName,
        /// The rooms.
        rooms: BTreeSet<RoomName>,
    },
    /// A test class ends with this day, and its hosts go back.
    TestClassEnds {
        /// The last day.
        until: Date,
        /// The test class.
        name: TestClassName,
    },
}

/// A new version of an image that is on its way to the PCs of rooms and is not in LINBO's folder yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The image.
    pub image: ImageName,
    /// The version.
    pub version: VersionName,
    /// What stands between now and then goes on no sooner; none when nothing is waited for.
    pub not_before: Option<Timestamp>,
}

/// One occurrence of a room's schedule, and when its hosts are reset for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// When they are due.
    pub due: Timestamp,
    /// What keeps them from being reset at once, if something does.
    pub waits: Option<Gate>,
    /// When the first host may be woken, and when the last one has to be off; none when that cannot be foreseen, or
    /// when it comes with the next occurrence.
    pub span: Option<Opening>,
}

/// What is coming between `from` and `until`: each kind in the order of time. None when it depends on what could not
/// be seen.
#[must_use]
pub fn agenda(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    from: Timestamp,
    until: Timestamp,
) -> Option<Vec<Coming>> {
    if observed.devices.seen().is_none() || observed.orders.seen().is_none() {
        return None;
    }
    let is_within = is_within(from, until);
    let mut resets: BTreeMap<Opening, BTreeSet<RoomName>> = BTreeMap::new();
    let mut rollouts: BTreeMap<(Opening, &ImageName), BTreeSet<RoomName>> = BTreeMap::new();
    let arrivals = arrivals(desired, observed, plan);
    let arrivals: Vec<_> = arrivals
        .iter()
        .map(|arrival| (arrival, first_wave(desired, observed, &arrival.image)))
        .collect();
    for (name, room) in &desired.rooms {
        let Some(outlook) = Outlook::of(desired, observed, name, room) else {
            continue;
        };
        for span in outlook.resets(from, until) {
            resets.entry(span).or_default().insert(name.clone());
        }
        for rollout in plan.rollouts.iter().filter(|of| of.room == *name) {
            let begins = rollout.since.max(from);
            if let Ok(span) = outlook.loads().first_open(begins).1
                && is_within(&span)
            {
                let rooms = rollouts.entry((span, &rollout.image)).or_default();
                rooms.insert(name.clone());
            }
        }
        for (arrival, _) in arrivals.iter().filter(|(_, first)| first.contains(name)) {
            let begins = arrival.not_before.map_or(from, |at| at.max(from));
            let loads = outlook.loads();
            let mut spans = loads.openings(begins);
            if let Some(span) = spans.find(|span| span.closes > observed.at)
                && is_within(&span)
            {
                let rooms = rollouts.entry((span, &arrival.image)).or_default();
                rooms.insert(name.clone());
            }
        }
    }
    let resets = resets.into_iter();
    let resets = resets.map(|(span, rooms)| Coming::Reset { span, rooms });
    let rollouts = rollouts.into_iter();
    let rollouts = rollouts.map(|((span, image), rooms)| Coming::Rollout {
        span,
        image: image.clone(),
        rooms,
    });
    let ends = ends(desired, from, until);
    let ends = ends.map(|(name, until)| Coming::TestClassEnds {
        until,
        name: name.clone(),
    });
    Some(resets.chain(rollouts).chain(ends).collect())
}

fn is_within(from: Timestamp, until: Timestamp) -> impl Fn(&Opening) -> bool {
    move |span| span.closes > from && span.opens <= until
}

/// The test classes that end between `from` and `until`, by their last days.
pub fn ends(
    desired: &Desired,
    from: Timestamp,
    until: Timestamp,
) -> impl Iterator<Item = (&TestClassName, Date)> {
    let day = |at: Timestamp| at.to_zoned(desired.zone.clone()).date();
    let days = day(from)..=day(until);
    let ends = desired.test_classes.iter();
    let ends = ends.map(|(name, test)| (name, test.until));
    let mut ends: Vec<_> = ends.filter(|(_, until)| days.contains(until)).collect();
    ends.sort_by_key(|(name, until)| (*until, *name));
    ends.into_iter()
}

/// The new versions that are on their way. What somebody has to see to first, or wants to be left alone, comes nobody
/// knows when.
#[must_use]
pub fn arrivals(desired: &Desired, observed: &Observed, plan: &Plan) -> Vec<Arrival> {
    let steps = plan.steps.iter();
    let running = observed.running.iter().map(|running| &*running.step);
    let goals = steps
        .chain(running)
        .map(|step| (Goal::from(&step.action), None));
    let will_open = |hold: &&Hold| !hold.gate.needs_a_person();
    let held = plan.holds.iter().filter(will_open);
    let goals = goals.chain(held.map(|hold| (hold.goal.clone(), hold.wake)));
    let mut all: Vec<Arrival> = goals
        .filter_map(|(goal, not_before)| match goal {
            Goal::Downloaded(image, version) | Goal::Active(image, version) => {
                let found = desired.images.get(&(image.clone(), version.clone()))?;
                let what = Subject::Image(image.clone());
                let comes = found.purpose == Purpose::Rooms
                    && !desired.gone_back.contains_key(&image)
                    && suspension::check(desired, observed, &what).is_ok();
                let live = observed.live.get(&image).and_then(Probe::seen);
                let begun = live.map(|live| gates::rollout_begun(desired, live, observed.at));
                let begins = begun.and_then(|begun| begun.err()?.wake);
                comes.then_some(Arrival {
                    image,
                    version,
                    not_before: not_before.max(begins),
                })
            }
            _ => None,
        })
        .collect();
    all.sort_by(|a, b| (&a.image, &a.version).cmp(&(&b.image, &b.version)));
    all.dedup_by(|a, b| (&a.image, &a.version) == (&b.image, &b.version));
    all
}

/// The rooms to whose hosts a new version of an image comes first.
fn first_wave<'a>(
    desired: &'a Desired,
    observed: &Observed,
    image: &ImageName,
) -> BTreeSet<&'a RoomName> {
    let rooms = desired.rooms.iter().filter_map(|(name, room)| {
        let class = desired.classes.get(&room.class)?;
        let uses = room.reset.is_some() && class.os.iter().any(|os| os.image == *image);
        let devices = uses.then(|| observed.devices.seen())??;
        let members = Cohort::of_room(name, room).members(desired, devices);
        let hosts = members.hosts.into_iter();
        let lacking = hosts.map(|device| (&device.host, Standing::Lacks));
        Some((name, lacking.collect::<Vec<_>>()))
    });
    let rooms: BTreeMap<_, _> = rooms.collect();
    let began = Timestamp::MIN;
    let progress = Progress::of(&desired.rollout, began, observed.at, &rooms);
    let is_open = |host: &HostName| matches!(progress.turn(host, observed.at), Turn::Open(_));
    let first = rooms
        .iter()
        .filter(|(_, hosts)| hosts.iter().any(|(host, _)| is_open(host)));
    first.map(|(name, _)| *name).collect()
}

/// How the times to come look for one room.
#[derive(Debug, Clone)]
pub struct Outlook<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    name: &'a RoomName,
    room: &'a Room,
    hosts: Vec<&'a HostName>,
    /// How long one host is thought to take, and all of them.
    each: SignedDuration,
    all: SignedDuration,
}

impl<'a> Outlook<'a> {
    /// The outlook of a room; none when it has no hosts that are ever reset, as far as that was seen.
    #[must_use]
    pub fn of(
        desired: &'a Desired,
        observed: &'a Observed,
        name: &'a RoomName,
        room: &'a Room,
    ) -> Option<Self> {
        let class = desired.classes.get(&room.class)?;
        let cohort = Cohort::of_room(name, room);
        let members = cohort.members(desired, observed.devices.seen()?);
        let hosts: Vec<_> = members.hosts.iter().map(|device| &device.host).collect();
        if hosts.is_empty() || class.os.is_empty() || room.reset.is_none() {
            return None;
        }
        let each = rooms::each(class, false);
        let all = rooms::estimate(hosts.len(), each, &desired.circuits_of(name, room));
        Some(Self {
            desired,
            observed,
            name,
            room,
            hosts,
            each,
            all,
        })
    }

    /// The same when the hosts load a new version.
    fn loads(&self) -> Self {
        let mut loads = self.clone();
        if let Some(class) = self.desired.classes.get(&self.room.class) {
            loads.each = rooms::each(class, true);
        }
        loads
    }

    /// The latest occurrence before or at `at`.
    fn latest(&self, at: Timestamp) -> Option<Timestamp> {
        let Desired { zone, holidays, .. } = self.desired;
        let before = self.room.reset.as_ref()?.latest(at, zone, holidays)?;
        before.checked_sub(SignedDuration::from_nanos(1)).ok()
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let Desired { zone, holidays, .. } = self.desired;
        self.room.reset.as_ref()?.next(after, zone, holidays)
    }

    /// When the hosts are reset by the room's schedule between `from` and `until`, in the order of the occurrences.
    pub fn resets(&self, from: Timestamp, until: Timestamp) -> impl Iterator<Item = Opening> {
        let all = self.occurrences(self.latest(from).unwrap_or(from));
        let near = all.take_while(move |occurrence| occurrence.due <= until);
        let spans = near.filter_map(|occurrence| occurrence.span);
        spans.filter(is_within(from, until))
    }

    /// The occurrences of the room's schedule after `after`.
    pub fn occurrences(&self, after: Timestamp) -> impl Iterator<Item = Occurrence> {
        let dues = std::iter::successors(self.next(after), |due| self.next(*due));
        dues.map(|due| {
            let (waits, span) = self.first_open(due);
            let (waits, span) = match span {
                Ok(span) if self.comes_with_the_next(due, span.opens) => {
                    (Some(Gate::DueSoon), None)
                }
                Ok(span) => (waits, Some(span)),
                Err(gate) => (waits.or(Some(gate)), None),
            };
            Occurrence { due, waits, span }
        })
    }

    /// Whether what was due before the opening at `begins` is left to an occurrence within it.
    fn comes_with_the_next(&self, due: Timestamp, begins: Timestamp) -> bool {
        let open = gates::room_window(self.desired, self.name, self.room, begins);
        open.is_ok_and(|open| {
            let next = self.next(begins);
            due < open.opens && next.is_some_and(|next| next + self.all <= open.closes)
        })
    }

    /// The next openings in which the hosts may be touched, from `at` on.
    pub fn openings(&self, at: Timestamp) -> impl Iterator<Item = Opening> {
        let first = self.first_open(at).1.ok();
        std::iter::successors(first, |span| self.first_open(span.closes).1.ok())
    }

    /// What is closed at `at`, and the first span from then on in which one host at least can be reset, or what is
    /// closed for good.
    fn first_open(&self, at: Timestamp) -> (Option<Gate>, Result<Opening, Gate>) {
        let limit = at.checked_add(FARTHEST).unwrap_or(Timestamp::MAX);
        let (mut first, mut at) = (None, at);
        loop {
            let Closed { gate, wake } = match self.open(at) {
                Ok(span) => return (first, Ok(span)),
                Err(closed) => closed,
            };
            first.get_or_insert_with(|| gate.clone());
            match wake.filter(|wake| *wake > at && *wake <= limit) {
                Some(wake) => at = wake,
                None => return (first, Err(gate)),
            }
        }
    }

    fn open(&self, at: Timestamp) -> Result<Opening, Closed> {
        self.is_left_alone(at)?;
        let open = gates::room_window(self.desired, self.name, self.room, at)?;
        match open.fits(Work::Reset, at, self.each) {
            Ok(()) => Ok(Opening {
                opens: at,
                closes: open.closes,
            }),
            // What closes it says when it is over.
            Err(Closed { gate, .. }) => Err(Closed {
                gate,
                wake: Some(open.closes),
            }),
        }
    }

    /// Whether people want the room or each of its hosts to be left alone.
    fn is_left_alone(&self, at: Timestamp) -> Result<(), Closed> {
        let check = |what| suspension::check_at(self.desired, self.observed, &what, at);
        check(Subject::Room(self.name.clone()))?;
        let hosts = self.hosts.iter();
        let closed = hosts.map(|host| check(Subject::Host((*host).clone())).err());
        // One that may be touched is enough.
        let closed: Option<Vec<_>> = closed.collect();
        let ends = |closed: &Closed| closed.wake.unwrap_or(Timestamp::MAX);
        let first = closed.and_then(|all| all.into_iter().min_by_key(ends));
        first.map_or(Ok(()), Err)
    }
}

/// How far ahead something that opens is looked for: as far as schedules are.
const FARTHEST: SignedDuration =
    SignedDuration::from_hours(24 * schema::schedule::FARTHEST_DAYS as i64);
