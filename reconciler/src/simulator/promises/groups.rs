//! The hosts of a room that are put back to the same images at the same times, judged from rows and dates alone.

use schema::fleet::Room;
use schema::name::{ClassName, RoomName};
use schema::schedule::Schedule;

use super::Scene;
use crate::linbo::devices::Device;
use crate::planning::{Desired, DesiredTest};

/// Hosts of one class.
pub(super) struct Group<'a> {
    pub(super) class: &'a ClassName,
    pub(super) schedule: Option<&'a Schedule>,
    /// The test class that they are of, if it is none of their room.
    pub(super) test: Option<&'a DesiredTest>,
}

impl Group<'_> {
    /// Whether a host is one of them.
    pub(super) fn has(&self, device: &Device) -> bool {
        let named = self
            .test
            .is_none_or(|test| test.hosts.contains(&device.host));
        device.class == *self.class && device.pxe.is_reset() && named
    }

    /// Whether it boots what it is to boot.
    pub(super) fn is_led(&self, device: &Device, scene: &Scene<'_>) -> bool {
        let boots = scene.school.disk.boots.get(&device.host);
        boots.is_none_or(|boots| boots == self.class)
    }
}

/// All groups of all rooms, in the order of the rooms, those of a room's own class first.
pub(super) fn groups<'a>(
    desired: &'a Desired,
    scene: &Scene<'_>,
) -> Vec<(&'a RoomName, &'a Room, Group<'a>)> {
    let today = desired.zone.to_datetime(scene.clock()).date();
    let tests = desired.test_classes.values();
    let tests: Vec<_> = tests.filter(|test| test.until >= today).collect();
    let rooms = desired.rooms.iter();
    let groups = rooms.flat_map(|(name, room)| {
        let own = Group {
            class: &room.class,
            schedule: room.reset.as_ref(),
            test: None,
        };
        let tests = tests.iter().map(|test| Group {
            class: &test.class,
            schedule: test.schedule(room),
            test: Some(test),
        });
        let all = std::iter::once(own).chain(tests);
        all.map(move |group| (name, room, group))
            .collect::<Vec<_>>()
    });
    groups.collect()
}
