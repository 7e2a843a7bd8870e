//! An image on its way from Git to the PCs, as people read it (`tests/cases/images`).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use harness::golden;
use harness::worlds::{GIB, World, applied, at, live, manifest, name, os};
use reconciler::planning::{Ledger, LiveImage, Probe, in_force, plan};
use reconciler::report::explain::{self, ImageCase};
use reconciler::report::style::Color;
use reconciler::report::text::Head;
use reconciler::report::title::Clock;
use schema::fleet::{ResetCommand, Waves};

/// What is explained of an image, as text and as JSON.
fn shown(case: &str, image: &str, world: &World, before: &Probe<LiveImage>) {
    let ledger = Ledger::of(&world.desired, &world.observed);
    let plan = plan(&world.desired, &world.observed);
    let suspended = in_force(&world.desired, &world.observed);
    let blind = world.observed.blind_spots();
    let head = Head {
        server: "bs-nord",
        commit: None,
        problems: &[],
        blind: &blind,
        suspended: &suspended,
        clock: Clock {
            now: world.observed.at,
            zone: &world.desired.zone,
        },
    };
    let image = name(image);
    let (desired, observed) = (&world.desired, &world.observed);
    let found = ImageCase::of(&image, desired, observed, &ledger, before).unwrap();
    golden::check(
        &format!("images/{case}.txt"),
        &explain::image(head, &found, &plan, Color::Off),
    );
    let json = explain::image_json(head, &found, &plan);
    let json = serde_json::to_string_pretty(&json).unwrap() + "\n";
    golden::check(&format!("images/{case}.json"), &json);
}

fn nothing() -> Probe<LiveImage> {
    Probe::Seen(LiveImage::default())
}

/// Version 2 is in place, the first room has it, and the second one waits for its wave.
#[test]
fn a_version_that_comes_in_waves() {
    let mut world = World::school(at("2026-11-25T19:30"));
    let before = live(&manifest("ubuntu", "2026.10.1", 12 * GIB, Some(GIB)));
    world.room("r102", "lab", 3);
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, Some(GIB));
    world.converge();
    world.desired.rollout.waves = Some(Waves::default());
    world.observed.journal = Default::default();
    let diff = world.live_mut("ubuntu").diff.as_mut().unwrap();
    diff.record.as_mut().unwrap().timestamp = Some(name("202611011930"));
    for host in world.hosts() {
        if host.as_str().starts_with("r101") {
            let when = at("2026-11-25T18:10");
            world.outcome(host.as_str(), when, applied("ubuntu.qdiff"));
        }
    }
    shown("waves", "ubuntu", &world, &Probe::Seen(before));
}

/// Somebody went back by day: the exchange waits for the evening, and a part has to be fetched.
#[test]
fn a_version_from_which_somebody_went_back() {
    let mut world = World::school(at("2026-11-25T10:00"));
    world.desired.images.clear();
    world.release("ubuntu", "2", 12 * GIB, Some(GIB));
    world.converge();
    world.roll_back("ubuntu", "2026.10.1", true);
    if let Probe::Seen(store) = &mut world.observed.store {
        let objects: Vec<_> = store.objects.iter().copied().collect();
        let known = manifest("ubuntu", "2026.10.1", 12 * GIB, Some(GIB));
        let gone = objects
            .into_iter()
            .find(|object| *object == known.base().sha256);
        gone.map(|gone| store.objects.remove(&gone)).unwrap();
    }
    shown("rolled-back", "ubuntu", &world, &nothing());
}

/// An image that somebody made here, and the state that hosts are to have is not there.
#[test]
fn an_image_that_is_made_at_the_school() {
    let mut world = World::school(at("2026-11-25T19:30"));
    world.on_site("win11");
    world.class("office", &[os("win11", ResetCommand::New)]);
    world.room("r200", "office", 2);
    world
        .desired
        .pinned
        .insert(name("win11"), name("202611011930"));
    shown(
        "on-site",
        "win11",
        &world,
        &Probe::Unseen("permission denied".to_owned()),
    );
    world.live_mut("win11").base = None;
    world.desired.pinned.clear();
    shown("missing", "win11", &world, &nothing());
}

/// Version 2 belongs to another domain: it waits for people, then it is this school's.
#[test]
fn a_version_that_is_moved_into_the_domain() {
    let mut world = World::school(at("2026-11-25T19:30"));
    world.desired.images.clear();
    let wanted = world.release("ubuntu", "2", 12 * GIB, Some(GIB));
    wanted.domain_join = schema::fleet::DomainJoin::Rebrand;
    world.store("ubuntu", "2", 12 * GIB, Some(GIB));
    world.desired.rebrand = Some(name("rebrand-vm"));
    world.device("servers", "rebrand-vm", "rebrand", 1);
    world
        .observed
        .live
        .insert(name("ubuntu-rebrand"), nothing());
    for _ in 0..2 {
        let mut now = world.clone();
        now.obey();
        for step in plan(&now.desired, &now.observed).steps {
            reconciler::planning::predict(&mut world.observed, &step);
        }
    }
    let mut foreign = world.clone();
    foreign.obey();
    shown("foreign", "ubuntu", &foreign, &nothing());
    shown("for-vm", "ubuntu-rebrand", &foreign, &nothing());
    world.rebrand("ubuntu", "2", "bs-nord.example");
    world.obey();
    shown("moved", "ubuntu", &world, &nothing());
}
