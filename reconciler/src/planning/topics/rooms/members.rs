//! Which hosts belong to a room, and which of them cannot be reset.

use schema::fleet::{Room, RoomHosts};
use schema::name::{HostName, RoomName};

use crate::linbo::devices::{Device, Devices};
use crate::planning::observed::Observed;

/// The hosts of a room: those that can be reset, and those that are listed and cannot, with the reason.
pub(in crate::planning) struct Members<'a> {
    /// How many rows name the room, whatever they are.
    pub(in crate::planning) rows: usize,
    pub(in crate::planning) hosts: Vec<&'a Device>,
    pub(in crate::planning) strangers: Vec<(HostName, String)>,
}

impl<'a> Members<'a> {
    pub(in crate::planning) fn of(name: &RoomName, room: &Room, devices: &'a Devices) -> Self {
        let rows = devices.in_room(name).count();
        let mut members = Self {
            rows,
            hosts: Vec::new(),
            strangers: Vec::new(),
        };
        let listed: Vec<&Device> = match &room.hosts {
            RoomHosts::FromDevices => {
                let ours = |device: &&Device| device.pxe.is_reset() && device.class == room.class;
                devices.in_room(name).filter(ours).collect()
            }
            RoomHosts::Listed(hosts) => {
                let missing = hosts.iter().filter(|host| devices.get(host).is_none());
                members
                    .strangers
                    .extend(missing.map(|host| (host.clone(), "is not in devices.csv".to_owned())));
                hosts.iter().filter_map(|host| devices.get(host)).collect()
            }
        };
        for device in listed {
            let why = if device.room != *name {
                format!("is in room {} by devices.csv", device.room)
            } else if device.class != room.class {
                format!(
                    "has hardware class {}, the room has {}",
                    device.class, room.class
                )
            } else if !device.pxe.is_reset() {
                "does not boot LINBO by its PXE flag".to_owned()
            } else {
                members.hosts.push(device);
                continue;
            };
            members.strangers.push((device.host.clone(), why));
        }
        members
    }
}

impl Members<'_> {
    /// Leaves those alone for which somebody else's commands wait: they would run as soon as a host is woken.
    pub(super) fn leave_to_others(&mut self, observed: &Observed) {
        let Some(onboot) = observed.onboot.seen() else {
            return;
        };
        let strangers = &mut self.strangers;
        self.hosts.retain(|device| {
            let waits = onboot.get(&device.host);
            strangers.extend(waits.map(|says| {
                let why = format!("has commands of others waiting for its next start: `{says}`");
                (device.host.clone(), why)
            }));
            waits.is_none()
        });
    }
}
