//! Images that people let go back to a version.

use std::sync::Arc;

use reconciler::planning::{Probe, RolledBack};

use super::{World, manifest_digest, name};

impl World {
    /// Somebody orders that an image of rooms goes back to a version of the same size, which the state repo names, or
    /// named when it was ordered.
    pub fn roll_back(&mut self, image: &str, to: &str, is_named: bool) {
        let wanted = self.desired.of_rooms(&name(image));
        let Some((_, wanted)) = wanted else { return };
        let order = RolledBack {
            from: wanted.published,
            to: name(to),
            since: self.observed.at,
            reason: "no sound".to_owned(),
            by: "anna".to_owned(),
        };
        let mut other = wanted.clone();
        other.channel = None;
        other.published = manifest_digest(image, to);
        other.manifest = other.published;
        if is_named {
            self.desired.others.insert((name(image), name(to)), other);
        }
        if let Probe::Seen(orders) = &mut self.observed.orders {
            orders.roll_back(name(image), order);
        }
        self.obey();
    }

    /// Lets people's orders count.
    pub fn obey(&mut self) {
        let desired = self.observed.obeyed(&Arc::new(self.desired.clone()));
        self.desired = Arc::unwrap_or_clone(desired);
    }
}
