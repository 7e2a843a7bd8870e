//! `schools/<school>/rooms/<room>.yaml`, together with all rooms of the school: no host is in two, and no address is
//! that of two hosts.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use super::fleet::schedule;
use super::policy::suspension;
use super::school::Site;
use super::{Commons, dangling, unknown_class, written};
use crate::device::Mac;
use crate::diagnostic::{Diagnostic, Span};
use crate::document::RoomDocument;
use crate::document::policy::{PowerChoice, SuspensionDocument};
use crate::document::room::{DeviceChoice, DeviceDocument};
use crate::document::value::Lessons;
use crate::fleet::{
    DeviceRow, HardwareClass, PowerBudget, Room, RoomHosts, RoomWindows, Suspension,
};
use crate::load::SchoolFiles;
use crate::name::{ClassName, HostName, PowerGroupName, RoomName};
use crate::read::{At, Map, OneOrMany, WordOr};

/// Reads and checks all rooms of a school.
pub(crate) fn resolve_all(
    files: &SchoolFiles<'_>,
    site: &Site<'_>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<RoomName, Option<Room>> {
    let mut taken = Taken::new();
    let mut addresses = Addresses::default();
    let mut rooms = BTreeMap::new();
    for (name, file) in &files.rooms {
        let Some(document) = file.read::<RoomDocument>(found) else {
            rooms.insert(name.clone(), None);
            continue;
        };
        let written = written::room(&document);
        let RoomDocument {
            class,
            hosts,
            devices,
            reset,
            windows,
            lessons,
            in_use,
            power,
            suspended,
            suspended_hosts,
        } = document;
        let is_listed = !hosts.is_absent();
        if is_listed && !devices.is_absent() {
            let message = "both `hosts` and `devices` say which hosts the room has";
            found.push(
                Diagnostic::error("hosts-twice", file.path, hosts.span(), message)
                    .with_hint("drop `hosts` if the rows of devices.csv are kept by this file, and `devices` if not"),
            );
        }
        let own = ("room", name.as_str());
        let rows = kept_rows(file.path, own, devices, &mut taken, &mut addresses, found);
        let hosts = match &rows {
            Some(rows) => {
                let kept = rows.iter().filter(|(_, row)| **row != DeviceRow::Removed);
                RoomHosts::Listed(kept.map(|(host, _)| host.clone()).collect())
            }
            None if is_listed => {
                let hosts = listed(file.path, own, hosts, &mut taken, found);
                RoomHosts::Listed(hosts.into_iter().collect())
            }
            None => RoomHosts::FromDevices,
        };
        let suspended_hosts = hosts_left_alone(file.path, &suspended_hosts, &hosts, found);
        check_class(file.path, &class, site, commons, found);
        let (power_group, power) = circuit(file.path, &power, site, found);
        let windows = RoomWindows {
            reset: windows.into_inner().and_then(|own| own.reset.into_inner()),
            lessons: lessons.get().map(Lessons::windows),
        };
        let own_window = windows.reset.as_ref().map(|window| (name, window));
        site.check_reset(file.path, &reset, own_window, found);
        let reset = match reset.get() {
            Some(own) => schedule(own),
            None => site.reset.clone(),
        };
        let room = (|| {
            Some(Room {
                class: class.into_inner()?,
                hosts,
                devices: rows.unwrap_or_default(),
                reset,
                windows,
                in_use: in_use.into_inner().unwrap_or(site.in_use),
                power_group,
                power,
                suspended: suspension(&suspended),
                suspended_hosts,
                written,
            })
        })();
        rooms.insert(name.clone(), room);
    }
    rooms
}

/// Which room or test class a host is in, by its name in small letters: Active Directory does not
/// tell them from capitals.
pub(crate) type Taken<'a> = HashMap<String, &'a str>;

