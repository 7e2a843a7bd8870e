//! The ledger: what decides how a host stands, and how people read it (`tests/cases/hosts`).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use harness::golden;
use harness::worlds::{
    GIB, World, applied, at, busy, failed, live, manifest, name, os, schedule, unreachable,
};
use jiff::{SignedDuration, Timestamp};
use reconciler::linbo::cause::Cause;
use reconciler::linbo::status::HostReport;
use reconciler::linbo::verdict::{HostOutcome, Restored};
use reconciler::planning::ledger::{HostEntry, HostState, Runs};
use reconciler::planning::{Entry, Ledger, Probe, Running, StepId, in_force, plan};
use reconciler::report::explain::{self, HostCase, RoomCase};
use reconciler::report::hosts;
use reconciler::report::style::Color;
use reconciler::report::text::Head;
use reconciler::report::times::RoomTimes;
use reconciler::report::title::Clock;
use reconciler::world::CommitLine;
use schema::fleet::ResetCommand;
use schema::name::{ImageName, RoomName, SchoolName};
use schema::tree::Tree;

const MONDAY: &str = "2026-11-23T18:45";
/// The stamp of [`applied`].
const STAMP: &str = "202611011930";

/// A school with two rooms whose image is in place; nothing is known of its hosts.
fn school() -> World {
    let mut world = World::empty(at(MONDAY));
    world.release("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
    world.store("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
    let found = live(&manifest("ubuntu", "2026.10.1", 12 * GIB, Some(GIB)));
    world
        .observed
        .live
        .insert(name("ubuntu"), Probe::Seen(found));
    let record = world.live_mut("ubuntu").diff.as_mut().unwrap();
    record.record.as_mut().unwrap().timestamp = Some(name(STAMP));
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    world.room("r101", "lab", 8);
    world.room("r102", "lab", 1);
    world.room_mut("r102").reset = Some(schedule(&["daily 09:00"]));
    world
}

/// Notes an attempt of the reset of r101 that was due at `due`.
fn tried(world: &mut World, host: &str, due: &str, when: Timestamp, outcome: HostOutcome) {
    let step: StepId = serde_json::from_value(format!("reset/r101/{}", at(due)).into()).unwrap();
    let entry = Entry::Host {
        step,
        host: name(host),
        outcome,
        version: None,
    };
    world.note(when, entry);
}

/// Notes that the reset of a host was begun.
fn begin(world: &mut World, host: &str, when: Timestamp) {
    let due = at("2026-11-23T18:00");
    let begun = Entry::Started {
        step: serde_json::from_value(format!("reset/r101/{due}").into()).unwrap(),
        title: "reset".to_owned(),
        hosts: vec![name(host)],
    };
    world.note(when, begun);
}

fn reported(world: &mut World, host: &str, line: &str) {
    let report = HostReport::parse(line.as_bytes()).unwrap();
    std::sync::Arc::make_mut(&mut world.observed.reports)
        .insert(name(host), Probe::Seen(Some(report)));
}

/// A school in which every host stands otherwise.
fn of_all_kinds() -> World {
    const LAST: &str = "2026-11-18T18:00";
    const DUE: &str = "2026-11-23T18:00";
    let mut world = school();
    let w = &mut world;
    let full = HostOutcome::Failed {
        why: Cause::CacheFull.meaning().to_owned(),
        evidence: vec![
            "Failed to write into the file /cache/ubuntu.qcow2, cause: No space left on device"
                .to_owned(),
            "ubuntu.qcow2 could not be downloaded!".to_owned(),
        ],
        restored: Vec::new(),
    };
    for n in 1..=6 {
        let host = format!("r101-pc{n:02}");
        tried(
            w,
            &host,
            LAST,
            at("2026-11-18T18:12"),
            applied("ubuntu.qdiff"),
        );
    }
    tried(
        w,
        "r101-pc01",
        DUE,
        at("2026-11-23T18:11"),
        applied("ubuntu.qdiff"),
    );
    for minute in ["10", "22", "35"] {
        let when = at(&format!("2026-11-23T18:{minute}"));
        tried(w, "r101-pc02", DUE, when, full.clone());
    }
    tried(w, "r101-pc03", DUE, at("2026-11-23T18:12"), unreachable());
    let hung = HostOutcome::Unknown {
        why: "`sync:1` was still running after 2 hours".to_owned(),
        evidence: vec!["Starting torrent download for ubuntu.qdiff.".to_owned()],
        restored: Vec::new(),
    };
    tried(w, "r101-pc04", DUE, at("2026-11-23T18:40"), hung);
    let w = &mut world;
    for due in ["2026-11-11T18:00", "2026-11-16T18:00", "2026-11-18T18:00"] {
        let when = at(due) + SignedDuration::from_mins(9);
        tried(w, "r101-pc08", due, when, full.clone());
    }
    let since = |hours| busy(at(MONDAY) - SignedDuration::from_hours(hours));
    let both = [(name("r101-pc05"), since(0)), (name("r102-pc01"), since(4))];
    world.observed.busy = Probe::Seen(both.into());
    // Somebody synced it by hand, and it got the base without the diff.
    let line = format!("202611231830 applied: ubuntu.qcow2 \"{STAMP}\"\n");
    reported(&mut world, "r101-pc06", &line);
    let unseen = "/srv/linbo/log/r101-pc07_image.status: permission denied".to_owned();
    std::sync::Arc::make_mut(&mut world.observed.reports)
        .insert(name("r101-pc07"), Probe::Unseen(unseen));
    world
}

fn with_head(world: &World, show: impl FnOnce(Head<'_>)) {
    let commit = CommitLine {
        id: "3f9c2ab41d5e6f708192a3b4c5d6e7f801234567".to_owned(),
        subject: "rooms: r101 is reset on Wednesdays too".to_owned(),
    };
    let blind = world.observed.blind_spots();
    let suspended = in_force(&world.desired, &world.observed);
    show(Head {
        server: "bs-nord",
        commit: Some(&commit),
        problems: &[],
        blind: &blind,
        suspended: &suspended,
        clock: Clock {
            now: world.observed.at,
            zone: &world.desired.zone,
        },
    });
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

#[test]
fn hosts_of_all_kinds() {
    let world = of_all_kinds();
    let ledger = Ledger::of(&world.desired, &world.observed);
    let plan = plan(&world.desired, &world.observed);
    with_head(&world, |head| {
        let check = |name: &str, text: &str| golden::check(&format!("hosts/{name}"), text);
        check("hosts.txt", &hosts::text(head, &ledger, Color::Off));
        check("hosts.json", &pretty(&hosts::json(head, &ledger)));
        check("hosts.md", &hosts::markdown(head, &ledger));
        for host in [
            "r101-pc01",
            "r101-pc02",
            "r101-pc05",
            "r101-pc07",
            "r101-pc08",
            "r102-pc01",
        ] {
            let host = name(host);
            let case = HostCase::of(&ledger, &host).unwrap();
            let text = explain::host(head, case, &plan, Color::Off);
            check(&format!("explain-{host}.txt"), &text);
        }
        let host = name("r101-pc02");
        let case = HostCase::of(&ledger, &host).unwrap();
        let json = explain::host_json(head, case, &plan);
        check("explain-r101-pc02.json", &pretty(&json));
        for room in ["r101", "r102"] {
            let case = room_case(&world, &ledger, room);
            let text = explain::room(head, &case, &plan, Color::Off);
            check(&format!("explain-{room}.txt"), &text);
            let json = explain::room_json(head, &case, &plan);
            check(&format!("explain-{room}.json"), &pretty(&json));
        }
    });
}

/// A host of a test class is shown with its own images, schedule and class.
#[test]
fn a_host_that_tries_something() {
    let mut world = World::school(at("2026-11-25T18:45"));
    let test = world.test_class("gimp3", &["r101-pc02"], "2026-11-27");
    test.reset = schema::fleet::TestReset::At(schedule(&["daily 18:00"]));
    world.converge();
    world.reclass("r101-pc02", "gimp3");
    for (host, file) in [
        ("r101-pc01", "ubuntu.qdiff"),
        ("r101-pc02", "ubuntu-gimp3.qdiff"),
    ] {
        world.outcome(host, at("2026-11-25T18:10"), applied(file));
    }
    let ledger = Ledger::of(&world.desired, &world.observed);
    let plan = plan(&world.desired, &world.observed);
    with_head(&world, |head| {
        let host = name("r101-pc02");
        let case = HostCase::of(&ledger, &host).unwrap();
        let text = hosts::text(head, &ledger, Color::Off);
        let text = text + &explain::host(head, case, &plan, Color::Off);
        golden::check("hosts/tries.txt", &text);
        let json = hosts::json(head, &ledger);
        let room = &json["rooms"][0];
        assert_eq!(room["tests"]["gimp3"]["class"], "gimp3");
        assert_eq!(room["hosts"][1]["test"], "gimp3");
        assert_eq!(room["hosts"][0]["test"], serde_json::Value::Null);
    });
}

/// A room without settings that are written anywhere.
fn room_case<'a>(world: &World, ledger: &'a Ledger<'_>, room: &str) -> RoomCase<'a> {
    let (name, entry) = ledger.rooms.get_key_value(&name::<RoomName>(room)).unwrap();
    let World {
        desired, observed, ..
    } = world;
    RoomCase {
        name,
        entry,
        settings: &[],
        times: RoomTimes::of(desired, observed, name, &desired.rooms[name]),
    }
}

/// Every setting with its place, and the next times with what they wait for.
#[test]
fn a_room_is_explained_to_the_line() {
    let tree = repo("examples/realistic");
    let fleet = schema::load(&tree).fleet.unwrap();
    let school: SchoolName = name("bs-nord");
    let server = reconciler::planning::Server::School(school.clone());
    let mut world = World::empty(at("2027-02-17T16:00"));
    world.desired = reconciler::planning::Desired::of(&fleet, &server).unwrap();
    for room in ["r101", "r102", "w01"] {
        let class = world.desired.rooms[&name::<RoomName>(room)]
            .class
            .to_string();
        world.device(room, &format!("{room}-pc01"), &class, 1);
    }
    let mut orders = reconciler::planning::Orders::default();
    orders.suspend(
        name("room w01"),
        reconciler::planning::Suspended {
            since: at("2027-02-01T09:00"),
            reason: "new machines".to_owned(),
            by: "root".to_owned(),
            until: None,
        },
    );
    world.observed.orders = Probe::Seen(orders);
    let ledger = Ledger::of(&world.desired, &world.observed);
    let plan = plan(&world.desired, &world.observed);
    with_head(&world, |head| {
        for room in ["r101", "r102", "w01"] {
            let room: RoomName = name(room);
            let settings = fleet.explain(&school, &room).unwrap();
            let case = RoomCase {
                settings: &settings,
                ..room_case(&world, &ledger, room.as_str())
            };
            let text = explain::room(head, &case, &plan, Color::Off);
            golden::check(&format!("rooms/{room}.txt"), &text);
            let json = pretty(&explain::room_json(head, &case, &plan));
            golden::check(&format!("rooms/{room}.json"), &json);
        }
    });
}

/// The documents of a folder of this house.
/// All files of a folder of the project, as a state repo.
pub(super) fn repo(folder: &str) -> Tree {
    fn collect(root: &Path, folder: &Path, tree: &mut Tree) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, tree);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                tree.insert(name, schema::tree::Entry::of(std::fs::read(&path).unwrap()));
            }
        }
    }
    let root = crate::root().join(folder);
    let mut tree = Tree::default();
    collect(&root, &root, &mut tree);
    tree
}

