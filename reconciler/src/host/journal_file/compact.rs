//! Which records of a large journal are dropped.
//!
//! # Invariants
//!
//! Whole records are kept or dropped. What the planner knows of hosts, what people were told of, which rows the domain
//! does not know yet and which commit was taken up last is the same afterwards. Failures of a step are forgotten when
//! they are old: no wait lasts that long.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use schema::name::{FileName, HostName, ImageName};

use crate::linbo::verdict::HostOutcome;
use crate::planning::journal::lines::Line;
use crate::planning::{Entry, Journal, Record, StepResult};

/// The lines without old ones that nothing depends on; none when it would not be much shorter.
pub(super) fn without_old<'a>(lines: &[Line<'a>], age: SignedDuration) -> Option<Vec<Line<'a>>> {
    // The age counts from the last record, not from the clock: a clock that jumps ahead must not
    // drop everything.
    let last = lines.last()?.record.at;
    let oldest = last.checked_sub(age).unwrap_or(Timestamp::MIN);
    let needed = needed(lines.iter().map(|line| &line.record), oldest);
    let kept: Vec<_> = lines
        .iter()
        .zip(needed)
        .filter(|(_, needed)| *needed)
        .map(|(line, _)| line.clone())
        .collect();
    let bytes = |lines: &[Line<'_>]| lines.iter().map(|line| line.text.len()).sum::<usize>();
    (bytes(&kept) < bytes(lines) / 4 * 3).then_some(kept)
}

/// For each record, whether it has to be kept.
fn needed<'a>(
    records: impl DoubleEndedIterator<Item = &'a Record> + ExactSizeIterator,
    oldest: Timestamp,
) -> Vec<bool> {
    let records: Vec<&Record> = records.collect();
    let first_told = first_told(&records, oldest);
    let streaks = streaks(&records);
    let mut activated: BTreeSet<ImageName> = BTreeSet::new();
    let mut is_imported = false;
    let commit = records
        .iter()
        .rposition(|record| matches!(record.entry, Entry::Commit { .. }));
    // How many there are from here on, and whether the next one only found the host in use.
    let mut attempts: BTreeMap<&HostName, (usize, bool)> = BTreeMap::new();
    let mut applied: BTreeSet<(&HostName, &FileName)> = BTreeSet::new();
    let needed = records.iter().enumerate().rev().map(|(index, record)| {
        let young = record.at >= oldest;
        match &record.entry {
            Entry::Host { host, outcome, .. } => {
                let (later, next_in_use) = attempts.entry(host).or_default();
                let in_use = matches!(outcome, HostOutcome::InUse { .. });
                let is_replaced = in_use && *next_in_use;
                *next_in_use = in_use;
                if !is_replaced {
                    *later += 1;
                }
                let is_attempt = !is_replaced && *later <= Journal::ATTEMPTS_KEPT;
                let older = outcome.applied().filter(|_| !is_attempt);
                // All of them are noted, not the first that is new alone.
                let is_last_of_file = older
                    .filter(|(file, _)| applied.insert((host, *file)))
                    .count()
                    > 0;
                young || is_attempt || is_last_of_file || streaks.contains(&index)
            }
            Entry::Told { .. } => index >= first_told,
            Entry::Commit { .. } => young || commit == Some(index),
            // People were told once and are never told again; suspensions and versions are few.
            Entry::Announced { .. }
            | Entry::Suspensions { .. }
            | Entry::Versions { .. }
            | Entry::Unknown => true,
            Entry::Finished {
                step,
                result: StepResult::Done,
            } => {
                is_imported |= step.is_import();
                step.activates()
                    .is_some_and(|image| activated.insert(image))
                    || young
            }
            Entry::Started { step, .. } => {
                young || (!is_imported && step.sets_rows().next().is_some())
            }
            Entry::PassStarted | Entry::Finished { .. } | Entry::PassFinished { .. } => young,
        }
    });
    let mut needed: Vec<bool> = needed.collect();
    needed.reverse();
    needed
}

/// The records by which hosts came to the states of image files that they still have.
fn streaks(records: &[&Record]) -> BTreeSet<usize> {
    let mut begun = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        if let Entry::Host { host, outcome, .. } = &record.entry {
            for (file, stamp) in outcome.applied() {
                let known = begun.get(&(host, file));
                if known.is_none_or(|(known, _)| *known != stamp) {
                    begun.insert((host, file), (stamp, index));
                }
            }
        }
    }
    begun.into_values().map(|(_, index)| index).collect()
}

