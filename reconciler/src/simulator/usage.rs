//! What the hands find on a host that is to be reset: whether somebody works at it.

use jiff::Timestamp;
use schema::name::{HostName, ImageName};

use super::bug::Bug;
use super::chance::Chance;
use super::event::What;
use super::fault::Kind;
use super::pc::{Phase, Usage};
use super::port::Port;
use super::truth::Contents;
use crate::linbo::verdict::HostOutcome;
use crate::world::Senses as _;

impl Port {
    /// Why a host must not be touched now; none when it may. What cannot be found out counts as in use.
    pub(super) fn in_use(
        &self,
        host: &HostName,
        force_from: Option<Timestamp>,
    ) -> Option<HostOutcome> {
        let Phase::Up(usage) = self.school().borrow().pcs.get(host)?.phase else {
            return None;
        };
        let is_forced = force_from.is_some_and(|from| from <= self.now());
        let why = match usage {
            Usage::Nobody => return None,
            _ if is_forced || self.has(Bug::IgnoresPeople) => return None,
            Usage::Somebody => "somebody is logged in",
            Usage::Unreadable => "its operating system gave no readable answer who is logged in",
        };
        let why = why.to_owned();
        Some(HostOutcome::InUse { why })
    }

    /// Wakes a host, or restarts it where its operating system is up.
    pub(super) fn wake(&self, host: &HostName) {
        let now = self.true_now();
        let deaf = self.is(|kind| matches!(kind, Kind::DeadWake(dead) if dead == host));
        let slow = self.is(|kind| matches!(kind, Kind::Slow(slow) if slow == host));
        let mut luck = self.luck(host.as_str(), now);
        let boot = if slow {
            luck.between(super::reset::ANSWER * 3 / 2, super::reset::ANSWER * 3)
        } else {
            luck.between(70 * super::time::SECOND, 4 * super::time::MINUTE)
        };
        let before = {
            let mut school = self.school().borrow_mut();
            let Some(pc) = school.pcs.get_mut(host) else {
                return;
            };
            let before = pc.phase.clone();
            if matches!(before, Phase::Up(_)) || (before == Phase::Off && !deaf) {
                pc.phase = Phase::Booting(now + boot);
                pc.woken = true;
            }
            before
        };
        match before {
            Phase::Up(usage) => self.happened(What::Restarted(host.clone(), usage)),
            Phase::Off if !deaf => self.happened(What::Woke(host.clone())),
            _ => {}
        }
    }

    /// Whether one of the images that a host reads cannot be restored on it.
    pub(super) fn is_spoiled(&self, host: &HostName, reads: &[(ImageName, Contents)]) -> bool {
        let school = self.school().borrow();
        let mut bad = school.faults.values().filter_map(|kind| match kind {
            Kind::BadVersion(image, version, percent) => Some((image, version, *percent)),
            _ => None,
        });
        bad.any(|(image, version, percent)| {
            let contents = self.world.contents_of(image, version);
            let mut of_host =
                Chance::of(self.world.seed, host.as_str()).part(self.world.sites[self.site].luck);
            of_host.below(100) < u64::from(percent)
                && reads
                    .iter()
                    .any(|(read, found)| read == image && Some(*found) == contents)
        })
    }
}
