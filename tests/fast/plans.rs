//! What people read, as files under `tests/cases/plans`: plans as text, JSON and Markdown, and letters.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use harness::golden;
use harness::worlds::{GIB, World, applied, at, busy, failed, name, os, unreachable, windows};
use jiff::SignedDuration;
use reconciler::planning::{
    Allowance, Entry, Grub, Occupant, Probe, StepResult, Torrent, in_force, plan, preview,
};
use reconciler::report::mail::news;
use reconciler::report::style::Color;
use reconciler::report::summary;
use reconciler::report::summary::Summary;
use reconciler::report::text::Head;
use reconciler::report::title::Clock;
use reconciler::report::trouble::standing;
use reconciler::report::{json, markdown, text};
use reconciler::world::{CommitLine, Problem};
use schema::fleet::{DomainJoin, Origin, ResetCommand, RoomHosts};
use schema::name::HostName;

const MONDAY: &str = "2026-11-23T18:30";

fn shown(case: &str, world: &World, problems: &[Problem]) {
    let commit = CommitLine {
        id: "3f9c2ab41d5e6f708192a3b4c5d6e7f801234567".to_owned(),
        subject: "rooms: r101 is reset on Wednesdays too".to_owned(),
    };
    let blind = world.observed.blind_spots();
    let suspended = in_force(&world.desired, &world.observed);
    let clock = Clock {
        now: world.observed.at,
        zone: &world.desired.zone,
    };
    let server = world.desired.server.to_string();
    let head = Head {
        server: &server,
        commit: Some(&commit),
        problems,
        blind: &blind,
        suspended: &suspended,
        clock,
    };
    let preview = preview(&world.desired, world.observed.clone());
    golden::check(
        &format!("plans/{case}/plan.txt"),
        &text::plan(head, &preview, Color::Off),
    );
    let json = serde_json::to_string_pretty(&json::plan(head, &preview)).unwrap() + "\n";
    golden::check(&format!("plans/{case}/plan.json"), &json);
    golden::check(
        &format!("plans/{case}/plan.md"),
        &markdown::plan(head, &preview),
    );
}

#[test]
fn a_fresh_school_server_on_monday_evening() {
    let mut world = World::empty(at(MONDAY));
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
    world.files_mut("lab").start_conf = None;
    world.files_mut("lab").grub = Grub::Stale;
    world.room("r101", "lab", 20);
    world.room("r102", "lab", 12);
    shown("fresh", &world, &[]);
}

#[test]
fn converged() {
    shown("converged", &World::school(at(MONDAY)), &[]);
}

#[test]
fn all_of_a_night() {
    let mut world = World::school(at("2026-11-25T22:30"));
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.desired.download_rate = schema::units::Rate::bits_per_second(200_000_000);
    world.live_mut("ubuntu").diff.as_mut().unwrap().torrent = Torrent::Stale;
    world.converge_rooms();
    shown("night", &world, &[]);
}

/// A version goes after two weeks, another one at once, since a download lacks its space.
#[test]
fn deletions() {
    let mut world = World::school(at("2026-11-25T22:30"));
    for version in ["2026.8.1", "2026.9.1"] {
        world.store("ubuntu", version, 12 * GIB, Some(GIB));
    }
    let unneeded = vec![harness::worlds::manifest_digest("ubuntu", "2026.8.1")];
    let over = Vec::new();
    let since = at("2026-11-10T22:10");
    world.note(since, Entry::Versions { unneeded, over });
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    if let Probe::Seen(store) = &mut world.observed.store {
        store.free = GIB;
    }
    world.converge_rooms();
    shown("deletions", &world, &[]);
}

