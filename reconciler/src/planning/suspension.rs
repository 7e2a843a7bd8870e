//! What people want to be left alone: by the state repo, or by an order given on the server.
//!
//! What is suspended is shown whether anything waits for it or not: [`in_force`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::fleet::{Fleet, School, Suspension};
use schema::name::ImageName;
use serde::Serialize;

use crate::planning::desired::Desired;
use crate::planning::gates::{Closed, Gate};
use crate::planning::observed::{Observed, Probe};
use crate::planning::orders::{RolledBack, Subject};

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

/// A suspension that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// What is suspended: `room r101`.
    pub what: String,
    /// Why, in the words of who wanted it.
    pub reason: String,
    /// Who wanted it.
    pub by: String,
    /// Since when; the state repo does not say.
    pub since: Option<Timestamp>,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// What ends it.
    pub end: End,
}

/// What ends a suspension, if its time does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// This command, on the server.
    Command(String),
    /// A commit that takes it out of this file of the state repo.
    File(String),
}

impl InForce {
    /// What tells it from all others, as long as it holds.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { what, reason, .. } = self;
        match self.since {
            Some(since) => format!("order/{what}/{since}"),
            None => format!("repo/{what}/{reason}"),
        }
    }
}

/// All suspensions in force, as far as they could be seen: those of the state repo from the fleet down to hosts, then
/// those ordered on the server.
#[must_use]
pub fn in_force(desired: &Desired, observed: &Observed) -> Vec<InForce> {
    let Desired {
        server, suspended, ..
    } = desired;
    let mut all: Vec<(String, &Suspension, String)> = Vec::new();
    for (what, suspension) in &suspended.all {
        let file = if what.starts_with("fleet ") {
            "fleet.yaml".to_owned()
        } else {
            format!("schools/{server}/school.yaml")
        };
        all.push((what.clone(), suspension, file));
    }
    for (image, suspension) in &suspended.images {
        let file = format!("images/{image}.yaml");
        all.push((Subject::Image(image.clone()).to_string(), suspension, file));
    }
    for (name, room) in &desired.rooms {
        let file = format!("schools/{server}/rooms/{name}.yaml");
        let own = room.suspended.iter();
        let own = own.map(|suspension| (Subject::Room(name.clone()), suspension));
        let hosts = room.suspended_hosts.iter();
        let hosts = hosts.map(|(host, suspension)| (Subject::Host(host.clone()), suspension));
        let of_room = own.chain(hosts);
        all.extend(of_room.map(|(what, of)| (what.to_string(), of, file.clone())));
    }
    all.retain(|(_, suspension, _)| suspension.holds(observed.at, &desired.zone));
    let written = all.into_iter().map(|(what, suspension, file)| InForce {
        what,
        reason: suspension.reason.to_string(),
        by: suspension.by.to_string(),
        since: None,
        until: suspension.until.map(|until| until.end(&desired.zone)),
        end: End::File(file),
    });
    let orders = observed.orders.seen().into_iter();
    let ordered = orders.flat_map(|orders| orders.suspensions(observed.at));
    let ordered = ordered.map(|(what, suspended)| InForce {
        what: what.to_string(),
        reason: suspended.reason.clone(),
        by: suspended.by.clone(),
        since: Some(suspended.since),
        until: suspended.until,
        end: End::Command(what.resume()),
    });
    let gone_back = desired.gone_back.iter().map(|(image, gone_back)| {
        let RolledBack {
            to,
            since,
            reason,
            by,
            ..
        } = &gone_back.order;
        InForce {
            what: format!("image {image} {}", gone_back.from),
            reason: format!("rolled back to {to}: {reason}"),
            by: by.clone(),
            since: Some(*since),
            until: None,
            end: End::Command(Subject::Image(image.clone()).resume()),
        }
    });
    written.chain(ordered).chain(gone_back).collect()
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