/// The first record of what people were told that is young, or of which something still holds. All
/// later ones are needed then: each may close what an earlier one opened.
fn first_told(records: &[&Record], oldest: Timestamp) -> usize {
    let mut decided: BTreeSet<&String> = BTreeSet::new();
    let mut first = records.len();
    for (index, record) in records.iter().enumerate().rev() {
        if let Entry::Told { opened, closed } = &record.entry {
            let holds = opened.keys().any(|key| !decided.contains(key));
            if holds || record.at >= oldest {
                first = index;
            }
            decided.extend(opened.keys().chain(closed));
        }
    }
    first
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::planning::Action;
    use crate::planning::action::StepId;

    fn record(day: i64, entry: Entry) -> Record {
        let at = Timestamp::from_second(day * 24 * 3600).unwrap();
        Record {
            at,
            pass: at,
            entry,
        }
    }

    fn host(day: i64, name: &str) -> Record {
        let why = day.to_string();
        outcome(
            day,
            name,
            HostOutcome::Unknown {
                why,
                evidence: Vec::new(),
                restored: Vec::new(),
            },
        )
    }

    fn applied(day: i64, name: &str, file: &str) -> Record {
        let applied = HostOutcome::applied_one(file.parse().unwrap(), None);
        outcome(day, name, applied)
    }

    fn outcome(day: i64, name: &str, outcome: HostOutcome) -> Record {
        let step = Action::ImportDevices {
            classes: Vec::new(),
            hosts: Default::default(),
        }
        .id();
        record(
            day,
            Entry::Host {
                step,
                host: name.parse().unwrap(),
                outcome,
                version: None,
            },
        )
    }

    fn told(day: i64, opened: &[&str], closed: &[&str]) -> Record {
        let opened = opened
            .iter()
            .map(|key| ((*key).to_owned(), day.to_string()))
            .collect();
        record(
            day,
            Entry::Told {
                opened,
                closed: closed.iter().map(ToString::to_string).collect(),
            },
        )
    }

    #[track_caller]
    fn check(records: &[Record], wanted: &str) {
        let oldest = Timestamp::from_second(100 * 24 * 3600).unwrap();
        let needed = needed(records.iter(), oldest);
        let text: String = needed
            .iter()
            .map(|needed| if *needed { '+' } else { '.' })
            .collect();
        assert_eq!(text, wanted);
        let kept: Vec<&Record> = records
            .iter()
            .zip(needed)
            .filter(|(_, n)| *n)
            .map(|(r, _)| r)
            .collect();
        let (before, after): (Journal, Journal) =
            (records.iter().collect(), kept.into_iter().collect());
        assert_eq!(before.told(), after.told());
        assert_eq!(before.rows(), after.rows());
        for name in ["pc01", "pc02"] {
            let name = name.parse().unwrap();
            let (before, after) = (before.host(&name), after.host(&name));
            assert_eq!(before.attempts(), after.attempts());
            assert!(before.applied().eq(after.applied()));
        }
    }

    #[test]
    fn rows_that_no_import_has_seen_are_not_forgotten() {
        let step = |id: &str| StepId::from(id.to_owned());
        let begun = |day, id| {
            let entry = Entry::Started {
                step: step(id),
                title: String::new(),
                hosts: Vec::new(),
            };
            record(day, entry)
        };
        let ended = |day, id, result| {
            let step = step(id);
            record(day, Entry::Finished { step, result })
        };
        let failed = StepResult::Failed {
            why: "samba: no answer".to_owned(),
            evidence: Vec::new(),
        };
        check(
            &[
                begun(1, "set-rows/pc01,pc02"),
                ended(2, "import-devices", StepResult::Done),
                begun(3, "set-rows/pc03"),
                ended(4, "set-rows/pc03", StepResult::Done),
                begun(5, "import-devices"),
                ended(6, "import-devices", failed),
            ],
            "..+...",
        );
    }

    #[test]
    fn old_records_go_unless_something_depends_on_them() {
        let start = |day| record(day, Entry::PassStarted);
        let done = |day| {
            let step = Action::ImportDevices {
                classes: Vec::new(),
                hosts: Default::default(),
            }
            .id();
            record(
                day,
                Entry::Finished {
                    step,
                    result: StepResult::Done,
                },
            )
        };
        let commit = |day| {
            record(
                day,
                Entry::Commit {
                    id: "0f".into(),
                    subject: "x".into(),
                },
            )
        };
        check(&[], "");
        let versions = Entry::Versions {
            unneeded: Vec::new(),
            over: Vec::new(),
        };
        check(&[record(1, versions), start(2), start(101)], "+.+");
        check(&[commit(1), commit(2), start(3)], ".+.");
        check(&[commit(100), commit(2), start(3)], "++.");
        check(
            &[
                start(1),
                done(2),
                record(3, Entry::Unknown),
                start(99),
                start(100),
                done(120),
            ],
            "..+.++",
        );
        check(
            &[
                told(1, &["a"], &[]),
                told(2, &["b"], &["a"]),
                told(3, &[], &["b"]),
                told(101, &["c"], &[]),
            ],
            "...+",
        );
        check(
            &[
                told(1, &["x"], &["x"]),
                told(2, &["b", "c"], &[]),
                told(3, &[], &["c"]),
                start(4),
            ],
            "+++.",
        );
        check(
            &[
                told(1, &["x"], &[]),
                told(2, &["b", "c"], &["x"]),
                told(3, &[], &["c"]),
                start(4),
            ],
            ".++.",
        );
        // A clock that jumped: file order decides, not the times.
        check(&[told(200, &["a"], &[]), told(1, &[], &["a"])], "++");
        let attempts: Vec<Record> = (1..=20)
            .map(|day| host(day, "pc01"))
            .chain([host(5, "pc02")])
            .collect();
        check(&attempts, "....+++++++++++++++++");
        // What a host runs, and since when, is known however often it failed since.
        let first = ["a.qcow2", "b.qdiff", "a.qcow2"];
        let first = first.map(|file| applied(1, "pc01", file)).into_iter();
        let all: Vec<Record> = first.chain(attempts).collect();
        check(&all, "+++....+++++++++++++++++");
    }
}
