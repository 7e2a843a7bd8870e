//! What was made here of published versions: moved into the domain of the school, they take the place of what they were
//! made from; until then, the VM in which that is done has them under names of their own.
//!
//! # Invariants
//!
//! What is in place of a version was made from that very version, by the digest of its manifest in Git, for the domain
//! of this school, and is in the store as a whole. No PC has a class with a name that the VM loads. Everything that follows (exchange, torrents, waves, hosts, retention,
//! going back) is the same as for a version that belongs to no domain.

use schema::fleet::{DomainJoin, Rebrand};
use schema::name::{ImageName, VersionName};
use schema::units::Bytes;

use crate::planning::desired::{Desired, DesiredImage, Purpose};
use crate::planning::observed::Store;

impl Desired {
    /// The same with what was made here in place of the versions that it was made from. None when there is nothing.
    #[must_use]
    pub fn rebranded(&self, store: &Store) -> Option<Self> {
        let domain = &self.staff.as_ref()?.domain;
        let made = |wanted: &DesiredImage| {
            let needs = wanted.domain_join == DomainJoin::Rebrand;
            let found = needs.then(|| store.rebranded(&wanted.published, domain));
            let (digest, manifest) = found.flatten()?;
            Some(DesiredImage {
                manifest: *digest,
                size: Bytes(manifest.total_bytes()),
                diff: manifest.diff().map(|diff| Bytes(diff.size)),
                domain_join: DomainJoin::NotNeeded,
                ..wanted.clone()
            })
        };
        let mut rebranded = None;
        for (key, wanted) in &self.images {
            let change = made(wanted).map(|made| (key.clone(), made));
            if let Some((key, made)) = change.or_else(|| self.for_vm(store, key, wanted)) {
                let desired = rebranded.get_or_insert_with(|| self.clone());
                desired.images.insert(key, made);
            }
        }
        for (key, wanted) in &self.others {
            if let Some(made) = made(wanted) {
                let desired = rebranded.get_or_insert_with(|| self.clone());
                desired.others.insert(key.clone(), made);
            }
        }
        rebranded
    }

    /// What the VM is to have of a version that has to be moved, where that was made ready.
    fn for_vm(
        &self,
        store: &Store,
        (image, version): &(ImageName, VersionName),
        wanted: &DesiredImage,
    ) -> Option<((ImageName, VersionName), DesiredImage)> {
        let needs = wanted.domain_join == DomainJoin::Rebrand && self.rebrand.is_some();
        let stem = needs.then(|| Rebrand::stem(image)).flatten()?;
        let (digest, manifest) = store.renamed(&wanted.published, &stem)?;
        let for_vm = DesiredImage {
            channel: None,
            published: wanted.published,
            manifest: *digest,
            size: Bytes(manifest.total_bytes()),
            diff: manifest.diff().map(|diff| Bytes(diff.size)),
            domain_join: DomainJoin::NotNeeded,
            purpose: Purpose::Vm,
        };
        Some(((stem, version.clone()), for_vm))
    }
}
