//! `reconcile simulate`: rehearses a state repo before it is merged.

use std::path::Path;

use anyhow::bail;
use clap::ValueEnum;
use jiff::Timestamp;

use super::{Exit, Output};
use crate::simulator::script::Start;
use crate::simulator::{Options, Profile, rehearse};

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Faults {
    /// Nothing.
    None,
    /// What a good year is like.
    Light,
    /// Much more than any year.
    Heavy,
}

impl From<Faults> for Profile {
    fn from(faults: Faults) -> Self {
        match faults {
            Faults::None => Self::None,
            Faults::Light => Self::Light,
            Faults::Heavy => Self::Heavy,
        }
    }
}

/// Hosts that a room is taken to have, since `devices.csv` is no part of the state repo.
const HOSTS: usize = 20;

pub(super) fn run(
    dir: &Path,
    weeks: u16,
    seed: u64,
    faults: Faults,
    output: &Output,
    now: Timestamp,
) -> anyhow::Result<Exit> {
    let Some(fleet) = schema::load(&super::validate::read(dir)?).fleet else {
        bail!(
            "{} has errors: `reconcile validate` shows them",
            dir.display()
        );
    };
    let options = Options {
        from: now,
        weeks,
        seed,
        faults: faults.into(),
        start: Start::Empty,
        hosts_per_room: HOSTS,
    };
    let rehearsal = rehearse(&fleet, &options);
    output.text(&rehearsal.to_string())?;
    let failed = !rehearsal.broken.is_empty() || (faults == Faults::None && !rehearsal.is_clean());
    Ok(if failed {
        Exit::Failed
    } else {
        Exit::Converged
    })
}
