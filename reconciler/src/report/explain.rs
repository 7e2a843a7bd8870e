//! Why a host, a room or an image stands as it does: what is known, what was tried, what it waits for.

use std::fmt::Write as _;

use schema::fleet::{Explained, Origin};
use schema::name::{HostName, RoomName};
use serde_json::{Value, json};

use crate::linbo::cause::Cause;
use crate::planning::journal::Attempt;
use crate::planning::ledger::{HostEntry, HostState, RoomEntry, Runs};
use crate::planning::{Action, Gate, Goal, Hold, Ledger, Plan, Step};
use crate::report::hanging;
use crate::report::hosts::{self, Counts};
use crate::report::json::{FORMAT_VERSION, hold as hold_json, step as step_json};
use crate::report::style::{Color, count};
use crate::report::text::{Head, block, opening};
use crate::report::times::RoomTimes;
use crate::report::title::{self, Clock};

mod image;

pub use image::{ImageCase, image, image_json};

/// How many attempts are shown to people; the JSON document holds all that are remembered.
const SHOWN: usize = 6;

/// A host, by its place in the ledger.
#[derive(Debug, Clone, Copy)]
pub struct HostCase<'a> {
    /// Its name.
    pub host: &'a HostName,
    /// The name of its room.
    pub name: &'a RoomName,
    /// Its room.
    pub room: &'a RoomEntry<'a>,
    /// What is known of it.
    pub entry: &'a HostEntry<'a>,
}

impl<'a> HostCase<'a> {
    /// A host of the ledger; none when no room has it.
    #[must_use]
    pub fn of(ledger: &'a Ledger<'_>, host: &'a HostName) -> Option<Self> {
        let (name, room, entry) = ledger.host(host)?;
        Some(Self {
            host,
            name,
            room,
            entry,
        })
    }

    /// What of a plan concerns it.
    fn concern(&self, plan: &'a Plan) -> Concern<'a> {
        let mut concern = Concern::of(plan, self.name, self.room);
        let host = self.host;
        concern.steps.retain(|step| match &step.action {
            Action::ResetRoom { hosts, .. } => hosts.iter().any(|wake| wake.host == *host),
            _ => true,
        });
        let names = |hosts: &[HostName]| hosts.contains(host);
        let tells = |hosts: &[(HostName, String)]| hosts.iter().any(|(name, _)| name == host);
        concern.holds.retain(|hold| match &hold.gate {
            Gate::HostsBusy(hosts) | Gate::Retry(hosts) | Gate::InUse(hosts) => names(hosts),
            Gate::HostsHang(hosts) => hosts.iter().any(|(name, _)| name == host),
            Gate::GaveUp { hosts }
            | Gate::Stalled { hosts }
            | Gate::Missed { hosts, .. }
            | Gate::NotReset(hosts) => tells(hosts),
            Gate::Unseen(cause) => !self.is_of_another(cause),
            _ => true,
        });
        // What the room waits for, a host that was put back does not.
        if self.entry.is_fresh {
            concern.steps.clear();
            concern.holds.clear();
        }
        concern
    }
}

impl HostCase<'_> {
    /// Whether what could not be seen is the report of another host alone.
    fn is_of_another(&self, cause: &str) -> bool {
        let mut unseen = self.room.hosts.values().filter_map(|entry| entry.unseen);
        self.entry.unseen != Some(cause) && unseen.any(|other| other == cause)
    }
}

/// What of a plan concerns a room: its own steps and holds, and those of its class and its images.
struct Concern<'a> {
    steps: Vec<&'a Step>,
    holds: Vec<&'a Hold>,
}

impl<'a> Concern<'a> {
    fn of(plan: &'a Plan, name: &RoomName, room: &RoomEntry<'_>) -> Self {
        let groups = || std::iter::once(&room.own).chain(room.tests.values());
        let concerns = |goal: &Goal| match goal {
            Goal::Fresh(wanted, _) | Goal::Room(wanted) => wanted == name,
            Goal::StartConf(class) => groups().any(|group| group.class == class),
            Goal::Downloaded(image, _) | Goal::Staged(image, _) | Goal::Active(image, _) => {
                groups().any(|group| group.images.contains(&image))
            }
            Goal::Seeded(file) => {
                let mut images = groups().flat_map(|group| &group.images);
                images.any(|image| file.is_of(image))
            }
            Goal::Import | Goal::Rows(_) | Goal::Classes(_) => true,
            Goal::Off(_) | Goal::Deleted(..) => false,
        };
        Self {
            steps: plan
                .steps
                .iter()
                .filter(|step| concerns(&Goal::from(&step.action)))
                .collect(),
            holds: plan
                .holds
                .iter()
                .filter(|hold| concerns(&hold.goal))
                .collect(),
        }
    }

