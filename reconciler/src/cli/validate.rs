//! `reconcile validate`: a state repo in a folder, with all errors of all files at once.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use schema::diagnostic::{self, Severity};
use schema::fleet::{Counts, Fleet};
use schema::tree::{Entry, Tree};
use serde_json::json;

use super::{Exit, Format, Output};
use crate::report::style::{Color, count};

/// Larger files are no documents; their place is noted all the same.
const LARGEST: u64 = 16 << 20;
const DEEPEST: usize = 8;

pub(super) fn run(dir: &Path, output: &Output) -> anyhow::Result<Exit> {
    let tree = read(dir)?;
    let loaded = schema::load(&tree);
    let errors = loaded
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .count();
    let exit = if errors == 0 {
        Exit::Converged
    } else {
        Exit::Failed
    };
    let counts = loaded.fleet.as_ref().map(Fleet::counts);
    if output.format == Format::Json {
        output.json(&json!({ "format_version": "1.0", "valid": errors == 0, "counts": counts, "diagnostics": loaded.diagnostics }))?;
        return Ok(exit);
    }
    for diagnostic in &loaded.diagnostics {
        let text = diagnostic::render(
            diagnostic,
            tree.text(&diagnostic.file),
            output.color == Color::On,
        );
        output.text(&format!("{}\n\n", text.trim_end()))?;
    }
    let warnings = loaded.diagnostics.len() - errors;
    let found = [
        (errors, "error", "errors"),
        (warnings, "warning", "warnings"),
    ];
    let found: Vec<String> = found
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| count(*number, one, many))
        .collect();
    let found = if found.is_empty() {
        "no errors".to_owned()
    } else {
        found.join(", ")
    };
    let counts = counts
        .map(|counts| format!(": {}", held(counts)))
        .unwrap_or_default();
    output.text(&format!("{found}{counts}\n"))?;
    Ok(exit)
}

/// The files of a state repo in a folder.
pub(super) fn read(dir: &Path) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    gather(dir, "", 0, &mut tree)?;
    Ok(tree)
}

/// All files below a folder that a state repo may hold. Symbolic links are not followed, as they are
/// not in a commit.
fn gather(root: &Path, prefix: &str, depth: usize, tree: &mut Tree) -> anyhow::Result<()> {
    let dir = root.join(prefix);
    if depth == 0 && !dir.join("fleet.yaml").exists() && !dir.is_dir() {
        bail!(
            "{} is not a folder: name the folder of a state repo",
            root.display()
        );
    }
    let place = || format!("cannot read the folder {}", dir.display());
    for entry in fs::read_dir(&dir).with_context(place)? {
        let entry = entry.with_context(place)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type().with_context(place)?;
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        if kind.is_dir() && !name.starts_with('.') && depth < DEEPEST {
            gather(root, &path, depth + 1, tree)?;
        } else if kind.is_file()
            && [".yaml", ".yml", ".ics"]
                .iter()
                .any(|ending| name.ends_with(ending))
            && !name.starts_with('.')
        {
            let size = entry.metadata().with_context(place)?.len();
            let bytes = if size > LARGEST {
                Vec::new()
            } else {
                fs::read(entry.path())
                    .with_context(|| format!("cannot read {}", entry.path().display()))?
            };
            tree.insert(path, Entry::of(bytes));
        }
    }
    Ok(())
}

fn held(counts: Counts) -> String {
    let Counts {
        schools,
        rooms,
        classes,
        test_classes,
        images,
        versions,
    } = counts;
    let parts = [
        count(schools, "school", "schools"),
        count(rooms, "room", "rooms"),
        count(classes, "hardware class", "hardware classes"),
        count(test_classes, "test class", "test classes"),
        count(images, "image", "images"),
        count(versions, "version", "versions"),
    ];
    parts.join(", ")
}
