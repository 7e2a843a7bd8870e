//! Everything that a run follows from: what a fleet is, what people do, what goes wrong.

use std::collections::BTreeMap;

use schema::digest::Digest;
use schema::fleet::{Fleet, ImageSource, RoomHosts};
use schema::name::{ClassName, FileName, HostName, ImageName, RoomName, SchoolName, VersionName};
use sha2::{Digest as _, Sha256};

use super::bug::Bug;
use super::fault::Fault;
use super::remote::{Commit, Signer};
use super::time::{MINUTE, Moment};
use crate::config::Driver;
use crate::linbo::devices::Devices;
use crate::manifest::{Manifest, ManifestFile};
use crate::planning::Subject;

/// A world before it begins. The same script always gives the same run.
#[derive(Debug, Clone)]
pub struct Script {
    /// What chance follows from.
    pub seed: u64,
    /// The beginning.
    pub from: Moment,
    /// The end.
    pub until: Moment,
    /// The state repo's history. Those before the beginning are there already, the last of them on the branch.
    pub commits: Vec<Commit>,
    /// Whether servers take commits only that somebody signed whom they know.
    pub signers: bool,
    /// The schools that take part, with the hosts of each room that takes them from `devices.csv`.
    pub schools: BTreeMap<SchoolName, BTreeMap<RoomName, Vec<HostName>>>,
    /// What people do, in any order.
    pub turns: Vec<(Moment, Turn)>,
    /// What goes wrong, in any order.
    pub faults: Vec<Fault>,
    /// What the servers have at the beginning.
    pub start: Start,
    /// Between two looks while something runs, in milliseconds.
    pub tick: i64,
    /// From here to the end nothing goes wrong and nobody works late, so that all must come right. If that
    /// is before the end, people look then after all that stands still.
    pub quiet_from: Moment,
    /// How hosts are told what to do, and so what is left behind of it.
    pub driver: Driver,
    /// A fault of the reconciler, made on purpose.
    pub bug: Option<Bug>,
    /// Whether the whole account is kept, or its end only.
    pub keep_all: bool,
}

/// What the servers have at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// No image, no class.
    Empty,
    /// What the first commit says.
    Converged,
}

/// Something that people do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// The branch is set to a commit, by its number.
    Merge(usize),
    /// An operator edits `start.conf.<class>` at a school.
    Edit(usize, ClassName, Edit),
    /// A torrent is lost at a school.
    TorrentLost(usize, ImageName),
    /// What seeds an image at a school dies.
    SeederDied(usize, ImageName),
    /// Somebody orders that something at a school is left alone, until a moment or until further notice.
    Suspend(usize, Subject, Option<Moment>),
    /// Somebody lets an image at a school go back to a version.
    RollBack(usize, ImageName, VersionName),
    /// Somebody moves an image into the domain of a school, and says so: what has to be moved and is downloaded.
    Rebrand(usize, ImageName),
    /// Somebody ends that at a school, and declares its troubles to be resolved.
    Resume(usize, Subject),
    /// Somebody ends all that was ordered to be left alone at a school, and declares all troubles to be resolved.
    Resolve(usize),
    /// The school's server is saved.
    Backup(usize),
    /// The school's server is put back to what was saved last.
    Restore(usize),
    /// Somebody runs `reconcile` at a school.
    Pass(usize),
    /// What runs at a school is asked to end, as by an upgrade of the package.
    Stop(usize),
}

/// What an operator does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edit {
    /// He changes a line, the header stays.
    Changed,
    /// He puts a file of his own there, without our header.
    Foreign,
    /// He removes it.
    Removed,
}

impl Turn {
    /// The school that it is about.
    #[must_use]
    pub const fn site(&self) -> Option<usize> {
        match self {
            Self::Merge(_) => None,
            Self::Edit(site, ..)
            | Self::TorrentLost(site, _)
            | Self::SeederDied(site, _)
            | Self::Suspend(site, ..)
            | Self::RollBack(site, ..)
            | Self::Rebrand(site, _)
            | Self::Resume(site, _)
            | Self::Resolve(site)
            | Self::Backup(site)
            | Self::Restore(site)
            | Self::Pass(site)
            | Self::Stop(site) => Some(*site),
        }
    }

