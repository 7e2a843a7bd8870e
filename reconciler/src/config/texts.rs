//! Texts of the settings with a rule each.

use std::num::NonZeroU16;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use schema::digest::Digest;
use schema::name::{Domain, SchoolName};
use serde::{Deserialize, Deserializer};

use super::SshTarget;
use crate::planning::Server;

/// `central`, or a school.
pub(super) struct ServerName(pub(super) Server);

impl FromStr for ServerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "central" {
            return Ok(Self(Server::Central));
        }
        let school: Result<SchoolName, _> = text.parse();
        school
            .map(|school| Self(Server::School(school)))
            .map_err(|error| {
                format!(
                    "{error}\nwrite `central`, or the name of this server's folder below schools/"
                )
            })
    }
}

/// An absolute path without `..`.
pub(super) struct Absolute(pub(super) PathBuf);

impl FromStr for Absolute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if path.is_absolute() && path.components().all(plain) && !text.contains(char::is_control) {
            return Ok(Self(path.components().collect()));
        }
        Err(format!(
            "`{}` is no absolute path\nwrite it from the `/` on, without `..`",
            text.escape_debug()
        ))
    }
}

/// A file with a secret: a path, or the name of a credential.
pub(super) enum Secret {
    File(PathBuf),
    Credential(String),
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(name) = text.strip_prefix("credentials:") else {
            let hint = |error: String| {
                format!("{error}, or `credentials:` and the name of a credential of the service")
            };
            return text
                .parse()
                .map(|Absolute(path)| Self::File(path))
                .map_err(hint);
        };
        let is_name = !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_name {
            return Ok(Self::Credential(name.to_owned()));
        }
        Err(format!(
            "`{}` is no name of a credential\nwrite it as in LoadCredential=",
            name.escape_debug()
        ))
    }
}

/// A name to be found in `PATH`, or an absolute path.
pub(super) struct Program(pub(super) PathBuf);

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
        if is_name {
            return Ok(Self(text.into()));
        }
        let wrong = |_| {
            let text = text.escape_debug();
            format!(
                "`{text}` is no program\nwrite a name that is found in PATH, or an absolute path; no options"
            )
        };
        text.parse().map(|Absolute(path)| Self(path)).map_err(wrong)
    }
}

/// A branch of the state repo.
pub(super) struct Branch(pub(super) String);

impl FromStr for Branch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('-') && git2::Reference::is_valid_name(&format!("refs/heads/{text}")) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{}` is no name of a branch\nwrite it without refs/heads/",
            text.escape_debug()
        ))
    }
}

/// A user at the central server or the relay.
pub(super) struct User(pub(super) String);

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/');
        if !text.is_empty() && !text.starts_with('-') && !text.contains(bad) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "`{}` is no user\nuse no blanks, colons or slashes, and no dash at the beginning",
            text.escape_debug()
        ))
    }
}

/// The API of Proxmox: a host and perhaps a port.
pub(super) struct ApiUrl(pub(super) String);

impl FromStr for ApiUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = text.strip_prefix("https://");
        let place = place.map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let is_place = |place: &str| {
            let (host, port) = place.rsplit_once(':').unwrap_or((place, "8006"));
            host.parse::<Domain>().is_ok() && port.parse::<NonZeroU16>().is_ok()
        };
        match place.filter(|place| is_place(place)) {
            Some(place) if place.contains(':') => Ok(Self(format!("https://{place}"))),
            Some(place) => Ok(Self(format!("https://{place}:8006"))),
            None => Err(format!(
                "`{}` is no address of Proxmox\nwrite it as in https://pve.example.org:8006",
                text.escape_debug()
            )),
        }
    }
}

/// The fingerprint of a certificate, as Proxmox shows it.
pub(super) struct Fingerprint(pub(super) Digest);

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let digest = format!("sha256:{}", digits.to_ascii_lowercase()).parse();
        digest.map(Self).map_err(|_| {
            format!(
                "`{}` is no SHA-256 fingerprint\nwrite the 32 pairs of digits that Proxmox shows under Node, System, Certificates",
                text.escape_debug()
            )
        })
    }
}

/// Where `qm` is: `local`, or a user at a machine.
pub(super) struct QmPlace(pub(super) Option<SshTarget>);

impl FromStr for QmPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "local" {
            return Ok(Self(None));
        }
        let target = text.split_once('@').and_then(|(user, host)| {
            let is_user = user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && user
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            let host = host.parse().ok().filter(|_| is_user)?;
            Some(SshTarget {
                user: user.to_owned(),
                host,
            })
        });
        target.map(|target| Self(Some(target))).ok_or_else(|| {
            format!(
                "`{}` is no place of qm\nwrite `local`, or a user at a node as in root@pve.example.org",
                text.escape_debug()
            )
        })
    }
}

macro_rules! read_as_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

read_as_text!(
    ServerName,
    Absolute,
    Secret,
    Program,
    Branch,
    User,
    ApiUrl,
    Fingerprint,
    QmPlace
);
