//! The central server's line, which all schools share, and the schools' own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::time::{Due, Moment, Time};

/// A transfer from the central server.
struct Transfer {
    site: usize,
    life: u64,
    /// What it was granted, in bytes per second.
    granted: u64,
    /// What the school's line lets through of that.
    most: u64,
    /// What it gets, in bytes per second.
    rate: u64,
    /// Thousandths of bytes moved until `Uplink::since`.
    moved: u64,
    waker: Option<Waker>,
}

/// The line and what moves on it.
#[derive(Default)]
pub(super) struct Uplink {
    /// What it carries, in bytes per second; no limit when absent.
    pub(super) capacity: Option<u64>,
    transfers: RefCell<BTreeMap<u64, Transfer>>,
    numbers: Cell<u64>,
    since: Cell<Moment>,
}

impl Uplink {
    pub(super) fn new(capacity: Option<u64>) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// What is asked of it at the moment, in bytes per second.
    pub(super) fn asked(&self) -> u64 {
        self.transfers
            .borrow()
            .values()
            .fold(0, |sum, transfer| sum.saturating_add(transfer.granted))
    }

    /// What moves at the moment, in bytes per second.
    pub(super) fn moving(&self) -> u64 {
        self.transfers
            .borrow()
            .values()
            .map(|transfer| transfer.rate)
            .sum()
    }

    /// Takes in what was moved until now, and shares the line anew: nobody gets more than he may have,
    /// and nobody who could use more gets less than another.
    fn share(&self, time: &Time) {
        let mut transfers = self.transfers.borrow_mut();
        let elapsed = u64::try_from(time.now() - self.since.replace(time.now())).unwrap_or(0);
        for transfer in transfers.values_mut() {
            transfer.moved += transfer.rate * elapsed;
        }
        let mut left = self.capacity.unwrap_or(u64::MAX);
        let mut by_most: Vec<(u64, u64)> = transfers
            .iter()
            .map(|(number, one)| (one.most, *number))
            .collect();
        by_most.sort_unstable();
        let mut waiting = by_most.len() as u64;
        for (most, number) in by_most {
            let rate = most.min(left / waiting);
            left -= rate;
            waiting -= 1;
            if let Some(transfer) = transfers.get_mut(&number)
                && transfer.rate != rate
            {
                transfer.rate = rate;
                if let Some(waker) = transfer.waker.take() {
                    time.at(
                        time.now(),
                        Due::Task {
                            site: transfer.site,
                            life: transfer.life,
                            waker,
                        },
                    );
                }
            }
        }
    }

    /// From now on a school's line carries so many hundredths of what it should.
    pub(super) fn slow(&self, time: &Time, site: usize, percent: u32) {
        self.share(time);
        for transfer in self
            .transfers
            .borrow_mut()
            .values_mut()
            .filter(|transfer| transfer.site == site)
        {
            transfer.most = part(transfer.granted, percent);
        }
        self.share(time);
    }
}

fn part(whole: u64, percent: u32) -> u64 {
    whole / 100 * u64::from(percent)
}

/// A transfer that runs as long as this lives.
pub(super) struct Stream {
    uplink: Rc<Uplink>,
    time: Rc<Time>,
    number: u64,
    site: usize,
    life: u64,
}

impl Stream {
    pub(super) fn open(
        uplink: &Rc<Uplink>,
        time: &Rc<Time>,
        site: usize,
        life: u64,
        granted: u64,
        percent: u32,
    ) -> Self {
        let number = uplink.numbers.get();
        uplink.numbers.set(number + 1);
        let transfer = Transfer {
            site,
            life,
            granted,
            most: part(granted, percent),
            rate: 0,
            moved: 0,
            waker: None,
        };
        uplink.transfers.borrow_mut().insert(number, transfer);
        uplink.share(time);
        Self {
            uplink: Rc::clone(uplink),
            time: Rc::clone(time),
            number,
            site,
            life,
        }
    }

    /// Bytes moved until now, and bytes per second.
    pub(super) fn progress(&self) -> (u64, u64) {
        self.uplink.share(&self.time);
        let transfers = self.uplink.transfers.borrow();
        transfers
            .get(&self.number)
            .map_or((0, 0), |transfer| (transfer.moved / 1000, transfer.rate))
    }

    /// Waits until so many bytes may have been moved, but not longer than until `latest`, and not longer
    /// than the rate stays as it is.
    pub(super) fn more(&self, bytes: u64, latest: Moment) -> More<'_> {
        let (moved, rate) = self.progress();
        let left = bytes.saturating_sub(moved);
        let milliseconds = (left * 1000).checked_div(rate);
        let milliseconds = milliseconds
            .and_then(|some| i64::try_from(some + 1).ok())
            .unwrap_or(i64::MAX / 4);
        More {
            stream: self,
            rate,
            until: latest.min(self.time.now() + milliseconds),
            asked: false,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.uplink.share(&self.time);
        self.uplink.transfers.borrow_mut().remove(&self.number);
        self.uplink.share(&self.time);
    }
}

/// See [`Stream::more`].
pub(super) struct More<'s> {
    stream: &'s Stream,
    rate: u64,
    until: Moment,
    asked: bool,
}

impl Future for More<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Stream {
            uplink,
            time,
            number,
            site,
            life,
        } = self.stream;
        let mut transfers = uplink.transfers.borrow_mut();
        let Some(transfer) = transfers.get_mut(number) else {
            return Poll::Ready(());
        };
        if time.now() >= self.until || transfer.rate != self.rate {
            return Poll::Ready(());
        }
        transfer.waker = Some(context.waker().clone());
        if !self.asked {
            let (at, site, life) = (self.until, *site, *life);
            time.at(
                at,
                Due::Task {
                    site,
                    life,
                    waker: context.waker().clone(),
                },
            );
            self.asked = true;
        }
        Poll::Pending
    }
}
