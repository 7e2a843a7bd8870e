//! Downloads that go wrong: what has arrived is kept, what is wrong is never shown to a client, and the reason is told.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use harness::lab::{Content, Release, Room, Server, TransferFault, run_tool};
use rustix::process::Signal;

use crate::fleet::{Fleet, ask, dry_run, image, last, pass, read};

/// 8 MiB that take a while, when they are slowed down.
fn big() -> Content {
    Content::base(1).base_size(8)
}

fn school(content: &Content) -> (Fleet, Server) {
    let fleet = Fleet::small([Room::new("r101", 1)], content).expect("fleet");
    let nord = fleet.nord();
    (fleet, nord)
}

/// How the download ended in the last pass.
fn download(server: &Server, at: &str) -> String {
    let steps = last(server, at).expect("history").steps;
    let found = steps
        .iter()
        .find(|(id, _)| id.starts_with("download/ubuntu/"));
    found.map_or_else(|| "not begun".to_owned(), |(_, end)| end.clone())
}

fn is_active(server: &Server) -> bool {
    server.paths.images().join("ubuntu/ubuntu.qcow2").is_file()
}

/// Bytes that have arrived and are not verified yet.
fn arrived(server: &Server) -> u64 {
    let mut todo = vec![server.paths.store()];
    let mut sum = 0;
    while let Some(folder) = todo.pop() {
        for path in fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
        {
            if path.is_dir() {
                todo.push(path);
            } else {
                sum += fs::metadata(&path).map_or(0, |about| about.len());
            }
        }
    }
    sum
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "waited for: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_transfer_that_was_cut_goes_on_where_it_was() {
    let (fleet, nord) = school(&big());
    let rsync = fleet.lab.central().rsync;
    rsync
        .set_fault(TransferFault::CutAfter(3 << 20))
        .expect("fault");
    let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
    let end = download(&nord, "2026-11-23 22:06:00");
    assert!(
        run.exit == 1 && end.starts_with("failed: ") && end.contains("ubuntu.qcow2"),
        "{end}\n{}",
        run.said
    );
    let kept = arrived(&nord);
    assert!(kept > 1 << 20, "only {kept} bytes were kept");
    rsync.set_fault(TransferFault::None).expect("fault");
    let run = pass(&nord, "2026-11-23 22:07:00").expect("pass");
    assert_eq!(
        download(&nord, "2026-11-23 22:08:00"),
        "not begun",
        "tried again at once: {}",
        run.said
    );
    let sent = rsync.sent();
    let run = pass(&nord, "2026-11-23 22:15:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    let sent = rsync.sent() - sent;
    assert!(
        sent < (8 << 20) - kept + (1 << 19),
        "{sent} bytes were sent after {kept} had been kept"
    );
    assert!(is_active(&nord));
    assert_eq!(
        fleet.lab.anomalies().expect("anomalies"),
        Vec::<String>::new()
    );
}

#[test]
fn a_server_that_refuses_is_told_by_its_address() {
    let (fleet, nord) = school(&image());
    let rsync = fleet.lab.central().rsync;
    rsync.set_fault(TransferFault::Refuse).expect("fault");
    let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
    let troubles = run.text("troubles");
    let url = format!("{}/releases/ubuntu/2026.10.1", rsync.address);
    assert!(
        run.exit == 1 && troubles.contains(&url) && troubles.contains("Connection refused"),
        "{troubles}"
    );
    let before = fleet.mails().expect("mails");
    assert!(
        before.iter().any(|(_, body)| body.contains(&url)),
        "{before:?}"
    );
    pass(&nord, "2026-11-23 22:12:00").expect("pass");
    assert_eq!(
        fleet.mails().expect("mails").len(),
        before.len(),
        "the same news twice"
    );
    rsync.set_fault(TransferFault::None).expect("fault");
    let run = pass(&nord, "2026-11-23 22:40:00").expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
    let (subject, _) = fleet.mails().expect("mails").pop().expect("a mail");
    assert!(subject.contains("good again"), "{subject}");
}

#[test]
fn a_transfer_that_stalls_is_ended_by_sigterm_and_keeps_what_it_has() {
    let (fleet, nord) = school(&big());
    let rsync = fleet.lab.central().rsync;
    rsync
        .set_fault(TransferFault::StallAfter(3 << 20))
        .expect("fault");
    let mut run = nord
        .spawn(&["--output", "json"], "2026-11-23 22:05:00")
        .expect("pass");
    until("some bytes", || arrived(&nord) > 2 << 20);
    assert!(!run.is_over().expect("pass"));
    run.signal(Signal::TERM).expect("signal");
    let run = read(
        run.wait(Duration::from_secs(60))
            .expect("the pass ends when it is asked to"),
    )
    .expect("json");
    assert!(!is_active(&nord), "{}", run.said);
    rsync.set_fault(TransferFault::None).expect("fault");
    let (sent, kept) = (rsync.sent(), arrived(&nord));
    let run = pass(&nord, "2026-11-23 22:15:00").expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
    let sent = rsync.sent() - sent;
    assert!(
        sent < (8 << 20) - kept + (1 << 19),
        "{sent} bytes were sent after {kept} had been kept"
    );
}

/// Replaces a published file without its neighbours that share it.
fn replace(release: &Release, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
    let path = release.folder.join(name);
    let mut bytes = fs::read(&path).expect(name);
    edit(&mut bytes);
    fs::remove_file(&path).expect(name);
    fs::write(&path, bytes).expect(name);
}

#[test]
fn what_is_not_what_git_says_is_never_active() {
    let (fleet, nord) = school(&image());
    let release = fleet
        .release("2026.11.1", &image().with_diff(2))
        .expect("release");
    fleet
        .edit("images/ubuntu.yaml", |text| {
            text.replace("stable: 2026.10.1", "stable: 2026.11.1")
        })
        .expect("edit");
    fleet.commit("the next one", |_| Ok(())).expect("commit");
    replace(&release, "manifest.json", |bytes| bytes.push(b'\n'));
    let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
    let end = download(&nord, "2026-11-23 22:06:00");
    assert!(
        run.exit == 1 && end.contains("manifest") && end.contains(&release.manifest_sha256[..8]),
        "{end}\n{}",
        run.said
    );

    replace(&release, "manifest.json", |bytes| _ = bytes.pop());
    replace(&release, "ubuntu.qdiff", |bytes| bytes[100_000] ^= 1);
    let run = pass(&nord, "2026-11-23 22:30:00").expect("pass");
    let end = download(&nord, "2026-11-23 22:31:00");
    assert!(
        run.exit == 1 && end.contains("ubuntu.qdiff") && end.contains("2026.11.1"),
        "{end}\n{}",
        run.said
    );
    assert!(!is_active(&nord), "a version that is not whole is active");

    replace(&release, "ubuntu.qdiff", |bytes| bytes[100_000] ^= 1);
    let run = pass(&nord, "2026-11-23 23:30:00").expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
}

#[test]
fn a_window_that_closes_pauses_and_the_next_one_goes_on() {
    let (fleet, nord) = school(&big());
    let rsync = fleet.lab.central().rsync;
    rsync.set_rate(50 << 10);
    // With less than a minute left, none is begun.
    let run = pass(&nord, "2026-11-24 04:58:50").expect("pass");
    assert_eq!(
        download(&nord, "2026-11-24 05:01:00"),
        "paused",
        "{}",
        run.said
    );
    assert_eq!(run.exit, 0, "a pause is no failure: {}", run.said);
    let kept = arrived(&nord);
    assert!(
        kept > 1 << 18 && !is_active(&nord),
        "{kept} bytes were kept"
    );
    rsync.set_rate(0);
    let connections = rsync.connections();
    let run = pass(&nord, "2026-11-24 18:00:00").expect("pass");
    assert_eq!(
        rsync.connections(),
        connections,
        "downloaded outside the window: {}",
        run.said
    );
    let sent = rsync.sent();
    let run = pass(&nord, "2026-11-24 22:00:10").expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
    let sent = rsync.sent() - sent;
    assert!(
        sent < (8 << 20) - kept + (1 << 19),
        "{sent} bytes were sent after {kept} had been kept"
    );
    assert!(
        fleet
            .mails()
            .expect("mails")
            .iter()
            .all(|(_, body)| !body.contains("download")),
        "a pause was mailed"
    );
}

#[test]
fn a_download_takes_no_more_of_the_line_than_it_may() {
    let (fleet, nord) = school(&big());
    fleet
        .edit("fleet.yaml", |text| {
            format!("{text}  download_rate: 16 Mbit/s\n")
        })
        .expect("edit");
    fleet.commit("a thin line", |_| Ok(())).expect("commit");
    let begin = Instant::now();
    let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
    // 8 MiB at 2 MB/s are four seconds; rsync lets a little go at once.
    assert!(
        begin.elapsed() > Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
}

/// A small disk of its own; taken away when dropped.
struct Disk(PathBuf);

impl Disk {
    /// None for whoever may not mount one.
    fn at(folder: &Path, mib: u32) -> Option<Self> {
        let path = folder.to_str()?;
        let size = format!("size={mib}m");
        run_tool(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", path],
            Path::new("/"),
        )
        .ok()?;
        Some(Self(folder.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run_tool("umount", &["-l", &self.0.to_string_lossy()], Path::new("/")).ok();
    }
}

#[test]
fn a_disk_that_fills_up_loses_nothing_and_is_told() {
    let (fleet, nord) = school(&big());
    let srv = nord.paths.root.join("srv");
    let aside = nord.paths.root.join("srv-aside");
    let copy = |from: &Path, to: &Path| {
        let from = format!("{}/.", from.display());
        run_tool("cp", &["-a", &from, &to.to_string_lossy()], Path::new("/")).expect("copy");
    };
    copy(&srv, &aside);
    let Some(_disk) = Disk::at(&srv, 40) else {
        // Only root may mount; the unit tests of the store stay.
        return;
    };
    copy(&aside, &srv);
    let rsync = fleet.lab.central().rsync;
    rsync.set_rate(500 << 10);
    let run = nord
        .spawn(&["--output", "json"], "2026-11-23 22:05:00")
        .expect("pass");
    until("some bytes", || arrived(&nord) > 1 << 20);
    let filler = srv.join("filler");
    let mut size = 64 << 20;
    let file = fs::File::create(&filler).expect("filler");
    while size > 4096 {
        let now = file.metadata().expect("filler").len();
        if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, now + size).is_err()
        {
            size /= 2;
        }
    }
    rsync.set_rate(0);
    let run = read(run.wait(Duration::from_secs(100)).expect("end")).expect("json");
    let end = download(&nord, "2026-11-23 22:10:00");
    assert!(
        run.exit == 1
            && end.contains("the disk is full")
            && run.text("troubles").contains("No space left on device"),
        "{end}\n{}",
        run.said
    );
    assert!(!is_active(&nord));
    let run = pass(&nord, "2026-11-23 22:30:00").expect("pass");
    let troubles = run.text("troubles");
    assert!(
        troubles.contains("free") && troubles.contains("needed"),
        "{troubles}"
    );
    drop(file);
    fs::remove_file(&filler).expect("filler");
    let run = pass(&nord, "2026-11-23 23:30:00").expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
    assert_eq!(
        fleet.lab.anomalies().expect("anomalies"),
        Vec::<String>::new()
    );
}

#[test]
fn a_download_waits_for_its_slot_and_takes_no_more_than_that() {
    let (fleet, nord) = school(&big());
    fleet
        .edit("fleet.yaml", |text| {
            text.replace("central:\n", "central:\n  uplink: 16 Mbit/s\n")
        })
        .expect("edit");
    fleet.commit("a line for all", |_| Ok(())).expect("commit");
    let plan = dry_run(&nord, "2026-11-23 21:00:00").expect("dry run");
    let waits = plan.json["holds"].to_string();
    assert!(
        waits.contains("until its slot, Mon 23 Nov 22:00 to ") && waits.contains(" at 16 Mbit/s"),
        "{}",
        plan.said
    );
    let forecast = ask(&nord, &["forecast", "--days", "1"], "2026-11-23 21:00:00").expect("look");
    let slot = &forecast.json["slots"][0];
    assert_eq!(slot["bits_per_second"], 16_000_000, "{}", forecast.said);
    // It connects when the slot begins, eight seconds later, and takes its time: 8 MiB at 2 MB/s.
    let rsync = fleet.lab.central().rsync;
    let before = rsync.connections();
    let begin = Instant::now();
    let running = thread::spawn(move || {
        let run = pass(&nord, "2026-11-23 21:59:52").expect("pass");
        (run, nord)
    });
    while begin.elapsed() < Duration::from_secs(6) {
        assert_eq!(rsync.connections(), before, "before its slot");
        thread::sleep(Duration::from_millis(100));
    }
    let (run, nord) = running.join().expect("pass");
    assert!(run.exit == 0 && is_active(&nord), "{}", run.said);
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(8 + 3), "{took:?}");
}
