//! What became of one host's sync, judged by positive evidence only.
//!
//! # Invariants
//!
//! [`HostOutcome::Applied`] is never the absence of an error: the host itself said `applied:` in this
//! run, its command ended well, and nothing in its output tells of a failure. LINBO returns 0 after a
//! failed mount, so an exit status alone is worth nothing.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schema::name::FileName;
use schema::text::ImageStamp;
use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::log::{AppliedLine, SessionLog, tail, telling};
use super::status::{HostReport, ImageEvent};

/// How far the clocks of a server and its clients may differ, a minute of which is the rounding of LINBO's times.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(2);

/// How many lines of a log are evidence enough.
const TAIL: usize = 8;

/// How many lines that tell of a failure are kept.
const TELLING: usize = 12;

/// Everything that is known of one run on one host.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The exit status of SSH; none when it was ended by a timeout, or when `linbo-remote` lost it.
    pub exit: Option<i32>,
    /// What the host printed: the output of SSH, or the session log of `linbo-remote`.
    pub output: &'a [u8],
    /// The host's status file after the run, if it could be read.
    pub status: Option<HostReport>,
    /// When the run began.
    pub started: Timestamp,
    /// When the evidence was gathered.
    pub ended: Timestamp,
    /// The zone of the client's clock, which is that of its server.
    pub zone: &'a TimeZone,
    /// The image file and its timestamp that the host should have applied, if known.
    pub expected: Option<(FileName, ImageStamp)>,
}

/// An image file that a host was put back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The diff if the server has one, otherwise the base.
    pub file: FileName,
    /// Which state of the image; none when the client had no `.info`.
    pub stamp: Option<ImageStamp>,
}

/// What became of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostOutcome {
    /// It is back to its image.
    Applied {
        /// The diff if the server has one, otherwise the base.
        file: FileName,
        /// Which state of the image; none when the client had no `.info`.
        stamp: Option<ImageStamp>,
        /// What the same run put back before, in its order, on a host with several operating systems.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<Restored>,
    },
    /// It said that it failed, or what it did is not what was wanted.
    Failed {
        /// What failed, for people: the meaning of its cause where that is known.
        why: String,
        /// The lines that show it.
        evidence: Vec<String>,
        /// What the same run put back all the same, in its order, on a host with several operating systems.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        restored: Vec<Restored>,
    },
    /// Its operating system is up and somebody works at it, or that could not be found out: nothing was
    /// begun.
    InUse {
        /// Which of them; never who.
        why: String,
    },
    /// LINBO did not answer: nothing was begun.
    Unreachable {
        /// What was tried.
        why: String,
    },
    /// Something was begun, and nothing shows how it ended.
    Unknown {
        /// What is missing.
        why: String,
        /// The last lines that it printed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<String>,
        /// What the same run put back for certain, in its order, on a host with several operating systems.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        restored: Vec<Restored>,
    },
}

impl HostOutcome {
    /// A host that is back to this image, and to no other.
    #[must_use]
    pub const fn applied_one(file: FileName, stamp: Option<ImageStamp>) -> Self {
        Self::Applied {
            file,
            stamp,
            before: Vec::new(),
        }
    }

    /// Whether nothing was begun on the host, so that it has what it had before.
    #[must_use]
    pub const fn is_untouched(&self) -> bool {
        matches!(self, Self::InUse { .. } | Self::Unreachable { .. })
    }

    /// The outcome of a host from those of its images, in the order in which they were put back: the worst. A host
    /// is back to each of them for which all went well.
    pub fn of_images(outcomes: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut restored = Vec::new();
        let mut worst: Option<Self> = None;
        for outcome in outcomes {
            for (file, stamp) in outcome.applied() {
                let (file, stamp) = (file.clone(), stamp.cloned());
                // Of images that nobody can tell apart the same word is heard for each.
                restored.retain(|known: &Restored| known.file != file);
                restored.push(Restored { file, stamp });
            }
            if worst
                .as_ref()
                .is_none_or(|worst| worst.badness() <= outcome.badness())
            {
                worst = Some(outcome);
            }
        }
        match &mut worst {
            Some(Self::Applied { before, .. }) => {
                restored.pop();
                *before = restored;
            }
            Some(Self::Failed { restored: all, .. } | Self::Unknown { restored: all, .. }) => {
                *all = restored;
            }
            Some(Self::InUse { .. } | Self::Unreachable { .. }) | None => {}
        }
        worst
    }

