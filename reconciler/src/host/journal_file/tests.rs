#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use super::*;
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Action, Entry, Journal, StepResult};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn record(second: i64, entry: Entry) -> Record {
    Record {
        at: Timestamp::from_second(second).unwrap(),
        pass: NOW,
        entry,
    }
}

fn some() -> Vec<Record> {
    let step = Action::ImportDevices {
        classes: Vec::new(),
        hosts: Default::default(),
    }
    .id();
    let outcome = HostOutcome::Failed {
        why: "größer als \"alles\"\n".into(),
        evidence: vec!["\u{0}\r".into()],
        restored: Vec::new(),
    };
    let result = StepResult::Failed {
        why: "disk full".into(),
        evidence: vec!["a".into(), "b".into()],
    };
    let opened = [("host/pc01".to_owned(), "it failed".to_owned())].into();
    vec![
        record(
            1,
            Entry::Commit {
                id: "0f".repeat(20),
                subject: "rooms: r101".into(),
            },
        ),
        record(
            2,
            Entry::Started {
                step: step.clone(),
                title: "import devices".into(),
                hosts: Vec::new(),
            },
        ),
        record(
            3,
            Entry::Host {
                step: step.clone(),
                host: "pc01".parse().unwrap(),
                outcome,
                version: None,
            },
        ),
        record(4, Entry::Finished { step, result }),
        record(
            5,
            Entry::Told {
                opened,
                closed: vec!["x".into()],
            },
        ),
        record(
            6,
            Entry::PassFinished {
                exit: 1,
                summary: "1 failed".into(),
            },
        ),
    ]
}

fn lines(records: &[Record]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|record| [serde_json::to_vec(record).unwrap(), b"\n".to_vec()].concat())
        .collect()
}

fn state(bytes: &[u8]) -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    fs::write(state.path().join(NAME), bytes).unwrap();
    state
}

fn names(state: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn bytes(state: &Path) -> Vec<u8> {
    fs::read(state.join(NAME)).unwrap()
}

#[test]
fn what_is_appended_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    assert_eq!(JournalFile::read(&state).unwrap(), (vec![], vec![]));
    assert!(!state.exists(), "reading makes nothing");
    let (journal, before, warnings) = JournalFile::open(&state, NOW).unwrap();
    assert_eq!((before, warnings), (vec![], vec![]));
    for record in some() {
        journal.append(&record).unwrap();
    }
    assert_eq!(
        JournalFile::read(&state).unwrap(),
        (some(), vec![]),
        "while it is open"
    );
    drop(journal);
    let (_, after, warnings) = JournalFile::open(&state, NOW).unwrap();
    assert_eq!((after, warnings), (some(), vec![]));
    assert_eq!(bytes(&state), lines(&some()));
}

#[test]
fn a_torn_last_line_is_cut_wherever_it_was_torn() {
    let all = some();
    for last in 0..all.len() {
        let (whole, line) = (lines(&all[..last]), lines(&all[last..=last]));
        for cut in 0..line.len() {
            let torn = [&whole, &line[..cut]].concat();
            let state = state(&torn);
            // Without its line end alone it is whole.
            let is_whole = cut == line.len() - 1;
            let wanted = &all[..last + usize::from(is_whole)];
            let warned = usize::from(cut > 0 && !is_whole);
            let (seen, warnings) = JournalFile::read(state.path()).unwrap();
            assert_eq!(
                (seen.as_slice(), warnings.len()),
                (wanted, warned),
                "read, {last}:{cut}"
            );
            assert_eq!(bytes(state.path()), torn, "reading changes nothing");
            let (journal, seen, warnings) = JournalFile::open(state.path(), NOW).unwrap();
            assert_eq!(
                (seen.as_slice(), warnings.len()),
                (wanted, warned),
                "open, {last}:{cut}"
            );
            journal.append(&all[0]).unwrap();
            let wanted = lines(&[wanted, &all[..1]].concat());
            assert_eq!(bytes(state.path()), wanted, "{last}:{cut}");
            assert_eq!(names(state.path()), [NAME]);
        }
    }
}

#[test]
fn corrupt_lines_are_set_aside_and_the_others_stay() {
    let all = some();
    let nul = vec![0; 4096];
    for bad in [
        &b"garbage"[..],
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b"{\"at\":1}",
        &nul,
        b"",
    ] {
        let corrupt = [&lines(&all[..3]), bad, b"\n", &lines(&all[3..])].concat();
        let state = state(&corrupt);
        let (seen, warnings) = JournalFile::read(state.path()).unwrap();
        assert_eq!((&seen, warnings.len()), (&all, 1));
        assert_eq!(
            (bytes(state.path()), names(state.path()).len()),
            (corrupt.clone(), 1)
        );
        let (journal, seen, warnings) = JournalFile::open(state.path(), NOW).unwrap();
        assert_eq!(seen, all);
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert!(
            warning.contains("1 of 7 lines") && warning.contains("line 4 "),
            "{warning}"
        );
        let aside = "journal.jsonl.corrupt-19700101T000000Z";
        assert_eq!(names(state.path()), [NAME, aside]);
        assert_eq!(fs::read(state.path().join(aside)).unwrap(), corrupt);
        journal.append(&all[0]).unwrap();
        assert_eq!(bytes(state.path()), lines(&[&all[..], &all[..1]].concat()));
        assert_eq!(
            JournalFile::open(state.path(), NOW).unwrap().2,
            Vec::<String>::new()
        );
    }
}

