//! What people asked for is kept, and whoever keeps it is not accused.

use harness::worlds::{
    GIB, World, applied, at, failed, live, manifest, name, os, schedule, unreachable,
};
use reconciler::linbo::status::{HostReport, ImageEvent};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Action, Entry, Gate, Orders, Probe, Suspended, plan};
use schema::fleet::{Canary, ResetCommand, Suspension, Waves};
use schema::policy::InUse;

use super::{Seed, busy_school, judged, notices};

const SEEDS: &[(&str, Seed)] = &[
    ("does not know what people ordered", |world, _| {
        world.observed.orders = Probe::Unseen(String::new());
    }),
    ("seed/old.qcow2 touches what is suspended", |world, _| {
        world.desired.suspended.all = vec![("school x".to_owned(), suspension())];
    }),
    ("download/far/1", |world, _| {
        let images = &mut world.desired.suspended.images;
        images.insert(name("far"), suspension());
    }),
    ("activate/new/1", |world, _| order(world, "image new")),
    ("touches what is suspended", |world, _| {
        world.room_mut("r1").suspended = Some(suspension());
    }),
    ("touches what is suspended", |world, _| {
        let hosts = &mut world.room_mut("r1").suspended_hosts;
        hosts.insert(name("r1-pc03"), suspension());
    }),
    ("start-conf/change touches", |world, _| {
        order(world, "server")
    }),
    ("touches what is suspended", |world, _| {
        order(world, "room r1")
    }),
    ("touches what is suspended", |world, _| {
        order(world, "host r2-pc04")
    }),
    ("brings hosts a suspended image", |world, _| {
        call(world, "calm");
        order(world, "image calm");
    }),
    ("whose wave is closed", |world, _| {
        call(world, "calm");
        canary(world, "3 hosts");
    }),
    ("whose wave is closed", |world, _| {
        call(world, "calm");
        for number in 1..=4 {
            let (file, stamp) = (name("calm.qcow2"), Some(name("202610011930")));
            let older = HostOutcome::applied_one(file, stamp);
            world.outcome(&format!("r1-pc0{number}"), at("2026-11-16T18:00"), older);
        }
        canary(world, "1 hosts");
    }),
    ("whose wave is closed", |world, _| first_wave(world)),
    ("whose wave is closed", |world, _| {
        first_wave(world);
        in_vain(world, &["2026-11-18"]);
    }),
    ("whose wave is closed", |world, _| {
        first_wave(world);
        in_vain(world, &["2026-11-09", "2026-11-11"]);
        let why = "somebody is logged in".to_owned();
        world.outcome(
            "r0-pc04",
            at("2026-11-12T18:00"),
            HostOutcome::InUse { why },
        );
        in_vain(world, &["2026-11-16", "2026-11-18"]);
    }),
    ("whose wave is closed", |world, _| {
        first_wave(world);
        in_vain(world, &STALLED);
        resume(world, "host r0-pc04", "2026-11-19T12:00");
    }),
    // It did not answer when the version was there already.
    ("whose wave is closed", |world, _| {
        first_wave(world);
        in_vain(world, &["2026-11-16", "2026-11-18"]);
        world.outcome("r0-pc04", at(PROVEN), unreachable());
    }),
    ("a rollout that stopped", |world, _| too_big(world)),
    ("a rollout that stopped", |world, _| {
        too_big(world);
        resume(world, "room r1", "2026-11-23T16:00");
    }),
    ("a host that is in use", |world, _| {
        in_use(world, "2026-11-23T18:25");
    }),
    ("a host that is in use", |world, _| {
        in_use(world, "2026-11-23T18:25");
        resume(world, "room r1", "2026-11-23T18:20");
    }),
    ("a host that is in use", |world, _| {
        in_use(world, "2026-11-23T18:05");
        world.room_mut("r1").in_use = InUse::Skip;
    }),
    ("treats hosts in use otherwise", |world, _| {
        world.room_mut("r1").in_use = name("force after 2 hours");
    }),
    (
        "of 8 PCs outside of a rollout, and 10 % are allowed",
        |world, _| {
            world.outcome("r1-pc01", at("2026-11-16T18:00"), applied("other.qcow2"));
            world.desired.guard.share = name("10 %");
        },
    ),
    ("reset/r1/2026-11-23T17:00:00Z re-images", |world, _| {
        call(world, "calm");
        for host in ["r1-pc01", "r1-pc02"] {
            let (file, stamp) = (name("calm.qcow2"), Some(name("202610011930")));
            let applied = HostOutcome::applied_one(file, stamp);
            world.outcome(host, at("2026-11-16T18:00"), applied);
        }
        world.desired.guard.share = name("24 %");
    }),
    // A diff is another state than its base.
    ("reset/r1/2026-11-23T17:00:00Z re-images", |world, _| {
        call(world, "calm");
        for host in ["r1-pc01", "r1-pc02"] {
            world.outcome(host, at("2026-11-16T18:00"), applied("calm.qdiff"));
        }
        world.desired.guard.share = name("24 %");
    }),
    ("start-conf/change re-images", |world, _| {
        world.device("r9", "r9-pc01", "change", 1);
        world.desired.guard.share = name("11 %");
    }),
    ("1 of 9 PCs outside of a rollout, and 11 %", |world, _| {
        replaced(world);
    }),
    ("1 of 9 PCs outside of a rollout, and 11 %", |world, _| {
        replaced(world);
        has_version(world, "0");
    }),
];

