//! What stands on servers: torrents, imports, releases, mails, the state repo, the clock.

use super::*;

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
fn no_other_lab_gets_the_ports_of_this_ones_hosts() {
    let lab = lab();
    let world = lab.world();
    for port in [world.linbo_port, world.os_port, world.windows_port] {
        let second = std::net::TcpListener::bind(("127.0.0.1", port));
        assert_eq!(
            second.unwrap_err().kind(),
            std::io::ErrorKind::AddrInUse,
            "{port}"
        );
    }
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