    fn text(&self, text: &mut String, nothing: &str, clock: Clock<'_>, color: Color) {
        if self.steps.is_empty() && self.holds.is_empty() {
            _ = writeln!(text, "\n{nothing}");
        }
        let steps = self.steps.iter().map(|step| title::item(step, clock));
        block(text, steps, "would now", color);
        let holds = self.holds.iter().map(|hold| title::held(hold, clock));
        block(text, holds, "", color);
    }

    fn json(&self, clock: Clock<'_>) -> Value {
        let steps = self.steps.iter().map(|step| step_json(step, 0, clock));
        let holds = self.holds.iter().map(|hold| hold_json(hold, clock));
        json!({ "steps": steps.collect::<Vec<_>>(), "holds": holds.collect::<Vec<_>>() })
    }
}

/// A host, for people.
#[must_use]
pub fn host(head: Head<'_>, case: HostCase<'_>, plan: &Plan, color: Color) -> String {
    let HostCase {
        host,
        name,
        room,
        entry,
    } = case;
    let clock = head.clock;
    let mut text = opening(head, color);
    // Writing to a String cannot fail.
    _ = writeln!(
        text,
        "\nhost {host}, room {name}, {}",
        hosts::about(room.group(entry), clock)
    );
    let since = match (entry.state, entry.since) {
        (HostState::Unknown, None) if entry.unseen.is_some() => ": it was never tried".to_owned(),
        (HostState::Unknown, None) => ": it was never tried, and never reported".to_owned(),
        (_, Some(since)) => format!(" since {}", clock.show(since)),
        (_, None) => String::new(),
    };
    let row = match (entry.stalled, entry.failures) {
        (Some(resets), _) => format!(", stalled: left alone after {resets} resets in vain"),
        (None, 0 | 1) => String::new(),
        (None, failures) => format!(", failed {failures} times in a row"),
    };
    line(
        &mut text,
        "state",
        &format!("{}{since}{row}", hosts::word(entry.state)),
    );
    if entry.cause().is_some() || entry.unheard.is_some() || entry.state == HostState::Failed {
        line(&mut text, "why", &hosts::why(entry, clock));
    }
    if let Some(cause) = entry.cause() {
        line(&mut text, "what to do", cause.advice());
    }
    if let Some(busy) = entry.busy.as_ref().filter(|busy| busy.hangs(clock.now)) {
        line(&mut text, "why", &hosts::why(entry, clock));
        line(&mut text, "what to do", &hanging::advice(host, busy));
    }
    for (image, applied) in &entry.applied {
        let version = hosts::version(applied);
        let at = clock.show(applied.at);
        line(
            &mut text,
            "has",
            &format!("{image} {version} ({}), applied {at}", applied.file),
        );
    }
    let runs = match entry.runs {
        Runs::Wanted => "what is wanted",
        Runs::Other => "not what is wanted",
        Runs::Unknown => "unknown whether what is wanted",
    };
    line(&mut text, "runs", runs);
    if let Some(cause) = entry.unseen {
        line(&mut text, "not seen", cause);
    }
    attempts(&mut text, entry, clock);
    let nothing = match (entry.is_fresh, room.group(entry).next) {
        (true, Some(next)) => format!(
            "It waits for nothing: it was put back since it was due, and is due again {}.",
            clock.show(next)
        ),
        (true, None) => "It waits for nothing: it was put back since it was due.".to_owned(),
        (false, _) => "Nothing is planned for it, and it waits for nothing.".to_owned(),
    };
    case.concern(plan).text(&mut text, &nothing, clock, color);
    text
}

fn line(text: &mut String, title: &str, what: &str) {
    _ = writeln!(text, "  {title:<10}  {what}");
}

