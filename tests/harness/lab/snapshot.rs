//! What a folder holds, to prove that nothing in it changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::images::sha256_of;

/// One entry of a folder tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File, folder, or the target of a link.
    pub kind: Kind,
    /// Size in bytes; 0 for folders.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime: i128,
    /// SHA-256 of a file's content.
    pub sha256: Option<String>,
}

/// The kind of an [`Entry`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link and where it points.
    Link(PathBuf),
    /// A socket, pipe or device.
    Other,
}

/// All entries below a folder, by their path relative to it.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// Takes a snapshot of everything below `root`, except what lies below one of `without` (relative paths).
pub fn snapshot(root: &Path, without: &[&str]) -> Result<Snapshot> {
    let mut all = Snapshot::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.strip_prefix(root)?.to_owned();
            if without.iter().any(|out| name.starts_with(out)) {
                continue;
            }
            let about = fs::symlink_metadata(&path)?;
            let kind = if about.is_dir() {
                todo.push(path);
                Kind::Folder
            } else if about.is_symlink() {
                Kind::Link(fs::read_link(&path)?)
            } else if about.is_file() {
                Kind::File
            } else {
                Kind::Other
            };
            let size = if about.is_dir() { 0 } else { about.len() };
            let mtime = i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec());
            let sha256 = None;
            all.insert(
                name,
                Entry {
                    kind,
                    size,
                    mtime,
                    sha256,
                },
            );
        }
    }
    let files: Vec<_> = all
        .iter()
        .filter(|(_, entry)| entry.kind == Kind::File)
        .map(|(name, _)| name.clone())
        .collect();
    let paths: Vec<_> = files.iter().map(|name| root.join(name)).collect();
    for (name, sha256) in files.iter().zip(sha256_of(&paths)?) {
        if let Some(entry) = all.get_mut(name) {
            entry.sha256 = Some(sha256);
        }
    }
    Ok(all)
}

/// What differs between two snapshots, one line each; empty if nothing does.
#[must_use]
pub fn changes(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, old) in before {
        match after.get(path) {
            None => lines.push(format!("- {}", path.display())),
            Some(new) if new != old => {
                lines.push(format!("~ {}: {old:?} -> {new:?}", path.display()));
            }
            Some(_) => {}
        }
    }
    let new = after.keys().filter(|path| !before.contains_key(*path));
    lines.extend(new.map(|path| format!("+ {}", path.display())));
    lines
}
