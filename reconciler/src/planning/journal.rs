//! What was done before: the memory that the planner reads, folded from records on disk.
//!
//! A record is written before a step begins, for each host as its outcome is known, and when the step
//! ends. After a crash the journal says what was begun, the world says what is true.
//!
//! # Compatibility
//!
//! Records are lines of JSON. A newer reconciler reads older records. An older one skips events that it
//! does not know, and keeps them. The folded journal is never written.

pub mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schema::digest::Digest;
use schema::name::{FileName, HostName, ImageName, VersionName};
use schema::text::ImageStamp;
use serde::{Deserialize, Serialize};

use crate::linbo::verdict::{HostOutcome, TOLERANCE};
use crate::planning::action::StepId;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was written.
    pub at: Timestamp,
    /// The pass that wrote it, by the time of its beginning.
    pub pass: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// A pass began.
    PassStarted,
    /// A pass takes a commit up: from now on only its descendants are accepted.
    Commit {
        /// Its full id.
        id: String,
        /// The first line of its message.
        subject: String,
    },
    /// A step is about to begin.
    Started {
        /// The step.
        step: StepId,
        /// What it does, for people.
        title: String,
        /// The hosts that it may switch on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hosts: Vec<HostName>,
    },
    /// The outcome of one host within a step.
    Host {
        /// The step.
        step: StepId,
        /// The host.
        host: HostName,
        /// Its outcome.
        outcome: HostOutcome,
        /// The version of the file that it applied last, by name, where that was known then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<VersionName>,
    },
    /// A step ended.
    Finished {
        /// The step.
        step: StepId,
        /// How.
        result: StepResult,
    },
    /// People were told.
    Told {
        /// Troubles that are news, by key, with what was said of them.
        opened: BTreeMap<String, String>,
        /// Keys of troubles that are over.
        closed: Vec<String>,
    },
    /// Staff were told what is coming.
    Announced {
        /// What, by keys that never come again.
        keys: Vec<String>,
    },
    /// What happened to suspensions, by their keys.
    Suspensions {
        /// Those that were noticed for the first time.
        noticed: Vec<String>,
        /// Those of which people were reminded.
        reminded: Vec<String>,
        /// Those that are over.
        over: Vec<String>,
    },
    /// What happened to versions in the store, by the digests of their manifests.
    Versions {
        /// Those that nobody needs since then.
        unneeded: Vec<Digest>,
        /// Those that somebody needs again, or that are gone.
        over: Vec<Digest>,
    },
    /// A pass ended.
    PassFinished {
        /// Its exit code.
        exit: u8,
        /// One line for people.
        summary: String,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// Its effect is there.
    Done,
    /// It stopped at a safe point because its window closed; it goes on in the next one.
    Paused,
    /// It failed.
    Failed {
        /// Why, for people, with causes.
        why: String,
        /// The last lines of what the programs said.
        evidence: Vec<String>,
    },
}

/// The journal, folded to what the planner asks. Each look at the world has a copy, so copies share all
/// that was not changed since.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    steps: Arc<BTreeMap<StepId, Failures>>,
    hosts: Arc<BTreeMap<HostName, Arc<HostMemory>>>,
    activated: Arc<BTreeMap<ImageName, (Timestamp, StepId)>>,
    told: Arc<BTreeMap<String, String>>,
    announced: Arc<BTreeSet<String>>,
    suspensions: Arc<BTreeMap<String, Noticed>>,
    unneeded: Arc<BTreeMap<Digest, Timestamp>>,
    /// Hosts whose rows in `devices.csv` were changed since the last import that went well.
    rows: Arc<BTreeSet<HostName>>,
    /// The commit that was taken up last, and since when.
    commit: Option<(String, Timestamp)>,
    /// The last pass, the last record, and the last one before that pass.
    signs: Signs,
}

/// When something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Signs {
    pass: Option<Timestamp>,
    last: Option<Timestamp>,
    before: Option<Timestamp>,
}

/// What is remembered of a suspension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noticed {
    /// When it was noticed first.
    pub since: Timestamp,
    /// When people were last reminded of it.
    pub reminded: Option<Timestamp>,
}

/// What is remembered of one host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostMemory {
    /// When something was last begun on it whose end is not known.
    begun: Option<Timestamp>,
    attempts: Vec<Attempt>,
    /// Of each file the last attempt that applied it, as far as that is no longer among the attempts; oldest first.
    applied: Vec<(FileName, Attempt)>,
    runs: BTreeMap<FileName, Runs>,
}

