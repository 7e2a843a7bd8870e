//! An image on its way from Git to the PCs: which version is wanted, what of it is in the store, what lies in LINBO's
//! folder, and what the PCs have.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::fleet::DomainJoin;
use schema::name::{ChannelName, FileName, ImageName, RoomName, VersionName};
use schema::text::ImageStamp;
use schema::units::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Concern, document, line};
use crate::manifest::MadeFrom;
use crate::planning::ledger::{HostEntry, Runs};
use crate::planning::{
    Desired, Gate, Goal, Ledger, LiveImage, Observed, Plan, Probe, Purpose, Store,
};
use crate::report::hosts::version as version_of;
use crate::report::style::{Color, count};
use crate::report::text::{Head, opening};
use crate::report::title::Clock;

/// The state of hosts of which nothing is known.
const UNKNOWN: &str = "unknown";

/// An image, by everything that is known of it.
#[derive(Debug, Serialize)]
pub struct ImageCase<'a> {
    /// Its name.
    image: &'a ImageName,
    /// The versions that the state repo wants; none where it is made at this school.
    wanted: Vec<Wanted<'a>>,
    /// The version that people went back from.
    gone_back_from: Option<&'a VersionName>,
    /// The only state that hosts are to have, where the state repo names one.
    pinned: Option<&'a ImageStamp>,
    /// What lies in LINBO's folder, or why that could not be seen.
    live: Seen<Set<'a>>,
    /// Since when that is there, where it was put there by a pass.
    live_since: Option<Timestamp>,
    /// What lay there before.
    before: Seen<Set<'a>>,
    /// How many hosts have which state of it, by what people call that.
    hosts: BTreeMap<String, usize>,
    /// Of each room that has it, how many hosts there are, and how many of them run what is wanted.
    rooms: BTreeMap<&'a RoomName, InRoom>,
}

/// A version that is wanted.
#[derive(Debug, Serialize)]
struct Wanted<'a> {
    version: &'a VersionName,
    channel: Option<&'a ChannelName>,
    /// The digest of its manifest, as Git has it.
    manifest: Digest,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<jiff::civil::Date>,
    /// Whether it belongs to another domain.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_foreign: bool,
    /// How what is in its place was made from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<Made<'a>>,
    /// What has still to be moved; none when that cannot be told.
    missing: Option<u64>,
}

/// What was made here of a version.
#[derive(Debug, Serialize)]
struct Made<'a> {
    /// The digest of the manifest of that.
    manifest: Digest,
    #[serde(flatten)]
    from: &'a MadeFrom,
}

/// Something that was looked at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Seen<T> {
    Found(T),
    Nothing,
    Unseen(String),
}

/// The files of an image.
#[derive(Debug, Serialize)]
struct Set<'a> {
    /// The version, where the store knows it.
    version: Option<&'a VersionName>,
    /// Its last file and the state by which hosts know it.
    file: Option<FileName>,
    stamp: Option<ImageStamp>,
    /// Whether all of its files are seeded; none where nobody looked.
    seeded: Option<bool>,
}

/// The hosts of a room that has an image.
#[derive(Debug, Default, Serialize)]
struct InRoom {
    hosts: usize,
    as_wanted: usize,
}

impl<'a> ImageCase<'a> {
    /// What is known of an image; none where no class of this server has it. `before` is what lay in LINBO's folder
    /// before what lies there.
    #[must_use]
    pub fn of(
        image: &'a ImageName,
        desired: &'a Desired,
        observed: &'a Observed,
        ledger: &'a Ledger<'_>,
        before: &Probe<LiveImage>,
    ) -> Option<Self> {
        let live = observed.live.get(image)?;
        let store = observed.store.seen();
        let images = desired.images.iter().filter(|((of, _), _)| of == image);
        let wanted = images.map(|((_, version), wanted)| Wanted {
            version,
            channel: wanted.channel.as_ref(),
            manifest: wanted.published,
            bytes: wanted.size.0,
            is_foreign: wanted.domain_join == DomainJoin::Rebrand,
            made: store.and_then(|store| {
                let from = store.manifests.get(&wanted.manifest)?.made_from()?;
                let manifest = wanted.manifest;
                Some(Made { manifest, from })
            }),
            until: match wanted.purpose {
                Purpose::Rooms | Purpose::Vm => None,
                Purpose::TestClass { until } => Some(until),
            },
            missing: store.map(|store| {
                let missing = store.missing(&wanted.manifest);
                missing.unwrap_or(wanted.size.0)
            }),
        });
        let set = |probe: &Probe<LiveImage>| set(image, probe, store);
        let mut found = set(live);
        if let (Seen::Found(found), Some(live), Some(seeded)) =
            (&mut found, live.seen(), observed.seeded.seen())
        {
            found.seeded = Some(live.files(image).all(|(file, _)| seeded.contains(&file)));
        }
        let mut case = Self {
            image,
            wanted: wanted.collect(),
            gone_back_from: desired.gone_back.get(image).map(|back| &back.from),
            pinned: desired.pinned.get(image),
            live: found,
            live_since: observed.journal.activated(image),
            before: set(before),
            hosts: BTreeMap::new(),
            rooms: BTreeMap::new(),
        };
        for (name, room) in &ledger.rooms {
            let has = |entry: &&HostEntry<'_>| room.group(entry).images.contains(&image);
            for entry in room.hosts.values().filter(has) {
                case.add(name, entry);
            }
        }
        Some(case)
    }

