//! How hosts stand, in short.

use jiff::{SignedDuration, Timestamp};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Busy, Occupant};

use super::name;

/// A host that was put back to `file`.
#[must_use]
pub fn applied(file: &str) -> HostOutcome {
    HostOutcome::applied_one(name(file), Some(name("202611011930")))
}

/// A host that failed.
#[must_use]
pub fn failed(why: &str) -> HostOutcome {
    HostOutcome::Failed {
        why: why.to_owned(),
        evidence: vec![format!("LINBO: {why}")],
        restored: Vec::new(),
    }
}

/// A host that a session of `linbo-remote` has, on a server where no command may last longer than two hours.
#[must_use]
pub fn busy(since: Timestamp) -> Busy {
    Busy {
        by: Occupant::Session,
        since,
        until: since + SignedDuration::from_hours(2),
    }
}

/// A host that did not answer.
#[must_use]
pub fn unreachable() -> HostOutcome {
    HostOutcome::Unreachable {
        why: "no answer for 300 s after its magic packet".to_owned(),
    }
}
