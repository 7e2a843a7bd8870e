//! What goes out of the store, when, and what never does.

use std::collections::BTreeSet;

use harness::worlds::{
    GIB, World, applied, at, day, live, manifest, manifest_digest, name, os, worlds,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use reconciler::planning::retention::{PATIENCE, changes};
use reconciler::planning::{
    Action, Entry, Gate, Plan, Probe, Purpose, Reason, Step, audit, plan, predict, preview, wake,
};
use schema::digest::Digest;
use schema::fleet::ResetCommand;
use schema::units::Bytes;

const NOW: &str = "2026-11-23T18:30";

/// Version 3 is wanted and live, 2 was live before, and nobody has needed 1 for 15 days.
fn school() -> World {
    let mut world = World::empty(at(NOW));
    for image in ["ubuntu", "mint"] {
        world.release(image, "3", 12 * GIB, None);
        for version in ["1", "2", "3"] {
            world.store(image, version, 12 * GIB, None);
        }
        *world.live_mut(image) = live(&manifest(image, "3", 12 * GIB, None));
        keep(&mut world, image, "2");
        keep(&mut world, image, "3");
    }
    unneeded(&mut world, "ubuntu", "1", 15);
    world.converge();
    world
}

fn keep(world: &mut World, image: &str, version: &str) {
    if let Probe::Seen(kept) = &mut world.observed.kept {
        let manifest = manifest(image, version, 12 * GIB, None);
        kept.extend(manifest.files().iter().map(|file| file.sha256));
    }
}

fn unneeded(world: &mut World, image: &str, version: &str, days: i64) {
    let entry = Entry::Versions {
        unneeded: vec![manifest_digest(image, version)],
        over: Vec::new(),
    };
    world.note(
        world.observed.at - SignedDuration::from_hours(24 * days),
        entry,
    );
}

fn of(world: &World) -> Plan {
    let plan = plan(&world.desired, &world.observed);
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    plan
}

/// What is deleted: `ubuntu 1`.
fn deleted(plan: &Plan) -> Vec<String> {
    let deleted = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Delete { image, version, .. } => Some(format!("{image} {version}")),
        _ => None,
    });
    deleted.collect()
}

#[test]
fn what_nobody_needed_for_two_weeks_goes() {
    let mut world = school();
    let plan = of(&world);
    assert_eq!(deleted(&plan), ["ubuntu 1"]);
    let step = plan.steps.last().unwrap();
    let since = world.observed.at - SignedDuration::from_hours(15 * 24);
    assert_eq!(step.reason, Reason::Unneeded { since });
    assert!(
        matches!(&step.action, Action::Delete { bytes, .. } if *bytes == Bytes(12 * GIB)),
        "{step:?}"
    );
    let free = world.observed.store.seen().unwrap().free;
    predict(&mut world.observed, step);
    let store = world.observed.store.seen().unwrap();
    assert_eq!(store.free, free + 12 * GIB);
    assert_eq!(deleted(&of(&world)), [""; 0]);
    // That it is gone is noted, and that another one is needed no more.
    let gone = Entry::Versions {
        unneeded: vec![manifest_digest("mint", "1")],
        over: vec![manifest_digest("ubuntu", "1")],
    };
    assert_eq!(changes(&world.desired, &world.observed), Some(gone.clone()));
    world.note(world.observed.at, gone);
    assert_eq!(changes(&world.desired, &world.observed), None);
}

#[test]
fn the_plan_knows_when_the_next_one_goes() {
    let mut world = school();
    unneeded(&mut world, "mint", "1", 3);
    let end = world.observed.at + PATIENCE - SignedDuration::from_hours(3 * 24);
    let plan = of(&world);
    assert_eq!(plan.wake, Some(end));
    let next = wake(&plan, &world.desired, end - SignedDuration::from_mins(1));
    assert_eq!(next, Some(end));
    world.observed.at = end - SignedDuration::from_secs(1);
    assert_eq!(deleted(&of(&world)), ["ubuntu 1"]);
    world.observed.at = end;
    // One after the other: what both have goes with the last.
    assert_eq!(deleted(&of(&world)), ["ubuntu 1"]);
    let look = preview(&world.desired, world.observed.clone());
    let deletions = look
        .steps()
        .filter(|step| matches!(step.action, Action::Delete { .. }));
    assert_eq!(deletions.count(), 2);
}

