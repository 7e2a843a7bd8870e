//! Rows of `devices.csv`, and rooms whose rows the state repo keeps.

use std::sync::Arc;

use reconciler::linbo::devices::Devices;
use reconciler::planning::Probe;
use schema::device::Address;
use schema::fleet::{DeviceRow, Room, RoomHosts};
use schema::name::RoomName;

use super::{World, name};

#[expect(clippy::expect_used, reason = "a test may panic")]
impl World {
    /// Adds a row to `devices.csv`.
    pub fn device(&mut self, room: &str, host: &str, class: &str, pxe: u8) {
        let n = self.rows.len() + 1;
        let mac = format!("00:11:22:33:{:02X}:{:02X}", n / 256, n % 256);
        let ip = format!("10.16.{}.{}", n / 200, 1 + n % 200);
        self.row(&format!(
            "{room};{host};{class};{mac};{ip};;;;classroom-studentcomputer;;{pxe};;;;;"
        ));
        Arc::make_mut(&mut self.observed.reports).insert(name(host), Probe::Seen(None));
    }

    /// Adds any line to `devices.csv`.
    pub fn row(&mut self, row: &str) {
        self.rows.push(row.to_owned());
        self.observed.devices =
            Probe::Seen(Devices::parse((self.rows.join("\n") + "\n").as_bytes()));
    }

    /// Lets the state repo keep the rows of a room as they are.
    ///
    /// # Panics
    ///
    /// Without such a room, or when `devices.csv` cannot be seen.
    pub fn keep_rows(&mut self, room: &str) -> &mut Room {
        let devices = self.observed.devices.seen().expect("devices.csv").clone();
        let wanted = self.room_mut(room);
        let key: RoomName = name(room);
        let rows = devices.in_room(&key);
        for row in rows.filter(|row| row.pxe.is_reset()) {
            let kept = DeviceRow::Kept {
                mac: row.mac.expect("a MAC address"),
                ip: row.ip.map_or(Address::Dhcp, Address::Fixed),
                role: None,
            };
            wanted.devices.insert(row.host.clone(), kept);
        }
        list(wanted);
        wanted
    }

    /// Lets the state repo say this of the row of a host of a room that is kept: `MAC address`, or `removed`.
    ///
    /// # Panics
    ///
    /// Without such a room, or when that is no row.
    pub fn row_is(&mut self, room: &str, host: &str, says: &str) {
        let row = match says.split_once(' ') {
            None => DeviceRow::Removed,
            Some((mac, ip)) => DeviceRow::Kept {
                mac: mac.parse().expect("a MAC address"),
                ip: ip.parse().expect("an address"),
                role: None,
            },
        };
        let wanted = self.room_mut(room);
        wanted.devices.insert(name(host), row);
        list(wanted);
    }
}

/// The hosts of a room are those whose rows it keeps.
fn list(room: &mut Room) {
    let kept = room.devices.iter();
    let kept = kept.filter(|(_, row)| **row != DeviceRow::Removed);
    room.hosts = RoomHosts::Listed(kept.map(|(host, _)| host.clone()).collect());
}
