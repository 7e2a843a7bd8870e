//! Virtual time: nothing waits, the clock jumps to whatever happens next.
//!
//! # Invariants
//!
//! What is due at the same instant happens in the order in which it was asked for.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// An instant of the simulated world's true time, in milliseconds since 1970. Clocks of servers may differ from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub i64);

/// A second, in the milliseconds by which moments count.
pub const SECOND: i64 = 1000;
/// A minute.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Twenty-four hours.
pub const DAY: i64 = 24 * HOUR;

impl Moment {
    /// The same instant.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        // The first millisecond that is not before it: whoever waits for an instant must not wake too early.
        Self(
            at.as_nanosecond().div_euclid(1_000_000) as i64
                + i64::from(at.as_nanosecond() % 1_000_000 != 0),
        )
    }
}

impl Add<i64> for Moment {
    type Output = Self;

    fn add(self, milliseconds: i64) -> Self {
        Self(self.0 + milliseconds)
    }
}

impl Sub for Moment {
    type Output = i64;

    fn sub(self, other: Self) -> i64 {
        self.0 - other.0
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

/// Whether clocks change within hours: then the clock on the wall does not tell.
pub(super) fn clocks_change(at: Timestamp, zone: &TimeZone) -> bool {
    let hours = SignedDuration::from_hours(4);
    zone.to_offset(at - hours) != zone.to_offset(at + hours)
}

/// What is due.
#[derive(Debug)]
pub(super) enum Due {
    /// A pass goes on, if it is still the one that asked.
    Task {
        site: usize,
        life: u64,
        waker: Waker,
    },
    /// A server looks whether there is something to do.
    Look { site: usize },
    /// The world turns: the event of this number happens.
    Turn(usize),
}

struct Alarm {
    at: Moment,
    number: u64,
    due: Due,
}

impl PartialEq for Alarm {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Alarm {}

impl PartialOrd for Alarm {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Alarm {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The clock of the world and all that is to come.
pub(super) struct Time {
    now: Cell<Moment>,
    numbers: Cell<u64>,
    alarms: RefCell<BinaryHeap<Reverse<Alarm>>>,
    /// Stands for the beginning of the simulation, whose monotonic clock counts from here.
    base: Instant,
    began: Moment,
}

impl Time {
    pub(super) fn new(began: Moment) -> Self {
        Self {
            now: Cell::new(began),
            numbers: Cell::new(0),
            alarms: RefCell::default(),
            base: Instant::now(),
            began,
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.now.get()
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + Duration::from_millis(u64::try_from(self.now() - self.began).unwrap_or(0))
    }

    pub(super) fn at(&self, at: Moment, due: Due) {
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        self.alarms.borrow_mut().push(Reverse(Alarm {
            at: at.max(self.now()),
            number,
            due,
        }));
    }

    /// Jumps to what is due next, unless that is after `end`.
    pub(super) fn advance(&self, end: Moment) -> Option<Due> {
        let mut alarms = self.alarms.borrow_mut();
        if alarms.peek()?.0.at > end {
            return None;
        }
        let Reverse(alarm) = alarms.pop()?;
        self.now.set(alarm.at);
        Some(alarm.due)
    }

    pub(super) fn set(&self, now: Moment) {
        self.now.set(now);
    }
}

/// Resolves at a moment.
pub(super) struct Until {
    pub(super) time: Rc<Time>,
    pub(super) at: Moment,
    pub(super) site: usize,
    pub(super) life: u64,
    pub(super) asked: bool,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.now() >= self.at {
            return Poll::Ready(());
        }
        if !self.asked {
            self.asked = true;
            let waker = context.waker().clone();
            self.time.at(
                self.at,
                Due::Task {
                    site: self.site,
                    life: self.life,
                    waker,
                },
            );
        }
        Poll::Pending
    }
}
