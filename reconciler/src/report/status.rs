//! How a server stands, kept between passes: what `reconcile status` shows.
//!
//! Three things are kept apart: whether the server is as wanted, whether it works, and what was done
//! last.
//!
//! # Compatibility
//!
//! A minor version only adds keys. A file of another major version, or one that cannot be read, is
//! made anew by the next pass.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::planning::{Gate, in_force};
use crate::report::summary;
use crate::report::summary::Summary;
use crate::report::suspended;
use crate::report::title::{self, Clock};
use crate::report::trouble::Standing;

/// The version of the document.
pub const FORMAT_VERSION: &str = "1.0";

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the document.
    pub format_version: String,
    /// The server.
    pub server: String,
    /// When the pass that wrote it ended.
    pub at: Timestamp,
    /// The zone in which times are shown, by its IANA name.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// The commit that was worked towards.
    pub last_applied_commit: Option<String>,
    /// Whether the server is as wanted, and whether it works.
    pub conditions: Vec<Condition>,
    /// What is wrong, each with its evidence.
    pub troubles: Vec<Told>,
    /// What waits, each with what it waits for.
    pub holds: Vec<Told>,
    /// What is suspended, each in one line.
    #[serde(default)]
    pub suspended: Vec<String>,
    /// What the last pass did, in one line.
    pub last_operation: String,
    /// Its exit code.
    pub exit: u8,
}

/// A line and what stands under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The line.
    pub title: String,
    /// What stands under it.
    pub details: Vec<String>,
}

/// One aspect of how a server stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ConditionKind,
    /// Whether it holds.
    pub status: bool,
    /// Why, in one word of CamelCase.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When `status` last became what it is.
    pub last_transition: Timestamp,
}

/// The aspects of how a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionKind {
    /// The server is as the state repo says, nothing is wanted any more.
    Ready,
    /// Something is wanted and waits, or was begun.
    Reconciling,
    /// Something is wrong that waiting does not mend.
    Stalled,
}

/// How things stand after a pass; `before` is how they stood until now.
#[must_use]
pub fn after(
    server: &str,
    summary: &Summary,
    standing: &Standing,
    exit: u8,
    clock: Clock<'_>,
    before: Option<&Status>,
) -> Status {
    let holds: Vec<_> = summary
        .last
        .iter()
        .flat_map(|(_, plan)| &plan.holds)
        .collect();
    let wanted = holds.len()
        + summary
            .last
            .as_ref()
            .map_or(0, |(_, plan)| plan.steps.len());
    let stalled = !standing.open.is_empty();
    let known = summary.last.is_some();
    let condition = |kind, status: bool, reason: &str, message: String| {
        let same = before.and_then(|before| {
            before
                .conditions
                .iter()
                .find(|old| old.kind == kind && old.status == status)
        });
        let last_transition = same.map_or(clock.now, |old| old.last_transition);
        Condition {
            kind,
            status,
            reason: reason.to_owned(),
            message,
            last_transition,
        }
    };
    let conditions = vec![
        match (known, wanted, stalled) {
            (false, ..) => condition(
                ConditionKind::Ready,
                false,
                "NoState",
                "there is no valid commit to work towards".to_owned(),
            ),
            (true, 0, false) => condition(
                ConditionKind::Ready,
                true,
                "AsWanted",
                "the server is as the state repo says".to_owned(),
            ),
            (true, 0, true) => condition(
                ConditionKind::Ready,
                false,
                "Troubled",
                format!("{} open", standing.open.len()),
            ),
            (true, wanted, _) => condition(
                ConditionKind::Ready,
                false,
                "Waiting",
                format!("{wanted} wanted and waiting"),
            ),
        },
        condition(
            ConditionKind::Reconciling,
            wanted > 0,
            if wanted > 0 { "Waiting" } else { "Idle" },
            format!("{wanted} wanted"),
        ),
        condition(
            ConditionKind::Stalled,
            stalled,
            if stalled { "Troubled" } else { "Working" },
            format!("{} wrong", standing.open.len()),
        ),
    ];
    Status {
        format_version: FORMAT_VERSION.to_owned(),
        server: server.to_owned(),
        at: clock.now,
        time_zone: clock.zone.iana_name().map(str::to_owned),
        last_applied_commit: summary.commit.as_ref().map(|commit| commit.id.clone()),
        conditions,
        troubles: standing
            .open
            .values()
            .map(|trouble| Told {
                title: trouble.title.clone(),
                details: trouble.details.clone(),
            })
            .collect(),
        holds: holds
            .into_iter()
            // What failed, or asks for a decision, stands among the troubles; hosts that are tried again soon need not.
            .filter(|hold| !hold.gate.is_trouble() || matches!(hold.gate, Gate::Retry(_)))
            .map(|hold| title::held(hold, clock))
            .map(|item| Told {
                title: format!("{}: {}", item.object, item.what),
                details: item.notes,
            })
            .collect(),
        suspended: match (&summary.desired, &summary.last) {
            (Some(desired), Some((observed, _))) => in_force(desired, observed)
                .iter()
                .map(|suspension| suspended::line(suspension, clock))
                .collect(),
            _ => Vec::new(),
        },
        last_operation: summary::line(summary, standing),
        exit,
    }
}

impl Status {
    /// The zone in which its times are shown: the school's.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref().map(TimeZone::get);
        named.and_then(Result::ok).unwrap_or(TimeZone::UTC)
    }
}
