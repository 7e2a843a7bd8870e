//! A look at the world that changes nothing: what dry runs, ledgers and explanations are made of.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schema::fleet::Fleet;

use super::{Output, pass};
use crate::config::Config;
use crate::host::{Host, Mode};
use crate::planning::{Desired, InForce, Observed, in_force};
use crate::report::text::Head;
use crate::report::title::Clock;
use crate::world::{CommitLine, Problem, Senses, Target};

/// What was seen.
pub(super) struct Sight {
    pub(super) desired: Arc<Desired>,
    pub(super) observed: Observed,
    /// What the state repo says, where the world can tell.
    pub(super) fleet: Option<Arc<Fleet>>,
    commit: Option<CommitLine>,
    problems: Vec<Problem>,
    blind: Vec<String>,
    suspended: Vec<InForce>,
    server: String,
}

/// Looks at this server; with `at` as if it were that time.
pub(super) fn at_server(
    config: Config,
    at: Option<At>,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Sight> {
    let host = Host::open(config, Mode::Look, now)?;
    let mut sight = pass::runtime()?.block_on(look(&host, at, output))?;
    sight.fleet = host.fleet();
    Ok(sight)
}

/// Nothing but senses: that a look changes nothing is held by the type.
pub(super) async fn look(
    world: &impl Senses,
    at: Option<At>,
    output: &Output,
) -> anyhow::Result<Sight> {
    let target = world.target().await;
    let Target {
        desired: Some(desired),
        commit,
        problems,
    } = target
    else {
        for problem in &target.problems {
            output.line(&problem.text);
        }
        bail!("there is no commit to work towards");
    };
    let mut observed = world.observe(&desired, &[]).await;
    let desired = observed.obeyed(&desired);
    if let Some(at) = at {
        observed.at = at.instant(&desired.zone)?;
    }
    Ok(Sight {
        server: desired.server.to_string(),
        blind: observed.blind_spots(),
        suspended: in_force(&desired, &observed),
        desired,
        observed,
        fleet: None,
        commit,
        problems,
    })
}

impl Sight {
    /// The commit that is in force, by its full id.
    pub(super) fn commit(&self) -> Option<&str> {
        self.commit.as_ref().map(|commit| commit.id.as_str())
    }

    /// What everything that is said of it begins with.
    pub(super) fn head(&self) -> Head<'_> {
        Head {
            server: &self.server,
            commit: self.commit.as_ref(),
            problems: &self.problems,
            blind: &self.blind,
            suspended: &self.suspended,
            clock: Clock {
                now: self.observed.at,
                zone: &self.desired.zone,
            },
        }
    }

    /// Whether it is incomplete, or the state repo has a problem that fails a pass.
    pub(super) fn has_failed(&self) -> bool {
        !self.blind.is_empty() || self.problems.iter().any(|problem| problem.is_failure)
    }
}

/// A time as people type it.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// RFC 3339.
    Instant(Timestamp),
    /// Civil time in the school's zone.
    Civil(DateTime),
}

/// Reads a time.
pub(super) fn at(text: &str) -> Result<At, String> {
    let instant = text.parse().map(At::Instant);
    instant
        .or_else(|_| text.parse().map(At::Civil))
        .map_err(|_| {
            "write `2026-11-23 18:05` for local time, or `2026-11-23T17:05:00Z`".to_owned()
        })
}

impl At {
    pub(super) fn instant(self, zone: &TimeZone) -> anyhow::Result<Timestamp> {
        match self {
            Self::Instant(at) => Ok(at),
            Self::Civil(at) => Ok(at
                .to_zoned(zone.clone())
                .context("there is no such time")?
                .timestamp()),
        }
    }
}
