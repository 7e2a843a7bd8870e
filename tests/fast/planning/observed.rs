//! What observations say of themselves, in figures that are reckoned by hand.

use harness::worlds::{GIB, World, at, live, manifest, manifest_digest, name};
use reconciler::planning::{Action, Probe, Reason, Step, Store, predict};
use schema::units::Bytes;

fn store(world: &World) -> &Store {
    world.observed.store.seen().unwrap()
}

#[test]
fn a_version_weighs_what_of_it_is_there_and_nobody_else_has() {
    let mut world = World::empty(at("2026-11-23T18:00"));
    world.store("ubuntu", "1", 10 * GIB, Some(2 * GIB));
    let digest = manifest_digest("ubuntu", "1");
    assert_eq!(store(&world).weight(&digest), 12 * GIB);
    let base = manifest("ubuntu", "1", 10 * GIB, Some(2 * GIB))
        .base()
        .sha256;
    if let Probe::Seen(store) = &mut world.observed.store {
        store.objects.remove(&base);
    }
    assert_eq!(store(&world).weight(&digest), 2 * GIB);
    if let Probe::Seen(store) = &mut world.observed.store {
        store.partial.insert(base, 3 * GIB);
    }
    assert_eq!(store(&world).weight(&digest), 5 * GIB);
}

#[test]
fn what_was_begun_of_a_version_goes_with_it_and_nothing_else_does() {
    let mut world = World::empty(at("2026-11-23T18:00"));
    world.store("ubuntu", "1", 10 * GIB, None);
    let [gone, other] = ["1", "2"].map(|version| manifest("ubuntu", version, 10 * GIB, None));
    if let Probe::Seen(store) = &mut world.observed.store {
        store.partial.insert(gone.base().sha256, GIB);
        store.partial.insert(other.base().sha256, 2 * GIB);
    }
    let delete = Action::Delete {
        image: name("ubuntu"),
        version: name("1"),
        manifest: manifest_digest("ubuntu", "1"),
        bytes: Bytes(10 * GIB),
    };
    predict(&mut world.observed, &Step::new(delete, Reason::SpaceShort));
    let partial = store(&world).partial.clone();
    assert_eq!(partial, [(other.base().sha256, 2 * GIB)].into());
}

#[test]
fn a_file_of_an_image_is_found_by_its_ending() {
    let found = live(&manifest("ubuntu", "1", 10 * GIB, Some(2 * GIB)));
    let size = |file: &str| found.file(&name(file)).map(|file| file.size);
    assert_eq!(size("ubuntu.qcow2"), Some(10 * GIB));
    assert_eq!(size("ubuntu.qdiff"), Some(2 * GIB));
    assert_eq!(size("ubuntu.reg"), None);
}
