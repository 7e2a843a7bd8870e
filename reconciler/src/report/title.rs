//! One item for each step and each hold: the words by which people know them, everywhere the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::fleet::{Origin, Setting};
use schema::name::HostName;
use schema::units::Bytes;

use crate::planning::gates::{Change, Excess, Work};
use crate::planning::rollout;
use crate::planning::{
    Action, Allowance, Gate, Goal, Hold, NotBefore, Reason, Resource, Slot, SlotKind, Step,
};
use crate::report::hanging;
use crate::report::style::{Mark, count, few, time};

/// A line of a plan and what stands under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its sign.
    pub mark: Mark,
    /// What it is about: `room r101`.
    pub object: String,
    /// What is done or wanted: `reset 20 hosts`.
    pub what: String,
    /// Why, and what it waits for.
    pub notes: Vec<String>,
    /// A unified diff, where a file changes.
    pub diff: Option<String>,
}

/// The clock by which times are written.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// Now.
    pub now: Timestamp,
    /// The zone.
    pub zone: &'a TimeZone,
}

impl Clock<'_> {
    /// A time as people read it.
    #[must_use]
    pub fn show(self, at: Timestamp) -> String {
        time(at, self.now, self.zone)
    }
}

/// What a step is about and does, in one line without its reason.
#[must_use]
pub fn of_step(step: &Step) -> String {
    let (object, what) = words(&step.action);
    format!("{object}: {what}")
}

/// A step as an item of a plan.
#[must_use]
pub fn item(step: &Step, clock: Clock<'_>) -> Item {
    let (object, what) = words(&step.action);
    let mark = match (&step.action, &step.reason) {
        (Action::ResetRoom { .. }, _) => Mark::Again,
        (Action::Delete { .. }, _) => Mark::Delete,
        (_, Reason::Absent | Reason::Resumed) => Mark::Add,
        _ => Mark::Change,
    };
    let mut notes = vec![reason(step, clock)];
    let diff = match &step.action {
        Action::WriteStartConf {
            class,
            before,
            after,
        } => Some(diff(
            &format!("start.conf.{class}"),
            before.as_deref().unwrap_or(""),
            after,
        )),
        Action::Download {
            rate, from, until, ..
        } => {
            let rate = rate.map(|rate| format!(" at {rate}")).unwrap_or_default();
            let from = if *from > clock.now {
                format!("from {} ", clock.show(*from))
            } else {
                String::new()
            };
            notes.push(format!("{from}until {}{rate}", clock.show(*until)));
            None
        }
        Action::ResetRoom {
            hosts,
            whole_room,
            circuits,
            ..
        } => {
            if !whole_room {
                notes.push(few(hosts.iter().map(|wake| &wake.host)));
            }
            notes.extend(circuits.iter().filter_map(|(circuit, pace)| {
                let bound =
                    |number: u32, what| (number < u32::MAX).then(|| format!("{number} {what}"));
                let bounds = [
                    bound(pace.wake_per_minute, "woken a minute"),
                    bound(pace.on_at_once, "on at once"),
                ];
                let bounds: Vec<_> = bounds.into_iter().flatten().collect();
                (!bounds.is_empty()).then(|| format!("{circuit}: {}", bounds.join(", ")))
            }));
            None
        }
        Action::SetClasses { hosts } => {
            let mut classes: BTreeMap<_, Vec<&HostName>> = BTreeMap::new();
            for (host, change) in hosts {
                let of = classes.entry((&change.before, &change.after)).or_default();
                of.push(host);
            }
            notes.extend(classes.into_iter().map(|((before, after), hosts)| {
                format!("from {before} to {after}: {}", few(hosts))
            }));
            None
        }
        Action::ImportDevices { .. }
        | Action::Activate { .. }
        | Action::Delete { .. }
        | Action::Seed { .. }
        | Action::SwitchOff { .. } => None,
    };
    Item {
        mark,
        object,
        what,
        notes,
        diff,
    }
}

