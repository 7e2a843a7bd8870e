//! Names that may become file names, host names or arguments: parsed once, trusted afterwards.
//!
//! # Invariants
//!
//! No name holds a slash, a blank, a quote or a control character, and none begins with a dash or a
//! dot. So no name can leave its folder, become an option, or be read as two words by any program
//! that it is handed to.
//!
//! Copies of a name share its text, or hold it in place where it is short: plans and observations are full of them.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::short::Short;

/// Why a text is not a name of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, text, rule } = self;
        write!(f, "`{}` is no {kind}: {rule}", text.escape_debug())
    }
}

impl std::error::Error for NameError {}

/// What a kind of name may consist of.
struct Shape {
    longest: usize,
    inner: fn(char) -> bool,
}

impl Shape {
    fn admits(&self, text: &str) -> bool {
        let edge = |c: char| c.is_ascii_alphanumeric();
        text.len() <= self.longest
            && text.starts_with(edge)
            && text.ends_with(edge)
            && text.chars().all(|c| edge(c) || (self.inner)(c))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident($text:ty), $kind:literal, $longest:literal, [$($inner:pat_param)|*], $pattern:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($text);

        impl $name {
            /// The regular expression that the JSON Schema carries.
            pub const PATTERN: &'static str = $pattern;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                const SHAPE: Shape = Shape { longest: $longest, inner: |c| matches!(c, $($inner)|*) };
                if SHAPE.admits(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError { kind: $kind, text: text.to_owned(), rule: $rule })
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "maxLength": $longest, "description": concat!("A ", $kind, ": ", $rule, ".") })
            }
        }
    };
}

name!(
    /// A school's key in the state repo: its folder below `schools/`.
    SchoolName(Arc<str>), "school name", 40, ['-'], "^[a-z0-9A-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])?$",
    "letters, digits and dashes, at most 40"
);
name!(
    /// A room: the first column of `devices.csv`.
    RoomName(Arc<str>), "room name", 32, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 32"
);
name!(
    /// A host: the second column of `devices.csv`. At most 15 characters, as Active Directory allows.
    HostName(Short), "host name", 15, ['-'], "^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$",
    "letters, digits and dashes, at most 15"
);
name!(
    /// What a device is to the domain: the ninth column of `devices.csv`, `classroom-teachercomputer` say.
    RoleName(Arc<str>), "role", 40, ['-'], "^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$",
    "letters, digits and dashes, at most 40"
);
name!(
    /// A hardware class: the third column of `devices.csv`, and the ending of `start.conf.<class>`.
    ClassName(Arc<str>), "hardware class name", 40, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 40"
);
name!(
    /// A line of images, and the stem of its files: no dot, as LINBO cuts names at the first one.
    ImageName(Arc<str>), "image name", 40, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores (no dot), at most 40"
);
name!(
    /// A version of an image. Opaque: versions are never ordered by their names.
    VersionName(Arc<str>), "version name", 40, ['-' | '_' | '.'], "^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$",
    "letters, digits, dots, dashes and underscores, at most 40"
);
name!(
    /// A channel: a name that points at a version.
    ChannelName(Arc<str>), "channel name", 40, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 40"
);
name!(
    /// A test class: a hardware class for a few hosts, with an end date.
    TestClassName(Arc<str>), "test class name", 40, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 40"
);
impl From<&TestClassName> for ClassName {
    /// The hardware class that its hosts have: the rules of both names are the same.
    fn from(name: &TestClassName) -> Self {
        Self(name.0.clone())
    }
}

name!(
    /// A group of rooms on one electrical circuit.
    PowerGroupName(Arc<str>), "power group name", 40, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 40"
);
name!(
    /// An rsync module.
    ModuleName(Arc<str>), "rsync module name", 40, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 40"
);
name!(
    /// A DNS domain or the full name of a machine.
    Domain(Arc<str>), "domain name", 253, ['-' | '.'], "^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and dots"
);
name!(
    /// The label of a partition.
    PartitionLabel(Arc<str>), "partition label", 36, ['-' | '_'], "^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$",
    "letters, digits, dashes and underscores, at most 36"
);
name!(
    /// The name of a file within an image's folder, `ubuntu.qcow2.info` say.
    FileName(Arc<str>), "file name", 100, ['-' | '_' | '.'], "^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$",
    "letters, digits, dots, dashes and underscores, at most 100"
);

impl FileName {
    /// Whether it is a file of this image, by its [`stem`](Self::stem).
    #[must_use]
    #[inline]
    pub fn is_of(&self, image: &ImageName) -> bool {
        // Names of images have no dot, so the last one of the file's name is the one that follows.
        let ending = self.as_str().strip_prefix(image.as_str());
        ending.is_some_and(|ending| ending.is_empty() || ending.rfind('.') == Some(0))
    }

    /// The name without its last ending: of an image file, the image that it belongs to.
    #[must_use]
    pub fn stem(&self) -> &str {
        let name = self.as_str();
        let dot = name.bytes().rposition(|byte| byte == b'.');
        dot.and_then(|dot| name.get(..dot)).unwrap_or(name)
    }
}

impl Default for RoleName {
    /// The role of a row that names none.
    fn default() -> Self {
        Self("classroom-studentcomputer".into())
    }
}

impl Default for PowerGroupName {
    /// The circuit of rooms without a group: the school as a whole.
    fn default() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_that_could_do_harm_is_refused() {
        for text in [
            "", "-r", ".", "..", "a/b", "a b", "a\n", "a\0", "$(x)", "a;b", "é", "a-", "--", "a'",
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text:?}");
            assert!(text.parse::<VersionName>().is_err(), "{text:?}");
            assert!(text.parse::<FileName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_is_of_the_image_that_its_stem_names() {
        let image: ImageName = "ubuntu".parse().unwrap();
        for name in [
            "ubuntu",
            "ubuntu.qcow2",
            "ubuntu.qcow2.info",
            "ubuntu2.qcow2",
            "ubunt",
            "win.ubuntu",
            "win11",
        ] {
            let file: FileName = name.parse().unwrap();
            assert_eq!(file.is_of(&image), file.stem() == image.as_str(), "{name}");
        }
    }

    #[test]
    fn the_error_says_what_a_name_may_be() {
        let error = "pc 01".parse::<HostName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`pc 01` is no host name: letters, digits and dashes, at most 15"
        );
    }

    proptest! {
        #[test]
        fn no_accepted_name_leaves_its_folder_or_becomes_an_option(text in "\\PC{0,20}|[-./a-z0-9]{0,8}") {
            if let Ok(name) = text.parse::<FileName>() {
                prop_assert!(!name.as_str().starts_with(['-', '.']));
                prop_assert!(!name.as_str().contains(['/', ' ', '\0', '\n', '"', '$', '`']));
            }
        }
    }
}
