//! PCs, and what linbo-remote makes of them.

use super::*;

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
