//! Every rule of the judge notices what it is there for.

use harness::worlds::{GIB, World, applied, at, busy, day, digest, failed, name, os, windows};
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{
    Action, Orders, Plan, Probe, Purpose, Running, Step, Suspended, audit, plan,
};
use schema::fleet::{
    Canary, DomainJoin, Exam, ExamRooms, PowerBudget, ResetCommand, Suspension, Waves,
};
use schema::policy::InUse;
use schema::units::Bytes;

/// A world on a Monday evening in which every action is planned, each room on a circuit of its own.
fn busy_school() -> (World, Plan) {
    let mut world = World::empty(at("2026-11-23T18:30"));
    world.desired.windows.download = windows(&["daily 00:00–24:00"]);
    for image in ["new", "old", "far", "calm", "also"] {
        world.release(image, "1", 10 * GIB, None);
    }
    world.store("new", "1", 10 * GIB, None);
    for image in ["old", "calm", "also"] {
        world.store(image, "1", 10 * GIB, None);
        *world.live_mut(image) =
            harness::worlds::live(&harness::worlds::manifest(image, "1", 10 * GIB, None));
    }
    world.live_mut("old").base.as_mut().unwrap().torrent = reconciler::planning::Torrent::Stale;
    world.class("change", &[os("calm", ResetCommand::Sync)]);
    world.files_mut("change").start_conf = Some("# Written by reconcile from x\n".to_owned());
    world.class("lab", &[os("calm", ResetCommand::Sync)]);
    world.class("lab2", &[os("also", ResetCommand::Sync)]);
    for (room, class, circuit) in [("r1", "lab", "a"), ("r2", "lab2", "b")] {
        world.room(room, class, 4).power_group = Some(name(circuit));
        world.desired.power.insert(
            name(circuit),
            PowerBudget {
                wake_per_minute: 2,
                on_at_once: 6,
            },
        );
    }
    let plan = plan(&world.desired, &world.observed);
    (world, plan)
}

fn step<'a>(plan: &'a mut Plan, kind: &str) -> &'a mut Step {
    plan.steps
        .iter_mut()
        .find(|step| step.id.to_string().starts_with(kind))
        .unwrap_or_else(|| panic!("{kind}"))
}

/// A seeded violation: what is done to a good world and its good plan.
type Seed = fn(&mut World, &mut Plan);

