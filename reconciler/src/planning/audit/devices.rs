//! The judge of what becomes of `devices.csv`.

use std::collections::{BTreeMap, BTreeSet};

use schema::fleet::{DeviceRow, Room};
use schema::name::{ClassName, HostName};

use super::Court;
use crate::linbo::devices::{Device, Pxe};
use crate::linbo::start_conf;
use crate::planning::action::{ClassChange, RowChange};
use crate::planning::observed::Probe;

impl<'a> Court<'a> {
    /// The room whose document keeps the row of a host, and what that is to be.
    fn kept_row(&self, host: &HostName) -> Option<(&'a Room, &'a DeviceRow)> {
        let mut rooms = self.desired.rooms.values();
        rooms.find_map(|room| Some((room, room.devices.get(host)?)))
    }

    /// Whether rows become what the state repo says, and no others.
    pub(super) fn hear_rows(
        &self,
        rows: &BTreeMap<HostName, RowChange>,
        check: &mut impl FnMut(bool, &str),
    ) {
        let (desired, observed) = (self.desired, self.observed);
        check(
            self.is_quiet(&desired.windows.activate),
            "is outside its window or within lessons",
        );
        check(!rows.is_empty(), "changes no row");
        let Some(devices) = self.devices() else {
            return check(false, "changes a devices.csv that was not seen");
        };
        check(
            devices.problems().is_empty(),
            "changes a devices.csv that the import would refuse",
        );
        let today = desired.day(observed.at);
        for (host, change) in rows {
            check(
                change.before() == devices.get(host),
                "takes a row for another than it is",
            );
            let is_wanted = match (self.kept_row(host), change.after()) {
                (Some((_, DeviceRow::Removed)), None) => true,
                (Some((room, DeviceRow::Kept { mac, ip, role })), Some(after)) => {
                    let is_room = |name| desired.rooms.get(name).is_some_and(|of| of == room);
                    let mut tests = desired.test_classes.values();
                    let class = match change.before() {
                        Some(before) => &before.class,
                        None => tests
                            .find(|test| test.until >= today && test.names(host))
                            .map_or(&room.class, |test| &test.class),
                    };
                    let pxe = change.before().map_or(Pxe::Linbo, |before| before.pxe);
                    is_room(&after.room)
                        && (after.mac, after.ip) == (Some(*mac), ip.fixed())
                        && role.as_ref().is_none_or(|role| after.role == *role)
                        && (&after.class, after.pxe) == (class, pxe)
                }
                _ => false,
            };
            check(is_wanted, "writes a row that the state repo does not say");
            let rows = [change.before(), change.after()];
            let mut rooms = rows.into_iter().flatten().map(|row| &row.room);
            let in_exam = |room| desired.exams.iter().any(|exam| exam.holds(room, today));
            check(!rooms.any(in_exam), "changes a row of a host in an exam");
            let busy = observed.busy.seen();
            check(
                busy.is_some_and(|busy| !busy.contains_key(host)),
                "changes the row of a host that is or may be busy",
            );
        }
        let all = || {
            let others = devices.rows().iter();
            let others = others.filter(|row| !rows.contains_key(&row.host));
            others.chain(rows.values().filter_map(RowChange::after))
        };
        check(
            are_own(all().filter_map(|row: &Device| row.mac))
                && are_own(all().filter_map(|row: &Device| row.ip)),
            "gives two hosts one address",
        );
    }

    pub(super) fn hear_classes(
        &self,
        hosts: &BTreeMap<HostName, ClassChange>,
        check: &mut impl FnMut(bool, &str),
    ) {
        let (desired, observed) = (self.desired, self.observed);
        check(
            self.is_quiet(&desired.windows.activate),
            "is outside its window or within lessons",
        );
        check(!hosts.is_empty(), "moves no host");
        let devices = self.devices();
        check(
            devices.is_some_and(|devices| devices.problems().is_empty()),
            "changes a devices.csv that the import would refuse",
        );
        let today = desired.day(observed.at);
        let wrote = |class: &ClassName| {
            let files = observed.classes.get(class).and_then(Probe::seen)?;
            files.start_conf.as_deref()
        };
        let was_test = |class: &ClassName| {
            desired.test_classes.contains_key(class.as_str())
                || (!desired.classes.contains_key(class)
                    && wrote(class).is_some_and(|text| start_conf::is_of_test(text.as_bytes())))
        };
        for (host, ClassChange { before, after }) in hosts {
            let device = devices.and_then(|devices| devices.get(host));
            check(
                device.is_some_and(|device| device.class == *before && device.pxe.is_reset()),
                "takes a host for another than it is",
            );
            let kept = self.kept_row(host).map(|(room, _)| room);
            let room = kept.or_else(|| device.and_then(|device| desired.rooms.get(&device.room)));
            let named = desired
                .test_classes
                .values()
                .find(|test| test.until >= today && test.names(host));
            let is_wanted = match named {
                Some(test) => test.class == *after,
                None => room.is_some_and(|room| room.class == *after),
            };
            check(
                is_wanted,
                "gives a host a class that the state repo does not",
            );
            check(
                was_test(before)
                    || kept.is_some()
                    || room.is_some_and(|room| room.class == *before),
                "takes a host from a class that somebody else gave it",
            );
            let class = desired.classes.get(after);
            let is_ready = class.is_some_and(|class| {
                let there = class
                    .os
                    .iter()
                    .all(|os| self.live(&os.image).is_some_and(|live| live.base.is_some()));
                there && wrote(after) == Some(class.start_conf.as_str())
            });
            check(is_ready, "gives a host a class that cannot put it back");
            let busy = observed.busy.seen();
            check(
                busy.is_some_and(|busy| !busy.contains_key(host)),
                "moves a host that is or may be busy",
            );
            let room = device.map(|device| &device.room);
            let in_exam = |room| desired.exams.iter().any(|exam| exam.holds(room, today));
            check(!room.is_some_and(in_exam), "moves a host in an exam");
        }
    }
}

/// Whether nothing stands there twice.
fn are_own<T: Ord>(mut values: impl Iterator<Item = T>) -> bool {
    let mut known = BTreeSet::new();
    values.all(|value| known.insert(value))
}
