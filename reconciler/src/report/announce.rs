//! Announcements: what staff are told some days before it happens, each once.
//!
//! # Invariants
//!
//! What was announced stands in the journal, written after the relay took the letter.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use schema::name::RoomName;

use crate::planning::{Coming, Desired, Entry, Observed, Purpose, agenda};
use crate::report::mail::News;
use crate::report::title::Clock;
use crate::world::Letter;

/// The letter that is due, if something is to be announced `ahead` of it.
#[must_use]
pub fn announcement(
    desired: &Desired,
    observed: &Observed,
    ahead: SignedDuration,
    clock: Clock<'_>,
) -> Option<News> {
    let mut news = first_resets(desired, observed, ahead, clock);
    news.extend(rollouts(desired, observed));
    news.extend(ends(desired, observed.at, ahead));
    news.retain(|(key, _)| !observed.journal.announced().contains(key));
    let first = news.first()?;
    let more = match news.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let subject = format!(
        "[reconcile] {}: coming up: {}{more}",
        desired.server, first.1
    );
    let mut body = "Coming up:\n\n".to_owned();
    for (_, line) in &news {
        // Writing to a String cannot fail.
        _ = writeln!(body, "- {line}");
    }
    body.push_str(
        "\nFiles that were saved on a PC are gone after its reset; those on network drives stay.\n",
    );
    Some(News {
        letter: Letter { subject, body },
        told: Entry::Announced {
            keys: news.into_iter().map(|(key, _)| key).collect(),
        },
    })
}

/// The first reset of each room of which the journal knows none.
fn first_resets(
    desired: &Desired,
    observed: &Observed,
    ahead: SignedDuration,
    clock: Clock<'_>,
) -> Vec<(String, String)> {
    let is_new = |room: &RoomName| {
        observed.devices.seen().is_some_and(|devices| {
            devices
                .in_room(room)
                .all(|device| observed.journal.attempts(&device.host).is_empty())
        })
    };
    let mut news = Vec::new();
    for coming in agenda(desired, observed.at, ahead) {
        let Coming::Reset { begins, rooms, .. } = coming else {
            continue;
        };
        for room in rooms.into_iter().filter(is_new) {
            let key = format!("first-reset/{room}");
            if news.iter().all(|(known, _)| *known != key) {
                let when = clock.show(begins);
                news.push((
                    key,
                    format!("room {room} is reset for the first time on {when}"),
                ));
            }
        }
    }
    news
}

/// Versions that the rooms are to have and do not have yet.
fn rollouts(desired: &Desired, observed: &Observed) -> Vec<(String, String)> {
    let is_coming = |image, manifest| {
        let live = observed.live.get(image).and_then(|live| live.seen());
        let store = observed.store.seen();
        let known = store.and_then(|store| store.manifests.get(manifest));
        live.is_some_and(|live| !known.is_some_and(|manifest| live.holds(manifest)))
    };
    desired
        .images
        .iter()
        .filter(|((image, _), wanted)| {
            wanted.purpose == Purpose::Rooms && is_coming(image, &wanted.manifest)
        })
        .map(|((image, version), _)| {
            (
                format!("rollout/{image}/{version}"),
                format!("version {version} of {image} comes to the PCs, room by room"),
            )
        })
        .collect()
}

/// Test classes that end.
fn ends(desired: &Desired, from: Timestamp, ahead: SignedDuration) -> Vec<(String, String)> {
    agenda(desired, from, ahead)
        .into_iter()
        .filter_map(|coming| match coming {
            Coming::TestClassEnds { until, name } => Some((
                format!("test-class/{name}/{until}"),
                format!("test class {name} ends on {until}, and its PCs go back to the class that they had before"),
            )),
            Coming::Reset { .. } => None,
        })
        .collect()
}