/// The hosts of the room or test class of this kind and name. Complains of those that stand there
/// twice or are taken by another one, and of a list without any.
pub(crate) fn listed<'a>(
    file: &str,
    (kind, name): (&str, &'a str),
    hosts: At<OneOrMany<HostName>>,
    taken: &mut Taken<'a>,
    found: &mut Vec<Diagnostic>,
) -> Vec<HostName> {
    let at = hosts.span();
    let Some(hosts) = hosts.into_inner().map(OneOrMany::into_vec) else {
        return Vec::new();
    };
    if hosts.is_empty() {
        let hint = match kind {
            "room" => "leave `hosts` out if they are to be taken from devices.csv",
            _ => "write at least one host",
        };
        let message = format!("a {kind} without hosts");
        found.push(Diagnostic::error("empty-list", file, at, message).with_hint(hint));
    }
    let hosts = hosts.into_iter();
    let kept = hosts.filter_map(|host| taken_by(file, (kind, name), host, taken, found));
    kept.collect()
}

/// A host that nobody else has. Complains if somebody has.
fn taken_by<'a>(
    file: &str,
    (kind, name): (&str, &'a str),
    host: At<HostName>,
    taken: &mut Taken<'a>,
    found: &mut Vec<Diagnostic>,
) -> Option<HostName> {
    let at = host.span();
    let host = host.into_inner()?;
    match taken.entry(host.as_str().to_ascii_lowercase()) {
        Entry::Vacant(free) => {
            free.insert(name);
            Some(host)
        }
        Entry::Occupied(other) => {
            let message = match *other.get() {
                other if other == name => format!("host `{host}` stands twice in this list"),
                other => format!("host `{host}` is in {kind} `{other}` too"),
            };
            found.push(
                Diagnostic::error("duplicate-host", file, at, message)
                    .with_hint(format!("a host is in one {kind}, once: drop one of both")),
            );
            None
        }
    }
}

/// Which host has which addresses.
#[derive(Default)]
struct Addresses {
    cards: HashMap<Mac, HostName>,
    fixed: HashMap<Ipv4Addr, HostName>,
}

/// The rows that a room keeps in `devices.csv`; none when it says nothing of them. Complains of hosts that are taken,
/// and of addresses that are.
fn kept_rows<'a>(
    file: &str,
    own: (&str, &'a str),
    devices: At<Map<HostName, DeviceChoice>>,
    taken: &mut Taken<'a>,
    addresses: &mut Addresses,
    found: &mut Vec<Diagnostic>,
) -> Option<BTreeMap<HostName, DeviceRow>> {
    let at = devices.span();
    let devices = devices.into_inner()?.into_vec();
    if devices.is_empty() {
        found.push(
            Diagnostic::error("empty-list", file, at, "a room without devices")
                .with_hint("leave `devices` out if the rows of devices.csv are only to be read"),
        );
    }
    let mut rows = BTreeMap::new();
    for (host, choice) in devices {
        let Some(host) = taken_by(file, own, host, taken, found) else {
            continue;
        };
        let row = match choice.into_inner() {
            None => continue,
            Some(WordOr::Word(_)) => DeviceRow::Removed,
            Some(WordOr::Parts(document)) => {
                let Some(row) = kept_row(file, &host, document, addresses, found) else {
                    continue;
                };
                row
            }
        };
        // As `devices.csv` is read.
        let small = host.as_str().to_ascii_lowercase();
        rows.insert(small.parse().unwrap_or(host), row);
    }
    Some(rows)
}

/// A row. Complains of addresses that another host has.
fn kept_row(
    file: &str,
    host: &HostName,
    DeviceDocument { mac, ip, role }: DeviceDocument,
    addresses: &mut Addresses,
    found: &mut Vec<Diagnostic>,
) -> Option<DeviceRow> {
    let mut twice = |what: String, at: Option<Span>, other: &HostName| {
        let message = format!("{what} is that of host `{other}`, too");
        found.push(
            Diagnostic::error("duplicate-address", file, at, message)
                .with_hint("each host has addresses of its own: correct one of both"),
        );
    };
    let at = (mac.span(), ip.span());
    let (mac, ip) = (mac.into_inner()?, ip.into_inner()?);
    if let Some(other) = addresses.cards.insert(mac, host.clone()) {
        twice(format!("the MAC address {mac}"), at.0, &other);
    }
    if let Some(fixed) = ip.fixed()
        && let Some(other) = addresses.fixed.insert(fixed, host.clone())
    {
        twice(format!("the address {fixed}"), at.1, &other);
    }
    Some(DeviceRow::Kept {
        mac,
        ip,
        role: role.into_inner(),
    })
}

