#![expect(clippy::unwrap_used, reason = "a test may panic")]

use jiff::civil::date;

use super::*;

/// A sync whose boot loader could not be written, as `linbo-remote` recorded it.
pub(crate) const GRUB_FAILED: &str = "### 20261122-201111 gui_ctl disable ###\r\n\
Disabling linbo_gui.\r\n\
### 20261122-201115 linbo_wrapper sync:1 ###\r\n\
Command     : sync\r\n\
### 20261122-201117 linbo_download_image ubuntu.qcow2 ###\r\n\
Trying to download ubuntu.qcow2.postsync ... not available.\r\n\
Trying to download ubuntu.qcow2.info ... Ok.\r\n\
Done.\r\n\
202611222011 applied: ubuntu.qdiff \"202611222004\"\r\n\
Requesting upload of /tmp/image.status ...\r\n\
Installing GRUB in MBR/EFI of /dev/vdb ... /usr/bin/linbo_sync: line 963: grub-install: not found\r\n\
failed!\r\n\
Partition /dev/vdb1 - fstype ext4 --> label ubuntu ...  OK!\r\n\
### 20261122-201224 gui_ctl restore ###\r\n";

/// A sync that went well and was followed by a halt.
pub(crate) const HALTED: &str = "gui_ctl disable\r\n\
### 20261122-194737 linbo_wrapper sync:1 ###\r\n\
Command     : sync\r\n\
Syncing Ubuntu ...\r\n\
 10%\r 50%\r100%\r\n\
202611221947 applied: ubuntu.qdiff \"202611222004\"\r\n\
### 20261122-194742 linbo_wrapper halt ###\r\n\
Command     : halt\r\n\
Connection to pc01 closed by remote host.\r\r\n\
ssh: connect to host pc01 port 2222: Connection refused\r\r\n";

#[test]
fn each_failure_has_its_phase() {
    #[track_caller]
    fn check(line: &str, phase: Phase) {
        let found = scan(format!("Syncing ...\n{line}\r\nDone.\n").as_bytes());
        let phases: Vec<_> = found
            .iter()
            .map(|failure| (failure.phase, failure.number))
            .collect();
        assert_eq!(phases, [(phase, 2)], "{line}");
    }
    check("ubuntu.qcow2 could not be downloaded!", Phase::Download);
    check("There is no multicast download possible", Phase::Download);
    check("Failed to mount cache partition!", Phase::Download);
    check("Error!", Phase::Sync);
    check("Cannot mount /dev/sda2", Phase::Sync);
    check("Connection to /dev/nbd0 failed!", Phase::Sync);
    check("Mounting /dev/nbd0 to /image failed!", Phase::Sync);
    check("Image sync of ubuntu.qdiff failed!", Phase::Sync);
    check("Restore with ntfsclone failed!", Phase::Sync);
    check("Formatting of /dev/sda2 failed!", Phase::Sync);
    check(
        "ubuntu.qcow2 is bigger than partition /dev/sda2",
        Phase::Sync,
    );
    check("/dev/sda2 is not a block device", Phase::Sync);
    check("Failed to write EFI boot configuration", Phase::BootSetup);
    check(
        "Installing GRUB in MBR/EFI of /dev/sda ... failed!",
        Phase::BootSetup,
    );
    check(
        "Failed to update linux EFI boot configuration",
        Phase::BootSetup,
    );
    check("/dev/nbd0 is not connectable!", Phase::Create);
    check("/dev/sda2 is not mountable", Phase::Create);
    check("Creation of ubuntu.qcow2 failed", Phase::Create);
    check("Cannot prepare /dev/sda2", Phase::Create);
    check("Cannot get backingfile timestamp!", Phase::Create);
    check("Failed.", Phase::Create);
    check(
        "rsync error: some files could not be transferred (code 23)",
        Phase::Upload,
    );
    check("@ERROR: auth failed on module linbo-upload", Phase::Upload);
    check("ubuntu.qcow2 does not exist.", Phase::Upload);
    check("Failed to download linbofs64.md5!", Phase::Linbo);
    check("Checksums differ", Phase::Linbo);
    check("Linbo & grub update failed!", Phase::Linbo);
    check("Aborted.", Phase::Abort);
    check("Killing processes: 12 13", Phase::Abort);
    check("\u{1b}[31mError!\u{1b}[0m", Phase::Sync);
    check("Error!\r 10%\r100%", Phase::Sync);
    check("Mounting \0/dev/nbd0 failed!", Phase::Sync);
}

#[test]
fn what_went_well_is_no_failure() {
    for line in [
        "Successfully uploaded ubuntu.qcow2",
        "## Sun Nov 22 20:03:10 UTC 2026 : Creation of ubuntu.qcow2 finished.",
        "Trying to download ubuntu.reg ... not available.",
        "Error! in the middle of a sentence",
        "Connection to pc01 closed by remote host.",
        "Mounting /dev/nbd0 to /image ... Ok!",
    ] {
        assert_eq!(scan(line.as_bytes()), [], "{line}");
    }
    assert_eq!(scan(HALTED.as_bytes()), []);
}

#[test]
fn a_boot_loader_failure_on_two_lines_is_a_warning() {
    let found = scan(GRUB_FAILED.as_bytes());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].is_warning());
    assert_eq!(found[0].number, 11);
}

#[test]
fn the_header_of_the_next_command_proves_the_one_before() {
    let log = SessionLog::parse(HALTED.as_bytes());
    let commands: Vec<_> = log
        .commands
        .iter()
        .map(|c| (c.words.as_str(), c.proven))
        .collect();
    assert_eq!(commands, [("sync:1", true), ("halt", false)]);
    assert_eq!(log.commands[0].at, date(2026, 11, 22).at(19, 47, 37, 0));
    assert_eq!(log.applied.len(), 1);
    assert!(log.proves(&log.applied[0]));

    let log = SessionLog::parse(GRUB_FAILED.as_bytes());
    assert_eq!(log.commands.len(), 1);
    assert!(
        !log.proves(&log.applied[0]),
        "restoring the menu proves nothing"
    );
}

#[test]
fn a_torn_last_line_proves_nothing() {
    let end = HALTED.find("halt ###").unwrap() + "halt ###".len();
    let log = SessionLog::parse(&HALTED.as_bytes()[..end]);
    assert_eq!(log.commands.len(), 1);
    assert!(!log.proves(&log.applied[0]));
    assert!(
        SessionLog::parse(b"202611221947 applied: ubuntu.qdiff \"202611222004\"")
            .applied
            .is_empty()
    );
}

#[test]
fn a_tail_is_fit_for_a_mail() {
    assert_eq!(
        tail(HALTED.as_bytes(), 3),
        [
            "Command     : halt",
            "Connection to pc01 closed by remote host.",
            "ssh: connect to host pc01 port 2222: Connection refused",
        ]
    );
    let bars = b"hashing 163 pieces\n[          ][=>        ]\n 12%\n\x1b[2J\x1b[1;31mred\x07\x1b[0m\xff\n\0\nlast";
    assert_eq!(tail(bars, 9), ["hashing 163 pieces", "red\u{fffd}", "last"]);
    assert_eq!(tail(bars, 1), ["last"]);
    assert_eq!(tail(bars, 0), [""; 0]);
    assert_eq!(tail(b"", 5), [""; 0]);
    assert_eq!(
        tail("ä".repeat(5000).as_bytes(), 1)[0].chars().count(),
        LONGEST_LINE + 1
    );
}
