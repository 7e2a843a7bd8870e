//! What was made here of published versions: moved into the domain of the school, they take the place of what they were
//! made from.
//!
//! # Invariants
//!
//! What is in place of a version was made from that very version, by the digest of its manifest in Git, for the domain
//! of this school, and is in the store as a whole. Everything that follows (exchange, torrents, waves, hosts, retention,
//! going back) is the same as for a version that belongs to no domain.

use schema::fleet::DomainJoin;
use schema::units::Bytes;

use crate::planning::desired::{Desired, DesiredImage};
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
            if let Some(made) = made(wanted) {
                let desired = rebranded.get_or_insert_with(|| self.clone());
                desired.images.insert(key.clone(), made);
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
}