/// Complains of a class that does not exist, or holds an image that another school makes.
pub(crate) fn check_class<'a>(
    file: &str,
    class: &At<ClassName>,
    site: &Site<'_>,
    commons: &Commons<'a>,
    found: &mut Vec<Diagnostic>,
) -> Option<&'a HardwareClass> {
    let name = class.get()?;
    let Some(resolved) = commons.classes.get(name) else {
        found.push(unknown_class(file, class.span(), name, commons.classes));
        return None;
    };
    let resolved = resolved.as_ref()?;
    for image in resolved.images() {
        if let Some(maker) = super::school::made_elsewhere(site.name, image, commons.images) {
            let message = format!(
                "class `{name}` holds image `{image}`, which school `{maker}` makes on site and alone can use"
            );
            found.push(
                Diagnostic::error("image-of-other-school", file, class.span(), message)
                    .with_hint("choose a class whose images are released, or made at this school"),
            );
        }
    }
    Some(resolved)
}

/// Hosts that are left alone. Complains of those that the room does not list.
fn hosts_left_alone(
    file: &str,
    written: &At<Map<HostName, SuspensionDocument>>,
    hosts: &RoomHosts,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<HostName, Suspension> {
    let mut left_alone = BTreeMap::new();
    for (host, own) in written.get().into_iter().flatten() {
        let Some(name) = host.get() else { continue };
        if let RoomHosts::Listed(listed) = hosts
            && !listed.contains(name)
        {
            let message = format!("host `{name}` is not in this room");
            found.push(dangling(
                "unknown-host",
                file,
                host.span(),
                message,
                name.as_str(),
                listed.iter().map(HostName::as_str),
                "its hosts are",
                || "the hosts of a room stand under `hosts`".to_owned(),
            ));
        }
        left_alone.extend(suspension(own).map(|own| (name.clone(), own)));
    }
    left_alone
}

/// The power group of a room and what the room bears itself.
fn circuit(
    file: &str,
    power: &At<PowerChoice>,
    site: &Site<'_>,
    found: &mut Vec<Diagnostic>,
) -> (Option<PowerGroupName>, Option<PowerBudget>) {
    match power.get() {
        None => (None, None),
        Some(WordOr::Word(name)) => {
            check_group(file, (name, power.span()), site, found);
            (Some(name.clone()), None)
        }
        Some(WordOr::Parts(own)) => {
            if let Some(name) = own.group.get() {
                check_group(file, (name, own.group.span()), site, found);
            }
            let group = own.group.get();
            let base = group.and_then(|group| site.power_groups.get(group));
            let base = base.copied().unwrap_or(site.power);
            let says = own.wake_per_minute.get().is_some() || own.on_at_once.get().is_some();
            let budget = PowerBudget {
                wake_per_minute: own
                    .wake_per_minute
                    .get()
                    .map_or(base.wake_per_minute, |count| count.0),
                on_at_once: own
                    .on_at_once
                    .get()
                    .map_or(base.on_at_once, |count| count.0),
            };
            (group.cloned(), says.then_some(budget))
        }
    }
}

/// Complains of a power group that the school does not have.
fn check_group(
    file: &str,
    (name, at): (&PowerGroupName, Option<Span>),
    site: &Site<'_>,
    found: &mut Vec<Diagnostic>,
) {
    if !site.complete || site.power_groups.contains_key(name) {
        return;
    }
    let message = format!("the school has no power group `{name}`");
    let known = site.power_groups.keys().map(PowerGroupName::as_str);
    found.push(dangling(
        "unknown-power-group",
        file,
        at,
        message,
        name.as_str(),
        known,
        "its power groups are",
        || {
            format!(
                "add it to the `power_groups` of `schools/{}/school.yaml`",
                site.name
            )
        },
    ));
}
