//! Rows of `devices.csv` that the state repo keeps: added, changed, and taken out only where it says `removed`.
//!
//! # Invariants
//!
//! No row is touched that the state repo does not name, and none is taken out of another room than the one that says
//! so. All rows change by one step, so that one import follows, or none does: what would give two hosts one address is
//! for people. The hardware class of a row that is there is left to [`test_classes`](super::test_classes).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::SignedDuration;
use schema::fleet::{DeviceRow, Room};
use schema::name::{HostName, RoleName, RoomName};

use super::Waiting;
use crate::linbo::devices::{Device, Devices, Pxe};
use crate::planning::action::{Action, Reason, RowChange, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::{self, Closed, Gate, Work};
use crate::planning::observed::{Observed, Probe};
use crate::planning::plan::{Drafts, Goal};

/// What a change of `devices.csv` and the import after it take at the most.
const NEEDS: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let kept = || desired.rooms.values().flat_map(|room| &room.devices);
    if kept().next().is_none() {
        return;
    }
    let devices = match &observed.devices {
        Probe::Seen(devices) => devices,
        Probe::Unseen(cause) => {
            let goal = Goal::Rows(kept().count());
            return drafts.hold(goal, Gate::Unseen(cause.clone()), None);
        }
    };
    let mut rows = BTreeMap::new();
    let mut strangers = Vec::new();
    let mut waiting = Waiting::default();
    for (name, room) in &desired.rooms {
        for (host, wanted) in &room.devices {
            let change = match change(desired, observed, (name, room), host, (devices, wanted)) {
                Ok(None) => continue,
                Ok(Some(change)) => change,
                Err(why) => {
                    strangers.push((host.clone(), why));
                    continue;
                }
            };
            let leaves = change.before().map(|before| &before.room);
            let leaves = leaves.filter(|room| *room != name);
            let admitted = std::iter::once(name)
                .chain(leaves)
                .try_fold(true, |is_free, room| {
                    Ok(is_free && waiting.admits(desired, observed, room, host)?)
                });
            match admitted {
                Ok(true) => {
                    rows.insert(host.clone(), change);
                }
                Ok(false) => {}
                Err(closed) => waiting.on(closed),
            }
        }
        strangers.extend(unnamed(name, room, devices));
    }
    let clashes = clashes(devices, &rows);
    if !clashes.is_empty() {
        rows.clear();
        strangers.extend(clashes);
    }
    if !strangers.is_empty() {
        let goal = Goal::Rows(strangers.len());
        drafts.hold(goal, Gate::NotReset(strangers), None);
    }
    waiting.hold(drafts, observed, Goal::Rows);
    if rows.is_empty() {
        return;
    }
    let goal = || Goal::Rows(rows.len());
    if let Some(gate) = super::bad_devices(devices) {
        return drafts.hold(goal(), gate, None);
    }
    match gates::window(desired, Work::Activate, observed.at, NEEDS) {
        Ok(_) => drafts.step(Step::new(Action::SetRows { rows }, Reason::Differs)),
        Err(Closed { gate, wake }) => drafts.hold(goal(), gate, wake),
    }
}

/// What becomes of the row of a host, if anything does; or why nothing can.
fn change(
    desired: &Desired,
    observed: &Observed,
    (name, room): (&RoomName, &Room),
    host: &HostName,
    (devices, wanted): (&Devices, &DeviceRow),
) -> Result<Option<RowChange>, String> {
    let now = devices.get(host);
    match (wanted, now) {
        (DeviceRow::Removed, None) => Ok(None),
        (DeviceRow::Removed, Some(device)) if device.room != *name => Err(format!(
            "is to be removed from room {name}, and is in room {} by devices.csv",
            device.room
        )),
        (DeviceRow::Removed, Some(device)) => Ok(Some(RowChange::Removed(device.clone()))),
        (DeviceRow::Kept { mac, ip, role }, Some(before)) => {
            let after = Device {
                room: name.clone(),
                mac: Some(*mac),
                ip: ip.fixed(),
                role: role.as_ref().unwrap_or(&before.role).clone(),
                ..before.clone()
            };
            let before = before.clone();
            Ok((before != after).then_some(RowChange::Changed { before, after }))
        }
        (DeviceRow::Kept { mac, ip, role }, None) => {
            let mut tests = desired.tests(observed.at);
            let test = tests.find(|(_, test)| test.names(host));
            Ok(Some(RowChange::Added(Device {
                room: name.clone(),
                host: host.clone(),
                class: test.map_or(&room.class, |(_, test)| &test.class).clone(),
                mac: Some(*mac),
                ip: ip.fixed(),
                role: role.clone().unwrap_or_else(RoleName::default),
                pxe: Pxe::Linbo,
            })))
        }
    }
}

/// Hosts that boot LINBO in a room whose rows are kept, and that nobody named.
fn unnamed<'a>(
    name: &'a RoomName,
    room: &'a Room,
    devices: &'a Devices,
) -> impl Iterator<Item = (HostName, String)> + 'a {
    let rows = (!room.devices.is_empty()).then(|| devices.in_room(name));
    let rows = rows.into_iter().flatten();
    let unnamed = rows.filter(|row| row.pxe.is_reset() && !room.devices.contains_key(&row.host));
    unnamed.map(|row| {
        let why = "is in devices.csv, but not among the `devices` of its room: add it there, or say `removed`";
        (row.host.clone(), why.to_owned())
    })
}

/// Changed hosts that would have an address of another one.
fn clashes(devices: &Devices, rows: &BTreeMap<HostName, RowChange>) -> Vec<(HostName, String)> {
    if rows.is_empty() {
        return Vec::new();
    }
    let after = devices.edited(&RowChange::edits(rows));
    let cards = after
        .rows()
        .iter()
        .filter_map(|row| Some((row.mac?, &row.host)));
    let fixed = after
        .rows()
        .iter()
        .filter_map(|row| Some((row.ip?, &row.host)));
    let mut clashes = taken(cards, rows, "the MAC address");
    clashes.extend(taken(fixed, rows, "the address"));
    clashes
}

fn taken<'a, A: Ord + fmt::Display>(
    addresses: impl Iterator<Item = (A, &'a HostName)>,
    rows: &BTreeMap<HostName, RowChange>,
    what: &str,
) -> Vec<(HostName, String)> {
    let mut known: BTreeMap<A, BTreeSet<&HostName>> = BTreeMap::new();
    for (address, host) in addresses {
        known.entry(address).or_default().insert(host);
    }
    let mut taken = Vec::new();
    for (address, hosts) in known.iter().filter(|(_, hosts)| hosts.len() > 1) {
        for host in hosts.iter().filter(|host| rows.contains_key(**host)) {
            let others = hosts.iter().filter(|other| *other != host);
            taken.extend(others.map(|other| {
                let why = format!("would get {what} {address}, which {other} has");
                ((*host).clone(), why)
            }));
        }
    }
    taken
}
