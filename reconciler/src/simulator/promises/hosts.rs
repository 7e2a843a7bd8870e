//! Promise 4 where it is about hosts: none is touched that is in an exam, that people want to be left alone,
//! that somebody works at, or for which somebody else's commands wait.

use jiff::Timestamp;
use schema::fleet::Suspension;
use schema::name::{HostName, RoomName};
use schema::policy::InUse;

use super::{Book, Found, Scene};
use crate::planning::{Action, Desired, Step, Subject};
use crate::simulator::pc::Usage;

/// Nothing begins that people want to be left alone, and nothing on hosts that are none of ours now.
pub(super) fn untouchable(step: &Step, scene: &Scene<'_>, book: &mut Book) -> Vec<Found> {
    let Some(desired) = scene.desired else {
        return Vec::new();
    };
    let touched: Vec<&HostName> = match &step.action {
        Action::ResetRoom { hosts, .. } => hosts.iter().map(|wake| &wake.host).collect(),
        Action::SwitchOff { hosts } => hosts.iter().collect(),
        _ => Vec::new(),
    };
    let mut subjects = vec![Subject::Server];
    match &step.action {
        Action::Download { image, .. }
        | Action::Activate { image, .. }
        | Action::Delete { image, .. } => {
            subjects.push(Subject::Image(image.clone()));
        }
        _ => {}
    }
    let mut found = Vec::new();
    if let Action::Activate {
        image, manifest, ..
    } = &step.action
    {
        let refused = scene.school.disk.orders.rolled_back().get(image);
        if refused.is_some_and(|order| order.from == *manifest) {
            found.push(format!("puts in place what {image} went back from"));
        }
    }
    let today = desired.zone.to_datetime(scene.clock()).date();
    for host in touched {
        let Some(device) = scene.school.disk.devices.get(host) else {
            continue;
        };
        let room = &device.room;
        subjects.extend([Subject::Room(room.clone()), Subject::Host(host.clone())]);
        let exam = desired.exams.iter().any(|exam| exam.holds(room, today));
        if exam {
            found.push(format!("touches {host}, which is in an exam"));
        }
        if matches!(step.action, Action::ResetRoom { .. }) {
            if scene.school.onboot().any(|(waiting, _)| waiting == host) {
                found.push(format!("wakes {host}, for which commands of others wait"));
            }
            remember_when_to_force(host, room, desired, scene, book);
        }
    }
    subjects.dedup();
    let suspended = subjects
        .iter()
        .filter(|what| is_suspended(what, desired, scene));
    found.extend(suspended.map(|what| format!("begins while the {what} is suspended")));
    found
        .into_iter()
        .map(|how| (4, format!("step {} {how}", step.id)))
        .collect()
}

/// Whether people want something to be left alone, by the state repo or by an order on the server.
pub(super) fn is_suspended(what: &Subject, desired: &Desired, scene: &Scene<'_>) -> bool {
    let at = scene.clock();
    if scene.school.disk.orders.suspension(what, at).is_some() {
        return true;
    }
    let room_of = |host: &HostName| {
        let device = scene.school.disk.devices.get(host)?;
        desired.rooms.get(&device.room)
    };
    let own: Option<&Suspension> = match what {
        Subject::Server => None,
        Subject::Room(room) => desired
            .rooms
            .get(room)
            .and_then(|room| room.suspended.as_ref()),
        Subject::Host(host) => room_of(host).and_then(|room| room.suspended_hosts.get(host)),
        Subject::Image(image) => desired.suspended.images.get(image),
    };
    let all = desired.suspended.all.iter().map(|(_, all)| all);
    let mut all = all.filter(|_| *what == Subject::Server).chain(own);
    all.any(|suspension| {
        suspension
            .until
            .is_none_or(|until| at < until.end(&desired.zone))
    })
}

/// A reset that was due at the latest occurrence may force a host not before its room says.
fn remember_when_to_force(
    host: &HostName,
    room: &RoomName,
    desired: &Desired,
    scene: &Scene<'_>,
    book: &mut Book,
) {
    let from = || -> Option<Timestamp> {
        let room = desired.rooms.get(room)?;
        let InUse::ForceAfter(length) = room.in_use else {
            return None;
        };
        let schedule = room.reset.as_ref()?;
        let due = schedule.latest(scene.clock(), &desired.zone, &desired.holidays)?;
        due.checked_add(length.to_duration()).ok()
    };
    match from() {
        Some(from) => _ = book.forced_from.insert(host.clone(), from),
        None => _ = book.forced_from.remove(host),
    }
}

/// No host is taken from whoever works at it, unless its room says so and the time has come.
pub(super) fn taken(
    host: &HostName,
    usage: Usage,
    scene: &Scene<'_>,
    book: &Book,
) -> Option<Found> {
    let forced = book.forced_from.get(host);
    let may = usage == Usage::Nobody || forced.is_some_and(|from| *from <= scene.clock());
    (!may).then(|| {
        let how = format!("{host} is restarted, and somebody works at it or may do so");
        (4, how)
    })
}
