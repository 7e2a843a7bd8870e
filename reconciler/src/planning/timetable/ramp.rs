//! How long the hosts of a circuit take at least, since an evening begins and ends with few of them on.
//!
//! Nobody is on that was not woken, and so many minutes after the beginning only that many minutes' wakes were: those of
//! the circuit, and no more of each batch than its narrowest circuits let through. An evening ends alike: who is on so
//! many minutes before the end goes off within them. Hosts that take equally long go off as far apart as they were
//! woken, so those of a batch go off at its pace, and those of the circuit at its pace for each length that there is.
//!
//! In the first half of any timetable no more are on than the first says, in the second half no more than the second.
//! Twice the time in which both together bear the time of all hosts is therefore no longer than any timetable.

use std::collections::{BTreeMap, BTreeSet};

use super::Batch;
use super::bound::{MINUTE, Nanos};
use crate::planning::action::{Circuit, Pace};

/// After so many minutes all are taken for woken that there are.
const MINUTES: Nanos = 600;

/// How long these batches take at least on one circuit of this pace, from when the first may be woken.
pub(super) fn takes(pace: Pace, batches: &[&Batch<'_>], paces: &BTreeMap<&Circuit, Pace>) -> Nanos {
    let lengths: BTreeSet<_> = batches.iter().map(|batch| length(batch)).collect();
    let kinds = Nanos::try_from(lengths.len()).unwrap_or(Nanos::MAX);
    let narrowest: Vec<(Nanos, Pace)> = batches
        .iter()
        .map(|batch| (hosts(batch), narrowest(batch, paces)))
        .collect();
    let on = Nanos::from(pace.on_at_once);
    let per_minute = Nanos::from(pace.wake_per_minute);
    // At the beginning and at the end, so many minutes from there.
    let bear = |minutes: Nanos| {
        let of_batches = narrowest.iter().map(|(hosts, pace)| {
            let woken = Nanos::from(pace.wake_per_minute).saturating_mul(minutes);
            woken.min(Nanos::from(pace.on_at_once)).min(*hosts)
        });
        let most = on.min(of_batches.fold(0, Nanos::saturating_add));
        let begin = most.min(per_minute.saturating_mul(minutes));
        let end = most.min(per_minute.saturating_mul(minutes).saturating_mul(kinds));
        begin.saturating_add(end)
    };
    let mut rest = batches.iter().fold(0, |work: Nanos, batch| {
        work.saturating_add(hosts(batch).saturating_mul(length(batch)))
    });
    let all = bear(Nanos::from(u32::MAX)).max(1);
    let mut half: Nanos = 0;
    for minutes in 1..=MINUTES {
        let borne = bear(minutes);
        let in_minute = borne.saturating_mul(MINUTE);
        if borne == all || in_minute >= rest {
            return half.saturating_add(rest / borne.max(1)).saturating_mul(2);
        }
        rest -= in_minute;
        half = half.saturating_add(MINUTE);
    }
    half.saturating_add(rest / all).saturating_mul(2)
}

/// The least that any circuit of a batch bears.
fn narrowest(batch: &Batch<'_>, paces: &BTreeMap<&Circuit, Pace>) -> Pace {
    let own = batch.circuits.iter().filter_map(|(of, _)| paces.get(of));
    own.fold(Pace::UNBOUNDED, |least, pace| Pace {
        wake_per_minute: least.wake_per_minute.min(pace.wake_per_minute),
        on_at_once: least.on_at_once.min(pace.on_at_once),
    })
}

fn hosts(batch: &Batch<'_>) -> Nanos {
    Nanos::try_from(batch.hosts).unwrap_or(Nanos::MAX)
}

fn length(batch: &Batch<'_>) -> Nanos {
    batch.each.as_nanos().max(0)
}