/// A version that was needed again and is not any more waits anew.
#[test]
fn a_version_that_was_needed_meanwhile_waits_anew() {
    let mut world = school();
    world.release("ubuntu", "1", 12 * GIB, None).purpose = Purpose::TestClass {
        until: day("2026-11-23"),
    };
    let over = Entry::Versions {
        unneeded: vec![manifest_digest("mint", "1")],
        over: vec![manifest_digest("ubuntu", "1")],
    };
    assert_eq!(changes(&world.desired, &world.observed), Some(over.clone()));
    world.note(world.observed.at, over);
    assert_eq!(deleted(&of(&world)), [""; 0]);
    world.observed.at += SignedDuration::from_hours(24);
    let again = Entry::Versions {
        unneeded: vec![manifest_digest("ubuntu", "1")],
        over: Vec::new(),
    };
    assert_eq!(changes(&world.desired, &world.observed), Some(again));
    assert_eq!(deleted(&of(&world)), [""; 0]);
}

/// A clock that was wrong for a while keeps nothing for years.
#[test]
fn a_time_to_come_is_noted_anew() {
    let mut world = school();
    unneeded(&mut world, "ubuntu", "1", -400);
    assert_eq!(deleted(&of(&world)), [""; 0]);
    let Some(Entry::Versions { unneeded, .. }) = changes(&world.desired, &world.observed) else {
        panic!("nothing is noted")
    };
    assert!(unneeded.contains(&manifest_digest("ubuntu", "1")));
}

/// What is done to a world in which version 1 of ubuntu would be deleted.
type Change = fn(&mut World);

const REASONS_TO_STAY: &[(&str, Change)] = &[
    ("it was needed until lately", |world| {
        unneeded(world, "ubuntu", "1", 13)
    }),
    ("it was not noticed", |world| {
        let entry = Entry::Versions {
            unneeded: Vec::new(),
            over: vec![manifest_digest("ubuntu", "1")],
        };
        world.note(world.observed.at, entry);
    }),
    ("rooms want it", |world| {
        world.desired.images.remove(&(name("ubuntu"), name("3")));
        world.release("ubuntu", "1", 12 * GIB, None);
        world.desired.windows.activate = harness::worlds::windows(&[]);
    }),
    ("a test class wants it", |world| {
        let until = day("2026-11-23");
        world.release("ubuntu", "1", 12 * GIB, None).purpose = Purpose::TestClass { until };
    }),
    ("it is live", |world| {
        *world.live_mut("ubuntu") = live(&manifest("ubuntu", "1", 12 * GIB, None));
        world.desired.windows.activate = harness::worlds::windows(&[]);
    }),
    ("what is live cannot be seen", |world| {
        world
            .observed
            .live
            .insert(name("ubuntu"), Probe::Unseen("no".to_owned()));
    }),
    ("it was live before", |world| keep(world, "ubuntu", "1")),
    ("what was live before cannot be seen", |world| {
        world.observed.kept = Probe::Unseen("no".to_owned());
    }),
    ("a host runs it", |world| {
        world.class("lab", &[os("ubuntu", ResetCommand::Sync)]);
        world.room("r7", "lab", 1);
        let entry = Entry::Host {
            step: Action::SwitchOff { hosts: Vec::new() }.id(),
            host: name("r7-pc01"),
            outcome: applied("ubuntu.qcow2"),
            version: Some(name("1")),
        };
        world.note(world.observed.at, entry);
    }),
    ("hosts cannot be seen", |world| {
        world.observed.devices = Probe::Unseen("no".to_owned());
    }),
    ("the image is suspended", |world| {
        let Probe::Seen(orders) = &mut world.observed.orders else {
            return;
        };
        let suspended = reconciler::planning::Suspended {
            since: world.observed.at,
            until: None,
            reason: name("a fault is looked for"),
            by: "Ada".to_owned(),
        };
        orders.suspend("image ubuntu".parse().unwrap(), suspended);
    }),
];

