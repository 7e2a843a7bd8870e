//! The rules of the house that no compiler knows: layers, sizes, openings, nothing forgotten.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::root;

/// From the bottom to the top: a module may use what stands on lines above its own, and what stands on
/// its own line within the same group. Groups of one line are siblings that must not use one another.
///
/// The longest name that fits counts: `planning::plan` is not `planning`.
const LAYERS: &[&[&[&str]]] = &[
    &[&["linbo"], &["manifest"]],
    &[&["adopt"]],
    &[&[
        "planning::desired",
        "planning::action",
        "planning::journal",
        "planning::orders",
        "planning::observed",
        "planning::rollout",
        "planning::stalled",
        "planning::gates",
        "planning::suspension",
        "planning::rebranded",
        "planning::rollback",
        "planning::cohort",
        "planning::guard",
        "planning::timetable",
        "planning::slots",
    ]],
    &[&["planning::ledger"], &["planning::rollout"]],
    &[&["planning::retention"]],
    // Three independent statements about the same actions.
    &[
        &["planning::topics", "planning::plan"],
        &["planning::predict"],
        &["planning::audit"],
    ],
    &[
        &[
            "planning",
            "planning::preview",
            "planning::forecast",
            "planning::wake",
        ],
        &["planning::agenda"],
    ],
    &[&["world"]],
    &[&["report"]],
    &[&["engine"]],
    &[&["config"], &["state"]],
    &[&["simulator"]],
    &[&["host"]],
    &[&["cli"]],
];

/// What the real world must not do itself, though it stands high enough: decide.
const NOT_FOR_HOST: &[&str] = &[
    "engine",
    "planning::plan",
    "planning::predict",
    "planning::audit",
    "planning::preview",
    "planning::forecast",
    "planning::wake",
    "planning::agenda",
    "planning::topics",
    "planning::retention",
];

/// What a sibling may see of the other: a judge has to be handed what it judges.
const SHOWN_TO_SIBLINGS: &[(&str, &str)] = &[("planning::audit", "planning::plan::Plan")];

const LINES_AT_MOST: usize = 600;
const LINES_WORTH_A_LOOK: usize = 450;

/// A file of Rust, by its path from the root of the workspace.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
    }

    /// Its text without comments and without its tests.
    fn code(&self) -> String {
        let code = self
            .text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        code.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .fold(String::new(), |code, line| code + line + "\n")
    }

    /// `planning::topics::rooms` for a file of the reconciler.
    fn module(&self) -> Option<String> {
        let path = self
            .path
            .strip_prefix("reconciler/src/")?
            .strip_suffix(".rs")?;
        (!["lib", "main"].contains(&path)).then(|| path.replace('/', "::"))
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["schema/src", "reconciler/src", "tests"] {
        collect(folder, &mut found);
    }
    assert!(found.len() > 50, "only {} files", found.len());
    found
}

fn collect(folder: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, found);
        } else if Path::new(&path)
            .extension()
            .is_some_and(|ending| ending == "rs")
        {
            let text = fs::read_to_string(entry.path()).unwrap();
            found.push(Source { path, text });
        }
    }
}

fn complain(about: &[String]) {
    assert!(about.is_empty(), "\n{}", about.join("\n"));
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        let path = path.split(" as ").next().unwrap_or_default();
        return vec![path.trim().trim_end_matches("::self").to_owned()];
    };
    let (mut depth, mut start) = (1, 0);
    let mut all = Vec::new();
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            let part = rest[start..at].trim();
            if !part.is_empty() {
                all.extend(expand(&format!("{}{part}", before.trim())));
            }
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    all
}

/// The modules of this crate that a file uses, as paths from its root.
fn uses(source: &Source, module: &str) -> Vec<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let code = source.code();
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let part_of_a_word =
            code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c));
        // What is shown to a part of the crate uses nothing of it.
        if part_of_a_word || code[..at].ends_with("pub(in ") {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let is_use = code[..at].trim_end().ends_with("use");
        let end = if is_use {
            rest.find(';')
        } else {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
        };
        used.extend(expand(&rest[..end.unwrap_or(rest.len())]));
    }
    for (at, _) in code.match_indices("use super::") {
        let rest = &code[at + "use super::".len()..];
        let statement = rest.split(';').next().unwrap_or_default();
        if !parent.is_empty() && !statement.starts_with("super") {
            used.extend(expand(&format!("{parent}::{statement}")));
        }
    }
    used
}

/// Layer and group of a path.
fn place(path: &str) -> Option<(usize, usize)> {
    let mut best: Option<(usize, (usize, usize))> = None;
    for (layer, groups) in LAYERS.iter().enumerate() {
        for (group, names) in groups.iter().enumerate() {
            for name in *names {
                let fits = path == *name || path.starts_with(&format!("{name}::"));
                if fits && best.is_none_or(|(length, _)| name.len() > length) {
                    best = Some((name.len(), (layer, group)));
                }
            }
        }
    }
    best.map(|(_, place)| place)
}

fn starts_with_module(path: &str, module: &str) -> bool {
    path == module || path.starts_with(&format!("{module}::"))
}

