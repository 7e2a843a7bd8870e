//! A new version comes to a school in waves: the canary first, and no further when that goes bad.

use harness::lab::{Fault, Lab, Room, State};

use crate::one_school::{OneSchool, says, small};

/// Three rooms, a wave each.
fn school() -> OneSchool {
    let rooms = [("r01", 2), ("r02", 1), ("r03", 1)].map(|(room, pcs)| Room::new(room, pcs));
    let mut school = OneSchool::built(Lab::builder().school("bs-nord", rooms));
    school.release("2026.10.1", &small(1));
    point(&school, "2026.10.1");
    school
}

fn point(school: &OneSchool, version: &str) {
    school.point(version, version);
    school.edit(
        "fleet.yaml",
        "rollout: at_once",
        "rollout: { canary: 1 room, then: 1 room, healthy: 95 %, soak: 1 day, stop_at_failures: 10 % }",
        "in waves",
    );
}

/// What the host was given since it was asked last.
fn given(school: &OneSchool, host: &str) -> Vec<String> {
    let host = school.lab.host(host);
    let given = host.wrapped().unwrap();
    std::fs::remove_file(host.dir.join("commands.log")).ok();
    given
}

/// How often these were put back since they were asked last.
fn restores(school: &OneSchool, hosts: [&str; 2]) -> [usize; 2] {
    hosts.map(|host| {
        let given = given(school, host);
        given.iter().filter(|command| *command == "sync:1").count()
    })
}

#[test]
fn a_version_comes_in_waves_and_stops_when_it_fails_on_the_canary() {
    const LOADED: [&str; 3] = ["initcache", "sync:1", "halt"];
    const NOTHING: [&str; 0] = [];
    let mut school = school();
    let stamps = |seeds: [Option<u32>; 4]| seeds.map(|seed| seed.map(|seed| small(seed).stamp()));
    school.pass("2026-11-22 20:00:00", 0);

    let output = school.pass("2026-11-23 18:05:00", 0);
    says(&output, &["wave 2 of 3", "wave 3 of 3"]);
    assert_eq!(school.applied(), stamps([Some(1), Some(1), None, None]));
    assert_eq!(given(&school, "r01-pc01"), LOADED, "the cache comes first");
    // What opens the next wave is a day in good health, whatever the time of the day.
    school.pass("2026-11-24 18:01:00", 0);
    assert_eq!(given(&school, "r02-pc01"), NOTHING);
    // Hosts that load by torrent would wait for ever where nobody seeds.
    let nord = school.nord();
    let mut tmux = nord.command(std::path::Path::new("tmux")).unwrap();
    tmux.arg("kill-server").output().unwrap();
    let output = school.pass("2026-11-24 18:10:00", 0);
    says(
        &output,
        &["make the torrent of ubuntu.qcow2 anew", "1 host applied"],
    );
    assert_eq!(given(&school, "r02-pc01"), LOADED);
    school.pass("2026-11-25 18:20:00", 0);
    assert_eq!(school.applied(), stamps([Some(1); 4]));
    assert_eq!(
        given(&school, "r01-pc01"),
        ["sync:1", "halt"],
        "nothing to load"
    );
    assert_eq!(given(&school, "r03-pc01"), LOADED);

    // By its schedule, with nothing to load.
    assert_eq!(restores(&school, ["r01-pc02", "r02-pc01"]), [2, 1]);

    // The next version fails on the canary.
    school.release("2026.11.1", &small(2));
    point(&school, "2026.11.1");
    school.pass("2026-11-26 22:05:00", 0);
    for host in ["r01-pc01", "r01-pc02"] {
        school.lab.host(host).set_fault(Fault::SyncFails).unwrap();
    }
    school.pass("2026-11-30 18:05:00", 1);
    assert_eq!(
        school.told("rollout of ubuntu stopped: 2 of 2 hosts failed"),
        1
    );
    assert_eq!(restores(&school, ["r01-pc01", "r01-pc02"]), [1, 1]);
    let output = school.pass("2026-11-30 18:30:00", 1);
    says(&output, &["stopped", "reconcile resume image ubuntu"]);
    // Somebody has looked at it, and it fails again.
    school.run(&["resume", "image", "ubuntu"], "2026-11-30 18:31:00", 0);
    school.pass("2026-11-30 18:32:00", 1);
    school.pass("2026-11-30 18:55:00", 1);
    assert_eq!(restores(&school, ["r01-pc01", "r01-pc02"]), [1, 1]);
    assert_eq!(restores(&school, ["r02-pc01", "r03-pc01"]), [0, 0]);

    // A commit that names a better version goes on by itself.
    for host in ["r01-pc01", "r01-pc02"] {
        school.lab.host(host).clear_faults().unwrap();
    }
    school.release("2026.11.2", &small(3));
    point(&school, "2026.11.2");
    school.nord().run(&[], "2026-11-30 22:05:00").unwrap();
    school.pass("2026-12-01 18:05:00", 0);
    assert_eq!(
        school.applied(),
        stamps([Some(3), Some(3), Some(1), Some(1)])
    );
    assert_eq!(restores(&school, ["r02-pc01", "r03-pc01"]), [0, 0]);
    for host in school.lab.hosts() {
        assert_eq!(host.state().unwrap(), State::Off, "{}", host.name);
    }
    school.assert_clean();
}
