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
        let line = lines(text)
            .filter(|(_, line)| !blank(line))
            .last()
            .ok_or(StatusError::Empty)?
            .1;
        Self::read(&line, ended).map_err(|torn| {
            let line = line.trim().to_owned();
            if torn {
                StatusError::Torn { line }
            } else {
                StatusError::Garbage { line }
            }
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
        let at = words
            .next()
            .and_then(|digits| (digits.len() == 12).then(|| civil(digits)).flatten());
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
        let whole = [".qcow2", ".qdiff", ".iso"]
            .iter()
            .any(|ending| file.ends_with(ending));
        let file = file.parse().ok().filter(|_| whole).ok_or(torn)?;
        let stamp = words.next().unwrap_or_default().trim();
        let (stamp, open) = match stamp.strip_prefix('"') {
            Some(inner) => (
                inner.trim_end_matches('"'),
                !(inner.ends_with('"') || ended),
            ),
            None => (stamp, false),
        };
        // Without its line end, a line without a timestamp may have been going to have one.
        if open || (torn && stamp.len() < 12) {
            return Err(true);
        }
        let stamp = match stamp {
            "" => None,
            stamp => Some(stamp.parse().map_err(|_| torn)?),
        };
        Ok(Self {
            at,
            event,
            file,
            stamp,
        })
    }
}

fn blank(line: &str) -> bool {
    line.chars().all(|c| c.is_whitespace() || c == '\0')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_recorded_lines_are_read() {
        #[track_caller]
        fn check(text: &str, event: ImageEvent, file: &str, stamp: Option<&str>) {
            let report = HostReport::parse(text.as_bytes()).unwrap();
            assert_eq!(report.at, date(2026, 1, 15).at(21, 35, 0, 0));
            assert_eq!((report.event, report.file.as_str()), (event, file));
            assert_eq!(report.stamp, stamp.map(|stamp| stamp.parse().unwrap()));
        }
        use ImageEvent::{Applied, Created};
        check(
            "202601152135 applied: ubuntu.qdiff \"202601101930\"\n",
            Applied,
            "ubuntu.qdiff",
            Some("202601101930"),
        );
        check(
            "202601152135 created: ubuntu.qcow2 202601101930\r\n",
            Created,
            "ubuntu.qcow2",
            Some("202601101930"),
        );
        check(
            "202601152135 applied: ubuntu.qcow2 \n",
            Applied,
            "ubuntu.qcow2",
            None,
        );
        check(
            "202601152135 applied: ubuntu.qcow2 \"\"\n\n",
            Applied,
            "ubuntu.qcow2",
            None,
        );
        // A whole line without its line end: nothing can be missing.
        check(
            "202601152135 applied: ubuntu.qdiff \"202601101930\"",
            Applied,
            "ubuntu.qdiff",
            Some("202601101930"),
        );
    }

    #[test]
    fn every_beginning_of_a_line_is_torn() {
        let line = "202601152135 applied: ubuntu.qdiff \"202601101930\"";
        assert_eq!(HostReport::parse(b""), Err(StatusError::Empty));
        for end in 1..line.len() {
            let error = HostReport::parse(&line.as_bytes()[..end]).unwrap_err();
            assert_eq!(
                error,
                StatusError::Torn {
                    line: line[..end].trim().to_owned()
                }
            );
        }
    }

    #[test]
    fn anything_else_is_garbage() {
        for text in [
            "hello\n",
            "202613152135 applied: a.qcow2 \n",
            "202601152135 deleted: a.qcow2 1\n",
            "202601152135 applied: ../a.qcow2 \n",
            "202601152135 applied: a.txt \n",
            "202601152135 applied: a.qcow2 now\n",
            "20260115 applied: a.qcow2\n",
            "202601152135 applied: a.qcow2 202601101930 202601101930\n",
        ] {
            assert!(
                matches!(
                    HostReport::parse(text.as_bytes()),
                    Err(StatusError::Garbage { .. })
                ),
                "{text}"
            );
        }
        assert_eq!(HostReport::parse(b"\0\0\n \r\n"), Err(StatusError::Empty));
    }
}
