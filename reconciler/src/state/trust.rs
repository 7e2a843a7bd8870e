//! Whether the other end is who it claims to be.
//!
//! libgit2 hands over the SSH host key or the TLS certificate and takes the answer from here. Host
//! keys are looked up in the configured `known_hosts` file alone (`ssh-keygen -F` understands its
//! hashed names, patterns and markers); certificates, when a CA file is configured, are judged by
//! that file alone, otherwise by the system's certificates.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use git2::CertificateCheckStatus;
use git2::cert::Cert;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use super::base64;
use super::error::{HostKey, HostKeyProblem, StateError};
use super::program;
use super::remote::{Credentials, Remote, Target};

/// Judges what the remote presented.
pub(super) fn judge(
    remote: &Remote,
    target: &Target,
    cert: &Cert<'_>,
) -> Result<CertificateCheckStatus, StateError> {
    match (target, &remote.credentials) {
        (Target::Ssh { host, port, .. }, Credentials::Key { known_hosts, .. }) => {
            let Some(key) = cert.as_hostkey().and_then(|cert| cert.hostkey()) else {
                return Err(StateError::Settings {
                    place: remote.place(),
                    problem: "the SSH server presented no host key that can be checked",
                });
            };
            judge_host_key(remote, known_hosts, host, *port, key)?;
            Ok(CertificateCheckStatus::CertificateOk)
        }
        (Target::Https { host }, _) => match (&remote.ca_file, cert.as_x509()) {
            (None, _) => Ok(CertificateCheckStatus::CertificatePassthrough),
            (Some(ca_file), Some(cert)) => {
                judge_certificate(remote, ca_file, host, cert.data())?;
                Ok(CertificateCheckStatus::CertificateOk)
            }
            (Some(_), None) => Err(StateError::Certificate {
                place: remote.place(),
                problem: "the server presented none".to_owned(),
            }),
        },
        _ => Ok(CertificateCheckStatus::CertificatePassthrough),
    }
}

/// The fingerprint of a public key blob, as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(key: &[u8]) -> String {
    let digest = base64::encode(&Sha256::digest(key));
    format!("SHA256:{}", digest.trim_end_matches('='))
}

/// One length-prefixed string of the SSH wire format, and what follows it.
pub(super) fn ssh_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn judge_host_key(
    remote: &Remote,
    known_hosts: &Path,
    host: &str,
    port: u16,
    key: &[u8],
) -> Result<(), StateError> {
    fs::File::open(known_hosts).map_err(|source| StateError::Secret {
        path: known_hosts.into(),
        source,
    })?;
    let name = if port == 22 {
        host.to_owned()
    } else {
        format!("[{host}]:{port}")
    };
    let found = program::ssh_keygen(
        &[
            OsStr::new("-F"),
            OsStr::new(&name),
            OsStr::new("-f"),
            known_hosts.as_os_str(),
        ],
        None,
    )?;
    let kind = ssh_string(key).map_or_else(String::new, |(kind, _)| {
        super::plain_line(&String::from_utf8_lossy(kind))
    });
    let blob = base64::encode(key);
    let Some(problem) = compare(&found.stdout, &kind, &blob) else {
        return Ok(());
    };
    Err(StateError::HostKey(Box::new(HostKey {
        place: remote.place(),
        problem,
        known_hosts: known_hosts.into(),
        fingerprint: fingerprint(key),
        line: format!("{name} {kind} {blob}"),
    })))
}

/// Compares a key with the lines that `ssh-keygen -F` found for its host.
fn compare(found: &str, kind: &str, blob: &str) -> Option<HostKeyProblem> {
    let mut trusted = false;
    let mut of_this_kind = false;
    let mut any = false;
    for line in found.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        let (Some(_names), Some(known_kind), Some(known_blob)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        match marker {
            Some("@revoked") if known_blob == blob => return Some(HostKeyProblem::Revoked),
            Some(_) => {}
            None => {
                any = true;
                of_this_kind |= known_kind == kind;
                trusted |= known_kind == kind && known_blob == blob;
            }
        }
    }
    match (trusted, of_this_kind, any) {
        (true, ..) => None,
        (false, true, _) => Some(HostKeyProblem::Changed),
        (false, false, true) => Some(HostKeyProblem::OtherType),
        (false, false, false) => Some(HostKeyProblem::Unknown),
    }
}

fn judge_certificate(
    remote: &Remote,
    ca_file: &Path,
    host: &str,
    presented: &[u8],
) -> Result<(), StateError> {
    let pem = fs::read(ca_file).map_err(|source| StateError::Secret {
        path: ca_file.into(),
        source,
    })?;
    let untrusted = |problem: String| StateError::Certificate {
        place: remote.place(),
        problem,
    };
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(&pem) {
        let cert = cert.map_err(|error| {
            untrusted(format!("{} is not a PEM file: {error}", ca_file.display()))
        })?;
        if cert.as_ref() == presented {
            return Ok(());
        }
        roots.add(cert).map_err(|error| {
            untrusted(format!(
                "a certificate in {} is unfit: {error}",
                ca_file.display()
            ))
        })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| untrusted(format!("{}: {error}", ca_file.display())))?;
    let name = ServerName::try_from(host).map_err(|error| untrusted(error.to_string()))?;
    verifier
        .verify_server_cert(
            &CertificateDer::from(presented),
            &[],
            &name,
            &[],
            UnixTime::now(),
        )
        .map_err(|error| untrusted(error.to_string()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_key_is_compared_with_every_line() {
        let table = [
            ("", Some(HostKeyProblem::Unknown)),
            ("# Host h found: line 1\nh ssh-ed25519 AAAA\n", None),
            (
                "h ssh-ed25519 BBBB comment\n",
                Some(HostKeyProblem::Changed),
            ),
            ("h ssh-ed25519 BBBB\nh ssh-ed25519 AAAA\n", None),
            ("h ssh-rsa CCCC\n", Some(HostKeyProblem::OtherType)),
            (
                "h ssh-ed25519 AAAA\n@revoked h ssh-ed25519 AAAA\n",
                Some(HostKeyProblem::Revoked),
            ),
            ("@revoked h ssh-ed25519 BBBB\nh ssh-ed25519 AAAA\n", None),
            (
                "@cert-authority h ssh-ed25519 AAAA\n",
                Some(HostKeyProblem::Unknown),
            ),
            ("h ssh-ed25519\n", Some(HostKeyProblem::Unknown)),
        ];
        for (found, expected) in table {
            assert_eq!(compare(found, "ssh-ed25519", "AAAA"), expected, "{found}");
        }
    }

    #[test]
    fn ssh_strings_are_bounded() {
        assert_eq!(ssh_string(b"\0\0\0\x02abc"), Some((&b"ab"[..], &b"c"[..])));
        for bad in [&b""[..], b"\0\0\0", b"\0\0\0\x02a", b"\xff\xff\xff\xff"] {
            assert_eq!(ssh_string(bad), None);
        }
    }
}
