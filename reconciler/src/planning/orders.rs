//! What people ordered on this server with `reconcile suspend`, `reconcile rollback` and `reconcile resume`.
//!
//! # Invariants
//!
//! Orders are observed anew with every look, so that a pass that runs for hours obeys one that was given meanwhile.
//! An order that has ended by its time is as if it had never been given.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::name::{HostName, ImageName, RoomName, VersionName};
use serde::{Deserialize, Serialize};

/// What people suspend and resume on a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Everything on this server.
    Server,
    /// A room.
    Room(RoomName),
    /// A host.
    Host(HostName),
    /// An image: its exchange in LINBO's folder and its way to the hosts.
    Image(ImageName),
}

/// Everything that was ordered and may still count.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Suspensions, by what is suspended.
    #[serde(default)]
    suspended: BTreeMap<Subject, Suspended>,
    /// What somebody last declared to be resolved, and when.
    #[serde(default)]
    resumed: BTreeMap<Subject, Timestamp>,
    /// Images of which a version is not wanted here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rolled_back: BTreeMap<ImageName, RolledBack>,
}

/// A suspension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspended {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the words of who ordered it.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// When it ends by itself, if it does.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// That an image goes back from a version, as long as the state repo names that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The digest of the manifest of the version that is not wanted, as Git has it.
    pub from: Digest,
    /// The version that is to be there instead.
    pub to: VersionName,
    /// Since when.
    pub since: Timestamp,
    /// Why, in the words of who ordered it.
    pub reason: String,
    /// Who ordered it.
    pub by: String,
}

impl Orders {
    /// Stops all work on `what`. An older suspension of it is replaced.
    pub fn suspend(&mut self, what: Subject, suspended: Suspended) {
        self.suspended.insert(what, suspended);
    }

    /// Lets an image go back. That ends its suspension, which is given back if there was one: nothing would be done.
    pub fn roll_back(&mut self, image: ImageName, order: RolledBack) -> Option<Suspended> {
        let ended = self.suspended.remove(&Subject::Image(image.clone()));
        self.rolled_back.insert(image, order);
        ended
    }

    /// The images that go back from a version, if that is still the one that the state repo names.
    pub fn rolled_back(&self) -> &BTreeMap<ImageName, RolledBack> {
        &self.rolled_back
    }

    /// Ends a suspension, which is given back if there was one, and declares all failures of `what` until `at` to be
    /// resolved. An image takes up again what the state repo names.
    pub fn resume(&mut self, what: Subject, at: Timestamp) -> Option<Suspended> {
        let ended = self.suspended.remove(&what);
        if let Subject::Image(image) = &what {
            self.rolled_back.remove(image);
        }
        self.resumed.insert(what, at);
        ended
    }

    /// The suspension of `what` itself that holds at `at`.
    #[must_use]
    pub fn suspension(&self, what: &Subject, at: Timestamp) -> Option<&Suspended> {
        self.suspended
            .get(what)
            .filter(|suspended| suspended.until.is_none_or(|until| at < until))
    }

    /// All suspensions that hold at `at`.
    pub fn suspensions(&self, at: Timestamp) -> impl Iterator<Item = (&Subject, &Suspended)> {
        self.suspended
            .iter()
            .filter(move |(what, _)| self.suspension(what, at).is_some())
    }

    /// When failures of `what` were last declared to be resolved.
    #[must_use]
    pub fn resumed(&self, what: &Subject) -> Option<Timestamp> {
        self.resumed.get(what).copied()
    }
}

impl Subject {
    /// The command that ends a suspension of it.
    #[must_use]
    pub fn resume(&self) -> String {
        match self {
            Self::Server => "reconcile resume".to_owned(),
            what => format!("reconcile resume {what}"),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("server"),
            Self::Room(room) => write!(f, "room {room}"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Image(image) => write!(f, "image {image}"),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ACCEPTED: &str =
            "write `room NAME`, `host NAME` or `image NAME`, or nothing for the whole server";
        let named = |kind: &str, name: &str| -> Result<Self, String> {
            let wrong = |error: &dyn fmt::Display| format!("{error}; {ACCEPTED}");
            match kind {
                "room" => name.parse().map(Self::Room).map_err(|error| wrong(&error)),
                "host" => name.parse().map(Self::Host).map_err(|error| wrong(&error)),
                "image" => name.parse().map(Self::Image).map_err(|error| wrong(&error)),
                _ => Err(format!(
                    "`{kind}` is nothing that can be suspended; {ACCEPTED}"
                )),
            }
        };
        match text.split_once(' ') {
            None if text == "server" => Ok(Self::Server),
            None => named(text, ""),
            Some((kind, name)) => named(kind, name),
        }
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn suspended(until: Option<i64>) -> Suspended {
        Suspended {
            since: at(10),
            reason: "new furniture".into(),
            by: "root".into(),
            until: until.map(at),
        }
    }

    #[test]
    fn a_suspension_holds_until_its_end_or_until_it_is_resumed() {
        let room: Subject = "room r101".parse().unwrap();
        let mut orders = Orders::default();
        orders.suspend(room.clone(), suspended(Some(20)));
        orders.suspend(Subject::Server, suspended(None));
        assert!(orders.suspension(&room, at(19)).is_some());
        assert!(orders.suspension(&room, at(20)).is_none());
        assert_eq!(orders.suspensions(at(20)).count(), 1);
        assert_eq!(orders.resumed(&Subject::Server), None);
        assert!(orders.resume(Subject::Server, at(30)).is_some());
        assert_eq!(orders.suspensions(at(20)).count(), 0);
        assert_eq!(orders.resumed(&Subject::Server), Some(at(30)));
    }

    #[test]
    fn an_image_that_goes_back_is_not_suspended_and_takes_up_again_what_is_resumed() {
        let image: ImageName = "ubuntu".parse().unwrap();
        let order = RolledBack {
            from: Digest::new([1; 32]),
            to: "2026.10.1".parse().unwrap(),
            since: at(10),
            reason: "no sound".into(),
            by: "root".into(),
        };
        let mut orders = Orders::default();
        orders.suspend(Subject::Image(image.clone()), suspended(None));
        let ended = orders.roll_back(image.clone(), order.clone());
        assert_eq!(ended, Some(suspended(None)));
        assert_eq!(orders.suspensions(at(20)).count(), 0);
        let text = serde_json::to_string(&orders).unwrap();
        let mut orders: Orders = serde_json::from_str(&text).unwrap();
        assert_eq!(orders.rolled_back(), &[(image.clone(), order)].into());
        orders.resume(Subject::Server, at(20));
        assert_eq!(orders.rolled_back().len(), 1);
        orders.resume(Subject::Image(image), at(20));
        assert_eq!(orders.rolled_back().len(), 0);
    }

    #[test]
    fn subjects_are_written_as_people_type_them() {
        for text in ["server", "room r101", "host r101-pc01", "image ubuntu"] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
            let json = serde_json::to_string(&BTreeMap::from([(subject.clone(), 1)])).unwrap();
            let back: BTreeMap<Subject, i32> = serde_json::from_str(&json).unwrap();
            assert!(back.contains_key(&subject));
        }
        for wrong in ["", "room", "room a/b", "desk 4", "room -x"] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
    }
}
