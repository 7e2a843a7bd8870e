//! State repos on disk into trees, and diagnostics into text.

use std::fs;
use std::path::{Path, PathBuf};

use schema::diagnostic::{Diagnostic, render};
use schema::tree::{Entry, Tree};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below a folder, as a state repo.
pub(crate) fn tree(folder: &Path) -> Tree {
    let mut tree = Tree::default();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in
            fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                tree.insert(name, Entry::of(fs::read(&path).unwrap()));
            }
        }
    }
    tree
}

/// The diagnostics as people see them.
pub(crate) fn rendered(tree: &Tree, diagnostics: &[Diagnostic]) -> String {
    let all = diagnostics
        .iter()
        .map(|found| render(found, tree.text(&found.file), false) + "\n\n");
    all.collect()
}

/// Compares a text with a file that holds it; with `UPDATE_GOLDEN=1` the file is rewritten.
pub(crate) fn compare(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        return;
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == text,
        "{} differs; if that is meant, run the test with UPDATE_GOLDEN=1. It should be\n{text}",
        path.display()
    );
}
