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
    /// The last run that came to its end, of which the server has a log.
    pub ended: Option<Restore>,
    /// What its partitions hold.
    pub holds: BTreeMap<ImageName, Held>,
    /// Its `<host>_image.status` on the server.
    pub report: Option<HostReport>,
    /// Whether nobody has read that yet.
    pub is_new: bool,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The state of its image.
    pub contents: Contents,
    /// Since when it is this state and no other.
    pub since: Moment,
    /// When it was last put back to it.
    pub restored: Moment,
}

/// Who sits at a PC whose operating system is up, as far as it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// Nobody: it was left running.
    Nobody,
    /// Somebody.
    Somebody,
    /// Its answer cannot be read.
    Unreadable,
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
    /// Its operating system is up.
    Up(Usage),
    /// LINBO syncs, and switches it off at the end.
    Syncing(Restore),
}

/// One run of LINBO that puts images back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// The end.
    pub ends: Moment,
    /// How it ends.
    pub end: End,
    /// What it restores.
    pub reads: Vec<(ImageName, Contents)>,
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
            Phase::Syncing(sync) if sync.ends <= now => {
                let Restore { ends, end, reads } = sync;
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
                    self.is_new |= report.is_some();
                    self.report = report.or(self.report.take());
                }
                if *end == End::Restored {
                    for (image, contents) in reads {
                        let restored = *ends;
                        let before = self.holds.get(image);
                        let before = before.filter(|held| held.contents == *contents);
                        let held = Held {
                            contents: *contents,
                            since: before.map_or(restored, |held| held.since),
                            restored,
                        };
                        self.holds.insert(image.clone(), held);
                    }
                }
                if let Phase::Syncing(sync) = std::mem::take(&mut self.phase) {
                    self.ended = Some(sync);
                }
                self.woken = false;
            }
            _ => {}
        }
    }

    /// LINBO has waited in vain for the server, and switched it off.
    pub(super) fn cut_off(&mut self) {
        if matches!(
            self.phase,
            Phase::Booting(_) | Phase::Linbo | Phase::Syncing(_)
        ) {
            (self.phase, self.woken) = (Phase::Off, false);
        }
    }

    /// Somebody comes to it, or it is left running. Nobody works in LINBO.
    pub fn begin_use(&mut self, usage: Usage) {
        if matches!(self.phase, Phase::Off | Phase::Up(_)) {
            self.phase = Phase::Up(usage);
        }
    }

    /// That is over, and it is switched off.
    pub fn end_use(&mut self, usage: Usage) {
        if self.phase == Phase::Up(usage) {
            self.phase = Phase::Off;
        }
    }

    /// Whether it draws current.
    #[must_use]
    pub fn is_on(&self, now: Moment) -> bool {
        match self.phase {
            Phase::Off => false,
            Phase::Booting(_) | Phase::Linbo | Phase::Up(_) => true,
            Phase::Syncing(Restore { ends, .. }) => now < ends,
        }
    }

    /// Whether a command runs on it.
    #[must_use]
    pub fn is_syncing(&self, now: Moment) -> bool {
        matches!(self.phase, Phase::Syncing(Restore { ends, .. }) if now < ends)
    }
}
