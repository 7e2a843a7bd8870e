//! What a host leaves behind of a sync, in LINBO's own words, which production code judges.
//!
//! # Invariants
//!
//! Only what LINBO or `linbo-remote` really prints stands here. Whether it is true is another matter.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use schema::digest::Digest;
use schema::name::{FileName, ImageName};
use schema::text::ImageStamp;

use super::pc::{End, Lie};
use super::time::{DAY, Moment};
use super::truth::Contents;
use crate::config::Driver;
use crate::linbo::status::HostReport;
use crate::linbo::verdict::{Evidence, HostOutcome, judge};

/// One sync on one host.
pub(super) struct Run<'a> {
    /// How it ended; none when it goes on.
    pub(super) end: Option<End>,
    /// What it was to restore.
    pub(super) reads: &'a [(ImageName, Contents)],
    /// By the server's clock.
    pub(super) started: Moment,
    /// By the server's clock.
    pub(super) judged: Moment,
    /// When it was over, by the host's clock.
    pub(super) over: Moment,
    /// Its status file.
    pub(super) status: Option<&'a HostReport>,
    pub(super) zone: &'a TimeZone,
}

/// The file of an image that hosts report, and the timestamp in its `.info`.
pub(super) fn expected(
    image: &ImageName,
    (base, diff): Contents,
) -> Option<(FileName, ImageStamp)> {
    let ending = if diff.is_some() { "qdiff" } else { "qcow2" };
    let file = format!("{image}.{ending}").parse().ok()?;
    Some((file, stamp(diff.or(base)?)?))
}

/// A timestamp that belongs to a content.
pub(super) fn stamp(content: Digest) -> Option<ImageStamp> {
    let hex = content.hex();
    // Eight digits at a time are no more than a number holds.
    let number = hex.as_bytes().chunks(8).fold(7_u64, |sum, digits| {
        let sum = digits
            .iter()
            .fold(sum, |sum, digit| sum * 31 + u64::from(*digit));
        sum % 525_600
    });
    let (day, minute) = (number / 1440, number % 1440);
    let (month, day) = (day / 31 % 12 + 1, day % 28 + 1);
    let text = format!("2026{month:02}{day:02}{:02}{:02}", minute / 60, minute % 60);
    text.parse().ok()
}

impl Run<'_> {
    /// What the production code makes of it: of several images the worst.
    pub(super) fn judge(&self, driver: Driver) -> HostOutcome {
        let (exit, output) = match driver {
            Driver::Wrapper => (self.exit(), self.printed()),
            Driver::LinboRemote => (None, self.session()),
        };
        let judge = |expected| {
            judge(&Evidence {
                exit,
                output: output.as_bytes(),
                status: self.status.cloned(),
                started: self.started.timestamp(),
                ended: self.judged.timestamp(),
                zone: self.zone,
                expected,
            })
        };
        let outcomes = self
            .reads
            .iter()
            .map(|(image, contents)| judge(expected(image, *contents)));
        HostOutcome::of_images(outcomes).unwrap_or_else(|| judge(None))
    }

    fn exit(&self) -> Option<i32> {
        Some(match self.end? {
            End::Restored | End::Lied(_) => 0,
            End::Failed => 1,
            End::Died => 255,
        })
    }

    /// What `linbo_wrapper` prints over SSH.
    fn printed(&self) -> String {
        let mut text = "Command     : sync\n".to_owned();
        match self.end {
            Some(End::Restored) => self.applied(self.over, &mut text),
            Some(End::Lied(Lie::Mount)) => {
                text += "Mounting /dev/sda2 failed!\n";
                self.applied(self.over, &mut text);
            }
            Some(End::Failed) => text += "Restore with /cache/image.qcow2 failed!\n",
            Some(End::Died) => text += "client_loop: send disconnect: Broken pipe\n",
            Some(End::Lied(Lie::Skipped | Lie::Zero)) | None => {}
        }
        text
    }

    /// The log that `linbo-remote` leaves: the next command is begun only after one that returned 0.
    fn session(&self) -> String {
        let mut text = String::new();
        // A host that was skipped has the log of the run before.
        let over = match self.end {
            Some(End::Lied(Lie::Skipped)) => self.over + -2 * DAY,
            _ => self.over,
        };
        self.header(over, "sync:1", &mut text);
        match self.end {
            Some(End::Lied(Lie::Skipped)) => self.applied(over, &mut text),
            _ => text += &self.printed(),
        }
        if matches!(self.end, Some(End::Restored | End::Lied(_))) {
            self.header(over, "halt", &mut text);
        }
        text
    }

    fn header(&self, at: Moment, words: &str, text: &mut String) {
        let at = self.zone.to_datetime(at.timestamp());
        // Writing to a String cannot fail.
        _ = writeln!(
            text,
            "### {} linbo_wrapper {words} ###",
            at.strftime("%Y%m%d-%H%M%S")
        );
    }

    fn applied(&self, at: Moment, text: &mut String) {
        let at = self.zone.to_datetime(at.timestamp());
        for (image, contents) in self.reads {
            if let Some((file, stamp)) = expected(image, *contents) {
                _ = writeln!(
                    text,
                    "{} applied: {file} \"{stamp}\"",
                    at.strftime("%Y%m%d%H%M")
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::simulator::time::MINUTE;

    /// What is judged of each end under each driver; the same that the fast path of a reset takes.
    #[test]
    fn only_what_was_restored_is_applied() {
        let contents = (Some(Digest::new([1; 32])), Some(Digest::new([2; 32])));
        let reads = ["tools", "ubuntu"].map(|image| (image.parse().unwrap(), contents));
        let files = reads
            .iter()
            .map(|(image, contents)| expected(image, *contents).unwrap());
        let applied = files.map(|(file, stamp)| HostOutcome::applied_one(file, Some(stamp)));
        let applied = HostOutcome::of_images(applied).unwrap();
        let judged: Moment = "2026-11-23T18:20:30Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .into();
        for driver in [Driver::Wrapper, Driver::LinboRemote] {
            for (end, wanted) in [
                (Some(End::Restored), "applied"),
                (Some(End::Failed), "failed: the image could not be written"),
                (Some(End::Died), "outcome unknown"),
                (
                    Some(End::Lied(Lie::Mount)),
                    "failed: the image could not be mounted",
                ),
                (Some(End::Lied(Lie::Skipped)), "outcome unknown"),
                (Some(End::Lied(Lie::Zero)), "outcome unknown"),
                (None, "outcome unknown"),
            ] {
                let run = Run {
                    end,
                    reads: &reads,
                    started: judged + -8 * MINUTE,
                    judged,
                    over: judged,
                    status: None,
                    zone: &TimeZone::UTC,
                };
                let outcome = run.judge(driver);
                assert!(
                    outcome.to_string().starts_with(wanted),
                    "{driver:?} {end:?}: {outcome}"
                );
                if end == Some(End::Restored) {
                    assert_eq!(outcome, applied);
                }
            }
        }
    }
}
