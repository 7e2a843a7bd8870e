//! What people read: plans, progress, results, letters. Pure: data in, text out.

pub mod mail;
pub mod title;
pub mod trouble;
