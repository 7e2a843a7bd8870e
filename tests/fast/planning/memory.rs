//! What is remembered of what was done, and what a step is expected to change.

use std::sync::Arc;

use harness::worlds::{World, at, berlin, name, unreachable};
use jiff::Timestamp;
use reconciler::linbo::status::{HostReport, ImageEvent};
use reconciler::planning::journal::lines::Contents;
use reconciler::planning::ledger::Ledger;
use reconciler::planning::{Action, Entry, Grub, Probe, Reason, StepResult, predict};
use schema::name::{HostName, RoomName};

use super::cases::{check, of, stale};

#[test]
fn a_commit_is_in_force_since_it_was_taken_up_first() {
    let mut world = World::empty(at("2026-11-23T18:00"));
    let since = |world: &World| world.observed.journal.commit_since();
    let mut take_up = |id: &str, time: &str| {
        let (id, subject) = (id.to_owned(), "rooms: r101".to_owned());
        world.note(at(time), Entry::Commit { id, subject });
        since(&world)
    };
    let first = Some(at("2026-11-23T18:00"));
    assert_eq!(take_up("3f9c2ab", "2026-11-23T18:00"), first);
    assert_eq!(take_up("3f9c2ab", "2026-11-23T19:00"), first);
    let next = Some(at("2026-11-23T20:00"));
    assert_eq!(take_up("1d5e6f7", "2026-11-23T20:00"), next);
}

/// A command that hangs is known by it, after its pass was killed as well as after its judgement.
#[test]
fn a_host_was_touched_when_something_was_begun_or_judged() {
    let mut world = World::empty(at("2026-11-23T18:00"));
    let host: HostName = name("r101-pc01");
    assert_eq!(world.observed.journal.host(&host).touched(), None);
    begin(&mut world, &host, "2026-11-23T18:05");
    let begun = at("2026-11-23T18:05");
    assert_eq!(world.observed.journal.host(&host).touched(), Some(begun));
    let judged = at("2026-11-23T18:15");
    world.outcome(host.as_str(), judged, unreachable());
    assert_eq!(world.observed.journal.host(&host).touched(), Some(judged));
}

/// The clocks of clients may be behind that of their server.
#[test]
fn a_report_tells_of_what_was_begun_up_to_two_minutes_later() {
    let mut world = World::empty(at("2026-11-23T18:00"));
    let host: HostName = name("r101-pc01");
    begin(&mut world, &host, "2026-11-23T18:05");
    let journal = &world.observed.journal;
    let tells = |time| journal.host(&host).is_told_by(at(time), Timestamp::MAX);
    assert!(tells("2026-11-23T18:03") && tells("2026-11-23T18:20"));
    assert!(!tells("2026-11-23T18:02"));
}

/// What a host said of itself before a try that was cut off says nothing of what that try left behind.
#[test]
fn a_host_whose_try_was_cut_off_is_tried_again_whatever_it_said_before() {
    let mut world = stale();
    let host: HostName = name("r101-pc01");
    let report = |time| {
        Probe::Seen(Some(HostReport {
            at: at(time).to_zoned(berlin()).datetime(),
            event: ImageEvent::Applied,
            file: name("ubuntu.qdiff"),
            stamp: None,
        }))
    };
    begin(&mut world, &host, "2026-11-23T18:15");
    // The clock of the host may be behind, and what begins in the future has not begun.
    for (said, expected) in [
        ("2026-11-23T18:05", "reset r101 20 whole"),
        ("2026-11-23T18:13", "reset r101 19"),
        ("2026-11-23T18:20", "reset r101 19"),
    ] {
        Arc::make_mut(&mut world.observed.reports).insert(host.clone(), report(said));
        check(&world, &[expected]);
        let ledger = Ledger::of(&world.desired, &world.observed);
        let entry = &ledger.rooms[&name::<RoomName>("r101")].hosts[&host];
        assert_eq!(entry.is_fresh, expected == "reset r101 19", "{said}");
    }
    begin(&mut world, &host, "2026-11-23T20:00");
    check(&world, &["reset r101 19"]);
}

