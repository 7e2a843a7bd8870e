//! The real world: a linuxmuster server, by the paths and commands of its settings.
//!
//! The lab is not another implementation: it is this one, with other paths and ports.

pub mod digests;
pub mod journal_file;
pub mod lock;
pub mod observe;
mod state_file;