#[test]
fn each_reason_to_stay_is_enough_and_the_judge_knows_it() {
    let good = of(&school());
    for (why, change) in REASONS_TO_STAY {
        let mut world = school();
        change(&mut world);
        let plan = plan(&world.desired, &world.observed);
        assert_eq!(deleted(&plan), [""; 0], "{why}");
        let delete = Plan {
            steps: vec![good.steps.last().unwrap().clone()],
            ..Plan::default()
        };
        let found = audit(&world.desired, &world.observed, &delete);
        assert!(!found.is_empty(), "{why}");
    }
}

/// The judge takes no other version for the one that is named, and lets nothing be deleted that others work with.
#[test]
fn the_judge_refuses_false_names_and_disturbed_work() {
    let world = school();
    let good = of(&world).steps.last().unwrap().clone();
    let heard = |steps: Vec<Step>| {
        let plan = Plan {
            steps,
            ..Plan::default()
        };
        let found = audit(&world.desired, &world.observed, &plan);
        found.iter().map(ToString::to_string).collect::<String>()
    };
    let renamed = |to: &str, digest: Digest| {
        let action = Action::Delete {
            image: name("ubuntu"),
            version: name(to),
            manifest: digest,
            bytes: Bytes(1),
        };
        Step::new(action, Reason::SpaceShort)
    };
    let one = manifest_digest("ubuntu", "1");
    assert!(heard(vec![renamed("2", one)]).contains("another version"));
    let none = manifest_digest("ubuntu", "9");
    assert!(heard(vec![renamed("1", none)]).contains("not in the store"));
    let activate = Action::Activate {
        image: name("mint"),
        version: name("3"),
        manifest: manifest_digest("mint", "3"),
    };
    let both = vec![Step::new(activate, Reason::Absent), good];
    assert!(heard(both).contains("would disturb activate/mint"));
}

/// A download that does not fit in takes the space of what nobody needs, the longest unneeded first, and no more than
/// it lacks.
#[test]
fn a_download_takes_the_space_that_it_lacks() {
    let mut world = school();
    world.desired.windows.download = harness::worlds::windows(&["daily 00:00–24:00"]);
    unneeded(&mut world, "ubuntu", "1", 2);
    unneeded(&mut world, "mint", "1", 3);
    assert_eq!(deleted(&of(&world)), [""; 0]);
    world.release("cad", "1", 10 * GIB, None);
    *world.live_mut("cad") = live(&manifest("cad", "0", GIB, None));
    if let Probe::Seen(store) = &mut world.observed.store {
        store.free = 5 * GIB;
    }
    let plan = of(&world);
    assert_eq!(deleted(&plan), ["mint 1"]);
    assert!(
        plan.holds
            .iter()
            .any(|hold| matches!(hold.gate, Gate::NoSpace { .. }))
    );
    assert_eq!(plan.steps.last().unwrap().reason, Reason::SpaceShort);
    let ids: Vec<String> = preview(&world.desired, world.observed.clone())
        .steps()
        .map(|step| step.id.to_string())
        .collect();
    let at = |kind: &str| ids.iter().position(|id| id.starts_with(kind));
    assert!(at("delete/mint/1") < at("download/cad/1"), "{ids:?}");
    assert_eq!(at("delete/ubuntu/1"), None, "{ids:?}");
    // While the store is used, it waits.
    let running = at_work(&world, "download/cad");
    world.observed.running.push(running);
    assert_eq!(deleted(&of(&world)), [""; 0]);
}

/// A download that runs, with room enough.
fn at_work(world: &World, kind: &str) -> reconciler::planning::Running {
    let look = preview(&world.desired, world.observed.clone());
    let step = look
        .steps()
        .find(|step| step.id.to_string().starts_with(kind));
    reconciler::planning::Running::begun(step.unwrap().clone(), world.observed.at)
}

