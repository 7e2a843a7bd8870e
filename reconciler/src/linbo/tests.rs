#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::panic::catch_unwind;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;

#[test]
fn lines_are_numbered_whatever_ends_them() {
    let read = |text: &'static [u8]| {
        lines(text)
            .map(|(n, line)| format!("{n}{line}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(read(b""), [""; 0]);
    assert_eq!(read(b"\n"), ["1"]);
    assert_eq!(read(b"a\r\n\nb"), ["1a", "2", "3b"]);
    assert_eq!(read(b"\xffa\n"), ["1\u{fffd}a"]);
}

#[test]
fn digits_that_are_no_time_are_none() {
    assert_eq!(
        civil("202611221947").unwrap().to_string(),
        "2026-11-22T19:47:00"
    );
    for digits in [
        "",
        "202613221947",
        "202602301947",
        "20261122194",
        "2026112219470",
        "+02611221947",
        "2026112é194",
    ] {
        assert_eq!(civil(digits), None, "{digits}");
    }
}

const SAMPLES: [&[u8]; 6] = [
    b"r201;r201-pc01;ubuntu;52:54:00:aa:00:01;10.0.201.1;;;;classroom-studentcomputer;;1;;;;\n",
    include_bytes!("golden/start.conf.dual-lab"),
    b"[\"ubuntu.qdiff\" Info File]\ntimestamp=\"202611222004\"\nimage=\"ubuntu.qdiff\"\nimagesize=\"3997696\"\n",
    b"202601152135 applied: ubuntu.qdiff \"202601101930\"\n",
    b"### 20261122-194737 linbo_wrapper sync:1 ###\r\n 10%\r100%\r\n202611221947 applied: ubuntu.qdiff \"202611222004\"\r\n\
      ### 20261122-194742 linbo_wrapper halt ###\r\nMounting \x1b[31mx failed!\r\r\n",
    b"### linbo-remote (1) start: x\nSending command(s) to:\n pc01 ... Started with PID 1\n2. Log see x\n pc02 ... Not online, host skipped.\n",
];

/// xorshift64*: the same mutations on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % bound.max(1)
    }
}

fn mutated(dice: &mut Dice) -> Vec<u8> {
    const BYTES: &[u8] = b"\0\r\n\x1b[];:=\"'#$ .-\xff\xc3\x80019aA/";
    let mut text = SAMPLES[dice.below(SAMPLES.len())].to_vec();
    for _ in 0..=dice.below(8) {
        let (at, to) = (dice.below(text.len()), dice.below(text.len()));
        let byte = BYTES[dice.below(BYTES.len())];
        match dice.below(6) {
            0 if !text.is_empty() => text[at] = byte,
            1 => text.insert(at, byte),
            2 => text.truncate(at.max(1)),
            3 => drop(text.drain(at.min(to)..at.max(to))),
            4 => text.extend_from_within(at.min(to)..at.max(to)),
            _ => text.extend_from_slice(SAMPLES[dice.below(SAMPLES.len())]),
        }
        text.truncate(4096);
    }
    text
}

#[track_caller]
fn never_panics(seed: u64, parser: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let mut dice = Dice(seed);
    for round in 0..1500 {
        let text = mutated(&mut dice);
        let done = catch_unwind(|| parser(&text));
        assert!(
            done.is_ok(),
            "round {round}: {:?}",
            String::from_utf8_lossy(&text)
        );
    }
}

#[test]
fn devices_never_panic_and_count_every_row() {
    never_panics(1, |text| {
        let devices = devices::Devices::parse(text);
        let rows = lines(text)
            .filter(|(_, row)| !row.trim().is_empty() && !row.starts_with('#'))
            .count();
        let mut told: Vec<usize> = devices
            .problems()
            .iter()
            .map(|problem| problem.line)
            .collect();
        told.dedup();
        assert_eq!(devices.rows().len() + told.len(), rows);
        assert_eq!(devices::edit(text, &devices::Edits::new()), text);
    });
}

#[test]
fn start_conf_never_panics() {
    never_panics(2, |text| {
        let conf = start_conf::StartConf::parse(text);
        assert!(conf.operating_systems().count() == conf.os.len());
    });
}

#[test]
fn image_info_never_panics_and_reads_what_it_writes() {
    never_panics(3, |text| {
        let mut record = image_info::ImageRecord::parse(text);
        record.problems.clear();
        if record
            .partition
            .as_ref()
            .is_none_or(|partition| !partition.contains(['"', '\r', '\0']))
        {
            assert_eq!(
                image_info::ImageRecord::parse(record.render().as_bytes()),
                record
            );
        }
    });
}

#[test]
fn status_never_panics() {
    never_panics(4, |text| {
        drop(status::HostReport::parse(text));
    });
}

#[test]
fn logs_never_panic_and_hold_no_control_character() {
    never_panics(5, |text| {
        let log = log::SessionLog::parse(text);
        let shown = log
            .tail(9)
            .into_iter()
            .chain(log.failures.into_iter().map(|f| f.line));
        assert!(
            shown
                .into_iter()
                .all(|line| !line.chars().any(char::is_control))
        );
    });
}

#[test]
fn launches_never_panic() {
    never_panics(6, |text| {
        drop(remote::Launches::parse(text));
        remote::sessions(text)
            .iter()
            .for_each(|name| drop(remote::busy_host(name)));
    });
}

#[test]
fn verdicts_never_panic_and_never_trust_silence() {
    never_panics(7, |text| {
        for exit in [None, Some(0), Some(255)] {
            let outcome = verdict::judge(&verdict::Evidence {
                exit,
                output: text,
                status: status::HostReport::parse(text).ok(),
                started: Timestamp::UNIX_EPOCH,
                ended: Timestamp::MAX,
                zone: &TimeZone::UTC,
                expected: None,
            });
            let applied = matches!(outcome, verdict::HostOutcome::Applied { .. });
            let words: String = String::from_utf8_lossy(text)
                .chars()
                .filter(|c| !c.is_control())
                .collect();
            assert!(!applied || words.contains("applied: "));
        }
    });
}

#[test]
fn manifests_never_panic() {
    never_panics(8, |text| {
        drop(crate::manifest::Manifest::parse(text));
    });
}
