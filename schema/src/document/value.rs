//! Values that only documents have: what they mean depends on the keys around them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use crate::name::{Domain, VersionName};
use crate::schedule::{Point, Schedule, Window, Windows};
use crate::text::{ImageStamp, PlainText, excerpt};
use crate::units::Bytes;

/// Serde and JSON Schema for a type that documents write as text.
macro_rules! value {
    ($name:ident, $pattern:expr, $description:literal) => {
        impl $name {
            /// The regular expression that the JSON Schema carries.
            pub const PATTERN: &'static str = $pattern;
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

/// A time zone by its IANA name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(pub TimeZone);

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c));
        let zone = if named {
            TimeZone::get(text).ok()
        } else {
            None
        };
        zone.map(Self).ok_or_else(|| {
            format!(
                "`{}` is no time zone\nwrite its IANA name, as in `Europe/Berlin`",
                excerpt(text)
            )
        })
    }
}

value!(
    Zone,
    "^[A-Za-z][A-Za-z0-9/_+-]*$",
    "A time zone by its IANA name, as in `Europe/Berlin`."
);

/// A server by name or address, perhaps with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Its name or address.
    pub host: Domain,
    /// The port, if one is written.
    pub port: Option<u16>,
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let number = |port: &str| {
            let digits = port.bytes().all(|b| b.is_ascii_digit());
            let number = port.parse().ok().filter(|port| digits && *port > 0);
            number.ok_or_else(|| {
                let hint =
                    "after the colon comes a number from 1 to 65535, as in `images.example:873`";
                format!("`{}` is no port\n{hint}", excerpt(port))
            })
        };
        let port = port.map(number).transpose()?;
        let host = host.parse().map_err(|_| {
            let hint =
                "write a name or an IPv4 address, as in `images.example` or `images.example:873`";
            format!("`{}` is no server\n{hint}", excerpt(host))
        })?;
        Ok(Self { host, port })
    }
}

value!(
    ServerAddress,
    "^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$",
    "A server by name or IPv4 address, with a port if need be, as in `images.example:873`."
);

/// The path of a calendar within the state repo.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalendarPath(Box<str>);

impl CalendarPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CalendarPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("calendars/");
        let stem = name.and_then(|name| name.strip_suffix(".ics"));
        let good = stem.is_some_and(|stem| {
            stem.starts_with(|c: char| c.is_ascii_alphanumeric())
                && stem
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        });
        if good {
            return Ok(Self(text.into()));
        }
        Err(format!(
            "`{}` is no path of a calendar\nput the iCalendar file into `calendars/` and write its path, as in `calendars/bw-ferien.ics`",
            excerpt(text)
        ))
    }
}

value!(
    CalendarPath,
    r"^calendars/[a-zA-Z0-9][a-zA-Z0-9._-]*\.ics$",
    "An iCalendar file of this repo, as in `calendars/bw-ferien.ics`."
);

/// A text that ends up in `start.conf`, which LINBO's clients source with a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfText(pub PlainText);

