//! Troubles: what is wrong and not known to be over. From them come the exit code and the letters.
//!
//! # Invariants
//!
//! A trouble is over only when its opposite was seen: a host that was applied, a goal that is no longer
//! wanted of any plan. A gate that closed in between, or a host that is not tried just now, ends nothing.

use std::collections::BTreeMap;

use schema::name::HostName;

use crate::linbo::cause::Cause;
use crate::linbo::verdict::HostOutcome;
use crate::planning::gates::Change;
use crate::planning::{Gate, Goal, Hold, Observed, Plan, StepResult};
use crate::report::hanging;
use crate::report::summary::Summary;
use crate::report::title::{self, Clock};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Trouble {
    /// In one line.
    pub title: String,
    /// Evidence: commands, last lines of logs.
    pub details: Vec<String>,
    /// Whether nothing more is tried until a person has resolved it: news also where the trouble itself is not.
    #[serde(skip)]
    pub is_left_alone: bool,
    /// What it asks of people.
    pub kind: Kind,
}

/// What is asked of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// To mend what failed.
    Failure,
    /// To decide whether something may be done.
    Decision,
    /// Nothing: to know that a reset could not be caught up.
    Missed,
}

impl Trouble {
    const fn new(title: String, details: Vec<String>) -> Self {
        Self {
            title,
            details,
            is_left_alone: false,
            kind: Kind::Failure,
        }
    }
}

/// How things stand: what is wrong, and of what was told before, what is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// What is wrong, by a key that stays the same while it lasts.
    pub open: BTreeMap<String, Trouble>,
    /// Resets that could not be caught up, by keys that never come again: no failures, and told once.
    pub missed: BTreeMap<String, Trouble>,
    /// What people were told of and is over, by key, with its title.
    pub over: BTreeMap<String, String>,
}

impl Standing {
    /// Whether something of this kind is open.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.open.values().any(|trouble| trouble.kind == kind)
    }
}

/// How things stand at the end of a pass.
#[must_use]
pub fn standing(summary: &Summary, clock: Clock<'_>) -> Standing {
    let mut open = BTreeMap::new();
    for problem in summary.problems.iter().filter(|problem| problem.is_failure) {
        let mut lines = problem.text.lines();
        let title = lines.next().unwrap_or_default().to_owned();
        open.insert(
            format!("repo/{title}"),
            Trouble::new(title, lines.map(str::to_owned).collect()),
        );
    }
    for violation in &summary.violations {
        let title = format!("a fault of reconcile itself, and nothing was begun: {violation}");
        open.insert(
            format!("fault/{}", violation.step),
            Trouble::new(title, Vec::new()),
        );
    }
    if let Some(error) = &summary.journal {
        let title = format!("the journal cannot be written, and nothing was begun: {error:#}");
        open.insert("journal".to_owned(), Trouble::new(title, Vec::new()));
    }
    let Some((observed, plan)) = &summary.last else {
        return Standing {
            open,
            ..Standing::default()
        };
    };
    for cause in observed.blind_spots() {
        open.extend([unseen(&cause)]);
    }
    for hold in &plan.holds {
        if let Some((key, trouble)) = of_hold(hold, summary, clock) {
            open.insert(key, trouble);
        }
    }
    open.extend(decisions(plan, clock));
    for host in observed.reports.keys() {
        if let Some(trouble) = of_host(host, observed, plan) {
            open.insert(host_key(host), trouble);
        }
    }
    open.extend(hanging(observed, clock));
    let over = observed
        .journal
        .told()
        .iter()
        .filter(|(key, _)| !open.contains_key(*key) && is_over(key, observed, plan));
    let over = over
        .map(|(key, title)| (key.clone(), title.clone()))
        .collect();
    let missed = missed(plan, &open, clock);
    Standing { open, missed, over }
}

/// The beginning of the keys of resets of a room that could not be caught up.
pub(super) const MISSED: &str = "missed/";

/// The beginning of the keys of hosts that something keeps busy for longer than it may.
const HANGS: &str = "hangs/";

/// Resets that could not be caught up. What is told of a host itself is not told again.
fn missed(
    plan: &Plan,
    open: &BTreeMap<String, Trouble>,
    clock: Clock<'_>,
) -> BTreeMap<String, Trouble> {
    let missed = plan.holds.iter().filter_map(|hold| {
        let (Gate::Missed { due, hosts }, Goal::Fresh(room, _)) = (&hold.gate, &hold.goal) else {
            return None;
        };
        let mut hosts = hosts.clone();
        hosts.retain(|(host, _)| !open.contains_key(&host_key(host)));
        let rest = Hold {
            goal: Goal::Fresh(room.clone(), hosts.len()),
            gate: Gate::Missed {
                due: *due,
                hosts: hosts.clone(),
            },
            wake: hold.wake,
        };
        let item = title::held(&rest, clock);
        let title = format!("{}: {}", item.object, item.what);
        let trouble = Trouble {
            kind: Kind::Missed,
            ..Trouble::new(title, item.notes)
        };
        (!hosts.is_empty()).then(|| (format!("{MISSED}{room}/{due}"), trouble))
    });
    missed.collect()
}

