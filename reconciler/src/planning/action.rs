//! Actions: each is one externally visible effect, idempotent and interruptible.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use schema::device::Mac;
use schema::digest::Digest;
use schema::fleet::PowerBudget;
use schema::name::{
    ClassName, FileName, HostName, ImageName, PowerGroupName, RoomName, TestClassName, VersionName,
};
use schema::units::{Bytes, Rate};
use serde::{Deserialize, Serialize};

use crate::linbo::command::CommandLine;
use crate::linbo::devices::{Device, Edits};

/// How the identity of a change of rows begins, before the names of its hosts.
const SET_ROWS: &str = "set-rows/";
/// The identity of the device import.
const IMPORT: &str = "import-devices";

/// One effect on the server, its images or its hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Replace `start.conf.<class>` as a whole.
    WriteStartConf {
        /// The class.
        class: ClassName,
        /// Its text until now; none when there was no file.
        before: Option<String>,
        /// Its text from now on.
        after: String,
    },
    /// Make rows of `devices.csv` say what the state repo does; all others stay as they are.
    SetRows {
        /// The hosts, each with what becomes of its row.
        rows: BTreeMap<HostName, RowChange>,
    },
    /// Give hosts another hardware class in `devices.csv`, whose other bytes stay as they are.
    SetClasses {
        /// The hosts, each with its class until now and from now on.
        hosts: BTreeMap<HostName, ClassChange>,
    },
    /// Run `linuxmuster-import-devices`, so that the boot configuration follows the classes.
    ImportDevices {
        /// The classes whose boot configuration is older than their `start.conf`.
        classes: Vec<ClassName>,
        /// Hosts that boot another class than `devices.csv` says, and the one that it says.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        hosts: BTreeMap<HostName, ClassName>,
    },
    /// Fetch what is missing of one version into the store.
    Download {
        /// The image.
        image: ImageName,
        /// The version.
        version: VersionName,
        /// The digest of its manifest, as Git has it.
        manifest: Digest,
        /// What there is still to move, as far as is known.
        bytes: Bytes,
        /// The size of its diff, if it has one.
        diff: Option<Bytes>,
        /// What it may take of the line.
        rate: Option<Rate>,
        /// When it may begin: who begins it earlier waits until then.
        from: Timestamp,
        /// When it has to stop, to be continued in the next window.
        until: Timestamp,
    },
    /// Make a version that is in the store ready under the name that the VM loads in which it is moved into the school's
    /// domain.
    Stage {
        /// The image.
        image: ImageName,
        /// The version.
        version: VersionName,
        /// The digest of its manifest, as Git has it.
        manifest: Digest,
        /// The name that the VM loads.
        to: ImageName,
    },
    /// Exchange an image's files in LINBO's folder for those of one version in the store.
    Activate {
        /// The image.
        image: ImageName,
        /// The version.
        version: VersionName,
        /// The digest of its manifest.
        manifest: Digest,
    },
    /// Delete a version that nobody needs from the store: its manifest, and its files that no other version there has.
    Delete {
        /// The image.
        image: ImageName,
        /// The version.
        version: VersionName,
        /// The digest of its manifest.
        manifest: Digest,
        /// What that frees.
        bytes: Bytes,
    },
    /// Make an image file's torrent anew and seed it.
    Seed {
        /// The image.
        image: ImageName,
        /// Its file.
        file: FileName,
    },
    /// Put the hosts of a room back to their images, then switch them off.
    ResetRoom {
        /// The room.
        room: RoomName,
        /// The test class of the hosts; none where they have the class of the room.
        #[serde(skip_serializing_if = "Option::is_none")]
        test: Option<TestClassName>,
        /// The occurrence of its schedule since which its hosts are to be fresh.
        due: Timestamp,
        /// The hosts that are not fresh.
        hosts: Vec<Wake>,
        /// What each runs.
        commands: CommandLine,
        /// Whether the hosts are all that the room has.
        whole_room: bool,
        /// The images that the commands restore.
        images: Vec<ImageName>,
        /// The class whose operating systems they are.
        class: ClassName,
        /// The circuits that its hosts hang on, and what each of them bears.
        circuits: Vec<(Circuit, Pace)>,
        /// From when on hosts in use are reset all the same; none when they never are.
        force_from: Option<Timestamp>,
    },
    /// Switch hosts off that were left on in LINBO.
    SwitchOff {
        /// The hosts.
        hosts: Vec<HostName>,
    },
}

/// What becomes of the hardware class of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassChange {
    /// Its class until now.
    pub before: ClassName,
    /// Its class from now on.
    pub after: ClassName,
}

/// What becomes of a row of `devices.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowChange {
    /// There was none.
    Added(Device),
    /// It says something else.
    Changed {
        /// The row until now.
        before: Device,
        /// The row from now on.
        after: Device,
    },
    /// There is to be none.
    Removed(Device),
}

impl RowChange {
    /// The row until now.
    #[must_use]
    pub const fn before(&self) -> Option<&Device> {
        match self {
            Self::Added(_) => None,
            Self::Changed { before, .. } | Self::Removed(before) => Some(before),
        }
    }