/// A hold as an item of a plan.
#[must_use]
pub fn held(hold: &Hold, clock: Clock<'_>) -> Item {
    let (object, what) = goal(&hold.goal);
    let blocked = hold.gate.needs_a_person();
    let mark = if blocked { Mark::Blocked } else { Mark::Wait };
    let what = if blocked {
        format!("cannot {what}")
    } else {
        what
    };
    let mut notes = gate(&hold.gate, clock);
    let wake = hold
        .wake
        .and_then(|wake| Some(format!("{} {}", until(&hold.gate)?, clock.show(wake))));
    notes.extend(wake);
    Item {
        mark,
        object,
        what,
        notes,
        diff: None,
    }
}

/// What is to be expected at the time at which a hold is looked at again.
const fn until(gate: &Gate) -> Option<&'static str> {
    match gate {
        Gate::Window(_) => Some("it opens"),
        Gate::TooLate { .. } | Gate::Backoff { .. } | Gate::Retry(_) | Gate::GaveUp { .. } => {
            Some("next try")
        }
        Gate::Lessons | Gate::Holiday(_) => Some("they end"),
        Gate::Missed { .. } => Some("the next window opens"),
        Gate::Suspended { .. } | Gate::Exam => Some("it ends"),
        Gate::Wave { .. } => Some("it opens"),
        Gate::Turn => Some("its turn comes"),
        Gate::InUse(_) => Some("next look"),
        Gate::Busy(_) => Some("it is free"),
        _ => None,
    }
}

fn words(action: &Action) -> (String, String) {
    match action {
        Action::WriteStartConf { class, .. } => (
            format!("class {class}"),
            format!("write start.conf.{class}"),
        ),
        Action::SetClasses { hosts } => (
            "devices.csv".to_owned(),
            format!("give {} another class", count(hosts.len(), "host", "hosts")),
        ),
        Action::ImportDevices { classes, hosts } => {
            let of = if classes.is_empty() {
                few(hosts.keys())
            } else {
                few(classes)
            };
            (
                "devices".to_owned(),
                format!("run linuxmuster-import-devices for the boot configuration of {of}"),
            )
        }
        Action::Download {
            image,
            version,
            bytes,
            ..
        } => (
            format!("image {image}"),
            format!("download {version}, {bytes:.1}"),
        ),
        Action::Activate { image, version, .. } => {
            (format!("image {image}"), format!("activate {version}"))
        }
        Action::Delete {
            image,
            version,
            bytes,
            ..
        } => (
            format!("image {image}"),
            format!("delete {version} from the store, {bytes:.1}"),
        ),
        Action::SwitchOff { hosts } => (
            count(hosts.len(), "host", "hosts"),
            format!("switch off {}", few(hosts)),
        ),
        Action::Seed { image, file } => (
            format!("image {image}"),
            format!("make the torrent of {file} anew and seed it"),
        ),
        Action::ResetRoom {
            room,
            hosts,
            commands,
            images,
            ..
        } => (
            format!("room {room}"),
            format!(
                "reset {} to {} ({commands})",
                count(hosts.len(), "host", "hosts"),
                few(images)
            ),
        ),
    }
}

fn goal(goal: &Goal) -> (String, String) {
    match goal {
        Goal::StartConf(class) => (
            format!("class {class}"),
            format!("write start.conf.{class}"),
        ),
        Goal::Import => (
            "devices".to_owned(),
            "run linuxmuster-import-devices".to_owned(),
        ),
        Goal::Classes(hosts) => (
            "devices.csv".to_owned(),
            format!("give {} another class", count(*hosts, "host", "hosts")),
        ),
        Goal::Downloaded(image, version) => {
            (format!("image {image}"), format!("download {version}"))
        }
        Goal::Active(image, version) => (format!("image {image}"), format!("activate {version}")),
        Goal::Deleted(image, version) => (
            format!("image {image}"),
            format!("delete {version} from the store"),
        ),
        Goal::Seeded(file) => (format!("image file {file}"), "seed it".to_owned()),
        Goal::Fresh(room, hosts) => (
            format!("room {room}"),
            format!("reset {}", count(*hosts, "host", "hosts")),
        ),
        Goal::Off(hosts) => (
            count(*hosts, "host", "hosts"),
            "switch off what was left on".to_owned(),
        ),
        Goal::Room(room) => (format!("room {room}"), "reset all hosts".to_owned()),
    }
}

