//! LINBO's file formats and command grammar, as functions of bytes.
//!
//! # Invariants
//!
//! Nothing here reads a file, asks the clock or starts a process. Foreign input comes as bytes and
//! never panics: carriage returns, NUL, text that is not UTF-8 and a torn last line are expected.
//! What cannot be understood is reported with its line number, never dropped.

pub mod cause;
pub mod command;
pub mod devices;
pub mod image_info;
pub mod log;
pub mod remote;
pub mod setup_ini;
pub mod start_conf;
pub mod status;
pub mod verdict;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// What is wrong with one line of a file that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowProblem {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl RowProblem {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

/// The lines of a foreign text with their numbers, counted from 1, without their line ends.
/// Bytes that are no UTF-8 become U+FFFD, which no name admits.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    // What follows the last line end is a line of its own only when it holds something.
    let ended = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let some = if bytes.is_empty() { 0 } else { usize::MAX };
    ended
        .split(|byte| *byte == b'\n')
        .take(some)
        .enumerate()
        .map(|(index, line)| {
            (
                index + 1,
                String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)),
            )
        })
}

/// A point in local time from its digits: `YYYYMMDDhhmm`, or with `ss` behind.
fn civil(digits: &str) -> Option<DateTime> {
    if !matches!(digits.len(), 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from, to| {
        digits
            .get(from..to)
            .and_then(|part| part.parse::<i8>().ok())
    };
    let year = digits.get(..4)?.parse().ok()?;
    let second = if digits.len() == 14 { part(12, 14)? } else { 0 };
    DateTime::new(
        year,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        second,
        0,
    )
    .ok()
}
