//! One PC: what it does when nobody looks.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schema::name::ImageName;

use super::time::Moment;
use super::truth::Contents;
use super::word;
use crate::linbo::status::{HostReport, ImageEvent};

/// A PC of a school.
#[derive(Debug, Clone, Default)]
pub struct Pc {
    /// What it does since it was looked at last.
    pub phase: Phase,
    /// Whether it is on because the reconciler woke it.
    pub woken: bool,
    /// What its partitions hold, and since when.
    pub holds: BTreeMap<ImageName, (Contents, Moment)>,
    /// Its `<host>_image.status` on the server.
    pub report: Option<HostReport>,
}

/// What a PC does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// It is off.
    #[default]
    Off,
    /// It boots LINBO, which answers from a moment on.
    Booting(Moment),
    /// LINBO waits for commands.
    Linbo,
    /// LINBO syncs, and switches it off at the end.
    Syncing {
        /// The end.
        ends: Moment,
        /// How it will end.
        end: End,
        /// What it restores.
        reads: Vec<(ImageName, Contents)>,
    },
}

/// How a sync ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Well: its partitions hold the images.
    Restored,
    /// LINBO says that it failed.
    Failed,
    /// It goes off in the middle.
    Died,
    /// It failed, and what is said of it says otherwise.
    Lied(Lie),
}

/// How LINBO and `linbo-remote` say less than the truth: each returns 0, and nothing was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// The partition could not be mounted; the host reports that it applied the image all the same.
    Mount,
    /// `linbo-remote` skipped the host, whose session was still there; the log before stays.
    Skipped,
    /// The command did nothing; the status line of an older run stays.
    Zero,
}

impl Pc {
    /// Lets it come to where it is by now.
    pub fn settle(&mut self, now: Moment, zone: &TimeZone) {
        match &self.phase {
            Phase::Booting(answers) if *answers <= now => self.phase = Phase::Linbo,
            Phase::Syncing { ends, end, reads } if *ends <= now => {
                if matches!(end, End::Restored | End::Lied(Lie::Mount)) {
                    let report = reads.last().and_then(|(image, contents)| {
                        let (file, stamp) = word::expected(image, *contents)?;
                        let at = zone.to_datetime(ends.timestamp());
                        // LINBO writes no seconds.
                        let at = at.with().second(0).subsec_nanosecond(0).build().ok()?;
                        Some(HostReport {
                            at,
                            event: ImageEvent::Applied,
                            file,
                            stamp: Some(stamp),
                        })
                    });
                    self.report = report.or(self.report.take());
                }
                if *end == End::Restored {
                    for (image, contents) in reads {
                        self.holds.insert(image.clone(), (*contents, *ends));
                    }
                }
                self.phase = Phase::Off;
                self.woken = false;
            }
            _ => {}
        }
    }

    /// Whether it draws current.
    #[must_use]
    pub fn is_on(&self, now: Moment) -> bool {
        match self.phase {
            Phase::Off => false,
            Phase::Booting(_) | Phase::Linbo => true,
            Phase::Syncing { ends, .. } => now < ends,
        }
    }

    /// Whether a command runs on it.
    #[must_use]
    pub fn is_syncing(&self, now: Moment) -> bool {
        matches!(self.phase, Phase::Syncing { ends, .. } if now < ends)
    }
}