    /// The row from now on.
    #[must_use]
    pub const fn after(&self) -> Option<&Device> {
        match self {
            Self::Added(after) | Self::Changed { after, .. } => Some(after),
            Self::Removed(_) => None,
        }
    }

    /// What the rows of these hosts become.
    #[must_use]
    pub fn edits(rows: &BTreeMap<HostName, Self>) -> Edits {
        let edits = rows.iter();
        edits
            .map(|(host, change)| (host.clone(), change.after().cloned()))
            .collect()
    }
}

/// A host and how to wake it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Wake {
    /// The host.
    pub host: HostName,
    /// Where its magic packet goes; a host without one cannot be woken.
    pub mac: Option<Mac>,
}

/// What bounds how many hosts are woken and on. A host hangs on several circuits at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// All hosts of the school.
    School,
    /// The hosts of the rooms on one fuse.
    Group(PowerGroupName),
    /// The hosts of one room.
    Room(RoomName),
    /// The hosts that fetch a new image.
    Loading,
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::School => f.write_str("the school"),
            Self::Group(group) => write!(f, "circuit {group}"),
            Self::Room(room) => write!(f, "room {room}"),
            Self::Loading => f.write_str("loading"),
        }
    }
}

/// How fast hosts may be woken, and how many may be on. A bound that does not apply is [`u32::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Pace {
    /// Hosts woken in any minute.
    pub wake_per_minute: u32,
    /// Hosts on at the same time.
    pub on_at_once: u32,
}

impl Pace {
    /// As many and as fast as one likes.
    pub const UNBOUNDED: Self = Self {
        wake_per_minute: u32::MAX,
        on_at_once: u32::MAX,
    };
}

impl From<PowerBudget> for Pace {
    fn from(budget: PowerBudget) -> Self {
        let PowerBudget {
            wake_per_minute,
            on_at_once,
        } = budget;
        Self {
            wake_per_minute: wake_per_minute.max(1),
            on_at_once: on_at_once.max(1),
        }
    }
}

/// What identifies a step over passes and restarts: derived from what it does, so that the journal
/// knows it again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct StepId(Arc<str>);

impl From<String> for StepId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> Self {
        id.to_string()
    }
}

impl StepId {
    /// The identity of the download of a version.
    #[must_use]
    pub fn download(image: &ImageName, version: &VersionName, manifest: &Digest) -> Self {
        format!("download/{image}/{version}/{}", manifest.short()).into()
    }

    /// The room and the occurrence, where the step is the reset of a room.
    #[must_use]
    pub fn reset(&self) -> Option<(RoomName, Timestamp)> {
        let (room, rest) = self.0.strip_prefix("reset/")?.split_once('/')?;
        let due = rest.split_once('/').map_or(rest, |(due, _)| due);
        Some((room.parse().ok()?, due.parse().ok()?))
    }

    /// The hosts, where the step changes rows of `devices.csv`.
    pub fn sets_rows(&self) -> impl Iterator<Item = HostName> {
        let hosts = self.0.strip_prefix(SET_ROWS).unwrap_or_default();
        hosts.split(',').filter_map(|host| host.parse().ok())
    }

    /// Whether the step is the device import.
    #[must_use]
    pub fn is_import(&self) -> bool {
        &*self.0 == IMPORT
    }

    /// The image, where the step exchanges one in LINBO's folder.
    #[must_use]
    pub fn activates(&self) -> Option<ImageName> {
        let (image, _) = self.0.strip_prefix("activate/")?.split_once('/')?;
        image.parse().ok()
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An action that may begin now, and why it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its identity.
    pub id: StepId,
    /// What it does.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// Why something is wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is not there.
    Absent,
    /// It is there, but other than the state repo says.
    Differs,
    /// The boot configuration is older than `start.conf`.
    BootOutdated,
    /// Hosts are to try a test class, or to go back from one.
    Test,
    /// Rows of `devices.csv` are not known to the domain yet.
    NewRows,
    /// Its last run failed, and not all of its effect can be seen.
    FailedBefore,
    /// Another version is active; its name, if it is one that the store knows.
    OtherVersion(Option<VersionName>),
    /// It is there, but no longer what it was when it was downloaded.
    Damaged,
    /// It was begun and cut off.
    Resumed,
    /// It is older than the image file that it belongs to.
    Outdated,
    /// Hosts came up too late, or what worked on them was cut off.
    LeftOn,
    /// It is right, but nobody seeds it.
    NotSeeded,
    /// Nobody has needed it for long.
    Unneeded {
        /// Since when, as far as was noticed.
        since: Timestamp,
    },
    /// Nobody needs it, and a download needs its space.
    SpaceShort,
    /// Hosts have another version of an image than the one whose turn has come.
    NewVersion {
        /// The image.
        image: ImageName,
        /// Since when they are to have it.
        due: Timestamp,
    },
    /// Hosts were last put back before the schedule's latest occurrence.
    Stale {
        /// The occurrence.
        due: Timestamp,
    },
}

/// What actions compete for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// The line to the central server.
    Uplink,
    /// The device import: two at a time would spoil each other's files, and it reads those of all classes.
    Import,
    /// What lies in the store: it is not deleted while others work with it.
    Store,
    /// The files of a class.
    Class(ClassName),
    /// The files of an image.
    Image(ImageName),
    /// The hosts of a room.
    Room(RoomName),
}

