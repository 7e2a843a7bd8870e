//! When a host is to be tried, by what is known of it since its reset was due.

use jiff::{SignedDuration, Timestamp};
use schema::fleet::Retries;
use schema::name::{HostName, RoomName};
use schema::policy::InUse;

use crate::linbo::status::{HostReport, ImageEvent};
use crate::linbo::verdict::HostOutcome;
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::gates::SKEW;
use crate::planning::journal::Attempt;
use crate::planning::observed::{Observed, Probe};
use crate::planning::orders::Subject;

/// Tries of a host that did not answer, or whose outcome is not known, for each occurrence.
const TRIES_SILENT: usize = 2;
/// The longest wait between two tries.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(2);

/// When a host is to be tried.
pub(super) enum Try {
    NotNeeded,
    Now,
    Later(Timestamp),
    /// Somebody works at it; when to ask again, if at all.
    InUse(Option<Timestamp>),
    No(String),
    /// It failed at too many occurrences in a row.
    Stalled(String),
    /// It may have been put back by others.
    Unseen(String),
}

/// What the hosts of one room are judged by.
pub(super) struct Judge<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    class: &'a DesiredClass,
    in_use: InUse,
    /// When somebody last said that the troubles of the room or of everything are resolved.
    resolved: Option<Timestamp>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        room: &RoomName,
        class: &'a DesiredClass,
        in_use: InUse,
    ) -> Self {
        let resolved = observed.orders.seen().and_then(|orders| {
            let of_room = orders.resumed(&Subject::Room(room.clone()));
            of_room.max(orders.resumed(&Subject::Server))
        });
        Self {
            desired,
            observed,
            class,
            in_use,
            resolved,
        }
    }

    /// When a host is to be tried whose reset is due since then.
    pub(super) fn next_try(&self, host: &HostName, due: Timestamp) -> Try {
        // What a clock that was put back left in the future says nothing about now.
        let believed = self.observed.at + SKEW;
        let resolved = self.resolved(host);
        let (mut tries, mut failed, mut last) = (0, false, None);
        let attempts = self.observed.journal.attempts(host).iter();
        for attempt in attempts.filter(|attempt| attempt.at >= due && attempt.at <= believed) {
            last = Some(attempt);
            match attempt.outcome {
                HostOutcome::Applied { .. } => return Try::NotNeeded,
                // Looking whether somebody still works at it is no try.
                HostOutcome::InUse { .. } => continue,
                HostOutcome::Failed { .. } => failed |= resolved.is_none_or(|at| attempt.at > at),
                HostOutcome::Unreachable { .. } | HostOutcome::Unknown { .. } => {}
            }
            if resolved.is_none_or(|at| attempt.at > at) {
                tries += 1;
            }
        }
        let report = match self.observed.reports.get(host) {
            Some(Probe::Seen(report)) => report.as_ref(),
            Some(Probe::Unseen(cause)) => return Try::Unseen(cause.clone()),
            None => return Try::Unseen(format!("the status of host {host} was not looked at")),
        };
        let reported = report.and_then(|report| self.reported(report));
        if reported.is_some_and(|at| {
            at >= due && at <= believed && last.is_none_or(|judged| at > judged.at)
        }) {
            return Try::NotNeeded;
        }
        if let Some(why) = self.stalled(host, due, reported) {
            return Try::Stalled(why);
        }
        let Some(last) = last.filter(|last| resolved.is_none_or(|at| last.at > at)) else {
            return Try::Now;
        };
        let Retries {
            tries: most, wait, ..
        } = self.desired.retries;
        let wait = wait.to_duration();
        if matches!(last.outcome, HostOutcome::InUse { .. }) {
            return match self.in_use {
                InUse::Skip => Try::InUse(None),
                InUse::Wait | InUse::ForceAfter(_) => {
                    self.at(last.at + wait, |at| Try::InUse(Some(at)))
                }
            };
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        if tries >= if failed { most } else { TRIES_SILENT.min(most) } {
            return Try::No(last.outcome.to_string());
        }
        let doubled = i32::try_from(tries.saturating_sub(1)).map_or(0, |more| 1 << more.min(10));
        let wait = wait
            .saturating_mul(doubled.max(1))
            .min(LONGEST_WAIT.max(wait));
        self.at(last.at + wait, Try::Later)
    }

    fn at(&self, next: Timestamp, later: impl Fn(Timestamp) -> Try) -> Try {
        if next <= self.observed.at {
            Try::Now
        } else {
            later(next)
        }
    }

    /// When the troubles of a host were last declared to be resolved.
    fn resolved(&self, host: &HostName) -> Option<Timestamp> {
        let orders = self.observed.orders.seen();
        let of_host = orders.and_then(|orders| orders.resumed(&Subject::Host(host.clone())));
        self.resolved.max(of_host)
    }

    /// What a host failed with last, if it did so at too many occurrences in a row before this one. A host that was
    /// in use or that put itself back in between begins anew; what it said of a try that was judged says no more
    /// than the judgement.
    pub(super) fn stalled(
        &self,
        host: &HostName,
        due: Timestamp,
        reported: Option<Timestamp>,
    ) -> Option<String> {
        let attempts = self.observed.journal.attempts(host);
        let is_of = |report: Timestamp, attempt: &Attempt| {
            let due = attempt.step.reset().map(|(_, due)| due);
            due.is_some_and(|due| due <= report) && report <= attempt.at
        };
        let by_itself =
            reported.filter(|report| !attempts.iter().any(|attempt| is_of(*report, attempt)));
        let begin = self.resolved(host).max(by_itself);
        let before = attempts
            .iter()
            .rev()
            .filter(|attempt| attempt.at < due)
            .take_while(|attempt| {
                let is_good = matches!(
                    attempt.outcome,
                    HostOutcome::Applied { .. } | HostOutcome::InUse { .. }
                );
                !is_good && begin.is_none_or(|begin| attempt.at > begin)
            });
        let (mut occurrences, mut last): (u32, Option<&Attempt>) = (0, None);
        let mut step = None;
        for attempt in before {
            if step != Some(&attempt.step) {
                occurrences += 1;
                step = Some(&attempt.step);
            }
            last = last.or(Some(attempt));
        }
        let most = self.desired.retries.stalled_after.max(1);
        last.filter(|_| occurrences >= most)
            .map(|last| last.outcome.to_string())
    }

    /// When a host last said that it applied one of the images of its class.
    pub(super) fn reported(&self, report: &HostReport) -> Option<Timestamp> {
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
