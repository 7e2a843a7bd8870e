//! A fleet far larger than any real one, to measure with: its state repo, the `devices.csv` of its
//! schools, and what a server of it would observe.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use jiff::{Timestamp, civil::DateTime};
use reconciler::{
    linbo::{devices::Devices, status::HostReport, verdict::HostOutcome},
    manifest::{Manifest, ManifestFile},
    planning::{
        Action, ClassFiles, Desired, Entry, Grub, ImageFile, Journal, LiveImage, Observed, Orders,
        Probe, Record, StepResult, Store, Torrent,
    },
};
use schema::{
    name::{ClassName, HostName, ImageName},
    tree::Tree,
};

/// The only version of the only image.
const MANIFEST: &str = "7dc7e11f4ebeebce9bdb3e91a272ba8fec8458d58c9d2df7afbd57c6a22d2390";

const FLEET: &str = "name: Big fleet
central: { server: images.big.example }
time_zone: Europe/Berlin
defaults:
  windows:
    download: daily 22:00–05:00
    reset: mon–fri 17:30–22:00
    activate: daily 17:30–07:00
  lessons: mon–fri 07:30–17:00
  power: { wake_per_minute: 60, on_at_once: 1000 }
  reset: mon, wed 18:00
";

const CLASS: &str = "firmware: efi64
disk: /dev/sda
partitions:
  - { label: efi, size: 200 MiB, fs: vfat, bootable: true }
  - { label: ubuntu, size: 60 GiB, fs: ext4 }
  - { label: cache, size: rest, fs: ext4 }
os:
  - { name: Ubuntu 24.04, image: ubuntu, root: ubuntu }
";

/// How large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BigFleet {
    /// Schools, named `s0001` and so on.
    pub schools: u16,
    /// Rooms of each school, named `r01` and so on; 255 at the most.
    pub rooms: u8,
    /// Hosts of each room, named `r01-pc01` and so on; 255 at the most.
    pub hosts: u8,
}

/// What a server of the fleet finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All is as it should be.
    Converged,
    /// All is as it should be, but no host was reset since the latest occurrence.
    Due,
    /// Nothing is there yet.
    Fresh,
}

impl BigFleet {
    /// A million hosts.
    pub const MILLION: Self = Self {
        schools: 1000,
        rooms: 50,
        hosts: 20,
    };

    /// The names of its schools.
    pub fn school_names(&self) -> impl Iterator<Item = String> + use<> {
        (1..=self.schools).map(|school| format!("s{school:04}"))
    }

