//! One item for each step and each hold: the words by which people know them, everywhere the same.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::name::HostName;
use schema::units::Bytes;

use crate::linbo::devices::Device;
use crate::planning::action::RowChange;
use crate::planning::{Action, Gate, Goal, Hold, Reason, Step};
use crate::report::style::{Mark, count, few, time};

mod gate;

pub(super) use gate::gate;

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
        (_, Reason::Absent | Reason::Damaged | Reason::Resumed) => Mark::Add,
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
        Action::SetRows { rows } => {
            notes.extend(rows.iter().map(|(host, change)| row(host, change)));
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
        | Action::Stage { .. }
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
        Action::SetRows { rows } => (
            "devices.csv".to_owned(),
            format!("set {}", count(rows.len(), "row", "rows")),
        ),
        Action::SetClasses { hosts } => (
            "devices.csv".to_owned(),
            format!("give {} another class", count(hosts.len(), "host", "hosts")),
        ),
        Action::ImportDevices { classes, hosts } => {
            let of = match (classes.is_empty(), hosts.is_empty()) {
                (true, true) => String::new(),
                (true, false) => format!(" for the boot configuration of {}", few(hosts.keys())),
                (false, _) => format!(" for the boot configuration of {}", few(classes)),
            };
            (
                "devices".to_owned(),
                format!("run linuxmuster-import-devices{of}"),
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
        Action::Stage {
            image, version, to, ..
        } => (
            format!("image {image}"),
            format!("make {version} ready for the VM as {to}"),
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
        Goal::Rows(rows) => (
            "devices.csv".to_owned(),
            format!("set {}", count(*rows, "row", "rows")),
        ),
        Goal::Classes(hosts) => (
            "devices.csv".to_owned(),
            format!("give {} another class", count(*hosts, "host", "hosts")),
        ),
        Goal::Downloaded(image, version) => {
            (format!("image {image}"), format!("download {version}"))
        }
        Goal::Staged(image, version) => (
            format!("image {image}"),
            format!("make {version} ready for the VM"),
        ),
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

/// What becomes of a row of `devices.csv`.
fn row(host: &HostName, change: &RowChange) -> String {
    let ip = |row: &Device| row.ip.map_or("DHCP".to_owned(), |ip| ip.to_string());
    let mac = |row: &Device| row.mac.map_or("-".to_owned(), |mac| mac.to_string());
    match change {
        RowChange::Added(row) => format!(
            "add {host} to room {} with class {}, {}, {}",
            row.room,
            row.class,
            mac(row),
            ip(row)
        ),
        RowChange::Removed(row) => format!("remove {host} from room {}", row.room),
        RowChange::Changed { before, after } => {
            let columns = [
                ("room", before.room.to_string(), after.room.to_string()),
                ("MAC address", mac(before), mac(after)),
                ("address", ip(before), ip(after)),
                ("role", before.role.to_string(), after.role.to_string()),
            ];
            let columns = columns.iter().filter(|(_, before, after)| before != after);
            let columns =
                columns.map(|(what, before, after)| format!("{what} {after} (was {before})"));
            format!("{host}: {}", columns.collect::<Vec<_>>().join(", "))
        }
    }
}

fn reason(step: &Step, clock: Clock<'_>) -> String {
    match &step.reason {
        Reason::Absent => match &step.action {
            Action::Download { .. } => "it is not in the store",
            Action::Activate { .. } => "no version is active",
            Action::Seed { .. } => "there is no torrent",
            Action::WriteStartConf { .. }
            | Action::SetRows { .. }
            | Action::SetClasses { .. }
            | Action::ImportDevices { .. }
            | Action::Stage { .. }
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
        Reason::NewRows => "rows of devices.csv changed since it last ran".to_owned(),
        Reason::Test => "a test class begins or ends for them".to_owned(),
        Reason::FailedBefore => {
            "its last run failed, so not all of its work may be done".to_owned()
        }
        Reason::OtherVersion(Some(version)) => format!("in place of {version}"),
        Reason::OtherVersion(None) => {
            "in place of an image that the store does not know".to_owned()
        }
        Reason::Damaged => "it is no longer what it was when it was downloaded".to_owned(),
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
