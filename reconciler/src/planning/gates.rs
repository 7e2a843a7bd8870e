//! What a hold waits for, and when it is worth looking again.

use std::cell::RefCell;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use schema::fleet::Room;
use schema::name::{ClassName, FileName, HostName, ImageName, RoomName, VersionName};
use schema::schedule::{Opening, Windows};
use schema::text::ImageStamp;
use schema::units::Bytes;
use serde::Serialize;

use crate::planning::action::Resource;
use crate::planning::desired::{Allowance, Desired, NotBefore};
use crate::planning::observed::{Busy, LiveImage};
use crate::planning::rollout::{self, Stopped};
use crate::planning::slots::Slot;

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
    /// The line to the central server is others' until this slot; none within two weeks.
    Slot(Option<Slot>),
    /// Lessons are being held.
    Lessons,
    /// School holidays.
    Holiday(String),
    /// The room is in an exam.
    Exam,
    /// The budgets of power let it begin only later.
    Turn,
    /// Somebody works at these hosts.
    InUse(Vec<HostName>),
    /// Hosts failed at so many occurrences in a row that they are left alone until somebody resolves it.
    Stalled {
        /// The hosts, with what was last found out about each.
        hosts: Vec<(HostName, String)>,
    },
    /// The wave of a rollout is not open yet.
    Wave {
        /// The image.
        image: ImageName,
        /// The wave, by what opens it.
        closed: rollout::Closed,
    },
    /// A rollout was announced, and its first day has not come.
    NotBefore(NotBefore),
    /// A rollout went bad and stopped by itself.
    RolloutStopped {
        /// The image.
        image: ImageName,
        /// Why.
        stopped: Stopped,
    },
    /// More PCs would be re-imaged outside of a rollout than the state repo allows.
    Guard {
        /// What would be done to some of them.
        change: Change,
        /// How many that are with all others.
        excess: Box<Excess>,
    },
    /// An image file has to be seeded before hosts load it by torrent.
    NotSeeded(FileName),
    /// Something else uses the resource.
    Busy(Resource),
    /// These hosts are busy with something that this pass did not start.
    HostsBusy(Vec<HostName>),
    /// What keeps these hosts busy lasts longer than it may: somebody has to look into it.
    HostsHang(Vec<(HostName, Busy)>),
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
    /// No window opens any more before the next occurrence: the latest one could not be caught up.
    Missed {
        /// The occurrence.
        due: Timestamp,
        /// The hosts, with what is known of why.
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
    /// People let the image go back from this version on this server.
    RolledBack {
        /// The image.
        image: ImageName,
        /// The version that is to be there instead.
        to: VersionName,
        /// Whether the state repo still names that one, and nobody marked it bad.
        is_there: bool,
        /// Why, in the words of who did it.
        reason: String,
        /// Who did it.
        by: String,
    },
    /// Something could not be seen.
    Unseen(String),
    /// An image has to be moved into the school's domain before any PC may see it: in this VM, which loads it under that
    /// name, where the state repo names one.
    NotRebranded(Option<(HostName, ImageName)>),
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
    /// Another state of an image made on site lies in LINBO's folder than the state repo pins.
    NotPinned {
        /// The image.
        image: ImageName,
        /// The state that the state repo names.
        pinned: ImageStamp,
        /// The one that is there, if its `.info` says so.
        found: Option<ImageStamp>,
    },
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

/// What is done to PCs that are not just put back to what they have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// They have an image that their class has no more.
    ImageTaken(ImageName),
    /// Another version of an image comes to all of them at once.
    Version(ImageName),
    /// The `start.conf` of their class divides the disk otherwise, or puts other images onto it.
    Disk(ClassName),
}

/// By how much a plan is more than the state repo allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excess {
    /// PCs that it would re-image outside of a rollout, or may.
    pub hosts: usize,
    /// Those of them of which it could not be seen.
    pub unseen: usize,
    /// PCs of the school that boot LINBO.
    pub of: usize,
    /// What is allowed.
    pub allowed: Allowance,
}

