//! What people read: plans, progress, results, letters. Pure: data in, text out.

pub mod announce;
pub mod calendar;
pub mod explain;
pub mod forecast;
mod hanging;
pub mod hosts;
pub mod json;
pub mod mail;
pub mod markdown;
pub mod status;
pub mod style;
pub mod summary;
pub mod suspended;
pub mod text;
pub mod times;
pub mod title;
pub mod trouble;
