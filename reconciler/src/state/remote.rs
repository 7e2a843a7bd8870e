//! Where the state repo lives and how this server proves who it is.
//!
//! A URL is parsed once, into [`Target`], before anything touches the network. Accepted are
//! `https://`, `ssh://`, `user@host:path`, `file://` and absolute paths; what travels in the clear
//! (`http://`, `git://`) is refused. Secrets are read from files at the moment of use, are never
//! written anywhere and never printed.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StateError;

/// The remote of the state repo.
#[derive(Clone)]
pub struct Remote {
    /// `https://…`, `ssh://…`, `user@host:path`, `file://…` or an absolute path, without a password.
    pub url: String,
    /// The branch to follow, without `refs/heads/`.
    pub branch: String,
    /// How this server proves who it is.
    pub credentials: Credentials,
    /// For `https`: trust exactly the certificates in this PEM file, instead of the system's.
    /// It holds the issuing CA (with its intermediates) or the server's own certificate.
    pub ca_file: Option<PathBuf>,
    /// Give up when nothing at all arrives for this long.
    pub stall: Duration,
    /// Give up when the whole fetch takes longer than this.
    pub deadline: Duration,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            branch,
            credentials,
            ca_file,
            stall,
            deadline,
        } = self;
        f.debug_struct("Remote")
            .field("url", &redact(url))
            .field("branch", branch)
            .field("credentials", credentials)
            .field("ca_file", ca_file)
            .field("stall", stall)
            .field("deadline", deadline)
            .finish()
    }
}

impl Remote {
    /// A remote with the system's certificates, one minute of silence and ten minutes in all.
    #[must_use]
    pub fn new(
        url: impl Into<String>,
        branch: impl Into<String>,
        credentials: Credentials,
    ) -> Self {
        Self {
            url: url.into(),
            branch: branch.into(),
            credentials,
            ca_file: None,
            stall: Duration::from_secs(60),
            deadline: Duration::from_secs(600),
        }
    }

    /// The name of this remote in messages: URL without user and password, and branch.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            url: redact(&self.url),
            branch: self.branch.clone(),
        }
    }

    /// Parses URL and branch, and checks that the credentials fit.
    pub(super) fn target(&self) -> Result<Target, StateError> {
        let wrong = |problem| StateError::Settings {
            place: self.place(),
            problem,
        };
        let target = Target::parse(&self.url).map_err(wrong)?;
        let branch = format!("refs/heads/{}", self.branch);
        if self.branch.starts_with('-') || !git2::Reference::is_valid_name(&branch) {
            return Err(wrong("the branch is not a valid Git branch name"));
        }
        match (&target, &self.credentials) {
            (_, Credentials::None)
            | (Target::Https { .. }, Credentials::Token { .. })
            | (Target::Ssh { .. }, Credentials::Key { .. }) => {}
            (_, Credentials::Token { .. }) => {
                return Err(wrong("a token file goes with an https:// URL only"));
            }
            (_, Credentials::Key { .. }) => {
                return Err(wrong("an SSH key file goes with an ssh:// URL only"));
            }
        }
        match (&target, &self.credentials) {
            (Target::Ssh { .. }, Credentials::None) => Err(wrong(
                "an ssh:// URL needs an SSH key file and a known_hosts file",
            )),
            _ => Ok(target),
        }
    }
}

/// How this server proves who it is. Holds paths only, never a secret.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// `file://`, plain paths and public `https` repos.
    None,
    /// `https` with a user name and an access token.
    Token {
        /// The user name; most forges accept any when the password is a token.
        user: String,
        /// A file with the token on its only line, closed to other users.
        token_file: PathBuf,
    },
    /// `ssh` with a deploy key.
    Key {
        /// The private key, without a passphrase, closed to other users.
        key_file: PathBuf,
        /// The only host keys that are trusted, in OpenSSH's `known_hosts` format.
        known_hosts: PathBuf,
    },
}

/// A remote's name in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The URL without user and password.
    pub url: String,
    /// The branch.
    pub branch: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, branch } = self;
        write!(f, "{url} (branch {branch})")
    }
}

