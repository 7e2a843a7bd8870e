//! The main job: a commit is merged, a school converges.

use harness::lab::{Content, Lab, Room};

#[test]
fn a_school_converges() {
    let lab = Lab::builder()
        .state_repo(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/small"))
        .school("bs-nord", [Room::new("r101", 3).class("ubuntu-lab"), Room::new("r102", 2).class("ubuntu-lab")])
        .folder("/tmp/labx")
        .build()
        .expect("lab");
    let old = lab.central().publish("ubuntu", "2026.10.1", &Content::base(1).with_diff(1)).expect("publish");
    let server = format!("127.0.0.1:{}", lab.central().rsync.address.port());
    lab.repo().commit(|dir| {
        let fleet = dir.join("fleet.yaml");
        let text = std::fs::read_to_string(&fleet)?.replace("images.musterstadt.example", &server);
        std::fs::write(&fleet, text)?;
        let image = dir.join("images/ubuntu.yaml");
        let text = std::fs::read_to_string(&image)?.replace("7dc7e11f4ebeebce9bdb3e91a272ba8fec8458d58c9d2df7afbd57c6a22d2390", &old.manifest_sha256);
        std::fs::write(&image, text)?;
        Ok(())
    }, "the lab's addresses and digests").expect("commit");
    let nord = lab.server("bs-nord");
    std::fs::remove_file(nord.paths.linbo().join("start.conf.ubuntu-lab")).expect("start.conf");
    for (args, at) in [(&["--dry-run"][..], "2026-11-23 18:05:00"), (&[], "2026-11-23 18:05:00"), (&[], "2026-11-23 22:05:00"), (&["--dry-run"], "2026-11-23 22:06:00"), (&[], "2026-11-25 18:05:00"), (&["status"], "2026-11-25 18:30:00"), (&["history"], "2026-11-25 18:31:00"), (&["--dry-run"], "2026-11-25 18:50:00")] {
        let began = std::time::Instant::now();
        let output = nord.run(args, at).expect("run");
        println!("=== {at} {args:?} -> {:?} in {:?}\n{}{}", output.status, began.elapsed(), output.stderr, output.stdout);
    }
    println!("{:?}", lab.anomalies());
    println!("{:?}", lab.smtp().mails());
    panic!("look");
}
