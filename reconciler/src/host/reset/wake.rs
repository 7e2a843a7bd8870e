//! How fast hosts are woken, and how many are on at the same time.
//!
//! # Invariants
//!
//! Between two turns lies at least a minute divided by the pace, also when a turn came to nothing.
//! Whoever asked first is served first, for places as for turns.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::planning::action::Pace;

/// The circuit's budget while one room is reset.
#[derive(Debug)]
pub(super) struct Budget {
    places: Semaphore,
    next_turn: Mutex<Option<Instant>>,
    interval: Duration,
}

/// The right of one host to be on. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(#[expect(dead_code, reason = "held for its drop")] SemaphorePermit<'a>);

impl Budget {
    /// A budget of which nothing is taken yet.
    #[must_use]
    pub(super) fn new(pace: Pace) -> Self {
        let places = usize::try_from(pace.on_at_once.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)),
            next_turn: Mutex::new(None),
            interval: interval(pace),
        }
    }

    /// Waits until one more host may be on. None never happens: the budget is never closed.
    pub(super) async fn place(&self) -> Option<Place<'_>> {
        self.places.acquire().await.ok().map(Place)
    }

    /// Waits until the next host may be woken. The first may at once.
    pub(super) async fn turn(&self) {
        let mut next = self.next_turn.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        *next = Some(Instant::now() + self.interval);
    }
}

/// Time between two wakes.
fn interval(pace: Pace) -> Duration {
    let per_minute = NonZeroU32::new(pace.wake_per_minute).unwrap_or(NonZeroU32::MIN);
    Duration::from_secs(60) / per_minute.get()
}

/// Whole seconds between two wakes, at least one: for tools that know no finer pace. Rounded up, so
/// that the budget holds.
#[must_use]
pub(super) fn seconds_between_wakes(pace: Pace) -> u64 {
    60_u64.div_ceil(u64::from(pace.wake_per_minute.max(1)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::cell::RefCell;

    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    fn pace(wake_per_minute: u32, on_at_once: u32) -> Pace {
        Pace {
            wake_per_minute,
            on_at_once,
        }
    }

    /// Wakes `hosts` hosts that stay on for so many seconds each; when each was woken, in milliseconds.
    async fn wakes(pace: Pace, hosts: usize, on_for: u64) -> Vec<u128> {
        let budget = Budget::new(pace);
        let begin = Instant::now();
        let woken = RefCell::new(Vec::new());
        let host = async |_| {
            let place = budget.place().await.unwrap();
            budget.turn().await;
            woken.borrow_mut().push(begin.elapsed().as_millis());
            sleep(Duration::from_secs(on_for)).await;
            drop(place);
        };
        join_all((0..hosts).map(host)).await;
        woken.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn wakes_are_spread_evenly_and_the_first_comes_at_once() {
        assert_eq!(wakes(pace(6, 9), 4, 100).await, [0, 10_000, 20_000, 30_000]);
        // tokio's clock ticks in milliseconds.
        let thirds = wakes(pace(7, 9), 3, 1).await;
        assert!(
            thirds
                .windows(2)
                .all(|pair| (8571..=8573).contains(&(pair[1] - pair[0])))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_hosts_are_on_than_the_circuit_bears() {
        let expected = [0, 1_000, 300_000, 301_000, 600_000];
        assert_eq!(wakes(pace(60, 2), 5, 300).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_waiting_blocks_nobody() {
        let budget = Budget::new(pace(1, 1));
        let place = budget.place().await.unwrap();
        budget.turn().await;
        let gave_up = tokio::time::timeout(Duration::from_secs(1), budget.turn()).await;
        assert!(gave_up.is_err());
        assert!(
            tokio::time::timeout(Duration::from_secs(1), budget.place())
                .await
                .is_err()
        );
        drop(place);
        budget.place().await.unwrap();
        let begin = Instant::now();
        budget.turn().await;
        assert!(begin.elapsed() <= Duration::from_secs(59));
    }

    #[test]
    fn seconds_are_rounded_up() {
        let seconds = |n| seconds_between_wakes(pace(n, 1));
        assert_eq!(
            [0, 1, 6, 7, 59, 60, 61, u32::MAX].map(seconds),
            [60, 60, 10, 9, 2, 1, 1, 1]
        );
    }
}
