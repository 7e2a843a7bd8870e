//! The main job: a commit is merged, a school converges.

use std::fs;

use harness::lab::{Content, Room, changes, snapshot};

use crate::fleet::{Fleet, NORD, ask, dry_run, history, last, pass, read};

/// What a pass that has nothing to do may touch: its own state, and locks.
const OWN: [&str; 2] = ["var/lib/linuxmuster-reconciler", "run"];

/// What even a dry run touches: the clone of the state repo, and the folder that tmux makes when it is asked.
const LOOKED_AT: [&str; 2] = ["var/lib/linuxmuster-reconciler/state.git", "run/tmux"];

fn content() -> Content {
    Content::base(1).base_size(8).with_diff(1)
}

#[test]
fn a_school_converges_and_follows() {
    let rooms = [Room::new("r101", 3), Room::new("r102", 1)];
    let fleet = Fleet::small(rooms, &content()).expect("fleet");
    let (lab, nord) = (&fleet.lab, fleet.nord());
    let start_conf = nord.paths.linbo().join("start.conf.ubuntu-lab");
    let boot = nord.paths.linbo().join("boot/grub/ubuntu-lab.cfg");
    let image = nord.paths.images().join("ubuntu");
    let all = || snapshot(&nord.paths.root, &LOOKED_AT).expect("snapshot");
    let others = || snapshot(&nord.paths.root, &OWN).expect("snapshot");

    let before = others();
    let run = dry_run(&nord, "2026-11-23 18:05:00").expect("dry run");
    assert!(
        run.said.contains("start-conf/ubuntu-lab") || run.said.contains("start.conf.ubuntu-lab"),
        "{}",
        run.said
    );
    assert_eq!(
        changes(&before, &others()),
        Vec::<String>::new(),
        "a dry run changed something"
    );

    fs::remove_file(&boot).expect("boot configuration");
    pass(&nord, "2026-11-23 18:05:00").expect("pass");
    let done = last(&nord, "2026-11-23 18:06:00").expect("history").steps;
    let done: Vec<_> = done.iter().map(|(id, end)| format!("{id} {end}")).collect();
    assert_eq!(done, ["start-conf/ubuntu-lab done", "import-devices done"]);
    let text = fs::read_to_string(&start_conf).expect("start.conf");
    assert!(
        text.starts_with("# Written by reconcile") && text.contains("BaseImage = ubuntu.qcow2"),
        "{text}"
    );
    assert!(boot.is_file(), "the boot configuration was not made");
    assert_eq!(
        lab.central().rsync.connections(),
        0,
        "a download outside its window"
    );

    let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    let steps: Vec<_> = last(&nord, "2026-11-23 22:06:00").expect("history").steps;
    assert!(steps.iter().all(|(_, end)| end == "done"), "{steps:?}");
    let release = lab.central().releases().join("ubuntu/2026.10.1");
    for name in [
        "ubuntu.qcow2",
        "ubuntu.qcow2.info",
        "ubuntu.qdiff",
        "ubuntu.qdiff.info",
    ] {
        assert_eq!(
            fs::read(image.join(name)).expect(name),
            fs::read(release.join(name)).expect(name),
            "{name}"
        );
    }
    for name in ["ubuntu.qcow2", "ubuntu.qdiff"] {
        assert!(
            image.join(format!("{name}.torrent")).is_file(),
            "{name} has no torrent"
        );
        let session = format!("{}_torrent", name.replace('.', "_"));
        let sessions = nord.sessions().expect("sessions");
        assert!(
            sessions.contains(&session),
            "{name} is not seeded: {sessions:?}"
        );
    }
    assert!(
        lab.hosts()
            .all(|host| host.magic_packets().expect("packets") == 0),
        "a host was woken outside its window"
    );

    let run = pass(&nord, "2026-11-25 18:05:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    let applied = |stamp: &str| {
        for host in lab.hosts() {
            let applied = host.applied().expect("applied").expect("applied");
            assert_eq!(
                (applied.file.as_str(), applied.timestamp.as_str()),
                ("ubuntu.qdiff", stamp),
                "{}",
                host.name
            );
            assert_eq!(applied.base, nord.image("ubuntu.qcow2").expect("base"));
            assert_eq!(
                applied.diff,
                Some(nord.image("ubuntu.qdiff").expect("diff"))
            );
            assert_eq!(
                host.wrapped().expect("commands").last().map(String::as_str),
                Some("halt"),
                "{}",
                host.name
            );
        }
    };
    applied(&content().stamp());
    let hosts = last(&nord, "2026-11-25 18:20:00").expect("history").hosts;
    assert!(
        hosts.len() == 4 && hosts.values().all(|end| end == "applied"),
        "{hosts:?}"
    );
    let status = ask(&nord, &["status"], "2026-11-25 18:21:00").expect("status");
    assert!(
        status.exit == 0 && status.text("troubles").is_empty() && status.text("holds").is_empty(),
        "{}",
        status.said
    );

    let before = all();
    let run = dry_run(&nord, "2026-11-25 18:30:00").expect("dry run");
    assert!(
        run.exit == 0 && !run.said.contains("\"action\""),
        "{}",
        run.said
    );
    assert_eq!(
        changes(&before, &all()),
        Vec::<String>::new(),
        "a dry run of a converged server changed something"
    );
    let before = others();
    let run = pass(&nord, "2026-11-25 18:31:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    assert_eq!(
        changes(&before, &others()),
        Vec::<String>::new(),
        "a pass over a converged server changed something"
    );
    let steps = last(&nord, "2026-11-25 18:32:00").expect("history").steps;
    assert!(steps.is_empty(), "{steps:?}");

    let newer = content().with_diff(2);
    let release = fleet.release("2026.11.1", &newer).expect("release");
    fleet
        .edit("images/ubuntu.yaml", |text| {
            text.replace("stable: 2026.10.1", "stable: 2026.11.1")
        })
        .expect("promote");
    fleet
        .commit("ubuntu 2026.11.1 for all", |_| Ok(()))
        .expect("commit");
    let sent = lab.central().rsync.sent();
    let run = pass(&nord, "2026-11-25 22:05:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    let sent = lab.central().rsync.sent() - sent;
    // The diff alone, and of it what the one before does not hold.
    assert!(
        (1..release.diff_size + release.diff_size / 50).contains(&sent),
        "{sent} bytes were sent for a diff of {}",
        release.diff_size
    );
    let run = pass(&nord, "2026-11-30 18:35:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    applied(&newer.stamp());
    let doubled = history(&nord, "2026-11-30 19:00:00")
        .expect("history")
        .into_iter()
        .flat_map(|past| past.steps);
    let downloads = doubled
        .filter(|(id, _)| id.starts_with("download/"))
        .count();
    assert_eq!(downloads, 2, "each version once");
    assert_eq!(lab.anomalies().expect("anomalies"), Vec::<String>::new());
}

#[test]
fn schools_do_not_wait_for_each_other_and_windows_comes_from_its_own_school() {
    let rooms = [Room::new("w01", 2).class("metall-dual")];
    let schools = [
        (NORD, rooms.into()),
        ("bs-sued", vec![Room::new("edv1", 1)]),
    ];
    let fleet = Fleet::of("realistic", schools).expect("fleet");
    let image = crate::fleet::image();
    fleet.release("2026.10.1", &image).expect("release");
    fleet
        .release("2026.11.1", &image.clone().with_diff(2))
        .expect("release");
    let tried = fleet.lab.central().publish("gimp3", "2026.11.t1", &image);
    let digest = tried.expect("release").manifest_sha256;
    fleet
        .edit("images/gimp3.yaml", |text| {
            let begin = text.find("sha256:").map_or(0, |at| at + "sha256:".len());
            text.replace(&text[begin..begin + 64], &digest.to_string())
        })
        .expect("digest");
    fleet
        .commit("the lab's addresses and digests", |_| Ok(()))
        .expect("commit");
    let (lab, nord, sued) = (&fleet.lab, fleet.nord(), fleet.lab.server("bs-sued"));
    let windows = Content::base(7).base_size(2);
    nord.install("win11-metall", &windows).expect("windows");
    sued.set_fault("linuxmuster-import-devices", Some("dry-run-fails"))
        .expect("fault");

    let json = ["--output", "json"];
    let both =
        [&nord, &sued].map(|server| server.spawn(&json, "2026-11-25 22:30:00").expect("pass"));
    let [first, second] = both.map(|run| {
        read(run.wait(std::time::Duration::from_secs(100)).expect("end")).expect("json")
    });
    assert_eq!(first.exit, 0, "{}", first.said);
    assert!(
        second.exit == 1 && second.text("troubles").contains("import"),
        "{}",
        second.said
    );
    assert!(
        sued.paths.images().join("ubuntu/ubuntu.qdiff").is_file(),
        "its download waited for its import"
    );

    let run = pass(&nord, "2026-11-27 18:05:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    for name in ["w01-pc01", "w01-pc02"] {
        let host = lab.host(name);
        assert_eq!(
            host.wrapped().expect("commands"),
            ["initcache", "new:1", "sync:2", "halt"],
            "{name}"
        );
        let applied = host.applied().expect("applied").expect("applied");
        assert_eq!(
            applied.diff,
            Some(nord.image("ubuntu.qdiff").expect("diff")),
            "the last one applied is ubuntu"
        );
    }
    assert!(
        nord.paths
            .images()
            .join("win11-metall/win11-metall.qcow2")
            .is_file()
    );
    assert_eq!(
        lab.host("edv1-pc01").magic_packets().expect("packets"),
        0,
        "a host of the other school was woken"
    );
    assert_eq!(lab.anomalies().expect("anomalies"), Vec::<String>::new());
}