    /// The files of its state repo, with the hosts of every room listed in the room's file.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, String> {
        let image = format!(
            "os: linux\ndomain_join: not_needed\nchannels:\n  stable: 2026.10.1\nversions:\n  \
             2026.10.1: {{ manifest: \"sha256:{MANIFEST}\", size: 14.8 GiB }}\n"
        );
        let mut files = BTreeMap::from([
            ("fleet.yaml".to_owned(), FLEET.to_owned()),
            (
                "hardware-classes/ubuntu-lab.yaml".to_owned(),
                CLASS.to_owned(),
            ),
            ("images/ubuntu.yaml".to_owned(), image),
        ]);
        for school in self.school_names() {
            let text = format!(
                "title: School {school}\nserver: server.{school}.example\ndomain: {school}.example\n\
                 images: {{ ubuntu: stable }}\n"
            );
            files.insert(format!("schools/{school}/school.yaml"), text);
            for room in 1..=self.rooms {
                let mut text = "class: ubuntu-lab\nhosts:\n".to_owned();
                for host in 1..=self.hosts {
                    // Writing into a string cannot fail.
                    writeln!(text, "  - {}", host_name(room, host)).ok();
                }
                files.insert(format!("schools/{school}/rooms/r{room:02}.yaml"), text);
            }
        }
        files
    }

    /// Its state repo in memory.
    #[must_use]
    pub fn tree(&self) -> Tree {
        self.files().into_iter().collect()
    }

    /// Writes its state repo into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        for (path, text) in self.files() {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// The `devices.csv` of each of its schools: they only differ by their name.
    #[must_use]
    pub fn devices(&self) -> String {
        let mut text = String::new();
        for room in 1..=self.rooms {
            for host in 1..=self.hosts {
                let name = host_name(room, host);
                writeln!(
                    text,
                    "r{room:02};{name};ubuntu-lab;52:54:00:00:{room:02x}:{host:02x};10.0.{room}.{host};;;;classroom-studentcomputer;;1;;;;"
                )
                .ok();
            }
        }
        text
    }

    /// All hosts of one of its schools.
    pub fn host_names(&self) -> impl Iterator<Item = String> + use<> {
        let Self { rooms, hosts, .. } = *self;
        (1..=rooms).flat_map(move |room| (1..=hosts).map(move |host| host_name(room, host)))
    }

    /// What the server of one of its schools finds at `at`, when its hosts last reported at `reported`.
    pub fn observed(
        &self,
        desired: &Desired,
        state: State,
        at: Timestamp,
        reported: DateTime,
    ) -> Result<Observed> {
        let devices = Devices::parse(self.devices().as_bytes());
        let image: ImageName = "ubuntu".parse()?;
        let manifest_digest = format!("sha256:{MANIFEST}").parse()?;
        let file = ManifestFile {
            name: "ubuntu.qcow2".parse()?,
            size: 15 << 30,
            sha256: manifest_digest,
        };
        let manifest = Manifest::new(image.clone(), "2026.10.1".parse()?, vec![file.clone()])?;
        let (classes, live, store) = if state == State::Fresh {
            let files = |class: &ClassName| {
                let files = ClassFiles {
                    start_conf: None,
                    grub: Grub::Stale,
                };
                (class.clone(), Probe::Seen(files))
            };
            let store = Store {
                free: 1 << 40,
                ..Store::default()
            };
            (
                desired.classes.keys().map(files).collect(),
                LiveImage::default(),
                store,
            )
        } else {
            let files = desired.classes.iter().map(|(name, class)| {
                let start_conf = Some(class.start_conf.clone());
                (
                    name.clone(),
                    Probe::Seen(ClassFiles {
                        start_conf,
                        grub: Grub::Current,
                    }),
                )
            });
            let base = ImageFile {
                size: file.size,
                sha256: Some(file.sha256),
                written: jiff::Timestamp::UNIX_EPOCH,
                record: None,
                torrent: Torrent::Current,
            };
            let live = LiveImage {
                base: Some(base),
                diff: None,
                uploading: false,
            };
            let store = Store {
                manifests: [(manifest_digest, manifest)].into(),
                objects: [file.sha256].into(),
                damaged: Default::default(),
                partial: BTreeMap::new(),
                free: 1 << 40,
            };
            (files.collect(), live, store)
        };
        let report = match state {
            State::Fresh => None,
            State::Converged | State::Due => Some(HostReport {
                event: reconciler::linbo::status::ImageEvent::Applied,
                at: reported,
                file: file.name,
                stamp: None,
            }),
        };
        let reports = devices
            .rows()
            .iter()
            .map(|device| (device.host.clone(), Probe::Seen(report.clone())));
        let seeded = live.files(&image).map(|(file, _)| file).collect();
        Ok(Observed {
            at,
            reports: Arc::new(reports.collect()),
            devices: Probe::Seen(devices),
            astray: Probe::Seen(Arc::default()),
            classes,
            live: [(image, Probe::Seen(live))].into(),
            store: Probe::Seen(store),
            kept: Probe::Seen(std::collections::BTreeSet::new()),
            busy: Probe::Seen(BTreeMap::new()),
            orders: Probe::Seen(Orders::default()),
            left_on: Probe::Seen(std::collections::BTreeSet::new()),
            onboot: Probe::Seen(BTreeMap::new()),
            seeded: Probe::Seen(seeded),
            journal: Journal::default(),
            running: Vec::new(),
        })
    }

    /// So many records, of passes that each reset all hosts of a school.
    pub fn records(&self, count: usize) -> Result<Vec<Record>> {
        let step = Action::ImportDevices {
            classes: Vec::new(),
            hosts: BTreeMap::new(),
        }
        .id();
        let hosts: Vec<HostName> = self
            .host_names()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()?;
        let begin: Timestamp = "2026-09-01T16:00:00Z".parse()?;
        let mut records = Vec::with_capacity(count);
        let mut pass = begin;
        while records.len() < count {
            let mut note = |entry| {
                records.push(Record {
                    at: pass,
                    pass,
                    entry,
                })
            };
            note(Entry::PassStarted);
            note(Entry::Started {
                step: step.clone(),
                title: "sync 20 hosts of room r01 to ubuntu".to_owned(),
                hosts: Vec::new(),
            });
            for host in &hosts {
                let outcome = HostOutcome::applied_one(
                    "ubuntu.qcow2".parse()?,
                    Some("202610011200".parse()?),
                );
                note(Entry::Host {
                    step: step.clone(),
                    host: host.clone(),
                    outcome,
                    version: None,
                });
            }
            note(Entry::Finished {
                step: step.clone(),
                result: StepResult::Done,
            });
            note(Entry::PassFinished {
                exit: 0,
                summary: "1 step done".to_owned(),
            });
            pass += jiff::SignedDuration::from_hours(24);
        }
        records.truncate(count);
        Ok(records)
    }

    /// The same, as the lines of `journal.jsonl`.
    pub fn journal(&self, count: usize) -> Result<String> {
        let mut text = String::new();
        for record in self.records(count)? {
            text += &serde_json::to_string(&record)?;
            text.push('\n');
        }
        Ok(text)
    }
}

fn host_name(room: u8, host: u8) -> String {
    format!("r{room:02}-pc{host:02}")
}