fn reason(step: &Step, clock: Clock<'_>) -> String {
    match &step.reason {
        Reason::Absent => match &step.action {
            Action::Download { .. } => "it is not in the store",
            Action::Activate { .. } => "no version is active",
            Action::Seed { .. } => "there is no torrent",
            Action::WriteStartConf { .. }
            | Action::SetClasses { .. }
            | Action::ImportDevices { .. }
            | Action::Delete { .. }
            | Action::SwitchOff { .. }
            | Action::ResetRoom { .. } => "there is none",
        }
        .to_owned(),
        Reason::LeftOn => {
            "left on after what was begun there, or up only after it was waited for".to_owned()
        }
        Reason::Differs => "it differs from what the state repo says".to_owned(),
        Reason::BootOutdated => "the boot configuration is older than start.conf".to_owned(),
        Reason::Test => "a test class begins or ends for them".to_owned(),
        Reason::FailedBefore => {
            "its last run failed, so not all of its work may be done".to_owned()
        }
        Reason::OtherVersion(Some(version)) => format!("in place of {version}"),
        Reason::OtherVersion(None) => {
            "in place of an image that the store does not know".to_owned()
        }
        Reason::Resumed => "it was begun, and goes on".to_owned(),
        Reason::Outdated => {
            "the torrent is older than the file: a seeder would write the old content back"
                .to_owned()
        }
        Reason::NotSeeded => "its torrent is right, but nobody seeds it".to_owned(),
        Reason::Unneeded { since } => {
            format!("nobody has needed it since {}", clock.show(*since))
        }
        Reason::SpaceShort => "nobody needs it, and a download needs its space".to_owned(),
        Reason::NewVersion { image, due } => format!(
            "a new version of {image} is to come to them since {}",
            clock.show(*due)
        ),
        Reason::Stale { due } => format!("due since {}", clock.show(*due)),
    }
}

/// A part of the line to the central server.
pub(super) fn slot_of(slot: &Slot, clock: Clock<'_>) -> String {
    let kind = match slot.kind {
        SlotKind::Own => "slot",
        SlotKind::LeftOver => "part of what is left over",
    };
    let rate = slot.rate;
    format!(
        "{kind}, {} to {} at {rate}",
        clock.show(slot.from),
        clock.show(slot.until)
    )
}

