//! Every rule of the judge notices what it is there for.

mod care;
mod rows;
mod test_classes;

use harness::worlds::{GIB, World, at, busy, day, digest, name, os, windows};
use reconciler::planning::{
    Action, NotBefore, Plan, Probe, Purpose, Reason, Running, Step, audit, plan,
};
use schema::fleet::{DomainJoin, Exam, ExamRooms, Origin, PowerBudget, ResetCommand};
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
        |_, plan| import(plan, "lab3"),
    ),
    ("would import bad rows", |world, plan| {
        import(plan, "lab3");
        world.row("r1;x;lab;nothing;10.0.0.9;;;;classroom-studentcomputer;;1;;;;;");
    }),
    ("import-devices would disturb reset/r1/", |_, plan| {
        import(plan, "lab");
    }),
    ("start-conf/lab would disturb reset/r1/", |_, plan| {
        let action = Action::WriteStartConf {
            class: name("lab"),
            before: None,
            after: String::new(),
        };
        also(plan, action);
    }),
    ("would put a start.conf in place", |world, plan| {
        import(plan, "lab3");
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
    ("a test class that is over", |world, _| {
        let until = day("2026-11-20");
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
    ("/e3b0c44298fc would disturb reset/r1/", |_, plan| {
        activate(plan, "calm");
    }),
    ("puts a version in place before the day", |world, plan| {
        world.desired.not_before = Some(NotBefore {
            day: "2026-11-24".parse().unwrap(),
            origin: Origin::Default,
        });
        activate(plan, "calm");
    }),
    ("/e3b0c44298fc would disturb seed/old.qcow2", |_, plan| {
        activate(plan, "old");
    }),
    ("would disturb reset/r1/2026-11-23T17:00:00Z", |_, plan| {
        let mut action = step(plan, "reset/r1").action.clone();
        if let Action::ResetRoom { due, .. } = &mut action {
            *due = at("2026-11-23T17:00");
        }
        also(plan, action);
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
    ("devices.csv does not give", |world, plan| {
        world.device("r1", "stranger", "lab", 0);
        takes_a_stranger(plan);
    }),
    ("devices.csv does not give", |world, plan| {
        world.device("r1", "stranger", "lab2", 1);
        takes_a_stranger(plan);
    }),
    ("devices.csv does not give", |world, plan| {
        world.device("r9", "stranger", "lab", 1);
        takes_a_stranger(plan);
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
];

fn also(plan: &mut Plan, action: Action) {
    plan.steps.push(Step::new(action, Reason::Absent));
}

fn import(plan: &mut Plan, class: &str) {
    let classes = vec![name(class)];
    let hosts = Default::default();
    also(plan, Action::ImportDevices { classes, hosts });
}

fn activate(plan: &mut Plan, image: &str) {
    let action = Action::Activate {
        image: name(image),
        version: name("1"),
        manifest: digest(""),
    };
    also(plan, action);
}

fn reset(plan: &mut Plan, change: fn(&mut Action)) {
    change(&mut step(plan, "reset/r1").action);
}

fn takes_a_stranger(plan: &mut Plan) {
    reset(plan, |action| {
        if let Action::ResetRoom { hosts, .. } = action {
            hosts[0].host = name("stranger");
        }
    });
}

fn judged(world: &World, plan: &Plan) -> Vec<String> {
    let found = audit(&world.desired, &world.observed, plan);
    found.iter().map(ToString::to_string).collect()
}

/// The judge says this.
#[track_caller]
fn says(world: &World, plan: &Plan, what: &str) {
    let found = judged(world, plan);
    assert!(
        found.iter().any(|line| line.contains(what)),
        "{what}: {found:#?}"
    );
}

/// Each of these violations of a good plan is noticed.
fn notices(good: fn() -> (World, Plan), seeds: &[(&str, Seed)]) {
    for (index, (what, seed)) in seeds.iter().enumerate() {
        let (mut world, mut plan) = good();
        seed(&mut world, &mut plan);
        let found = judged(&world, &plan);
        assert!(
            found.iter().any(|line| line.contains(what)),
            "{index}: {what}: {found:#?}"
        );
    }
}

#[test]
fn a_good_plan_is_not_objected_to() {
    let (world, plan) = busy_school();
    assert!(judged(&world, &plan).is_empty(), "{plan:#?}");
    let kinds: Vec<String> = plan.steps.iter().map(|step| step.id.to_string()).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
}

#[test]
fn each_rule_notices_its_violation() {
    notices(busy_school, SEEDS);
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

/// On the day of a rollout itself a version may come.
#[test]
fn the_first_day_of_a_rollout_is_one_of_it() {
    let (mut world, _) = busy_school();
    *world.live_mut("new") =
        harness::worlds::live(&harness::worlds::manifest("new", "0", GIB, None));
    let first = |world: &mut World, text: &str| {
        world.desired.not_before = Some(NotBefore {
            day: day(text),
            origin: Origin::Default,
        });
        judged(
            world,
            &reconciler::planning::plan(&world.desired, &world.observed),
        )
    };
    let plan = plan(&world.desired, &world.observed);
    assert!(
        plan.steps
            .iter()
            .any(|step| step.id.to_string().starts_with("activate/new"))
    );
    assert_eq!(first(&mut world, "2026-11-23"), [""; 0]);
    world.desired.not_before.as_mut().unwrap().day = day("2026-11-24");
    says(&world, &plan, "before the day of its rollout");
}

#[test]
fn hosts_are_switched_off_that_were_left_on_outside_of_lessons_and_exams() {
    let (mut world, _) = busy_school();
    let left = ["r1-pc01", "r1-pc02"].map(name);
    world.observed.left_on = Probe::Seen(left.clone().into());
    let mut plan = Plan::default();
    also(&mut plan, Action::SwitchOff { hosts: left.into() });
    assert_eq!(judged(&world, &plan), [""; 0]);
    let mut lessons = world.clone();
    lessons.desired.windows.lessons = windows(&["daily 00:00–24:00"]);
    says(&lessons, &plan, "would switch hosts off within lessons");
    let mut exam = world.clone();
    exam.desired.exams = vec![Exam {
        dates: name("2026-11-23"),
        rooms: ExamRooms::These([name("r1")].into()),
    }];
    says(&exam, &plan, "would switch hosts off in an exam");
    world.observed.left_on = Probe::Seen([name("r1-pc01")].into());
    says(&world, &plan, "what is not known to be left on");
}
