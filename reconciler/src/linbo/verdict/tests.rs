#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use jiff::civil::date;

use super::super::log::tests::{GRUB_FAILED, HALTED};
use super::*;

const SYNCED: &str = "### 20261122-194737 linbo_wrapper sync:1 ###\nCommand     : sync\n\
    202611221947 applied: ubuntu.qdiff \"202611222004\"\nRequesting upload of /tmp/linbo.log ...\n";

#[derive(Clone, Copy)]
struct Case {
    exit: Option<i32>,
    output: &'static str,
    status: &'static str,
    expected: &'static str,
}

const NOTHING: Case = Case {
    exit: Some(0),
    output: "Command     : sync\n",
    status: "",
    expected: "",
};

fn judged(case: Case) -> HostOutcome {
    judged_by(case.output, case)
}

/// The run began at 19:47:36 and was judged at 19:50, in UTC.
fn judged_by(output: &str, case: Case) -> HostOutcome {
    let at = |minute, second| {
        date(2026, 11, 22)
            .at(19, minute, second, 0)
            .to_zoned(TimeZone::UTC)
            .unwrap()
            .timestamp()
    };
    judge(&Evidence {
        exit: case.exit,
        output: output.as_bytes(),
        status: HostReport::parse(case.status.as_bytes()).ok(),
        started: at(47, 36),
        ended: at(50, 0),
        zone: &TimeZone::UTC,
        expected: case
            .expected
            .split_once(' ')
            .map(|(file, stamp)| (file.parse().unwrap(), stamp.parse().unwrap())),
    })
}

#[track_caller]
fn check(case: Case, wanted: &str) {
    let outcome = judged(case);
    let said = match &outcome {
        HostOutcome::Applied { file, stamp, .. } => {
            format!(
                "applied {file} {}",
                stamp.as_ref().map_or("-", ImageStamp::as_str)
            )
        }
        HostOutcome::Failed { why, .. } => format!("failed: {why}"),
        HostOutcome::InUse { why } => format!("in use: {why}"),
        HostOutcome::Unreachable { why } => format!("unreachable: {why}"),
        HostOutcome::Unknown { why, .. } => format!("unknown: {why}"),
    };
    assert!(said.starts_with(wanted), "{said}");
    let json = serde_json::to_string(&outcome).unwrap();
    assert_eq!(serde_json::from_str::<HostOutcome>(&json).unwrap(), outcome);
}

#[test]
fn applied_needs_the_word_of_the_host() {
    const APPLIED: &str = "applied ubuntu.qdiff 202611222004";
    check(
        Case {
            output: SYNCED,
            ..NOTHING
        },
        APPLIED,
    );
    check(
        Case {
            output: SYNCED,
            expected: "ubuntu.qdiff 202611222004",
            ..NOTHING
        },
        APPLIED,
    );
    check(
        Case {
            status: "202611221948 applied: ubuntu.qdiff \"202611222004\"\n",
            ..NOTHING
        },
        APPLIED,
    );
    check(
        Case {
            status: "202611221945 applied: ubuntu.qdiff \"202611222004\"\n",
            ..NOTHING
        },
        "unknown: LINBO returned 0",
    );
    check(
        Case {
            status: "202611221946 applied: ubuntu.qdiff \"202611222004\"\n",
            ..NOTHING
        },
        APPLIED,
    );
    check(
        Case {
            status: "202611221946 applied: ubuntu.qcow2 \n",
            ..NOTHING
        },
        "applied ubuntu.qcow2 -",
    );
    check(NOTHING, "unknown: LINBO returned 0");
    check(
        Case {
            output: "",
            ..NOTHING
        },
        "unknown: LINBO returned 0",
    );
}