/// Versions of which all is in the store and that are needed for a reason that the world itself shows.
fn needed(world: &World, at: Timestamp) -> BTreeSet<Digest> {
    let today = at.to_zoned(world.desired.zone.clone()).date();
    let wanted = world
        .desired
        .images
        .values()
        .filter(|wanted| match wanted.purpose {
            Purpose::Rooms | Purpose::Vm => true,
            Purpose::TestClass { until } => until >= today,
        });
    let mut needed: BTreeSet<Digest> = wanted.map(|wanted| wanted.manifest).collect();
    if let (Some(store), Some(kept)) = (world.observed.store.seen(), world.observed.kept.seen()) {
        for (digest, manifest) in &store.manifests {
            let mut files = manifest.files().iter();
            if files.all(|file| kept.contains(&file.sha256)) {
                needed.insert(*digest);
            }
        }
        needed.retain(|digest| store.is_complete(digest));
    }
    needed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promise 7, however much is deleted one after the other.
    #[test]
    fn what_is_needed_stays_as_a_whole(mut world in worlds()) {
        let now = world.observed.at;
        let needed = needed(&world, now);
        let look = preview(&world.desired, world.observed.clone());
        for step in look.steps() {
            predict(&mut world.observed, step);
        }
        if let Some(store) = world.observed.store.seen() {
            for digest in needed {
                prop_assert!(store.is_complete(&digest), "{digest}");
            }
        }
    }
}

/// Nothing goes a day too early, whatever else goes, and each has its time.
#[test]
fn what_was_noted_just_now_stays_while_others_go() {
    let mut world = school();
    unneeded(&mut world, "mint", "1", 0);
    let plan = of(&world);
    assert_eq!(deleted(&plan), ["ubuntu 1"]);
    assert_eq!(plan.wake, Some(world.observed.at + PATIENCE));
    assert_eq!(PATIENCE, SignedDuration::from_hours(14 * 24));
}

/// A deletion for the sake of space, as the judge sees it, of a version that was needed ten days ago.
fn for_space(world: &World) -> bool {
    let action = Action::Delete {
        image: name("ubuntu"),
        version: name("1"),
        manifest: manifest_digest("ubuntu", "1"),
        bytes: Bytes(12 * GIB),
    };
    let plan = Plan {
        steps: vec![Step::new(action, Reason::SpaceShort)],
        ..Plan::default()
    };
    let found = audit(&world.desired, &world.observed, &plan);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        found
            .iter()
            .all(|line| line.contains("though there is space")),
        "{found:?}"
    );
    found.is_empty()
}

#[test]
fn the_judge_knows_how_much_space_a_download_needs() {
    let mut world = school();
    unneeded(&mut world, "ubuntu", "1", 10);
    assert!(!for_space(&world), "nothing is to be downloaded");
    // A tenth more than the files.
    world.release("cad", "1", 10 * GIB, None);
    let with = |world: &World, free: u64| {
        let mut world = world.clone();
        if let Probe::Seen(store) = &mut world.observed.store {
            store.free = free;
        }
        for_space(&world)
    };
    assert!(!with(&world, 11 * GIB));
    assert!(with(&world, 11 * GIB - 1));
    world
        .desired
        .images
        .retain(|(image, _), _| image.as_str() != "cad");
    world.release("cad", "1", 10 * GIB, None).purpose = Purpose::TestClass {
        until: day("2026-11-22"),
    };
    assert!(!with(&world, GIB), "nobody needs it any more");
    world.release("cad", "1", 10 * GIB, None).purpose = Purpose::TestClass {
        until: day("2026-11-23"),
    };
    assert!(with(&world, GIB));
}

/// A version of which nothing is there frees nothing.
#[test]
fn what_weighs_nothing_makes_no_space() {
    let mut world = school();
    world.desired.windows.download = harness::worlds::windows(&["daily 00:00–24:00"]);
    unneeded(&mut world, "ubuntu", "1", 2);
    world.release("cad", "1", 10 * GIB, None);
    if let Probe::Seen(store) = &mut world.observed.store {
        store.free = 5 * GIB;
        store
            .objects
            .remove(&manifest("ubuntu", "1", 12 * GIB, None).base().sha256);
    }
    assert_eq!(deleted(&of(&world)), ["mint 1"]);
}
