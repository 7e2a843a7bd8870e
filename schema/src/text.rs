//! Small texts with a rule each: what they may hold is what the file they end up in can bear.

use std::fmt;
use std::str::FromStr;

use crate::short::Short;

/// Serde and JSON Schema for a type that is written as text: read through its `FromStr`, written
/// through its `Display`.
macro_rules! written {
    ($name:ident, $pattern:expr, $description:expr) => {
        impl $name {
            /// The regular expression that the JSON Schema carries.
            pub const PATTERN: &'static str = $pattern;
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": Self::PATTERN,
                    "description": $description
                })
            }
        }
    };
}
pub(crate) use written;

/// As much of a refused text as fits into a message, without characters that would disturb it.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// Whether a character breaks a line, or turns the writing direction: that could make a mail or a
/// plan read as something that it does not say.
pub(crate) fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Why a text is not one of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no {}: {}", self.text, self.kind, self.rule)
    }
}

impl std::error::Error for TextError {}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident($held:ty), $kind:literal, $admits:path, $pattern:literal, $rule:literal $(, $extra:ident)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash $(, $extra)*)]
        pub struct $name($held);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                match $admits(text) {
                    Some(text) => Ok(Self(text.into())),
                    None => Err(TextError { kind: $kind, text: excerpt(text), rule: $rule }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        written!($name, $pattern, concat!("A ", $kind, ": ", $rule, "."));
    };
}

text!(
    /// Text for people on one line: no control characters. Where it ends up in `start.conf`, whose values
    /// LINBO's clients source with a shell, only letters, digits and ` ._:/=,+@%-` are admitted
    /// (checked when a class is loaded). Blanks around it are dropped; only the default is empty.
    PlainText(Box<str>), "line of text", plain,
    r"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*[^\u0000-\u0020\u007f-\u00a0\u2028-\u202e\u2066-\u2069][^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]*$",
    "one line without control characters, not empty, at most 500 characters",
    Default
);
text!(
    /// A disk as `start.conf` names it: `/dev/sda`, `/dev/nvme0n1`, `/dev/disk0`.
    DevicePath(Box<str>), "device", device, "^/dev/[a-zA-Z][a-zA-Z0-9]{0,30}$",
    "`/dev/` and the letters and digits of a disk, as in `/dev/sda`, `/dev/nvme0n1` or `/dev/disk0`"
);
text!(
    /// The timestamp of an image's `.info`: twelve digits, local time of the machine that made it.
    /// Opaque: never ordered in time, only compared.
    ImageStamp(Short), "image timestamp", stamp, "^[0-9]{12}$",
    "twelve digits as in an image's `.info`, `202601101930` say"
);
text!(
    /// A mail address.
    MailAddress(Box<str>), "mail address", mail,
    r"^[a-zA-Z0-9_]([a-zA-Z0-9_+%-]|\.[a-zA-Z0-9_+%-]){0,30}@[a-zA-Z0-9]([a-zA-Z0-9]|[.-][a-zA-Z0-9]){0,100}$",
    "plain ASCII as in `it@school.example`, letters, digits and `._+%-` before the `@`, a domain after it"
);
text!(
    /// A key of `start.conf`.
    SettingKey(Box<str>), "setting of start.conf", key, "^[a-zA-Z][a-zA-Z0-9]{0,39}$",
    "letters and digits, a letter first, at most 40"
);

fn plain(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && !text.contains(disturbs) && text.chars().count() <= 500).then_some(text)
}

fn device(text: &str) -> Option<&str> {
    let name = text.strip_prefix("/dev/")?;
    (name.len() <= 31
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric()))
    .then_some(text)
}

fn stamp(text: &str) -> Option<&str> {
    (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

fn mail(text: &str) -> Option<&str> {
    let (local, domain) = text.split_once('@')?;
    let atom = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_+%-".contains(c))
    };
    let label = |part: &str| {
        let edge = |c: char| c.is_ascii_alphanumeric();
        part.len() <= 63
            && part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || c == '-')
    };
    (text.len() <= 254
        && local.len() <= 64
        && local.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && local.split('.').all(atom)
        && domain.split('.').all(label))
    .then_some(text)
}

fn key(text: &str) -> Option<&str> {
    (text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric()))
    .then_some(text)
}

impl PlainText {
    /// Whether it may stand in a `start.conf`: only letters, digits and ` ._:/=,+@%-`.
    #[must_use]
    pub fn is_safe_in_start_conf(&self) -> bool {
        self.0
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ._:/=,+@%-".contains(c))
    }

    /// Whether it is the default, which alone is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl DevicePath {
    /// The device of its partition `number`, counted from 1: as the kernel does, with a `p` between
    /// where the disk's name ends in a digit.
    #[must_use]
    pub fn partition(&self, number: usize) -> String {
        let between = if self.0.ends_with(|c: char| c.is_ascii_digit()) {
            "p"
        } else {
            ""
        };
        format!("{}{between}{number}", self.0)
    }
}

impl ImageStamp {
    /// The local time that it states, where that is a time at all. For people only: it has no zone.
    #[must_use]
    pub fn civil(&self) -> Option<jiff::civil::DateTime> {
        let number = |from: usize, to: usize| self.0.get(from..to)?.parse::<i16>().ok();
        let small = |from: usize| i8::try_from(number(from, from + 2)?).ok();
        let (year, month, day) = (number(0, 4)?, small(4)?, small(6)?);
        jiff::civil::DateTime::new(year, month, day, small(8)?, small(10)?, 0, 0).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests;