    /// The image files that it was put back to, each with its state, in that order.
    pub fn applied(&self) -> impl Iterator<Item = (&FileName, Option<&ImageStamp>)> + Clone {
        let (before, last) = match self {
            Self::Applied {
                file,
                stamp,
                before,
            } => (before.as_slice(), Some((file, stamp.as_ref()))),
            Self::Failed { restored, .. } | Self::Unknown { restored, .. } => {
                (restored.as_slice(), None)
            }
            Self::InUse { .. } | Self::Unreachable { .. } => ([].as_slice(), None),
        };
        let before = before.iter().map(|of| (&of.file, of.stamp.as_ref()));
        before.chain(last)
    }

    /// Why it did not go well; none when it did.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Applied { .. } => None,
            Self::Failed { why, .. }
            | Self::InUse { why }
            | Self::Unreachable { why }
            | Self::Unknown { why, .. } => Some(why),
        }
    }

    /// The lines that it printed and that show why it did not go well.
    #[must_use]
    pub fn evidence(&self) -> &[String] {
        match self {
            Self::Failed { evidence, .. } | Self::Unknown { evidence, .. } => evidence,
            Self::Applied { .. } | Self::InUse { .. } | Self::Unreachable { .. } => &[],
        }
    }

    /// How bad it is: of several images on one host, the worst outcome is the host's.
    const fn badness(&self) -> u8 {
        match self {
            Self::Applied { .. } => 0,
            Self::Unknown { .. } => 1,
            Self::Unreachable { .. } | Self::InUse { .. } => 2,
            Self::Failed { .. } => 3,
        }
    }
}

/// Judges one of several images that a host was put back to in one run: what is known to be over and to have gone
/// well stays so, whatever became of the others.
#[must_use]
pub fn judge_one_of_several(evidence: &Evidence<'_>) -> HostOutcome {
    let log = SessionLog::parse(evidence.output);
    let is_over = |applied: &AppliedLine| evidence.exit == Some(0) || log.proves(applied);
    let went_well = |applied: &&AppliedLine| {
        evidence.concerns(&applied.report)
            && evidence.in_this_run(&applied.report)
            && is_over(applied)
            && !log.failed_with(applied)
    };
    match log.applied.iter().rfind(went_well) {
        Some(applied) if evidence.expected.is_some() => evidence.compare(&applied.report),
        _ => judge(evidence),
    }
}

/// Judges one host's sync.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> HostOutcome {
    let log = SessionLog::parse(evidence.output);
    if evidence.exit == Some(255) && only_ssh_speaks(evidence.output) {
        let last = tail(evidence.output, 1).pop();
        return HostOutcome::Unreachable {
            why: last.unwrap_or_else(|| "SSH could not reach LINBO on the host".to_owned()),
        };
    }
    if let Some(first) = log.failures.iter().find(|failure| !failure.is_warning()) {
        let cause = cause_told(evidence.output);
        return HostOutcome::Failed {
            why: cause.map_or_else(
                || format!("LINBO says: {}", first.line),
                |cause| cause.meaning().to_owned(),
            ),
            evidence: telling(evidence.output, TELLING),
            restored: Vec::new(),
        };
    }
    match evidence.exit {
        Some(0) => {
            let said = log
                .applied
                .iter()
                .map(|applied| &applied.report)
                .rfind(|r| evidence.concerns(r));
            match said.or_else(|| evidence.fresh_status()) {
                Some(report) => evidence.compare(report),
                None => unknown(
                    &log,
                    "LINBO returned 0, but the host did not report that it applied the image",
                ),
            }
        }
        Some(255) => evidence.without_exit(&log, "the connection broke while the command ran"),
        None => evidence.without_exit(&log, "nothing shows that the command came to its end"),
        Some(2) => failed(&log, Cause::NoSuchSystem.meaning(), 2),
        Some(status) => {
            let cause = cause_told(evidence.output).unwrap_or(Cause::CommandFailed);
            failed(&log, cause.meaning(), status)
        }
    }
}

/// Whether the log of a run that nobody judged takes back what its host reported: LINBO reports an image as applied
/// that it could not mount. A log that breaks off before the report stands in it counts with all that it tells.
#[must_use]
pub fn belies(output: &[u8], report: &HostReport) -> bool {
    let log = SessionLog::parse(output);
    let failed = log.failures.iter().any(|failure| !failure.is_warning());
    let stands_in_it = log.applied.iter().any(|applied| applied.report == *report);
    failed && (stands_in_it || log.applied.is_empty())
}

