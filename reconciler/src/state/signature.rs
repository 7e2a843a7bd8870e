//! Whether a commit is signed by somebody who may.
//!
//! libgit2 takes signature and signed data apart, OpenSSH judges: `ssh-keygen -Y find-principals`
//! and `-Y verify` with the namespace `git` and the committer's time, as Git itself does, so the
//! dates and options of the allowed-signers file hold. The committer's time is what the committer
//! says: an end date is for keys that were retired; a stolen key is to be taken out of the file.

#![expect(
    clippy::disallowed_methods,
    reason = "ssh-keygen reads the dates of an allowed-signers file in the zone of this system"
)]

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use git2::{Commit, ErrorCode, Repository};
use jiff::tz::TimeZone;
use tempfile::NamedTempFile;

use super::error::StateError;
use super::program::{self, Outcome, ProgramError};
use super::{Cache, Summary, base64, trust};

const NAMESPACE: &str = "git";
const SIGNERS_LIMIT: u64 = 1 << 20;

/// The OpenSSH allowed-signers file (`man ssh-keygen`, ALLOWED SIGNERS); it lies outside of the
/// repo, or whoever can push could add themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers(pub PathBuf);

/// Why an allowed-signers file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SignersProblem {
    /// It is missing or closed to us.
    #[error("{} cannot be read: check that it exists and that this service may read it", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a file of sensible size.
    #[error("{} is not a plain file of at most 1 MiB", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Anybody on this machine could add themselves.
    #[error("{} may be written by every user of this machine: run chmod 644 on it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It names nobody.
    #[error(
        "{} names no signer: add a line `mail@example namespaces=\"git\" ssh-ed25519 AAAA…` for \
         each person who may sign", .path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No temporary copy could be made.
    #[error("{} cannot be copied: check free space in the folder for temporary files", .path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Signers {
    /// Takes a private copy, so that all commits are judged by the same lines.
    pub(super) fn load(&self) -> Result<LoadedSigners, SignersProblem> {
        let path = || self.0.clone();
        let unreadable = |source| SignersProblem::Unreadable {
            path: path(),
            source,
        };
        let meta = fs::metadata(&self.0).map_err(unreadable)?;
        if !meta.is_file() || meta.len() > SIGNERS_LIMIT {
            return Err(SignersProblem::NotAFile { path: path() });
        }
        if meta.permissions().mode() & 0o002 != 0 {
            return Err(SignersProblem::Open { path: path() });
        }
        let bytes = fs::read(&self.0).map_err(unreadable)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let named = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
        if !text.lines().any(named) {
            return Err(SignersProblem::Empty { path: path() });
        }
        let copy = temporary(&bytes).map_err(|source| SignersProblem::Copy {
            path: path(),
            source,
        })?;
        Ok(LoadedSigners {
            original: path(),
            copy,
            text,
        })
    }
}

/// An allowed-signers file as it was at one moment.
pub(super) struct LoadedSigners {
    original: PathBuf,
    copy: NamedTempFile,
    text: String,
}

impl LoadedSigners {
    fn lists(&self, key: &[u8]) -> bool {
        let blob = base64::encode(key);
        self.text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .any(|line| line.split_ascii_whitespace().any(|word| word == blob))
    }
}

/// A commit that is not signed as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSignature {
    /// The commit.
    pub commit: Summary,
    /// What is wrong.
    pub fault: SignatureFault,
}

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, fault } = self;
        write!(f, "{commit} {fault}")
    }
}

/// What is wrong with a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureFault {
    /// There is none.
    Unsigned,
    /// It is not one of SSH (OpenPGP or X.509, most likely).
    NotSsh,
    /// It cannot be parsed.
    Malformed,
    /// It was made for something else than Git.
    WrongNamespace {
        /// What it was made for.
        namespace: String,
    },
    /// It does not belong to this content.
    Tampered {
        /// The key that it claims.
        fingerprint: String,
    },
    /// The signer is not in the allowed-signers file.
    UnknownKey {
        /// The signer's key.
        fingerprint: String,
        /// The allowed-signers file.
        signers: PathBuf,
    },
    /// The signer was not allowed at the time of the commit.
    OutsideValidity {
        /// The signer's key.
        fingerprint: String,
        /// What OpenSSH says.
        detail: String,
    },
    /// The signer's line does not allow the namespace `git`, or is wrong in another way.
    NotPermitted {
        /// The signer's key.
        fingerprint: String,
        /// What OpenSSH says.
        detail: String,
    },
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const AGAIN: &str = "sign it (git commit --amend -S, or git rebase --exec), and push again";
        match self {
            Self::Unsigned => write!(f, "is not signed: {AGAIN}"),
            Self::NotSsh => write!(
                f,
                "is not signed with an SSH key: set gpg.format to ssh, {AGAIN}"
            ),
            Self::Malformed => write!(f, "has a signature that cannot be read: {AGAIN}"),
            Self::WrongNamespace { namespace } => write!(
                f,
                "has a signature that was made for \"{namespace}\", not for Git: {AGAIN}"
            ),
            Self::Tampered { fingerprint } => write!(
                f,
                "has a signature of {fingerprint} that does not belong to it: it was changed \
                 after it was signed; do not trust it before you know by whom"
            ),
            Self::UnknownKey {
                fingerprint,
                signers,
            } => write!(
                f,
                "is signed by {fingerprint}, which is not in {}: if that person may sign, add \
                 their key there; if not, find out who pushed it",
                signers.display()
            ),
            Self::OutsideValidity {
                fingerprint,
                detail,
            } => write!(
                f,
                "is signed by {fingerprint}, which was not allowed at the time of the commit \
                 ({detail}): sign it with a key that is valid, or correct the dates in the \
                 allowed-signers file"
            ),
            Self::NotPermitted {
                fingerprint,
                detail,
            } => write!(
                f,
                "is signed by {fingerprint}, which the allowed-signers file lists, but not for \
                 this ({detail}): correct that line (namespaces=\"git\")"
            ),
        }
    }
}

