//! A few thousand broken inputs for every parser; `make fuzz` goes on for as long as one likes.

use std::collections::BTreeSet;

use harness::fuzz::{TARGETS, input, run};

/// About ten seconds for all targets on an old machine; counted, so that every run is the same.
const ITERATIONS: u64 = 1500;

#[test]
fn no_parser_panics_or_breaks_a_promise() {
    let crashes: Vec<String> = TARGETS
        .iter()
        .filter_map(|target| run(target, 1, 0..ITERATIONS).err())
        .map(|crash| crash.to_string())
        .collect();
    assert!(crashes.is_empty(), "\n{}", crashes.join("\n\n"));
}

#[test]
fn an_input_is_named_by_target_seed_and_iteration() {
    for target in TARGETS {
        let once: Vec<_> = (0..200).map(|i| input(target, 7, i)).collect();
        let again: Vec<_> = (0..200).map(|i| input(target, 7, i)).collect();
        assert_eq!(once, again, "{}", target.name);
        let different: BTreeSet<_> = once.iter().collect();
        assert!(
            different.len() > 100,
            "{}: {}",
            target.name,
            different.len()
        );
    }
    let names: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
}
