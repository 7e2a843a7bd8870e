//! `schools/<school>/rooms/<room>.yaml`, together with all rooms of the school: no host is in two.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::fleet::schedule;
use super::school::Site;
use super::{Commons, dangling, unknown_class};
use crate::diagnostic::Diagnostic;
use crate::document::RoomDocument;
use crate::fleet::{HardwareClass, Room, RoomHosts, RoomWindows, Written};
use crate::load::SchoolFiles;
use crate::name::{ClassName, HostName, PowerGroupName, RoomName};
use crate::policy::InUse;
use crate::read::{At, OneOrMany};

/// Reads and checks all rooms of a school.
pub(crate) fn resolve_all(
    files: &SchoolFiles<'_>,
    site: &Site<'_>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<RoomName, Option<Room>> {
    let mut taken = Taken::new();
    let mut rooms = BTreeMap::new();
    for (name, file) in &files.rooms {
        let Some(document) = file.read::<RoomDocument>(found) else {
            rooms.insert(name.clone(), None);
            continue;
        };
        let RoomDocument {
            class,
            hosts,
            reset,
            power,
        } = document;
        let written = !hosts.is_absent();
        let hosts = listed(file.path, ("room", name.as_str()), hosts, &mut taken, found);
        let hosts = if written {
            RoomHosts::Listed(hosts.into_iter().collect())
        } else {
            RoomHosts::FromDevices
        };
        check_class(file.path, &class, site, commons, found);
        let power = group(file.path, &power, site, found);
        site.check_reset(file.path, &reset, found);
        let reset = match reset.get() {
            Some(own) => schedule(own),
            None => site.reset.clone(),
        };
        let room = (|| {
            Some(Room {
                class: class.into_inner()?,
                hosts,
                reset,
                windows: RoomWindows::default(),
                in_use: InUse::default(),
                power_group: power?,
                power: None,
                suspended: None,
                suspended_hosts: BTreeMap::new(),
                written: Written::default(),
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
    let mut kept = Vec::with_capacity(hosts.len());
    for host in hosts {
        let at = host.span();
        let Some(host) = host.into_inner() else {
            continue;
        };
        match taken.entry(host.as_str().to_ascii_lowercase()) {
            Entry::Vacant(free) => {
                free.insert(name);
                kept.push(host);
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
            }
        }
    }
    kept
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

fn group(
    file: &str,
    power: &At<PowerGroupName>,
    site: &Site<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Option<PowerGroupName>> {
    let Some(name) = power.get() else {
        return power.is_absent().then_some(None);
    };
    if site.complete && !site.power_groups.contains_key(name) {
        let message = format!("the school has no power group `{name}`");
        let known = site.power_groups.keys().map(PowerGroupName::as_str);
        found.push(dangling(
            "unknown-power-group",
            file,
            power.span(),
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
    Some(Some(name.clone()))
}