fn attempts(text: &mut String, entry: &HostEntry<'_>, clock: Clock<'_>) {
    let all = entry.attempts;
    if all.is_empty() {
        return;
    }
    let shown = all.len().min(SHOWN);
    let more = match all.len() - shown {
        0 => String::new(),
        more => format!(" ({} before them)", count(more, "attempt", "attempts")),
    };
    _ = writeln!(text, "\nAttempts, the last first{more}:");
    for attempt in all.iter().rev().take(shown) {
        let Attempt {
            at, outcome, step, ..
        } = attempt;
        let due = step
            .reset()
            .map(|(room, due)| format!(" (room {room}, due {})", clock.show(due)));
        _ = writeln!(
            text,
            "  {}  {outcome}{}",
            clock.show(*at),
            due.unwrap_or_default()
        );
        for raw in outcome.evidence() {
            _ = writeln!(text, "      {raw}");
        }
    }
}

/// A host as one JSON document.
#[must_use]
pub fn host_json(head: Head<'_>, case: HostCase<'_>, plan: &Plan) -> Value {
    let mut document = document(head);
    let mut entry = hosts::host_json(case.host, case.entry);
    let attempts = case.entry.attempts.iter().map(|attempt| {
        let cause = Cause::of(&attempt.outcome);
        let mut value = hosts::attempt_json(attempt);
        value["cause"] = json!(cause);
        value["meaning"] = json!(cause.map(Cause::meaning));
        value
    });
    entry["attempts"] = attempts.collect();
    document["room"] = hosts::room_json(case.name, case.room);
    document["host"] = entry;
    document["plan"] = case.concern(plan).json(head.clock);
    document
}

/// A room, with what is known of it.
#[derive(Debug)]
pub struct RoomCase<'a> {
    /// Its name.
    pub name: &'a RoomName,
    /// Its place in the ledger.
    pub entry: &'a RoomEntry<'a>,
    /// Its settings, with where they are written.
    pub settings: &'a [Explained],
    /// When it is reset next.
    pub times: RoomTimes,
}

/// A room, for people.
#[must_use]
pub fn room(head: Head<'_>, case: &RoomCase<'_>, plan: &Plan, color: Color) -> String {
    let RoomCase {
        name,
        entry: room,
        settings,
        times,
    } = case;
    let clock = head.clock;
    let mut text = opening(head, color);
    _ = writeln!(text, "\nroom {name}, {}", hosts::about(&room.own, clock));
    _ = writeln!(text, "  {}", Counts::of_hosts(room.hosts.values()).line());
    let odd: Vec<_> = room
        .hosts
        .iter()
        .filter(|(_, entry)| entry.state != HostState::Applied || entry.runs != Runs::Wanted)
        .collect();
    if !odd.is_empty() {
        text.push('\n');
        hosts::table(&mut text, odd.into_iter(), room, clock, color);
    }
    let nothing = "Nothing is planned for it, and it waits for nothing.";
    Concern::of(plan, name, room).text(&mut text, nothing, clock, color);
    times.text(&mut text, clock);
    if !settings.is_empty() {
        text.push_str("\nSettings, each with where it is written:\n");
    }
    for Explained {
        setting,
        value,
        origin,
    } in *settings
    {
        _ = writeln!(text, "  {setting:<24}  {value:<40}  {origin}");
    }
    text
}

/// A room as one JSON document.
#[must_use]
pub fn room_json(head: Head<'_>, case: &RoomCase<'_>, plan: &Plan) -> Value {
    let RoomCase {
        name,
        entry: room,
        settings,
        times,
    } = case;
    let mut document = document(head);
    let hosts = room
        .hosts
        .iter()
        .map(|(host, entry)| hosts::host_json(host, entry));
    let mut value = hosts::room_json(name, room);
    value["counts"] = json!(Counts::of_hosts(room.hosts.values()));
    value["hosts"] = hosts.collect();
    document["room"] = value;
    document["plan"] = Concern::of(plan, name, room).json(head.clock);
    document["times"] = times.json(head.clock);
    let settings = settings.iter().map(|of| {
        let (file, line) = match &of.origin {
            Origin::Written { file, line } => (Some(file), Some(line)),
            Origin::Default => (None, None),
        };
        json!({ "setting": of.setting.key(), "value": of.value, "file": file, "line": line })
    });
    document["settings"] = settings.collect();
    document
}

fn document(head: Head<'_>) -> Value {
    json!({
        "format_version": FORMAT_VERSION,
        "server": head.server,
        "at": head.clock.now,
        "commit": head.commit,
        "problems": head.problems,
        "unseen": head.blind,
        "suspended": head.suspended,
    })
}