/// How much of a resource an action takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// All of it.
    Whole,
    /// So many units.
    Units(u32),
}

impl Action {
    /// The identity of the step that performs this action.
    #[must_use]
    pub fn id(&self) -> StepId {
        StepId::from(match self {
            Self::WriteStartConf { class, .. } => format!("start-conf/{class}"),
            Self::SetRows { rows } => {
                let hosts: Vec<&str> = rows.keys().map(HostName::as_str).collect();
                format!("{SET_ROWS}{}", hosts.join(","))
            }
            Self::SetClasses { hosts } => {
                let hosts: Vec<String> = hosts
                    .iter()
                    .map(|(host, ClassChange { after, .. })| format!("{host}={after}"))
                    .collect();
                format!("set-classes/{}", hosts.join(","))
            }
            Self::ImportDevices { .. } => IMPORT.to_owned(),
            Self::Download {
                image,
                version,
                manifest,
                ..
            } => return StepId::download(image, version, manifest),
            Self::Stage {
                image,
                version,
                manifest,
                ..
            } => {
                format!("stage/{image}/{version}/{}", manifest.short())
            }
            Self::Activate {
                image,
                version,
                manifest,
            } => {
                format!("activate/{image}/{version}/{}", manifest.short())
            }
            Self::Delete {
                image,
                version,
                manifest,
                ..
            } => {
                format!("delete/{image}/{version}/{}", manifest.short())
            }
            Self::Seed { file, .. } => format!("seed/{file}"),
            Self::ResetRoom {
                room,
                test: None,
                due,
                ..
            } => format!("reset/{room}/{due}"),
            Self::ResetRoom {
                room,
                test: Some(test),
                due,
                ..
            } => format!("reset/{room}/{due}/{test}"),
            Self::SwitchOff { hosts } => {
                let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                format!("switch-off/{}", hosts.join(","))
            }
        })
    }

    /// What it takes of which resources while it runs.
    #[must_use]
    pub fn claims(&self) -> Vec<(Resource, Share)> {
        let one = Share::Units(1);
        match self {
            // An import reads all classes: one that is written meanwhile would look imported and not be.
            Self::WriteStartConf { class, .. } => {
                vec![
                    (Resource::Class(class.clone()), Share::Whole),
                    (Resource::Import, one),
                ]
            }
            // A host that boots while its row changes would be another one.
            Self::SetRows { rows } => {
                let rows = rows.values();
                let rows = rows
                    .flat_map(|change| [change.before(), change.after()])
                    .flatten();
                let rows: BTreeSet<&RoomName> = rows.map(|device| &device.room).collect();
                let rooms = rows.into_iter().cloned().map(Resource::Room);
                let all = rooms.chain([Resource::Import]);
                all.map(|resource| (resource, Share::Whole)).collect()
            }
            // Hosts of neither class are put back meanwhile: one that boots then would take the other's image.
            Self::SetClasses { hosts } => {
                let classes: BTreeSet<_> = hosts
                    .values()
                    .flat_map(|change| [&change.before, &change.after])
                    .collect();
                whole_classes(classes)
            }
            Self::ImportDevices { classes, hosts } => {
                whole_classes(classes.iter().chain(hosts.values()).collect())
            }
            Self::Download { .. } => vec![(Resource::Uplink, Share::Whole), (Resource::Store, one)],
            Self::Activate { image, .. } => vec![
                (Resource::Image(image.clone()), Share::Whole),
                (Resource::Store, one),
            ],
            Self::Stage { .. } => vec![(Resource::Store, one)],
            Self::Delete { .. } => vec![(Resource::Store, Share::Whole)],
            Self::Seed { image, .. } => vec![(Resource::Image(image.clone()), Share::Whole)],
            Self::SwitchOff { .. } => Vec::new(),
            Self::ResetRoom {
                room,
                images,
                class,
                ..
            } => {
                let images = images
                    .iter()
                    .map(|image| (Resource::Image(image.clone()), one));
                let rest = [
                    (Resource::Class(class.clone()), one),
                    (Resource::Room(room.clone()), Share::Whole),
                ];
                images.chain(rest).collect()
            }
        }
    }
}

/// All of these classes and of the import, which reads what is written of them.
fn whole_classes(classes: BTreeSet<&ClassName>) -> Vec<(Resource, Share)> {
    let classes = classes.into_iter().cloned().map(Resource::Class);
    let all = classes.chain([Resource::Import]);
    all.map(|resource| (resource, Share::Whole)).collect()
}

impl Step {
    /// A step with the identity that its action gives it.
    #[must_use]
    pub fn new(action: Action, reason: Reason) -> Self {
        Self {
            id: action.id(),
            action,
            reason,
        }
    }
}
