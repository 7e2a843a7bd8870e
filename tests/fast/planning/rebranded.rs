//! Images that were moved into the domain of the school: what takes the place of what, and what does not.

use harness::worlds::{GIB, World, at, manifest, manifest_digest, name};
use reconciler::planning::{Action, Desired, Gate, Probe, Reason, Step, Subject, audit, predict};
use schema::digest::Digest;
use schema::fleet::DomainJoin;
use schema::name::ImageName;

use super::cases::{check, of};
use super::oracle::judge;

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

/// The same, and the state repo names a VM.
fn with_vm() -> World {
    let mut world = foreign();
    world.desired.rebrand = Some(name("rebrand-vm"));
    world.device("servers", "rebrand-vm", "rebrand", 1);
    world
}

/// Does what can be done now, as it is predicted, and tells it.
fn all_now(world: &mut World) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..5 {
        let now = seen(world);
        let plan = of(&now);
        assert_eq!(audit(&now.desired, &now.observed, &plan), []);
        assert_eq!(judge(&now, &plan), Vec::<String>::new());
        for step in &plan.steps {
            done.push(
                step.id
                    .to_string()
                    .split('/')
                    .take(3)
                    .collect::<Vec<_>>()
                    .join(" "),
            );
            predict(&mut world.observed, step);
        }
    }
    done
}

fn stem() -> ImageName {
    name("ubuntu-rebrand")
}

#[test]
fn the_vm_gets_what_has_to_be_moved_under_a_name_that_no_pc_loads() {
    let mut world = with_vm();
    world
        .observed
        .live
        .insert(stem(), Probe::Seen(Default::default()));
    assert_eq!(
        all_now(&mut world),
        ["stage ubuntu 2", "activate ubuntu-rebrand 2"]
    );
    let now = seen(&world);
    check(&now, &["ubuntu: NotRebranded"]);
    let Gate::NotRebranded(Some((host, loads))) = &of(&now).holds[0].gate else {
        panic!("it is told which VM")
    };
    assert_eq!((host.as_str(), loads), ("rebrand-vm", &stem()));
    let live = world.observed.live[&stem()].seen().unwrap();
    let published = manifest("ubuntu", "2", 12 * GIB, Some(GIB));
    let digest = |file: &Option<reconciler::planning::ImageFile>| file.as_ref().unwrap().sha256;
    assert_eq!(digest(&live.base), Some(published.base().sha256));
    assert_ne!(digest(&live.diff), Some(published.diff().unwrap().sha256));
}

#[test]
fn what_the_vm_uploads_is_never_put_aside_and_another_version_comes_all_the_same() {
    let mut world = with_vm();
    world
        .observed
        .live
        .insert(stem(), Probe::Seen(Default::default()));
    all_now(&mut world);
    let uploaded = Some(Digest::new([9; 32]));
    let upload = |world: &mut World| {
        let live = world.live_mut("ubuntu-rebrand");
        live.diff.as_mut().unwrap().sha256 = uploaded;
    };
    upload(&mut world);
    check(&seen(&world), &["ubuntu: NotRebranded"]);
    // The judge sees to it, too.
    let mut plan = of(&seen(&world));
    let now = seen(&world);
    let key = (stem(), name("2"));
    let again = Action::Activate {
        image: stem(),
        version: name("2"),
        manifest: now.desired.images[&key].manifest,
    };
    plan.steps.push(Step::new(again, Reason::Absent));
    let found = audit(&now.desired, &now.observed, &plan);
    assert!(
        found
            .iter()
            .any(|found| found.what.contains("puts aside what the VM has uploaded")),
        "{found:?}"
    );
    // The next version, on the same base or another one.
    world.desired.images.clear();
    world
        .release("ubuntu", "3", 12 * GIB, Some(GIB))
        .domain_join = DomainJoin::Rebrand;
    world.store("ubuntu", "3", 12 * GIB, Some(GIB));
    assert_eq!(
        all_now(&mut world),
        ["stage ubuntu 3", "activate ubuntu-rebrand 3"]
    );
}

#[test]
fn a_vm_that_would_not_find_it_is_told() {
    for (row, wanted) in [
        (None, "is not in devices.csv"),
        (
            Some(("lab", 1)),
            "has hardware class lab, and the VM needs rebrand",
        ),
        (Some(("rebrand", 0)), "does not boot LINBO by its PXE flag"),
    ] {
        let mut world = foreign();
        world.desired.rebrand = Some(name("rebrand-vm"));
        if let Some((class, pxe)) = row {
            world.device("servers", "rebrand-vm", class, pxe);
        }
        check(
            &world,
            &[
                "stage ubuntu",
                "stage ubuntu: NotReset",
                "ubuntu: NotRebranded",
            ],
        );
        let Gate::NotReset(hosts) = &of(&world).holds[0].gate else {
            panic!("it is told")
        };
        assert_eq!(hosts[0].1, wanted);
    }
}

#[test]
fn nothing_is_made_ready_where_it_must_not() {
    let mut world = with_vm();
    check(&world, &["stage ubuntu", "ubuntu: NotRebranded"]);
    let at_night = world.clone();
    world.observed.at = at("2026-11-25T10:00");
    check(&world, &["stage ubuntu: Window", "ubuntu: NotRebranded"]);

    let mut world = at_night.clone();
    let Probe::Seen(store) = &mut world.observed.store else {
        panic!("it is seen")
    };
    store.free = GIB;
    check(&world, &["stage ubuntu: NoSpace", "ubuntu: NotRebranded"]);

    // What is whole in the domain already needs no VM.
    let mut world = at_night.clone();
    world.rebrand("ubuntu", "2", DOMAIN);
    let plan = of(&seen(&world));
    assert!(
        !plan
            .steps
            .iter()
            .any(|step| matches!(step.action, Action::Stage { .. }))
    );

    for (what, wrong) in SPOILT {
        let mut world = at_night.clone();
        let plan = of(&world);
        wrong(&mut world);
        let found = audit(&world.desired, &world.observed, &plan);
        assert!(
            found.iter().any(|found| found.what.contains(what)),
            "{what}: {found:?}"
        );
    }
}

type Spoil = fn(&mut World);

const SPOILT: &[(&str, Spoil)] = &[
    ("is outside its window or within lessons", |world| {
        world.observed.at = at("2026-11-25T10:00");
    }),
    ("makes ready what has not to be moved", |world| {
        world
            .desired
            .images
            .values_mut()
            .next()
            .unwrap()
            .domain_join = DomainJoin::NotNeeded;
    }),
    ("makes a version ready for no VM", |world| {
        world.desired.rebrand = None
    }),
    ("makes ready what was not verified against Git", |world| {
        world.observed.store = Probe::Unseen("gone".to_owned());
    }),
];
