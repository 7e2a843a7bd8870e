//! Which rooms begin now, and when it is the turn of the others: all of them share the budgets of power.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schema::name::RoomName;

use super::Ready;
use crate::planning::action::{Action, Circuit, Resource};
use crate::planning::desired::Desired;
use crate::planning::gates::{Gate, SOON, Work};
use crate::planning::observed::Observed;
use crate::planning::plan::{CircuitPeak, Drafts, Goal, RoomTurn};
use crate::planning::timetable::{Batch, Taken, Timetable, longest_first, shortest};

/// Begins the rooms whose turn has come, and holds the others.
pub(super) fn admit(
    desired: &Desired,
    observed: &Observed,
    ready: Vec<Ready<'_>>,
    drafts: &mut Drafts<'_>,
) {
    let is_at_work = |room: &Ready<'_>| {
        observed.running.iter().any(|running| {
            matches!(&running.step.action, Action::ResetRoom { room: other, .. } if other == room.cohort.name)
        })
    };
    let (at_work, ready): (Vec<_>, Vec<_>) = ready.into_iter().partition(is_at_work);
    for room in at_work {
        let hosts = room.hosts.len();
        drafts.step(room.step(hosts));
    }
    let (ready, later) = one_of_each_room(ready);
    for of_room in later {
        let name = of_room.cohort.name;
        let gate = Gate::Busy(Resource::Room(name.clone()));
        drafts.hold(Goal::Fresh(name.clone(), of_room.hosts.len()), gate, None);
    }
    if ready.is_empty() {
        return;
    }
    let table = table(desired, observed, &ready);
    for room in ready {
        let Some(span) = table.rooms.get(room.cohort.name) else {
            continue;
        };
        let fit = span.wakes.len().min(room.hosts.len());
        let late = room.hosts.len() - fit;
        if late > 0 {
            let gate = room.open.fits(Work::Reset, observed.at, room.each).err();
            // Where one host would fit in, the others of this room or other rooms take the time.
            let (gate, wake) = gate.map_or((Gate::Turn, room.open.next), |closed| {
                (closed.gate, closed.wake)
            });
            drafts.hold(Goal::Fresh(room.cohort.name.clone(), late), gate, wake);
        }
        let Some(first) = span.first_wake() else {
            continue;
        };
        drafts.turn(RoomTurn {
            room: room.cohort.name.clone(),
            hosts: fit,
            from: first,
            until: span.off.unwrap_or(first),
        });
        if first > observed.at + SOON {
            drafts.hold(
                Goal::Fresh(room.cohort.name.clone(), fit),
                Gate::Turn,
                Some(first),
            );
        } else {
            drafts.step(room.step(fit));
        }
    }
    for (circuit, peak) in &table.peaks {
        if peak.hosts > 0 {
            drafts.peak(CircuitPeak {
                circuit: circuit.clone(),
                hosts: peak.hosts,
                at: peak.at,
            });
        }
    }
}

/// The hosts of each room that come first, and those that follow when these are done: test classes after their room.
fn one_of_each_room(ready: Vec<Ready<'_>>) -> (Vec<Ready<'_>>, Vec<Ready<'_>>) {
    let mut rooms = BTreeSet::new();
    ready
        .into_iter()
        .partition(|of_room| rooms.insert(of_room.cohort.name))
}

/// The timetable of all rooms: those at work first, then by how long they have been due.
fn table(desired: &Desired, observed: &Observed, ready: &[Ready<'_>]) -> Timetable {
    let now = observed.at;
    let each: BTreeMap<&RoomName, SignedDuration> = ready
        .iter()
        .map(|room| (room.cohort.name, room.each))
        .collect();
    let longest = ready.iter().map(|room| room.each).max().unwrap_or_default();
    let mut taken = Taken::default();
    let mut batches = Vec::new();
    for running in &observed.running {
        let Action::ResetRoom {
            room,
            hosts,
            circuits,
            ..
        } = &running.step.action
        else {
            continue;
        };
        let each = each.get(room).copied().unwrap_or(longest);
        let mut asleep = 0;
        for host in hosts.iter().map(|wake| &wake.host) {
            match running.admitted.get(host) {
                _ if running.heard.contains(host) => {}
                Some(woken) => {
                    let off = woken.saturating_add(each).unwrap_or(now);
                    // What takes longer than thought goes on for a while.
                    let off = off.max(now + SOON);
                    taken.add(circuits.iter().map(|(of, _)| of), Some(*woken), off);
                }
                None => asleep += 1,
            }
        }
        batches.push(Batch {
            room,
            hosts: asleep,
            circuits,
            each,
            not_before: now,
            closes: None,
        });
    }
    for (host, _) in observed.busy.seen().into_iter().flatten() {
        let device = observed
            .devices
            .seen()
            .and_then(|devices| devices.get(host));
        if let Some(device) = device
            && let Some(room) = desired.rooms.get(&device.room)
        {
            let circuits = desired.circuits_of(&device.room, room);
            let of: Vec<Circuit> = circuits.into_iter().map(|(of, _)| of).collect();
            taken.add(&of, None, now + longest);
        }
    }
    let mut by_due: Vec<&Ready<'_>> = ready.iter().collect();
    by_due.sort_by_key(|room| room.due);
    for dues in by_due.chunk_by(|a, b| a.due == b.due) {
        let mut equal: Vec<Batch<'_>> = dues.iter().map(|room| room.batch(now)).collect();
        longest_first(now, &mut equal);
        batches.append(&mut equal);
    }
    shortest(now, &taken, &batches)
}

impl Ready<'_> {
    fn batch(&self, now: Timestamp) -> Batch<'_> {
        Batch {
            room: self.cohort.name,
            hosts: self.hosts.len(),
            circuits: &self.circuits,
            each: self.each,
            not_before: now,
            closes: Some(self.open.closes),
        }
    }
}
