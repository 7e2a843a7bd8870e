//! Going back: what people ordered of an image on this server takes the place of the version that the state repo names.
//!
//! # Invariants
//!
//! An order speaks of one version, by the digest of its manifest: once the state repo names another, it means nothing.
//! What an image goes back to is a version that Git names, so it is verified like any other, and put in place like any
//! other. Whatever becomes of it, the version that people went back from is not put in place.

use schema::name::{ImageName, VersionName};

use crate::planning::desired::Desired;
use crate::planning::gates::Gate;
use crate::planning::orders::{Orders, RolledBack};

/// The version that an image went back from, and who wanted that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneBack {
    /// The version that the state repo names.
    pub from: VersionName,
    /// The order.
    pub order: RolledBack,
}

impl Desired {
    /// What is to be made true by what people ordered on this server: images are to have the version that they go back
    /// to. None when that is what the state repo says.
    #[must_use]
    pub fn obeying(&self, orders: &Orders) -> Option<Self> {
        let mut obeying = None;
        for (image, order) in orders.rolled_back() {
            let wanted = self.of_rooms(image);
            let Some((from, _)) = wanted.filter(|(_, wanted)| wanted.published == order.from)
            else {
                continue;
            };
            let desired = obeying.get_or_insert_with(|| self.clone());
            desired.images.remove(&(image.clone(), from.clone()));
            let to = (image.clone(), order.to.clone());
            if let Some(other) = self.others.get(&to) {
                desired.images.insert(to, other.clone());
            }
            let gone_back = GoneBack {
                from: from.clone(),
                order: order.clone(),
            };
            desired.gone_back.insert(image.clone(), gone_back);
        }
        obeying
    }
}

impl GoneBack {
    /// What the version that the state repo names waits for.
    #[must_use]
    pub fn gate(&self, desired: &Desired, image: &ImageName) -> Gate {
        let RolledBack { to, reason, by, .. } = &self.order;
        Gate::RolledBack {
            image: image.clone(),
            to: to.clone(),
            is_there: desired.images.contains_key(&(image.clone(), to.clone())),
            reason: reason.clone(),
            by: by.clone(),
        }
    }
}
