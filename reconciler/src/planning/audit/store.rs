//! Whether a version may go, judged anew: nothing is deleted that is wanted, live, in use or the last good one.

use jiff::SignedDuration;
use schema::digest::Digest;
use schema::fleet::{DomainJoin, Rebrand};

use super::Court;
use super::care::Evidence;
use crate::manifest::Manifest;
use crate::planning::action::Action;
use crate::planning::desired::{DesiredImage, Purpose};
use crate::planning::observed::{Probe, Store};

/// For how long nobody has to have needed a version that is deleted though there is space.
const LONG: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Court<'_> {
    /// Whether a version that is deleted is needed by nobody, nor soon will be.
    pub(super) fn hear_deletion(
        &self,
        action: &Action,
        evidence: &Evidence<'_>,
        check: &mut impl FnMut(bool, &str),
    ) {
        let Action::Delete {
            image,
            version,
            manifest: digest,
            ..
        } = action
        else {
            return;
        };
        let (Some(store), Some(kept), Some(_)) = (
            self.observed.store.seen(),
            self.observed.kept.seen(),
            self.devices(),
        ) else {
            return check(false, "does not know what is needed");
        };
        let Some(manifest) = store.manifests.get(digest) else {
            return check(false, "deletes what is not in the store");
        };
        check(
            manifest.image() == image && manifest.version() == version,
            "deletes another version than it names",
        );
        let mut wanted = self.desired.images.values();
        check(
            !wanted.any(|wanted| {
                [wanted.manifest, wanted.published].contains(digest) && self.is_needed(wanted)
            }),
            "deletes what is wanted",
        );
        let is_live = match self.observed.live.get(image) {
            Some(Probe::Seen(live)) => live.holds(manifest),
            Some(Probe::Unseen(_)) => true,
            None => false,
        };
        check(!is_live, "deletes what is live");
        let base = kept.contains(&manifest.base().sha256);
        let diff = manifest.diff().map(|diff| kept.contains(&diff.sha256));
        check(
            !(base && diff.unwrap_or(true)),
            "deletes what is live or was before",
        );
        check(!evidence.runs(image, version), "deletes what a host runs");
        let since = self.observed.journal.unneeded().get(digest);
        let long = since.is_some_and(|since| *since + LONG <= self.observed.at);
        check(
            long || self.lacks_space(store),
            "deletes what was needed not long ago, though there is space",
        );
    }

    /// Whether a download that is wanted does not fit in, or the copy that a VM is to get.
    fn lacks_space(&self, store: &Store) -> bool {
        let mut wanted = self.desired.images.iter();
        wanted.any(|((image, _), wanted)| {
            let is_there = |manifest: &Manifest| {
                let mut files = manifest.files().iter();
                files.all(|file| store.objects.contains(&file.sha256))
            };
            let known = store.manifests.get(&wanted.manifest);
            let lacks = |digest: &Digest| {
                let moved = store.missing(digest).unwrap_or(wanted.size.0);
                moved.saturating_add(moved / 10) > store.free
            };
            let is_there = known.is_some_and(is_there);
            let for_vm =
                self.desired.rebrand.is_some() && wanted.domain_join == DomainJoin::Rebrand;
            let copied = wanted.diff.map_or(0, |diff| diff.0);
            let lacks_copy = || {
                let stem = Rebrand::stem(image);
                let is_made =
                    stem.is_some_and(|to| store.renamed(&wanted.published, &to).is_some());
                for_vm && !is_made && copied.saturating_add(copied / 10) > store.free
            };
            self.is_needed(wanted)
                && if is_there {
                    lacks_copy()
                } else {
                    lacks(&wanted.manifest)
                }
        })
    }

    /// Whether it is wanted now: a test class may be over.
    fn is_needed(&self, wanted: &DesiredImage) -> bool {
        match wanted.purpose {
            Purpose::Rooms | Purpose::Vm => true,
            Purpose::TestClass { until } => {
                let today = self.observed.at.to_zoned(self.desired.zone.clone());
                today.date() <= until
            }
        }
    }
}