/// What is no violation: why, the beginning of the step that is wanted, and the world in which it is.
type Right = (&'static str, &'static str, fn(&mut World));

const RIGHTS: &[Right] = &[
    (
        "a class without PCs changes nobody's disk",
        "start-conf/change",
        |world| {
            world.desired.guard.share = name("0 %");
        },
    ),
    ("the wait is over", "reset/r1", |world| {
        in_use(world, "2026-11-23T18:20");
    }),
    ("somebody said to go on", "reset/r1", |world| {
        in_use(world, "2026-11-23T18:25");
        resume(world, "room r1", "2026-11-23T18:25");
    }),
    ("all failures are resolved", "reset/r1", |world| {
        too_big(world);
        resume(world, "room r1", "2026-11-23T17:00");
    }),
    (
        "the wave does not wait for a host that is suspended",
        "reset/r1",
        |world| {
            first_wave(world);
            let hosts = &mut world.room_mut("r0").suspended_hosts;
            hosts.insert(name("r0-pc04"), suspension());
        },
    ),
    (
        "the wave does not wait for a host that is stalled",
        "reset/r1",
        |world| {
            first_wave(world);
            in_vain(world, &STALLED);
        },
    ),
    (
        "a room that is never reset is in no wave",
        "reset/r1",
        |world| {
            call(world, "calm");
            canary(world, "1 rooms");
            world.room("r0", "lab", 2).reset = None;
        },
    ),
    (
        "what does not boot LINBO is in no wave",
        "reset/r1",
        |world| {
            call(world, "calm");
            canary(world, "1 hosts");
            world.room("r0", "lab", 0);
            world.device("r0", "r0-pc01", "lab", 0);
        },
    ),
    (
        "a host of another class is in no wave",
        "reset/r1",
        |world| {
            call(world, "calm");
            canary(world, "1 hosts");
            world.room("r0", "lab", 0);
            world.device("r0", "r0-pc01", "lab2", 1);
        },
    ),
    (
        "what others have commands for is in no wave",
        "reset/r1",
        |world| {
            call(world, "calm");
            canary(world, "1 hosts");
            world.room("r0", "lab", 1);
            let commands = (name("r0-pc01"), "sync:1".to_owned());
            world.observed.onboot = Probe::Seen([commands].into());
        },
    ),
    (
        "what comes in waves is no mass change",
        "activate/new/1",
        |world| {
            replaced(world);
            canary(world, "1 rooms");
        },
    ),
    ("the version is there already", "activate/new/1", |world| {
        replaced(world);
        has_version(world, "1");
    }),
];

fn suspension() -> Suspension {
    Suspension {
        reason: name("new furniture"),
        by: name("Hausmeister"),
        until: None,
    }
}

fn order(world: &mut World, what: &str) {
    let mut orders = Orders::default();
    let suspended = Suspended {
        since: at("2026-11-20T08:00"),
        reason: "new furniture".to_owned(),
        by: "root".to_owned(),
        until: None,
    };
    orders.suspend(what.parse().unwrap(), suspended);
    world.observed.orders = Probe::Seen(orders);
}

/// Gives what the server offers of an image the timestamp that [`applied`] has.
fn call(world: &mut World, image: &str) {
    let record = world.live_mut(image).base.as_mut().unwrap().record.as_mut();
    record.unwrap().timestamp = Some(name("202611011930"));
}

