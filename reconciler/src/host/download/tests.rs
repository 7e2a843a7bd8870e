//! Against a real rsync daemon on loopback, one process for each connection as inetd would.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod bed;
mod like;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::*;
use crate::host::process::Group;
use bed::{BIG, Bed, MIB, noise, send, text};

#[tokio::test]
async fn a_version_arrives_and_the_next_time_nothing_is_moved() {
    let bed = Bed::new();
    let (base, diff) = (noise(1, BIG), noise(2, MIB));
    let manifest = bed.publish(
        "ubuntu",
        &[
            ("qcow2", &base),
            ("qdiff", &diff),
            ("qcow2.info", b"timestamp=1"),
            ("qcow2.desc", b""),
        ],
    );
    let told = bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&base) && bed.has(&diff) && bed.has(b"timestamp=1") && bed.has(b""));
    let total = (BIG + MIB + 11) as u64;
    assert!(
        matches!(told.last(), Some(Progress::Bytes { done, total: all, .. }) if *done == total && *all == total),
        "{told:?}"
    );
    assert!(
        told.iter().any(
            |progress| matches!(progress, Progress::Bytes { per_second, .. } if *per_second > 0)
        )
    );
    let count = |folder: &str| fs::read_dir(bed.paths.store.join(folder)).unwrap().count();
    assert_eq!(
        (
            count("objects"),
            count("partial"),
            count("incoming"),
            count("locks")
        ),
        (4, 0, 0, 0)
    );
    let connections = bed.daemons.lock().unwrap().connections;
    assert!(
        bed.fetch("ubuntu", &manifest, None)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(bed.daemons.lock().unwrap().connections, connections);
}

#[tokio::test]
async fn what_linbo_has_already_is_not_fetched() {
    let bed = Bed::new();
    let base = noise(3, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &base)]);
    fs::remove_file(bed.released("ubuntu", "ubuntu.qcow2")).unwrap();
    let live = bed.paths.linbo.join("images/ubuntu/ubuntu.qcow2");
    fs::create_dir_all(files::parent(&live)).unwrap();
    fs::write(&live, &base).unwrap();
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&live), inode(&bed.store().object(&digest_of(&base))));
}

#[tokio::test]
async fn a_manifest_that_git_does_not_name_is_never_read() {
    let bed = Bed::new();
    bed.publish("ubuntu", &[("qcow2", b"base")]);
    let expected = digest_of(b"another");
    let error = text(bed.fetch("ubuntu", &expected, None).await.unwrap_err());
    assert!(
        error.contains("is not the one that the state repo names"),
        "{error}"
    );
    assert!(bed.store().read_manifest(&expected).unwrap().is_none());

    let long = vec![b' '; LONGEST + 1];
    fs::write(bed.released("ubuntu", "manifest.json"), &long).unwrap();
    let error = text(
        bed.fetch("ubuntu", &digest_of(&long), None)
            .await
            .unwrap_err(),
    );
    assert!(error.contains("there is no manifest of at most"), "{error}");

    let manifest = bed.publish("debian", &[("qcow2", b"base")]);
    fs::copy(
        bed.released("debian", "manifest.json"),
        bed.released("ubuntu", "manifest.json"),
    )
    .unwrap();
    let error = text(bed.fetch("ubuntu", &manifest, None).await.unwrap_err());
    assert!(
        error.contains("is that of debian 1, not of ubuntu 1"),
        "{error}"
    );
}

#[tokio::test]
async fn content_that_is_not_the_manifests_is_refused_and_deleted() {
    let bed = Bed::new();
    let base = noise(4, 2 * MIB);
    let manifest = bed.publish("ubuntu", &[("qcow2", &base)]);
    for (wrong, what) in [
        (
            noise(5, 2 * MIB),
            "is not what its manifest says, and was deleted here",
        ),
        (base[..MIB].to_vec(), "found 1048576 bytes"),
    ] {
        fs::write(bed.released("ubuntu", "ubuntu.qcow2"), wrong).unwrap();
        let error = text(bed.fetch("ubuntu", &manifest, None).await.unwrap_err());
        assert!(error.contains(what), "{error}");
        assert!(
            !bed.store().partial(&digest_of(&base)).exists()
                && !bed.store().object(&digest_of(&base)).exists()
        );
    }
    fs::write(bed.released("ubuntu", "ubuntu.qcow2"), noise(6, BIG)).unwrap();
    let error = text(
        bed.fetch("ubuntu", &manifest, Some("40 Mbit/s"))
            .await
            .unwrap_err(),
    );
    assert!(
        error.contains("is larger than the 2097152 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_beginning_is_mended_without_fetching_all_of_it_again() {
    let bed = Bed::new();
    let base = noise(7, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &base)]);
    bed.store().prepare(&bed.paths.linbo).unwrap();
    let mut part = base[..BIG - MIB].to_vec();
    part[5 * MIB..6 * MIB].fill(0);
    fs::write(bed.store().partial(&digest_of(&base)), part).unwrap();
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&base));
    let sent = bed.last_sent().await;
    assert!(sent < 3 * MIB as u64, "{sent}");
}