impl Excess {
    /// The share that would have to be allowed, in whole percent.
    #[must_use]
    pub const fn needed(&self) -> usize {
        (self.hosts * 100).div_ceil(if self.of == 0 { 1 } else { self.of })
    }
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
            Self::NotRebranded(_)
            | Self::NoSpace { .. }
            | Self::NotOurs(_)
            | Self::ImageMissing(_)
            | Self::NotPinned { .. }
            | Self::BadDevices(_)
            | Self::NotReset(_)
            | Self::TooLong { .. }
            | Self::GaveUp { .. }
            | Self::Stalled { .. }
            | Self::HostsHang(_)
            | Self::RolloutStopped { .. }
            | Self::Guard { .. }
            | Self::Slot(None)
            | Self::RolledBack {
                is_there: false, ..
            }
            | Self::Unseen(_) => true,
            Self::NotActive(_)
            | Self::RolledBack { .. }
            | Self::DueSoon
            | Self::Window(_)
            | Self::Slot(Some(_))
            | Self::TooLate { .. }
            | Self::Lessons
            | Self::Holiday(_)
            | Self::Busy(_)
            | Self::HostsBusy(_)
            | Self::Uploading(_)
            | Self::Retry(_)
            | Self::Backoff { .. }
            | Self::Missed { .. }
            | Self::Suspended { .. }
            | Self::Exam
            | Self::Turn
            | Self::InUse(_)
            | Self::Wave { .. }
            | Self::NotBefore(_)
            | Self::NotSeeded(_)
            | Self::StartConf(_) => false,
        }
    }

    /// Whether a person has to decide whether it may be done at all.
    #[must_use]
    pub const fn awaits_a_decision(&self) -> bool {
        matches!(self, Self::Guard { .. })
    }

    /// Whether people are told of it as of something wrong.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        self.is_failure() || self.awaits_a_decision()
    }

    /// Whether a pass that ends with it has failed. What merely waits has not.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self {
            Self::NoSpace { .. }
            | Self::NotOurs(_)
            | Self::ImageMissing(_)
            | Self::NotPinned { .. }
            | Self::BadDevices(_)
            | Self::TooLong { .. }
            | Self::GaveUp { .. }
            | Self::Stalled { .. }
            | Self::HostsHang(_)
            | Self::RolloutStopped { .. }
            | Self::Slot(None)
            | Self::RolledBack {
                is_there: false, ..
            }
            | Self::Unseen(_)
            | Self::Backoff { .. }
            | Self::Retry(_) => true,
            Self::NotRebranded(_)
            | Self::RolledBack { .. }
            | Self::Guard { .. }
            | Self::NotActive(_)
            | Self::DueSoon
            | Self::NotReset(_)
            | Self::Window(_)
            | Self::Slot(Some(_))
            | Self::TooLate { .. }
            | Self::Lessons
            | Self::Holiday(_)
            | Self::Busy(_)
            | Self::HostsBusy(_)
            | Self::Uploading(_)
            | Self::Missed { .. }
            | Self::Suspended { .. }
            | Self::Exam
            | Self::Turn
            | Self::InUse(_)
            | Self::Wave { .. }
            | Self::NotBefore(_)
            | Self::NotSeeded(_)
            | Self::StartConf(_) => false,
        }
    }
}

impl Gate {
    /// What busy hosts wait for: none of them hangs, or all do.
    #[must_use]
    pub fn of_busy(hosts: &[(HostName, Busy)], at: Timestamp) -> Vec<(usize, Closed)> {
        let (hang, busy): (Vec<_>, Vec<_>) =
            hosts.iter().cloned().partition(|(_, busy)| busy.hangs(at));
        let wake = busy.iter().map(|(_, busy)| busy.until).min();
        let names = busy.into_iter().map(|(host, _)| host).collect::<Vec<_>>();
        let all = [
            (hang.len(), Self::HostsHang(hang), None),
            (names.len(), Self::HostsBusy(names), wake),
        ];
        let some = all.into_iter().filter(|(hosts, ..)| *hosts > 0);
        some.map(|(hosts, gate, wake)| (hosts, Closed { gate, wake }))
            .collect()
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

/// A room whose first host may be woken so soon begins now, and does not wait for its turn: the hands wake it when
/// that has come.
pub const SOON: SignedDuration = SignedDuration::from_secs(60);

/// The part of an opening that work may still use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// When it opened.
    pub opens: Timestamp,
    /// When it closes.
    pub closes: Timestamp,
    /// When work that does not fit any more may begin, if that is known.
    pub next: Option<Timestamp>,
}

impl Open {
    /// Whether so much work fits in from `at` on.
    ///
    /// # Errors
    ///
    /// The gate: too late by now, or too long for the whole opening.
    pub fn fits(self, work: Work, at: Timestamp, needs: SignedDuration) -> Result<(), Closed> {
        let minutes = needs.as_mins();
        if self.closes.duration_since(self.opens) < needs && work != Work::Download {
            return Err(Closed {
                gate: Gate::TooLong { work, minutes },
                wake: None,
            });
        }
        if self.closes.duration_since(at) < needs {
            return Err(Closed {
                gate: Gate::TooLate { work, minutes },
                wake: self.next,
            });
        }
        Ok(())
    }
}

/// Whether work of this kind that takes so long may begin at `at`: the end of the opening that it may use.
/// Lessons end an opening for whatever touches an image.
///
/// # Errors
///
/// The gate that is closed.
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
    let nothing = Windows::default();
    let lessons = match work {
        Work::Download => &nothing,
        Work::Activate | Work::Reset => &desired.windows.lessons,
    };
    let open = opening(desired, work, windows, lessons, at)?;
    open.fits(work, at, needs)?;
    Ok(open.closes)
}

/// Whether the hosts of a room may be touched at `at`: its window is open, it has no lessons, and neither holidays nor
/// an exam hold it. What begins at midnight ends an opening.
///
/// # Errors
///
/// The gate that is closed.
pub fn room_window(
    desired: &Desired,
    name: &RoomName,
    room: &Room,
    at: Timestamp,
) -> Result<Open, Closed> {
    Openings::default().room_window(desired, name, room, at)
}

