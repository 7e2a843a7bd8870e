//! A rehearsal: what a fleet would live through, for people who are about to merge it.

use schema::fleet::Fleet;

use super::fault::Profile;

/// How a fleet is rehearsed.
#[derive(Debug, Clone)]
pub struct Options {
    /// What goes wrong.
    pub faults: Profile,
}

/// What a fleet lived through.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What became of it.
    pub outcome: super::Outcome,
}

/// Rehearses a fleet.
pub fn rehearse(fleet: &Fleet, options: &Options) -> Rehearsal {
    let _ = options;
    let script = super::Script::new(fleet, 20, 1, super::Moment(0), super::Moment(1));
    Rehearsal { outcome: super::simulate(&script) }
}