/// A parsed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Https {
        host: String,
    },
    Ssh {
        host: String,
        port: u16,
        user: Option<String>,
    },
    Local,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("the URL contains a space or control character");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self::parse_short(url);
        };
        match scheme {
            "file" if rest.starts_with('/') => Ok(Self::Local),
            "file" => Err("a file:// URL needs three slashes and an absolute path"),
            "https" | "ssh" => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                if path.is_empty() {
                    return Err("the URL has no path");
                }
                let (user, address) = match authority.rsplit_once('@') {
                    Some((user, address)) => (Some(user), address),
                    None => (None, authority),
                };
                if user.is_some_and(|user| user.contains(':')) {
                    return Err("the URL contains a password: put it in a token file");
                }
                let (host, port) = split_port(address)?;
                let host = checked_host(host)?;
                match scheme {
                    "https" => Ok(Self::Https { host }),
                    _ => Ok(Self::Ssh {
                        host,
                        port: port.unwrap_or(22),
                        user: checked_user(user)?,
                    }),
                }
            }
            "http" | "git" => Err("this protocol is not encrypted: use https:// or ssh://"),
            _ => Err("this protocol is not known: use https://, ssh:// or file://"),
        }
    }

    fn parse_short(url: &str) -> Result<Self, &'static str> {
        if url.starts_with('/') {
            return Ok(Self::Local);
        }
        let Some((address, path)) = url.split_once(':') else {
            return Err("this is neither a URL nor an absolute path");
        };
        if address.contains('/') || path.is_empty() {
            return Err("this is neither a URL nor an absolute path");
        }
        let (user, host) = match address.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, address),
        };
        Ok(Self::Ssh {
            host: checked_host(host)?,
            port: 22,
            user: checked_user(user)?,
        })
    }
}

fn split_port(address: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match address
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    match port.map(str::parse) {
        None => Ok((host, None)),
        Some(Ok(port)) if port != 0 => Ok((host, Some(port))),
        Some(_) => Err("the port in the URL is not a number from 1 to 65535"),
    }
}

fn checked_host(host: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err("the host name in the URL is not valid");
    }
    Ok(host.to_ascii_lowercase())
}

fn checked_user(user: Option<&str>) -> Result<Option<String>, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match user {
        Some(user) if user.is_empty() || user.starts_with('-') || !user.chars().all(plain) => {
            Err("the user name in the URL is not valid")
        }
        user => Ok(user.map(str::to_owned)),
    }
}

/// The URL as it may be shown: without user, password, query and fragment, and without control
/// characters. It errs on the side of hiding: whatever stands before the last `@` is gone.
#[must_use]
pub fn redact(url: &str) -> String {
    let shown = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect()
    };
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    // A secret may itself hold `?` or `#`: then the part with the host was cut off, and the rest
    // is not fit to be shown.
    let hidden = bare.len() < url.len() && url[bare.len()..].contains('@');
    let (scheme, rest) = match bare.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), bare),
    };
    if hidden {
        return shown(&format!("{scheme}***"));
    }
    let rest = match rest.rsplit_once('@') {
        Some((_, rest)) => rest,
        None => rest,
    };
    shown(&format!("{scheme}{rest}"))
}

/// Reads a one-line secret and refuses a file that other users can read.
pub(super) fn read_secret(path: &Path) -> Result<String, StateError> {
    check_closed(path)?;
    let text = fs::read_to_string(path).map_err(|source| StateError::Secret {
        path: path.into(),
        source,
    })?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || secret.chars().any(char::is_control) {
        return Err(StateError::SecretUnfit {
            path: path.into(),
            problem: "does not hold exactly one line",
        });
    }
    Ok(secret.to_owned())
}

/// Refuses a secret file that is not a file or that other users can read.
pub(super) fn check_closed(path: &Path) -> Result<(), StateError> {
    let meta = fs::metadata(path).map_err(|source| StateError::Secret {
        path: path.into(),
        source,
    })?;
    let unfit = |problem| StateError::SecretUnfit {
        path: path.into(),
        problem,
    };
    if !meta.is_file() || meta.len() > 64 * 1024 {
        return Err(unfit("is not a small plain file"));
    }
    if meta.permissions().mode() & 0o007 != 0 {
        return Err(unfit(
            "is open to every user of this machine: run chmod 600 on it",
        ));
    }
    Ok(())
}
