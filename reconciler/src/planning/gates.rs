//! What a hold waits for, and when it is worth looking again.

use jiff::{SignedDuration, Timestamp};
use schema::name::{ClassName, HostName, ImageName};
use schema::schedule::{Opening, Windows};
use schema::units::Bytes;
use serde::Serialize;

use crate::planning::action::Resource;
use crate::planning::desired::Desired;

/// What a hold waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A window is closed.
    Window(Work),
    /// A window is open, but what is left of it is too short.
    TooLate {
        /// The kind of work.
        work: Work,
        /// How long it is thought to take.
        minutes: i64,
    },
    /// Work that takes longer than the whole window, so that it would never begin.
    TooLong {
        /// The kind of work.
        work: Work,
        /// How long it is thought to take.
        minutes: i64,
    },
    /// Lessons are being held.
    Lessons,
    /// School holidays.
    Holiday(String),
    /// Something else uses the resource.
    Busy(Resource),
    /// These hosts are busy with something that this pass did not start.
    HostsBusy(Vec<HostName>),
    /// An upload into the image's folder runs, or was cut off and left its files.
    Uploading(ImageName),
    /// It failed before, and the next try is later.
    Backoff {
        /// How often in a row.
        failures: u32,
        /// What the last failure was.
        why: String,
    },
    /// Hosts did not get there at the last try, and the next one is later.
    Retry(Vec<HostName>),
    /// Hosts failed as often as is sensible; they are tried again after the next occurrence.
    GaveUp {
        /// The hosts, with what was last found out about each.
        hosts: Vec<(HostName, String)>,
    },
    /// Somebody stopped all work on it.
    Suspended {
        /// What is suspended.
        what: String,
        /// Why, in the words of who did it.
        reason: String,
        /// Who did it, if that is known.
        by: Option<String>,
    },
    /// Something could not be seen.
    Unseen(String),
    /// An image has to be moved into the school's domain before any client may see it.
    NotRebranded,
    /// There is too little space in the store.
    NoSpace {
        /// Bytes wanted, reserve included.
        needed: Bytes,
        /// Bytes there.
        free: Bytes,
    },
    /// `start.conf.<class>` exists and was not written by the reconciler.
    NotOurs(ClassName),
    /// `start.conf.<class>` is not yet what the state repo says.
    StartConf(ClassName),
    /// An image made on site is not in LINBO's folder.
    ImageMissing(ImageName),
    /// A released image is not in LINBO's folder yet; it has goals of its own.
    NotActive(ImageName),
    /// A reset that was missed earlier, while the next one is due within this very window: caught up
    /// first, its hosts would be put back twice in one evening.
    DueSoon,
    /// `devices.csv` has rows that would make the import fail or spoil the DHCP configuration.
    BadDevices(String),
    /// Hosts of the room that belong to another class, or are not in `devices.csv` with PXE flag 1 or 2.
    NotReset(Vec<(HostName, String)>),
}

/// A kind of work with a window of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Downloads.
    Download,
    /// Activation of images, writing of class files.
    Activate,
    /// Resets.
    Reset,
}

