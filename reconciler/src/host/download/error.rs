//! Why a download failed, in words for people.

use std::io;
use std::path::{Path, PathBuf};

use schema::digest::Digest;
use schema::units::Bytes;

use crate::host::process::ProcessError;
use crate::host::store::StoreError;
use crate::manifest::{LONGEST, ManifestError};
use crate::world::Failure;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// rsync could not be run.
    #[error("the download could not be started")]
    Program(#[source] ProcessError),
    /// The store cannot be used.
    #[error("the store cannot be used")]
    Store(#[source] StoreError),
    /// A file on this server cannot be used.
    #[error("{} cannot be read or written", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// rsync failed.
    #[error("rsync {how} at {url}: {why}")]
    Rsync {
        /// What was to be fetched.
        url: String,
        /// How it ended.
        how: String,
        /// What that means.
        why: &'static str,
    },
    /// Nothing arrived for too long.
    #[error(
        "nothing has arrived from {url} for {seconds} seconds, so the transfer was ended; what has \
         arrived is kept. See whether the line to the central server is up"
    )]
    Stalled {
        /// What was to be fetched.
        url: String,
        /// For how long.
        seconds: u64,
    },
    /// The server sends more than the manifest says.
    #[error("{url} is larger than the {size} bytes that it may have; it is not what was published")]
    TooLarge {
        /// What was to be fetched.
        url: String,
        /// The most that it may have.
        size: u64,
    },
    /// There is no manifest.
    #[error(
        "there is no manifest of at most {LONGEST} bytes at {url}; see that the version was published"
    )]
    NoManifest {
        /// Where.
        url: String,
    },
    /// The manifest is not the one that Git names.
    #[error(
        "the manifest at {url} is not the one that the state repo names: expected {expected}, found \
         {found}. Nothing of it was used"
    )]
    OtherManifest {
        /// Where.
        url: String,
        /// The digest in Git.
        expected: Digest,
        /// That of what was fetched.
        found: Digest,
    },
    /// The manifest is no manifest.
    #[error("the manifest at {url} cannot be used")]
    BadManifest {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The manifest speaks of something else.
    #[error("the manifest at {url} is that of {found}, not of {expected}")]
    Misnamed {
        /// Where.
        url: String,
        /// What it should be of.
        expected: String,
        /// What it is of.
        found: String,
    },
    /// The disk is too small.
    #[error(
        "{} are to be fetched, so with a tenth to spare {} are needed, but only {} are free at {}; make room there",
        .missing, .needed, .free, .path.display()
    )]
    NoRoom {
        /// What is still to be fetched.
        missing: Bytes,
        /// That and a tenth.
        needed: Bytes,
        /// What is free.
        free: Bytes,
        /// Where.
        path: PathBuf,
    },
    /// A file is not what the manifest says.
    #[error(
        "{url} is not what its manifest says, and was deleted here: expected {expected_size} bytes \
         with {expected}, found {size} bytes with {found}"
    )]
    OtherContent {
        /// What was fetched.
        url: String,
        /// Its size in the manifest.
        expected_size: u64,
        /// Its digest in the manifest.
        expected: Digest,
        /// Its size.
        size: u64,
        /// Its digest.
        found: Digest,
    },
    /// An earlier download cannot be ended.
    #[error(
        "an earlier download whose reconciler is gone still holds {} and cannot be ended; see `fuser -v` of that file",
        .path.display()
    )]
    StillWritten {
        /// The lock.
        path: PathBuf,
    },
}

impl DownloadError {
    pub(super) fn file(path: &Path, source: io::Error) -> Failure {
        anyhow::Error::new(Self::File {
            path: path.to_owned(),
            source,
        })
        .into()
    }

    pub(super) fn with(self, evidence: Vec<String>) -> Failure {
        Failure::Failed {
            error: anyhow::Error::new(self),
            evidence,
        }
    }

    pub(super) fn alone(self) -> Failure {
        self.with(Vec::new())
    }
}