const SEEDS: &[(&str, Seed)] = &[
    ("stands twice in the plan", |_, plan| {
        plan.steps.push(plan.steps[0].clone());
    }),
    ("is running already", |world, plan| {
        world
            .observed
            .running
            .push(Running::begun(plan.steps[0].clone(), world.observed.at));
    }),
    ("has another identity", |_, plan| {
        let id = plan.steps[1].id.clone();
        plan.steps[0].id = id;
    }),
    ("start-conf/change is outside its window", |world, _| {
        world.desired.windows.activate = windows(&[]);
    }),
    (
        "start-conf/change is outside its window or within lessons",
        |world, _| {
            world.desired.windows.lessons = windows(&["daily 18:00–19:00"]);
        },
    ),
    ("takes the file for another", |world, _| {
        world.files_mut("change").start_conf = None;
    }),
    ("not ours", |world, plan| {
        world.files_mut("change").start_conf = Some("[LINBO]\n".to_owned());
        if let Action::WriteStartConf { before, .. } = &mut step(plan, "start-conf").action {
            *before = Some("[LINBO]\n".to_owned());
        }
    }),
    ("what the state repo does not say", |world, _| {
        world.desired.classes.remove("change");
    }),
    (
        "import-devices would disturb start-conf/change",
        |_, plan| import(plan),
    ),
    ("would import bad rows", |world, plan| {
        import(plan);
        world.row("r1;x;lab;nothing;10.0.0.9;;;;classroom-studentcomputer;;1;;;;;");
    }),
    ("would put a start.conf in place", |world, plan| {
        import(plan);
        world.files_mut("lab2").start_conf = None;
    }),
    ("download/far/1", |world, _| {
        world.desired.windows.download = windows(&[]);
    }),
    ("would have to stop before it begins", |world, plan| {
        if let Action::Download { until, .. } = &mut step(plan, "download").action {
            *until = world.observed.at;
        }
    }),
    ("fetches what is not in Git", |world, plan| {
        world.desired.images.remove(&(name("far"), name("1")));
        _ = plan;
    }),
    ("has no space", |_, plan| {
        if let Action::Download { bytes, .. } = &mut step(plan, "download").action {
            *bytes = Bytes(1000 * GIB);
        }
    }),
    ("would disturb download/far/1", |_, plan| {
        let mut other = step(plan, "download").clone();
        if let Action::Download { version, .. } = &mut other.action {
            *version = name("2");
        }
        plan.steps.push(Step::new(other.action, other.reason));
    }),
    ("of another domain", |world, _| {
        world
            .desired
            .images
            .get_mut(&(name("new"), name("1")))
            .unwrap()
            .domain_join = DomainJoin::Rebrand;
    }),
    ("an image under test", |world, _| {
        let until = day("2026-12-01");
        world
            .desired
            .images
            .get_mut(&(name("new"), name("1")))
            .unwrap()
            .purpose = Purpose::TestClass { until };
    }),
    ("not verified against Git", |world, _| {
        if let Probe::Seen(store) = &mut world.observed.store {
            store.objects.remove(&digest("new 1 qcow2"));
        }
    }),
    ("not verified against Git", |world, _| {
        world
            .desired
            .images
            .get_mut(&(name("new"), name("1")))
            .unwrap()
            .manifest = digest("other");
    }),
    ("activate/new/1", |world, _| {
        world.live_mut("new").uploading = true;
    }),
    ("activate/new/1", |world, _| {
        world.observed.busy = Probe::Unseen(String::new());
    }),
    ("activate/new/1", |world, _| {
        world.desired.windows.activate = windows(&["sun 00:00–24:00"]);
    }),
    ("seed/old.qcow2 would disturb an upload", |world, _| {
        world.live_mut("old").uploading = true;
    }),
    ("would disturb reset/r1/", |_, plan| {
        let manifest = digest("");
        let action = Action::Activate {
            image: name("calm"),
            version: name("1"),
            manifest,
        };
        plan.steps
            .push(Step::new(action, reconciler::planning::Reason::Absent));
    }),
    ("would disturb seed/old.qcow2", |_, plan| {
        if let Action::ResetRoom { images, .. } = &mut step(plan, "reset/r1").action {
            images.push(name("old"));
        }
    }),
    (
        "reset/r1/2026-11-23T17:00:00Z is outside its window",
        |world, _| {
            world.desired.windows.reset = windows(&["daily 19:00–22:00"]);
        },
    ),
    ("is in the holidays", |world, _| {
        let span = (day("2026-11-23"), day("2026-11-23"), String::new());
        world.desired.holidays = std::sync::Arc::new(schema::schedule::FreeDays::new([span]));
    }),
    ("is not due yet", |world, plan| {
        let later = world.observed.at + jiff::SignedDuration::from_secs(1);
        if let Action::ResetRoom { due, .. } = &mut step(plan, "reset/r1").action {
            *due = later;
        }
    }),
    ("has no hosts", |_, plan| {
        reset(plan, |action| {
            if let Action::ResetRoom { hosts, .. } = action {
                hosts.clear();
            }
        });
    }),
    ("of another class", |world, _| {
        world.room_mut("r1").class = name("lab2");
    }),
    ("devices.csv does not give", |world, _| {
        world.observed.devices = Probe::Unseen(String::new());
    }),
    ("devices.csv does not give", |_, plan| {
        reset(plan, |action| {
            if let Action::ResetRoom { hosts, .. } = action {
                hosts[0].host = name("r2-pc01");
            }
        });
    }),
    ("would touch more hosts", |world, _| {
        world.device("r1", "r1-teacher", "teachers", 1);
    }),
    ("is or may be busy", |world, _| {
        world.observed.busy = Probe::Seen([(name("r1-pc02"), busy(world.observed.at))].into());
    }),
    ("not there as a whole", |world, _| {
        world.live_mut("calm").base = None;
    }),
    ("not there as a whole", |world, _| {
        world.live_mut("calm").uploading = true;
    }),
    ("does not keep the budgets", |_, plan| {
        reset(plan, |action| {
            if let Action::ResetRoom { circuits, .. } = action {
                circuits[0].1.wake_per_minute += 1;
            }
        });
    }),
    ("does not keep the budgets", |_, plan| {
        reset(plan, |action| {
            if let Action::ResetRoom { circuits, .. } = action {
                circuits.clear();
            }
        });
    }),
    ("in an exam", |world, _| {
        let day = "2026-11-23".parse().unwrap();
        world.desired.exams = vec![Exam {
            dates: day,
            rooms: ExamRooms::All,
        }];
    }),
    ("outside its window", |world, _| {
        world.room_mut("r1").windows.reset = Some(windows(&["sat 10:00–12:00"]));
    }),
    ("within lessons", |world, _| {
        world.room_mut("r1").windows.lessons = Some(windows(&["daily 00:00–24:00"]));
    }),
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
        world.desired.rollout.waves = Some(Waves {
            canary: Canary::Portion(name("3 hosts")),
            ..Waves::default()
        });
    }),
    ("a rollout that stopped", |world, _| {
        call(world, "calm");
        let before = at("2026-11-23T17:00");
        world.outcome("r1-pc01", before, applied("calm.qcow2"));
        for host in ["r1-pc02", "r1-pc03"] {
            world.outcome(host, before, failed("it is too big"));
        }
    }),
    ("a host that is in use", |world, _| {
        in_use(world, "2026-11-23T18:25")
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
    ("start-conf/change re-images", |world, _| {
        world.device("r9", "r9-pc01", "change", 1);
        world.desired.guard.share = name("11 %");
    }),
    ("1 of 9 PCs outside of a rollout, and 11 %", |world, _| {
        let older = harness::worlds::manifest("new", "0", GIB, None);
        *world.live_mut("new") = harness::worlds::live(&older);
        world.class("fresh", &[os("new", ResetCommand::Sync)]);
        world.device("r9", "r9-pc01", "fresh", 1);
        world.desired.guard.share = name("11 %");
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

fn in_use(world: &mut World, when: &str) {
    let why = "somebody is logged in".to_owned();
    world.outcome("r1-pc01", at(when), HostOutcome::InUse { why });
}

fn import(plan: &mut Plan) {
    let action = Action::ImportDevices {
        classes: vec![name("lab3")],
    };
    plan.steps.push(Step::new(
        action,
        reconciler::planning::Reason::BootOutdated,
    ));
}

fn reset(plan: &mut Plan, change: fn(&mut Action)) {
    change(&mut step(plan, "reset/r1").action);
}

#[test]
fn each_rule_notices_its_violation() {
    let (world, plan) = busy_school();
    assert_eq!(
        audit(&world.desired, &world.observed, &plan),
        [],
        "the plan is good"
    );
    let kinds: Vec<String> = plan.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    for (index, (what, seed)) in SEEDS.iter().enumerate() {
        let (mut world, mut plan) = busy_school();
        seed(&mut world, &mut plan);
        let found: Vec<String> = audit(&world.desired, &world.observed, &plan)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            found.iter().any(|line| line.contains(what)),
            "{index}: {what}: {found:#?}"
        );
    }
}

/// What runs and was begun under another commit is not this plan's fault.
#[test]
fn what_runs_under_an_older_commit_is_not_judged() {
    let (mut world, plan) = busy_school();
    for step in plan.steps {
        world
            .observed
            .running
            .push(Running::begun(step, world.observed.at));
    }
    world.desired.windows = Default::default();
    let plan = reconciler::planning::plan(&world.desired, &world.observed);
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
}
