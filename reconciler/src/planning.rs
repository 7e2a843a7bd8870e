//! The pure core: what a server must make true, what it found, and the steps between the two.
//!
//! # Invariants
//!
//! Nothing below this module reads a file, asks the clock, starts a process or draws a random
//! number. Time, memory and what already runs are observed facts: fields of [`Observed`].
//! Equal inputs give equal plans, byte for byte, since all collections are ordered.
//!
//! [`plan()`], [`predict()`] and [`audit()`] are three independent statements about the same actions;
//! none calls another.

pub mod action;
pub mod agenda;
pub mod audit;
pub mod cohort;
pub mod desired;
pub mod forecast;
pub mod gates;
pub mod guard;
pub mod journal;
pub mod ledger;
pub mod observed;
pub mod orders;
pub mod plan;
pub mod predict;
pub mod preview;
pub mod rebranded;
pub mod retention;
pub mod rollback;
pub mod rollout;
pub mod slots;
pub mod stalled;
pub mod suspension;
pub mod timetable;
mod topics;
pub mod wake;

pub use action::{Action, Circuit, Pace, Reason, Resource, Step, StepId};
pub use agenda::{Arrival, Coming, Occurrence, Outlook, agenda, arrivals, ends};
pub use audit::{Violation, audit};
pub use cohort::Cohort;
pub use desired::{
    Allowance, Desired, DesiredClass, DesiredImage, DesiredTest, NotBefore, Purpose, Server, Staff,
};
pub use forecast::{Forecast, Foreseen, forecast};
pub use gates::Gate;
pub use journal::{Entry, Journal, Record, StepResult};
pub use ledger::Ledger;
pub use observed::{
    Busy, ClassFiles, Grub, ImageFile, LiveImage, Observed, Occupant, Probe, Running, Store,
    Torrent,
};
pub use orders::{Orders, RolledBack, Subject, Suspended};
pub use plan::{Goal, Hold, Plan, plan};
pub use predict::predict;
pub use preview::{Preview, preview};
pub use rollback::GoneBack;
pub use slots::{Slot, SlotKind, Slots};
pub use suspension::{InForce, in_force};
pub use timetable::{Batch, Taken, Timetable, longest_first, lower_bound, shortest, timetable};
pub use wake::wake;
