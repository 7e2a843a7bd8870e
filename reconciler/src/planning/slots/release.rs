//! What each school lacks when a commit changes what it wants.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schema::fleet::{Fleet, ImageSource, School};
use schema::name::{ImageName, SchoolName, VersionName};
use serde::{Deserialize, Serialize};

/// A file of a version, by its meaning: versions on one base share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct File {
    image: ImageName,
    version: VersionName,
    part: Part,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Base,
    Diff,
}

/// The files that each school wants by one commit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wants(BTreeMap<SchoolName, BTreeSet<File>>);

impl Wants {
    /// What a commit says.
    #[must_use]
    pub fn of(fleet: &Fleet) -> Self {
        let schools = fleet.schools.iter();
        Self(
            schools
                .map(|(name, school)| (name.clone(), files(fleet, school).collect()))
                .collect(),
        )
    }
}

fn files<'a>(fleet: &'a Fleet, school: &'a School) -> impl Iterator<Item = File> + 'a {
    let rooms = school
        .images
        .iter()
        .map(|(image, wanted)| (image, &wanted.version));
    let tests = school
        .test_classes
        .values()
        .flat_map(|test| &test.images)
        .map(|(image, own)| (image, &own.version));
    rooms.chain(tests).flat_map(|(image, version)| {
        let found = match fleet.images.get(image).map(|image| &image.source) {
            Some(ImageSource::Released { versions, .. }) => versions.get(version),
            _ => None,
        };
        let parts = found.map(|found| {
            let base = found.base.as_ref().unwrap_or(version);
            let file = |version: &VersionName, part, bytes| File {
                image: image.clone(),
                version: version.clone(),
                part,
                bytes,
            };
            let base = file(base, Part::Base, found.size.0);
            [
                Some(base),
                found.diff.map(|diff| file(version, Part::Diff, diff.0)),
            ]
        });
        parts.into_iter().flatten().flatten()
    })
}

/// That schools lack something from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Since when.
    pub at: Timestamp,
    /// How many bytes each of them lacks.
    pub lacks: BTreeMap<SchoolName, u64>,
}

/// The releases of a history of commits, oldest first, each with the time at which it was made. Where it is `cut`,
/// what its first commit wants is there already.
///
/// Clocks of people differ: a commit that seems older than the one before counts as made with it.
#[must_use]
pub fn releases<'a>(
    history: impl IntoIterator<Item = (Timestamp, &'a Wants)>,
    cut: bool,
) -> Vec<Release> {
    let mut had: BTreeMap<&SchoolName, BTreeSet<&File>> = BTreeMap::new();
    let mut latest = Timestamp::MIN;
    let mut found = Vec::new();
    for (number, (at, wants)) in history.into_iter().enumerate() {
        latest = latest.max(at);
        let mut lacks = BTreeMap::new();
        for (school, files) in &wants.0 {
            let had = had.entry(school).or_default();
            let new = files.iter().filter(|file| had.insert(file));
            let bytes = new.map(|file| file.bytes).fold(0, u64::saturating_add);
            if bytes > 0 {
                lacks.insert(school.clone(), bytes);
            }
        }
        let is_there = cut && number == 0;
        if !lacks.is_empty() && !is_there {
            found.push(Release { at: latest, lacks });
        }
    }
    found
}
