//! Hosts whose row in `devices.csv` is to change, and that have to wait.

use schema::name::{HostName, RoomName};

use crate::planning::desired::Desired;
use crate::planning::gates::{Closed, Gate};
use crate::planning::observed::{Busy, Observed};
use crate::planning::orders::Subject;
use crate::planning::plan::{Drafts, Goal};
use crate::planning::suspension;

/// What some hosts wait for.
#[derive(Default)]
pub(super) struct Waiting {
    busy: Vec<(HostName, Busy)>,
    /// What some of them wait for, and how many.
    held: Vec<(Closed, usize)>,
}

impl Waiting {
    /// Whether the row of a host of this room may change now. It is noted here if something works on the host.
    ///
    /// # Errors
    ///
    /// What it has to wait for.
    pub(super) fn admits(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        room: &RoomName,
        host: &HostName,
    ) -> Result<bool, Closed> {
        if let Some(busy) = observed.busy.seen().and_then(|busy| busy.get(host)) {
            self.busy.push((host.clone(), busy.clone()));
            return Ok(false);
        }
        for what in [Subject::Room(room.clone()), Subject::Host(host.clone())] {
            suspension::check(desired, observed, &what)?;
        }
        let closed = |gate| Closed { gate, wake: None };
        if let Some(cause) = observed.busy.cause() {
            return Err(closed(Gate::Unseen(cause.to_owned())));
        }
        let today = desired.day(observed.at);
        let mut exams = desired.exams.iter();
        if exams.any(|exam| exam.holds(room, today)) {
            return Err(closed(Gate::Exam));
        }
        Ok(true)
    }

    /// Notes that a host waits for this.
    pub(super) fn on(&mut self, closed: Closed) {
        match self.held.iter_mut().find(|(known, _)| *known == closed) {
            Some((_, hosts)) => *hosts += 1,
            None => self.held.push((closed, 1)),
        }
    }

    /// Says what all of them wait for.
    pub(super) fn hold(
        self,
        drafts: &mut Drafts<'_>,
        observed: &Observed,
        goal: fn(usize) -> Goal,
    ) {
        for (hosts, Closed { gate, wake }) in Gate::of_busy(&self.busy, observed.at) {
            drafts.hold(goal(hosts), gate, wake);
        }
        for (Closed { gate, wake }, hosts) in self.held {
            drafts.hold(goal(hosts), gate, wake);
        }
    }
}
