//! Golden files: what a program says, kept under `tests/cases`, read by people when it changes.

use std::fs;
use std::path::Path;

/// Compares `text` with the file `tests/cases/<name>`; with `UPDATE_GOLDEN=1` writes it instead.
///
/// # Panics
///
/// When they differ, with a unified diff, or when the file cannot be read or written.
#[expect(clippy::panic, reason = "a test may panic")]
pub fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cases")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let golden = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()));
    if golden != text {
        let diff = similar::TextDiff::from_lines(golden.as_str(), text);
        let diff = diff
            .unified_diff()
            .header(name, "what it is now")
            .to_string();
        panic!("{name} is other than it was (UPDATE_GOLDEN=1 takes it over):\n{diff}");
    }
}