#[tokio::test]
async fn it_stops_when_its_time_is_over_and_goes_on_where_it_was() {
    let bed = Bed::new();
    let base = noise(8, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &base)]);
    let until = Timestamp::now() + Duration::from_millis(2500);
    let paused = bed
        .fetch_until("ubuntu", &manifest, Some("40 Mbit/s"), until)
        .await;
    assert!(matches!(paused, Err(Failure::Paused)), "{paused:?}");
    let arrived = bed.arrived(&digest_of(&base), MIB).await;
    assert!(bed.writers(&digest_of(&base)).is_empty());
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&base));
    let sent = bed.last_sent().await;
    assert!(
        sent < BIG as u64 - arrived + MIB as u64,
        "{arrived} had arrived, {sent} were sent"
    );
}

#[tokio::test]
async fn dropping_it_ends_rsync_and_keeps_what_arrived() {
    let bed = Bed::new();
    let base = noise(9, BIG);
    let (digest, manifest) = (digest_of(&base), bed.publish("ubuntu", &[("qcow2", &base)]));
    tokio::select! {
        done = bed.fetch("ubuntu", &manifest, Some("40 Mbit/s")) => panic!("{done:?}"),
        _ = bed.arrived(&digest, 2 * MIB) => {}
    }
    // The one after it does not wait for the end of the one before: it ends it.
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&base));
}

#[tokio::test]
async fn a_cut_connection_is_an_error_that_keeps_what_arrived() {
    let bed = Bed::new();
    let base = noise(10, BIG);
    let (digest, manifest) = (digest_of(&base), bed.publish("ubuntu", &[("qcow2", &base)]));
    let cut = async {
        let arrived = bed.arrived(&digest, 3 * MIB).await;
        bed.signal_daemons(Signal::KILL);
        arrived
    };
    let (done, arrived) = tokio::join!(bed.fetch("ubuntu", &manifest, Some("40 Mbit/s")), cut);
    let error = text(done.unwrap_err());
    assert!(
        error.contains("exit code 12") && error.contains("was cut"),
        "{error}"
    );
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&base));
    let sent = bed.last_sent().await;
    assert!(
        sent < BIG as u64 - arrived + MIB as u64,
        "{arrived} had arrived, {sent} were sent"
    );
}

#[tokio::test]
async fn a_killed_rsync_leaves_no_second_writer() {
    let bed = Bed::new();
    let base = noise(11, BIG);
    let (digest, manifest) = (digest_of(&base), bed.publish("ubuntu", &[("qcow2", &base)]));
    let kill = async {
        bed.arrived(&digest, 3 * MIB).await;
        let writers = bed.writers(&digest);
        assert!(writers.len() >= 2, "{writers:?}");
        let first = writers
            .iter()
            .find(|process| process.id == process.group)
            .unwrap();
        send(first.id, Signal::KILL);
    };
    let (done, ()) = tokio::join!(bed.fetch("ubuntu", &manifest, Some("40 Mbit/s")), kill);
    let error = text(done.unwrap_err());
    assert!(error.contains("signal 9"), "{error}");
    assert!(bed.writers(&digest).is_empty());
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&base));
}

const CHILD: &str = "RECONCILE_TEST_DOWNLOAD";