#[test]
fn an_old_future_torn_or_other_status_proves_nothing() {
    for status in [
        "202611220800 applied: ubuntu.qdiff \"202611222004\"\n",
        "202611222300 applied: ubuntu.qdiff \"202611222004\"\n",
        "202611221948 created: ubuntu.qdiff 202611222004\n",
        "202611221948 applied: win11.qcow2 \"202611222004\"\n",
        "202611221948 applied: ubuntu.qdiff \"2026112",
        "garbage",
    ] {
        check(
            Case {
                status,
                expected: "ubuntu.qdiff 202611222004",
                ..NOTHING
            },
            "unknown: LINBO returned 0",
        );
    }
}

#[test]
fn a_failed_mount_with_exit_zero_is_a_failure() {
    check(
        Case {
            output: "Mounting /dev/nbd0 to /image failed!\n202611221947 applied: ubuntu.qdiff \"202611222004\"\n",
            ..NOTHING
        },
        "failed: the image could not be mounted on the host",
    );
}

#[test]
fn a_failure_is_told_by_its_cause_with_the_raw_lines() {
    let output = "Error!\r\nwin11.qcow2 is bigger than partition /dev/sda3\r\n\x1b[31mCannot mount /dev/sda3!\x1b[0m\r\nError!\r\nError!\r\nhalf way\r\n";
    let outcome = judged(Case {
        exit: Some(1),
        output,
        ..NOTHING
    });
    let HostOutcome::Failed { why, evidence, .. } = &outcome else {
        panic!("it failed: {outcome:?}")
    };
    assert_eq!(why, "the image is bigger than its partition on the host");
    assert_eq!(
        *evidence,
        [
            "Error!",
            "win11.qcow2 is bigger than partition /dev/sda3",
            "Cannot mount /dev/sda3!"
        ]
    );
    assert_eq!(Cause::of(&outcome), Some(Cause::ImageTooBig));
    let many: String = (0..100)
        .map(|n| format!("Cannot mount /dev/sda{n}\n"))
        .collect();
    let HostOutcome::Failed { evidence, .. } = judged_by(&many, NOTHING) else {
        panic!("it failed")
    };
    assert_eq!(evidence.len(), TELLING);
}

#[test]
fn a_boot_loader_warning_is_none() {
    let output = "202611221947 applied: ubuntu.qdiff \"202611222004\"\nFailed to write EFI boot configuration\n";
    check(Case { output, ..NOTHING }, "applied ubuntu.qdiff");
    // But when the command itself says that it failed, it did.
    check(
        Case {
            exit: Some(1),
            output: GRUB_FAILED,
            ..NOTHING
        },
        "failed: the boot loader of the host could not be written (exit status 1)",
    );
    let HostOutcome::Failed { evidence, .. } = judged(Case {
        exit: Some(1),
        output: GRUB_FAILED,
        ..NOTHING
    }) else {
        panic!("it failed")
    };
    assert!(
        evidence.iter().any(|line| line == "failed!"),
        "{evidence:?}"
    );
}

#[test]
fn another_state_than_the_wanted_is_not_applied() {
    check(
        Case {
            output: SYNCED,
            expected: "ubuntu.qdiff 202612010000",
            ..NOTHING
        },
        "failed: the host applied ubuntu.qdiff of 202611222004, but that of 202612010000 was wanted",
    );
    check(
        Case {
            output: SYNCED,
            expected: "ubuntu.qcow2 202611222004",
            ..NOTHING
        },
        "failed: the host applied ubuntu.qdiff, but ubuntu.qcow2 was wanted",
    );
    check(
        Case {
            output: "202611221947 applied: ubuntu.qdiff \n",
            expected: "ubuntu.qdiff 202611222004",
            ..NOTHING
        },
        "unknown: the host applied ubuntu.qdiff, but did not say",
    );
    check(
        Case {
            output: SYNCED,
            expected: "win11.qcow2 202611222004",
            ..NOTHING
        },
        "unknown: LINBO returned 0",
    );
}

