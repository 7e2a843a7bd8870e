//! The lab's stand-ins against what is known of the real programs: each ugly side once, with real ssh, tmux and rsync.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::lab::{
    Builder, Content, Fault, Lab, MailFault, Output, Pace, Room, Server, State, TransferFault,
    changes, snapshot,
};

const SHORT: Duration = Duration::from_secs(15);

fn builder() -> Builder {
    Lab::builder()
        .school("bs-nord", [Room::new("r101", 3)])
        .at("2026-11-23 18:05:00")
}

fn lab() -> Lab {
    builder().build().unwrap()
}

fn small() -> Content {
    Content::base(1).base_size(2)
}

/// A lab whose school has an image with a diff, and whose hosts are all in LINBO.
fn lab_in_linbo() -> (Lab, Server) {
    let lab = lab();
    let school = lab.server("bs-nord");
    school.install("ubuntu", &small().with_diff(2)).unwrap();
    for host in lab.hosts() {
        host.boot().unwrap();
    }
    (lab, school)
}

/// Runs a command on a host as the reconciler's own driver does.
fn ssh(school: &Server, host: &str, command: &str) -> Output {
    let config = school.paths.ssh_config();
    let mut words = vec!["-F", config.to_str().unwrap(), "-o", "BatchMode=yes"];
    words.extend(["-o", "ConnectTimeout=4", "-o", "ServerAliveInterval=1"]);
    words.extend(["-o", "ServerAliveCountMax=2", "-o", "LogLevel=ERROR", host]);
    words.extend(command.split(' '));
    let bin = school.paths.bin().join("ssh");
    if !bin.exists() {
        std::os::unix::fs::symlink("/usr/bin/ssh", &bin).unwrap();
    }
    school.call("ssh", &words).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < SHORT, "still not: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn sessions_end(school: &Server) {
    until("all sessions of linbo-remote ended", || {
        let sessions = school.sessions().unwrap();
        !sessions.iter().any(|name| name.ends_with("_linbo-remote"))
    });
}

#[test]
fn a_sync_over_ssh_tells_the_truth_in_its_exit_status_status_file_and_log() {
    let (lab, school) = lab_in_linbo();
    let good = ssh(&school, "r101-pc01", "/usr/bin/linbo_wrapper sync:1");
    assert_eq!(good.status, 0, "{good:?}");
    let status = school.status_of("r101-pc01").unwrap();
    let stamp = small().with_diff(2).stamp();
    assert_eq!(
        status,
        format!("202611231805 applied: ubuntu.qdiff \"{stamp}\"\n")
    );
    assert!(good.stdout.contains(status.trim()), "{}", good.stdout);
    let log = school.log_of("r101-pc01").unwrap();
    assert!(log.contains("Sync from ubuntu.qdiff finished."), "{log}");
    assert!(log.contains("### 20261123-1805"), "{log}");
    let applied = lab.host("r101-pc01").applied().unwrap().unwrap();
    assert_eq!(applied.diff, Some(school.image("ubuntu.qdiff").unwrap()));

    let again = ssh(&school, "r101-pc01", "/usr/bin/linbo_wrapper sync:1");
    assert!(
        again
            .stdout
            .contains("ubuntu.qdiff has not changed, nothing to do.")
    );

    for (command, status) in [
        ("/bin/ls /start.conf", 0),
        ("/usr/bin/linbo_wrapper sync:7", 2),
        ("/usr/bin/linbo_wrapper nonsense", 0),
        ("/usr/bin/linbo_wrapper prestart:1", 1),
        ("gui_ctl disable", 0),
        ("ps", 0),
        ("/usr/bin/linbo_wrapper halt", 255),
        ("/bin/ls /start.conf", 255),
    ] {
        let output = ssh(&school, "r101-pc01", command);
        assert_eq!(output.status, status, "{command}: {output:?}");
    }
    assert_eq!(lab.host("r101-pc01").state().unwrap(), State::Off);
    assert_eq!(lab.anomalies().unwrap(), Vec::<String>::new());
}