impl FromStr for ConfText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text: PlainText = text.parse().map_err(|error| format!("{error}"))?;
        if text.is_safe_in_start_conf() {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` cannot stand in a start.conf\nonly letters without accents, digits, blanks and `._:/=,+@%-` can",
            excerpt(text.as_str())
        ))
    }
}

value!(
    ConfText,
    "^[ a-zA-Z0-9._:/=,+@%-]*[a-zA-Z0-9._:/=,+@%-][ a-zA-Z0-9._:/=,+@%-]*$",
    "A text for start.conf: letters without accents, digits, blanks and `._:/=,+@%-`."
);

/// The type of a partition, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionId(pub PlainText);

impl FromStr for PartitionId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = if good { text.parse().ok() } else { None };
        id.map(Self).ok_or_else(|| {
            format!(
                "`{}` is no type of a partition\nwrite hexadecimal digits as LINBO does, `ef`, `83` or `0c01` say",
                excerpt(text)
            )
        })
    }
}

value!(
    PartitionId,
    "^[0-9a-fA-F]{1,4}$",
    "The type of a partition in hexadecimal digits, as in `ef`, `83` or `0c01`."
);

/// The size of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionSize {
    /// What is left of the disk.
    Rest,
    /// So much.
    Bytes(Bytes),
}

impl FromStr for PartitionSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SMALLEST: Bytes = Bytes(1 << 20);
        if text == "rest" {
            return Ok(Self::Rest);
        }
        let size: Bytes = text
            .parse()
            .map_err(|error| format!("{error}, or `rest` for what is left of the disk"))?;
        if size < SMALLEST {
            return Err(format!(
                "a partition of {size} is too small\nit needs {SMALLEST} at least"
            ));
        }
        Ok(Self::Bytes(size))
    }
}

value!(
    PartitionSize,
    r"^(rest|[0-9]+(\.[0-9]{1,3})? *[KMGT]iB|[0-9]+ *B)$",
    "A size, as in `60 GiB`, or `rest` for what is left of the disk."
);

/// Which state of an image made on site is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteVersion {
    /// Whatever lies in the image's folder.
    Newest,
    /// The one with this timestamp.
    Stamp(ImageStamp),
}

impl FromStr for SiteVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "newest" {
            return Ok(Self::Newest);
        }
        text.parse().map(Self::Stamp).map_err(|_| {
            format!(
                "`{}` is no version of an image made on site\nwrite `newest`, or the twelve digits of its `.info`, `202601101930` say",
                excerpt(text)
            )
        })
    }
}

value!(
    SiteVersion,
    "^(newest|[0-9]{12})$",
    "`newest`, or the timestamp of an image's `.info`: twelve digits."
);

/// A channel, or else a version: which of both the image's document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(pub VersionName);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!(
                "`{}` is neither a channel nor a version\nwrite the name of a channel, `stable` say, or of a version",
                excerpt(text)
            )
        })
    }
}

value!(
    Wanted,
    VersionName::PATTERN,
    "A channel of the image, as in `stable`, or the name of one of its versions."
);

/// A day, as in `2026-12-18`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub Date);

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(at, b)| match at {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        let day = if shape { text.parse().ok() } else { None };
        day.map(Self).ok_or_else(|| {
            format!(
                "`{}` is no day\nwrite year, month and day, as in `2026-12-18`",
                excerpt(text)
            )
        })
    }
}

value!(
    Day,
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "A day, as in `2026-12-18`."
);

/// Serde and JSON Schema for times, a list of such, or `never`.
macro_rules! or_never {
    ($(#[$doc:meta])* $name:ident, $many:ident, $one:ident, $expected:literal, $description:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            /// Not at all.
            Never,
            /// At these times.
            At($many),
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Times;

                impl<'de> Visitor<'de> for Times {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        if text == "never" {
                            return Ok($name::Never);
                        }
                        let one: $one = text
                            .parse()
                            .map_err(|error| E::custom(format!("{error}, or `never`")))?;
                        let times: $many = [one].into_iter().collect();
                        times.checked().map($name::At).map_err(E::custom)
                    }

                    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<$name, A::Error> {
                        let mut items = Vec::new();
                        while let Some(item) = list.next_element::<$one>()? {
                            items.push(item);
                        }
                        if items.is_empty() {
                            return Err(A::Error::custom(
                                "the list is empty\nwrite `never` if that is meant",
                            ));
                        }
                        let times: $many = items.into_iter().collect();
                        times.checked().map($name::At).map_err(A::Error::custom)
                    }
                }

                deserializer.deserialize_any(Times)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let one = generator.subschema_for::<$one>();
                json_schema!({
                    "anyOf": [{ "const": "never" }, one, { "type": "array", "items": one, "minItems": 1 }],
                    "description": $description
                })
            }
        }
    };
}

or_never!(
    /// When hosts are reset.
    Reset,
    Schedule,
    Point,
    "days and a time, as in `mon, wed 18:00`, a list of such, or `never`",
    "Points in time, as in `mon, wed 18:00`, a list of such, or `never`."
);

or_never!(
    /// When PCs are in use.
    Lessons,
    Windows,
    Window,
    "days and two times, as in `mon–fri 07:30–17:00`, a list of such, or `never`",
    "Recurring spans, as in `mon–fri 07:30–17:00`, a list of such, or `never`."
);

impl Lessons {
    /// The windows; none in it if there are no lessons.
    #[must_use]
    pub fn windows(&self) -> Windows {
        match self {
            Self::Never => Windows::default(),
            Self::At(windows) => windows.clone(),
        }
    }
}

/// How many, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

const MOST: u32 = 100_000;

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            0 => Err(D::Error::custom(
                "0 would mean that nothing ever happens\nat least 1 is needed",
            )),
            count if count > MOST => Err(D::Error::custom(format!(
                "{count} is too many\nat most {MOST} are possible"
            ))),
            count => Ok(Self(count)),
        }
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST })
    }
}