#[test]
fn every_module_uses_only_what_lies_below_it() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some(module) = source.module() else {
            continue;
        };
        let Some(own) = place(&module) else {
            wrong.push(format!("{}: not in the table of layers", source.path));
            continue;
        };
        for used in uses(source, &module) {
            seen += 1;
            let forbidden = match place(&used) {
                // The crate's root gives nothing but its modules.
                None => Some("nothing by this name is in the table of layers"),
                // A module's own parts, and what its parent re-exports to it.
                _ if starts_with_module(&used, &module) => None,
                _ if SHOWN_TO_SIBLINGS.contains(&(&*module, &*used)) => None,
                Some(theirs) if theirs.0 > own.0 => Some("which lies above it"),
                Some(theirs) if theirs.0 == own.0 && theirs.1 != own.1 => Some("its sibling"),
                Some(_)
                    if starts_with_module(&module, "host")
                        && NOT_FOR_HOST
                            .iter()
                            .any(|name| starts_with_module(&used, name)) =>
                {
                    Some("which is not the real world's to ask")
                }
                Some(_) => None,
            };
            if let Some(why) = forbidden {
                wrong.push(format!("{}: uses {used}, {why}", source.path));
            }
        }
    }
    assert!(seen > 100, "only {seen} uses were seen");
    complain(&wrong);
}

#[test]
fn uses_are_read_as_the_compiler_reads_them() {
    let source = Source {
        path: "reconciler/src/planning/predict.rs".to_owned(),
        text: "//! use crate::cli;\nuse crate::planning::{\n    action::{self, Step},\n    plan,\n};\n\
               use super::audit::audit as judge;\nfn f() { crate::linbo::log::scan(b\"\"); $crate::x!() }\n\
               #[cfg(test)]\nmod tests {\n    use crate::host;\n}\n"
            .to_owned(),
    };
    assert_eq!(
        uses(&source, "planning::predict"),
        [
            "planning::action",
            "planning::action::Step",
            "planning::plan",
            "linbo::log::scan",
            "planning::audit::audit",
        ]
    );
    assert!(place("planning::plan") < place("planning::Plan"));
    assert_ne!(place("planning::audit"), place("planning::predict"));
    assert_eq!(place("nobody"), None);
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let mut wrong = Vec::new();
    let mut long = String::new();
    for Source { path, text } in sources() {
        let lines = text.lines().count();
        if lines > LINES_AT_MOST {
            wrong.push(format!("{path}: {lines} lines, at most {LINES_AT_MOST}"));
        } else if lines > LINES_WORTH_A_LOOK {
            writeln!(long, "{path}: {lines} lines").unwrap();
        }
    }
    super::systemd::writeln(long.trim());
    complain(&wrong);
}

#[test]
fn every_module_says_what_it_promises() {
    let wrong: Vec<_> = sources()
        .iter()
        .filter(|source| !source.is_test() || source.path.starts_with("tests/"))
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{}: does not open with //!", source.path))
        .collect();
    complain(&wrong);
}

#[test]
fn no_file_is_forgotten() {
    let sources = sources();
    let manifest = fs::read_to_string(root().join("tests/Cargo.toml")).unwrap();
    let mut wrong = Vec::new();
    for Source { path, .. } in &sources {
        let (folder, file) = path.rsplit_once('/').unwrap();
        let name = file.strip_suffix(".rs").unwrap();
        if ["tests", "tests/benches", "tests/harness/bin"].contains(&folder) {
            let entry = format!("path = \"{}\"", path.strip_prefix("tests/").unwrap());
            if !manifest.contains(&entry) {
                wrong.push(format!("{path}: tests/Cargo.toml does not name it"));
            }
            continue;
        }
        if ["lib", "main"].contains(&name) {
            continue;
        }
        let parents = [
            format!("{folder}.rs"),
            format!("{folder}/lib.rs"),
            format!("{folder}/main.rs"),
        ];
        let named = sources
            .iter()
            .filter(|source| parents.contains(&source.path))
            .any(|parent| parent.text.contains(&format!("mod {name};")));
        if !named {
            wrong.push(format!("{path}: no module names it"));
        }
    }
    complain(&wrong);
}

#[test]
fn what_the_documents_tell_to_make_can_be_made() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut wrong = Vec::new();
    for document in ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", ".ci/run"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        // In prose the word is a verb; a command is a line of its own or stands in backquotes.
        let lines = text.lines().filter_map(|line| {
            line.trim()
                .trim_start_matches("exec ")
                .strip_prefix("make ")
        });
        let quoted = text.split("`make ").skip(1);
        for command in lines.chain(quoted) {
            let target: String = command
                .chars()
                .take_while(char::is_ascii_lowercase)
                .collect();
            if !makefile.contains(&format!("\n{target}:")) {
                wrong.push(format!("{document}: make {target}"));
            }
        }
    }
    complain(&wrong);
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        if source.path.starts_with("reconciler/src/cli") {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            for word in ["println!", "print!(", "eprint!(", "dbg!("] {
                if line.contains(word) {
                    wrong.push(format!(
                        "{}: about line {}: {word}",
                        source.path,
                        number + 1
                    ));
                }
            }
        }
    }
    complain(&wrong);
}