/// What a log tells of why something failed.
fn cause_told(output: &[u8]) -> Option<Cause> {
    Cause::recognise(tail(output, usize::MAX).iter().map(String::as_str))
}

fn unknown(log: &SessionLog, why: &str) -> HostOutcome {
    HostOutcome::Unknown {
        why: why.to_owned(),
        evidence: log.tail(TAIL),
        restored: Vec::new(),
    }
}

fn failed(log: &SessionLog, why: &str, status: i32) -> HostOutcome {
    HostOutcome::Failed {
        why: format!("{why} (exit status {status})"),
        evidence: log.tail(TAIL),
        restored: Vec::new(),
    }
}

impl Evidence<'_> {
    /// The judgement when no exit status of the client arrived: only the beginning of the next
    /// command proves that this one ended well.
    fn without_exit(&self, log: &SessionLog, why: &str) -> HostOutcome {
        // The log of an earlier run stays when a host was skipped.
        let said: Vec<_> = log
            .applied
            .iter()
            .filter(|applied| self.concerns(&applied.report) && self.in_this_run(&applied.report))
            .collect();
        match said.iter().rfind(|applied| log.proves(applied)) {
            Some(applied) => self.compare(&applied.report),
            None if said.is_empty() => unknown(log, why),
            None => unknown(
                log,
                &format!("{why}, although the host reported that it applied the image"),
            ),
        }
    }

    /// The report of the status file, when it is of this run and of this image.
    fn fresh_status(&self) -> Option<&HostReport> {
        self.status.as_ref().filter(|report| {
            report.event == ImageEvent::Applied && self.concerns(report) && self.in_this_run(report)
        })
    }

    /// Whether a report speaks of the image that was to be applied, in whatever state.
    fn concerns(&self, report: &HostReport) -> bool {
        let stem = |file: &FileName| file.as_str().split('.').next().map(str::to_owned);
        self.expected
            .as_ref()
            .is_none_or(|(file, _)| stem(file) == stem(&report.file))
    }

    /// Whether a report is of this run. A time in the hour that exists twice proves nothing.
    fn in_this_run(&self, report: &HostReport) -> bool {
        let ambiguous = self.zone.to_ambiguous_timestamp(report.at);
        let (false, Ok(at)) = (ambiguous.is_ambiguous(), ambiguous.compatible()) else {
            return false;
        };
        at.duration_since(self.started) >= -TOLERANCE && at.duration_since(self.ended) <= TOLERANCE
    }

    /// The outcome of a host that applied something and ended well.
    fn compare(&self, report: &HostReport) -> HostOutcome {
        let HostReport { file, stamp, .. } = report;
        match (&self.expected, stamp) {
            (Some((wanted, _)), _) if wanted != file => HostOutcome::Failed {
                why: format!("the host applied {file}, but {wanted} was wanted"),
                evidence: Vec::new(),
                restored: Vec::new(),
            },
            (Some((_, wanted)), Some(stamp)) if wanted != stamp => HostOutcome::Failed {
                why: format!(
                    "the host applied {file} of {}, but that of {} was wanted",
                    stamp.as_str(),
                    wanted.as_str()
                ),
                evidence: Vec::new(),
                restored: Vec::new(),
            },
            (Some((_, wanted)), None) => HostOutcome::Unknown {
                why: format!(
                    "the host applied {file}, but did not say whether it is that of {}",
                    wanted.as_str()
                ),
                evidence: Vec::new(),
                restored: Vec::new(),
            },
            _ => HostOutcome::applied_one(file.clone(), stamp.clone()),
        }
    }
}

/// Whether nothing but messages of SSH stand there that it prints before a command is begun.
fn only_ssh_speaks(output: &[u8]) -> bool {
    const BEFORE: [&str; 11] = [
        "ssh: ",
        "kex_exchange_identification: ",
        "banner exchange: ",
        "Connection timed out during banner exchange",
        "Connection closed by ",
        "Connection reset by ",
        "Warning: Permanently added ",
        "Host key verification failed",
        "Unable to negotiate ",
        "Permission denied",
        "No route to host",
    ];
    tail(output, usize::MAX).iter().all(|line| {
        BEFORE.iter().any(|begin| line.starts_with(begin))
            || line.contains(": Permission denied (")
            || (line.starts_with("Connection to ") && line.ends_with(" timed out"))
    })
}

#[cfg(test)]
mod tests;