#[test]
fn what_is_no_file_is_set_aside() {
    type Make = fn(&Path);
    let makes: [Make; 2] = [
        |path| fs::create_dir(path).unwrap(),
        |path| std::os::unix::fs::symlink("nowhere/at/all", path).unwrap(),
    ];
    for make in makes {
        let folder = tempfile::tempdir().unwrap();
        make(&folder.path().join(NAME));
        let (seen, warnings) = JournalFile::read(folder.path()).unwrap();
        assert_eq!((seen.len(), warnings.len()), (0, 1));
        let (journal, seen, warnings) = JournalFile::open(folder.path(), NOW).unwrap();
        assert_eq!((seen.len(), warnings.len()), (0, 1));
        journal.append(&some()[0]).unwrap();
        assert_eq!(bytes(folder.path()), lines(&some()[..1]));
        assert_eq!(names(folder.path()).len(), 2);
    }
}

#[test]
fn a_second_corruption_in_the_same_second_loses_nothing() {
    let state = state(b"one\n");
    drop(JournalFile::open(state.path(), NOW).unwrap());
    fs::write(state.path().join(NAME), b"two\n").unwrap();
    drop(JournalFile::open(state.path(), NOW).unwrap());
    let aside =
        |name: &str| fs::read(state.path().join(format!("journal.jsonl.corrupt-{name}"))).unwrap();
    assert_eq!(
        [aside("19700101T000000Z"), aside("19700101T000000Z-2")],
        [b"one\n", b"two\n"]
    );
}

#[test]
fn events_of_a_newer_version_are_kept_byte_for_byte() {
    let times = r#""at":"2026-11-23T18:00:00Z","pass":"2026-11-23T18:00:00Z""#;
    let text = format!(
        "{{{times},\"event\":\"moon_phase\",\"x\":[1]}}\n{{{times}, \"event\":\"started\",\"what\":1}}\n"
    );
    let with = [text.as_bytes(), b"bad\n", &lines(&some())].concat();
    let state = state(&with);
    let (_, records, _) = JournalFile::open(state.path(), NOW).unwrap();
    assert_eq!(
        records
            .iter()
            .filter(|record| record.entry == Entry::Unknown)
            .count(),
        2
    );
    assert_eq!(
        bytes(state.path()),
        [text.as_bytes(), &lines(&some())].concat()
    );
}

#[test]
fn what_a_failed_write_left_is_cut_before_the_next() {
    let state = state(&lines(&some()));
    let (journal, ..) = JournalFile::open(state.path(), NOW).unwrap();
    {
        let mut end = journal.end.lock().unwrap();
        end.file.write_all(b"{\"at\":\"20").unwrap();
        end.torn = true;
    }
    journal.append(&some()[0]).unwrap();
    assert_eq!(
        bytes(state.path()),
        lines(&[&some()[..], &some()[..1]].concat())
    );
    // A disk that takes nothing, here a file that is not open for writing.
    journal.end.lock().unwrap().file = File::open(state.path().join(NAME)).unwrap();
    let error = journal.append(&some()[1]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot write to the journal /"),
        "{error}"
    );
    assert!(journal.append(&some()[1]).is_err());
    assert_eq!(JournalFile::read(state.path()).unwrap().0.len(), 7);
}

#[test]
fn a_large_journal_loses_what_is_old() {
    let old = record(
        0,
        Entry::PassFinished {
            exit: 0,
            summary: "x".repeat(1000),
        },
    );
    let mut records = vec![old; 9000];
    records.extend(some());
    let day = 24 * 3600;
    records.push(record(100 * day, Entry::PassStarted));
    let state = state(&lines(&records));
    let before: Journal = records.iter().collect();
    let (journal, seen, warnings) = JournalFile::open(state.path(), NOW).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    // Commit, Host and Told are needed, the failed step is too old to matter.
    assert_eq!(
        seen,
        [
            &records[9000..9001],
            &records[9002..9003],
            &records[9004..9005],
            &records[9006..]
        ]
        .concat()
    );
    assert_eq!(bytes(state.path()), lines(&seen));
    assert_eq!(seen.iter().collect::<Journal>().told(), before.told());
    journal.append(&some()[0]).unwrap();
    assert_eq!(JournalFile::read(state.path()).unwrap().0.len(), 5);
    assert_eq!(names(state.path()), [NAME]);
}
