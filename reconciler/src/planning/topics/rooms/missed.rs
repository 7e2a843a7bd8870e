//! Occurrences of a reset for which no time is left: no window opens before the next one is due.
//!
//! # Invariants
//!
//! That is no failure of anything that was done: a host that failed is none of these. It is said of hosts alone that
//! were looked after before, under a commit that was in force in time, so that nothing counts as missed that nobody
//! asked for when it was due.

use jiff::Timestamp;
use schema::name::HostName;

use super::RoomReset;
use crate::linbo::verdict::HostOutcome;
use crate::planning::gates::SKEW;
use crate::planning::orders::Subject;
use crate::planning::suspension;

impl RoomReset<'_> {
    /// When to look again, if no time is left for the latest occurrence and nobody wanted that.
    pub(super) fn no_time_left(&self) -> Option<Timestamp> {
        let (desired, observed, place) = (self.desired, self.observed, self.place);
        let windows = place.cohort.room.windows.reset(&desired.windows);
        let next = self.next_due()?;
        if windows.is_open(observed.at, &desired.zone) {
            return None;
        }
        let opening = windows.next_opening(observed.at, &desired.zone);
        if opening.is_some_and(|opening| opening.closes <= next) {
            return None;
        }
        let day = place.due.to_zoned(desired.zone.clone()).date();
        let mut exams = desired.exams.iter();
        let room = Subject::Room(place.cohort.name.clone());
        let is_wanted = !exams.any(|exam| exam.holds(place.cohort.name, day))
            && suspension::check(desired, observed, &room).is_ok();
        let in_force = observed.journal.commit_since();
        let in_time = in_force.is_none_or(|since| since < self.window_closed());
        (is_wanted && in_time).then(|| opening.map_or(next, |opening| opening.opens))
    }

    /// When the first window for the latest occurrence closed.
    fn window_closed(&self) -> Timestamp {
        let (desired, due) = (self.desired, self.place.due);
        let windows = self.place.cohort.room.windows.reset(&desired.windows);
        let opening = windows
            .opening_at(due, &desired.zone)
            .or_else(|| windows.next_opening(due, &desired.zone));
        opening.map_or(due, |opening| opening.closes)
    }

    /// Why a host was not put back in time, as far as the journal tells; none when that is no case of this.
    pub(super) fn why_missed(&self, host: &HostName) -> Option<String> {
        let due = self.place.due;
        let journal = &self.observed.journal;
        let believed = self.observed.at + SKEW;
        let attempts = journal.host(host).attempts().iter();
        let (before, since): (Vec<_>, Vec<_>) = attempts
            .filter(|attempt| attempt.at <= believed)
            .partition(|attempt| attempt.at < due);
        // What it had another class for was another class's affair.
        let judge = self.place.judge(self.desired, self.observed);
        let is_other = since
            .iter()
            .any(|attempt| !judge.is_of_class(&attempt.outcome));
        if before.is_empty() || is_other {
            return None;
        }
        match since.last() {
            Some(last) if matches!(last.outcome, HostOutcome::Failed { .. }) => None,
            Some(last) => Some(last.outcome.to_string()),
            None => {
                let slept = journal
                    .silence()
                    .is_some_and(|(from, to)| from <= due && to >= self.window_closed());
                let why = if slept {
                    "no pass ran in that time"
                } else {
                    "nothing was begun in that time"
                };
                Some(why.to_owned())
            }
        }
    }
}
