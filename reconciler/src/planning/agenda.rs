//! What is coming: resets by their schedules and the ends of test classes, as staff want to know them.
//!
//! It is what the state repo asks for, not what a plan foretells: nothing of it depends on what a server sees.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use schema::fleet::Room;
use schema::name::{RoomName, TestClassName};

use crate::planning::desired::Desired;

/// Something that staff should know of beforehand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coming {
    /// These rooms are put back to their images within a span of time.
    Reset {
        /// When the first host may be woken.
        begins: Timestamp,
        /// When the last one has to be done.
        ends: Timestamp,
        /// The rooms.
        rooms: BTreeSet<RoomName>,
    },
    /// A test class ends with this day, and its hosts go back.
    TestClassEnds {
        /// The last day.
        until: Date,
        /// The test class.
        name: TestClassName,
    },
}

/// What is coming within `ahead` from `from`, in the order of time.
#[must_use]
pub fn agenda(desired: &Desired, from: Timestamp, ahead: SignedDuration) -> Vec<Coming> {
    let until = from.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let mut resets: BTreeMap<(Timestamp, Timestamp), BTreeSet<RoomName>> = BTreeMap::new();
    for (name, room) in &desired.rooms {
        for span in resets_of(desired, room, from, until) {
            resets.entry(span).or_default().insert(name.clone());
        }
    }
    let resets = resets
        .into_iter()
        .map(|((begins, ends), rooms)| Coming::Reset {
            begins,
            ends,
            rooms,
        });
    let day = |at: Timestamp| at.to_zoned(desired.zone.clone()).date();
    let days = day(from)..=day(until);
    let tests = desired
        .test_classes
        .iter()
        .filter(|(_, until)| days.contains(*until))
        .map(|(name, until)| Coming::TestClassEnds {
            until: *until,
            name: name.clone(),
        });
    resets.chain(tests).collect()
}

/// The spans in which a room's occurrences are served: each begins at the occurrence or when the window opens after
/// it, and ends with the window. Two occurrences that are served in one span are one reset.
fn resets_of(
    desired: &Desired,
    room: &Room,
    from: Timestamp,
    until: Timestamp,
) -> BTreeSet<(Timestamp, Timestamp)> {
    let mut spans = BTreeSet::new();
    let Some(schedule) = &room.reset else {
        return spans;
    };
    let windows = room.windows.reset(&desired.windows);
    let mut after = from;
    while let Some(due) = schedule.next(after, &desired.zone, &desired.holidays)
        && due <= until
    {
        after = due;
        let opening = windows
            .opening_at(due, &desired.zone)
            .or_else(|| windows.next_opening(due, &desired.zone));
        if let Some(opening) = opening {
            spans.insert((due.max(opening.opens), opening.closes));
        }
    }
    spans
}