#[test]
fn faults_of_a_host_leave_the_traces_that_the_real_ones_leave() {
    let (lab, school) = lab_in_linbo();
    let pc = lab.host("r101-pc01");
    for (fault, code, in_output, status) in [
        (Fault::DownloadFails, 1, "could not be downloaded", ""),
        (Fault::SyncFails, 1, "Cannot mount ", ""),
        (Fault::StatusMissing, 0, "Done.", ""),
        (Fault::StatusTorn, 0, "Done.", "202611231805 applied: "),
        (
            Fault::MountFails,
            0,
            "Mounting /dev/nbd0 failed!",
            "202611231805 applied: ubuntu.qdiff",
        ),
        (
            Fault::LogTruncated,
            0,
            "Done.",
            "202611231805 applied: ubuntu.qdiff",
        ),
    ] {
        fs::remove_file(school.paths.linbo_log().join("r101-pc01_image.status")).ok();
        let log_before = school.log_of("r101-pc01").unwrap();
        pc.set_fault(fault.clone()).unwrap();
        let output = ssh(&school, "r101-pc01", "/usr/bin/linbo_wrapper sync:1");
        pc.clear_faults().unwrap();
        assert_eq!(output.status, code, "{fault:?}: {output:?}");
        assert!(output.stdout.contains(in_output), "{fault:?}: {output:?}");
        let now = school.status_of("r101-pc01").unwrap();
        assert!(
            now.starts_with(status) && now.is_empty() == status.is_empty(),
            "{fault:?}: {now}"
        );
        let log = school.log_of("r101-pc01").unwrap();
        match fault {
            Fault::DownloadFails => assert_eq!(log, log_before, "nothing is sent"),
            Fault::LogTruncated => assert!(!log.ends_with('\n')),
            Fault::StatusTorn => assert!(!now.ends_with('\n')),
            _ => assert!(log.len() > log_before.len(), "{fault:?}"),
        }
    }
}

#[test]
fn a_link_that_is_cut_in_mid_sync_leaves_the_caller_waiting() {
    let (lab, school) = lab_in_linbo();
    let pc = lab.host("r101-pc01");
    pc.set_fault(Fault::LinkCut).unwrap();
    let begin = Instant::now();
    let cut = ssh(&school, "r101-pc01", "/usr/bin/linbo_wrapper sync:1");
    assert_eq!(cut.status, 255, "{cut:?}");
    assert!(
        begin.elapsed() > Duration::from_secs(2),
        "only keep-alives notice a dead link"
    );
    let probe = ssh(&school, "r101-pc01", "/bin/ls /start.conf");
    assert_eq!(probe.status, 255);
    assert!(probe.stderr.contains("timed out"), "{}", probe.stderr);
    pc.clear_faults().unwrap();
    pc.set_state(State::Off).unwrap();
    until("the old system is gone", || !pc.dir.join("cut").exists());
    pc.boot().unwrap();
    assert_eq!(ssh(&school, "r101-pc01", "/bin/ls /start.conf").status, 0);
}

#[test]
fn linbo_remote_wakes_a_room_and_returns_before_anything_is_done() {
    let pace = Pace {
        second_ms: 200,
        ..Pace::default()
    };
    let lab = builder().pace(pace).build().unwrap();
    let school = lab.server("bs-nord");
    school.install("ubuntu", &small()).unwrap();
    lab.host("r101-pc02").set_fault(Fault::Offline).unwrap();
    lab.host("r101-pc03")
        .set_fault(Fault::WakesLate(Duration::from_secs(20)))
        .unwrap();
    let words = ["-r", "r101", "-b", "1", "-w", "12", "-c", "sync:1,halt"];
    let out = school
        .call("linbo-remote", &words)
        .unwrap()
        .success()
        .unwrap();
    let log = school.paths.linbo_log().join("r101-pc01.linbo-remote");
    for line in [
        "\nTrying to wake up:\n r101-pc01 ... Sending magic packet to 255.255.255.255:9 with 52:54:00:0B:01:01\n   .\n",
        "\nWaiting 12 second(s) for client(s) to boot ............\n\nSending command(s) to:\n r101-pc01 ... Started with PID ",
        &format!(". Log see {}.\n", log.display()),
        "\n r101-pc02 ... Not online, host skipped.\n r101-pc03 ... Not online, host skipped.\n\n###\n### linbo-remote (",
        "Mon Nov 23 18:05:",
    ] {
        assert!(out.contains(line), "{line:?} is not in\n{out}");
    }
    sessions_end(&school);
    assert_eq!(lab.host("r101-pc01").wrapped().unwrap(), ["sync:1", "halt"]);
    lab.host("r101-pc01").wait_for(State::Off, SHORT).unwrap();
    let log = school.log_file("r101-pc01.linbo-remote").unwrap();
    assert!(
        log.contains(" linbo_wrapper sync:1 ###\r\nCommand     : sync\r\n"),
        "{log:?}"
    );
    assert!(log.contains("closed by remote host."), "{log:?}");
    assert_eq!(lab.host("r101-pc02").magic_packets().unwrap(), 1);
    assert_eq!(school.log_file("r101-pc02.linbo-remote").unwrap(), "");
}