impl Gate {
    /// Whether a person has to do something before it opens.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        match self {
            Self::NotRebranded
            | Self::NoSpace { .. }
            | Self::NotOurs(_)
            | Self::ImageMissing(_)
            | Self::BadDevices(_)
            | Self::NotReset(_)
            | Self::TooLong { .. }
            | Self::GaveUp { .. }
            | Self::Unseen(_) => true,
            Self::NotActive(_)
            | Self::DueSoon
            | Self::Window(_)
            | Self::TooLate { .. }
            | Self::Lessons
            | Self::Holiday(_)
            | Self::Busy(_)
            | Self::HostsBusy(_)
            | Self::Uploading(_)
            | Self::Retry(_)
            | Self::Backoff { .. }
            | Self::Suspended { .. }
            | Self::StartConf(_) => false,
        }
    }

    /// Whether a pass that ends with it has failed. What merely waits has not.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::NoSpace { .. }
            | Self::NotOurs(_)
            | Self::ImageMissing(_)
            | Self::BadDevices(_)
            | Self::TooLong { .. }
            | Self::GaveUp { .. }
            | Self::Unseen(_)
            | Self::Backoff { .. }
            | Self::Retry(_) => true,
            Self::NotRebranded
            | Self::NotActive(_)
            | Self::DueSoon
            | Self::NotReset(_)
            | Self::Window(_)
            | Self::TooLate { .. }
            | Self::Lessons
            | Self::Holiday(_)
            | Self::Busy(_)
            | Self::HostsBusy(_)
            | Self::Uploading(_)
            | Self::Suspended { .. }
            | Self::StartConf(_) => false,
        }
    }
}

/// A closed gate and when it is thought to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The gate.
    pub gate: Gate,
    /// When to look again, if that is known.
    pub wake: Option<Timestamp>,
}

/// How far clocks are put back, and how far those of a server and its clients differ, in ordinary life:
/// what is noted to have happened so much later than now has happened. What is later still is not believed.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Whether work of this kind may begin at `at`: the end of the opening that it may use, or the gate
/// that is closed. Lessons end an opening for whatever touches a PC or its image.
pub fn window(
    desired: &Desired,
    work: Work,
    at: Timestamp,
    needs: SignedDuration,
) -> Result<Timestamp, Closed> {
    let windows = match work {
        Work::Download => &desired.windows.download,
        Work::Activate => &desired.windows.activate,
        Work::Reset => &desired.windows.reset,
    };
    let next = || next_opening(windows, at, desired);
    let Some(opening) = windows.opening_at(at, &desired.zone) else {
        return Err(Closed {
            gate: Gate::Window(work),
            wake: next(),
        });
    };
    if work == Work::Download {
        let gate = Gate::TooLate {
            work,
            minutes: needs.as_mins(),
        };
        let fits = needs <= opening.closes.duration_since(at);
        return if fits {
            Ok(opening.closes)
        } else {
            Err(Closed { gate, wake: next() })
        };
    }
    let lessons = &desired.windows.lessons;
    if lessons.is_open(at, &desired.zone)
        && let Some(lesson) = lessons.opening_at(at, &desired.zone)
    {
        return Err(Closed {
            gate: Gate::Lessons,
            wake: Some(lesson.closes),
        });
    }
    let today = at.to_zoned(desired.zone.clone()).date();
    if work == Work::Reset
        && let Some((name, last)) = desired.holidays.holding(today)
    {
        let wake = last
            .tomorrow()
            .ok()
            .and_then(|day| day.to_zoned(desired.zone.clone()).ok());
        return Err(Closed {
            gate: Gate::Holiday(name.to_owned()),
            wake: wake.map(|zoned| zoned.timestamp()),
        });
    }
    let minutes = needs.as_mins();
    if opening.closes.duration_since(opening.opens) < needs {
        return Err(Closed {
            gate: Gate::TooLong { work, minutes },
            wake: None,
        });
    }
    let lesson = lessons
        .next_opening(at, &desired.zone)
        .filter(|lesson| lesson.opens < opening.closes);
    let closes = lesson.map_or(opening.closes, |lesson| lesson.opens);
    if closes.duration_since(at) < needs {
        // The same window may still be open when the lessons are over.
        let after = lesson
            .map(|lesson| lesson.closes)
            .filter(|end| *end < opening.closes);
        return Err(Closed {
            gate: Gate::TooLate { work, minutes },
            wake: after.or_else(next),
        });
    }
    Ok(closes)
}

fn next_opening(windows: &Windows, at: Timestamp, desired: &Desired) -> Option<Timestamp> {
    windows
        .next_opening(at, &desired.zone)
        .map(|Opening { opens, .. }| opens)
}
