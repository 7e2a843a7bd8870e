//! Versions in the store that nobody needs.
//!
//! # Invariants
//!
//! Needed are the versions that rooms and test classes that are not over are to have, those that lie in LINBO's folder
//! or lay there before, so that one can go back, and those that a host runs by the ledger. Of what could not be seen,
//! all may be needed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use schema::digest::Digest;
use schema::name::{ImageName, VersionName};

use crate::manifest::Manifest;
use crate::planning::desired::{Desired, Purpose};
use crate::planning::gates::SKEW;
use crate::planning::journal::Entry;
use crate::planning::ledger::Ledger;
use crate::planning::observed::{Observed, Probe};

/// How long a version stays that nobody needs: a commit that is taken back costs no second download.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The versions that nobody needs, by the digests of their manifests. None when that cannot be told.
#[must_use]
pub fn unneeded<'a>(
    desired: &Desired,
    observed: &'a Observed,
) -> Option<BTreeMap<Digest, &'a Manifest>> {
    let mut unneeded = unneeded_here(desired, observed)?;
    if !unneeded.is_empty() {
        let run = run(&Ledger::of(desired, observed));
        unneeded.retain(|_, manifest| {
            !run.contains(&(manifest.image().clone(), manifest.version().clone()))
        });
    }
    Some(unneeded)
}

/// The versions that nobody needs, but perhaps hosts: those are looked at when it matters, since they are many.
pub(super) fn unneeded_here<'a>(
    desired: &Desired,
    observed: &'a Observed,
) -> Option<BTreeMap<Digest, &'a Manifest>> {
    let store = observed.store.seen()?;
    let kept = observed.kept.seen()?;
    observed.devices.seen()?;
    let today = observed.at.to_zoned(desired.zone.clone()).date();
    let is_over = |purpose| matches!(purpose, Purpose::TestClass { until } if until < today);
    let wanted = desired.images.values();
    let wanted = wanted.filter(|wanted| !is_over(wanted.purpose));
    // What was moved into the domain may have to be moved there once more.
    let wanted = wanted.flat_map(|wanted| [&wanted.manifest, &wanted.published]);
    let wanted: BTreeSet<&Digest> = wanted.collect();
    let may_be_live = |manifest: &Manifest| match observed.live.get(manifest.image()) {
        Some(Probe::Seen(live)) => live.holds(manifest),
        Some(Probe::Unseen(_)) => true,
        // The folders of all images of the store are among what is kept.
        None => false,
    };
    let unneeded = store
        .manifests
        .iter()
        .filter(|(digest, manifest)| {
            !wanted.contains(digest) && !is_kept(manifest, kept) && !may_be_live(manifest)
        })
        .map(|(digest, manifest)| (*digest, manifest));
    Some(unneeded.collect())
}

/// Whether all image files of a version lie in sets that are kept.
fn is_kept(manifest: &Manifest, kept: &BTreeSet<Digest>) -> bool {
    let mut files = std::iter::once(manifest.base()).chain(manifest.diff());
    files.all(|file| kept.contains(&file.sha256))
}

/// The versions that hosts run, as far as they are known by name.
fn run(ledger: &Ledger<'_>) -> BTreeSet<(ImageName, VersionName)> {
    let hosts = ledger.rooms.values().flat_map(|room| room.hosts.values());
    let applied = hosts.flat_map(|host| &host.applied);
    let versions = applied.filter_map(|(image, applied)| {
        let version = applied.version?;
        Some((image.clone(), version.clone()))
    });
    versions.collect()
}

/// What is to be noted of versions: which nobody needs any more, and of which that is over. None when nothing is, or
/// when it cannot be told.
#[must_use]
pub fn changes(desired: &Desired, observed: &Observed) -> Option<Entry> {
    let now = unneeded(desired, observed)?;
    let known = observed.journal.unneeded();
    let over = known.keys().filter(|digest| !now.contains_key(digest));
    let over: Vec<_> = over.copied().collect();
    // What a wrong clock noted for a time to come counts from now on.
    let is_noted = |digest: &Digest| {
        let since = known.get(digest);
        since.is_some_and(|since| *since <= observed.at + SKEW)
    };
    let unneeded: Vec<_> = now.into_keys().filter(|digest| !is_noted(digest)).collect();
    (!unneeded.is_empty() || !over.is_empty()).then_some(Entry::Versions { unneeded, over })
}
