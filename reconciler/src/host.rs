//! The real world: a linuxmuster server, by the paths and commands of its settings.
//!
//! The lab is not another implementation: it is this one, with other paths and ports.

pub mod activate;
pub mod classes;
pub mod download;
pub mod files;
pub mod process;
pub mod relay;
pub mod reset;
pub mod store;
pub mod torrent;
pub mod digests;
pub mod journal_file;
pub mod lock;
pub mod observe;
mod state_file;
