//! Reads the files of one commit from the object database. Nothing is ever checked out, so no path
//! of the repo becomes a path of this machine.

use std::collections::BTreeMap;
use std::fmt;

use git2::{ObjectType, Oid, Repository};

use super::error::StateError;
use super::{Cache, CommitId};

/// The YAML and iCalendar files of one commit: path from the root, with `/`, and content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Bounds that no sensible state repo reaches; they keep a hostile one from filling the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries: usize,
    pub(super) depth: usize,
    pub(super) file_bytes: usize,
    pub(super) total_bytes: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        entries: 200_000,
        depth: 16,
        file_bytes: 16 << 20,
        total_bytes: 256 << 20,
    };
}

const PROBLEMS: usize = 50;

/// Something in a commit that a state repo may not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeProblem {
    /// A symbolic link.
    Symlink(String),
    /// A Git submodule.
    Submodule(String),
    /// A name that is not UTF-8, or holds control characters, or could be mistaken for a path.
    Name(String),
    /// Two entries of the same name.
    Twice(String),
    /// Folders nested too deeply, from this one on.
    Depth(String),
    /// A file too large, with its size in bytes.
    File(String, usize),
    /// More files and folders than the limit, reached at this path.
    Entries(String, usize),
    /// More bytes than the limit in all files, reached at this path.
    Total(String, usize),
}

impl fmt::Display for TreeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symlink(path) => {
                write!(f, "{path} is a symbolic link: commit the file itself")
            }
            Self::Submodule(path) => write!(f, "{path} is a submodule: commit its files"),
            Self::Name(path) => write!(f, "{path}: this name is not allowed: rename it"),
            Self::Twice(path) => write!(f, "{path} is there twice: the commit is malformed"),
            Self::Depth(path) => write!(f, "{path} is nested too deeply"),
            Self::File(path, size) => write!(f, "{path} is too large for YAML ({size} bytes)"),
            Self::Entries(path, limit) => {
                write!(f, "more than {limit} files and folders, reached at {path}")
            }
            Self::Total(path, limit) => {
                write!(f, "more than {limit} bytes of YAML, reached at {path}")
            }
        }
    }
}

/// Whether a path names a file that belongs to the state.
fn is_state_file(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "ics"))
}

pub(super) fn read(cache: &Cache, commit: &CommitId, limits: Limits) -> Result<Files, StateError> {
    let repo = cache.repo()?;
    let tree = cache.commit(&repo, commit)?.tree_id();
    let mut reading = Reading {
        cache,
        repo: &repo,
        limits,
        files: Files::new(),
        problems: Vec::new(),
        entries: 0,
        bytes: 0,
    };
    reading.folder(tree, "", 1)?;
    if reading.problems.is_empty() {
        Ok(reading.files)
    } else {
        Err(StateError::Tree {
            commit: commit.clone(),
            problems: reading.problems,
        })
    }
}

struct Reading<'a> {
    cache: &'a Cache,
    repo: &'a Repository,
    limits: Limits,
    files: Files,
    problems: Vec<TreeProblem>,
    entries: usize,
    bytes: usize,
}

impl Reading<'_> {
    fn folder(&mut self, id: Oid, prefix: &str, depth: usize) -> Result<(), StateError> {
        let tree = self
            .repo
            .find_tree(id)
            .map_err(|error| self.cache.damaged(format!("folder {prefix}{id}"), error))?;
        let mut previous: Option<Vec<u8>> = None;
        for entry in &tree {
            if self.full() {
                return Ok(());
            }
            let path = format!(
                "{prefix}{}",
                super::plain_line(&String::from_utf8_lossy(entry.name_bytes()))
            );
            self.entries += 1;
            if self.entries > self.limits.entries {
                self.problems
                    .push(TreeProblem::Entries(path, self.limits.entries));
                return Ok(());
            }
            if previous.as_deref() == Some(entry.name_bytes()) {
                self.problems.push(TreeProblem::Twice(path));
                continue;
            }
            previous = Some(entry.name_bytes().to_vec());
            if !allowed(entry.name_bytes()) {
                self.problems.push(TreeProblem::Name(path));
                continue;
            }
            match (entry.kind(), entry.filemode()) {
                (_, 0o120_000) => self.problems.push(TreeProblem::Symlink(path)),
                (Some(ObjectType::Tree), _) if depth == self.limits.depth => {
                    self.problems.push(TreeProblem::Depth(path));
                }
                (Some(ObjectType::Tree), _) => {
                    self.folder(entry.id(), &format!("{path}/"), depth + 1)?;
                }
                (Some(ObjectType::Blob), _) if is_state_file(&path) => {
                    self.file(entry.id(), path)?;
                }
                (Some(ObjectType::Blob), _) => {}
                _ => self.problems.push(TreeProblem::Submodule(path)),
            }
        }
        Ok(())
    }

    fn file(&mut self, id: Oid, path: String) -> Result<(), StateError> {
        let damaged = |error| self.cache.damaged(format!("{path} ({id})"), error);
        let odb = self.repo.odb().map_err(damaged)?;
        let (size, _) = odb.read_header(id).map_err(damaged)?;
        if size > self.limits.file_bytes {
            self.problems.push(TreeProblem::File(path, size));
            return Ok(());
        }
        self.bytes += size;
        if self.bytes > self.limits.total_bytes {
            self.problems
                .push(TreeProblem::Total(path, self.limits.total_bytes));
            return Ok(());
        }
        let blob = odb.read(id).map_err(damaged)?;
        let content = blob.data().to_vec();
        if self.files.insert(path.clone(), content).is_some() {
            self.problems.push(TreeProblem::Twice(path));
        }
        Ok(())
    }

    fn full(&self) -> bool {
        self.problems.len() >= PROBLEMS
            || self.entries > self.limits.entries
            || self.bytes > self.limits.total_bytes
    }
}

fn allowed(name: &[u8]) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && !matches!(name, "." | "..")
            && !name.eq_ignore_ascii_case(".git")
            && !name.contains(|c: char| c.is_control() || matches!(c, '/' | '\\'))
    };
    std::str::from_utf8(name).is_ok_and(plain)
}
