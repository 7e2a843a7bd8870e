//! A state repo into the fleet that it describes.
//!
//! Every file is read on its own, so one run finds all errors of all files; what refers to a file
//! that is broken is not blamed for it. Schools are read side by side, each with its rooms, and
//! only what they resolve to is kept.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::de::DeserializeOwned;

use crate::check::{Commons, class, fleet, image, school};
use crate::diagnostic::{Diagnostic, Severity, sort};
use crate::document::{ClassDocument, FleetDocument, ImageDocument};
use crate::fleet::Fleet;
use crate::read;
use crate::tree::{Entry, Tree};

mod calendars;
mod place;

pub(crate) use calendars::Calendars;
use place::Places;
pub(crate) use place::SchoolFiles;

/// What a state repo resolves to.
#[derive(Debug)]
#[must_use = "the diagnostics are for people to see"]
pub struct Loaded {
    /// The fleet; none if there is an error among the diagnostics.
    pub fleet: Option<Fleet>,
    /// Everything that is wrong, in the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a state repo and follows every reference in it. Any tree is welcome, however broken.
pub fn load(tree: &Tree) -> Loaded {
    let mut found = Vec::new();
    let places = Places::of(tree, &mut found);
    let calendars = calendars::read(&places.calendars, &mut found);

    let fleet_document = match places.fleet {
        Some(file) => file.read::<FleetDocument>(&mut found),
        None => {
            let message = "there is no `fleet.yaml`: it names the fleet and its central server";
            found.push(
                Diagnostic::error("missing-file", "fleet.yaml", None, message).with_hint(
                    "add it to the root of the repo; the other files are found from there",
                ),
            );
            None
        }
    };
    let settings = fleet::resolve(fleet_document.as_ref(), &calendars, &mut found);
    let schools: BTreeSet<_> = places.schools.keys().collect();

    let images = read_all(
        &places.images,
        &mut found,
        |file, document: ImageDocument, found| image::facts(file, &document, &schools, found),
    );
    image::compare_names(images.keys(), &mut found);
    let classes = read_all(
        &places.classes,
        &mut found,
        |file, document: ClassDocument, found| class::resolve(file, document, &images, found),
    );

    let commons = Commons {
        settings: &settings,
        calendars: &calendars,
        images: &images,
        classes: &classes,
    };
    let resolved: Vec<_> = places
        .schools
        .par_iter()
        .map(|(name, files)| {
            let mut found = Vec::new();
            let school = school::resolve(name, files, &commons, &mut found);
            (name, school, found)
        })
        .collect();
    let mut schools = BTreeMap::new();
    for (name, school, more) in resolved {
        found.extend(more);
        if let Some(school) = school {
            schools.insert(name.clone(), school);
        }
    }

    // What several schools have found at one place is said once.
    found.sort_by(|a, b| a.message.cmp(&b.message));
    sort(&mut found);
    found.dedup();
    let broken = found
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    let images = images
        .into_iter()
        .filter_map(|(name, facts)| Some((name, facts?.resolve()?)));
    let classes = classes
        .into_iter()
        .filter_map(|(name, class)| Some((name, class?)));
    let fleet = settings.fleet.filter(|_| !broken).map(|head| Fleet {
        name: head.name,
        central: head.central,
        time_zone: settings.time_zone,
        mail: head.mail,
        images: images.collect(),
        classes: classes.collect(),
        schools,
        suspended: settings.suspended,
        written: settings.written,
    });
    Loaded {
        fleet,
        diagnostics: found,
    }
}

/// All documents of one kind, by name; none in place of one that is broken.
fn read_all<D: DeserializeOwned + Send, K: Ord + Clone + Send + Sync, R: Send>(
    files: &BTreeMap<K, File<'_>>,
    found: &mut Vec<Diagnostic>,
    resolve: impl Fn(&str, D, &mut Vec<Diagnostic>) -> Option<R> + Sync,
) -> BTreeMap<K, Option<R>> {
    let read: Vec<_> = files
        .par_iter()
        .map(|(name, file)| {
            let mut found = Vec::new();
            let document = file.read(&mut found);
            let resolved = document.and_then(|document| resolve(file.path, document, &mut found));
            (name.clone(), resolved, found)
        })
        .collect();
    let resolved = read.into_iter().map(|(name, resolved, more)| {
        found.extend(more);
        (name, resolved)
    });
    resolved.collect()
}

/// A file that is to be a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) path: &'a str,
    pub(crate) entry: &'a Entry,
}

impl File<'_> {
    /// The document in it, as far as it can be read.
    pub(crate) fn read<D: DeserializeOwned>(&self, found: &mut Vec<Diagnostic>) -> Option<D> {
        let Some(text) = self.entry.text() else {
            let message = "this file is not UTF-8 text";
            found.push(
                Diagnostic::error("not-text", self.path, None, message)
                    .with_hint("save it as UTF-8 in your editor"),
            );
            return None;
        };
        let (document, problems) = read::text(self.path, text);
        found.extend(
            problems
                .into_iter()
                .map(|problem| known_elsewhere(problem, text)),
        );
        document
    }
}

/// Keys of features to come: administrators may have read of them.
const PLANNED: [&str; 2] = ["promote", "update"];

/// Keys that hold for whole schools.
const OF_SCHOOLS: [&str; 8] = [
    "announce",
    "exams",
    "guard",
    "holidays",
    "power_groups",
    "rebrand",
    "retries",
    "rollout",
];

/// Keys of `fleet.yaml` that stand under `defaults`.
const DEFAULTS: [&str; 11] = [
    "announce",
    "channel",
    "download_rate",
    "guard",
    "in_use",
    "lessons",
    "power",
    "reset",
    "retries",
    "rollout",
    "windows",
];

/// An unknown key that is known elsewhere, or to a later version, gets a hint that says so.
fn known_elsewhere(problem: Diagnostic, text: &str) -> Diagnostic {
    let key = problem.at.and_then(|at| text.get(at.range()));
    let (Some(key), "unknown-key") = (key, problem.code) else {
        return problem;
    };
    let in_fleet = problem.file == "fleet.yaml";
    if PLANNED.contains(&key) {
        return problem.with_hint("this version does not support it yet; leave it out");
    }
    if in_fleet && DEFAULTS.contains(&key) {
        return problem.with_hint("it is one of the `defaults`: write it under that key");
    }
    let in_room = problem.file.contains("/rooms/");
    if in_room && OF_SCHOOLS.contains(&key)
        || in_fleet && ["exams", "power_groups", "rebrand"].contains(&key)
    {
        return problem.with_hint("it is a key of schools: write it in the `school.yaml`");
    }
    problem
}