#[test]
fn linbo_remote_exits_with_0_for_failed_hosts_and_dropped_calls() {
    let (lab, school) = lab_in_linbo();
    let pc = lab.host("r101-pc01");
    pc.set_fault(Fault::SyncFails).unwrap();
    pc.set_fault(Fault::HangsInSync).unwrap();
    let words = ["-i", "r101-pc01", "-c", "sync:1,halt"];
    school
        .call("linbo-remote", &words)
        .unwrap()
        .success()
        .unwrap();
    assert!(
        school
            .sessions()
            .unwrap()
            .contains(&"r101-pc01_linbo-remote".to_owned())
    );
    let listed = school
        .call("linbo-remote", &["-l"])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        listed.starts_with("r101-pc01_linbo-remote: 1 windows (created "),
        "{listed}"
    );
    let second = school
        .call("linbo-remote", &["-i", "r101-pc01", "-c", "new:1"])
        .unwrap();
    assert_eq!(second.status, 0);
    assert!(
        second.stdout.contains(" r101-pc01 ... Started with PID "),
        "{second:?}"
    );
    assert_eq!(second.stderr, "open terminal failed: not a terminal\n");
    pc.clear_fault(&Fault::HangsInSync).unwrap();
    sessions_end(&school);
    assert_eq!(pc.wrapped().unwrap(), ["sync:1"], "neither new nor halt");
    assert_eq!(pc.state().unwrap(), State::Linbo);
    let left: Vec<_> = fs::read_dir(school.paths.scripts()).unwrap().collect();
    assert_eq!(left.len(), 1, "the script of the dropped call stays behind");
}

