//! The example repos and the template are what they promise: they load without a word, and editors
//! that follow the JSON Schemas find nothing wrong with them either.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

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
            images: 3,
            versions: 4,
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
