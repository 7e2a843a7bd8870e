//! Reports, sessions and locks.

use super::super::hosts;
use super::*;

#[tokio::test]
async fn a_report_counts_when_it_is_whole() {
    let bed = Bed::new();
    bed.write("devices.csv", devices());
    let line = "202601152135 applied: ubuntu.qdiff \"202601101930\"\n";
    for cut in 0..=line.len() {
        bed.write("log/pc01_image.status", &line[..cut]);
        let seen = bed.look(&[]).await;
        let report = seen.reports[&name::<HostName>("pc01")]
            .seen()
            .unwrap_or_else(|| panic!("{cut}"));
        // Without its line end, and without the stamp as if there was no `.info`, it is whole.
        let is_whole = report
            .as_ref()
            .is_some_and(|report| report.event == ImageEvent::Applied);
        assert!(cut < line.len() - 1 || is_whole, "{cut}: {report:?}");
        assert!(
            cut > "202601152135 applied: ubuntu".len() || !is_whole,
            "{cut}: {report:?}"
        );
    }
    for garbage in [&b""[..], b"\n\n", b"\0\0\0", b"\xff\xfe\n", b"nothing\n"] {
        bed.write("log/pc01_image.status", garbage);
        assert_eq!(
            bed.look(&[]).await.reports[&name::<HostName>("pc01")],
            Probe::Seen(None)
        );
    }
    bed.folder("log/pc02_image.status");
    bed.write("log/pc09_image.status", vec![b'x'; 1 << 20]);
    let seen = bed.look(&[]).await;
    bed.unseen(
        &seen.reports[&name::<HostName>("pc02")],
        "log/pc02_image.status",
    );
    bed.unseen(
        &seen.reports[&name::<HostName>("pc09")],
        "log/pc09_image.status",
    );
    assert_eq!(seen.reports[&name::<HostName>("pc10")], Probe::Seen(None));
}

fn running(hosts: &[&str]) -> Running {
    let hosts = hosts
        .iter()
        .map(|host| Wake {
            host: name(host),
            mac: None,
        })
        .collect();
    let action = Action::ResetRoom {
        room: name::<RoomName>("r101"),
        test: None,
        due: NOW,
        hosts,
        commands: name("sync:1"),
        whole_room: true,
        images: vec![],
        class: name("c"),
        circuits: Vec::new(),
        force_from: None,
    };
    Running::begun(Step::new(action, Reason::Absent), NOW)
}

#[tokio::test]
async fn a_held_lock_is_an_orphan_unless_this_pass_holds_it() {
    let mut bed = Bed::new();
    for file in [
        "pc01.log",
        "pc02.log",
        "pc03.log",
        "pc04.txt",
        "-x.log",
        "UNKNOWN_.log",
    ] {
        bed.write(&format!("run/hosts/{file}"), "");
    }
    let held: Vec<File> = ["pc01.log", "pc02.log", "pc04.txt"]
        .iter()
        .map(|file| File::open(bed.path(&format!("run/hosts/{file}"))).unwrap())
        .collect();
    held.iter().for_each(|file| file.try_lock().unwrap());
    let seen = bed.look(&[running(&["pc02"])]).await;
    // Nobody knows since when.
    let orphan = Busy {
        by: Occupant::Orphan(bed.path("run/hosts/pc01.log").display().to_string()),
        since: seen.at,
        until: seen.at + SignedDuration::from_hours(2),
    };
    assert_eq!(seen.busy, Probe::Seen([(name("pc01"), orphan)].into()));
    // By the journal; what a clock that was put back left in the future began just now.
    for (minutes, hangs) in [(-121, true), (-119, false), (500, false)] {
        let at = seen.at + SignedDuration::from_mins(minutes);
        let begun = Record {
            at,
            pass: at,
            entry: Entry::Started {
                step: running(&[]).step.id.clone(),
                title: String::new(),
                hosts: vec![name("pc01")],
            },
        };
        bed.journal = [&begun].into_iter().collect();
        let seen = bed.look(&[running(&["pc02"])]).await;
        let orphan = &seen.busy.seen().unwrap()[&name::<HostName>("pc01")];
        assert_eq!(orphan.since, at.min(seen.at));
        assert_eq!(orphan.hangs(seen.at), hangs, "{minutes}");
    }
    assert_eq!(seen.running.len(), 1);
    drop(held);
    // Somebody else who looks is nobody who works.
    let looks = File::open(bed.path("run/hosts/pc03.log")).unwrap();
    looks.try_lock_shared().unwrap();
    assert_eq!(bed.look(&[]).await.busy, Probe::Seen(BTreeMap::new()));
    fs::remove_dir_all(bed.path("run")).unwrap();
    bed.write("run/hosts", "a file in place of the folder");
    bed.unseen(&bed.look(&[]).await.busy, "run/hosts");
}

/// A tmux server of the test's own, which ends with it.
struct Tmux {
    sockets: tempfile::TempDir,
}

impl Tmux {
    fn run(&self, args: &[&str]) {
        let mut command = std::process::Command::new("tmux");
        command
            .args(["-f", "/dev/null"])
            .args(args)
            .env("TMUX_TMPDIR", self.sockets.path())
            .env_remove("TMUX");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }

    async fn sessions(&self) -> Result<Vec<String>, String> {
        let mut tmux = crate::host::tmux::Tmux::new(Path::new("tmux"));
        tmux.sockets = Some(self.sockets.path());
        let hosts = hosts::sessions(tmux).await?;
        let now = Timestamp::now();
        let is_new = |since: &Timestamp| now.duration_since(*since) < SignedDuration::from_mins(5);
        assert!(hosts.values().all(is_new), "{hosts:?} at {now}");
        Ok(hosts.keys().map(ToString::to_string).collect())
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("tmux");
        // Best effort: it may be gone already.
        drop(
            command
                .arg("kill-server")
                .env("TMUX_TMPDIR", self.sockets.path())
                .env_remove("TMUX")
                .output(),
        );
    }
}

#[tokio::test]
async fn sessions_of_a_real_tmux() {
    let tmux = Tmux {
        sockets: tempfile::tempdir().unwrap(),
    };
    assert_eq!(tmux.sessions().await, Ok(vec![]), "never started");
    // As `linbo-remote` asks for it: tmux makes an underscore of the dot.
    for session in [
        "pc01.linbo-remote",
        "PC02.linbo-remote",
        "ubuntu_qcow2_torrent",
        "-.linbo-remote",
    ] {
        tmux.run(&["new", "-Ads", session, "sleep 600"]);
    }
    assert_eq!(
        tmux.sessions().await,
        Ok(vec!["pc01".into(), "pc02".into()])
    );
    tmux.run(&["kill-server"]);
    assert_eq!(tmux.sessions().await, Ok(vec![]), "ended");
}

#[tokio::test]
async fn without_an_answer_nobody_is_known_to_be_idle() {
    // The last is `tail -F`, which waits for files for ever.
    let cases = [
        ("false", 60_000, "exit code 1"),
        ("/nowhere/tmux", 60_000, "/nowhere/tmux"),
        ("tail", 300, "no answer within 0.3 s"),
    ];
    for (program, patience, why) in cases {
        let mut tmux = crate::host::tmux::Tmux::new(Path::new(program));
        tmux.deadline = Duration::from_millis(patience);
        let seen = hosts::sessions(tmux).await;
        let cause = seen.expect_err(program);
        assert!(cause.contains(why), "{program}: {cause}");
    }
    let mut bed = Bed::new();
    bed.config.commands.tmux = "/nowhere/tmux".into();
    assert!(bed.look(&[]).await.busy.cause().is_some());
}
