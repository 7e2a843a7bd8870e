//! Versions in the store that nobody needs: deleted after a while, or as soon as a download needs their space.

use jiff::Timestamp;
use schema::digest::Digest;
use schema::units::Bytes;

use crate::planning::action::{Action, Reason, Step};
use crate::planning::desired::Desired;
use crate::planning::gates::{Gate, SKEW};
use crate::planning::observed::Observed;
use crate::planning::plan::{Drafts, Plan};
use crate::planning::retention::{PATIENCE, unneeded, unneeded_here};

pub(super) fn propose(desired: &Desired, observed: &Observed, drafts: &mut Drafts<'_>) {
    let (Some(store), Some(here)) = (observed.store.seen(), unneeded_here(desired, observed))
    else {
        return;
    };
    let noted = observed.journal.unneeded();
    let since = |digest: &Digest| noted.get(digest).copied();
    let ends = here.keys().filter_map(since).map(|since| since + PATIENCE);
    let is_due = ends.clone().any(|ends| ends <= observed.at);
    if !is_due && shortage(drafts.so_far()) == 0 {
        ends.for_each(|ends| drafts.wake(ends));
        return;
    }
    let Some(unneeded) = unneeded(desired, observed) else {
        return;
    };
    let mut oldest_first: Vec<_> = unneeded.into_iter().collect();
    oldest_first.sort_by_key(|(digest, _)| since(digest).unwrap_or(Timestamp::MAX));
    let mut short = shortage(drafts.so_far());
    for (digest, manifest) in oldest_first {
        let bytes = store.weight(&digest);
        let since = since(&digest).filter(|since| *since <= observed.at + SKEW);
        let ends = since.map(|since| since + PATIENCE);
        let reason = match (since, ends) {
            (Some(since), Some(ends)) if ends <= observed.at => Reason::Unneeded { since },
            _ if short > 0 && bytes > 0 => Reason::SpaceShort,
            (_, Some(ends)) => {
                drafts.wake(ends);
                continue;
            }
            // It is noted when the pass ends.
            (_, None) => continue,
        };
        short = short.saturating_sub(bytes);
        let action = Action::Delete {
            image: manifest.image().clone(),
            version: manifest.version().clone(),
            manifest: digest,
            bytes: Bytes(bytes),
        };
        drafts.step(Step::new(action, reason));
    }
}

/// The bytes that the download needs which lacks most.
fn shortage(plan: &Plan) -> u64 {
    let lacks = plan.holds.iter().filter_map(|hold| match &hold.gate {
        Gate::NoSpace { needed, free } => Some(needed.0.saturating_sub(free.0)),
        _ => None,
    });
    lacks.max().unwrap_or(0)
}