#[test]
fn ssh_that_never_arrived_is_unreachable_and_one_that_broke_is_unknown() {
    let broken = |output| Case {
        exit: Some(255),
        output,
        ..NOTHING
    };
    check(broken(""), "unreachable: SSH could not reach");
    check(
        broken("ssh: connect to host pc01 port 2222: Connection refused\r\n"),
        "unreachable: ssh: connect to host pc01",
    );
    check(
        broken(
            "Warning: Permanently added 'pc01' (RSA) to the list of known hosts.\nroot@pc01: Permission denied (publickey).\n",
        ),
        "unreachable: root@pc01: Permission denied",
    );
    check(
        broken(
            "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 2222 timed out\n",
        ),
        "unreachable",
    );
    check(
        broken("client_loop: send disconnect: Broken pipe\n"),
        "unknown: the connection broke",
    );
    check(
        broken(
            "### 20261122-194737 linbo_wrapper sync:1 ###\nTimeout, server pc01 not responding.\n",
        ),
        "unknown: the connection broke",
    );
    check(
        broken(SYNCED),
        "unknown: the connection broke while the command ran, although",
    );
    check(
        broken("Cannot mount /dev/sda2\n"),
        "failed: the image could not be written to the partition",
    );
    check(broken(HALTED), "applied ubuntu.qdiff");
}

#[test]
fn without_an_exit_status_the_next_command_has_to_prove_it() {
    let timeout = |output| Case {
        exit: None,
        output,
        ..NOTHING
    };
    check(timeout(""), "unknown: nothing shows");
    check(
        timeout(SYNCED),
        "unknown: nothing shows that the command came to its end, although",
    );
    check(timeout(GRUB_FAILED), "unknown");
    check(timeout(HALTED), "applied ubuntu.qdiff 202611222004");
    // The log of yesterday, as the host was skipped.
    check(
        timeout(
            "### 20261121-194737 linbo_wrapper sync:1 ###\n202611211947 applied: ubuntu.qdiff \"202611222004\"\n\
        ### 20261121-194742 linbo_wrapper halt ###\n",
        ),
        "unknown: nothing shows",
    );
    let status = "202611221948 applied: ubuntu.qdiff \"202611222004\"\n";
    check(
        Case {
            status,
            ..timeout("Command     : sync\n")
        },
        "unknown: nothing shows",
    );
}

#[test]
fn other_exit_statuses_are_failures() {
    check(
        Case {
            exit: Some(2),
            output: "",
            ..NOTHING
        },
        "failed: start.conf on the host has no operating system of this number (exit status 2)",
    );
    check(
        Case {
            exit: Some(1),
            output: SYNCED,
            ..NOTHING
        },
        "failed: LINBO's command failed and did not say why (exit status 1)",
    );
    check(
        Case {
            exit: Some(-1),
            output: "",
            ..NOTHING
        },
        "failed",
    );
    check(
        Case {
            exit: Some(127),
            output: "",
            ..NOTHING
        },
        "failed",
    );
}

#[test]
fn the_hour_that_exists_twice_proves_nothing() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let started = date(2026, 10, 25)
        .at(0, 30, 0, 0)
        .to_zoned(TimeZone::UTC)
        .unwrap()
        .timestamp();
    let report = |text: &str| HostReport::parse(text.as_bytes()).ok();
    let evidence = |status| Evidence {
        exit: Some(0),
        output: b"",
        status,
        started,
        ended: started + SignedDuration::from_mins(90),
        zone: &zone,
        expected: None,
    };
    let twice = evidence(report("202610250231 applied: ubuntu.qcow2 \n"));
    assert!(matches!(judge(&twice), HostOutcome::Unknown { .. }));
    let once = evidence(report("202610250301 applied: ubuntu.qcow2 \n"));
    assert!(matches!(judge(&once), HostOutcome::Applied { .. }));
}