/// What a hold waits for, in lines.
pub(super) fn gate(gate: &Gate, clock: Clock<'_>) -> Vec<String> {
    let line = match gate {
        Gate::Window(work) => format!("the {} window is closed", name(*work)),
        Gate::TooLate {
            work: Work::Download,
            ..
        } => "the download window closes just now".to_owned(),
        Gate::TooLate { work, minutes } => {
            format!(
                "it takes about {minutes} min, and the {} window closes or lessons begin before",
                name(*work)
            )
        }
        Gate::TooLong { work, minutes } => format!(
            "it takes about {minutes} min, longer than the whole {} window: make the window longer, the room smaller, or the power budget larger",
            name(*work)
        ),
        Gate::Slot(None) => "no part of the line to the central server is this school's within two weeks: see its download window, and `central.uplink`".to_owned(),
        Gate::Slot(Some(slot)) => format!("the line to the central server is others' until its {}", slot_of(slot, clock)),
        Gate::Lessons => "lessons are being held".to_owned(),
        Gate::Holiday(holiday) => format!("holidays: {holiday}"),
        Gate::Busy(resource) => busy(resource),
        Gate::HostsBusy(hosts) => format!(
            "{} still at work: {}",
            count(hosts.len(), "host is", "hosts are"),
            few(hosts)
        ),
        Gate::HostsHang(hosts) => {
            let each = hosts.iter().flat_map(|(host, busy)| {
                let what = format!("{host} {}", hanging::what(busy, clock));
                [what, hanging::advice(host, busy)]
            });
            return each.collect();
        }
        Gate::Uploading(image) => format!(
            "an upload into the folder of {image} runs, or was cut off: .BAK or temporary files lie there"
        ),
        Gate::Backoff { failures: 1, why } => format!("it failed: {why}"),
        Gate::Backoff { failures, why } => {
            format!("it failed {failures} times, the last time: {why}")
        }
        Gate::Retry(hosts) => format!("tried in vain: {}", few(hosts)),
        Gate::GaveUp { hosts } => {
            return each(hosts, "given up until the schedule's next time");
        }
        Gate::Missed { due, hosts } => return missed(*due, hosts, clock),
        Gate::Exam => "the room is in an exam".to_owned(),
        Gate::Turn => "other rooms go first, as far as the power bears them".to_owned(),
        Gate::InUse(hosts) => format!("somebody works at {}", few(hosts)),
        Gate::Stalled { hosts } => {
            let end = "left alone until somebody has resolved it: `reconcile resume host NAME`";
            return each(hosts, end);
        }
        Gate::Wave { image, closed } => {
            let rollout::Closed {
                wave,
                of,
                has,
                wanted,
                opens,
            } = closed;
            let waits = if opens.is_some() {
                "the one before has it and is watched for a while".to_owned()
            } else {
                format!("{has} of the {wanted} hosts that have to have it before do")
            };
            format!("wave {wave} of {of} of the rollout of {image}: {waits}")
        }
        Gate::NotBefore(NotBefore { day, origin }) => format!(
            "new versions come to the PCs from {} on ({}, {origin})",
            day.strftime("%a %Y-%m-%d"),
            Setting::RolloutFrom
        ),
        Gate::RolloutStopped { image, stopped } => {
            let rollout::Stopped { failed, hosts } = stopped;
            format!(
                "the rollout of {image} stopped: {failed} of {} failed; `reconcile resume image {image}` goes on",
                count(*hosts, "host", "hosts")
            )
        }
        Gate::Guard { change, excess } => return guard(change, excess),
        Gate::NotSeeded(file) => format!("{file} has to be seeded first"),
        Gate::Suspended { what, reason, by } => {
            let by = by
                .as_ref()
                .map(|by| format!(" by {by}"))
                .unwrap_or_default();
            format!("{what} is suspended{by}: {reason}")
        }
        Gate::Unseen(cause) => format!("could not be seen: {cause}"),
        Gate::NotRebranded => {
            "it belongs to another domain, and moving it into the school's is not automated yet"
                .to_owned()
        }
        Gate::NoSpace { needed, free } => {
            format!(
                "the store has {free:.1} free, {needed:.1} are needed: delete something or enlarge the disk"
            )
        }
        Gate::NotOurs(class) => format!(
            "start.conf.{class} exists and was not written by reconcile: move it away, and reconcile writes its own"
        ),
        Gate::StartConf(class) => format!("start.conf.{class} has to be right first"),
        Gate::ImageMissing(image) => format!("there is no {image}.qcow2 in LINBO's folder"),
        Gate::NotPinned {
            image,
            pinned,
            found,
        } => {
            let found = found
                .as_ref()
                .map_or("without a timestamp".to_owned(), |found| {
                    format!("of {found}")
                });
            format!(
                "{image} in LINBO's folder is {found}, but the state repo pins {pinned}: pin that one, or put the pinned one back"
            )
        }
        Gate::DueSoon => "missed earlier; the next reset is due in this very window".to_owned(),
        Gate::NotActive(image) => format!("image {image} is not active yet"),
        Gate::BadDevices(problem) => {
            format!("devices.csv has bad rows, which would spoil the import: {problem}")
        }
        Gate::NotReset(hosts) => {
            return hosts
                .iter()
                .map(|(host, why)| format!("{host} {why}"))
                .collect();
        }
    };
    vec![line]
}

