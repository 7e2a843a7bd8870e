//! When a host is to be tried, by what is known of it since its reset was due.

use jiff::{SignedDuration, Timestamp};
use schema::fleet::Retries;
use schema::name::{FileName, HostName, RoomName};
use schema::policy::InUse;

use crate::linbo::verdict::HostOutcome;
use crate::planning::desired::{Desired, DesiredClass};
use crate::planning::gates::SKEW;
use crate::planning::observed::{Observed, Probe};
use crate::planning::stalled::{self, Stalled};

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
    room: &'a RoomName,
    class: &'a DesiredClass,
    in_use: InUse,
}

impl<'a> Judge<'a> {
    pub(super) const fn new(
        desired: &'a Desired,
        observed: &'a Observed,
        room: &'a RoomName,
        class: &'a DesiredClass,
        in_use: InUse,
    ) -> Self {
        Self {
            desired,
            observed,
            room,
            class,
            in_use,
        }
    }

    /// When a host is to be tried whose reset is due since then.
    pub(super) fn next_try(&self, host: &HostName, due: Timestamp) -> Try {
        // What a clock that was put back left in the future says nothing about now.
        let believed = self.observed.at + SKEW;
        let resolved = self.resolved(host);
        let (mut tries, mut failed, mut last) = (0, false, None);
        let memory = self.observed.journal.host(host);
        let attempts = memory.attempts().iter();
        for attempt in attempts.filter(|attempt| attempt.at >= due && attempt.at <= believed) {
            // What it was put back to while it had another class is none of this one's images.
            if !self.is_of_class(&attempt.outcome) {
                continue;
            }
            last = Some(attempt);
            match attempt.outcome {
                HostOutcome::Applied { .. } => return Try::NotNeeded,
                // Looking whether somebody still works at it is no try.
                HostOutcome::InUse { .. } => continue,
                HostOutcome::Failed { .. } => failed |= attempt.is_after(resolved),
                HostOutcome::Unreachable { .. } | HostOutcome::Unknown { .. } => {}
            }
            if attempt.is_after(resolved) {
                tries += 1;
            }
        }
        let report = match self.observed.reports.get(host) {
            Some(Probe::Seen(report)) => report.as_ref(),
            Some(Probe::Unseen(cause)) => return Try::Unseen(cause.clone()),
            None => return Try::Unseen(format!("the status of host {host} was not looked at")),
        };
        let reported =
            report.and_then(|report| stalled::reported(self.desired, self.class, report));
        let tells = |at| memory.is_told_by(at, believed);
        if reported.is_some_and(|at| {
            at >= due && at <= believed && last.is_none_or(|judged| at > judged.at) && tells(at)
        }) {
            return Try::NotNeeded;
        }
        if let Some(why) = self.stalled(host, due, reported) {
            return Try::Stalled(why);
        }
        let Some(last) = last.filter(|last| last.is_after(resolved)) else {
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

    /// Whether an attempt tells of an image of the class, or of none at all.
    pub(super) fn is_of_class(&self, outcome: &HostOutcome) -> bool {
        let mut applied = outcome.applied().peekable();
        let is_ours = |file: &FileName| {
            let mut systems = self.class.os.iter();
            systems.any(|os| file.is_of(&os.image))
        };
        applied.peek().is_none() || applied.any(|(file, _)| is_ours(file))
    }

    fn at(&self, next: Timestamp, later: impl Fn(Timestamp) -> Try) -> Try {
        if next <= self.observed.at {
            Try::Now
        } else {
            later(next)
        }
    }

    /// What a host failed with last, if it did so at too many occurrences in a row before this one.
    pub(super) fn stalled(
        &self,
        host: &HostName,
        due: Timestamp,
        reported: Option<Timestamp>,
    ) -> Option<String> {
        let resolved = self.resolved(host);
        let stalled = Stalled::of(self.desired, self.observed, host, due, resolved, reported);
        stalled.map(|stalled| stalled.last.outcome.to_string())
    }

    /// When the troubles of a host were last declared to be resolved.
    pub(super) fn resolved(&self, host: &HostName) -> Option<Timestamp> {
        stalled::resolved(self.observed, self.room, host)
    }
}