#[test]
fn linbo_remote_refuses_misuse_on_standard_output_with_exit_1() {
    let lab = lab();
    let school = lab.server("bs-nord");
    for (words, reason) in [
        ("-r nosuchroom -c sync:1", "No hosts in room nosuchroom!"),
        ("-i r101-pc01 -c fsck", "Command \"fsck\" is not known!"),
        (
            "-r r101 -c create_image:1",
            "Upload or create cannot be used with lists!",
        ),
        ("-i nobody -c sync:1", "No valid hosts in list!"),
        ("-r r101 -c sync", "Command string \"\" is not valid!"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let output = school.call("linbo-remote", &words).unwrap();
        assert_eq!(output.status, 1, "{words:?}");
        assert_eq!(output.stdout.lines().last(), Some(reason));
    }
    let flag = school.call("linbo-remote", &["-x"]).unwrap();
    assert_eq!(
        (flag.status, flag.stderr.as_str()),
        (1, "Invalid option: -x\n")
    );
}

#[test]
fn onboot_commands_wait_for_a_host_for_ever_and_ignore_failures() {
    let lab = lab();
    let school = lab.server("bs-nord");
    school
        .call("linbo-remote", &["-i", "r101-pc01", "-p", "sync:1,halt"])
        .unwrap()
        .success()
        .unwrap();
    let file = school.paths.linbocmd().join("r101-pc01.cmd");
    assert_eq!(fs::read_to_string(&file).unwrap(), "sync:1,halt\n");
    let pc = lab.host("r101-pc01");
    school
        .call("wakeonlan", &["52:54:00:0B:01:01"])
        .unwrap()
        .success()
        .unwrap();
    until("the host has halted", || {
        pc.state().unwrap() == State::Off && pc.wrapped().unwrap().len() == 2
    });
    assert!(!file.exists());
    let commands = pc.commands().unwrap();
    assert_eq!(commands[0].code, Some(1), "there is no image to sync");
    assert_eq!(commands[1].command, "linbo_wrapper halt");
    let words = ["-i", "r101-pc02", "-w", "1", "-p", "sync:1"];
    lab.host("r101-pc02").set_fault(Fault::Offline).unwrap();
    let out = school
        .call("linbo-remote", &words)
        .unwrap()
        .success()
        .unwrap();
    assert!(
        out.contains(" r101-pc02 ... Not done, host skipped!"),
        "{out}"
    );
    assert!(!school.paths.linbocmd().join("r101-pc02.cmd").exists());
}

#[test]
fn a_stale_torrent_writes_old_content_into_the_new_image() {
    let lab = lab();
    let school = lab.server("bs-nord");
    school.install("ubuntu", &small()).unwrap();
    let folder = school.paths.images().join("ubuntu");
    let call = |words: &[&str]| school.call("linbo-torrent", words).unwrap();
    assert_eq!(school.sessions().unwrap(), ["ubuntu_qcow2_torrent"]);
    assert!(
        call(&["status"])
            .stdout
            .starts_with("ubuntu_qcow2_torrent: 1 windows (created ")
    );
    assert_eq!(call(&["check", "ubuntu.qcow2"]).status, 0);
    let hash = fs::read_to_string(folder.join("ubuntu.qcow2.hash")).unwrap();
    assert_eq!(hash.len(), 41);
    assert_eq!(fs::read_to_string(school.paths.whitelist()).unwrap(), hash);

    let mut image = fs::read(folder.join("ubuntu.qcow2")).unwrap();
    image.reverse();
    fs::write(folder.join("ubuntu.qcow2"), &image).unwrap();
    assert_eq!(call(&["check", "ubuntu.qcow2"]).status, 1);
    assert_eq!(call(&["restart", "ubuntu.qcow2"]).status, 0);
    assert_ne!(fs::read(folder.join("ubuntu.qcow2")).unwrap(), image);
    assert_eq!(lab.anomalies().unwrap().len(), 1);

    assert_eq!(call(&["create", "nothing.qcow2"]).status, 1);
    school
        .set_fault("linbo-torrent", Some("create-fails"))
        .unwrap();
    assert_eq!(call(&["create", "ubuntu.qcow2"]).status, 1);
    assert!(!folder.join("ubuntu.qcow2.torrent").exists());
}

#[test]
fn import_devices_refuses_bad_rows_and_swallows_worse_ones() {
    let lab = lab();
    let school = lab.server("bs-nord");
    let csv = school.paths.devices_csv();
    let good = fs::read_to_string(&csv).unwrap();
    let dhcp = school.paths.root.join("etc/dhcp/devices.conf");
    let import = || {
        school
            .call("linuxmuster-import-devices", &[])
            .unwrap()
            .status
    };
    let link = school.paths.linbo().join("start.conf-127.11.1.1");
    assert_eq!(
        fs::read_link(&link).unwrap(),
        Path::new("start.conf.ubuntu-lab")
    );

    fs::write(
        &csv,
        good.replace("r101-pc01;ubuntu-lab", "r101-pc01;gimp3"),
    )
    .unwrap();
    assert_eq!(import(), 0);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("start.conf.gimp3"));
    assert!(school.paths.linbo().join("start.conf.gimp3").exists());
    let accounts = fs::read_to_string(school.paths.root.join("var/lib/ad-accounts")).unwrap();
    assert_eq!(accounts, "R101-PC01$\nR101-PC02$\nR101-PC03$\n");

    for (from, to, status, has_dhcp) in [
        ("52:54:00:0b:01:02", "52:54:00:0b:01:01", 1, true),
        (";;1;;;;\n", ";;;;;;\n", 1, true),
        (";;1;;;;\n", ";;1x;;;;\n", 0, false),
    ] {
        fs::write(&csv, good.replacen(from, to, 1)).unwrap();
        assert_eq!(import(), status, "{to}");
        assert_eq!(dhcp.exists(), has_dhcp, "{to}");
    }
    fs::write(&csv, &good).unwrap();
    school
        .set_fault("linuxmuster-import-devices", Some("hook-fails"))
        .unwrap();
    assert_eq!(import(), 1);
}

