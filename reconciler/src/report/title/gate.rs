//! What a hold waits for, in the words of people.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::fleet::{Origin, Setting};
use schema::name::HostName;

use super::Clock;
use crate::planning::gates::{Change, Excess, Work};
use crate::planning::rollout;
use crate::planning::{Allowance, Gate, NotBefore, Resource, Slot, SlotKind, Subject};
use crate::report::hanging;
use crate::report::style::{count, few};

/// A part of the line to the central server.
fn slot_of(slot: &Slot, clock: Clock<'_>) -> String {
    let kind = match slot.kind {
        SlotKind::Own => "slot",
        SlotKind::LeftOver => "part of what is left over",
    };
    let rate = slot.rate;
    format!(
        "{kind}, {} to {} at {rate}",
        clock.show(slot.from),
        clock.show(slot.until)
    )
}

/// What a hold waits for, in lines.
pub(in crate::report) fn gate(gate: &Gate, clock: Clock<'_>) -> Vec<String> {
    let line = match gate {
        Gate::Window(work) => format!("the {} window is closed", name(*work)),
        Gate::TooLate {
            work: Work::Download,
            ..
        } => "the download window closes just now".to_owned(),
        Gate::TooLate { work, minutes } => {
            format!(
                "it takes about {minutes} min, and the {} window closes or lessons begin before",
                name(*work)
            )
        }
        Gate::TooLong { work, minutes } => format!(
            "it takes about {minutes} min, longer than the whole {} window: make the window longer, the room smaller, or the power budget larger",
            name(*work)
        ),
        Gate::Slot(None) => "no part of the line to the central server is this school's within two weeks: see its download window, and `central.uplink`".to_owned(),
        Gate::Slot(Some(slot)) => format!("the line to the central server is others' until its {}", slot_of(slot, clock)),
        Gate::Lessons => "lessons are being held".to_owned(),
        Gate::Holiday(holiday) => format!("holidays: {holiday}"),
        Gate::Busy(resource) => busy(resource),
        Gate::HostsBusy(hosts) => format!(
            "{} still at work: {}",
            count(hosts.len(), "host is", "hosts are"),
            few(hosts)
        ),
        Gate::HostsHang(hosts) => {
            let each = hosts.iter().flat_map(|(host, busy)| {
                let what = format!("{host} {}", hanging::what(busy, clock));
                [what, hanging::advice(host, busy)]
            });
            return each.collect();
        }
        Gate::Uploading(image) => format!(
            "an upload into the folder of {image} runs, or was cut off: .BAK or temporary files lie there"
        ),
        Gate::Backoff { failures: 1, why } => format!("it failed: {why}"),
        Gate::Backoff { failures, why } => {
            format!("it failed {failures} times, the last time: {why}")
        }
        Gate::Retry(hosts) => format!("tried in vain: {}", few(hosts)),
        Gate::GaveUp { hosts } => {
            return each(hosts, "given up until the schedule's next time");
        }
        Gate::Missed { due, hosts } => return missed(*due, hosts, clock),
        Gate::Exam => "the room is in an exam".to_owned(),
        Gate::Turn => "other rooms go first, as far as the power bears them".to_owned(),
        Gate::InUse(hosts) => format!("somebody works at {}", few(hosts)),
        Gate::Stalled { hosts } => {
            let end = "left alone until somebody has resolved it: `reconcile resume host NAME`";
            return each(hosts, end);
        }
        Gate::Wave { image, closed } => {
            let rollout::Closed {
                wave,
                of,
                has,
                wanted,
                opens,
            } = closed;
            let waits = if opens.is_some() {
                "the one before has it and is watched for a while".to_owned()
            } else {
                format!("{has} of the {wanted} hosts that have to have it before do")
            };
            format!("wave {wave} of {of} of the rollout of {image}: {waits}")
        }
        Gate::NotBefore(NotBefore { day, origin }) => format!(
            "new versions come to the PCs from {} on ({}, {origin})",
            day.strftime("%a %Y-%m-%d"),
            Setting::RolloutFrom
        ),
        Gate::RolloutStopped { image, stopped } => {
            let rollout::Stopped { failed, hosts } = stopped;
            format!(
                "the rollout of {image} stopped: {failed} of {} failed; `reconcile resume image {image}` goes on",
                count(*hosts, "host", "hosts")
            )
        }
        Gate::Guard { change, excess } => return guard(change, excess),
        Gate::NotSeeded(file) => format!("{file} has to be seeded first"),
        Gate::Suspended { what, reason, by } => {
            let by = by
                .as_ref()
                .map(|by| format!(" by {by}"))
                .unwrap_or_default();
            format!("{what} is suspended{by}: {reason}")
        }
        Gate::RolledBack {
            image,
            to,
            is_there,
            reason,
            by,
        } => {
            let resume = Subject::Image(image.clone()).resume();
            let lost = if *is_there {
                ""
            } else {
                ", which the state repo does not offer any more: roll back to another version"
            };
            format!("{by} went back to {to}{lost}, until `{resume}`: {reason}")
        }
        Gate::Unseen(cause) => format!("could not be seen: {cause}"),
        Gate::NotRebranded(Some((host, stem))) => format!(
            "it belongs to another domain: in the VM {host}, sync {stem}, move it into the school's domain, make and upload \
             a diff under the same name, and tell it with `reconcile rebranded IMAGE --from {stem}`"
        ),
        Gate::NotRebranded(None) => {
            "it belongs to another domain: move it into the school's in a VM, upload it under a name of its own, and tell it \
             with `reconcile rebranded IMAGE --from NAME`"
                .to_owned()
        }
        Gate::NoSpace { needed, free } => {
            format!(
                "the store has {free:.1} free, {needed:.1} are needed: delete something or enlarge the disk"
            )
        }
        Gate::NotOurs(class) => format!(
            "start.conf.{class} exists and was not written by reconcile: move it away, and reconcile writes its own"
        ),
        Gate::StartConf(class) => format!("start.conf.{class} has to be right first"),
        Gate::ImageMissing(image) => format!("there is no {image}.qcow2 in LINBO's folder"),
        Gate::NotPinned {
            image,
            pinned,
            found,
        } => {
            let found = found
                .as_ref()
                .map_or("without a timestamp".to_owned(), |found| {
                    format!("of {found}")
                });
            format!(
                "{image} in LINBO's folder is {found}, but the state repo pins {pinned}: pin that one, or put the pinned one back"
            )
        }
        Gate::DueSoon => "missed earlier; the next reset is due in this very window".to_owned(),
        Gate::NotActive(image) => format!("image {image} is not active yet"),
        Gate::BadDevices(problem) => {
            format!("devices.csv has bad rows, which would spoil the import: {problem}")
        }
        Gate::NotReset(hosts) => {
            return hosts
                .iter()
                .map(|(host, why)| format!("{host} {why}"))
                .collect();
        }
    };
    vec![line]
}