fn canary(world: &mut World, canary: &str) {
    world.desired.rollout.waves = Some(Waves {
        canary: Canary::Portion(name(canary)),
        ..Waves::default()
    });
}

/// When the hosts of [`first_wave`] got what the server offers.
const PROVEN: &str = "2026-11-20T18:00";

/// Lets a room of four hosts be the first to get what the server offers of an image: three have it.
fn first_wave(world: &mut World) {
    call(world, "calm");
    canary(world, "1 rooms");
    world.room("r0", "lab", 4);
    for host in ["r0-pc01", "r0-pc02", "r0-pc03"] {
        world.outcome(host, at(PROVEN), applied("calm.qcow2"));
    }
}

/// So many resets in vain that a host is left alone.
const STALLED: [&str; 3] = ["2026-11-11", "2026-11-16", "2026-11-18"];

/// Lets the fourth host of [`first_wave`] fail at the resets of these days.
fn in_vain(world: &mut World, days: &[&str]) {
    for day in days {
        let due = at(&format!("{day}T18:00"));
        world.outcome_of("r0-pc04", due, due, failed("no space"));
    }
}

/// Lets a new version fail on two of three hosts.
fn too_big(world: &mut World) {
    call(world, "calm");
    let before = at("2026-11-23T17:00");
    world.outcome("r1-pc01", before, applied("calm.qcow2"));
    for host in ["r1-pc02", "r1-pc03"] {
        world.outcome(host, before, failed("it is too big"));
    }
}

/// Lets one of nine PCs have a system that a new version replaces.
fn replaced(world: &mut World) {
    *world.live_mut("new") = live(&manifest("new", "0", GIB, None));
    world.class("fresh", &[os("new", ResetCommand::Sync)]);
    world.device("r9", "r9-pc01", "fresh", 1);
    world.desired.guard.share = name("11 %");
}

/// Lets the PC of [`replaced`] be put back to a version.
fn has_version(world: &mut World, version: &str) {
    let room = world.room("r9", "fresh", 0);
    room.reset = Some(schedule(&["sat 10:00"]));
    let entry = Entry::Host {
        step: Action::ImportDevices {
            classes: Vec::new(),
            hosts: Default::default(),
        }
        .id(),
        host: name("r9-pc01"),
        outcome: applied("new.qcow2"),
        version: Some(name(version)),
    };
    world.note(at("2026-11-21T10:30"), entry);
}

fn resume(world: &mut World, what: &str, when: &str) {
    let mut orders = Orders::default();
    orders.resume(what.parse().unwrap(), at(when));
    world.observed.orders = Probe::Seen(orders);
}

fn in_use(world: &mut World, when: &str) {
    let why = "somebody is logged in".to_owned();
    world.outcome("r1-pc01", at(when), HostOutcome::InUse { why });
}

#[test]
fn each_rule_of_care_notices_its_violation() {
    notices(busy_school, SEEDS);
}

#[test]
fn a_host_that_did_not_answer_has_what_it_said_before() {
    let (mut world, _) = busy_school();
    let report = HostReport {
        at: "2026-11-23T17:00".parse().unwrap(),
        event: ImageEvent::Applied,
        file: name("other.qcow2"),
        stamp: None,
    };
    let reports = std::sync::Arc::make_mut(&mut world.observed.reports);
    reports.insert(name("r1-pc01"), Probe::Seen(Some(report)));
    world.outcome("r1-pc01", at("2026-11-23T17:30"), unreachable());
    world.desired.guard.share = name("10 %");
    let plan = plan(&world.desired, &world.observed);
    let mut holds = plan.holds.iter();
    assert!(
        holds.any(|hold| matches!(hold.gate, Gate::Guard { .. })),
        "{plan:#?}"
    );
    let found = judged(&world, &plan);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nobody_is_accused_who_keeps_the_promises() {
    for (why, kind, change) in RIGHTS {
        let (mut world, _) = busy_school();
        change(&mut world);
        let plan = plan(&world.desired, &world.observed);
        let mut steps = plan.steps.iter();
        assert!(
            steps.any(|step| step.id.to_string().starts_with(kind)),
            "{why}: {:#?}",
            plan.holds
        );
        let found = judged(&world, &plan);
        assert!(found.is_empty(), "{why}: {found:#?}");
    }
}