/// The openings of reset windows at one instant: most rooms of a school have the same, which are not searched for
/// each of them.
#[derive(Debug, Default)]
pub struct Openings<'a>(RefCell<Vec<Known<'a>>>);

#[derive(Debug)]
struct Known<'a> {
    windows: &'a Windows,
    lessons: &'a Windows,
    found: Result<Open, Closed>,
}

impl<'a> Openings<'a> {
    /// See [`room_window`].
    ///
    /// # Errors
    ///
    /// The gate that is closed.
    pub fn room_window(
        &self,
        desired: &'a Desired,
        name: &RoomName,
        room: &'a Room,
        at: Timestamp,
    ) -> Result<Open, Closed> {
        let zone = &desired.zone;
        let windows = room.windows.reset(&desired.windows);
        let lessons = room.windows.lessons(&desired.windows);
        let mut open = self.at(desired, windows, lessons, at)?;
        let mut day = at.to_zoned(zone.clone()).date();
        let midnight = |day: Date| Some(day.to_zoned(zone.clone()).ok()?.timestamp());
        if let Some(gate) = day_off(desired, name, day) {
            while day_off(desired, name, day).is_some()
                && let Ok(next) = day.tomorrow()
            {
                day = next;
            }
            let wake = midnight(day);
            return Err(Closed { gate, wake });
        }
        // An opening is short: a week at most.
        while let Ok(next) = day.tomorrow()
            && let Some(begins) = midnight(next)
            && begins < open.closes
        {
            day = next;
            if day_off(desired, name, day).is_some() {
                open.closes = begins;
                open.next = next_opening(windows, begins, desired);
            }
        }
        Ok(open)
    }

    fn at(
        &self,
        desired: &Desired,
        windows: &'a Windows,
        lessons: &'a Windows,
        at: Timestamp,
    ) -> Result<Open, Closed> {
        let mut known = self.0.borrow_mut();
        let is_same = |known: &&Known<'_>| {
            std::ptr::eq(known.windows, windows) && std::ptr::eq(known.lessons, lessons)
        };
        if let Some(known) = known.iter().find(is_same) {
            return known.found.clone();
        }
        let found = opening(desired, Work::Reset, windows, lessons, at);
        known.push(Known {
            windows,
            lessons,
            found: found.clone(),
        });
        found
    }
}

/// Whether a new version may take the place of what lies in LINBO's folder: a rollout that was announced begins on its
/// day. Where nothing lies there, no host loses what it has.
pub fn rollout_begun(desired: &Desired, live: &LiveImage, at: Timestamp) -> Result<(), Closed> {
    let Some(not_before) = &desired.not_before else {
        return Ok(());
    };
    let begins = not_before.day.to_zoned(desired.zone.clone());
    let begins = begins.map_or(Timestamp::MAX, |begins| begins.timestamp());
    let is_first = live.base.is_none() && live.diff.is_none();
    if is_first || begins <= at {
        return Ok(());
    }
    Err(Closed {
        gate: Gate::NotBefore(not_before.clone()),
        wake: Some(begins),
    })
}

/// Why a room is left alone on a day, if it is.
fn day_off(desired: &Desired, name: &RoomName, day: Date) -> Option<Gate> {
    if let Some((holiday, _)) = desired.holidays.holding(day) {
        return Some(Gate::Holiday(holiday.to_owned()));
    }
    let mut exams = desired.exams.iter();
    exams
        .any(|exam| exam.holds(name, day))
        .then_some(Gate::Exam)
}

/// The opening of a window at `at`, as far as no lesson cuts it off.
fn opening(
    desired: &Desired,
    work: Work,
    windows: &Windows,
    lessons: &Windows,
    at: Timestamp,
) -> Result<Open, Closed> {
    let next = || next_opening(windows, at, desired);
    let Some(opening) = windows.opening_at(at, &desired.zone) else {
        return Err(Closed {
            gate: Gate::Window(work),
            wake: next(),
        });
    };
    if lessons.is_open(at, &desired.zone)
        && let Some(lesson) = lessons.opening_at(at, &desired.zone)
    {
        return Err(Closed {
            gate: Gate::Lessons,
            wake: Some(lesson.closes),
        });
    }
    let lesson = lessons.next_opening(at, &desired.zone);
    // The same window may still be open when the lessons are over.
    let after = lesson
        .map(|lesson| lesson.closes)
        .filter(|end| *end < opening.closes);
    Ok(Open {
        opens: opening.opens,
        closes: lesson.map_or(opening.closes, |lesson| lesson.opens.min(opening.closes)),
        next: after.or_else(next),
    })
}

fn next_opening(windows: &Windows, at: Timestamp, desired: &Desired) -> Option<Timestamp> {
    windows
        .next_opening(at, &desired.zone)
        .map(|Opening { opens, .. }| opens)
}
