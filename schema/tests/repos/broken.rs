//! Broken repos and what is said about them: `schema/tests/cases/<name>.repo` holds files that are
//! put over the small example, `<name>.expected` the diagnostics. `UPDATE_GOLDEN=1` rewrites those.

use std::fs;

use proptest::prelude::*;
use schema::load;
use schema::tree::{Entry, Tree};

use crate::files;

/// The small example without comments on which a case builds, and the files of the case.
fn over(base: &Tree, case: &str) -> Tree {
    let mut tree = base.clone();
    for part in case.split("=== ").skip(1) {
        let (path, text) = part.split_once('\n').unwrap();
        tree.insert(path, Entry::of(text.into()));
    }
    tree
}

#[test]
fn a_broken_repo_is_explained() {
    let base = files::tree(&files::root().join("examples/small"));
    let folder = files::root().join("schema/tests/cases");
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "repo") {
            continue;
        }
        let tree = over(&base, &fs::read_to_string(&path).unwrap());
        let loaded = load(&tree);
        let mut text = files::rendered(&tree, &loaded.diagnostics);
        assert!(!text.is_empty(), "{} finds nothing", path.display());
        text += if loaded.fleet.is_some() {
            "There is a fleet.\n"
        } else {
            "There is no fleet.\n"
        };
        files::compare(&path.with_extension("expected"), &text);
        cases += 1;
    }
    assert!(cases >= 10, "only {cases} cases were found");
}

#[test]
fn an_empty_repo_lacks_its_fleet_and_nothing_else() {
    let loaded = load(&Tree::default());
    let codes: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|found| (found.code, found.file.as_str()))
        .collect();
    assert_eq!(codes, [("missing-file", "fleet.yaml")]);
    assert!(loaded.fleet.is_none());
}

#[test]
fn a_file_that_is_not_text_is_said_to_be_none() {
    let mut tree = files::tree(&files::root().join("examples/small"));
    for path in [
        "fleet.yaml",
        "calendars/a.ics",
        "schools/bs-nord/rooms/r9.yaml",
        "logo.png",
    ] {
        tree.insert(path, Entry::of(vec![0xff, 0xfe, b'a']));
    }
    let found: Vec<_> = load(&tree)
        .diagnostics
        .into_iter()
        .map(|found| (found.code, found.file))
        .collect();
    let expected = [
        "calendars/a.ics",
        "fleet.yaml",
        "schools/bs-nord/rooms/r9.yaml",
    ];
    assert_eq!(found, expected.map(|file| ("not-text", file.to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens to a file, loading ends; and a fleet comes only without errors.
    #[test]
    fn no_change_of_a_file_makes_loading_panic(
        file in 0_usize..100, at in 0.0..1.0_f64, length in 0_usize..30, text in "\\PC{0,12}|[\\n:{}\\[\\]#&*\"' -]{0,6}"
    ) {
        let base = files::tree(&files::root().join("examples/realistic"));
        let paths: Vec<&str> = base.iter().map(|(path, _)| path).collect();
        let path = paths[file % paths.len()];
        let chars: Vec<char> = base.text(path).unwrap().chars().collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
        let from = (at * chars.len() as f64) as usize;
        let to = (from + length).min(chars.len());
        let changed: String = chars[..from].iter().chain(text.chars().collect::<Vec<_>>().iter()).chain(&chars[to..]).collect();
        let mut tree = base.clone();
        tree.insert(path, Entry::of(changed.into()));
        let loaded = load(&tree);
        let errors = loaded.diagnostics.iter().any(|found| found.severity == schema::diagnostic::Severity::Error);
        prop_assert_eq!(loaded.fleet.is_none(), errors);
        for found in &loaded.diagnostics {
            prop_assert!(!files::rendered(&tree, std::slice::from_ref(found)).is_empty());
        }
    }
}