/// What the ledger says of `r101-pc01`.
#[track_caller]
fn stands(world: &World, state: HostState, runs: Runs, failures: usize) {
    entry(world, |entry| {
        assert_eq!(
            (entry.state, entry.runs, entry.failures),
            (state, runs, failures)
        );
    });
}

#[track_caller]
fn entry(world: &World, judge: impl FnOnce(&HostEntry<'_>)) {
    let ledger = Ledger::of(&world.desired, &world.observed);
    let (_, _, entry) = ledger.host(&name("r101-pc01")).unwrap();
    judge(entry);
}

#[test]
fn the_newest_evidence_decides() {
    let mut world = school();
    let host = "r101-pc01";
    stands(&world, HostState::Unknown, Runs::Unknown, 0);
    world.outcome(host, at("2026-11-16T18:10"), applied("ubuntu.qdiff"));
    stands(&world, HostState::Applied, Runs::Wanted, 0);
    world.outcome(host, at("2026-11-18T18:10"), failed("no"));
    world.outcome(host, at("2026-11-18T18:20"), unreachable());
    world.outcome(host, at("2026-11-18T18:30"), failed("no"));
    // What it had may be spoiled by what was begun since.
    stands(&world, HostState::Failed, Runs::Unknown, 2);
    // A report that is not newer than the last attempt is nothing new.
    for time in ["202611181829", "202611181830"] {
        let line = format!("{time} applied: ubuntu.qdiff \"{STAMP}\"\n");
        reported(&mut world, host, &line);
        stands(&world, HostState::Failed, Runs::Unknown, 2);
    }
    reported(
        &mut world,
        host,
        &format!("202611191000 applied: ubuntu.qdiff \"{STAMP}\"\n"),
    );
    stands(&world, HostState::Applied, Runs::Wanted, 0);
    reported(
        &mut world,
        host,
        "202611191000 applied: ubuntu.qdiff \"202609010000\"\n",
    );
    stands(&world, HostState::Applied, Runs::Other, 0);
    reported(&mut world, host, "202611191000 applied: ubuntu.qdiff \n");
    stands(&world, HostState::Applied, Runs::Unknown, 0);
    // Making an image is not getting one, and tomorrow has not happened yet.
    reported(
        &mut world,
        host,
        &format!("202611191000 created: ubuntu.qdiff {STAMP}\n"),
    );
    stands(&world, HostState::Failed, Runs::Unknown, 2);
    reported(
        &mut world,
        host,
        &format!("202611241000 applied: ubuntu.qdiff \"{STAMP}\"\n"),
    );
    stands(&world, HostState::Failed, Runs::Unknown, 2);
    // A clock that was put back by minutes makes nothing undone.
    world.outcome(host, at("2026-11-23T18:49"), applied("ubuntu.qdiff"));
    stands(&world, HostState::Applied, Runs::Wanted, 0);
    world.outcome(host, at("2027-11-18T18:30"), unreachable());
    stands(&world, HostState::Applied, Runs::Wanted, 0);
}

#[test]
fn a_host_that_this_pass_resets_is_busy() {
    let mut world = school();
    world.room_mut("r102").reset = None;
    let reset = plan(&world.desired, &world.observed).steps.remove(0);
    stands(&world, HostState::Unknown, Runs::Unknown, 0);
    let since = at("2026-11-23T18:40");
    world.observed.running.push(Running::begun(reset, since));
    stands(&world, HostState::Busy, Runs::Unknown, 0);
    entry(&world, |entry| assert_eq!(entry.since, Some(since)));
}

#[test]
fn rows_of_other_classes_and_of_no_pcs_are_no_hosts_of_a_room() {
    let mut world = school();
    world.device("r101", "r101-teacher", "teachers", 1);
    world.device("r101", "r101-printer", "lab", 0);
    let ledger = Ledger::of(&world.desired, &world.observed);
    assert_eq!(ledger.rooms[&name::<RoomName>("r101")].hosts.len(), 8);
}

#[test]
fn a_version_is_named_by_the_manifest_of_what_lies_there() {
    let mut world = school();
    for version in 1..=8 {
        world.store("ubuntu", &format!("2026.09.{version}"), 12 * GIB, Some(GIB));
    }
    world.outcome("r101-pc01", at("2026-11-23T18:10"), applied("ubuntu.qdiff"));
    entry(&world, |entry| {
        let found = &entry.applied[&name::<ImageName>("ubuntu")];
        assert_eq!(found.version, Some(&name("2026.10.1")));
    });
}

#[test]
fn a_try_that_began_nothing_leaves_what_a_host_has() {
    let mut world = school();
    let host = "r101-pc01";
    let line = format!("202611171000 applied: ubuntu.qdiff \"{STAMP}\"\n");
    reported(&mut world, host, &line);
    world.outcome(host, at("2026-11-18T18:10"), unreachable());
    stands(&world, HostState::Unreachable, Runs::Wanted, 0);
    world.outcome(host, at("2026-11-18T18:30"), failed("no"));
    stands(&world, HostState::Failed, Runs::Unknown, 1);
}

#[test]
fn what_is_wanted_is_what_git_says_not_what_lies_there() {
    let mut world = school();
    world.outcome("r101-pc01", at("2026-11-23T18:10"), applied("ubuntu.qdiff"));
    stands(&world, HostState::Applied, Runs::Wanted, 0);
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    stands(&world, HostState::Applied, Runs::Other, 0);
    world.observed.store = Probe::Unseen("permission denied".to_owned());
    stands(&world, HostState::Applied, Runs::Unknown, 0);
    // A room with two systems needs both.
    let mut world = school();
    world.outcome("r101-pc01", at("2026-11-23T18:10"), applied("ubuntu.qdiff"));
    world.on_site("win11");
    let systems = [
        os("ubuntu", ResetCommand::Sync),
        os("win11", ResetCommand::New),
    ];
    world.class("lab", &systems);
    stands(&world, HostState::Applied, Runs::Unknown, 0);
    let base = world.live_mut("win11").base.as_mut().unwrap();
    base.record.as_mut().unwrap().timestamp = Some(name(STAMP));
    // The status file holds the last image alone; the journal has the one before.
    reported(
        &mut world,
        "r101-pc01",
        &format!("202611231830 applied: win11.qcow2 \"{STAMP}\"\n"),
    );
    stands(&world, HostState::Applied, Runs::Wanted, 0);
}

/// The server's clock ran ahead at the first reset and was put right before the second.
#[test]
fn a_clock_that_ran_ahead_makes_no_old_state_the_newer_one() {
    let mut world = school();
    let old = HostOutcome::applied_one(name("ubuntu.qdiff"), Some(name("202610011930")));
    world.outcome("r101-pc01", at("2026-11-23T18:40"), old);
    world.outcome("r101-pc01", at("2026-11-23T18:20"), applied("ubuntu.qdiff"));
    stands(&world, HostState::Applied, Runs::Wanted, 0);
}

/// A host with two systems of which one could not be put back is not fresh, and keeps what is known of the other,
/// for the rollout of that one, too.
#[test]
fn a_host_keeps_what_went_well_beside_what_failed() {
    let mut world = school();
    world.on_site("win11");
    let systems = [
        os("ubuntu", ResetCommand::Sync),
        os("win11", ResetCommand::New),
    ];
    world.class("lab", &systems);
    let host = "r101-pc01";
    let outcome = HostOutcome::Failed {
        why: "no space left in the cache".to_owned(),
        evidence: Vec::new(),
        restored: vec![Restored {
            file: name("ubuntu.qdiff"),
            stamp: Some(name(STAMP)),
        }],
    };
    tried(
        &mut world,
        host,
        "2026-11-23T18:00",
        at("2026-11-23T18:20"),
        outcome,
    );
    stands(&world, HostState::Failed, Runs::Unknown, 1);
    let ledger = Ledger::of(&world.desired, &world.observed);
    let found = name(host);
    let (_, _, entry) = ledger.host(&found).unwrap();
    let images: Vec<&str> = entry.applied.keys().map(|image| image.as_str()).collect();
    assert_eq!((images, entry.is_fresh), (vec!["ubuntu"], false));
    let runs = world
        .observed
        .journal
        .host(&found)
        .runs(&name("ubuntu.qdiff"));
    assert_eq!(runs.unwrap().stamp, Some(name(STAMP)));
    // Many attempts later that is still known.
    for day in 1..20 {
        let when = at(MONDAY) + SignedDuration::from_hours(day);
        world.outcome(host, when, failed("no"));
    }
    let journal = &world.observed.journal;
    assert_eq!(journal.host(&found).attempts().len(), 16);
    assert_eq!(journal.host(&found).applied().count(), 1);
}

/// A pass that was killed: what a host had before says nothing any more, and neither does an older report.
#[test]
fn what_was_begun_and_not_heard_of_is_unknown() {
    let mut world = school();
    let host = "r101-pc01";
    world.outcome(host, at("2026-11-18T18:10"), applied("ubuntu.qdiff"));
    stands(&world, HostState::Applied, Runs::Wanted, 0);
    reported(
        &mut world,
        host,
        &format!("202611231801 applied: ubuntu.qdiff \"{STAMP}\"\n"),
    );
    begin(&mut world, host, at("2026-11-23T18:05"));
    stands(&world, HostState::Unknown, Runs::Unknown, 0);
    let begun = Some(at("2026-11-23T18:05"));
    entry(&world, |entry| assert_eq!(entry.unheard, begun));
    // The command went on without the pass, and the host tells of its end.
    reported(
        &mut world,
        host,
        &format!("202611231809 applied: ubuntu.qdiff \"{STAMP}\"\n"),
    );
    stands(&world, HostState::Applied, Runs::Wanted, 0);
    entry(&world, |entry| assert_eq!(entry.unheard, None));
}

/// What failed before says nothing of what was begun after it.
#[test]
fn what_was_begun_and_not_heard_of_has_no_known_cause() {
    let mut world = school();
    let host = "r101-pc01";
    let meaning = Cause::CacheFull.meaning();
    world.outcome(host, at("2026-11-23T18:10"), failed(meaning));
    entry(&world, |entry| {
        assert_eq!(entry.cause(), Some(Cause::CacheFull));
    });
    begin(&mut world, host, at("2026-11-23T18:20"));
    entry(&world, |entry| assert_eq!(entry.cause(), None));
}
