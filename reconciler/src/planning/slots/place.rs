//! One release onto the line, in what earlier ones left of it.
//!
//! Time goes from one event to the next: a window opens or closes, an earlier release begins or ends, somebody is
//! through. At each, the line is shared out in the order of how hard they are to serve: whose own line makes him need
//! most nights, whose window closes first, who has begun already, who lacks least.
//!
//! The line is never left idle while somebody could use it, but for two things: what could be moved in a few minutes
//! before a window closes is moved in the next one, and nobody begins at a small part of the rate that fits.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schema::name::SchoolName;
use schema::schedule::Opening;
use schema::units::Rate;

use super::{CONTENT, Kind, LEAST, Release, SHORTEST, Slot, SlotKind, Slots};

/// Thousandths of a bit: what a rate of one bit per second moves in a millisecond.
type Amount = u128;

/// A release that is not through after so long is given up: it will have been replaced.
const LONGEST: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Until something moves: a connection, a login, two lists of files.
pub(super) const START: SignedDuration = SignedDuration::from_secs(4);
/// What takes less than one part in so many of a window is not begun when it cannot be ended in it.
const SHORT: u64 = 20;
/// What still takes so many milliseconds is worth a new beginning.
const LONG: u64 = 120_000;
/// Nobody begins at less than one part in so many of the rate that suits.
const WORTH: u64 = 4;

/// A school that lacks something.
struct Want<'a> {
    school: &'a SchoolName,
    kind: usize,
    /// What its line may give.
    most: u64,
    left: Amount,
    now: Option<Run>,
}

/// A slot that has begun.
#[derive(Clone, Copy)]
struct Run {
    from: Timestamp,
    rate: u64,
}

impl Run {
    /// From when on something moves.
    fn moves(self) -> Timestamp {
        later(self.from, START)
    }
}

/// Adds the slots of a release.
pub(super) fn place(slots: &mut Slots, release: &Release) {
    let uplink = slots.uplink.bits();
    let wants = release.lacks.iter().filter_map(|(school, bytes)| {
        let (kind, rate) = slots.schools.get_key_value(school)?.1;
        let bits = Amount::from(*bytes) * 8 * Amount::from(CONTENT.1) / Amount::from(CONTENT.0);
        Some(Want {
            school,
            kind: *kind,
            most: rate.map_or(uplink, |rate| rate.bits().min(uplink)),
            left: bits * 1000,
            now: None,
        })
    });
    let mut wants: Vec<Want<'_>> = wants.filter(|want| want.left > 0).collect();
    let end = release.at.saturating_add(LONGEST).unwrap_or(release.at);
    let mut at = release.at;
    let mut openings = Openings::new(slots.kinds.len());
    let mut granted = BTreeMap::new();
    while !wants.is_empty() && at < end {
        openings.look(&slots.kinds, at);
        let free = uplink.saturating_sub(slots.used.at(at));
        share(&mut wants, &openings, at, (uplink, free), &mut granted);
        let events = [openings.next(at), slots.used.changes_after(at)];
        let ends = wants.iter().filter_map(|want| want.ends(at));
        let Some(next) = events.into_iter().flatten().chain(ends).min() else {
            break;
        };
        for want in &mut wants {
            if let Some(run) = want.now {
                let took = millis(next.min(end), run.moves().max(at));
                let moved = Amount::from(run.rate) * Amount::from(took);
                want.left = want.left.saturating_sub(moved);
            }
        }
        at = next;
        wants.retain_mut(|want| {
            if want.left == 0 {
                want.stop(at, &mut granted);
            }
            want.left > 0
        });
    }
    for want in &mut wants {
        want.stop(at.min(end), &mut granted);
    }
    for (school, new) in granted {
        for slot in &new {
            slots.used.add(slot.from, slot.until, slot.rate);
        }
        let own = slots.own.entry(school).or_default();
        own.extend(new);
        own.sort_by_key(|slot| slot.from);
    }
}

