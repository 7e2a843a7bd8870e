//! Announcements: what staff are told some days before it happens, each once.
//!
//! # Invariants
//!
//! What was announced stands in the journal, written after the relay took the letter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use schema::name::{ImageName, RoomName, TestClassName};

use crate::planning::{Arrival, Desired, Entry, Observed, Outlook, Plan, Staff, arrivals, ends};
use crate::report::mail::News;
use crate::report::style::every;
use crate::report::title::Clock;
use crate::world::{Letter, Readers};

/// What comes of it for who works at a PC.
const CONSEQUENCES: &str = "
A PC that is put back loses what was saved on it; files on network drives stay. The PCs start by themselves and
switch themselves off again: please leave them connected to the mains.
";

/// Something that is to be announced.
struct Notice {
    /// What it is, by a key that never comes again.
    key: String,
    line: String,
}

/// The letter that is due, if the school wants to be told of what is coming and something is near.
#[must_use]
pub fn announcement(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    clock: Clock<'_>,
) -> Option<News> {
    let Staff {
        title, announce, ..
    } = desired.staff.as_ref()?;
    let days = i64::from((*announce)?.days_before);
    let ahead = SignedDuration::from_hours(24).checked_mul(i32::try_from(days).ok()?)?;
    let until = observed.at.checked_add(ahead).ok()?;
    // What depends on what could not be seen is told when it can be.
    observed.devices.seen()?;
    observed.orders.seen()?;
    let is_news = |key: &str| !observed.journal.announced().contains(key);
    let mut notices = first_resets(desired, observed, until, is_news, clock);
    notices.extend(rollouts(desired, observed, plan, until, clock));
    notices.extend(ends(desired, observed.at, until).map(|(name, until)| test_ends(name, until)));
    let (mut keys, mut lines) = (Vec::new(), Vec::new());
    for Notice { key, line } in notices {
        if is_news(&key) {
            keys.push(key);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if keys.is_empty() {
        return None;
    }
    let mut body = format!("This is coming up on the PCs of {title}:\n\n");
    for line in lines {
        // Writing to a String cannot fail.
        _ = writeln!(body, "- {line}");
    }
    body.push_str(CONSEQUENCES);
    Some(News {
        letter: Letter {
            readers: Readers::Staff,
            subject: format!("[reconcile] {title}: coming up on the PCs"),
            body,
        },
        told: Entry::Announced { keys },
    })
}

/// The first reset until then of each room of which the journal knows none; rooms that begin together share a line.
fn first_resets(
    desired: &Desired,
    observed: &Observed,
    until: Timestamp,
    is_news: impl Fn(&str) -> bool,
    clock: Clock<'_>,
) -> Vec<Notice> {
    let key = |room: &RoomName| format!("first-reset/{room}");
    let is_new = |room: &RoomName| {
        observed.devices.seen().is_some_and(|devices| {
            devices
                .in_room(room)
                .all(|device| observed.journal.host(&device.host).attempts().is_empty())
        })
    };
    let rooms = desired.rooms.iter();
    let rooms = rooms.filter(|(name, _)| is_new(name) && is_news(&key(name)));
    let first = rooms.filter_map(|(name, room)| {
        let outlook = Outlook::of(desired, observed, name, room)?;
        let resets = outlook.resets(observed.at, until);
        // What has begun is nothing to be told of beforehand.
        let begins = resets.map(|span| span.opens).filter(|at| *at > observed.at);
        Some((name, begins.min()?))
    });
    let schedule = |room: &RoomName| desired.rooms.get(room)?.reset.as_ref();
    let mut together: BTreeMap<_, Vec<&RoomName>> = BTreeMap::new();
    for (room, begins) in first {
        let alike = together.entry((begins, schedule(room))).or_default();
        alike.push(room);
    }
    let mut notices = Vec::new();
    for ((begins, schedule), rooms) in together {
        let regularly = schedule.map_or(String::new(), |schedule| {
            format!(", and regularly from then on ({schedule})")
        });
        let (noun, verb, their) = match rooms.len() {
            1 => ("Room", "is", "its image"),
            _ => ("Rooms", "are", "their images"),
        };
        let line = format!(
            "{noun} {} {verb} put back to {their} for the first time on {}{regularly}.",
            every(&rooms),
            clock.show(begins)
        );
        notices.extend(rooms.into_iter().map(|room| Notice {
            key: key(room),
            line: line.clone(),
        }));
    }
    notices
}

/// New versions that are on their way to the PCs of rooms, and come until then.
fn rollouts(
    desired: &Desired,
    observed: &Observed,
    plan: &Plan,
    until: Timestamp,
    clock: Clock<'_>,
) -> Vec<Notice> {
    let notice = |image: &ImageName, version: &dyn std::fmt::Display, not_before: Option<_>| {
        let begins = not_before.unwrap_or(observed.at).max(observed.at);
        let outlooks = desired.rooms.iter().filter_map(|(name, room)| {
            let class = desired.classes.get(&room.class)?;
            let uses = class.os.iter().any(|os| os.image == *image);
            uses.then(|| Outlook::of(desired, observed, name, room))?
        });
        let first = outlooks
            .filter_map(|outlook| outlook.openings(begins).next())
            .map(|span| span.opens)
            .min()?;
        let begins = if first > observed.at {
            format!(", not before {}", clock.show(first))
        } else {
            String::new()
        };
        Some(Notice {
            key: format!("rollout/{image}/{version}"),
            line: format!("Version {version} of {image} comes to the PCs, room by room{begins}."),
        })
    };
    let arrivals = arrivals(desired, observed, plan);
    let is_near = |arrival: &&Arrival| arrival.not_before.is_none_or(|at| at <= until);
    let released = arrivals
        .iter()
        .filter(is_near)
        .filter_map(|arrival| notice(&arrival.image, &arrival.version, arrival.not_before));
    let is_released = |image: &ImageName| desired.images.keys().any(|(name, _)| name == image);
    let on_site = plan.rollouts.iter().filter(|of| !is_released(&of.image));
    let on_site = on_site.filter_map(|of| {
        let live = observed.live.get(&of.image)?.seen()?;
        let (_, file) = live.files(&of.image).last()?;
        let stamp = file.record.as_ref()?.timestamp.as_ref()?;
        notice(&of.image, stamp, None)
    });
    let mut notices: Vec<_> = released.chain(on_site).collect();
    notices.sort_by(|a, b| a.key.cmp(&b.key));
    notices.dedup_by(|a, b| a.key == b.key);
    notices
}

fn test_ends(name: &TestClassName, until: Date) -> Notice {
    Notice {
        key: format!("test-class/{name}/{until}"),
        line: format!(
            "Test class {name} ends on {}. Its PCs go back to the class of their rooms.",
            until.strftime("%a %-d %b")
        ),
    }
}
