#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::super::log::tests::{GRUB_FAILED, HALTED};
use super::*;

#[track_caller]
fn check(text: &str, wanted: Option<Cause>) {
    assert_eq!(Cause::recognise(text.lines()), wanted, "{text}");
}

#[test]
fn what_linbo_says_has_a_cause() {
    for (line, cause) in [
        (
            "ubuntu.qcow2 could not be downloaded!",
            Cause::DownloadFailed,
        ),
        (
            "ubuntu.qcow2.torrent could not be downloaded!",
            Cause::TorrentFailed,
        ),
        (
            "multicast.list not found, no multicast download possible.",
            Cause::NoMulticast,
        ),
        (
            "Failed to mount cache partition /dev/sda3!",
            Cause::CacheBroken,
        ),
        ("Error!", Cause::RestoreFailed),
        ("Cannot mount /dev/sda2!", Cause::RestoreFailed),
        ("Connection to /dev/nbd0 failed!", Cause::NotMountable),
        ("Mounting /dev/nbd0 to /image failed!", Cause::NotMountable),
        ("Image sync of ubuntu.qdiff failed!", Cause::RestoreFailed),
        ("Restore with ntfsclone failed!", Cause::RestoreFailed),
        ("Formatting of /dev/sda2 failed!", Cause::FormatFailed),
        (
            "win11.qcow2 is bigger than partition /dev/sda3",
            Cause::ImageTooBig,
        ),
        ("/dev/sda2 is not a block device", Cause::NoPartition),
        (
            "Failed to write EFI boot configuration",
            Cause::BootNotWritten,
        ),
        (
            "Failed to update linux EFI boot configuration",
            Cause::BootNotWritten,
        ),
        (
            "Installing GRUB in MBR/EFI of /dev/sda ... failed!",
            Cause::BootNotWritten,
        ),
        ("/dev/nbd0 is not connectable!", Cause::NotMountable),
        ("/dev/sda2 is not mountable", Cause::NotMountable),
        (
            "rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394)",
            Cause::DownloadFailed,
        ),
        ("@ERROR: max connections (4) reached", Cause::Refused),
        ("Failed to download linbofs64.md5!", Cause::LinboUpdate),
        ("Checksums differ", Cause::LinboUpdate),
        ("Linbo & grub update failed!", Cause::LinboUpdate),
        ("Aborted.", Cause::Aborted),
        ("Killing processes: 12 13", Cause::Aborted),
    ] {
        check(&format!("Syncing ...\n{line}\r\nDone."), Some(cause));
    }
}

#[test]
fn what_its_tools_say_has_a_cause() {
    for (line, cause) in [
        (
            "rsync: [receiver] write failed on \"/cache/ubuntu.qcow2\": No space left on device (28)",
            Cause::CacheFull,
        ),
        (
            "Failed to write into the file /cache/ubuntu.qcow2, cause: No space left on device",
            Cause::CacheFull,
        ),
        (
            "rsync: [receiver] write failed on \"/mnt/usr/lib/x.so\": No space left on device (28)",
            Cause::PartitionFull,
        ),
        (
            "rsync: [Receiver] failed to connect to 10.0.0.1 (10.0.0.1): Connection refused (111)",
            Cause::NoNetwork,
        ),
        (
            "rsync error: timeout waiting for daemon connection (code 35) at socket.c(278)",
            Cause::NoNetwork,
        ),
        (
            "e6de51|ERR |       0B/s|/cache/ubuntu.qcow2 (ERR):error occurred.",
            Cause::TorrentFailed,
        ),
    ] {
        check(line, Some(cause));
    }
}

#[test]
fn the_line_that_tells_most_decides_wherever_it_stands() {
    check(
        "Cannot mount /dev/sda2!\nwin11.qcow2 is bigger than partition /dev/sda2\nFailed.",
        Some(Cause::ImageTooBig),
    );
    check(
        "Failed to write EFI boot configuration\nMounting /dev/nbd0 failed!",
        Some(Cause::NotMountable),
    );
    check(
        "rsync: [Receiver] failed to connect to 10.0.0.1: No route to host (113)\n\
         rsync error: error in socket IO (code 10)\nubuntu.qcow2 could not be downloaded!",
        Some(Cause::NoNetwork),
    );
    check(GRUB_FAILED, Some(Cause::BootNotWritten));
}

#[test]
fn what_went_well_has_none() {
    check("", None);
    check("Mounting /dev/nbd0 to /image ... Ok!\nDone.", None);
    check("Trying to download ubuntu.reg ... not available.", None);
    // What the server's own SSH says behind a halt is not LINBO's.
    let linbo = HALTED.lines().filter(|line| !line.starts_with("ssh: "));
    assert_eq!(Cause::recognise(linbo), None);
    check(
        "Filling up partition with zeroes...\ndd: error writing '/mnt/zero.tmp': No space left on device",
        None,
    );
    let outcome = HostOutcome::applied_one("ubuntu.qcow2".parse().unwrap(), None);
    assert_eq!(Cause::of(&outcome), None);
}

