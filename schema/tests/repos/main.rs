//! The example repos and the template are what they promise: they load without a word, and editors
//! that follow the JSON Schemas find nothing wrong with them either.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod files;

use schema::fleet::Counts;
use schema::{Loaded, load};

/// Loads a repo of this project, which has to be right to the last word.
fn check(folder: &str, expected: Counts) {
    let tree = files::tree(&files::root().join(folder));
    let Loaded { fleet, diagnostics } = load(&tree);
    let rendered = files::rendered(&tree, &diagnostics);
    assert_eq!(rendered, "", "{folder} has diagnostics");
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