/// What would be done, to how many, who allows how much, and how a person says yes.
fn guard(change: &Change, excess: &Excess) -> Vec<String> {
    let what = match change {
        Change::ImageTaken(image) => {
            format!("PCs were last put back to {image}, which their class has no more")
        }
        Change::Version(image) => format!(
            "with `rollout: at_once`, all that have {image} would get another version of it"
        ),
        Change::Disk(class) => format!(
            "start.conf.{class} would divide the disk otherwise, or put other images onto it"
        ),
    };
    let Excess {
        hosts,
        unseen,
        of,
        allowed,
    } = excess;
    let Allowance {
        share,
        origin,
        file,
    } = allowed;
    let unseen = match unseen {
        0 => String::new(),
        _ => format!(" or may be, as {unseen} could not be seen"),
    };
    let (allows, way) = match origin {
        Origin::Default => (
            "is allowed where nobody says anything else".to_owned(),
            format!("add it to {file}"),
        ),
        Origin::Written { file: here, .. } if here == file => {
            (format!("{origin} allows"), "write it there".to_owned())
        }
        Origin::Written { .. } => (
            format!("{origin} allows"),
            format!("write it there, or into {file} for this school alone"),
        ),
    };
    let waves = match change {
        Change::Version(_) => "; in waves, a new version needs no word",
        Change::ImageTaken(_) | Change::Disk(_) => "",
    };
    vec![
        what,
        format!(
            "{hosts} of the school's {} would be re-imaged outside of a rollout{unseen}, more than the {share} that {allows}",
            count(*of, "PC", "PCs")
        ),
        format!(
            "if that is meant: `guard: {{ reimage_at_most: {} % }}` until all is done, as each pass weighs what is left; {way}{waves}",
            excess.needed()
        ),
    ]
}

/// Which reset could not be caught up, and the hosts by what is known of why.
fn missed(due: Timestamp, hosts: &[(HostName, String)], clock: Clock<'_>) -> Vec<String> {
    let mut by_why: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    for (host, why) in hosts {
        by_why.entry(why).or_default().push(host);
    }
    let head = format!("what was due {} could not be caught up", clock.show(due));
    let lines = by_why
        .into_iter()
        .map(|(why, hosts)| format!("{}: {why}", few(hosts)));
    std::iter::once(head).chain(lines).collect()
}

/// A line for each host and one for all of them.
fn each(hosts: &[(HostName, String)], end: &str) -> Vec<String> {
    let lines = hosts.iter().map(|(host, why)| format!("{host} {why}"));
    lines.chain([end.to_owned()]).collect()
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::Download => "download",
        Work::Activate => "activate",
        Work::Reset => "reset",
    }
}

fn busy(resource: &Resource) -> String {
    match resource {
        Resource::Uplink => "another download uses the line".to_owned(),
        Resource::Import => "another import runs".to_owned(),
        Resource::Store => "the store is in use".to_owned(),
        Resource::Class(class) => format!("class {class} is in use"),
        Resource::Image(image) => format!("image {image} is in use"),
        Resource::Room(room) => format!("room {room} is being reset"),
    }
}

/// A unified diff of a file.
#[must_use]
pub fn diff(name: &str, before: &str, after: &str) -> String {
    let diff = similar::TextDiff::from_lines(before, after);
    let old = if before.is_empty() {
        "/dev/null".to_owned()
    } else {
        format!("a/{name}")
    };
    diff.unified_diff()
        .context_radius(3)
        .header(&old, &format!("b/{name}"))
        .to_string()
}

/// Bytes for people.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    format!("{:.1}", Bytes(bytes))
}