#[test]
fn what_the_drivers_say_has_a_cause() {
    for (why, cause) in [
        (
            "it was woken, but LINBO did not answer within 5 minutes (SSH: ssh: connect to host pc01 port 2222: Connection timed out)",
            Cause::NoAnswer,
        ),
        (
            "it was woken, but LINBO was not online when linbo-remote asked",
            Cause::NoAnswer,
        ),
        (
            "runs an operating system (in use?); not touched",
            Cause::InUse,
        ),
        (
            "it was woken, but an operating system answers instead of LINBO; not touched",
            Cause::BootsSystem,
        ),
        (
            "it is off, and devices.csv has no MAC address to wake it by",
            Cause::NoMac,
        ),
        (
            "linbo-remote finds no valid MAC address of it in the domain",
            Cause::NoMac,
        ),
        (
            "it could not be woken: wakeonlan ended with 1: x",
            Cause::NotWoken,
        ),
        (
            "linbo-remote skips it: its PXE flag in devices.csv is neither 1 nor 2",
            Cause::NotForLinbo,
        ),
        (
            "ssh: connect to host pc01 port 2222: Connection refused",
            Cause::NotReachable,
        ),
        (
            "ssh: Could not resolve hostname pc01: Name or service not known",
            Cause::NameUnknown,
        ),
        (
            "root@pc01: Permission denied (publickey).",
            Cause::KeyRefused,
        ),
        ("SSH could not reach LINBO on the host", Cause::NotReachable),
    ] {
        let why = why.to_owned();
        assert_eq!(
            Cause::of(&HostOutcome::Unreachable { why: why.clone() }),
            Some(cause),
            "{why}"
        );
    }
    for (why, cause) in [
        ("`sync:1` was still running after 2 hours", Cause::Overdue),
        ("its session was still there after 2 hours", Cause::Overdue),
        (
            "the connection broke while the command ran",
            Cause::ConnectionLost,
        ),
        (
            "a command of an earlier pass still runs on it",
            Cause::Occupied,
        ),
        (
            "a session of linbo-remote is already there",
            Cause::Occupied,
        ),
        ("nothing was heard of it", Cause::NoReport),
    ] {
        let why = why.to_owned();
        assert_eq!(
            Cause::of(&unknown(why.clone(), &["Syncing ..."])),
            Some(cause),
            "{why}"
        );
    }
    let readout = "[#8d56a8 0B/12GiB(0%) CN:0 SD:0 DL:0B]";
    let hung = unknown(
        "`sync:1` was still running after 2 hours".to_owned(),
        &[readout],
    );
    assert_eq!(Cause::of(&hung), Some(Cause::NoSeed));
}

fn unknown(why: String, evidence: &[&str]) -> HostOutcome {
    let evidence = evidence.iter().map(ToString::to_string).collect();
    HostOutcome::Unknown {
        why,
        evidence,
        restored: Vec::new(),
    }
}

#[test]
fn records_of_every_age_are_understood() {
    let failed = |why: &str, evidence: &[&str]| {
        Cause::of(&HostOutcome::Failed {
            why: why.to_owned(),
            evidence: evidence.iter().map(ToString::to_string).collect(),
            restored: Vec::new(),
        })
    };
    assert_eq!(
        failed(
            "LINBO says: Cannot mount /dev/sda2!",
            &[
                "Cannot mount /dev/sda2!",
                "x.qcow2 is bigger than partition /dev/sda2"
            ]
        ),
        Some(Cause::ImageTooBig)
    );
    assert_eq!(
        failed(
            "exit status 2: start.conf on the host has no operating system of this number",
            &[]
        ),
        Some(Cause::NoSuchSystem)
    );
    assert_eq!(
        failed(
            "the host applied ubuntu.qcow2, but ubuntu.qdiff was wanted",
            &[]
        ),
        Some(Cause::OtherState)
    );
    assert_eq!(
        failed("LINBO's command ended with exit status 1", &[]),
        Some(Cause::CommandFailed)
    );
    assert_eq!(failed("the moon", &["is full"]), None);
    // Whatever a verdict names, it is known again, and nothing else is.
    for cause in Cause::ALL {
        assert_eq!(failed(cause.meaning(), &["Aborted."]), Some(cause));
        let others = Cause::ALL.iter().filter(|other| **other != cause);
        assert!(
            others
                .clone()
                .all(|other| !other.meaning().starts_with(cause.meaning())),
            "{cause:?}"
        );
        assert!(!cause.advice().is_empty() && !cause.advice().ends_with('.'));
    }
}
