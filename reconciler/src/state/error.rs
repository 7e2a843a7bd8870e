//! What can go wrong between this server and its state repo, told apart so that the caller can
//! carry on where that is right: an unreachable remote is no reason to stop working.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::CommitId;
use super::program::ProgramError;
use super::remote::Place;
use super::tree::TreeProblem;

/// Why the state repo could not be fetched or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// No answer: network, name service, server down, path gone.
    #[error(
        "cannot reach {place}: check the network, the name and whether the Git server is up; \
         the commits fetched before stay usable"
    )]
    Unreachable {
        /// The remote.
        place: Place,
        /// What the transport said.
        source: git2::Error,
    },
    /// The remote answered too slowly or not at all.
    #[error(
        "gave up on {place}: {what} after {after:?}; check the network and the Git server; \
         the commits fetched before stay usable"
    )]
    TimedOut {
        /// The remote.
        place: Place,
        /// `nothing arrived` or `the fetch was not done`.
        what: &'static str,
        /// The limit that was reached.
        after: Duration,
    },
    /// The remote does not accept who we are.
    #[error(
        "{place} refuses the credentials of this server ({credentials}): check that they are \
         still valid and may read this repo"
    )]
    Authentication {
        /// The remote.
        place: Place,
        /// Which credentials were offered; never the secret.
        credentials: String,
    },
    /// The SSH host key is not the one that is trusted.
    #[error("{0}")]
    HostKey(Box<HostKey>),
    /// The TLS certificate is not trusted.
    #[error(
        "the certificate of {place} is not trusted ({problem}): if the server uses a CA of its \
         own, name that CA's PEM file in the settings; if not, someone may be in between"
    )]
    Certificate {
        /// The remote.
        place: Place,
        /// Why not.
        problem: String,
    },
    /// The remote answers, but has no such repo (or hides it).
    #[error(
        "{place} answers, but does not offer this repo: check the path in the URL and whether \
         the credentials may read it (redirects to another host are not followed)"
    )]
    NoRepo {
        /// The remote.
        place: Place,
        /// What the transport said.
        source: git2::Error,
    },
    /// The repo has no such branch.
    #[error("{place}: there is no such branch; {}", branches_text(.branches))]
    BranchMissing {
        /// The remote.
        place: Place,
        /// Branches that exist, at most 20.
        branches: Vec<String>,
    },
    /// The repo is larger than any state repo should be.
    #[error("{place} sent more than {limit} bytes: this is not a state repo; check the URL")]
    TooLarge {
        /// The remote.
        place: Place,
        /// The limit in bytes.
        limit: usize,
    },
    /// URL, branch or kind of credentials do not make sense.
    #[error("the settings for {place} do not work: {problem}")]
    Settings {
        /// The remote.
        place: Place,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// A file with a secret, a known_hosts file or a CA file cannot be read.
    #[error("cannot read {}: check that it exists and that this service may read it", .path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file with a secret is not as it must be.
    #[error("{} {problem}", .path.display())]
    SecretUnfit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// The local clone cannot be written or read: disk full, permissions.
    #[error("cannot {doing} {}: check free space and permissions there", .path.display())]
    Disk {
        /// The folder or file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder for the clone holds something else; it is left alone.
    #[error(
        "{} is not a clone that this program made ({found}); it was left alone: \
         choose another folder or move this one away", .path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// Another process, or a fetch that hangs, is using the clone.
    #[error("{} is in use by another process: try again when it is done", .path.display())]
    Busy {
        /// The clone.
        path: PathBuf,
    },
    /// The commit is not in the clone.
    #[error("commit {commit} is not in the clone {}: fetch first", .path.display())]
    CommitMissing {
        /// The commit.
        commit: CommitId,
        /// The clone.
        path: PathBuf,
    },
    /// The clone is damaged; the next [`Cache::open`](super::Cache::open) sets it aside.
    #[error(
        "the clone {} is damaged ({what}): the next pass sets it aside and clones anew",
        .path.display()
    )]
    Damaged {
        /// The clone.
        path: PathBuf,
        /// The object or file.
        what: String,
        /// What libgit2 said.
        source: git2::Error,
    },
    /// The files of a commit are not what a state repo may hold.
    #[error("commit {commit} holds what a state repo may not hold: {}", problems_text(.problems))]
    Tree {
        /// The commit.
        commit: CommitId,
        /// Every problem, at most 50.
        problems: Vec<TreeProblem>,
    },
    /// A program of OpenSSH could not be run.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl StateError {
    /// Whether the remote is merely out of reach, so that the last good commit stays in force
    /// without anybody having to act on this server.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
    }
}

/// A host key that is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// The remote.
    pub place: Place,
    /// How it differs from what is known.
    pub problem: HostKeyProblem,
    /// The file with the trusted keys.
    pub known_hosts: PathBuf,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The line that would make this key trusted.
    pub line: String,
}

/// How a host key differs from what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKeyProblem {
    /// No key of this host is known.
    Unknown,
    /// Keys of this host are known, but none of this type.
    OtherType,
    /// Another key of this type is known.
    Changed,
    /// This key is marked as revoked.
    Revoked,
}

impl std::error::Error for HostKey {}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            problem,
            known_hosts,
            fingerprint,
            line,
        } = self;
        let file = known_hosts.display();
        write!(f, "the SSH host key {fingerprint} of {place} ")?;
        let check = "compare the fingerprint with that of the server \
                     (there: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, or its web page)";
        match problem {
            HostKeyProblem::Unknown => write!(
                f,
                "is not known: {check}, and if it is the same, add this line to {file}: {line}"
            ),
            HostKeyProblem::OtherType => write!(
                f,
                "is of a type that {file} does not list for this host: {check}, and if it is the \
                 same, add this line: {line}"
            ),
            HostKeyProblem::Changed => write!(
                f,
                "is not the one in {file}: the server was set up anew, or someone is in between; \
                 {check}, and only if it is the same, replace the line by: {line}"
            ),
            HostKeyProblem::Revoked => write!(
                f,
                "is marked @revoked in {file}: ask whoever runs the Git server for its new key"
            ),
        }
    }
}

fn branches_text(branches: &[String]) -> String {
    if branches.is_empty() {
        "the repo is empty: push a first commit".to_owned()
    } else {
        format!(
            "check the name in the settings; there is: {}",
            branches.join(", ")
        )
    }
}

fn problems_text(problems: &[TreeProblem]) -> String {
    let list: Vec<_> = problems.iter().map(ToString::to_string).collect();
    list.join("; ")
}
