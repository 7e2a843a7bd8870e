//! The example repos and the template are what they promise: they load without a word, and editors
//! that follow the JSON Schemas find nothing wrong with them either.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads the files of the project"
)]

mod broken;
mod files;
mod resolved;
mod schemas;

use schema::fleet::Counts;
use schema::{Loaded, load};

/// Loads a repo of this project, which has to be right to the last word.
fn check(folder: &str, expected: Counts) {
    let tree = files::tree(&files::root().join(folder));
    let Loaded { fleet, diagnostics } = load(&tree);
    let rendered = files::rendered(&tree, &diagnostics);
    assert_eq!(rendered, "", "{folder} has diagnostics");
    assert_eq!(
        schemas::problems(&tree),
        [""; 0],
        "{folder}, by the schemas"
    );
    schemas::check_modelines(folder, &tree);
    assert_eq!(fleet.unwrap().counts(), expected, "{folder}");
}

#[test]
fn the_small_example_loads_without_a_word() {
    check(
        "examples/small",
        Counts {
            schools: 1,
            rooms: 2,
            classes: 1,
            test_classes: 0,
            images: 1,
            versions: 2,
        },
    );
}

#[test]
fn the_realistic_example_loads_without_a_word() {
    check(
        "examples/realistic",
        Counts {
            schools: 3,
            rooms: 9,
            classes: 3,
            test_classes: 1,
            images: 4,
            versions: 5,
        },
    );
}

#[test]
fn the_template_loads_without_a_word() {
    check(
        "state-repo-template",
        Counts {
            schools: 1,
            rooms: 1,
            classes: 1,
            test_classes: 0,
            images: 1,
            versions: 1,
        },
    );
}

#[test]
fn the_template_brings_its_own_checks() {
    let tree = files::tree(&files::root().join("state-repo-template"));
    for path in [
        ".github/workflows/validate.yml",
        ".forgejo/workflows/validate.yml",
        ".gitlab-ci.yml",
    ] {
        let text = tree
            .text(path)
            .unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(
            schema::yaml::parse_within(path, text, Default::default()).diagnostics,
            [],
            "{path}"
        );
        assert!(text.contains("reconcile validate ."), "{path}");
    }
    let settings: serde_json::Value =
        serde_json::from_str(tree.text(".vscode/settings.json").unwrap()).unwrap();
    let schemas = settings["yaml.schemas"].as_object().unwrap();
    assert_eq!(schemas.len(), schema::json_schema::all().len());
    for path in schemas.keys() {
        assert!(tree.text(path.trim_start_matches("./")).is_some(), "{path}");
    }
}

#[test]
fn what_the_readme_shows_is_right() {
    let mut tree = files::tree(&files::root().join("state-repo-template"));
    let readme = tree.text("README.md").unwrap().to_owned();
    let examples: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|part| part.split("```").next())
        .collect();
    let [room, kept, vm, test_class] = examples.as_slice() else {
        panic!("four examples")
    };
    let entry = |text: &str| schema::tree::Entry::of(text.to_owned().into_bytes());
    tree.insert("schools/my-school/rooms/r102.yaml", entry(room));
    tree.insert("schools/my-school/rooms/r103.yaml", entry(kept));
    let school = format!(
        "{}{vm}",
        tree.text("schools/my-school/school.yaml").unwrap()
    );
    tree.insert("schools/my-school/school.yaml", entry(&school));
    let image = tree.text("images/ubuntu.yaml").unwrap();
    let tried = image
        .replace("2026.10.1", "2026.11.t1")
        .replace("sha256:0", "sha256:1");
    tree.insert("images/gimp3.yaml", entry(&tried));
    let path = "schools/my-school/test-classes/gimp3.yaml";
    tree.insert(path, entry(test_class));
    let loaded = load(&tree);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|found| found.code != "same-manifest")
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(loaded.fleet.unwrap().counts().test_classes, 1);
}
