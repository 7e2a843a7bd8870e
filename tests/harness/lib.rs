//! What the tests of the reconciler stand on: broken input, files to compare with, a small real world and
//! its demo, a Proxmox, a large fleet, and worlds to plan in.

pub mod big_fleet;
pub mod demo;
pub mod fuzz;
pub mod golden;
pub mod lab;
pub mod pve;
pub mod worlds;
