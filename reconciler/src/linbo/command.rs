//! The commands that are ever sent to a LINBO client.
//!
//! # Invariants
//!
//! `partition` and `format` cannot be represented, so no plan, no bug and no state repo can make a
//! PC lose its partition table. What the text of a command holds is letters, a colon and digits.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The position of an `[OS]` section in `start.conf`, counted from 1. Not a partition number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OsNumber(NonZeroU8);

impl OsNumber {
    /// The first operating system.
    pub const FIRST: Self = Self(NonZeroU8::MIN);

    /// The number that LINBO counts; none when it is zero.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        NonZeroU8::new(number).map(Self)
    }

    /// The number of the operating system at `index` of a class, counted from 0; none beyond 254.
    #[must_use]
    pub fn at_index(index: usize) -> Option<Self> {
        index
            .checked_add(1)
            .and_then(|number| u8::try_from(number).ok())
            .and_then(Self::new)
    }

    /// The number, counted from 1.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The index, counted from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.get()) - 1
    }
}

impl fmt::Display for OsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One command of `linbo_wrapper`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// `sync:N`: put an operating system back to its image, file by file. Downloads a newer image first.
    Sync(OsNumber),
    /// `new:N`: the same after formatting its root partition.
    New(OsNumber),
    /// `start:N`: start an operating system. The connection dies with it.
    Start(OsNumber),
    /// `initcache`: download all images of `start.conf`, delete the others from the cache.
    InitCache,
    /// `label`: write the partitions' labels anew. Harmless, so its header proves that the command
    /// before it returned 0.
    Label,
    /// `halt`: switch the PC off. The connection dies with it.
    Halt,
    /// `reboot`: start the PC anew. The connection dies with it.
    Reboot,
}

impl Command {
    /// Whether LINBO is gone afterwards, so that no exit status can be expected.
    #[must_use]
    pub const fn ends_linbo(self) -> bool {
        matches!(self, Self::Start(_) | Self::Halt | Self::Reboot)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync(os) => write!(f, "sync:{os}"),
            Self::New(os) => write!(f, "new:{os}"),
            Self::Start(os) => write!(f, "start:{os}"),
            Self::InitCache => f.write_str("initcache"),
            Self::Label => f.write_str("label"),
            Self::Halt => f.write_str("halt"),
            Self::Reboot => f.write_str("reboot"),
        }
    }
}

/// A text that is none of the commands that are ever sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no LINBO command that may be sent: sync:N, new:N, start:N (N from 1), initcache, label, halt and reboot are",
    .text.escape_debug()
)]
pub struct CommandError {
    text: String,
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let error = || CommandError {
            text: text.to_owned(),
        };
        let (word, argument) = match text.split_once(':') {
            Some((word, number)) => {
                // `u8::from_str` would admit a plus sign and leading zeros.
                let number = number
                    .parse::<NonZeroU8>()
                    .ok()
                    .filter(|n| n.to_string() == number);
                (word, Some(OsNumber(number.ok_or_else(error)?)))
            }
            None => (text, None),
        };
        Ok(match (word, argument) {
            ("sync", Some(os)) => Self::Sync(os),
            ("new", Some(os)) => Self::New(os),
            ("start", Some(os)) => Self::Start(os),
            ("initcache", None) => Self::InitCache,
            ("label", None) => Self::Label,
            ("halt", None) => Self::Halt,
            ("reboot", None) => Self::Reboot,
            _ => return Err(error()),
        })
    }
}

/// Commands that a client runs one after the other, each only when the one before returned 0.
/// Never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandLine(Vec<Command>);

impl CommandLine {
    /// A line of one command.
    #[must_use]
    pub fn new(first: Command) -> Self {
        Self(vec![first])
    }

    /// The same line with one more command at its end.
    #[must_use]
    pub fn then(mut self, next: Command) -> Self {
        self.0.push(next);
        self
    }

    /// The commands in the order in which they run.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.0
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, command) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for CommandLine {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(Command, CommandLine);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn commands_are_read_as_they_are_written() {
        for text in [
            "sync:1",
            "new:12",
            "start:255",
            "initcache",
            "label",
            "halt",
            "reboot",
        ] {
            assert_eq!(text.parse::<Command>().unwrap().to_string(), text);
            let json = format!("\"{text}\"");
            assert_eq!(
                serde_json::from_str::<Command>(&json).unwrap().to_string(),
                text
            );
        }
        let line = CommandLine::new(Command::Sync(OsNumber::FIRST)).then(Command::Halt);
        assert_eq!(line.to_string(), "sync:1,halt");
        assert_eq!("sync:1,halt".parse(), Ok(line));
    }

    #[test]
    fn what_is_never_sent_is_not_a_command() {
        for text in [
            "",
            "partition",
            "format",
            "format:1",
            "sync",
            "sync:0",
            "sync:+1",
            "sync:01",
            "sync:256",
            "halt:1",
            "sync:1 ",
            "Sync:1",
            "sync:1,halt",
            "create_image:1",
            "initcache:torrent",
            "sync:1;halt",
        ] {
            assert!(text.parse::<Command>().is_err(), "{text}");
        }
        for text in ["", "sync:1,", "sync:1, halt", "sync:1,format"] {
            assert!(text.parse::<CommandLine>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_count_from_one_and_indices_from_zero() {
        assert_eq!(OsNumber::at_index(0), Some(OsNumber::FIRST));
        assert_eq!(OsNumber::at_index(254).map(OsNumber::index), Some(254));
        assert_eq!(OsNumber::at_index(255), None);
        assert_eq!(OsNumber::at_index(usize::MAX), None);
        assert_eq!(OsNumber::new(0), None);
    }
}