    fn add(&mut self, room: &'a RoomName, entry: &HostEntry<'_>) {
        let state = entry.applied.get(self.image).map(version_of);
        let state = state.unwrap_or_else(|| UNKNOWN.to_owned());
        *self.hosts.entry(state).or_default() += 1;
        let in_room = self.rooms.entry(room).or_default();
        in_room.hosts += 1;
        in_room.as_wanted += usize::from(entry.runs == Runs::Wanted);
    }

    /// What of a plan concerns it.
    fn concern<'p>(&self, plan: &'p Plan) -> Concern<'p> {
        let image = self.image;
        let concerns = |goal: &Goal| match goal {
            Goal::Downloaded(of, _)
            | Goal::Staged(of, _)
            | Goal::Active(of, _)
            | Goal::Deleted(of, _) => of == image,
            Goal::Seeded(file) => file.is_of(image),
            Goal::StartConf(_)
            | Goal::Import
            | Goal::Rows(_)
            | Goal::Classes(_)
            | Goal::Fresh(..)
            | Goal::Off(_)
            | Goal::Room(_) => false,
        };
        let waits = |gate: &Gate| match gate {
            Gate::Wave { image: of, .. }
            | Gate::RolloutStopped { image: of, .. }
            | Gate::NotPinned { image: of, .. }
            | Gate::ImageMissing(of)
            | Gate::NotActive(of)
            | Gate::Uploading(of) => of == image,
            Gate::NotSeeded(file) => file.is_of(image),
            _ => false,
        };
        let steps = plan.steps.iter();
        let holds = plan.holds.iter();
        Concern {
            steps: steps
                .filter(|step| concerns(&Goal::from(&step.action)))
                .collect(),
            holds: holds
                .filter(|hold| concerns(&hold.goal) || waits(&hold.gate))
                .collect(),
        }
    }
}

fn set<'a>(image: &ImageName, found: &Probe<LiveImage>, store: Option<&'a Store>) -> Seen<Set<'a>> {
    let live = match found {
        Probe::Seen(live) => live,
        Probe::Unseen(cause) => return Seen::Unseen(cause.clone()),
    };
    if live.base.is_none() && live.diff.is_none() {
        return Seen::Nothing;
    }
    let manifests = store.into_iter().flat_map(|store| store.manifests.values());
    let mut known = manifests.filter(|manifest| manifest.image() == image);
    let state = live.state(image);
    Seen::Found(Set {
        version: known
            .find(|manifest| live.holds(manifest))
            .map(|manifest| manifest.version()),
        file: live.files(image).last().map(|(file, _)| file),
        stamp: state.map(|(_, _, stamp)| stamp.clone()),
        seeded: None,
    })
}

impl Wanted<'_> {
    fn line(&self) -> String {
        let Self {
            version,
            channel,
            manifest,
            bytes,
            until,
            ..
        } = self;
        let channel = channel.map_or(String::new(), |channel| format!(", by channel {channel}"));
        let until = until.map_or(String::new(), |until| {
            format!(", for a test class until {until}")
        });
        let size = Bytes(*bytes);
        format!("{version}{channel}{until}, {size:.1}, manifest {manifest}")
    }

    /// Which domain it belongs to, where that has to be told.
    fn domain(&self, clock: Clock<'_>) -> Option<String> {
        let Some(Made { manifest, from }) = &self.made else {
            return self
                .is_foreign
                .then(|| "another one: it has to be moved into the school's".to_owned());
        };
        let Some(domain) = &from.domain else {
            return Some("another one: this is what the VM loads".to_owned());
        };
        let commit = from.commit.as_deref().and_then(|id| id.get(..9));
        let commit = commit.map_or(String::new(), |id| format!(", under commit {id}"));
        Some(format!(
            "{domain}, into which it was moved {}{commit}, with reconcile {}, manifest {manifest}",
            clock.show(from.at),
            from.program
        ))
    }

    fn stored(&self) -> String {
        let version = self.version;
        match self.missing {
            None => format!("{version} may be there: the store could not be seen"),
            Some(0) => format!("{version}, verified"),
            Some(missing) => format!("{:.1} of {version} are missing", Bytes(missing)),
        }
    }
}

