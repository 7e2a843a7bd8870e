//! The journal as bytes: what counts as a record, and what was cut off in the middle.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Entry, Record};

/// One whole line of a journal.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// Its bytes without the line end.
    pub text: &'a [u8],
    /// What it says.
    pub record: Record,
}

/// What the bytes of a journal hold.
#[derive(Debug)]
pub struct Contents<'a> {
    /// Its records, oldest first.
    pub lines: Vec<Line<'a>>,
    /// Lines that are no records, counted from 1.
    pub corrupt: Vec<usize>,
    /// Bytes at the end that belong to no whole line.
    pub torn: usize,
}

impl<'a> Contents<'a> {
    /// Reads them. A last line that lacks nothing but its end is whole.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut contents = Self {
            lines: Vec::new(),
            corrupt: Vec::new(),
            torn: 0,
        };
        for (index, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let (text, ended) = match text.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (text, false),
            };
            match record(text) {
                Some(record) => contents.lines.push(Line { text, record }),
                None if ended => contents.corrupt.push(index + 1),
                None => contents.torn = text.len(),
            }
        }
        contents
    }
}

/// The record of a line. An event whose name or shape is not known to this version is an unknown one.
fn record(text: &[u8]) -> Option<Record> {
    #[derive(Deserialize)]
    struct Head {
        at: Timestamp,
        pass: Timestamp,
        #[serde(rename = "event")]
        _event: String,
    }
    serde_json::from_slice(text).ok().or_else(|| {
        let Head { at, pass, .. } = serde_json::from_slice(text).ok()?;
        Some(Record {
            at,
            pass,
            entry: Entry::Unknown,
        })
    })
}
