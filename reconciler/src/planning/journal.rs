//! What was done before: the memory that the planner reads, folded from records on disk.
//!
//! A record is written before a step begins, for each host as its outcome is known, and when the step
//! ends. After a crash the journal says what was begun, the world says what is true.
//!
//! # Compatibility
//!
//! Records are lines of JSON. A newer reconciler reads older records. An older one skips events that it
//! does not know, and keeps them. The folded journal is never written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use schema::name::HostName;
use serde::{Deserialize, Serialize};

use crate::linbo::verdict::HostOutcome;
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

/// The journal, folded to what the planner asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    steps: BTreeMap<StepId, Failures>,
    hosts: BTreeMap<HostName, Vec<Attempt>>,
    begun: BTreeMap<HostName, Timestamp>,
    told: BTreeMap<String, String>,
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
    /// How it ended.
    pub outcome: HostOutcome,
}

impl Journal {
    /// Attempts kept for each host: more than any policy looks back.
    pub const ATTEMPTS_KEPT: usize = 16;

    /// Takes one more record in.
    pub fn fold(&mut self, record: &Record) {
        match &record.entry {
            Entry::Started { hosts, .. } => {
                let begun = hosts.iter().map(|host| (host.clone(), record.at));
                self.begun.extend(begun);
            }
            Entry::Host { host, outcome, .. } => {
                self.begun.remove(host);
                let attempts = self.hosts.entry(host.clone()).or_default();
                if attempts.len() == Self::ATTEMPTS_KEPT {
                    attempts.remove(0);
                }
                attempts.push(Attempt {
                    at: record.at,
                    outcome: outcome.clone(),
                });
            }
            Entry::Finished {
                step,
                result: StepResult::Done | StepResult::Paused,
            } => {
                self.steps.remove(step);
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
                self.steps.insert(step.clone(), failures);
            }
            Entry::Told { opened, closed } => {
                self.told.retain(|key, _| !closed.contains(key));
                self.told.extend(opened.clone());
            }
            Entry::PassStarted
            | Entry::Commit { .. }
            | Entry::PassFinished { .. }
            | Entry::Unknown => {}
        }
    }

    /// The failures of a step since it last went well.
    #[must_use]
    pub fn failures(&self, step: &StepId) -> Option<&Failures> {
        self.steps.get(step)
    }

    /// Troubles that people were told of and that are not known to be over, by key.
    #[must_use]
    pub const fn told(&self) -> &BTreeMap<String, String> {
        &self.told
    }

    /// Hosts that may be on since that time: what was begun there was cut off, or did not end with a host
    /// that is back at its image and off.
    #[must_use]
    pub fn may_be_on(&self, since: Timestamp) -> BTreeSet<HostName> {
        let begun = self.begun.iter().filter(|(_, at)| **at >= since);
        let tried = self.hosts.iter().filter(|(_, attempts)| {
            attempts.last().is_some_and(|last| {
                let is_over = matches!(
                    last.outcome,
                    HostOutcome::Applied { .. } | HostOutcome::InUse { .. }
                );
                last.at >= since && !is_over
            })
        });
        let (begun, tried) = (begun.map(|(host, _)| host), tried.map(|(host, _)| host));
        begun.chain(tried).cloned().collect()
    }

    /// The attempts to reset a host, oldest first.
    #[must_use]
    pub fn attempts(&self, host: &HostName) -> &[Attempt] {
        self.hosts.get(host).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Display for HostOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied {
                file,
                stamp: Some(stamp),
            } => write!(f, "applied {file} of {stamp}"),
            Self::Applied { file, stamp: None } => write!(f, "applied {file}"),
            Self::Failed { why, .. } => write!(f, "failed: {why}"),
            Self::InUse { why } => write!(f, "in use: {why}"),
            Self::Unreachable { why } => write!(f, "unreachable: {why}"),
            Self::Unknown { why } => write!(f, "outcome unknown: {why}"),
        }
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn record(at: i64, entry: Entry) -> Record {
        let at = Timestamp::from_second(at).unwrap();
        Record {
            at,
            pass: at,
            entry,
        }
    }

    #[test]
    fn failures_count_until_success() {
        let step = crate::planning::Action::ImportDevices {
            classes: Vec::new(),
        }
        .id();
        let failed = StepResult::Failed {
            why: "disk full".into(),
            evidence: vec![],
        };
        let finished = |at, result| {
            record(
                at,
                Entry::Finished {
                    step: step.clone(),
                    result,
                },
            )
        };
        let two = [finished(1, failed.clone()), finished(2, failed)];
        let journal: Journal = two.iter().collect();
        assert_eq!(
            journal.failures(&step).map(|f| (f.count, f.why.as_str())),
            Some((2, "disk full"))
        );
        let journal: Journal = two.iter().chain(&[finished(3, StepResult::Done)]).collect();
        assert_eq!(journal.failures(&step), None);
    }

    #[test]
    fn a_host_may_be_on_until_its_end_is_known() {
        let host = |name: &str| name.parse::<HostName>().unwrap();
        let step = crate::planning::Action::SwitchOff { hosts: Vec::new() }.id();
        let begun = Entry::Started {
            step: step.clone(),
            title: String::new(),
            hosts: ["pc1", "pc2", "pc3", "pc4"].map(host).to_vec(),
        };
        let outcome = |name, outcome| Entry::Host {
            step: step.clone(),
            host: host(name),
            outcome,
        };
        let (file, stamp, why) = ("u.qcow2".parse().unwrap(), None, String::new());
        let unreachable = HostOutcome::Unreachable { why: why.clone() };
        let records = [
            record(100, begun),
            record(200, outcome("pc2", HostOutcome::Applied { file, stamp })),
            record(200, outcome("pc3", unreachable)),
            record(200, outcome("pc4", HostOutcome::InUse { why })),
        ];
        let journal: Journal = records.iter().collect();
        let since = |second| journal.may_be_on(Timestamp::from_second(second).unwrap());
        assert_eq!(since(50), ["pc1", "pc3"].map(host).into());
        assert_eq!(since(150), [host("pc3")].into());
        assert_eq!(since(250), BTreeSet::new());
    }

    #[test]
    fn waiting_doubles_and_is_bounded() {
        let minutes = |n| backoff(n).as_mins();
        assert_eq!(
            [1, 2, 3, 4, 8, 100, u32::MAX].map(minutes),
            [5, 10, 20, 40, 360, 360, 360]
        );
    }

    #[test]
    fn an_event_of_a_newer_version_is_skipped() {
        let line = r#"{"at":"2026-11-23T18:00:00Z","pass":"2026-11-23T18:00:00Z","event":"moon_phase","x":1}"#;
        assert_eq!(
            serde_json::from_str::<Record>(line).unwrap().entry,
            Entry::Unknown
        );
    }
}