/// LINBO says `applied:` of an image that it could not mount, and its status file holds that line alone.
#[test]
fn a_log_takes_back_what_its_host_reported() {
    let line = "202611231805 applied: ubuntu.qdiff \"202611011930\"\n";
    let report = HostReport::parse(line.as_bytes()).unwrap();
    let failed = "Mounting /dev/nbd0 failed!\n";
    let earlier = "202611181805 applied: ubuntu.qdiff \"202611011930\"\n";
    for (log, is_belied) in [
        (format!("{failed}{line}"), true),
        // It broke off.
        (failed.to_owned(), true),
        (format!("{failed}{}", &line[..20]), true),
        // It is of another run.
        (format!("{failed}{earlier}"), false),
        (line.to_owned(), false),
        (String::new(), false),
    ] {
        assert_eq!(belies(log.as_bytes(), &report), is_belied, "{log}");
    }
}

/// A host with two systems of which one failed: what is certain of the other is kept, whichever came first.
#[test]
fn one_image_that_failed_takes_no_other_along() {
    let began = |minute: u32, command: &str| {
        format!("### 20261122-19{minute}00 linbo_wrapper {command} ###\r\nCommand     : sync\r\n")
    };
    let ubuntu = "202611221948 applied: ubuntu.qdiff \"202611222004\"\r\n";
    let win = "202611221949 applied: win11.qcow2 \"202610010800\"\r\n";
    let failed = "Mounting /dev/nbd0 failed!\r\n";
    let (first, second) = (began(48, "sync:1"), began(49, "new:2"));
    for (exit, output, wanted) in [
        (
            Some(0),
            format!("{first}{ubuntu}{second}{win}"),
            "applied: ubuntu.qdiff, win11.qcow2",
        ),
        (
            Some(0),
            format!("{first}{ubuntu}{second}{failed}{win}"),
            "failed: ubuntu.qdiff",
        ),
        (
            Some(0),
            format!("{first}{failed}{ubuntu}{second}{win}"),
            "failed: win11.qcow2",
        ),
        (
            Some(1),
            format!("{first}{ubuntu}{second}{failed}"),
            "failed: ubuntu.qdiff",
        ),
        (
            Some(1),
            format!("{first}{ubuntu}{second}"),
            "failed: ubuntu.qdiff",
        ),
        // It broke off in the second one, or in the first.
        (
            None,
            format!("{first}{ubuntu}{second}{win}"),
            "unknown: ubuntu.qdiff",
        ),
        (
            Some(255),
            format!("{first}{ubuntu}{second}"),
            "unknown: ubuntu.qdiff",
        ),
        (None, format!("{first}{ubuntu}"), "unknown: "),
        // What came before all commands may concern each of them.
        (
            Some(0),
            format!("{failed}{first}{ubuntu}{second}{win}"),
            "failed: ",
        ),
        // Another state than was wanted.
        (
            Some(0),
            format!(
                "{first}{ubuntu}{second}{}",
                win.replace("2026100", "2026090")
            ),
            "failed: ubuntu.qdiff",
        ),
    ] {
        let at = |minute| date(2026, 11, 22).at(19, minute, 0, 0);
        let at = |minute| at(minute).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let images = [
            ("ubuntu.qdiff", "202611222004"),
            ("win11.qcow2", "202610010800"),
        ];
        let outcomes = images.map(|(file, stamp)| {
            judge_one_of_several(&Evidence {
                exit,
                output: output.as_bytes(),
                status: None,
                started: at(47),
                ended: at(50),
                zone: &TimeZone::UTC,
                expected: Some((file.parse().unwrap(), stamp.parse().unwrap())),
            })
        });
        let outcome = HostOutcome::of_images(outcomes).unwrap();
        let kind = match &outcome {
            HostOutcome::Applied { .. } => "applied",
            HostOutcome::Failed { .. } => "failed",
            HostOutcome::Unknown { .. } => "unknown",
            other => panic!("{other:?}"),
        };
        let files: Vec<&str> = outcome.applied().map(|(file, _)| file.as_str()).collect();
        assert_eq!(
            format!("{kind}: {}", files.join(", ")),
            wanted,
            "{exit:?} {output}"
        );
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(serde_json::from_str::<HostOutcome>(&json).unwrap(), outcome);
    }
}