#[test]
fn overlapping_commands_and_lying_info_files_are_noticed() {
    let (lab, school) = lab_in_linbo();
    let pc = lab.host("r101-pc01");
    pc.set_fault(Fault::HangsInSync).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| ssh(&school, "r101-pc01", "/usr/bin/linbo_wrapper sync:1"));
        until("the first sync runs", || pc.wrapped().unwrap().len() == 1);
        ssh(&school, "r101-pc01", "/usr/bin/linbo_wrapper label");
        pc.clear_faults().unwrap();
    });
    let noticed = lab.anomalies().unwrap();
    assert_eq!(
        noticed,
        ["r101-pc01: linbo_wrapper label while linbo_wrapper sync:1 ran"]
    );

    let info = school.paths.images().join("ubuntu/ubuntu.qdiff.info");
    let text = fs::read_to_string(&info).unwrap();
    let own = small().base_stamp();
    fs::write(&info, text.replace(&own, "200001010000")).unwrap();
    ssh(&school, "r101-pc02", "/usr/bin/linbo_wrapper sync:1");
    let noticed = lab.host("r101-pc02").anomalies().unwrap();
    assert_eq!(noticed.len(), 1, "{noticed:?}");
}

#[test]
fn an_operating_system_answers_elsewhere_and_a_magic_packet_does_not_help() {
    let (lab, school) = lab_in_linbo();
    let pc = lab.host("r101-pc01");
    pc.set_fault(Fault::InUse).unwrap();
    pc.wait_for_port(lab.world().os_port).unwrap();
    assert_eq!(ssh(&school, "r101-pc01", "/bin/ls /start.conf").status, 255);
    school
        .call("wakeonlan", &["52:54:00:0b:01:01"])
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(pc.state().unwrap(), State::Os);
}

#[test]
fn releases_travel_by_rsync_and_the_line_can_fail() {
    let lab = lab();
    let central = lab.central();
    let base = Content::base(1);
    let first = central
        .publish("ubuntu", "2026.10.1", &base.clone().with_diff(1))
        .unwrap();
    let second = central
        .publish("ubuntu", "2026.11.1", &base.with_diff(2))
        .unwrap();
    assert_ne!(first.manifest_sha256, second.manifest_sha256);
    assert!(first.size > 24 << 20 && second.diff_size > 2 << 20);
    use std::os::unix::fs::MetadataExt as _;
    let inode = |folder: &Path| fs::metadata(folder.join("ubuntu.qcow2")).unwrap().ino();
    assert_eq!(
        inode(&first.folder),
        inode(&second.folder),
        "the base is shared"
    );

    let to = tempfile::tempdir().unwrap();
    let pull = |seconds: &str, options: &[&str]| {
        let password = lab.server("bs-nord").paths.release_password();
        let address = central.rsync.address;
        // rsync's own --timeout does not notice a server that falls silent in mid-file, and its receiver outlives a
        // TERM to the whole group: only KILL is a watchdog. It takes `timeout` along, hence the exit code `None`.
        Command::new("timeout")
            .args([
                "-s",
                "KILL",
                seconds,
                "rsync",
                "-rt",
                "--timeout=2",
                "--contimeout=2",
                "--password-file",
            ])
            .arg(password)
            .args(options)
            .arg(format!(
                "rsync://bs-nord@{address}/releases/ubuntu/2026.11.1/"
            ))
            .arg(to.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .code()
    };
    central
        .rsync
        .set_fault(TransferFault::CutAfter(4 << 20))
        .unwrap();
    assert_eq!(pull("30", &["--inplace"]), Some(12));
    central
        .rsync
        .set_fault(TransferFault::StallAfter(4 << 20))
        .unwrap();
    assert_eq!(pull("3", &["--inplace"]), None);
    central.rsync.set_fault(TransferFault::Refuse).unwrap();
    assert_eq!(pull("30", &[]), Some(10));
    central.rsync.set_fault(TransferFault::None).unwrap();
    assert_eq!(pull("30", &[]), Some(0));
    let names = [
        "manifest.json",
        "ubuntu.qcow2",
        "ubuntu.qcow2.info",
        "ubuntu.qdiff",
        "ubuntu.qdiff.info",
    ];
    for name in names {
        let (here, there) = (to.path().join(name), second.folder.join(name));
        assert!(
            fs::read(here).unwrap() == fs::read(there).unwrap(),
            "{name}"
        );
    }
    let info = Command::new("qemu-img")
        .args(["info", "ubuntu.qdiff"])
        .current_dir(to.path())
        .output()
        .unwrap();
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("backing file: ubuntu.qcow2"), "{info}");
}