    /// The same at another school.
    #[must_use]
    pub fn at_site(self, site: usize) -> Self {
        match self {
            Self::Merge(_) => self,
            Self::Edit(_, class, edit) => Self::Edit(site, class, edit),
            Self::TorrentLost(_, image) => Self::TorrentLost(site, image),
            Self::SeederDied(_, image) => Self::SeederDied(site, image),
            Self::Suspend(_, what, until) => Self::Suspend(site, what, until),
            Self::RollBack(_, image, to) => Self::RollBack(site, image, to),
            Self::Rebrand(_, image) => Self::Rebrand(site, image),
            Self::Resume(_, what) => Self::Resume(site, what),
            Self::Resolve(_) => Self::Resolve(site),
            Self::Backup(_) => Self::Backup(site),
            Self::Restore(_) => Self::Restore(site),
            Self::Pass(_) => Self::Pass(site),
            Self::Stop(_) => Self::Stop(site),
        }
    }
}

impl Script {
    /// A quiet world of one fleet: everything valid, nothing goes wrong.
    #[must_use]
    pub fn new(
        fleet: &Fleet,
        hosts_per_room: usize,
        seed: u64,
        from: Moment,
        until: Moment,
    ) -> Self {
        let rooms = |school: &schema::fleet::School| {
            let names = school.rooms.iter().map(|(name, room)| {
                let hosts = match &room.hosts {
                    RoomHosts::Listed(hosts) => hosts.iter().cloned().collect(),
                    RoomHosts::FromDevices => made_up(name, hosts_per_room),
                };
                (name.clone(), hosts)
            });
            names.collect()
        };
        let schools = fleet
            .schools
            .iter()
            .map(|(name, school)| (name.clone(), rooms(school)))
            .collect();
        let first = Commit {
            at: from,
            parent: None,
            subject: "the fleet as it is".to_owned(),
            signer: Signer::default(),
            fleet: Ok(std::rc::Rc::new(fleet.clone())),
        };
        Self {
            seed,
            from,
            until,
            commits: vec![first],
            signers: false,
            schools,
            turns: Vec::new(),
            faults: Vec::new(),
            start: Start::Empty,
            tick: 5 * MINUTE,
            quiet_from: from,
            driver: Driver::Wrapper,
            bug: None,
            keep_all: true,
        }
    }

    /// All that the central server has released: the manifests of all versions of all commits. Their
    /// files are made up: of one image, bases of the same size are the same file.
    #[must_use]
    pub fn published(&self) -> BTreeMap<Digest, Manifest> {
        let fleets = self
            .commits
            .iter()
            .filter_map(|commit| commit.fleet.as_ref().ok());
        let mut published = BTreeMap::new();
        for (name, image) in fleets.flat_map(|fleet| &fleet.images) {
            let ImageSource::Released { versions, .. } = &image.source else {
                continue;
            };
            for (version, found) in versions {
                let file = |ending: &str, size: u64, of: &str| {
                    let name: FileName = format!("{name}.{ending}").parse().ok()?;
                    Some(ManifestFile {
                        sha256: digest(&format!("{name} {size} {of}")),
                        name,
                        size,
                    })
                };
                let base = file("qcow2", found.size.0, "");
                let diff = found
                    .diff
                    .and_then(|diff| file("qdiff", diff.0, &found.manifest.hex()));
                let files = base.into_iter().chain(diff).collect();
                if let Ok(manifest) = Manifest::new(name.clone(), version.clone(), files) {
                    published.insert(found.manifest, manifest);
                }
            }
        }
        published
    }

    /// The `devices.csv` of a school.
    #[must_use]
    pub fn devices(&self, school: &SchoolName) -> Devices {
        let fleet = self
            .commits
            .iter()
            .find_map(|commit| commit.fleet.as_ref().ok());
        let rooms = fleet
            .and_then(|fleet| fleet.schools.get(school))
            .map(|school| &school.rooms);
        let mut text = String::new();
        let mut number: u32 = 0;
        for (room, hosts) in self.schools.get(school).into_iter().flatten() {
            let Some(class) = rooms
                .and_then(|rooms| rooms.get(room))
                .map(|room| &room.class)
            else {
                continue;
            };
            for host in hosts {
                number += 1;
                let [_, _, high, low] = number.to_be_bytes();
                text += &format!(
                    "{room};{host};{class};02:00:00:00:{high:02x}:{low:02x};10.1.{high}.{low};;;;classroom-studentcomputer;;1;;;;;\n"
                );
            }
        }
        Devices::parse(text.as_bytes())
    }
}

/// Hosts that a room might have.
fn made_up(room: &RoomName, count: usize) -> Vec<HostName> {
    let short: String = room.as_str().chars().take(8).collect();
    (1..=count)
        .filter_map(|number| {
            format!("{short}-pc{number:02}")
                .to_ascii_lowercase()
                .parse()
                .ok()
        })
        .collect()
}

fn digest(text: &str) -> Digest {
    Digest::new(Sha256::digest(text.as_bytes()).into())
}
