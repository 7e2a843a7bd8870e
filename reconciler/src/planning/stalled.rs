//! Hosts that are left alone after too many resets in vain, until somebody has resolved it.

use jiff::Timestamp;
use schema::name::{HostName, RoomName};

use crate::linbo::status::{HostReport, ImageEvent};
use crate::linbo::verdict::HostOutcome;
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::journal::Attempt;
use crate::planning::observed::Observed;
use crate::planning::orders::Subject;

/// A host that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled<'a> {
    /// How many resets in a row were in vain, each with all its tries.
    pub resets: u32,
    /// The last try.
    pub last: &'a Attempt,
}

impl<'a> Stalled<'a> {
    /// Whether a host is left alone, whose reset is due since then. One that was in use or that put itself back in
    /// between begins anew; what it said of a try that was judged says no more than the judgement.
    #[must_use]
    pub fn of(
        desired: &Desired,
        observed: &'a Observed,
        host: &HostName,
        due: Timestamp,
        resolved: Option<Timestamp>,
        reported: Option<Timestamp>,
    ) -> Option<Self> {
        let attempts = observed.journal.host(host).attempts();
        let is_of = |report: Timestamp, attempt: &Attempt| {
            let due = || attempt.step.reset().map(|(_, due)| due);
            report <= attempt.at && due().is_some_and(|due| due <= report)
        };
        let by_itself =
            reported.filter(|report| !attempts.iter().any(|attempt| is_of(*report, attempt)));
        let begin = resolved.max(by_itself);
        let before = attempts
            .iter()
            .rev()
            .filter(|attempt| attempt.at < due)
            .take_while(|attempt| {
                let is_good = matches!(
                    attempt.outcome,
                    HostOutcome::Applied { .. } | HostOutcome::InUse { .. }
                );
                !is_good && attempt.is_after(begin)
            });
        let (mut resets, mut last): (u32, Option<&Attempt>) = (0, None);
        let mut step = None;
        for attempt in before {
            if step != Some(&attempt.step) {
                resets += 1;
                step = Some(&attempt.step);
            }
            last = last.or(Some(attempt));
        }
        let most = desired.retries.stalled_after.max(1);
        last.filter(|_| resets >= most)
            .map(|last| Self { resets, last })
    }
}

/// When the troubles of a host were last declared to be resolved: its own, those of its room, or all.
#[must_use]
pub fn resolved(observed: &Observed, room: &RoomName, host: &HostName) -> Option<Timestamp> {
    let orders = observed.orders.seen()?;
    let of_host = orders.resumed(&Subject::Host(host.clone()));
    let of_room = orders.resumed(&Subject::Room(room.clone()));
    of_host.max(of_room).max(orders.resumed(&Subject::Server))
}

/// When a host last said that it applied one of the images of its class.
#[must_use]
pub fn reported(desired: &Desired, class: &DesiredClass, report: &HostReport) -> Option<Timestamp> {
    let HostReport {
        at, event, file, ..
    } = report;
    let is_ours = class.os.iter().any(|os| file.is_of(&os.image));
    if *event != ImageEvent::Applied || !is_ours {
        return None;
    }
    at.to_zoned(desired.zone.clone())
        .ok()
        .map(|zoned| zoned.timestamp())
}
