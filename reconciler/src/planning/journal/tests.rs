//! What the journal remembers, and of which old records.

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
        hosts: Default::default(),
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
fn a_host_that_went_on_to_a_diff_runs_the_base_alone_no_more() {
    let host: HostName = "r101-pc01".parse().unwrap();
    let files = ["ubuntu.qcow2", "tools.qcow2", "ubuntu.qdiff"].into_iter();
    let records: Vec<Record> = files
        .zip(1..)
        .map(|(file, at)| {
            let stamp = "202611231800".parse().ok();
            let outcome = HostOutcome::applied_one(file.parse().unwrap(), stamp);
            let step = serde_json::from_str("\"reset/r101/2026-11-23T17:00:00Z\"").unwrap();
            let (host, version) = (host.clone(), None);
            record(
                at,
                Entry::Host {
                    step,
                    host,
                    outcome,
                    version,
                },
            )
        })
        .collect();
    let journal: Journal = records.iter().collect();
    let runs = |file: &str| journal.host(&host).runs(&file.parse().unwrap()).is_some();
    assert!(!runs("ubuntu.qcow2"));
    assert!(runs("tools.qcow2") && runs("ubuntu.qdiff"));
}

#[test]
fn what_was_applied_is_remembered_behind_any_number_of_failures_and_of_looks_at_hosts_in_use() {
    let host: HostName = "r101-pc01".parse().unwrap();
    let attempt = |at, outcome| {
        let step = serde_json::from_str("\"reset/r101/2026-11-23T17:00:00Z\"").unwrap();
        let (host, version) = (host.clone(), None);
        record(
            at,
            Entry::Host {
                step,
                host,
                outcome,
                version,
            },
        )
    };
    let applied = |file: &str| HostOutcome::applied_one(file.parse().unwrap(), None);
    let failed = HostOutcome::Failed {
        why: "no".to_owned(),
        evidence: Vec::new(),
        restored: Vec::new(),
    };
    let begin = ["a.qcow2", "b.qcow2", "a.qcow2"].map(applied).into_iter();
    let in_use = HostOutcome::InUse { why: String::new() };
    let outcomes = begin
        .chain(std::iter::repeat_n(failed, 100))
        .chain(std::iter::repeat_n(in_use, 100));
    let journal: Journal = outcomes
        .zip(1..)
        .map(|(outcome, at)| attempt(at, outcome))
        .collect::<Vec<_>>()
        .iter()
        .collect();
    let attempts = journal.host(&host).attempts();
    assert_eq!(attempts.len(), Journal::ATTEMPTS_KEPT);
    let failed = |attempt: &&Attempt| matches!(attempt.outcome, HostOutcome::Failed { .. });
    assert_eq!(
        attempts.iter().filter(failed).count(),
        Journal::ATTEMPTS_KEPT - 1
    );
    let when: Vec<i64> = journal
        .host(&host)
        .applied()
        .map(|a| a.at.as_second())
        .collect();
    assert_eq!(when, [3, 2]);
    let last = journal.host(&host).attempts().last().unwrap();
    let (room, due) = last.step.reset().unwrap();
    assert_eq!(
        (room.as_str(), due.to_string().as_str()),
        ("r101", "2026-11-23T17:00:00Z")
    );
}

/// A clock ran ahead at the second reset and was right again at the third.
#[test]
fn what_a_host_was_put_back_to_last_is_what_was_noted_last() {
    let host: HostName = "r101-pc01".parse().unwrap();
    let note = |at, outcome: &HostOutcome| {
        let entry = Entry::Host {
            step: serde_json::from_str("\"reset/r101/2026-11-23T17:00:00Z\"").unwrap(),
            host: host.clone(),
            outcome: outcome.clone(),
            version: None,
        };
        record(at, entry)
    };
    let resets = [
        (1000, "tools.qcow2"),
        (9000, "ubuntu.qdiff"),
        (2000, "ubuntu.qcow2"),
    ];
    let resets = resets.map(|(at, file)| {
        let outcome = HostOutcome::applied_one(file.parse().unwrap(), None);
        note(at, &outcome)
    });
    let mut journal: Journal = resets.iter().collect();
    let check = |journal: &Journal| {
        let memory = journal.host(&host);
        let state = |until| {
            let until = Timestamp::from_second(until).unwrap();
            let state = memory.state(&"ubuntu".parse().unwrap(), until);
            state.map(|(attempt, file, _)| format!("{file} {}", attempt.at.as_second()))
        };
        assert_eq!(state(10_000).as_deref(), Some("ubuntu.qcow2 2000"));
        assert_eq!(state(2000).as_deref(), Some("ubuntu.qcow2 2000"));
        assert_eq!(state(1999), None);
        let all = memory.applied().map(|attempt| attempt.at.as_second());
        assert_eq!(all.collect::<Vec<_>>(), [2000, 9000, 1000]);
        let files: Vec<&str> = memory.files().map(FileName::as_str).collect();
        assert_eq!(files, ["tools.qcow2", "ubuntu.qcow2"]);
    };
    check(&journal);
    // However many attempts came to nothing since.
    let failed = HostOutcome::Unreachable { why: String::new() };
    for at in 0..20 {
        journal.fold(&note(3000 + at, &failed));
    }
    check(&journal);
}

#[test]
fn a_record_of_an_older_version_is_read() {
    let line = r#"{"at":"2026-11-23T18:00:00Z","pass":"2026-11-23T18:00:00Z","event":"host","step":"reset/r101/2026-11-23T17:00:00Z","host":"r101-pc01","outcome":{"applied":{"file":"ubuntu.qcow2","stamp":null}}}"#;
    let record: Record = serde_json::from_str(line).unwrap();
    assert!(matches!(record.entry, Entry::Host { version: None, .. }));
    assert_eq!(serde_json::to_string(&record).unwrap(), line);
}

#[test]
fn each_image_of_a_run_is_remembered() {
    let line = r#"{"at":"2026-11-23T18:00:00Z","pass":"2026-11-23T18:00:00Z","event":"host","step":"reset/r101/2026-11-23T17:00:00Z","host":"r101-pc01","outcome":{"applied":{"file":"win11.qcow2","stamp":"202611011930","before":[{"file":"ubuntu.qdiff","stamp":"202611021930"}]}}}"#;
    let record: Record = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&record).unwrap(), line);
    let journal: Journal = [&record].into_iter().collect();
    let host = "r101-pc01".parse().unwrap();
    for (file, stamp) in [
        ("win11.qcow2", "202611011930"),
        ("ubuntu.qdiff", "202611021930"),
    ] {
        let runs = journal.host(&host).runs(&file.parse().unwrap()).unwrap();
        assert_eq!((&runs.stamp, runs.since), (&stamp.parse().ok(), record.at));
    }
    let said = journal
        .host(&host)
        .attempts()
        .last()
        .unwrap()
        .outcome
        .to_string();
    assert_eq!(
        said,
        "applied ubuntu.qdiff of 202611021930 and win11.qcow2 of 202611011930"
    );
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
        version: None,
    };
    let (file, why) = ("u.qcow2".parse().unwrap(), String::new());
    let unreachable = HostOutcome::Unreachable { why: why.clone() };
    let records = [
        record(100, begun),
        record(200, outcome("pc2", HostOutcome::applied_one(file, None))),
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
    let line =
        r#"{"at":"2026-11-23T18:00:00Z","pass":"2026-11-23T18:00:00Z","event":"moon_phase","x":1}"#;
    assert_eq!(
        serde_json::from_str::<Record>(line).unwrap().entry,
        Entry::Unknown
    );
}
