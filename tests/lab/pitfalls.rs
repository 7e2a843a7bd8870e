//! What others fell into, each once.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use harness::lab::{Fault, Lab, MailFault, Room, State, TransferFault, run_tool};

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says, small};

const NOTHING: &str = "Nothing to do: the server is as the state repo says.";

/// How often the boot configuration was imported, or tried to be, since the lab was built.
fn imports(school: &OneSchool) -> usize {
    let log = school
        .nord()
        .paths
        .root
        .join("var/log/linuxmuster/import-devices.log");
    fs::read_to_string(log)
        .unwrap()
        .matches("] linuxmuster-import-devices")
        .count()
        - 1
}

fn commands(school: &OneSchool) -> usize {
    school
        .lab
        .hosts()
        .map(|host| host.wrapped().unwrap().len())
        .sum()
}

fn releases_in_store(school: &OneSchool) -> usize {
    fs::read_dir(school.nord().paths.store().join("manifests"))
        .unwrap()
        .count()
}

#[test]
fn a_window_opens_after_the_commit_was_made_and_the_newest_commit_counts() {
    let mut school = OneSchool::ready(1);
    school.pass(MONDAY, 0);
    school.release("2026.11.1", &small(2));
    school.release("2026.11.2", &small(3));
    school.point("2026.11.1", "in the morning");
    let output = school.pass("2026-11-24 14:00:00", 0);
    says(&output, &["17:30", "1 waiting"]);
    school.point("2026.11.2", "in the afternoon");
    let output = school.pass("2026-11-24 17:31:00", 0);
    says(&output, &["download 2026.11.2", "activate 2026.11.2"]);
    assert_eq!(
        releases_in_store(&school),
        2,
        "the version of the morning was fetched, too"
    );
    school.assert_clean();
}

#[test]
fn a_retry_uses_the_newest_commit_and_does_not_wait_for_the_old_one() {
    let mut school = OneSchool::ready(1);
    school.release("2026.11.1", &small(2));
    let rsync = school.lab.central().rsync;
    rsync.set_fault(TransferFault::Refuse).unwrap();
    let output = school.pass(MONDAY, 1);
    says(&output, &["download 2026.10.1", "failed"]);
    rsync.set_fault(TransferFault::None).unwrap();
    school.point("2026.11.1", "a better version");
    let output = school.pass("2026-11-23 18:06:00", 0);
    says(&output, &["activate 2026.11.1: done"]);
    assert_eq!(school.applied(), [Some(small(2).stamp())]);
    assert_eq!(releases_in_store(&school), 1);
}

#[test]
fn waiting_doubles_with_failures_and_begins_anew_after_success() {
    let school = OneSchool::ready(1);
    let nord = school.nord();
    nord.install("ubuntu", &small(1)).unwrap();
    nord.set_fault("linuxmuster-import-devices", Some("dry-run-fails"))
        .unwrap();
    let mut tried = 0;
    for (at, tries) in [
        ("18:05", 1),
        ("18:09", 1),
        ("18:11", 2),
        ("18:20", 2),
        ("18:22", 3),
    ] {
        let output = school.pass(&format!("2026-11-23 {at}:00"), 1);
        assert_eq!(
            imports(&school),
            tries,
            "{at}\n{}{}",
            output.stderr,
            output.stdout
        );
        if tries > tried {
            says(&output, &["sophomorix-device finished with errors"]);
        }
        tried = tries;
    }
    nord.set_fault("linuxmuster-import-devices", None).unwrap();
    school.pass("2026-11-23 18:43:00", 0);
    assert_eq!(imports(&school), 4);
    nord.set_fault("linuxmuster-import-devices", Some("dry-run-fails"))
        .unwrap();
    school.edit(
        "hardware-classes/ubuntu-lab.yaml",
        "Ubuntu 24.04",
        "Ubuntu",
        "a shorter name",
    );
    school.pass("2026-11-23 19:00:00", 1);
    school.pass("2026-11-23 19:06:00", 1);
    assert_eq!(
        imports(&school),
        6,
        "the wait after one failure is that after many"
    );
}