/// Judges one commit; `None` when all is well.
pub(super) fn judge(
    cache: &Cache,
    repo: &Repository,
    commit: &Commit<'_>,
    signers: &LoadedSigners,
) -> Result<Option<SignatureFault>, StateError> {
    let (armored, signed) = match repo.extract_signature(&commit.id(), None) {
        Ok(parts) => parts,
        Err(error) if error.code() == ErrorCode::NotFound => {
            return Ok(Some(SignatureFault::Unsigned));
        }
        Err(error) => return Err(cache.damaged(format!("commit {}", commit.id()), error)),
    };
    let Some(parts) = std::str::from_utf8(&armored).ok().and_then(unarmor) else {
        return Ok(Some(SignatureFault::NotSsh));
    };
    let Some(claim) = parts.and_then(|blob| Claim::parse(&blob)) else {
        return Ok(Some(SignatureFault::Malformed));
    };
    if claim.namespace != NAMESPACE.as_bytes() {
        let namespace = super::plain_line(&String::from_utf8_lossy(&claim.namespace));
        return Ok(Some(SignatureFault::WrongNamespace { namespace }));
    }

    let prepare = || Ok((temporary(&armored)?, temporary(&signed)?));
    let (signature, content) = prepare().map_err(|source: io::Error| StateError::Disk {
        path: std::env::temp_dir(),
        doing: "write a temporary file in",
        source: source.into(),
    })?;
    let check = Check {
        signature,
        content,
        time: verify_time(commit),
        signers,
    };
    Ok(check.run(&claim.key)?)
}

struct Check<'a> {
    signature: NamedTempFile,
    content: NamedTempFile,
    time: String,
    signers: &'a LoadedSigners,
}

impl Check<'_> {
    fn run(&self, key: &[u8]) -> Result<Option<SignatureFault>, ProgramError> {
        let fingerprint = trust::fingerprint(key);
        let genuine = self.call("check-novalidate", &["-n", NAMESPACE], false)?;
        if !genuine.status.success() {
            return Ok(Some(SignatureFault::Tampered { fingerprint }));
        }
        let found = self.call("find-principals", &[&self.time], true)?;
        if !found.status.success() {
            return Ok(Some(if self.signers.lists(key) {
                SignatureFault::OutsideValidity {
                    fingerprint,
                    detail: found.complaint(),
                }
            } else {
                let signers = self.signers.original.clone();
                SignatureFault::UnknownKey {
                    fingerprint,
                    signers,
                }
            }));
        }
        let mut detail = String::new();
        for principal in found.stdout.lines().filter(|line| !line.is_empty()) {
            let verified = self.call(
                "verify",
                &["-n", NAMESPACE, "-I", principal, &self.time],
                true,
            )?;
            if verified.status.success() {
                return Ok(None);
            }
            detail = verified.complaint();
        }
        Ok(Some(SignatureFault::NotPermitted {
            fingerprint,
            detail,
        }))
    }

    fn call(&self, action: &str, more: &[&str], signers: bool) -> Result<Outcome, ProgramError> {
        let mut args = vec![OsStr::new("-Y"), OsStr::new(action)];
        args.extend([OsStr::new("-s"), self.signature.path().as_os_str()]);
        if signers {
            args.extend([OsStr::new("-f"), self.signers.copy.path().as_os_str()]);
        }
        args.extend(more.iter().map(OsStr::new));
        let input = self
            .content
            .reopen()
            .map_err(|source| ProgramError::Start {
                program: "ssh-keygen",
                source,
            })?;
        program::ssh_keygen(&args, Some(input))
    }
}

/// The committer's time in the zone of this system: OpenSSH before 9.1 knows no other.
fn verify_time(commit: &Commit<'_>) -> String {
    let time = jiff::Timestamp::from_second(commit.committer().when().seconds());
    let zoned = time.unwrap_or_default().to_zoned(TimeZone::system());
    format!("-Overify-time={}", zoned.strftime("%Y%m%d%H%M%S"))
}

/// What a signature says of itself (PROTOCOL.sshsig in OpenSSH).
#[derive(Debug)]
struct Claim {
    key: Vec<u8>,
    namespace: Vec<u8>,
}

impl Claim {
    fn parse(blob: &[u8]) -> Option<Self> {
        let rest = blob.strip_prefix(b"SSHSIG\0\0\0\x01")?;
        let (key, rest) = trust::ssh_string(rest)?;
        let (namespace, _) = trust::ssh_string(rest)?;
        Some(Self {
            key: key.to_vec(),
            namespace: namespace.to_vec(),
        })
    }
}

/// `None`: not an SSH signature; `Some(None)`: one that is broken.
fn unarmor(text: &str) -> Option<Option<Vec<u8>>> {
    let body = text.trim().strip_prefix("-----BEGIN SSH SIGNATURE-----")?;
    Some(
        body.strip_suffix("-----END SSH SIGNATURE-----")
            .and_then(base64::decode),
    )
}

/// A file that only we can read and that is gone when dropped.
fn temporary(bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let handle: &mut File = file.as_file_mut();
    handle.write_all(bytes)?;
    handle.rewind()?;
    Ok(file)
}
