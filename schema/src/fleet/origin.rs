//! Where a setting is written: for people who ask why a room is as it is.

use std::fmt;

/// The settings that a room can have from the fleet, from its school or from its own document, by
/// their keys.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident $key:literal,)*) => {
        /// A setting that a room has from the fleet, from its school or from its own document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Setting { $($(#[$doc])* $name,)* }

        impl Setting {
            /// All of them, in the order in which they are explained.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its key, with those of the mappings around it: `rollout.soak`.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }
        }
    };
}

settings! {
    /// `class`
    Class "class",
    /// `reset`
    Reset "reset",
    /// `windows.reset`
    WindowsReset "windows.reset",
    /// `windows.download`
    WindowsDownload "windows.download",
    /// `windows.activate`
    WindowsActivate "windows.activate",
    /// `lessons`
    Lessons "lessons",
    /// `calendar`
    Calendar "calendar",
    /// `holidays`
    Holidays "holidays",
    /// `exams`
    Exams "exams",
    /// `in_use`
    InUse "in_use",
    /// `power.group`
    PowerGroup "power.group",
    /// `power.wake_per_minute`
    WakePerMinute "power.wake_per_minute",
    /// `power.on_at_once`
    OnAtOnce "power.on_at_once",
    /// `power_groups`
    PowerGroups "power_groups",
    /// `retries.tries`
    Tries "retries.tries",
    /// `retries.wait`
    Wait "retries.wait",
    /// `retries.stalled_after`
    StalledAfter "retries.stalled_after",
    /// `rollout`
    Rollout "rollout",
    /// `rollout.from`
    RolloutFrom "rollout.from",
    /// `rollout.canary`
    Canary "rollout.canary",
    /// `rollout.then`
    Then "rollout.then",
    /// `rollout.healthy`
    Healthy "rollout.healthy",
    /// `rollout.soak`
    Soak "rollout.soak",
    /// `rollout.stop_at_failures`
    StopAtFailures "rollout.stop_at_failures",
    /// `rollout.loading_at_once`
    LoadingAtOnce "rollout.loading_at_once",
    /// `guard.reimage_at_most`
    ReimageAtMost "guard.reimage_at_most",
    /// `announce`
    Announce "announce",
    /// `download_rate`
    DownloadRate "download_rate",
    /// `time_zone`
    TimeZone "time_zone",
    /// `suspended`
    Suspended "suspended",
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

/// Which settings a document writes, and in which of its lines. Any two are equal: a fleet is the
/// same wherever in its files things stand.
#[derive(Debug, Clone, Default)]
pub struct Written(Box<[(Setting, u32)]>);

impl Written {
    /// The settings with their lines, counted from 1, in any order; of one that comes twice the
    /// first counts.
    #[must_use]
    pub fn new(lines: impl IntoIterator<Item = (Setting, u32)>) -> Self {
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by_key(|(setting, _)| *setting);
        lines.dedup_by_key(|(setting, _)| *setting);
        Self(lines.into())
    }

    /// The line of a setting; none where the document says nothing of it.
    #[must_use]
    pub fn line(&self, setting: Setting) -> Option<u32> {
        let at = self
            .0
            .binary_search_by_key(&setting, |(key, _)| *key)
            .ok()?;
        self.0.get(at).map(|(_, line)| *line)
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// It is written there.
    Written {
        /// The file, relative to the root of the state repo.
        file: String,
        /// The line, counted from 1.
        line: u32,
    },
    /// Nobody says anything else.
    Default,
}

impl serde::Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written { file, line } => write!(f, "{file}:{line}"),
            Self::Default => f.write_str("default"),
        }
    }
}