/// The reconciler that is killed in the test below, which runs itself once more as this one.
async fn be_killed(order: &str) {
    let (port, rest) = order.split_once(' ').unwrap();
    let (manifest, root) = rest.split_once(' ').unwrap();
    let mut bed = Bed::at(tempfile::tempdir().unwrap(), port.parse().unwrap());
    bed.paths.store = Path::new(root).join("store");
    bed.paths.linbo = Path::new(root).join("linbo");
    let done = bed
        .fetch("ubuntu", &manifest.parse().unwrap(), Some("24 Mbit/s"))
        .await;
    panic!("it was to be killed: {done:?}");
}

#[tokio::test]
async fn a_killed_reconciler_loses_nothing_and_its_rsync_does_not_go_on_writing() {
    if let Ok(order) = std::env::var(CHILD) {
        return be_killed(&order).await;
    }
    for (seed, whole_group) in [(12, false), (13, true)] {
        let bed = Bed::new();
        let base = noise(seed, BIG);
        let (digest, manifest) = (digest_of(&base), bed.publish("ubuntu", &[("qcow2", &base)]));
        let order = format!(
            "{} {manifest} {}",
            bed.central.port,
            bed.folder.path().display()
        );
        let name = "host::download::tests::a_killed_reconciler_loses_nothing_and_its_rsync_does_not_go_on_writing";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", name])
            .env(CHILD, order)
            .stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let arrived = bed.arrived(&digest, 3 * MIB).await;
        let writers = bed.writers(&digest);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rsyncs: Vec<_> = writers
            .iter()
            .filter(|process| process.id != child.id())
            .collect();
        rsyncs.retain(|process| process.group != child.id());
        let group = rsyncs
            .first()
            .and_then(|process| Group::new(process.group))
            .unwrap();
        assert!(
            rsyncs.iter().all(|process| process.group == group.id()),
            "{rsyncs:?}"
        );
        if whole_group {
            group.end().await;
        }
        assert_eq!(group.is_alive(), !whole_group);
        bed.fetch("ubuntu", &manifest, None).await.unwrap();
        assert!(!group.is_alive());
        assert!(bed.has(&base));
        let sent = bed.last_sent().await;
        assert!(
            sent < BIG as u64 - arrived + MIB as u64,
            "{arrived} had arrived, {sent} were sent"
        );
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_not_waited_for_for_ever() {
    let mut bed = Bed::new();
    bed.limits.quiet = Duration::from_secs(1);
    let base = noise(14, BIG);
    let (digest, manifest) = (digest_of(&base), bed.publish("ubuntu", &[("qcow2", &base)]));
    let silence = async {
        bed.arrived(&digest, 3 * MIB).await;
        bed.signal_daemons(Signal::STOP);
    };
    let (done, ()) = tokio::join!(bed.fetch("ubuntu", &manifest, Some("40 Mbit/s")), silence);
    let error = text(done.unwrap_err());
    assert!(
        error.contains("nothing has arrived from rsync://127.0.0.1")
            && error.contains("for 1 seconds"),
        "{error}"
    );
    assert!(bed.writers(&digest).is_empty());
    assert!(bed.store().partial(&digest).exists());
}

#[tokio::test]
async fn what_the_server_lacks_is_told_in_words() {
    let mut bed = Bed::new();
    let manifest = bed.publish("ubuntu", &[("qcow2", b"base")]);
    fs::remove_file(bed.released("ubuntu", "ubuntu.qcow2")).unwrap();
    let error = text(bed.fetch("ubuntu", &manifest, None).await.unwrap_err());
    assert!(
        error.contains("exit code 23") && error.contains("published completely"),
        "{error}"
    );
    assert!(error.contains("No such file"), "{error}");

    bed.central.release_module = "elsewhere".parse().unwrap();
    let other = digest_of(b"x");
    let error = text(bed.fetch("ubuntu", &other, None).await.unwrap_err());
    assert!(
        error.contains("exit code 5") && error.contains("central.release_module"),
        "{error}"
    );

    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    bed.central.port = free;
    let error = text(bed.fetch("ubuntu", &other, None).await.unwrap_err());
    assert!(
        error.contains("exit code 10") && error.contains("Connection refused"),
        "{error}"
    );

    bed.commands.rsync = "/nowhere/rsync".into();
    let error = text(bed.fetch("ubuntu", &other, None).await.unwrap_err());
    assert!(error.contains("commands.rsync"), "{error}");
}

#[tokio::test]
async fn rate_and_login_are_handed_to_rsync_and_the_password_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut bed = Bed::new();
    let (seen, script) = (
        bed.folder.path().join("seen"),
        bed.folder.path().join("rsync"),
    );
    fs::write(
        &script,
        format!(
            "#!/bin/sh\necho \"$@\" >>{}\nexec rsync \"$@\"\n",
            seen.display()
        ),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    bed.commands.rsync = script;
    let password_file = bed.folder.path().join("password");
    fs::write(&password_file, "geheim\n").unwrap();
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600)).unwrap();
    let login = ReleaseLogin {
        user: "school".to_owned(),
        password_file: password_file.clone(),
    };
    let manifest = bed.publish("ubuntu", &[("qcow2", b"base")]);
    let line = Line {
        paths: &bed.paths,
        commands: &bed.commands,
        central: &bed.central,
        login: Some(&login),
        digests: &bed.digests,
        limits: bed.limits,
    };
    let (image, version) = ("ubuntu".parse().unwrap(), "1".parse().unwrap());
    let rate = "8 Mbit/s".parse().ok();
    let wanted = Wanted {
        image: &image,
        version: &version,
        manifest: &manifest,
        rate,
        from: Timestamp::MIN,
        until: Timestamp::MAX,
    };
    download(&line, &wanted, &mut |_| ()).await.unwrap();
    let seen = fs::read_to_string(seen).unwrap();
    for argv in seen.lines() {
        assert!(
            argv.contains("--bwlimit=947 ") && argv.contains("--contimeout=30 --timeout=300"),
            "{argv}"
        );
        assert!(
            argv.contains(&format!("--password-file={}", password_file.display())),
            "{argv}"
        );
        assert!(
            argv.contains("rsync://school@127.0.0.1:") && !argv.contains("geheim"),
            "{argv}"
        );
    }
    assert_eq!(seen.lines().count(), 2);
}

