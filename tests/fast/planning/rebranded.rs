//! Images that were moved into the domain of the school: what takes the place of what, and what does not.

use harness::worlds::{GIB, World, at, manifest_digest, name};
use reconciler::planning::{Action, Desired, Probe, Subject, audit};
use schema::digest::Digest;
use schema::fleet::DomainJoin;

use super::cases::{check, of};

const DOMAIN: &str = "bs-nord.example";

/// Tuesday night: version 2 belongs to the central domain, and is downloaded.
fn foreign() -> World {
    let mut world = World::school(at("2026-11-24T23:00"));
    world.desired.images.clear();
    world
        .release("ubuntu", "2", 12 * GIB, Some(GIB))
        .domain_join = DomainJoin::Rebrand;
    world.store("ubuntu", "2", 12 * GIB, Some(GIB));
    world
}

/// The plan of a world as it is seen, with what was made here.
fn seen(world: &World) -> World {
    let mut seen = world.clone();
    seen.obey();
    seen
}

fn activated(world: &World) -> Option<Digest> {
    let plan = of(world);
    assert_eq!(audit(&world.desired, &world.observed, &plan), []);
    plan.steps.iter().find_map(|step| match &step.action {
        Action::Activate { manifest, .. } => Some(*manifest),
        _ => None,
    })
}

fn is_raw(world: &World, desired: &Desired) -> bool {
    world.desired.images == desired.images
}

#[test]
fn what_was_made_of_the_version_for_this_domain_is_put_in_place() {
    let mut world = foreign();
    check(&seen(&world), &["ubuntu: NotRebranded"]);
    let own = world.rebrand("ubuntu", "2", "BS-Nord.example");
    let now = seen(&world);
    assert_eq!(activated(&now), Some(own));
    let key = (name("ubuntu"), name("2"));
    let wanted = &now.desired.images[&key];
    assert_eq!(wanted.published, manifest_digest("ubuntu", "2"));
    assert_eq!(wanted.diff.unwrap().0, 2 * GIB);
    // What it was made from stays: it may have to be moved once more.
    world.pass(60 * 24 * 60);
    let plan = of(&seen(&world));
    let mut steps = plan.steps.iter();
    assert!(!steps.any(|step| matches!(step.action, Action::Delete { .. })));
}

#[test]
fn what_is_of_another_domain_or_version_or_not_whole_is_not() {
    let mut world = foreign();
    let raw = world.desired.clone();
    world.rebrand("ubuntu", "2", "bs-sued.example");
    world.rebrand("ubuntu", "1", DOMAIN);
    assert!(is_raw(&seen(&world), &raw));
    check(&seen(&world), &["ubuntu: NotRebranded"]);

    let own = world.rebrand("ubuntu", "2", DOMAIN);
    let Probe::Seen(store) = &mut world.observed.store else {
        panic!("it is seen")
    };
    let account = store.manifests[&own]
        .file("ubuntu.qdiff.macct")
        .unwrap()
        .sha256;
    store.objects.remove(&account);
    assert!(is_raw(&seen(&world), &raw));
    let mut blind = foreign();
    blind.rebrand("ubuntu", "2", DOMAIN);
    blind.observed.store = Probe::Unseen("no such folder".to_owned());
    assert!(is_raw(&seen(&blind), &raw));

    // An image that belongs to no domain is what Git says.
    let mut world = World::school(at("2026-11-24T23:00"));
    world.rebrand("ubuntu", "2026.10.1", DOMAIN);
    let raw = world.desired.clone();
    assert!(is_raw(&seen(&world), &raw));
}

#[test]
fn the_latest_of_several_counts() {
    let mut world = foreign();
    world.rebrand("ubuntu", "2", DOMAIN);
    world.pass(60);
    let latest = world.rebrand("ubuntu", "2", DOMAIN);
    assert_eq!(activated(&seen(&world)), Some(latest));
}

/// Who went back from a version went back from whatever is made of it.
#[test]
fn moving_a_version_once_more_does_not_bring_it_back() {
    let mut world = foreign();
    world.rebrand("ubuntu", "2", DOMAIN);
    let raw = world.desired.clone();
    world.roll_back("ubuntu", "2026.10.1", true);
    let key = (name("ubuntu"), name("2026.10.1"));
    assert!(world.desired.images.contains_key(&key));
    world.desired = Desired {
        others: world.desired.others.clone(),
        ..raw.clone()
    };
    world.pass(60);
    world.rebrand("ubuntu", "2", DOMAIN);
    let back = seen(&world);
    assert!(
        back.desired.images.contains_key(&key),
        "{:?}",
        back.desired.images
    );
    check(&back, &["ubuntu: RolledBack"]);
    // What was made of the version that it goes back to takes its place, too.
    let own = world.rebrand("ubuntu", "2026.10.1", DOMAIN);
    assert_eq!(activated(&seen(&world)), Some(own));
    let Probe::Seen(orders) = &mut world.observed.orders else {
        panic!("they are seen")
    };
    orders.resume(Subject::Image(name("ubuntu")), world.observed.at);
    let again = seen(&world);
    assert!(
        again
            .desired
            .images
            .contains_key(&(name("ubuntu"), name("2")))
    );
}