fn begin(world: &mut World, host: &HostName, time: &str) {
    let step = Action::SwitchOff { hosts: Vec::new() };
    let begun = Entry::Started {
        step: step.id(),
        title: String::new(),
        hosts: vec![host.clone()],
    };
    world.note(at(time), begun);
}

/// A boot configuration that is kept by hand stays as it is: no import follows.
#[test]
fn a_start_conf_is_expected_to_call_for_an_import_unless_grub_is_kept_by_hand() {
    for (grub, then) in [(Grub::Current, Grub::Stale), (Grub::ByHand, Grub::ByHand)] {
        let mut world = World::school(at("2026-11-24T18:00"));
        let files = world.files_mut("lab");
        files.start_conf.as_mut().unwrap().push_str("Old = yes\n");
        files.grub = grub;
        let step = of(&world).steps.remove(0);
        predict(&mut world.observed, &step);
        assert_eq!(world.files_mut("lab").grub, then);
    }
}

/// What an import does besides boot configurations cannot be seen: one that failed is not known to be done.
#[test]
fn an_import_that_failed_is_done_again_although_nothing_is_outdated() {
    let mut world = World::school(at("2026-11-24T18:00"));
    world.files_mut("lab").grub = Grub::Stale;
    let import = of(&world).steps.remove(0);
    world.failure(&import, world.observed.at, "dhcpd does not start");
    world.files_mut("lab").grub = Grub::Current;
    world.pass(60);
    let again = of(&world).steps;
    assert_eq!(again.len(), 1, "{again:#?}");
    let of_all = Action::ImportDevices {
        classes: vec![name("lab")],
        hosts: Default::default(),
    };
    assert_eq!(again[0].action, of_all);
    assert_eq!(again[0].reason, Reason::FailedBefore);
    let done = Entry::Finished {
        step: import.id,
        result: StepResult::Done,
    };
    world.note(world.observed.at, done);
    assert_eq!(of(&world).steps, []);
}

#[test]
fn hosts_are_expected_to_be_off_when_they_were_switched_off() {
    let mut world = World::school(at("2026-11-24T01:00"));
    let mut left_on = |hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| name(host));
        world.observed.left_on = Probe::Seen(hosts.collect());
        of(&world).steps.remove(0)
    };
    let step = left_on(&["r101-pc02"]);
    left_on(&["r101-pc01", "r101-pc02"]);
    predict(&mut world.observed, &step);
    assert_eq!(
        world.observed.left_on,
        Probe::Seen([name("r101-pc01")].into())
    );
}

/// A pass that was killed cuts a line off; a disk may spoil any.
#[test]
fn a_journal_is_read_around_lines_that_are_spoiled() {
    let line =
        r#"{"at":"2026-11-23T18:00:00Z","pass":"2026-11-23T18:00:00Z","event":"pass_started"}"#;
    let newer =
        r#"{"at":"2026-11-23T18:01:00Z","pass":"2026-11-23T18:00:00Z","event":"host","moon":1}"#;
    let read = |text: &str| {
        let contents = Contents::of(text.as_bytes());
        let entries = contents.lines.into_iter().map(|line| line.record.entry);
        (entries.collect::<Vec<_>>(), contents.corrupt, contents.torn)
    };
    let both = vec![Entry::PassStarted, Entry::Unknown];
    assert_eq!(
        read(&format!("{line}\n{newer}\n")),
        (both.clone(), vec![], 0)
    );
    // Nothing but its end is missing.
    assert_eq!(read(&format!("{line}\n{newer}")), (both.clone(), vec![], 0));
    assert_eq!(
        read(&format!("{line}\nspoiled\n\n{newer}\n{{\"at\"")),
        (both, vec![2, 3], 5)
    );
}