/// The key of what is wrong with a host.
pub(super) fn host_key(host: &HostName) -> String {
    format!("host/{host}")
}

fn unseen(cause: &str) -> (String, Trouble) {
    (
        format!("unseen/{cause}"),
        Trouble::new(format!("not seen: {cause}"), Vec::new()),
    )
}

fn goal_key(goal: &Goal) -> String {
    match goal {
        Goal::StartConf(class) => format!("goal/start-conf/{class}"),
        Goal::Import => "goal/import".to_owned(),
        Goal::Rows(_) => "goal/rows".to_owned(),
        Goal::Classes(_) => "goal/classes".to_owned(),
        Goal::Downloaded(image, _) => format!("goal/download/{image}"),
        Goal::Staged(image, _) => format!("goal/stage/{image}"),
        Goal::Active(image, _) => format!("goal/activate/{image}"),
        Goal::Deleted(image, version) => format!("goal/delete/{image}/{version}"),
        Goal::Seeded(file) => format!("goal/seed/{file}"),
        Goal::Off(_) => "goal/switch-off".to_owned(),
        Goal::Fresh(room, _) | Goal::Room(room) => format!("goal/reset/{room}"),
    }
}

fn of_hold(hold: &Hold, summary: &Summary, clock: Clock<'_>) -> Option<(String, Trouble)> {
    // Hosts speak for themselves.
    if !hold.gate.is_failure()
        || matches!(
            hold.gate,
            Gate::GaveUp { .. } | Gate::Stalled { .. } | Gate::Retry(_) | Gate::HostsHang(_)
        )
    {
        return None;
    }
    if let Gate::Unseen(cause) = &hold.gate {
        return Some(unseen(cause));
    }
    if let Gate::RolloutStopped { image, .. } = &hold.gate {
        let title = title::held(hold, clock).notes.join(" ");
        let desired = summary.desired.as_ref();
        let is_released =
            desired.is_some_and(|desired| desired.others.keys().any(|(other, _)| other == image));
        let back =
            format!("`reconcile rollback {image} --reason TEXT` brings the version before back");
        let details = is_released.then_some(back).into_iter().collect();
        return Some((format!("rollout/{image}"), Trouble::new(title, details)));
    }
    let item = title::held(hold, clock);
    let mut details = item.notes;
    let last = summary
        .finished
        .iter()
        .rev()
        .find(|(step, _)| goal_key(&Goal::from(&step.action)) == goal_key(&hold.goal));
    if let Some((_, StepResult::Failed { evidence, .. })) = last {
        details.extend(evidence.iter().cloned());
    }
    // Holds that need a person say so themselves.
    let cannot = if matches!(hold.gate, Gate::Backoff { .. }) {
        "cannot "
    } else {
        ""
    };
    let title = format!("{}: {cannot}{}", item.object, item.what);
    Some((goal_key(&hold.goal), Trouble::new(title, details)))
}

/// What keeps hosts busy for longer than it may, whether or not anything waits for them just now: found when it is in
/// the way, it costs an evening.
fn hanging(observed: &Observed, clock: Clock<'_>) -> BTreeMap<String, Trouble> {
    let busy = observed.busy.seen().into_iter().flatten();
    let hang = busy.filter(|(_, busy)| busy.hangs(observed.at));
    let each = hang.map(|(host, busy)| {
        let title = format!("host {host} {}", hanging::what(busy, clock));
        let details = vec![
            format!("what to do: {}", hanging::advice(host, busy)),
            "until it ends the host is not reset, and no image that it may be reading is exchanged"
                .to_owned(),
        ];
        (format!("{HANGS}{host}"), Trouble::new(title, details))
    });
    each.collect()
}

/// What the guard against mass changes holds, each change once with all that waits for it.
fn decisions(plan: &Plan, clock: Clock<'_>) -> BTreeMap<String, Trouble> {
    let mut open: BTreeMap<String, Trouble> = BTreeMap::new();
    for hold in &plan.holds {
        let Gate::Guard { change, .. } = &hold.gate else {
            continue;
        };
        let item = title::held(hold, clock);
        let trouble =
            open.entry(guard_key(change))
                .or_insert_with(|| match item.notes.as_slice() {
                    [what, sum, rest @ ..] => Trouble {
                        kind: Kind::Decision,
                        ..Trouble::new(format!("{what}: {sum}"), rest.to_vec())
                    },
                    notes => Trouble {
                        kind: Kind::Decision,
                        ..Trouble::new(notes.join(": "), Vec::new())
                    },
                });
        let line = format!("{}: {}", item.object, item.what);
        trouble.details.push(line);
    }
    open
}

