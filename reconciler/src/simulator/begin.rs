//! How a school stands when the world begins, and what people do to it by hand.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schema::digest::Digest;
use schema::fleet::ImageSource;
use schema::name::{ClassName, ImageName, SchoolName};

use super::pc::{End, Pc, Phase, Restore};
use super::script::{Edit, Script, Start};
use super::time::Moment;
use super::truth::{Class, Depot, Disk, File, Live, Reports, School};
use crate::manifest::Manifest;
use crate::planning::{Desired, DesiredClass, Server};

/// A server's disk has this much room in its store.
const STORE: u64 = 200 << 30;

pub(super) fn school(
    script: &Script,
    name: &SchoolName,
    published: &BTreeMap<Digest, Manifest>,
) -> School {
    let mut devices = script.devices(name);
    let mut pcs: BTreeMap<_, Pc> = devices
        .rows()
        .iter()
        .map(|device| (device.host.clone(), Pc::default()))
        .collect();
    let fleet = script
        .commits
        .iter()
        .find_map(|commit| commit.fleet.as_ref().ok());
    let zone = fleet
        .and_then(|fleet| fleet.schools.get(name))
        .map_or(TimeZone::UTC, |school| school.time_zone.clone());
    let mut disk = Disk {
        store: Depot {
            capacity: STORE,
            ..Depot::default()
        },
        ..Disk::default()
    };
    if let Some(fleet) = fleet {
        // Images made on site are there, whoever made them.
        for (image, found) in &fleet.images {
            if matches!(&found.source, ImageSource::OnSite { made_at, .. } if made_at == name) {
                let content = Digest::new([1; 32]);
                let base = File::new(30 << 30, content, None).seeding();
                disk.live.insert(
                    image.clone(),
                    Live {
                        base: Some(base),
                        ..Live::default()
                    },
                );
            }
        }
        let desired = Desired::of(fleet, &Server::School(name.clone()));
        if let (Start::Converged, Some(desired)) = (script.start, desired) {
            converged(&mut disk, &desired, published);
            let tests = desired.tests(script.from.timestamp());
            let tested = tests.flat_map(|(_, test)| {
                let hosts = test.hosts.iter();
                hosts.map(|host| (host, &test.class))
            });
            devices = devices.edited(&devices.moved(tested));
            for device in devices.rows() {
                if let (Some(class), Some(pc)) = (
                    desired.classes.get(&device.class),
                    pcs.get_mut(&device.host),
                ) {
                    reset(pc, class, &disk, script.from, &zone);
                }
            }
        }
    }
    disk.devices = devices;
    let mut school = School {
        name: name.clone(),
        zone,
        disk,
        pcs,
        faults: BTreeMap::new(),
        read: Reports::default(),
    };
    school.link();
    school
}

fn converged(disk: &mut Disk, desired: &Desired, published: &BTreeMap<Digest, Manifest>) {
    for (name, class) in &desired.classes {
        let start_conf = Some(class.start_conf.clone());
        disk.classes.insert(
            name.clone(),
            Class {
                start_conf,
                written: 1,
                boot_of: Some(1),
                by_hand: false,
            },
        );
    }
    for ((image, _), wanted) in &desired.images {
        let Some(manifest) = published.get(&wanted.manifest) else {
            continue;
        };
        let base = manifest.base();
        let file = |size, content, backing| File::new(size, content, backing).seeding();
        let live = Live {
            base: Some(file(base.size, base.sha256, None)),
            diff: manifest
                .diff()
                .map(|diff| file(diff.size, diff.sha256, Some(base.sha256))),
            uploading: false,
        };
        disk.live.insert(image.clone(), live);
        disk.store
            .manifests
            .insert(wanted.manifest, manifest.clone());
        let objects = manifest
            .files()
            .iter()
            .map(|file| (file.sha256, (file.sha256, file.size)));
        disk.store.objects.extend(objects);
    }
}

/// A PC that was put back to its images when the world begins.
fn reset(pc: &mut Pc, class: &DesiredClass, disk: &Disk, at: Moment, zone: &TimeZone) {
    let live = |image: &ImageName| disk.live.get(image).map(Live::contents).unwrap_or_default();
    let reads = class
        .os
        .iter()
        .map(|os| (os.image.clone(), live(&os.image)))
        .collect();
    pc.phase = Phase::Syncing(Restore {
        ends: at,
        end: End::Restored,
        reads,
    });
    pc.settle(at, zone);
}

/// What an operator does to a `start.conf`: a text for the account.
pub(super) fn edit(school: &mut School, class: &ClassName, edit: Edit) -> String {
    let files = school.disk.classes.entry(class.clone()).or_default();
    let Some(text) = files.start_conf.clone() else {
        return format!("start.conf.{class} is not there to be edited");
    };
    let (text, what) = match edit {
        Edit::Changed => (
            Some(format!("{text}# a line by hand\n")),
            "is edited by hand",
        ),
        Edit::Foreign => {
            let other = text.replace("GuiDisabled = no", "GuiDisabled = yes");
            (Some(format!("# mine\n{other}")), "is replaced by hand")
        }
        Edit::Removed => (None, "is removed by hand"),
    };
    files.write(text);
    format!("start.conf.{class} {what}")
}
