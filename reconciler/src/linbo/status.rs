//! `<host>_image.status`: the last image event of a host, one line that each event overwrites.

use jiff::civil::DateTime;
use schema::name::FileName;
use schema::text::ImageStamp;
use serde::{Deserialize, Serialize};

use super::{civil, lines};

/// What a host did with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageEvent {
    /// `applied:` it put its partition back to the image.
    Applied,
    /// `created:` it made the image from its partition.
    Created,
}

/// One image event as a host reported it (`log_image_status` in LINBO's shell functions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// When, in the local time of the client, by the minute.
    pub at: DateTime,
    /// What it did.
    pub event: ImageEvent,
    /// The image file: the diff when the server has one, otherwise the base.
    pub file: FileName,
    /// The image's timestamp; none when its `.info` was missing.
    pub stamp: Option<ImageStamp>,
}

/// Why a status file says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// The file is empty.
    #[error("the status file is empty")]
    Empty,
    /// The line ends in the middle, as the file is being written.
    #[error("the status line ends too early: `{}`", .line.escape_debug())]
    Torn {
        /// What is there.
        line: String,
    },
    /// The line is something else.
    #[error("`{}` is no status line: `<YYYYMMDDhhmm> applied|created: <image file> <timestamp>` is wanted", .line.escape_debug())]
    Garbage {
        /// What is there.
        line: String,
    },
}

impl HostReport {
    /// Reads a status file: its last line that is not blank.
    ///
    /// # Errors
    ///
    /// When there is none, when it ends too early, or when it is something else.
    pub fn parse(text: &[u8]) -> Result<Self, StatusError> {
        let ended = text.ends_with(b"\n");
        let line = lines(text).filter(|(_, line)| !blank(line)).last().ok_or(StatusError::Empty)?.1;
        Self::read(&line, ended).map_err(|torn| {
            let line = line.trim().to_owned();
            if torn { StatusError::Torn { line } } else { StatusError::Garbage { line } }
        })
    }

    /// Reads one whole line of a log; none when it is no image event.
    #[must_use]
    pub fn parse_line(line: &str) -> Option<Self> {
        Self::read(line, true).ok()
    }

    /// The error is whether the line might be the beginning of a right one.
    fn read(line: &str, ended: bool) -> Result<Self, bool> {
        let torn = !ended;
        let line = line.trim_end_matches(['\r', '\0']);
        let mut words = line.trim_start_matches('\0').splitn(4, ' ');
        let at = words.next().and_then(|digits| {
            (digits.len() == 12).then(|| civil(digits)).flatten()
        });
        let at = at.ok_or(torn && line.len() < 12 && line.bytes().all(|b| b.is_ascii_digit()))?;
        let event = match words.next().unwrap_or_default() {
            "applied:" => ImageEvent::Applied,
            "created:" => ImageEvent::Created,
            other => {
                let begun = "applied:".starts_with(other) || "created:".starts_with(other);
                return Err(torn && begun);
            }
        };
        let file = words.next().unwrap_or_default();
        let whole = [".qcow2", ".qdiff", ".iso"].iter().any(|ending| file.ends_with(ending));
        let file = file.parse().ok().filter(|_| whole).ok_or(torn)?;
        let rest = words.next();
        let stamp = rest.unwrap_or_default().trim();
        let (stamp, open) = match stamp.strip_prefix('"') {
            Some(inner) => (inner.trim_end_matches('"'), !(inner.ends_with('"') || ended)),
            None => (stamp, false),
        };
        if open || (torn && stamp.len() < 12 && !(stamp.is_empty() && rest.is_some())) {
            return Err(true);
        }
        let stamp = match stamp {
            "" => None,
            stamp => Some(stamp.parse().map_err(|_| torn)?),
        };
        Ok(Self { at, event, file, stamp })
    }
}

fn blank(line: &str) -> bool {
    line.chars().all(|c| c.is_whitespace() || c == '\0')
}
