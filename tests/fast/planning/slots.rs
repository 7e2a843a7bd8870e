//! Downloads in the slots of a school: what waits until when, and what the judge makes of others.

use harness::worlds::{GIB, World, at, name};
use jiff::{SignedDuration, Timestamp};
use reconciler::planning::slots::{Release, Slots, Wants, releases};
use reconciler::planning::{Action, Gate, Plan, SlotKind, audit, plan};

/// A school that lacks 6 GiB, and another one that lacks 60 and begins an hour before it.
fn contended(now: &str) -> World {
    let mut world = World::empty(at(now));
    world.release("ubuntu", "2", 6 * GIB, None);
    let lacks = [(name("bs-nord"), 6 * GIB), (name("bs-sued"), 60 * GIB)];
    let releases = [
        Release {
            at: at("2026-11-23T09:00"),
            lacks: lacks[1..].iter().cloned().collect(),
        },
        Release {
            at: at("2026-11-23T10:00"),
            lacks: lacks[..1].iter().cloned().collect(),
        },
    ];
    world.share("100 Mbit/s", &releases);
    world
}

fn of(world: &World) -> Plan {
    let plan = plan(&world.desired, &world.observed);
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    plan
}

fn download(plan: &Plan) -> (Timestamp, Timestamp, String) {
    match plan.steps.as_slice() {
        [step] => match &step.action {
            Action::Download {
                from, until, rate, ..
            } => (*from, *until, rate.unwrap().to_string()),
            other => panic!("{other:?}"),
        },
        _ => panic!("{plan:?}"),
    }
}

#[test]
fn a_download_waits_for_its_slot_and_begins_a_little_early() {
    let mut world = contended("2026-11-23T21:00");
    let plan = of(&world);
    assert_eq!(plan.steps, []);
    let [hold] = plan.holds.as_slice() else {
        panic!("{plan:?}")
    };
    let Gate::Slot(Some(slot)) = &hold.gate else {
        panic!("{hold:?}")
    };
    assert_eq!(slot.kind, SlotKind::Own);
    assert!(slot.from > at("2026-11-23T23:20"), "{slot:?}");
    let wake = hold.wake.unwrap();
    assert_eq!(slot.from.duration_since(wake), SignedDuration::from_mins(6));
    // The second before there is still nothing to do.
    world.observed.at = wake - SignedDuration::from_secs(1);
    assert_eq!(of(&world).steps, []);
    world.observed.at = wake;
    let expected = (slot.from, slot.until, slot.rate.to_string());
    assert_eq!(download(&of(&world)), expected);
    // In its slot it begins at once, and ends with the slot.
    let later = slot.from + SignedDuration::from_mins(5);
    world.observed.at = later;
    assert_eq!(download(&of(&world)).0, later);
    assert_eq!(download(&of(&world)).1, slot.until);
}

#[test]
fn who_missed_his_slot_takes_what_is_left_over() {
    let mut world = contended("2026-11-24T03:00");
    let (from, until, rate) = download(&of(&world));
    assert_eq!(
        (from, until),
        (at("2026-11-24T03:00"), at("2026-11-24T04:00"))
    );
    assert_eq!(rate, "50 Mbit/s");
    // By day there is nothing, and nobody has to be told.
    world.observed.at = at("2026-11-24T12:00");
    let holds = of(&world).holds;
    assert!(matches!(&holds[0].gate, Gate::Slot(Some(slot)) if slot.kind == SlotKind::LeftOver));
    assert!(!holds[0].gate.is_failure());
}

/// What failed in a slot is told though the next try waits for another slot.
#[test]
fn a_download_that_failed_is_told_while_it_waits_for_its_next_slot() {
    let mut world = contended("2026-11-24T03:00");
    let step = of(&world).steps.remove(0);
    world.failure(
        &step,
        at("2026-11-24T03:10"),
        "rsync ended with exit status 12",
    );
    world.observed.at = at("2026-11-24T12:00");
    let holds = of(&world).holds;
    let [hold] = holds.as_slice() else {
        panic!("{holds:?}")
    };
    assert!(matches!(&hold.gate, Gate::Backoff { failures: 1, why } if why.contains("status 12")));
    assert_eq!(hold.wake, Some(at("2026-11-24T21:54")));
}

#[test]
fn a_school_without_a_window_is_told() {
    let mut world = World::empty(at("2026-11-23T21:00"));
    world.release("ubuntu", "2", GIB, None);
    world.desired.windows.download = harness::worlds::windows(&[]);
    world.share("100 Mbit/s", &[]);
    let holds = of(&world).holds;
    assert_eq!(holds[0].gate, Gate::Slot(None));
    assert!(holds[0].gate.is_failure() && holds[0].gate.needs_a_person());
}

#[test]
fn the_judge_notices_whoever_takes_more_than_his_share() {
    let world = contended("2026-11-24T03:00");
    let good = of(&world);
    let changes: [fn(&mut Action); 4] = [
        |action| {
            if let Action::Download { rate, .. } = action {
                *rate = "51 Mbit/s".parse().ok();
            }
        },
        |action| {
            if let Action::Download { rate, .. } = action {
                *rate = None;
            }
        },
        |action| {
            if let Action::Download { until, .. } = action {
                *until += SignedDuration::from_secs(1);
            }
        },
        |action| {
            if let Action::Download { from, until, .. } = action {
                // Tomorrow at noon, when no window is open.
                (*from, *until) = (at("2026-11-25T12:00"), at("2026-11-25T13:00"));
            }
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut plan = good.clone();
        change(&mut plan.steps[0].action);
        let found = audit(&world.desired, &world.observed, &plan);
        let how = "takes more of the line than is its share";
        assert!(
            found.iter().any(|found| found.what == how),
            "{number}: {found:?}"
        );
    }
}

/// What the schools of a fleet want, and since when: two commits of the realistic example.
#[test]
fn a_release_is_what_a_commit_lacks_of_the_one_before() {
    let fleet = schema::load(&crate::fast::ledger::repo("examples/realistic"));
    let fleet = fleet.fleet.unwrap();
    let wants = Wants::of(&fleet);
    let first = at("2026-11-02T12:00");
    let all = releases([(first, &wants)], false);
    let [release] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(release.at, first);
    // Base and diff of each image; of bs-nord what is tried, too.
    let lacks: Vec<_> = release
        .lacks
        .iter()
        .map(|(school, bytes)| format!("{school} {}", bytes >> 20))
        .collect();
    assert_eq!(
        lacks,
        [
            "bs-nord 32051", // 14.8 + 1.2 and 15.3 GiB in MiB
            "bs-sued 16384", // 14.8 + 1.2
            "bs-west 40345", // 15.1 + 1.9 and 22.4
        ]
    );
    assert_eq!(releases([(first, &wants)], true), [], "it is there");
    // Nothing is new, and what was wanted before is there.
    let second = at("2026-11-03T12:00");
    let nothing = Wants::default();
    assert_eq!(releases([(first, &wants), (second, &wants)], true), []);
    assert_eq!(releases([(first, &wants), (second, &nothing)], true), []);
    let twice = releases([(first, &nothing), (second, &wants), (first, &wants)], true);
    assert_eq!(twice.len(), 1);
    assert_eq!(twice[0].lacks, release.lacks);
    // A commit that seems older than the one before was made with it.
    let late = releases([(second, &nothing), (first, &wants)], true);
    assert_eq!(late[0].at, second);
    let slots = Slots::of_fleet(&fleet, &all).unwrap();
    assert_eq!(slots.uplink(), fleet.central.uplink.unwrap());
    assert!(!slots.of(&name("bs-nord")).is_empty());
}
