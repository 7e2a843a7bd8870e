//! Versions on their way into LINBO's folder: what they wait for, and what is said of them.

use harness::worlds::{GIB, World, at, busy, digest, name, os};
use reconciler::planning::{Action, Gate, Probe, Reason, Step, predict};
use schema::fleet::ResetCommand;
use schema::name::VersionName;
use schema::units::Bytes;

use super::cases::{check, of, stale};

/// A night in which `ubuntu` is at 2026.10.1 and version 2 is wanted, which has no diff.
fn night() -> World {
    let mut world = World::school(at("2026-11-24T23:00"));
    want(&mut world, "2026.10.1", "2");
    world
}

fn want(world: &mut World, instead_of: &str, version: &str) {
    let before = (name("ubuntu"), name(instead_of));
    world.desired.images.remove(&before);
    world.release("ubuntu", version, 10 * GIB, None);
}

fn only_step(world: &World) -> Step {
    let mut steps = of(world).steps;
    assert_eq!(steps.len(), 1, "{steps:#?}");
    steps.remove(0)
}

/// A tenth more than the files have is enough, to the last byte.
#[test]
fn a_download_needs_a_tenth_more_than_its_files() {
    let mut world = night();
    let mut with_free = |bytes: u64| {
        if let Probe::Seen(store) = &mut world.observed.store {
            store.free = bytes;
        }
        of(&world)
    };
    let enough = with_free(11 * GIB);
    assert!(matches!(enough.steps[0].action, Action::Download { .. }));
    let too_little = with_free(11 * GIB - 1);
    assert_eq!(too_little.steps, []);
    let expected = Gate::NoSpace {
        needed: Bytes(11 * GIB),
        free: Bytes(11 * GIB - 1),
    };
    assert_eq!(too_little.holds[0].gate, expected);
}

/// What is left of a download that was begun is what people want to know first.
#[test]
fn a_download_says_why_it_is_wanted() {
    let mut world = night();
    assert_eq!(only_step(&world).reason, Reason::Absent);
    world.store("ubuntu", "2", 10 * GIB, None);
    let base = digest("ubuntu 2 qcow2");
    let store = |world: &mut World, change: &dyn Fn(&mut reconciler::planning::Store)| {
        let Probe::Seen(store) = &mut world.observed.store else {
            panic!("it is seen");
        };
        change(store);
    };
    store(&mut world, &|store| {
        store.objects.remove(&base);
        store.damaged.insert(base);
    });
    let step = only_step(&world);
    assert_eq!(step.reason, Reason::Damaged);
    let mut done = world.clone();
    predict(&mut done.observed, &step);
    assert_eq!(done.observed.store.seen().unwrap().damaged, [].into());
    store(&mut world, &|store| _ = store.partial.insert(base, GIB));
    assert_eq!(only_step(&world).reason, Reason::Resumed);
}

/// Whichever way it goes, and whatever else is in the store.
#[test]
fn an_activation_names_the_version_that_it_replaces() {
    let mut world = World::school(at("2026-11-24T23:00"));
    for image in ["cad", "mint"] {
        world.release(image, "7", GIB, None);
        world.store(image, "7", GIB, None);
    }
    world.converge();
    world.store("ubuntu", "2", 10 * GIB, None);
    for (from, to) in [("2026.10.1", "2"), ("2", "2026.10.1")] {
        want(&mut world, from, to);
        let known: VersionName = name(from);
        let step = only_step(&world);
        assert_eq!(step.reason, Reason::OtherVersion(Some(known)));
        world.converge();
    }
}

#[test]
fn an_activation_into_an_empty_folder_is_of_what_is_absent() {
    let mut world = night();
    world.store("ubuntu", "2", 10 * GIB, None);
    *world.live_mut("ubuntu") = Default::default();
    assert_eq!(only_step(&world).reason, Reason::Absent);
    // A file alone that nobody knows is there all the same.
    let mut world = night();
    world.store("ubuntu", "2", 10 * GIB, None);
    let live = world.live_mut("ubuntu");
    live.diff = None;
    live.base.as_mut().unwrap().sha256 = None;
    assert_eq!(only_step(&world).reason, Reason::OtherVersion(None));
}

/// Of a host that is not in `devices.csv` nobody knows what it reads.
#[test]
fn an_activation_waits_for_busy_hosts_that_may_read_the_image_alone() {
    let mut world = night();
    world.store("ubuntu", "2", 10 * GIB, None);
    world.on_site("win11");
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.device("r200", "r200-pc01", "office", 1);
    for (host, expected) in [
        ("r200-pc01", "activate ubuntu"),
        ("r101-pc01", "ubuntu: HostsBusy"),
        ("r900-pc01", "ubuntu: HostsBusy"),
    ] {
        let hosts = [(name(host), busy(world.observed.at))];
        world.observed.busy = Probe::Seen(hosts.into());
        check(&world, &[expected]);
    }
}

/// While its files are being exchanged hosts would take whatever lies there.
#[test]
fn hosts_wait_for_the_end_of_an_upload() {
    let mut world = stale();
    check(&world, &["reset r101 20 whole"]);
    world.live_mut("ubuntu").uploading = true;
    check(&world, &["r101 20: Uploading"]);
}