/// Which state of an image file a host has, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// The state; none when the host had no `.info`.
    pub stamp: Option<ImageStamp>,
    /// When it was first put back to this state, and to no other since.
    pub since: Timestamp,
}

/// The failures of a step since it last went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// How many, one after the other.
    pub count: u32,
    /// When the last one was noted.
    pub last: Timestamp,
    /// What the last one was.
    pub why: String,
}

/// One attempt to reset a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was judged.
    pub at: Timestamp,
    /// The step that it belonged to, which names its room and its occurrence.
    pub step: StepId,
    /// How it ended.
    pub outcome: HostOutcome,
    /// The version of the file that was applied last, by name, where that was known then.
    pub version: Option<VersionName>,
}

impl Attempt {
    /// Whether it was judged later than that, where there is such a time. What was judged just then is not.
    #[must_use]
    pub fn is_after(&self, time: Option<Timestamp>) -> bool {
        time.is_none_or(|time| self.at > time)
    }

    /// The version of a file that was applied, by name, where that was known then.
    #[must_use]
    pub fn version_of(&self, file: &FileName) -> Option<&VersionName> {
        let (last, _) = self.outcome.applied().last()?;
        self.version.as_ref().filter(|_| last == file)
    }
}

impl Journal {
    /// Attempts kept for each host: more than any policy looks back.
    pub const ATTEMPTS_KEPT: usize = 16;

    /// Takes one more record in.
    pub fn fold(&mut self, record: &Record) {
        if self.signs.pass != Some(record.pass) {
            self.signs.before = self.signs.last;
            self.signs.pass = Some(record.pass);
        }
        self.signs.last = Some(record.at);
        if let Entry::Started { step, .. } = &record.entry {
            let mut rows = step.sets_rows().peekable();
            if rows.peek().is_some() {
                Arc::make_mut(&mut self.rows).extend(rows);
            }
        }
        match &record.entry {
            Entry::Started { hosts, .. } if !hosts.is_empty() => {
                let memories = Arc::make_mut(&mut self.hosts);
                for host in hosts {
                    let memory = memories.entry(host.clone()).or_default();
                    Arc::make_mut(memory).begun = Some(record.at);
                }
            }
            Entry::Host {
                step,
                host,
                outcome,
                version,
            } => {
                let hosts = Arc::make_mut(&mut self.hosts);
                let memory = Arc::make_mut(hosts.entry(host.clone()).or_default());
                memory.begun = None;
                for (file, stamp) in outcome.applied() {
                    // A host that went on to a diff runs the base alone no more.
                    let is_other = |known: &FileName| known != file && known.stem() == file.stem();
                    memory.runs.retain(|known, _| !is_other(known));
                    let known = memory.runs.get(file);
                    if known.is_none_or(|runs| runs.stamp.as_ref() != stamp) {
                        let runs = Runs {
                            stamp: stamp.cloned(),
                            since: record.at,
                        };
                        memory.runs.insert(file.clone(), runs);
                    }
                }
                let in_use = |outcome: &HostOutcome| matches!(outcome, HostOutcome::InUse { .. });
                let last = memory.attempts.last().map(|last| &last.outcome);
                if in_use(outcome) && last.is_some_and(in_use) {
                    // Looking again whether somebody works at it pushes nothing out of memory.
                    memory.attempts.pop();
                }
                if memory.attempts.len() == Self::ATTEMPTS_KEPT {
                    let oldest = memory.attempts.remove(0);
                    for (file, _) in oldest.outcome.applied() {
                        memory.applied.retain(|(known, _)| known != file);
                        memory.applied.push((file.clone(), oldest.clone()));
                    }
                }
                memory.attempts.push(Attempt {
                    at: record.at,
                    step: step.clone(),
                    outcome: outcome.clone(),
                    version: version.clone(),
                });
            }
            Entry::Finished {
                step,
                result: result @ (StepResult::Done | StepResult::Paused),
            } => {
                if self.steps.contains_key(step) {
                    Arc::make_mut(&mut self.steps).remove(step);
                }
                if step.is_import() && *result == StepResult::Done {
                    self.rows = Arc::default();
                }
                if let (StepResult::Done, Some(image)) = (result, step.activates()) {
                    Arc::make_mut(&mut self.activated).insert(image, (record.at, step.clone()));
                }
            }
            Entry::Finished {
                step,
                result: StepResult::Failed { why, .. },
            } => {
                let count = self.steps.get(step).map_or(0, |failures| failures.count);
                let failures = Failures {
                    count: count.saturating_add(1),
                    last: record.at,
                    why: why.clone(),
                };
                Arc::make_mut(&mut self.steps).insert(step.clone(), failures);
            }
            Entry::Told { opened, closed } => {
                let told = Arc::make_mut(&mut self.told);
                told.retain(|key, _| !closed.contains(key));
                told.extend(opened.clone());
            }
            Entry::Announced { keys } => {
                Arc::make_mut(&mut self.announced).extend(keys.iter().cloned());
            }
            Entry::Suspensions {
                noticed,
                reminded,
                over,
            } => {
                let new = Noticed {
                    since: record.at,
                    reminded: None,
                };
                let suspensions = Arc::make_mut(&mut self.suspensions);
                for key in noticed.iter().chain(reminded) {
                    suspensions.entry(key.clone()).or_insert(new);
                }
                for key in reminded {
                    if let Some(known) = suspensions.get_mut(key) {
                        known.reminded = Some(record.at);
                    }
                }
                suspensions.retain(|key, _| !over.contains(key));
            }
            Entry::Versions { unneeded, over } => {
                let known = Arc::make_mut(&mut self.unneeded);
                known.retain(|digest, _| !over.contains(digest));
                known.extend(unneeded.iter().map(|digest| (*digest, record.at)));
            }
            Entry::Commit { id, .. } => {
                if self.commit.as_ref().is_none_or(|(known, _)| known != id) {
                    self.commit = Some((id.clone(), record.at));
                }
            }
            Entry::PassStarted
            | Entry::Started { .. }
            | Entry::PassFinished { .. }
            | Entry::Unknown => {}
        }
    }

