//! What the files of a state repo are, by their paths.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use super::File;
use crate::diagnostic::{Diagnostic, suggest};
use crate::name::{ClassName, ImageName, RoomName, SchoolName, TestClassName};
use crate::tree::Tree;

/// The documents of a state repo.
#[derive(Debug, Default)]
pub(super) struct Places<'a> {
    pub(super) fleet: Option<File<'a>>,
    pub(super) calendars: BTreeMap<&'a str, File<'a>>,
    pub(super) images: BTreeMap<ImageName, File<'a>>,
    pub(super) classes: BTreeMap<ClassName, File<'a>>,
    pub(super) schools: BTreeMap<SchoolName, SchoolFiles<'a>>,
}

/// The documents of one school.
#[derive(Debug, Default)]
pub(crate) struct SchoolFiles<'a> {
    pub(crate) school: Option<File<'a>>,
    pub(crate) rooms: Vec<(RoomName, File<'a>)>,
    pub(crate) test_classes: Vec<(TestClassName, File<'a>)>,
}

/// Folders at the root that are not ours, besides those that begin with a dot.
const FOREIGN: [&str; 4] = ["schemas", "docs", "scripts", "tests"];

const LAYOUT: &str = "documents are `fleet.yaml`, `images/<image>.yaml`, `hardware-classes/<class>.yaml`, `schools/<school>/school.yaml`, `schools/<school>/rooms/<room>.yaml` and `schools/<school>/test-classes/<name>.yaml`";

impl<'a> Places<'a> {
    /// Tells the documents from the rest, and complains of YAML files where no document belongs.
    pub(super) fn of(tree: &'a Tree, found: &mut Vec<Diagnostic>) -> Self {
        let mut places = Self::default();
        let mut misnamed = BTreeSet::new();
        for (path, entry) in tree.iter() {
            let file = File { path, entry };
            let parts: Vec<&str> = path.split('/').collect();
            let foreign =
                parts.len() > 1 && parts.first().is_some_and(|folder| FOREIGN.contains(folder));
            if foreign || parts.iter().any(|part| part.starts_with('.')) {
                continue;
            }
            if let ["calendars", name] = parts.as_slice()
                && name.ends_with(".ics")
            {
                places.calendars.insert(path, file);
                continue;
            }
            let yaml = path.ends_with(".yaml") || path.ends_with(".yml");
            let Some(stems) = stems(&parts) else {
                if yaml {
                    found.push(misplaced(path, &parts));
                }
                continue;
            };
            match stems {
                Stems::Fleet => places.fleet = Some(file),
                Stems::Image(stem) => {
                    if let Some(name) = name(path, stem, found) {
                        places.images.insert(name, file);
                    }
                }
                Stems::Class(stem) => {
                    if let Some(name) = name(path, stem, found) {
                        places.classes.insert(name, file);
                    }
                }
                Stems::InSchool(school, kind) => {
                    let Ok(school_name) = school.parse::<SchoolName>() else {
                        // Once for the folder, not for each file in it.
                        if misnamed.insert(school) {
                            name::<SchoolName>(path, school, found);
                        }
                        continue;
                    };
                    let files = places.schools.entry(school_name).or_default();
                    match kind {
                        InSchool::School => files.school = Some(file),
                        InSchool::Room(stem) => {
                            files
                                .rooms
                                .extend(name(path, stem, found).map(|name| (name, file)));
                        }
                        InSchool::TestClass(stem) => {
                            files
                                .test_classes
                                .extend(name(path, stem, found).map(|name| (name, file)));
                        }
                    }
                }
            }
        }
        places
    }
}

/// What kind of document a path stands for, and the names in it, unchecked.
enum Stems<'a> {
    Fleet,
    Image(&'a str),
    Class(&'a str),
    InSchool(&'a str, InSchool<'a>),
}

enum InSchool<'a> {
    School,
    Room(&'a str),
    TestClass(&'a str),
}

fn stems<'a>(parts: &[&'a str]) -> Option<Stems<'a>> {
    let stem = |name: &'a str| name.strip_suffix(".yaml").filter(|stem| !stem.is_empty());
    match *parts {
        ["fleet.yaml"] => Some(Stems::Fleet),
        ["images", file] => stem(file).map(Stems::Image),
        ["hardware-classes", file] => stem(file).map(Stems::Class),
        ["schools", school, "school.yaml"] => Some(Stems::InSchool(school, InSchool::School)),
        ["schools", school, "rooms", file] => {
            stem(file).map(|stem| Stems::InSchool(school, InSchool::Room(stem)))
        }
        ["schools", school, "test-classes", file] => {
            stem(file).map(|stem| Stems::InSchool(school, InSchool::TestClass(stem)))
        }
        _ => None,
    }
}

/// The name that a file or folder stands for.
fn name<N: FromStr<Err: Display>>(
    path: &str,
    stem: &str,
    found: &mut Vec<Diagnostic>,
) -> Option<N> {
    match stem.parse() {
        Ok(name) => Some(name),
        Err(problem) => {
            let diagnostic = Diagnostic::error("bad-file-name", path, None, format!("{problem}"));
            found.push(diagnostic.with_hint(format!(
                "rename `{stem}`: names of files and folders are the names of what is in them"
            )));
            None
        }
    }
}

fn misplaced(path: &str, parts: &[&str]) -> Diagnostic {
    let message = "no document belongs here, so nothing would ever read this file";
    let hint = match corrected(parts) {
        Some(better) => format!("did you mean `{better}`?"),
        None => LAYOUT.to_owned(),
    };
    Diagnostic::error("misplaced-file", path, None, message).with_hint(hint)
}

/// The path of a document that this one most likely was meant to be.
fn corrected(parts: &[&str]) -> Option<String> {
    let (file, folders) = parts.split_last()?;
    let stem = file
        .strip_suffix(".yaml")
        .or_else(|| file.strip_suffix(".yml"))?;
    let top = folders
        .first()
        .copied()
        .map(|folder| suggest(folder, ["images", "hardware-classes", "schools"]).unwrap_or(folder));
    let better = match (top, folders) {
        (None, _) if suggest(stem, ["fleet"]).is_some() => "fleet.yaml".to_owned(),
        (None, _) => return None,
        (Some(top @ ("images" | "hardware-classes")), _) => format!("{top}/{stem}.yaml"),
        (Some("schools"), [_]) => format!("schools/{stem}/school.yaml"),
        (Some("schools"), [_, school]) => match suggest(stem, ["school"]) {
            Some(_) => format!("schools/{school}/school.yaml"),
            None => format!("schools/{school}/rooms/{stem}.yaml"),
        },
        (Some("schools"), [_, school, kind, ..]) => {
            let kind = suggest(kind, ["rooms", "test-classes"])?;
            format!("schools/{school}/{kind}/{stem}.yaml")
        }
        _ => {
            let folder = suggest(top?, ["rooms", "test-classes", "classes"])?;
            match folder {
                "classes" => format!("hardware-classes/{stem}.yaml"),
                folder => format!("schools/<school>/{folder}/{stem}.yaml"),
            }
        }
    };
    Some(better)
}