/// What would be done, to how many, who allows how much, and how a person says yes.
fn guard(change: &Change, excess: &Excess) -> Vec<String> {
    let what = match change {
        Change::ImageTaken(image) => {
            format!("PCs were last put back to {image}, which their class has no more")
        }
        Change::Version(image) => format!(
            "with `rollout: at_once`, all that have {image} would get another version of it"
        ),
        Change::Disk(class) => format!(
            "start.conf.{class} would divide the disk otherwise, or put other images onto it"
        ),
    };
    let Excess {
        hosts,
        unseen,
        of,
        allowed,
    } = excess;
    let Allowance {
        share,
        origin,
        file,
    } = allowed;
    let unseen = match unseen {
        0 => String::new(),
        _ => format!(" or may be, as {unseen} could not be seen"),
    };
    let (allows, way) = match origin {
        Origin::Default => (
            "is allowed where nobody says anything else".to_owned(),
            format!("add it to {file}"),
        ),
        Origin::Written { file: here, .. } if here == file => {
            (format!("{origin} allows"), "write it there".to_owned())
        }
        Origin::Written { .. } => (
            format!("{origin} allows"),
            format!("write it there, or into {file} for this school alone"),
        ),
    };
    let waves = match change {
        Change::Version(_) => "; in waves, a new version needs no word",
        Change::ImageTaken(_) | Change::Disk(_) => "",
    };
    vec![
        what,
        format!(
            "{hosts} of the school's {} would be re-imaged outside of a rollout{unseen}, more than the {share} that {allows}",
            count(*of, "PC", "PCs")
        ),
        format!(
            "if that is meant: `guard: {{ reimage_at_most: {} % }}` until all is done, as each pass weighs what is left; {way}{waves}",
            excess.needed()
        ),
    ]
}

/// Which reset could not be caught up, and the hosts by what is known of why.
fn missed(due: Timestamp, hosts: &[(HostName, String)], clock: Clock<'_>) -> Vec<String> {
    let mut by_why: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    for (host, why) in hosts {
        by_why.entry(why).or_default().push(host);
    }
    let head = format!("what was due {} could not be caught up", clock.show(due));
    let lines = by_why
        .into_iter()
        .map(|(why, hosts)| format!("{}: {why}", few(hosts)));
    std::iter::once(head).chain(lines).collect()
}

/// A line for each host and one for all of them.
fn each(hosts: &[(HostName, String)], end: &str) -> Vec<String> {
    let lines = hosts.iter().map(|(host, why)| format!("{host} {why}"));
    lines.chain([end.to_owned()]).collect()
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::Download => "download",
        Work::Activate => "activate",
        Work::Reset => "reset",
    }
}

fn busy(resource: &Resource) -> String {
    match resource {
        Resource::Uplink => "another download uses the line".to_owned(),
        Resource::Import => "another import runs".to_owned(),
        Resource::Store => "the store is in use".to_owned(),
        Resource::Class(class) => format!("class {class} is in use"),
        Resource::Image(image) => format!("image {image} is in use"),
        Resource::Room(room) => format!("room {room} is being reset"),
    }
}