    /// Hosts whose rows in `devices.csv` were changed, or were about to be, since the last import that went well.
    #[must_use]
    pub fn rows(&self) -> &BTreeSet<HostName> {
        &self.rows
    }

    /// The failures of a step since it last went well.
    #[must_use]
    pub fn failures(&self, step: &StepId) -> Option<&Failures> {
        self.steps.get(step)
    }

    /// Troubles that people were told of and that are not known to be over, by key.
    #[must_use]
    pub fn told(&self) -> &BTreeMap<String, String> {
        &self.told
    }

    /// Since when the commit that was taken up last is in force.
    #[must_use]
    pub fn commit_since(&self) -> Option<Timestamp> {
        self.commit.as_ref().map(|(_, since)| *since)
    }

    /// From when until when nothing was written before the last pass.
    #[must_use]
    pub fn silence(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.signs.before?, self.signs.pass?))
    }

    /// What staff were told is coming, by key.
    #[must_use]
    pub fn announced(&self) -> &BTreeSet<String> {
        &self.announced
    }

    /// Suspensions that hold as far as was noted, by key.
    #[must_use]
    pub fn suspensions(&self) -> &BTreeMap<String, Noticed> {
        &self.suspensions
    }

    /// Since when nobody needs which versions in the store, by the digests of their manifests.
    #[must_use]
    pub fn unneeded(&self) -> &BTreeMap<Digest, Timestamp> {
        &self.unneeded
    }

    /// Hosts that may be on since that time: what was begun there was cut off, or did not end with a host
    /// that is back at its image and off.
    #[must_use]
    pub fn may_be_on(&self, since: Timestamp) -> BTreeSet<HostName> {
        let may = |memory: &HostMemory| {
            let begun = memory.begun.is_some_and(|at| at >= since);
            begun
                || memory.attempts.last().is_some_and(|last| {
                    let is_over = matches!(
                        last.outcome,
                        HostOutcome::Applied { .. } | HostOutcome::InUse { .. }
                    );
                    last.at >= since && !is_over
                })
        };
        let hosts = self.hosts.iter().filter(|(_, memory)| may(memory));
        hosts.map(|(host, _)| host.clone()).collect()
    }

    /// What is remembered of a host; of one that was never touched, nothing.
    #[must_use]
    pub fn host(&self, host: &HostName) -> &HostMemory {
        static NOTHING: HostMemory = HostMemory {
            begun: None,
            attempts: Vec::new(),
            applied: Vec::new(),
            runs: BTreeMap::new(),
        };
        self.hosts.get(host).map_or(&NOTHING, |memory| memory)
    }

    /// When an image was last exchanged in LINBO's folder.
    #[must_use]
    pub fn activated(&self, image: &ImageName) -> Option<Timestamp> {
        self.activated.get(image).map(|(at, _)| *at)
    }

    /// Whether an image's files were last exchanged by this step.
    #[must_use]
    pub fn was_last(&self, image: &ImageName, step: &StepId) -> bool {
        let last = self.activated.get(image);
        last.is_some_and(|(_, last)| last == step)
    }
}