/// One image goes back, another one cannot: what it was to go back to is named no more.
#[test]
fn rolled_back() {
    let mut world = World::school(at("2026-11-25T22:30"));
    world.release("mint", "7", 8 * GIB, None);
    world.converge();
    world
        .desired
        .images
        .remove(&(name("ubuntu"), name("2026.10.1")));
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.store("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.converge();
    world.roll_back("ubuntu", "2026.10.1", true);
    world.roll_back("mint", "6", false);
    shown("rolled-back", &world, &[]);
}

#[test]
fn waiting_for_windows() {
    let mut world = World::school(at("2026-11-24T10:00"));
    world.observed.journal = Default::default();
    world.desired.images.clear();
    world.release("ubuntu", "2026.11.1", 12 * GIB, Some(GIB));
    world.release("mint", "7", 8 * GIB, None);
    world.store("mint", "7", 8 * GIB, None);
    world
        .files_mut("lab")
        .start_conf
        .as_mut()
        .unwrap()
        .push_str("Old = yes\n");
    world.room("lib", "lab", 2);
    world.room_mut("lib").reset = Some(harness::worlds::schedule(&["daily 09:00"]));
    world.observed.busy = Probe::Seen([(name("r101-pc03"), busy(world.observed.at))].into());
    shown("waiting", &world, &[]);
}

#[test]
fn things_that_need_a_person() {
    let mut world = World::school(at("2026-11-25T23:00"));
    world.release("cad", "3", 900 * GIB, None);
    let wanted = world.release("mint", "7", 8 * GIB, None);
    wanted.domain_join = DomainJoin::Rebrand;
    world.store("mint", "7", 8 * GIB, None);
    world.on_site("win11");
    world.live_mut("win11").base = None;
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.room("r200", "office", 5);
    world.on_site("win10");
    world.desired.pinned = [(name("win10"), name("202611011930"))].into();
    world.class("lathe", &[os("win10", ResetCommand::New)]);
    world.room("r300", "lathe", 1);
    world.class("old", &[os("ubuntu", ResetCommand::Sync)]);
    world.files_mut("old").start_conf = Some("[LINBO]\nServer = 10.0.0.1\n".to_owned());
    world.files_mut("lab").grub = Grub::Stale;
    world.row("r101;broken;lab;no-mac;10.0.0.1;;;;classroom-studentcomputer;;1;;;;;");
    world.room_mut("r101").hosts =
        RoomHosts::Listed([name("r101-pc01"), name("r101-pc02"), name("gone")].into());
    world.desired.windows.reset = windows(&["daily 17:00–24:00"]);
    world.observed.at = at("2026-11-25T22:40");
    let due = at("2026-11-25T18:05");
    for n in 0..3 {
        world.outcome(
            "r101-pc02",
            due + SignedDuration::from_mins(15 * n),
            failed("no space left in the cache"),
        );
    }
    world.outcome("r101-pc01", due, applied("ubuntu.qcow2"));
    shown("blocked", &world, &[]);
}

#[test]
fn start_conf_changes() {
    let mut world = World::school(at(MONDAY));
    let text = world.files_mut("lab").start_conf.clone().unwrap();
    world.files_mut("lab").start_conf =
        Some(text.replace("KernelOptions = quiet splash", "KernelOptions = nomodeset"));
    shown("start-conf", &world, &[]);
}

#[test]
fn incomplete_observation() {
    let mut world = World::school(at("2026-11-25T18:30"));
    world.observed.store = Probe::Unseen("/srv/linbo-reconciler: permission denied".to_owned());
    world.observed.busy =
        Probe::Unseen("tmux list-sessions: exit status 1: lost server".to_owned());
    std::sync::Arc::make_mut(&mut world.observed.reports).insert(
        name("r101-pc01"),
        Probe::Unseen("/srv/linbo/log/r101-pc01_image.status: the status file is empty".to_owned()),
    );
    let problem = Problem {
        is_failure: true,
        text: "commit 8d1f0aa is not applied: it has errors\nschools/bs-nord/school.yaml:4:7: unknown key `romms`".to_owned(),
    };
    shown("incomplete", &world, &[problem]);
    let mut world = World::school(at(MONDAY));
    world.observed.busy =
        Probe::Unseen("tmux list-sessions: exit status 1: lost server".to_owned());
    shown("unseen-only", &world, &[]);
}

#[test]
fn two_rooms_on_one_circuit() {
    let mut world = World::school(at(MONDAY));
    world.room("r102", "lab", 15);
    world.observed.journal = Default::default();
    shown("circuit", &world, &[]);
}

#[test]
fn a_dual_boot_room() {
    let mut world = World::school(at(MONDAY));
    world.on_site("win11");
    world.class(
        "dual",
        &[
            os("ubuntu", ResetCommand::Sync),
            os("win11", ResetCommand::New),
        ],
    );
    world.room("r103", "dual", 4);
    shown("dual-boot", &world, &[]);
}

/// A class whose disk is divided otherwise, and a room that came to another class.
#[test]
fn too_much_at_once() {
    let mut world = World::school(at("2026-11-23T18:05"));
    world.observed.at = at("2026-11-25T18:00");
    world.desired.guard = Allowance {
        share: name("40 %"),
        origin: Origin::Written {
            file: "fleet.yaml".to_owned(),
            line: 21,
        },
        file: "schools/bs-nord/school.yaml".to_owned(),
    };
    let text = world.files_mut("lab").start_conf.clone().unwrap();
    world.files_mut("lab").start_conf = Some(text.replace("Size = 50G", "Size = 40G"));
    world.on_site("win11");
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.room("r200", "office", 12);
    for host in 1..=12 {
        let host = format!("r200-pc{host:02}");
        world.outcome(&host, at("2026-11-23T18:05"), applied("ubuntu.qcow2"));
    }
    world.room("r300", "office", 4);
    shown("guard", &world, &[]);
    letter("guard-1-asks", &mut world, Summary::default());
    world.pass(5);
    letter("guard-2-asked", &mut world, Summary::default());
    world.desired.guard.share = name("100 %");
    letter("guard-3-allowed", &mut world, Summary::default());
}

/// It is told once, it is no failure, and it is not over with the next one.
#[test]
fn a_reset_that_could_not_be_caught_up() {
    let mut world = World::school(at("2026-11-18T18:10"));
    world.observed.at = at("2026-11-24T22:30");
    for host in ["r101-pc03", "r101-pc04"] {
        world.outcome(host, at("2026-11-23T21:55"), unreachable());
    }
    shown("missed", &world, &[]);
    letter("missed-1-tells", &mut world, Summary::default());
    world.pass(5);
    letter("missed-2-told", &mut world, Summary::default());
    world.observed.at = at("2026-11-25T18:10");
    world.converge_rooms();
    letter("missed-3-served", &mut world, Summary::default());
}

/// What is left of a converged school when only its images are of interest.
trait Rooms {
    fn converge_rooms(&mut self);
}

impl Rooms for World {
    fn converge_rooms(&mut self) {
        for host in self.hosts() {
            self.outcome(host.as_str(), self.observed.at, applied("ubuntu.qcow2"));
        }
    }
}

/// The letter of a pass over this world, if one is due, and what it writes into the journal.
fn letter(case: &str, world: &mut World, summary: Summary) {
    let summary = Summary {
        last: Some((
            world.observed.clone(),
            plan(&world.desired, &world.observed),
        )),
        ..summary
    };
    let zone = world.desired.zone.clone();
    let clock = Clock {
        now: world.observed.at,
        zone: &zone,
    };
    let standing = standing(&summary, clock);
    let letter = news("bs-nord", &standing, &world.observed.journal);
    let mail = match &letter {
        Some(news) => format!("Subject: {}\n\n{}", news.letter.subject, news.letter.body),
        None => "no letter\n".to_owned(),
    };
    golden::check(&format!("letters/{case}.txt"), &mail);
    golden::check(
        &format!("letters/{case}.summary.txt"),
        &summary::text(&summary, &standing, clock, Color::Off),
    );
    if let Some(news) = letter {
        world.note(world.observed.at, news.told);
    }
}

#[test]
fn letters_tell_each_thing_once() {
    let due = at("2026-11-25T18:00");
    let mut world = World::school(due);
    world.observed.journal = Default::default();
    world.release("mint", "7", 8 * GIB, None);
    world.desired.windows.download = windows(&["daily 00:00–24:00"]);
    let minutes = SignedDuration::from_mins;
    for host in world.hosts() {
        let (outcome, tries) = match host.as_str() {
            "r101-pc04" => (failed("no space left in the cache"), 1),
            "r101-pc07" => (unreachable(), 1),
            _ => (applied("ubuntu.qcow2"), 1),
        };
        (0..tries).for_each(|_| world.outcome(host.as_str(), due + minutes(8), outcome.clone()));
    }
    world.observed.at = due + minutes(12);
    let mint = plan(&world.desired, &world.observed).steps.remove(0);
    let why = "rsync: connection refused: central.example.org:873".to_owned();
    let result = StepResult::Failed {
        why: why.clone(),
        evidence: vec!["rsync error: error in socket IO (code 10)".to_owned()],
    };
    world.failure(&mint, world.observed.at, &why);
    let hosts = BTreeMap::from([
        (
            name("r101-pc04"),
            (name("r101"), failed("no space left in the cache")),
        ),
        (name("r101-pc07"), (name("r101"), unreachable())),
        (name("r101-pc01"), (name("r101"), applied("ubuntu.qcow2"))),
    ]);
    letter(
        "1-failures",
        &mut world,
        Summary {
            finished: vec![(mint.clone(), result)],
            hosts,
            ..Summary::default()
        },
    );

    // Nothing is new while the next tries are waited for.
    world.pass(1);
    letter("2-nothing-new", &mut world, Summary::default());

    // The store cannot be seen: nobody can say that the download is well again.
    let store = std::mem::replace(
        &mut world.observed.store,
        Probe::Unseen("/srv/store: input/output error".to_owned()),
    );
    letter("3-unseen", &mut world, Summary::default());
    world.observed.store = store;

    // The second try: one is well again, the other is given up.
    world.pass(20);
    world.outcome("r101-pc04", world.observed.at, applied("ubuntu.qcow2"));
    world.outcome("r101-pc07", world.observed.at, unreachable());
    world.note(
        world.observed.at,
        Entry::Finished {
            step: mint.id.clone(),
            result: StepResult::Done,
        },
    );
    reconciler::planning::predict(&mut world.observed, &mint);
    letter("4-better", &mut world, Summary::default());

    world.observed.at = at("2026-11-30T18:20");
    world
        .hosts()
        .iter()
        .for_each(|host| world.outcome(host.as_str(), world.observed.at, applied("ubuntu.qcow2")));
    letter("5-well-again", &mut world, Summary::default());
    letter("6-nothing", &mut world, Summary::default());

    // One fails at three resets in a row, which is told once, and that it is left alone then, too.
    for (due, case) in [
        ("2026-12-02T18:00", "7-fails"),
        ("2026-12-07T18:00", "8-fails-again"),
        ("2026-12-09T18:00", "9-fails-again"),
        ("2026-12-14T18:00", "10-left-alone"),
        ("2026-12-16T18:00", "11-left-alone-still"),
    ] {
        let due = at(due);
        world.observed.at = due + minutes(10);
        for host in world.hosts() {
            let outcome = match host.as_str() {
                "r101-pc04" if case.ends_with("alone") || case.ends_with("still") => continue,
                "r101-pc04" => failed("no space left in the cache"),
                _ => applied("ubuntu.qcow2"),
            };
            world.outcome_of(host.as_str(), due, due + minutes(5), outcome);
        }
        letter(case, &mut world, Summary::default());
    }
}

/// A session that nobody ends is told once, whether or not something waits for its host, and over when it is gone.
#[test]
fn a_session_that_hangs_is_told() {
    let mut world = World::school(at(MONDAY));
    let since = world.observed.at - SignedDuration::from_mins(115);
    let mut orphan = busy(since);
    orphan.by = Occupant::Orphan("/srv/run/hosts/r101-pc04.log".to_owned());
    let both = [
        (name("r101-pc03"), busy(since)),
        (name("r101-pc04"), orphan),
    ];
    world.observed.busy = Probe::Seen(both.into());
    letter("hangs-1-not-yet", &mut world, Summary::default());
    world.pass(10);
    letter("hangs-2-tells", &mut world, Summary::default());
    world.pass(10);
    let busy = std::mem::replace(
        &mut world.observed.busy,
        Probe::Unseen("tmux list-sessions: exit status 1: lost server".to_owned()),
    );
    letter("hangs-3-unseen", &mut world, Summary::default());
    world.observed.busy = busy;
    if let Probe::Seen(busy) = &mut world.observed.busy {
        busy.remove(&name::<HostName>("r101-pc03"));
    }
    letter("hangs-4-one-ended", &mut world, Summary::default());
}

/// What people were told of is over only when its opposite was seen.
#[test]
fn recovery_is_never_guessed() {
    let told = [
        "goal/activate/ubuntu",
        "goal/seed/ubuntu.qcow2",
        "goal/import",
        "goal/reset/r101",
        "host/r101-pc01",
    ];
    let over = |change: fn(&mut World)| {
        let mut world = World::school(at(MONDAY));
        world.outcome("r101-pc01", world.observed.at, failed("no"));
        change(&mut world);
        let opened = told.map(|key| (key.to_owned(), key.to_owned())).into();
        world.note(
            world.observed.at,
            Entry::Told {
                opened,
                closed: Vec::new(),
            },
        );
        let last = (
            world.observed.clone(),
            plan(&world.desired, &world.observed),
        );
        let clock = Clock {
            now: world.observed.at,
            zone: &world.desired.zone,
        };
        let standing = standing(
            &Summary {
                last: Some(last),
                ..Summary::default()
            },
            clock,
        );
        standing.over.into_keys().collect::<Vec<_>>()
    };
    let goals = [
        "goal/activate/ubuntu",
        "goal/import",
        "goal/reset/r101",
        "goal/seed/ubuntu.qcow2",
    ];
    assert_eq!(over(|_| {}), goals);
    type Blind = fn(&mut World);
    let cases: [(Blind, &[&str]); 5] = [
        (
            |world| world.observed.store = Probe::Unseen("x".to_owned()),
            &["goal/import", "goal/reset/r101"],
        ),
        (
            |world| {
                world
                    .observed
                    .live
                    .insert(name("ubuntu"), Probe::Unseen("x".to_owned()));
            },
            &["goal/import", "goal/reset/r101"],
        ),
        (
            |world| {
                world
                    .observed
                    .classes
                    .insert(name("lab"), Probe::Unseen("x".to_owned()));
            },
            &[
                "goal/activate/ubuntu",
                "goal/reset/r101",
                "goal/seed/ubuntu.qcow2",
            ],
        ),
        (
            |world| {
                world.observed.devices = Probe::Unseen("x".to_owned());
                std::sync::Arc::make_mut(&mut world.observed.reports).clear();
            },
            &[
                "goal/activate/ubuntu",
                "goal/import",
                "goal/seed/ubuntu.qcow2",
            ],
        ),
        (
            |world| {
                world.observed.journal = Default::default();
                let reset = plan(&world.desired, &world.observed).steps.remove(0);
                let since = world.observed.at;
                world
                    .observed
                    .running
                    .push(reconciler::planning::Running::begun(reset, since));
                world.outcome("r101-pc01", since, failed("no"));
            },
            &[
                "goal/activate/ubuntu",
                "goal/import",
                "goal/seed/ubuntu.qcow2",
            ],
        ),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        assert_eq!(over(change), expected, "{index}");
    }
}

/// Nothing of a school can break out of a table, a code block or an HTML element.
#[test]
fn markdown_bears_any_text() {
    let mut world = World::school(at(MONDAY));
    world
        .files_mut("lab")
        .start_conf
        .as_mut()
        .unwrap()
        .push_str("```\n</details> @all | <b>\n");
    let mut before = World::school(at(MONDAY));
    before.room("r102", "lab", 1);
    let reset = plan(&before.desired, &before.observed).steps.remove(0);
    world.room("r102", "lab", 1);
    world.failure(
        &reset,
        world.observed.at,
        "first | line\nsecond <script> @all",
    );
    shown("markup", &world, &[]);
}
