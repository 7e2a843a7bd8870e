//! Cohorts: the hosts of a room that have one hardware class, and which hosts those are.
//!
//! # Invariants
//!
//! A host is in one cohort at most: that of the class which `devices.csv` gives it. Whoever is to be in a test class
//! stays with the room until it has that class there, and is in none once the test class is over, until it is back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schema::fleet::{Room, RoomHosts};
use schema::name::{ClassName, HostName, RoomName, TestClassName};
use schema::schedule::Schedule;

use crate::linbo::devices::{Device, Devices};
use crate::linbo::start_conf;
use crate::planning::desired::{Desired, DesiredTest};
use crate::planning::observed::Observed;

/// The hosts of a room that have its class, or that of a test class.
#[derive(Debug, Clone, Copy)]
pub struct Cohort<'a> {
    /// The room that they are in.
    pub name: &'a RoomName,
    /// That room.
    pub room: &'a Room,
    /// The test class that they are in; none where they have the class of the room.
    pub test: Option<(&'a TestClassName, &'a DesiredTest)>,
}

/// The hosts of a cohort, and hosts of its room that are listed and cannot be reset, with the reason.
#[derive(Debug)]
pub struct Members<'a> {
    /// How many rows name the room, whatever they are.
    pub rows: usize,
    /// The hosts that can be reset, in the order of `devices.csv` or of their names.
    pub hosts: Vec<&'a Device>,
    /// The others.
    pub strangers: Vec<(HostName, String)>,
}

impl<'a> Cohort<'a> {
    /// The hosts that have the class of their room.
    #[must_use]
    pub const fn of_room(name: &'a RoomName, room: &'a Room) -> Self {
        Self {
            name,
            room,
            test: None,
        }
    }

    /// All that a room may have at `at`: its own first.
    pub fn all(
        desired: &'a Desired,
        name: &'a RoomName,
        room: &'a Room,
        at: Timestamp,
    ) -> impl Iterator<Item = Self> {
        let tests = desired.tests(at).map(move |test| Self {
            name,
            room,
            test: Some(test),
        });
        std::iter::once(Self::of_room(name, room)).chain(tests)
    }

    /// Their hardware class.
    #[must_use]
    pub fn class(&self) -> &'a ClassName {
        self.test.map_or(&self.room.class, |(_, test)| &test.class)
    }

    /// By when they are to be fresh; never when absent.
    #[must_use]
    pub fn schedule(&self) -> Option<&'a Schedule> {
        match self.test {
            Some((_, test)) => test.schedule(self.room),
            None => self.room.reset.as_ref(),
        }
    }

    /// Which hosts they are.
    #[must_use]
    pub fn members<'d>(&self, desired: &Desired, devices: &'d Devices) -> Members<'d> {
        let mut members = Members {
            rows: devices.in_room(self.name).count(),
            hosts: Vec::new(),
            strangers: Vec::new(),
        };
        let listed: Vec<&Device> = match (self.test, &self.room.hosts) {
            (Some((_, test)), _) => {
                let named = |device: &&Device| {
                    device.pxe.is_reset() && device.class == test.class && test.names(&device.host)
                };
                devices.in_room(self.name).filter(named).collect()
            }
            (None, RoomHosts::FromDevices) => {
                let ours =
                    |device: &&Device| device.pxe.is_reset() && device.class == self.room.class;
                devices.in_room(self.name).filter(ours).collect()
            }
            (None, RoomHosts::Listed(hosts)) => {
                // What becomes of a row that the state repo keeps is said there.
                let kept = &self.room.devices;
                let missing = hosts
                    .iter()
                    .filter(|host| devices.get(host).is_none() && !kept.contains_key(*host));
                members
                    .strangers
                    .extend(missing.map(|host| (host.clone(), "is not in devices.csv".to_owned())));
                let known = hosts.iter().filter_map(|host| devices.get(host));
                let in_test = |device: &&Device| desired.test_of(&device.class).is_some();
                known.filter(|device| !in_test(device)).collect()
            }
        };
        for device in listed {
            let is_kept = self.room.devices.contains_key(&device.host);
            let why = if device.room != *self.name {
                format!("is in room {} by devices.csv", device.room)
            } else if device.class != *self.class() {
                format!(
                    "has hardware class {}, the room has {}",
                    device.class, self.room.class
                )
            } else if !device.pxe.is_reset() {
                "does not boot LINBO by its PXE flag".to_owned()
            } else {
                members.hosts.push(device);
                continue;
            };
            if !is_kept || !device.pxe.is_reset() {
                members.strangers.push((device.host.clone(), why));
            }
        }
        members
    }
}

/// The hardware classes that are those of test classes, over or not: of the state repo, and of earlier commits of it by
/// their `start.conf`.
#[must_use]
pub fn of_tests<'a>(desired: &'a Desired, observed: &'a Observed) -> BTreeSet<&'a ClassName> {
    let known = desired.test_classes.values().map(|test| &test.class);
    let earlier = observed.classes.iter().filter(|(name, files)| {
        let text = files
            .seen()
            .and_then(|files| files.start_conf.as_deref())
            .unwrap_or_default();
        !desired.classes.contains_key(*name) && start_conf::is_of_test(text.as_bytes())
    });
    known.chain(earlier.map(|(name, _)| name)).collect()
}
