//! Promises that hold in every world.

use std::collections::BTreeSet;
use std::sync::Arc;

use harness::worlds::{World, worlds};
use proptest::prelude::*;
use reconciler::planning::{Gate, Goal, Hold, Plan, Probe, audit, plan, predict, preview};

use super::oracle;

fn of(world: &World) -> Plan {
    plan(&world.desired, &world.observed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promises 4 to 7, by an oracle and by the judge.
    #[test]
    fn no_plan_breaks_a_promise(world in worlds()) {
        let plan = of(&world);
        let wrong = oracle::judge(&world, &plan);
        prop_assert!(wrong.is_empty(), "{} {wrong:#?}", oracle::shown(&world));
        let violations = audit(&world.desired, &world.observed, &plan);
        prop_assert!(violations.is_empty(), "{} {violations:#?}", oracle::shown(&world));
    }

    /// Applying what was planned leaves nothing to plan, and each round makes progress.
    #[test]
    fn what_was_applied_is_not_planned_again(world in worlds()) {
        let World { desired: raw, mut observed, .. } = world;
        let raw = Arc::new(raw);
        let mut done = BTreeSet::new();
        for round in 0.. {
            let desired = observed.obeyed(&raw);
            let steps = plan(&desired, &observed).steps;
            if steps.is_empty() {
                break;
            }
            prop_assert!(round < 40, "no end: {steps:#?}");
            for step in steps {
                predict(&mut observed, &step);
                // A torrent is made anew after each activation, an import follows each file written.
                let many = ["reset/", "seed/", "import-devices"];
                let many = many.iter().any(|kind| step.id.to_string().starts_with(kind));
                prop_assert!(done.insert(step.id.clone()) || many, "{} is planned twice", step.id);
            }
            let desired = observed.obeyed(&raw);
            let violations = audit(&desired, &observed, &plan(&desired, &observed));
            prop_assert!(violations.is_empty(), "in round {round}: {violations:#?}");
        }
        let look = preview(&observed.obeyed(&raw), observed);
        prop_assert!(look.rounds.is_empty());
    }

    #[test]
    fn equal_worlds_have_equal_plans(world in worlds()) {
        let json = |world: &World| serde_json::to_string(&of(world)).unwrap();
        prop_assert_eq!(json(&world), json(&world.clone()));
    }

    /// What could not be seen adds no step, but for one that only waited for another's resource.
    #[test]
    fn what_is_unseen_is_not_taken_for_absent(world in worlds(), probe in any::<prop::sample::Index>()) {
        let before = of(&world);
        let mut blind = world.clone();
        blind.blind(probe.index(world.probes()));
        let known: BTreeSet<_> = before.steps.iter().map(|step| &step.id).collect();
        for step in of(&blind).steps {
            let goal = Goal::from(&step.action);
            let waited = |hold: &Hold| matches!(hold.gate, Gate::Busy(_) | Gate::Turn) && same(&hold.goal, &goal);
            prop_assert!(known.contains(&step.id) || before.holds.iter().any(waited), "{step:#?} of {before:#?}");
        }
    }

    /// A hold says when to look again, and not for a time that is over.
    #[test]
    fn holds_look_ahead(world in worlds()) {
        for hold in of(&world).holds {
            prop_assert!(hold.wake.is_none_or(|wake| wake > world.observed.at), "{hold:#?} at {}", world.observed.at);
        }
    }

    #[test]
    fn what_runs_is_not_proposed(world in worlds()) {
        for step in of(&world).steps {
            prop_assert!(world.observed.running.iter().all(|running| running.step.id != step.id));
        }
    }

    /// A hold with an unseen cause makes the observation incomplete.
    #[test]
    fn no_failure_is_kept_from_people(world in worlds()) {
        let unseen = of(&world).holds.into_iter().filter(|hold| matches!(hold.gate, Gate::Unseen(_)));
        if unseen.count() > 0 && world.observed.live.len() == world.images() {
            prop_assert!(!world.observed.blind_spots().is_empty());
        }
    }
}

trait Images {
    fn images(&self) -> usize;
}

impl Images for World {
    /// The images that anything names.
    fn images(&self) -> usize {
        let classes = self
            .desired
            .classes
            .values()
            .flat_map(|class| class.os.iter().map(|os| &os.image));
        classes
            .chain(self.desired.images.keys().map(|(image, _)| image))
            .collect::<BTreeSet<_>>()
            .len()
    }
}

/// Whether two goals are of the same object.
fn same(a: &Goal, b: &Goal) -> bool {
    match (a, b) {
        (Goal::Fresh(a, _), Goal::Fresh(b, _)) => a == b,
        _ => a == b,
    }
}

/// The random worlds are worth it: every action, and most gates, occur.
#[test]
fn random_worlds_are_varied() {
    use proptest::strategy::{Strategy as _, ValueTree as _};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut actions, mut gates) = (BTreeSet::new(), BTreeSet::new());
    let kind = |text: String| {
        text.split([' ', '(', '{'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let (mut blind, mut running) = (0, 0);
    for _ in 0..3000 {
        let world = worlds().new_tree(&mut runner).unwrap().current();
        let plan = of(&world);
        actions.extend(
            plan.steps
                .iter()
                .map(|step| kind(format!("{:?}", step.action))),
        );
        gates.extend(
            plan.holds
                .iter()
                .map(|hold| kind(format!("{:?}", hold.gate))),
        );
        blind += usize::from(matches!(world.observed.devices, Probe::Unseen(_)));
        running += usize::from(!world.observed.running.is_empty());
    }
    assert_eq!(actions.len(), 10, "{actions:?}");
    assert!(gates.len() >= 18, "{gates:?}");
    assert!(blind > 20 && running > 100, "{blind} {running}");
}
