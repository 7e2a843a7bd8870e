//! The state repo as a target: pull, judge, load, and fall back to the last good commit.
//!
//! # Invariants
//!
//! The commit that was applied last stands in a file of its own, written when a pass takes a commit
//! up. Only its descendants are accepted. Whatever is wrong with a newer one, the last good one stays
//! in force, and what is wrong is said.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use schema::diagnostic::{self, Severity};
use schema::fleet::{Fleet, Mail};
use schema::text::MailAddress;
use schema::tree::{Entry, Tree};

use crate::config::{Config, Repo};
use crate::host::files::write_atomically;
use crate::host::history;
use crate::planning::{Desired, Server};
use crate::state::force::{Unfetched, chain, in_force, not_valid};
use crate::state::{Cache, CommitId, Credentials, Remote, Signers, StateError};
use crate::world::{CommitLine, Problem, Target};

/// The clone of the state repo, and what was last made of it.
#[derive(Debug)]
pub struct StateRepo {
    cache: PathBuf,
    applied: PathBuf,
    history: PathBuf,
    remote: Remote,
    signers: Option<Signers>,
    server: Server,
    loaded: Mutex<Option<Loaded>>,
}

/// What one commit says for this server.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    commit: CommitId,
    line: CommitLine,
    /// What this server must make true.
    pub desired: Arc<Desired>,
    /// All that the commit says but for other schools.
    pub fleet: Arc<Fleet>,
    /// Who hears of failures.
    pub mail: Option<Mail>,
    /// Who hears of them besides.
    pub contact: Option<MailAddress>,
}

impl StateRepo {
    /// The state repo of these settings; nothing is touched yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            cache: config.paths.state.join("state.git"),
            applied: config.paths.state.join("applied-commit"),
            history: config.paths.state.join("history.json"),
            remote: remote(&config.repo),
            signers: config.signers.clone().map(Signers),
            server: config.server.clone(),
            loaded: Mutex::new(None),
        }
    }

    /// What was loaded last.
    #[must_use]
    pub fn loaded(&self) -> Option<Loaded> {
        self.loaded.lock().map_or_else(
            |poisoned| poisoned.into_inner().clone(),
            |loaded| loaded.clone(),
        )
    }

    /// Notes that a pass has taken `commit` up.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn set_applied(&self, commit: &str) -> anyhow::Result<()> {
        if self
            .applied()
            .is_some_and(|applied| applied.as_str() == commit)
        {
            return Ok(());
        }
        write_atomically(&self.applied, format!("{commit}\n").as_bytes(), 0o644)
            .with_context(|| format!("cannot write {}", self.applied.display()))
    }

    fn applied(&self) -> Option<CommitId> {
        std::fs::read_to_string(&self.applied)
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Pulls and judges. Blocking.
    #[must_use]
    pub fn target(&self) -> Target {
        let mut problems = Vec::new();
        let mut say = |is_failure, text: String| problems.push(Problem { is_failure, text });
        let cache = match Cache::open(&self.cache) {
            Ok(cache) => cache,
            Err(error) => {
                say(true, chain(&error));
                return Target {
                    desired: None,
                    commit: None,
                    problems,
                };
            }
        };
        if let Some(aside) = cache.set_aside() {
            say(
                false,
                format!(
                    "the clone of the state repo was damaged ({}); it was moved to {} and made anew",
                    aside.reason,
                    aside.path.display()
                ),
            );
        }
        let applied = self.applied();
        let newest = cache.fetch(&self.remote).map_err(|error| Unfetched {
            why: chain(&error),
            passes: error.is_unreachable(),
        });
        let accept = |tip: &CommitId| cache.accept(tip, applied.as_ref(), self.signers.as_ref());
        let load = |commit: &CommitId| self.load(&cache, commit);
        let (loaded, more) = in_force(newest, applied.as_ref(), accept, load);
        problems.extend(more);
        if let Ok(mut slot) = self.loaded.lock() {
            slot.clone_from(&loaded);
        }
        let (desired, commit) = loaded.map(|loaded| (loaded.desired, loaded.line)).unzip();
        Target {
            desired,
            commit,
            problems,
        }
    }

    fn load(&self, cache: &Cache, commit: &CommitId) -> Result<Loaded, String> {
        if let Some(loaded) = self.loaded().filter(|loaded| loaded.commit == *commit) {
            return Ok(loaded);
        }
        let place = |error: StateError| chain(&error);
        let line = cache.describe(commit).map_err(place)?;
        let line = CommitLine {
            id: line.id.as_str().to_owned(),
            subject: line.subject,
        };
        let mut tree = Tree::default();
        for (path, bytes) in cache.read(commit).map_err(place)? {
            tree.insert(path, Entry::of(bytes));
        }
        let found = schema::load(&tree);
        let Some(mut fleet) = found.fleet else {
            return Err(broken(&line, &tree, &found.diagnostics));
        };
        let Some(desired) = Desired::of(&fleet, &self.server) else {
            let known: Vec<&str> = fleet.schools.keys().map(|name| name.as_str()).collect();
            return Err(format!(
                "commit {} knows no school {}; it knows {}\nset `server` in the settings of this server, or add schools/{}/school.yaml",
                line.short(),
                self.server,
                known.join(", "),
                self.server
            ));
        };
        let slots = history::slots(cache, &self.history, commit, &fleet).map_err(place)?;
        let desired = desired.with_slots(slots);
        let contact = match &self.server {
            Server::Central => None,
            Server::School(name) => fleet
                .schools
                .get(name)
                .and_then(|school| school.contact.clone()),
        };
        // A thousand other schools are not kept for the length of a pass.
        fleet
            .schools
            .retain(|name, _| self.server == Server::School(name.clone()));
        Ok(Loaded {
            commit: commit.clone(),
            line,
            desired: Arc::new(desired),
            mail: fleet.mail.clone(),
            contact,
            fleet: Arc::new(fleet),
        })
    }
}

fn broken(line: &CommitLine, tree: &Tree, diagnostics: &[diagnostic::Diagnostic]) -> String {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    let rendered = errors.map(|error| diagnostic::render(error, tree.text(&error.file), false));
    not_valid(line, &rendered.collect::<Vec<_>>().join("\n"))
}

fn remote(repo: &Repo) -> Remote {
    let Repo {
        url,
        branch,
        user,
        key,
        known_hosts,
        token_file,
        ca,
    } = repo;
    let credentials = match (key, known_hosts, token_file) {
        (Some(key_file), Some(known_hosts), _) => Credentials::Key {
            key_file: key_file.clone(),
            known_hosts: known_hosts.clone(),
        },
        (_, _, Some(token_file)) => Credentials::Token {
            user: user.clone(),
            token_file: token_file.clone(),
        },
        _ => Credentials::None,
    };
    let mut remote = Remote::new(url, branch, credentials);
    remote.ca_file.clone_from(ca);
    remote
}
