//! What people want to be left alone: by the state repo, or by an order given on the server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::fleet::{Fleet, School, Suspension};
use schema::name::ImageName;

use crate::planning::desired::Desired;
use crate::planning::gates::{Closed, Gate};
use crate::planning::observed::{Observed, Probe};
use crate::planning::orders::Subject;

/// The suspensions of the state repo that concern a whole server or an image; rooms have theirs with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suspensions {
    /// Of the fleet or the school, by what people call it.
    pub all: Vec<(String, Suspension)>,
    /// Of images.
    pub images: BTreeMap<ImageName, Suspension>,
}

impl Suspensions {
    /// Those that concern a school.
    #[must_use]
    pub fn of(fleet: &Fleet, name: &str, school: &School) -> Self {
        let named = |what: String, of: &Option<Suspension>| Some((what, of.clone()?));
        let all = [
            named(format!("fleet {}", fleet.name), &fleet.suspended),
            named(format!("school {name}"), &school.suspended),
        ];
        let images = fleet.images.iter();
        Self {
            all: all.into_iter().flatten().collect(),
            images: images
                .filter_map(|(image, of)| Some((image.clone(), of.suspended.clone()?)))
                .collect(),
        }
    }
}

/// Whether people let something be touched now: `what` itself, and the whole server.
///
/// # Errors
///
/// The suspension, or that the orders on the server could not be seen.
pub fn check(desired: &Desired, observed: &Observed, what: &Subject) -> Result<(), Closed> {
    check_at(desired, observed, what, observed.at)
}

/// The same at any time, by what is known now.
///
/// # Errors
///
/// The suspension, or that the orders on the server could not be seen.
pub fn check_at(
    desired: &Desired,
    observed: &Observed,
    what: &Subject,
    at: Timestamp,
) -> Result<(), Closed> {
    let orders = match &observed.orders {
        Probe::Seen(orders) => orders,
        Probe::Unseen(cause) => {
            return Err(Closed {
                gate: Gate::Unseen(cause.clone()),
                wake: None,
            });
        }
    };
    for what in [what, &Subject::Server] {
        if let Some(suspended) = orders.suspension(what, at) {
            let (reason, by) = (suspended.reason.clone(), suspended.by.clone());
            return closed(what.to_string(), reason, by, suspended.until);
        }
    }
    let all = desired.suspended.all.iter();
    let all = all.map(|(what, suspension)| (what.clone(), suspension));
    let own =
        of_state_repo(desired, observed, what).map(|suspension| (what.to_string(), suspension));
    let mut holding = own
        .into_iter()
        .chain(all)
        .filter(|(_, suspension)| suspension.holds(at, &desired.zone));
    match holding.next() {
        None => Ok(()),
        Some((what, Suspension { reason, by, until })) => {
            let until = until.map(|until| until.end(&desired.zone));
            closed(what, reason.to_string(), by.to_string(), until)
        }
    }
}

/// What the state repo says of the thing itself.
fn of_state_repo<'a>(
    desired: &'a Desired,
    observed: &Observed,
    what: &Subject,
) -> Option<&'a Suspension> {
    match what {
        Subject::Server => None,
        Subject::Room(room) => desired.rooms.get(room)?.suspended.as_ref(),
        Subject::Image(image) => desired.suspended.images.get(image),
        Subject::Host(host) => {
            let device = observed.devices.seen()?.get(host)?;
            desired.rooms.get(&device.room)?.suspended_hosts.get(host)
        }
    }
}

fn closed(what: String, reason: String, by: String, wake: Option<Timestamp>) -> Result<(), Closed> {
    let gate = Gate::Suspended {
        what,
        reason,
        by: Some(by),
    };
    Err(Closed { gate, wake })
}
