//! What the fleet and its schools say of care: retries, waves, the guard, announcements, suspensions.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Count, Day};
use crate::name::{PowerGroupName, RoomName};
use crate::policy::{Portion, Until};
use crate::read::{At, WordOr};
use crate::text::PlainText;
use crate::units::{Length, Percent};

/// How often a host is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetriesDocument {
    /// How often a host is tried for each reset; 3 by default.
    #[serde(default)]
    pub tries: At<Count>,
    /// The wait after the first failure, as in `10 minutes` (the default); it grows with each further one.
    #[serde(default)]
    pub wait: At<Length>,
    /// After so many failed resets in a row a host is not tried again until somebody resolves it; 3 by default.
    #[serde(default)]
    pub stalled_after: At<Count>,
}

/// How a new version comes to the hosts: `at_once`, or in waves.
pub type RolloutChoice = WordOr<AtOnce, RolloutDocument>;

/// Without waves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtOnce {
    /// All rooms may have a new version at the same time.
    AtOnce,
}

/// The waves in which a new version comes to the hosts of a school.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutDocument {
    /// The first day on which a new version takes the place of another, as in `2026-12-01`: until then hosts keep what
    /// they have. It may be downloaded before. What is over does nothing.
    #[serde(default)]
    pub from: At<Day>,
    /// Who has it first: `1 room` (the default), `5 hosts` or, at a school, a list of rooms.
    #[serde(default)]
    pub canary: At<WordOr<Portion, Vec<At<RoomName>>>>,
    /// How much each later wave takes, as in `25 %` (the default) or `5 rooms`; or, at a school, the rooms of each, as
    /// in `[[r201, r202], [r301]]`, with all others in a wave behind them.
    #[serde(default)]
    pub then: At<WordOr<Portion, Vec<Vec<At<RoomName>>>>>,
    /// The share of a wave that has to have the version before the next one begins; `95 %` by default.
    #[serde(default)]
    pub healthy: At<Percent>,
    /// How long a wave has to have been healthy before the next one begins; `1 day` by default.
    #[serde(default)]
    pub soak: At<Length>,
    /// With more failures than this share the rollout stops by itself; `10 %` by default.
    #[serde(default)]
    pub stop_at_failures: At<Percent>,
    /// How many hosts load the version at the same time; 30 by default.
    #[serde(default)]
    pub loading_at_once: At<Count>,
}

/// What nobody is to change by mistake.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardDocument {
    /// A plan that would re-image more than this share of a school's hosts outside of a rollout is held; `40 %` by
    /// default. A larger share has to stay until all is done: each pass weighs what is left by the share of its time.
    #[serde(default)]
    pub reimage_at_most: At<Percent>,
}

/// Whether people are told of what is to come: `never`, or how early.
pub type AnnounceChoice = WordOr<NeverWord, AnnounceDocument>;

/// Not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeverWord {
    /// Nobody is told.
    Never,
}

/// When people are told of what is to come.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnounceDocument {
    /// How many days before the school's contact gets a mail.
    pub days_before: At<Count>,
}

/// That something is left alone for the time being.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspensionDocument {
    /// Why.
    pub reason: At<PlainText>,
    /// Who wants it.
    pub by: At<PlainText>,
    /// Its last day, as in `2026-12-01`, or its end, as in `2026-12-01 18:00`; without it until the key is
    /// taken out.
    #[serde(default)]
    pub until: At<Until>,
}

/// The electrical circuit of a room: the name of a power group, or what the room itself bears.
pub type PowerChoice = WordOr<PowerGroupName, RoomPowerDocument>;

/// What a room itself bears.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomPowerDocument {
    /// The power group that it belongs to, too: one of the school's `power_groups`.
    #[serde(default)]
    pub group: At<PowerGroupName>,
    /// Hosts woken per minute; as its group or school by default.
    #[serde(default)]
    pub wake_per_minute: At<Count>,
    /// Hosts that are on at the same time; as its group or school by default.
    #[serde(default)]
    pub on_at_once: At<Count>,
}