impl HostMemory {
    /// When something was begun on the host whose end is not known: its pass was killed, or still runs.
    #[must_use]
    pub const fn unheard(&self) -> Option<Timestamp> {
        self.begun
    }

    /// Whether what the host reported at that time says something of what was begun on it last, as far as that is not
    /// known otherwise: what was begun later and cut off may have spoiled what it reported. What is noted to have begun
    /// later than `believed` has not begun.
    #[must_use]
    pub fn is_told_by(&self, report: Timestamp, believed: Timestamp) -> bool {
        let begun = self.begun.filter(|begun| *begun <= believed);
        begun.is_none_or(|begun| report.duration_since(begun) >= -TOLERANCE)
    }

    /// When something was last begun on the host, or its outcome was noted.
    #[must_use]
    pub fn touched(&self) -> Option<Timestamp> {
        let noted = self.attempts.last().map(|last| last.at);
        self.begun.max(noted)
    }

    /// The attempts to reset the host, oldest first.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Which state of a file the host was put back to last.
    #[must_use]
    pub fn runs(&self, file: &FileName) -> Option<&Runs> {
        self.runs.get(file)
    }

    /// The files that the host was ever put back to, of each image the last one.
    pub fn files(&self) -> impl Iterator<Item = &FileName> {
        self.runs.keys()
    }

    /// The attempts by which something was put in place, the last first: of each file at least the last one, however
    /// many came after it. By their order, whatever a clock said that was wrong for a while.
    pub fn applied(&self) -> impl Iterator<Item = &Attempt> {
        let is_applied = |attempt: &&Attempt| attempt.outcome.applied().next().is_some();
        let older = self.applied.iter().rev().map(|(_, attempt)| attempt);
        self.attempts.iter().rev().filter(is_applied).chain(older)
    }

    /// The last attempt that put a file of this image in place, of those until then, and what it put there.
    #[must_use]
    pub fn state(
        &self,
        image: &ImageName,
        until: Timestamp,
    ) -> Option<(&Attempt, &FileName, Option<&ImageStamp>)> {
        let mut believed = self.applied().filter(|attempt| attempt.at <= until);
        believed.find_map(|attempt| {
            let mut files = attempt.outcome.applied();
            let (file, stamp) = files.find(|(file, _)| file.is_of(image))?;
            Some((attempt, file, stamp))
        })
    }
}

impl fmt::Display for HostOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<String> = self
            .applied()
            .map(|(file, stamp)| match stamp {
                Some(stamp) => format!("{file} of {stamp}"),
                None => file.to_string(),
            })
            .collect();
        let files = files.join(" and ");
        match self {
            Self::Applied { .. } => return write!(f, "applied {files}"),
            Self::Failed { why, .. } => write!(f, "failed: {why}")?,
            Self::InUse { why } => write!(f, "in use: {why}")?,
            Self::Unreachable { why } => write!(f, "unreachable: {why}")?,
            Self::Unknown { why, .. } => write!(f, "outcome unknown: {why}")?,
        }
        if files.is_empty() {
            return Ok(());
        }
        write!(f, " (but {files} was applied)")
    }
}

impl<'a> FromIterator<&'a Record> for Journal {
    fn from_iter<I: IntoIterator<Item = &'a Record>>(records: I) -> Self {
        let mut journal = Self::default();
        records.into_iter().for_each(|record| journal.fold(record));
        journal
    }
}

/// How long to wait after so many failures in a row: 5 minutes, doubled each time, at most 6 hours.
#[must_use]
pub fn backoff(failures: u32) -> SignedDuration {
    const FIRST: i64 = 5;
    const LONGEST: i64 = 6 * 60;
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20));
    SignedDuration::from_mins(doubled.min(LONGEST))
}

#[cfg(test)]
mod tests;
