//! When a plan can come out otherwise by itself: what it waits for opens, or a schedule has its next time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use schema::fleet::TestReset;

use crate::planning::desired::Desired;
use crate::planning::gates::{Gate, SOON};
use crate::planning::plan::Plan;

/// Nobody tells when somebody else is through.
const OTHERS: SignedDuration = SignedDuration::from_mins(10);
/// What could not be seen is looked at again.
const UNSEEN: SignedDuration = SignedDuration::from_hours(1);

/// The next instant at which a plan that was made at `at` can be another one though nothing happens; none if it stays as
/// it is for ever.
#[must_use]
pub fn wake(plan: &Plan, desired: &Desired, at: Timestamp) -> Option<Timestamp> {
    let holds = plan
        .holds
        .iter()
        .filter_map(|hold| match (&hold.gate, hold.wake) {
            (Gate::Turn, Some(turn)) => Some(turn - SOON),
            (_, Some(wake)) => Some(wake),
            (Gate::Busy(_) | Gate::Uploading(_) | Gate::StartConf(_), None) => Some(at + OTHERS),
            (Gate::Unseen(_), None) => Some(at + UNSEEN),
            _ => None,
        });
    let rooms = desired
        .rooms
        .values()
        .filter_map(|room| room.reset.as_ref());
    let tests = desired.tests(at).filter_map(|(_, test)| match &test.reset {
        TestReset::At(times) => Some(times),
        TestReset::AsRoom | TestReset::Never => None,
    });
    let schedules: BTreeSet<_> = rooms.chain(tests).collect();
    let due = schedules
        .into_iter()
        .filter_map(|schedule| schedule.next(at, &desired.zone, &desired.holidays));
    // With the day after its last one the hosts of a test class are to go back.
    let ends = desired.tests(at).filter_map(|(_, test)| {
        let after = test.until.tomorrow().ok()?;
        Some(after.to_zoned(desired.zone.clone()).ok()?.timestamp())
    });
    holds.chain(due).chain(ends).chain(plan.wake).min()
}