#[test]
fn mails_are_kept_refused_or_not_reached() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let lab = lab();
    let smtp = lab.smtp();
    let send = || -> Vec<String> {
        let mut stream = std::net::TcpStream::connect(smtp.address).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut codes = vec![answers.next().unwrap().unwrap()];
        for line in [
            "HELO x",
            "MAIL FROM:<a@b>",
            "RCPT TO:<c@d>",
            "DATA",
            "Subject: x\r\n\r\n..y\r\n.",
            "QUIT",
        ] {
            stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
            codes.push(answers.next().unwrap().unwrap());
        }
        codes
            .into_iter()
            .map(|line| line.chars().take(3).collect())
            .collect()
    };
    assert_eq!(send(), ["220", "250", "250", "250", "354", "250", "221"]);
    smtp.set_fault(MailFault::Later).unwrap();
    assert_eq!(send()[5], "450");
    smtp.set_fault(MailFault::Never).unwrap();
    assert_eq!(send()[3], "550");
    smtp.set_fault(MailFault::Down).unwrap();
    assert!(std::net::TcpStream::connect(smtp.address).is_err());
    assert_eq!(smtp.mails().unwrap(), ["Subject: x\n\n.y\n"]);
}

#[test]
fn the_state_repo_takes_signed_commits_and_force_pushes() {
    let lab = lab();
    let repo = lab.repo();
    let write =
        |text: &'static str| move |work: &Path| Ok(fs::write(work.join("fleet.yaml"), text)?);
    let known = repo.signer("known@example.org", true).unwrap();
    let unknown = repo.signer("unknown@example.org", false).unwrap();
    let verify = |commit: &str| {
        let signers = format!(
            "gpg.ssh.allowedSignersFile={}",
            repo.allowed_signers().display()
        );
        repo.git(
            &repo.path(),
            &[
                "-c",
                &signers,
                "log",
                "-1",
                "--format=%G? %cd",
                "--date=short",
                commit,
            ],
        )
        .unwrap()
    };
    let plain = repo.commit(write("1"), "one").unwrap();
    let signed = repo.commit_signed(write("2"), "two", &known).unwrap();
    let foreign = repo.commit_signed(write("3"), "three", &unknown).unwrap();
    assert_eq!(verify(&plain), "N 2026-11-23");
    assert_eq!(verify(&signed), "G 2026-11-23");
    assert_eq!(verify(&foreign), "U 2026-11-23");
    let forced = repo.force_push(write("4"), "four").unwrap();
    assert_eq!(repo.head().unwrap(), forced);
    assert!(
        repo.git(
            &repo.path(),
            &["merge-base", "--is-ancestor", &foreign, "main"]
        )
        .is_err()
    );
}

#[test]
fn programs_see_the_labs_time_and_a_snapshot_sees_every_change() {
    let lab = lab();
    let school = lab.server("bs-nord");
    std::os::unix::fs::symlink("/bin/date", school.paths.bin().join("date")).unwrap();
    let told = school
        .call("date", &["+%Y-%m-%d %H:%M %Z"])
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(told, "2026-11-23 18:05 CET\n");
    let before = snapshot(&school.paths.root, &["run"]).unwrap();
    let host = school.paths.linbo_log().join("x");
    assert_eq!(
        changes(&before, &snapshot(&school.paths.root, &["run"]).unwrap()),
        Vec::<String>::new()
    );
    fs::write(host, "x").unwrap();
    let after = changes(&before, &snapshot(&school.paths.root, &["run"]).unwrap());
    assert!(
        after.contains(&"+ var/log/linuxmuster/linbo/x".to_owned()),
        "{after:?}"
    );
}

#[test]
fn nothing_is_left_of_a_lab_that_was_dropped() {
    let (lab, school) = lab_in_linbo();
    lab.host("r101-pc01").set_fault(Fault::HangsInSync).unwrap();
    let words = ["-i", "r101-pc01", "-c", "sync:1"];
    school
        .call("linbo-remote", &words)
        .unwrap()
        .success()
        .unwrap();
    until("the sync hangs", || {
        lab.host("r101-pc01").wrapped().unwrap().len() == 1
    });
    let root = lab.world().root.clone();
    let ours = || {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let line = fs::read(entry.unwrap().path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(root.to_str().unwrap()) {
                found.push(line);
            }
        }
        found
    };
    assert!(ours().len() >= 3, "{:?}", ours());
    drop(lab);
    until(&format!("no process of {}", root.display()), || {
        ours().is_empty()
    });
    assert!(!root.exists());
}