#[tokio::test]
async fn two_at_once_share_what_both_need() {
    let bed = Bed::new();
    let (shared, own) = (noise(15, BIG), noise(16, MIB));
    let one = bed.publish("ubuntu", &[("qcow2", &shared)]);
    let two = bed.publish("debian", &[("qcow2", &shared), ("qdiff", &own)]);
    let rate = Some("80 Mbit/s");
    let (one, two) = tokio::join!(
        bed.fetch("ubuntu", &one, rate),
        bed.fetch("debian", &two, rate)
    );
    one.unwrap();
    two.unwrap();
    assert!(bed.has(&shared) && bed.has(&own));
    let log = fs::read_to_string(bed.folder.path().join("log")).unwrap();
    let moved = log
        .lines()
        .filter(|line| line.contains(" send ") && line.contains("qcow2"))
        .count();
    assert_eq!(moved, 1, "{log}");
}

#[tokio::test]
async fn a_disk_that_is_too_small_is_seen_before_and_one_that_fills_up_is_told() {
    let mut bed = Bed::new();
    let small = bed.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
        .arg(&small)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: only root can mount the small file system that this test fills");
        }
        return;
    }
    struct Mounted(PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            drop(Command::new("umount").arg("-l").arg(&self.0).status());
        }
    }
    let mounted = Mounted(small.clone());
    bed.paths.store = small.join("store");
    bed.paths.linbo = small.join("linbo");
    fs::create_dir_all(bed.paths.linbo.join("images")).unwrap();
    let base = noise(17, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &base)]);
    let error = text(bed.fetch("ubuntu", &manifest, None).await.unwrap_err());
    assert!(
        error.contains("20 MiB are to be fetched") && error.contains("22 MiB are needed"),
        "{error}"
    );

    let base = noise(18, 12 * MIB);
    let (digest, manifest) = (digest_of(&base), bed.publish("debian", &[("qcow2", &base)]));
    let fill = async {
        bed.arrived(&digest, MIB).await;
        drop(fs::write(small.join("filler"), vec![1; 16 * MIB]));
    };
    let (done, ()) = tokio::join!(bed.fetch("debian", &manifest, Some("40 Mbit/s")), fill);
    let error = text(done.unwrap_err());
    assert!(
        error.contains("exit code 11") && error.contains("disk is full"),
        "{error}"
    );
    fs::remove_file(small.join("filler")).unwrap();
    bed.fetch("debian", &manifest, None).await.unwrap();
    assert!(bed.has(&base));
    drop(mounted);
}
