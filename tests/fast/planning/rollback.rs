//! Images that people let go back: what lies in LINBO's folder then, what hosts get, and what ends it.

use harness::worlds::{GIB, World, at, digest, name};
use reconciler::planning::{
    Action, Desired, Gate, NotBefore, Plan, Probe, Reason, Subject, Suspended, arrivals, audit,
    predict,
};
use schema::fleet::{Origin, Waves};

use super::cases::{check, of};

/// Tuesday night: version 2 has taken the place of 2026.10.1 and is in service.
fn night() -> World {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, Some(GIB));
    world.store("ubuntu", "2", 12 * GIB, Some(GIB));
    world.converge();
    world
}

fn activates(plan: &Plan) -> Option<(&str, &Reason)> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::Activate { version, .. } => Some((version.as_str(), &step.reason)),
        _ => None,
    })
}

#[test]
fn the_version_before_is_put_in_place_and_the_other_one_is_not_tried_again() {
    let mut world = night();
    check(&world, &[]);
    world.roll_back("ubuntu", "2026.10.1", true);
    check(&world, &["activate ubuntu", "ubuntu: RolledBack"]);
    let plan = of(&world);
    let from = Reason::OtherVersion(Some(name("2")));
    assert_eq!(activates(&plan), Some(("2026.10.1", &from)));
    world.converge();
    check(&world, &["ubuntu: RolledBack"]);
    let gate = &of(&world).holds[0].gate;
    assert!(!gate.is_trouble() && !gate.needs_a_person(), "{gate:?}");
}

#[test]
fn another_version_in_git_ends_it_and_so_does_whoever_resumes_the_image() {
    let mut world = night();
    let before = world.desired.clone();
    world.roll_back("ubuntu", "2026.10.1", true);
    world.converge();
    let orders = world.observed.orders.clone();
    // The same version with other files is another one.
    world.desired = before.clone();
    let wanted = world.desired.images.values_mut().next().unwrap();
    wanted.published = digest("built anew");
    wanted.manifest = wanted.published;
    world.obey();
    check(&world, &["download ubuntu"]);

    world.desired = before;
    world.obey();
    check(&world, &["ubuntu: RolledBack"]);
    let Probe::Seen(orders_now) = &mut world.observed.orders else {
        panic!("they are seen");
    };
    orders_now.resume(Subject::Image(name("ubuntu")), world.observed.at);
    let raw = Desired {
        gone_back: Default::default(),
        ..world.desired.clone()
    };
    world.desired = raw;
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, Some(GIB));
    world.obey();
    assert_eq!(
        activates(&of(&world)).map(|(version, _)| version),
        Some("2")
    );
    world.observed.orders = orders;
    world.obey();
    check(&world, &["ubuntu: RolledBack"]);
}

#[test]
fn where_the_other_version_is_named_no_more_nothing_is_put_in_place() {
    let mut world = night();
    world.roll_back("ubuntu", "2026.10.1", false);
    check(&world, &["ubuntu: RolledBack"]);
    let gate = &of(&world).holds[0].gate;
    assert!(gate.is_failure() && gate.needs_a_person(), "{gate:?}");
    assert!(matches!(
        gate,
        Gate::RolledBack {
            is_there: false,
            ..
        }
    ));
}

/// Hosts are not to keep what people went back from for days.
#[test]
fn hosts_get_it_at_once_and_the_guard_asks_nobody() {
    let mut world = night();
    world.desired.rollout.waves = Some(Waves::default());
    world.desired.guard.share = name("0 %");
    assert!(world.desired.rollout_of(&name("ubuntu")).waves.is_some());
    let mut at_once = world.clone();
    at_once.desired.rollout.waves = None;
    for mut world in [world, at_once] {
        world.roll_back("ubuntu", "2026.10.1", true);
        assert!(world.desired.rollout_of(&name("ubuntu")).waves.is_none());
        assert!(world.desired.rollout_of(&name("cad")).waves == world.desired.rollout.waves);
        check(&world, &["activate ubuntu", "ubuntu: RolledBack"]);
    }
}

#[test]
fn the_first_day_of_a_rollout_holds_nothing_that_goes_back() {
    let mut world = night();
    world.desired.not_before = Some(NotBefore {
        day: name("2026-12-01"),
        origin: Origin::Default,
    });
    world.roll_back("ubuntu", "2026.10.1", true);
    check(&world, &["activate ubuntu", "ubuntu: RolledBack"]);
}

#[test]
fn its_window_holds_it_and_so_does_a_suspension_of_the_server() {
    let mut world = night();
    world.roll_back("ubuntu", "2026.10.1", true);
    let mut lessons = world.clone();
    lessons.observed.at = at("2026-11-25T09:00");
    check(&lessons, &["ubuntu: RolledBack", "ubuntu: Window"]);
    let Probe::Seen(orders) = &mut world.observed.orders else {
        panic!("they are seen");
    };
    orders.suspend(
        Subject::Server,
        Suspended {
            since: world.observed.at,
            reason: "building work".to_owned(),
            by: "root".to_owned(),
            until: None,
        },
    );
    check(&world, &["ubuntu: RolledBack", "ubuntu: Suspended"]);
}

/// Whoever plans without regard to orders is stopped.
#[test]
fn the_judge_lets_nothing_be_put_in_place_that_people_went_back_from() {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, Some(GIB));
    world.store("ubuntu", "2", 12 * GIB, Some(GIB));
    let plan = of(&world);
    assert!(activates(&plan).is_some());
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    let heedless = world.desired.clone();
    world.roll_back("ubuntu", "2026.10.1", true);
    let violations = audit(&heedless, &world.observed, &plan);
    let said: Vec<_> = violations
        .iter()
        .map(|violation| violation.what.as_str())
        .collect();
    assert_eq!(said, ["puts in place what people went back from"]);
    // It lay there all the time: nothing is to be done.
    check(&world, &["ubuntu: RolledBack"]);
}

/// Staff are told of new versions, and this is none.
#[test]
fn what_an_image_goes_back_to_is_not_announced() {
    let mut world = night();
    world.desired.images.clear();
    world.release("ubuntu", "3", 12 * GIB, Some(GIB));
    let comes = |world: &World| {
        let found = arrivals(&world.desired, &world.observed, &of(world));
        let versions = found.iter().map(|arrival| arrival.version.to_string());
        versions.collect::<Vec<_>>()
    };
    assert_eq!(comes(&world), ["3"]);
    world.roll_back("ubuntu", "2026.10.1", true);
    assert_eq!(comes(&world), [""; 0]);
}

/// Where new versions come to all PCs at once, the guard asks before; going back is the answer to it.
#[test]
fn going_back_is_no_mass_change_where_versions_come_at_once() {
    let mut world = night();
    world.desired.rollout.waves = None;
    world.desired.guard.share = name("40 %");
    world.roll_back("ubuntu", "2026.10.1", true);
    let plan = of(&world);
    assert_eq!(
        activates(&plan).map(|(version, _)| version),
        Some("2026.10.1")
    );
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    for _ in 0..3 {
        for step in &of(&world).steps {
            predict(&mut world.observed, step);
        }
    }
    world.observed.at = at("2026-11-25T18:05");
    let plan = of(&world);
    let is_reset = |action: &Action| matches!(action, Action::ResetRoom { .. });
    assert!(plan.steps.iter().any(|step| is_reset(&step.action)));
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
}
