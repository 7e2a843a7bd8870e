//! The `.info` file beside an image: which state of it this is.

use std::fmt::Write as _;

use schema::name::FileName;
use schema::text::ImageStamp;
use serde::{Deserialize, Serialize};

use super::{RowProblem, lines};

/// What an `.info` file says (`linbo_mkinfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageRecord {
    /// When the image was made: an opaque name, never to be ordered.
    pub timestamp: Option<ImageStamp>,
    /// The file that it speaks of.
    pub image: Option<FileName>,
    /// The size of that file in bytes.
    pub size: Option<u64>,
    /// The timestamp of the base; in the record of a diff only.
    pub backing: Option<ImageStamp>,
    /// The partition that it was made from, as the machine that made it named it.
    pub partition: Option<String>,
    /// The size of that partition in KiB.
    pub partition_kib: Option<u64>,
    /// Lines that could not be read.
    pub problems: Vec<RowProblem>,
}

impl ImageRecord {
    /// Reads an `.info` in any of its historical shapes: with or without a header, values quoted or not.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut record = Self::default();
        for (number, line) in lines(text) {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['[', '#']) {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                record.problem(
                    number,
                    format!("`{}` is no `key=\"value\"`", line.escape_debug()),
                );
                continue;
            };
            let value = unquoted(value.trim());
            let fits = match key.trim().to_ascii_lowercase().as_str() {
                "timestamp" => set(&mut record.timestamp, value),
                "image" => set(&mut record.image, value),
                "imagesize" => set(&mut record.size, value),
                "backingfile_timestamp" => set(&mut record.backing, value),
                "partition" => set(&mut record.partition, value),
                "partitionsize" => set(&mut record.partition_kib, value),
                // Other tools may add keys; LINBO ignores them too.
                _ => true,
            };
            if !fits {
                record.problem(
                    number,
                    format!("`{}` is no value for {}", value.escape_debug(), key.trim()),
                );
            }
        }
        record
    }

    /// The text of an `.info` that says this, as LINBO's clients write it.
    #[must_use]
    pub fn render(&self) -> String {
        let image = self.image.as_ref().map_or("", FileName::as_str);
        let mut text = format!("[\"{image}\" Info File]\n");
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                _ = writeln!(text, "{key}=\"{value}\"");
            }
        };
        line(
            "timestamp",
            self.timestamp
                .as_ref()
                .map(|stamp| stamp.as_str().to_owned()),
        );
        line("image", self.image.as_ref().map(ToString::to_string));
        line("imagesize", self.size.map(|size| size.to_string()));
        line("partition", self.partition.clone());
        line(
            "partitionsize",
            self.partition_kib.map(|size| size.to_string()),
        );
        line(
            "backingfile_timestamp",
            self.backing.as_ref().map(|stamp| stamp.as_str().to_owned()),
        );
        text
    }

    fn problem(&mut self, line: usize, message: String) {
        self.problems.push(RowProblem::new(line, message));
    }
}

/// A value without its quotes; a torn value may have lost the second one.
fn unquoted(value: &str) -> &str {
    let value = value.strip_prefix('"').unwrap_or(value);
    value.strip_suffix('"').unwrap_or(value)
}

/// Whether the value was understood; an empty one says nothing, and that is understood.
fn set<T: std::str::FromStr>(field: &mut Option<T>, value: &str) -> bool {
    if !value.is_empty() {
        *field = value.parse().ok();
    }
    value.is_empty() || field.is_some()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const DIFF: &str = "[\"ubuntu.qdiff\" Info File]\ntimestamp=\"202611222004\"\nimage=\"ubuntu.qdiff\"\n\
        imagesize=\"3997696\"\npartition=\"/dev/vdb1\"\npartitionsize=\"307200\"\nbackingfile_timestamp=\"202611222003\"\n";

    fn diff() -> ImageRecord {
        ImageRecord {
            timestamp: Some("202611222004".parse().unwrap()),
            image: Some("ubuntu.qdiff".parse().unwrap()),
            size: Some(3_997_696),
            backing: Some("202611222003".parse().unwrap()),
            partition: Some("/dev/vdb1".to_owned()),
            partition_kib: Some(307_200),
            problems: Vec::new(),
        }
    }

    #[test]
    fn an_info_of_a_client_is_read_and_written() {
        assert_eq!(ImageRecord::parse(DIFF.as_bytes()), diff());
        assert_eq!(diff().render(), DIFF);
    }

    #[test]
    fn other_shapes_say_the_same() {
        let unquoted = DIFF.replace('"', "");
        let headless = DIFF.split_once('\n').unwrap().1.to_owned();
        let mut turned: Vec<&str> = DIFF.lines().collect();
        turned.reverse();
        for text in [
            unquoted,
            headless,
            turned.join("\n"),
            DIFF.replace('\n', "\r\n"),
            DIFF.replace('=', " = "),
        ] {
            assert_eq!(ImageRecord::parse(text.as_bytes()), diff(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_stays_missing_and_what_is_wrong_is_reported() {
        assert_eq!(ImageRecord::parse(b""), ImageRecord::default());
        let server_made = ImageRecord::parse(
            b"[x.iso Info File]\ntimestamp=202601101930\nimage=x.iso\nimagesize=5\n",
        );
        assert_eq!((server_made.size, server_made.partition), (Some(5), None));
        let wrong = ImageRecord::parse(
            b"timestamp=\"yesterday\"\nimagesize=\"-1\"\nimage=\"../x\"\nnonsense\ntimesta",
        );
        let lines: Vec<usize> = wrong.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2, 3, 4, 5]);
        assert_eq!(
            (wrong.timestamp, wrong.size, wrong.image),
            (None, None, None)
        );
    }
}