#[test]
fn a_school_that_is_offline_blocks_no_other() {
    let mut school = OneSchool::built(
        Lab::builder()
            .school("bs-nord", [Room::new("r101", 1)])
            .school("bs-west", [Room::new("r201", 1)]),
    );
    school.release("2026.10.1", &small(1));
    school.point("2026.10.1", "the first version");
    school
        .lab
        .host("r201-pc01")
        .set_fault(Fault::Offline)
        .unwrap();
    let output = school.pass(MONDAY, 0);
    assert!(!output.stdout.contains("r201"), "{}", output.stdout);
    assert_eq!(school.applied(), [Some(small(1).stamp()), None]);
}

#[test]
fn a_host_that_never_wakes_blocks_no_other_and_nothing_waits_for_it_in_class() {
    for driver in ["wrapper", "linbo-remote"] {
        let school = OneSchool::ready(3);
        school.settings("", "reset: {", &format!("reset: {{ driver: {driver},"));
        let dark = school.lab.hosts().next().unwrap();
        dark.set_fault(Fault::Offline).unwrap();
        let output = school.nord().run(&[], MONDAY).unwrap();
        says(&output, &["r101-pc01 unreachable", "2 hosts applied"]);
        let stamp = Some(small(1).stamp());
        assert_eq!(school.applied(), [None, stamp.clone(), stamp], "{driver}");
        let onboot = fs::read_dir(school.nord().paths.linbocmd())
            .unwrap()
            .count();
        assert_eq!(onboot, 0, "{driver}: a command waits for the next boot");
        dark.clear_faults().unwrap();
        dark.boot().unwrap();
        assert!(dark.wrapped().unwrap().is_empty(), "{driver}");
        school.assert_clean();
    }
}

#[test]
fn a_host_whose_answer_cannot_be_read_is_left_alone() {
    let school = OneSchool::ready(1);
    let host = school.lab.hosts().next().unwrap();
    let address = school.lab.world().host(&host.name).unwrap().address;
    let listener = TcpListener::bind((address, school.lab.world().os_port)).unwrap();
    thread::spawn(move || {
        // Ends with the test's process.
        for client in listener.incoming().flatten() {
            let mut client = client;
            client.write_all(b"\0\xffHTTP/1.1 400\r\n").ok();
        }
    });
    let output = school.nord().run(&[], MONDAY).unwrap();
    says(
        &output,
        &["in use: its operating system refuses root's login"],
    );
    assert_eq!(host.magic_packets().unwrap(), 0);
    assert_eq!(commands(&school), 0);
}