/// Shares out what is free: the hardest to serve first, and of equal ones those that have begun, at the rate that they
/// have. Who has begun and gets nothing stops.
fn share(
    wants: &mut [Want<'_>],
    openings: &Openings,
    at: Timestamp,
    (uplink, mut free): (u64, u64),
    granted: &mut BTreeMap<SchoolName, Vec<Slot>>,
) {
    let mut open = Vec::new();
    for want in wants {
        match openings.open(want.kind, at) {
            Some(opening) => open.push((want, opening)),
            None => want.stop(at, granted),
        }
    }
    open.sort_by_cached_key(|(want, open)| {
        let whole = millis(open.closes, open.opens).max(1);
        // A line that gives less than the uplink cannot make good later what it misses now.
        let nights = if want.most < uplink {
            want.takes(want.most).div_ceil(whole)
        } else {
            1
        };
        let begun = want.now.map(|run| run.from);
        (
            Reverse(nights),
            open.closes,
            begun.is_none(),
            begun,
            want.left,
            want.school.clone(),
        )
    });
    for (want, open) in &mut open {
        match want.now {
            Some(run) if run.rate <= free => free -= run.rate,
            Some(_) => want.stop(at, granted),
            None => {
                if let Some(rate) = want.begins(*open, at, free) {
                    want.now = Some(Run { from: at, rate });
                    free -= rate;
                }
            }
        }
    }
    // Those who would be the last get what nobody else wants.
    for (want, _) in open {
        if let Some(run) = want.now
            && run.from < at
        {
            let rate = want.most.min(round_down(run.rate + free));
            if rate >= run.rate.saturating_mul(2) && want.takes(run.rate) >= LONG {
                want.stop(at, granted);
                want.now = Some(Run { from: at, rate });
                free -= rate - run.rate;
            }
        }
    }
}

impl Want<'_> {
    /// The rate at which it begins in an opening, if that is worth it.
    fn begins(&self, open: Opening, at: Timestamp, free: u64) -> Option<u64> {
        let (whole, rest) = (
            millis(open.closes, open.opens),
            millis(open.closes, later(at, START)),
        );
        let suits = self.suits();
        // Faster than suits, where it would not be through tonight otherwise.
        let hurry = self.left.div_ceil(Amount::from(rest.max(1)));
        let hurry = round_up(u64::try_from(hurry).unwrap_or(u64::MAX)).min(self.most);
        let rate = suits.max(hurry).min(round_down(free));
        let is_short = self.takes(suits).saturating_mul(SHORT) <= whole;
        let is_worth_it = rate >= (suits / WORTH).max(LEAST.min(suits));
        (is_worth_it && (self.takes(rate) <= rest || !is_short)).then_some(rate)
    }

    /// The rate at which its slot is not too short.
    fn suits(&self) -> u64 {
        let shortest = Amount::from(SHORTEST.as_millis().unsigned_abs());
        let rate = u64::try_from(self.left.div_ceil(shortest)).unwrap_or(u64::MAX);
        round_up(rate.max(LEAST)).min(self.most)
    }

    /// Milliseconds until it is through at a rate.
    fn takes(&self, rate: u64) -> u64 {
        u64::try_from(self.left.div_ceil(Amount::from(rate.max(1)))).unwrap_or(u64::MAX)
    }

    fn ends(&self, at: Timestamp) -> Option<Timestamp> {
        let run = self.now?;
        let takes = i64::try_from(self.takes(run.rate)).unwrap_or(i64::MAX);
        let moves = run.moves().max(at);
        moves.checked_add(SignedDuration::from_millis(takes)).ok()
    }

    fn stop(&mut self, at: Timestamp, granted: &mut BTreeMap<SchoolName, Vec<Slot>>) {
        if let Some(run) = self.now.take()
            && let Some(rate) = Rate::bits_per_second(run.rate)
        {
            granted.entry(self.school.clone()).or_default().push(Slot {
                from: run.from,
                until: at,
                rate,
                kind: SlotKind::Own,
            });
        }
    }
}

/// Which windows are open, or when they open next, looked up once for all schools that have them.
struct Openings(Vec<Option<Opening>>);

impl Openings {
    fn new(kinds: usize) -> Self {
        Self(vec![None; kinds])
    }

    fn look(&mut self, kinds: &[Kind], at: Timestamp) {
        for (known, kind) in self.0.iter_mut().zip(kinds) {
            if known.is_none_or(|known| known.closes <= at) {
                let open = kind.windows.opening_at(at, &kind.zone);
                *known = open.or_else(|| kind.windows.next_opening(at, &kind.zone));
            }
        }
    }

    fn open(&self, kind: usize, at: Timestamp) -> Option<Opening> {
        let opening = (*self.0.get(kind)?)?;
        (opening.opens <= at).then_some(opening)
    }

    fn next(&self, at: Timestamp) -> Option<Timestamp> {
        let edges = self
            .0
            .iter()
            .flatten()
            .flat_map(|opening| [opening.opens, opening.closes]);
        edges.filter(|edge| at < *edge).min()
    }
}

/// Rates are multiples of this, for people's sake, where they are not lower.
const STEP: u64 = 100_000;

const fn round_up(rate: u64) -> u64 {
    rate.div_ceil(STEP).saturating_mul(STEP)
}

pub(super) const fn round_down(rate: u64) -> u64 {
    match rate / STEP {
        0 => rate,
        steps => steps * STEP,
    }
}

/// An instant some time later: commits may be of any time, the last one that there is among them.
fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(at)
}

/// Milliseconds from one instant to a later one.
fn millis(later: Timestamp, at: Timestamp) -> u64 {
    u64::try_from(later.duration_since(at).as_millis()).unwrap_or(0)
}
