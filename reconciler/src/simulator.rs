//! The third world: whole fleets that live for months in seconds.
//!
//! The production planner and the production loop run here unchanged; only the two traits of the port
//! have other implementations, over an in-memory world with virtual time, in which things go wrong.
//!
//! # Invariants
//!
//! A run follows from its [`Script`] alone: no clock, no thread and no random number of this machine
//! has a part in it, and all collections are ordered. So the same script gives the same account, byte for byte.
//!
//! What is true ([`truth`]) is changed by steps in parts and with time, never by `predict`.
//!
//! # Still missing
//!
//! Proxmox VMs, since no action needs them yet; the central server's own work. Of
//! `linbo-remote` only what it leaves behind is simulated, not that it takes all hosts of a call at once.

mod account;
mod begin;
pub mod bug;
pub mod chance;
mod circuits;
pub mod event;
pub mod fault;
mod hands;
mod oracle;
mod pass;
mod pc;
mod people;
mod port;
mod promises;
mod rehearsal;
mod remote;
mod reset;
mod rest;
pub mod script;
pub mod time;
pub mod truth;
mod uplink;
mod usage;
mod word;
mod world;

pub use account::{Account, Peak};
pub use bug::Bug;
pub use event::{Event, What};
pub use fault::{Fault, Kind, Profile, Sense};
pub use pc::{Lie, Usage};
pub use promises::Broken;
pub use rehearsal::{Options, Rehearsal, rehearse};
pub use remote::{Commit, Signer};
pub use script::{Edit, Script, Start, Turn};
pub use time::Moment;

/// What became of a world.
#[derive(Debug, Clone)]
#[must_use]
pub struct Outcome {
    /// Promises that were broken; the run ends with the first event that breaks one.
    pub broken: Vec<Broken>,
    /// What happened.
    pub account: Account,
    /// What is not as it should be at the end, at each school.
    pub wanting: Vec<Vec<String>>,
}

/// Lets a world live from its beginning to its end.
pub fn simulate(script: &Script) -> Outcome {
    let world = world::World::new(script);
    world.live(script.until);
    let wanting = world.finish(script.quiet_from < script.until);
    let broken = world.promises.borrow().broken().to_vec();
    let account = world.account.borrow().clone();
    Outcome {
        broken,
        account,
        wanting,
    }
}