#[test]
fn sessions_that_cannot_be_listed_stop_resets_and_say_so() {
    let school = OneSchool::ready(1);
    school.nord().install("ubuntu", &small(1)).unwrap();
    let tmux = school.lab.world().root.join("odd-tmux");
    fs::write(
        &tmux,
        "#!/bin/sh\necho 'protocol version mismatch' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&tmux, fs::Permissions::from_mode(0o755)).unwrap();
    school.settings(
        "",
        "commands:\n",
        &format!("commands:\n  tmux: \"{}\"\n", tmux.display()),
    );
    let output = school.pass(MONDAY, 1);
    says(
        &output,
        &["cannot list the sessions", "protocol version mismatch"],
    );
    assert_eq!(commands(&school), 0);
    school.settings("", "", "");
    school.pass("2026-11-23 18:30:00", 0);
    assert_eq!(commands(&school), 3);
}

/// `linbo-remote` leaves it behind where a cable was pulled: it holds up its host for as long as nobody knows.
#[test]
fn a_session_that_nobody_ends_is_told_once_with_the_way_to_end_it() {
    let school = OneSchool::ready(1);
    let tmux = |arguments: &[&str]| {
        let mut tmux = school.nord().command(Path::new("tmux")).unwrap();
        assert!(tmux.args(arguments).status().unwrap().success());
    };
    school.settings("", "command_timeout: 20 s", "command_timeout: 2 hours");
    const SESSION: &str = "r101-pc01_linbo-remote";
    tmux(&["new-session", "-d", "-s", SESSION, "sleep 600"]);
    school.nord().install("ubuntu", &small(1)).unwrap();
    let end = format!("tmux kill-session -t {SESSION}");
    for at in [MONDAY, "2026-11-23 20:00:00"] {
        let output = school.pass(at, 0);
        says(&output, &["1 host is still at work: r101-pc01"]);
        assert_eq!(school.told(&end), 0, "a sync may last that long");
    }
    for at in ["20:06", "20:30", "21:00"] {
        let output = school.pass(&format!("2026-11-23 {at}:00"), 1);
        says(&output, &["since Mon 23 Nov 18:05", &end]);
        assert_eq!(school.told(&end), 1, "{at}");
    }
    says(
        &school.run(&["status", "--hosts"], "2026-11-23 21:00:00", 0),
        &["busy", "18:05"],
    );
    assert_eq!(commands(&school), 0);
    tmux(&["kill-session", "-t", SESSION]);
    school.pass("2026-11-23 21:05:00", 0);
    assert_eq!(school.applied(), [Some(small(1).stamp())]);
    assert_eq!(school.told("good again"), 1);
    school.assert_clean();
}

#[test]
fn side_files_that_are_missing_come_back() {
    let school = OneSchool::ready(1);
    school.pass(MONDAY, 0);
    let folder = school.nord().paths.images().join("ubuntu");
    for (minute, name) in [
        (20, "ubuntu.qcow2.torrent"),
        (21, "ubuntu.qdiff.torrent"),
        (22, "ubuntu.qcow2.info"),
        (23, "ubuntu.qdiff.info"),
        (24, "ubuntu.qdiff"),
    ] {
        let before = fs::read(folder.join(name)).unwrap();
        fs::remove_file(folder.join(name)).unwrap();
        let output = school.pass(&format!("2026-11-23 18:{minute}:00"), 0);
        assert!(
            !output.stdout.contains(NOTHING),
            "{name}: {}",
            output.stdout
        );
        assert_eq!(fs::read(folder.join(name)).unwrap(), before, "{name}");
        says(
            &school.pass(&format!("2026-11-23 18:{minute}:30"), 0),
            &[NOTHING],
        );
    }
    school.assert_clean();
}

#[test]
fn news_that_could_not_be_sent_comes_with_the_next_pass_and_once() {
    let school = OneSchool::ready(1);
    school.pass(MONDAY, 0);
    school.edit("fleet.yaml", "name:", "nmae:", "a typo");
    let smtp = school.lab.smtp();
    let mails = || smtp.mails().unwrap().len();
    for (minute, fault) in [
        (10, MailFault::Down),
        (11, MailFault::Later),
        (12, MailFault::Never),
    ] {
        smtp.set_fault(fault).unwrap();
        let output = school.pass(&format!("2026-11-23 18:{minute}:00"), 1);
        says(
            &output,
            &["the letter was not sent, the next pass tries again"],
        );
        assert_eq!(mails(), 0, "{fault:?}");
    }
    smtp.set_fault(MailFault::None).unwrap();
    for minute in 20..23 {
        school.pass(&format!("2026-11-23 18:{minute}:00"), 1);
        assert_eq!(mails(), 1);
    }
    school.edit("fleet.yaml", "nmae:", "name:", "mended");
    smtp.set_fault(MailFault::Down).unwrap();
    school.pass("2026-11-23 18:30:00", 1);
    smtp.set_fault(MailFault::None).unwrap();
    school.pass("2026-11-23 18:31:00", 0);
    school.pass("2026-11-23 18:32:00", 0);
    assert_eq!(mails(), 2);
    assert!(smtp.mails().unwrap()[1].contains("good again"));
}

#[test]
fn a_report_that_is_half_written_is_no_evidence_and_no_obstacle() {
    let school = OneSchool::ready(1);
    let host = school.lab.hosts().next().unwrap();
    let status = school
        .nord()
        .paths
        .linbo_log()
        .join(format!("{}_image.status", host.name));
    for torn in ["2026", "202611231900 appl", "\0\0\0", ""] {
        fs::write(&status, torn).unwrap();
        school.run(&["--dry-run"], MONDAY, 0);
    }
    host.set_fault(Fault::StatusTorn).unwrap();
    school.nord().run(&[], MONDAY).unwrap();
    host.clear_faults().unwrap();
    school.pass(WEDNESDAY, 0);
    assert_eq!(school.applied(), [Some(small(1).stamp())]);
    says(&school.pass("2026-11-25 18:20:00", 0), &[NOTHING]);
}

#[test]
fn a_clock_that_jumps_undoes_nothing_and_stops_nothing() {
    let school = OneSchool::ready(1);
    school.pass(MONDAY, 0);
    let once = commands(&school);
    for back in [
        "2026-11-23 18:04:00",
        "2026-11-22 03:00:00",
        "2025-01-01 12:00:00",
        "2026-11-23 18:06:00",
    ] {
        school.pass(back, 0);
        assert_eq!(commands(&school), once, "at {back}");
    }
    school.pass(WEDNESDAY, 0);
    school.pass("2027-03-29 18:05:00", 0);
    // Only the first time there was something to load.
    assert_eq!(commands(&school), 3 * once - 2);
    school.run(&["history"], "2026-11-23 18:05:00", 0);
    school.run(&["status"], "2026-11-23 18:05:00", 0);
    school.assert_clean();
}

/// A small file system of its own in place of a folder; it goes when this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// None where nobody may mount.
    fn over(folder: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let (size, path) = (format!("size={kib}k"), folder.to_string_lossy());
        let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs", &path];
        run_tool("mount", &arguments, Path::new("/")).ok()?;
        Some(Self(folder.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run_tool("umount", &["-l", &self.0.to_string_lossy()], Path::new("/")).ok();
    }
}

#[test]
fn a_full_disk_under_the_journal_lets_nothing_begin() {
    let school = OneSchool::ready(1);
    let state = school.nord().paths.state();
    let Some(_mounted) = Mounted::over(&state, 8 * 1024) else {
        return;
    };
    school.pass(MONDAY, 0);
    let once = commands(&school);
    let filler = state.join("filler");
    // The journal's last page is filled up, so that the file system has no room for one byte more.
    let journal = state.join("journal.jsonl");
    let length = fs::metadata(&journal).unwrap().len();
    let record = |pad: usize| {
        let pad = "x".repeat(pad);
        format!(
            "{{\"at\":\"2026-11-23T17:30:00Z\",\"pass\":\"2026-11-23T17:30:00Z\",\"event\":\"pad\",\"pad\":\"{pad}\"}}\n"
        )
    };
    let missing = usize::try_from(8192 - length % 4096).unwrap();
    let record = record(missing - record(0).len());
    fs::File::options()
        .append(true)
        .open(&journal)
        .unwrap()
        .write_all(record.as_bytes())
        .unwrap();
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    let output = school.pass(WEDNESDAY, 1);
    let wanted = [
        "the journal cannot be written, and nothing was begun",
        "journal.jsonl: No space left on device",
    ];
    says(&output, &wanted);
    assert_eq!(
        commands(&school),
        once,
        "something was begun without a record"
    );
    fs::remove_file(&filler).unwrap();
    school.pass("2026-11-25 18:20:00", 0);
    assert_eq!(commands(&school), 2 * once - 1);
    school.run(&["history"], "2026-11-25 18:30:00", 0);
    school.assert_clean();
}

#[test]
fn an_image_that_does_not_fit_is_not_begun() {
    let mut school = OneSchool::ready(1);
    let srv = school.nord().paths.root.join("srv");
    let linbo = srv.with_extension("kept");
    fs::rename(&srv, &linbo).unwrap();
    let Some(_mounted) = Mounted::over(&srv, 12 * 1024) else {
        return;
    };
    run_tool(
        "cp",
        &[
            "-a",
            &format!("{}/.", linbo.display()),
            &srv.to_string_lossy(),
        ],
        Path::new("/"),
    )
    .unwrap();
    school.pass(MONDAY, 0);
    school.release("2026.11.1", &harness::lab::Content::base(7).base_size(9));
    school.point("2026.11.1", "a large version");
    let output = school.pass("2026-11-23 18:20:00", 1);
    says(&output, &["2026.11.1", "free"]);
    assert_eq!(school.lab.smtp().mails().unwrap().len(), 1);
    school.pass(WEDNESDAY, 1);
    assert_eq!(school.applied(), [Some(small(1).stamp())]);
    let host = school.lab.hosts().next().unwrap();
    host.wait_for(State::Off, Duration::from_secs(30)).unwrap();
    school.assert_clean();
}