fn guard_key(change: &Change) -> String {
    match change {
        Change::ImageTaken(image) => format!("guard/taken/{image}"),
        Change::Version(image) => format!("guard/version/{image}"),
        Change::Disk(class) => format!("guard/disk/{class}"),
    }
}

fn of_host(host: &HostName, observed: &Observed, plan: &Plan) -> Option<Trouble> {
    let last = observed.journal.host(host).attempts().last()?;
    let room = observed
        .devices
        .seen()
        .and_then(|devices| devices.get(host))
        .map(|device| format!(" in room {}", device.room));
    let room = room.unwrap_or_default();
    let is_among = |hosts: &[(HostName, String)]| hosts.iter().any(|(held, _)| held == host);
    let gates = || plan.holds.iter().map(|hold| &hold.gate);
    let is_left_alone =
        gates().any(|gate| matches!(gate, Gate::Stalled { hosts } if is_among(hosts)));
    let gave_up = || {
        is_left_alone
            || gates().any(|gate| matches!(gate, Gate::GaveUp { hosts } if is_among(hosts)))
    };
    let trouble = || {
        let advice =
            Cause::of(&last.outcome).map(|cause| format!("what to do: {}", cause.advice()));
        let resume = is_left_alone
            .then(|| format!("nothing more is tried until `reconcile resume host {host}`"));
        let stands = if is_left_alone {
            " is left alone after too many resets in vain:"
        } else {
            ""
        };
        Some(Trouble {
            title: format!("host {host}{room}{stands} {}", last.outcome),
            details: last
                .outcome
                .evidence()
                .iter()
                .cloned()
                .chain(advice)
                .chain(resume)
                .collect(),
            is_left_alone,
            kind: Kind::Failure,
        })
    };
    match &last.outcome {
        HostOutcome::Applied { .. } => None,
        HostOutcome::Failed { .. } => trouble(),
        // A host that is off now and then is no news until all tries were in vain.
        HostOutcome::InUse { .. }
        | HostOutcome::Unreachable { .. }
        | HostOutcome::Unknown { .. } => {
            let told = observed.journal.told().contains_key(&host_key(host));
            (told || gave_up()).then(trouble).flatten()
        }
    }
}

fn is_over(key: &str, observed: &Observed, plan: &Plan) -> bool {
    let Some((kind, name)) = key.split_once('/') else {
        return true;
    };
    match kind {
        "host" => name.parse().is_ok_and(|host: HostName| {
            let applied = observed.journal.host(&host).attempts().last();
            // A host that left its room is nobody's trouble any more.
            let left = observed.devices.seen().is_some() && !observed.reports.contains_key(&host);
            left || applied.is_some_and(|last| matches!(last.outcome, HostOutcome::Applied { .. }))
        }),
        "rollout" => !plan.holds.iter().any(|hold| match &hold.gate {
            Gate::RolloutStopped { image, .. } => image.as_str() == name,
            _ => false,
        }),
        // Where sessions cannot be seen, it may still be there.
        "hangs" => observed.busy.seen().is_some(),
        // It stays as it was; the next one of its room takes its place.
        "missed" => false,
        // A decision is made once all can be seen and nothing of it is held any more.
        "guard" => {
            observed.blind_spots().is_empty()
                && !plan.holds.iter().any(|hold| match &hold.gate {
                    Gate::Guard { change, .. } => guard_key(change) == key,
                    _ => false,
                })
        }
        "goal" => {
            let running = observed.running.iter().map(|running| &*running.step);
            let steps = running
                .chain(&plan.steps)
                .map(|step| goal_key(&Goal::from(&step.action)));
            let holds = plan.holds.iter().map(|hold| goal_key(&hold.goal));
            !steps
                .chain(holds)
                .any(|wanted| wanted == key || comes_before(&wanted, key))
        }
        _ => true,
    }
}

/// Whether a goal stands between now and another one, which is therefore not planned yet.
fn comes_before(wanted: &str, key: &str) -> bool {
    let image = |key: &str| {
        let (kind, name) = key.strip_prefix("goal/")?.split_once('/')?;
        let stage = ["download", "activate", "seed"]
            .iter()
            .position(|known| *known == kind)?;
        Some((stage, name.split('.').next()?.to_owned()))
    };
    match (image(wanted), image(key)) {
        (Some((earlier, wanted)), Some((later, image))) => wanted == image && earlier < later,
        _ => key == "goal/import" && wanted.starts_with("goal/start-conf/"),
    }
}