impl Set<'_> {
    fn line(&self, is_released: bool) -> String {
        let version = self.version.map(ToString::to_string);
        let version =
            version.or_else(|| is_released.then(|| "no version that the store knows".to_owned()));
        let stamp = self
            .stamp
            .as_ref()
            .map_or(String::new(), |stamp| format!(" of {stamp}"));
        let file = self.file.as_ref().map(|file| format!("{file}{stamp}"));
        let seeded = self
            .seeded
            .map(|seeded| if seeded { "seeded" } else { "not seeded" }.to_owned());
        let parts = [version, file, seeded].into_iter().flatten();
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl Seen<Set<'_>> {
    fn line(&self, is_released: bool) -> String {
        match self {
            Self::Found(set) => set.line(is_released),
            Self::Nothing => "nothing".to_owned(),
            Self::Unseen(cause) => format!("not seen: {cause}"),
        }
    }
}

/// An image, for people.
#[must_use]
pub fn image(head: Head<'_>, case: &ImageCase<'_>, plan: &Plan, color: Color) -> String {
    let clock = head.clock;
    let mut text = opening(head, color);
    // Writing to a String cannot fail.
    _ = writeln!(text, "\nimage {}", case.image);
    match (&case.wanted[..], case.pinned) {
        ([], Some(pinned)) => line(
            &mut text,
            "state repo",
            &format!("made at this school, state {pinned}"),
        ),
        ([], None) => line(
            &mut text,
            "state repo",
            "made at this school, the newest state",
        ),
        (wanted, _) => wanted
            .iter()
            .for_each(|wanted| line(&mut text, "state repo", &wanted.line())),
    }
    if let Some(from) = case.gone_back_from {
        line(
            &mut text,
            "",
            &format!("instead of {from}, from which somebody went back"),
        );
    }
    for wanted in &case.wanted {
        line(&mut text, "store", &wanted.stored());
        if let Some(domain) = wanted.domain(clock) {
            line(&mut text, "domain", &domain);
        }
    }
    let since = case.live_since.map_or(String::new(), |since| {
        format!(", since {}", clock.show(since))
    });
    let is_released = !case.wanted.is_empty();
    let live = case.live.line(is_released);
    line(&mut text, "LINBO", &format!("{live}{since}"));
    if is_released {
        line(&mut text, "before it", &case.before.line(true));
    }
    hosts(&mut text, case);
    let nothing = "Nothing is planned for it, and it waits for nothing.";
    case.concern(plan).text(&mut text, nothing, clock, color);
    text
}

fn hosts(text: &mut String, case: &ImageCase<'_>) {
    if case.hosts.is_empty() {
        return line(text, "PCs", "no room has it");
    }
    let states = case.hosts.iter();
    let states = states.map(|(state, hosts)| match state.as_str() {
        UNKNOWN => format!("of {} it is unknown", count(*hosts, "host", "hosts")),
        state if state.starts_with("of ") => {
            format!("{} the one {state}", count(*hosts, "has", "have"))
        }
        state => format!("{} {state}", count(*hosts, "has", "have")),
    });
    let states: Vec<String> = states.collect();
    line(text, "PCs", &states.join(", "));
    for (room, InRoom { hosts, as_wanted }) in &case.rooms {
        let hosts = count(*hosts, "host runs", "hosts run");
        _ = writeln!(
            text,
            "    room {room}: {as_wanted} of {hosts} what is wanted"
        );
    }
}

/// An image as one JSON document.
#[must_use]
pub fn image_json(head: Head<'_>, case: &ImageCase<'_>, plan: &Plan) -> Value {
    let clock: Clock<'_> = head.clock;
    let mut document = document(head);
    document["image"] = json!(case);
    document["plan"] = case.concern(plan).json(clock);
    document
}
