//! Each promise can be broken: a fault of the reconciler made on purpose, which the check has to notice.

use std::rc::Rc;

use reconciler::simulator::time::{DAY, HOUR};
use reconciler::simulator::{
    Bug, Commit, Fault, Kind, Lie, Profile, Script, Signer, Turn, simulate,
};

use crate::fleets::{self, Size};
use crate::worlds::{QUIET_DAYS, world};

/// A month in which enough happens that each bug has its chance, and no promise is broken without one.
pub(crate) fn month() -> Script {
    let mut script = world(
        4,
        Profile::None,
        Size {
            schools: 2,
            rooms: 3,
        },
        8,
        21,
    );
    assert!(script.commits.len() > 1);
    let fleet = script.commits[0].fleet.clone().unwrap();
    let other = script.from + 3 * DAY;
    // A version with a diff on a new base replaces one with a diff on the old one.
    for (after, version) in [(0, "v2"), (2 * DAY, "v3"), (5 * DAY, "v2")] {
        let next = fleets::at_version(&fleet, "ubuntu", version);
        script.commits.push(Commit {
            at: script.from + HOUR + after,
            parent: Some(if after == 0 {
                0
            } else {
                script.commits.len() - 1
            }),
            subject: version.to_owned(),
            signer: Signer::Known,
            fleet: Ok(next.into()),
        });
    }
    script.commits.drain(1..script.commits.len() - 3);
    for (number, commit) in script.commits.iter_mut().enumerate() {
        commit.parent = number.checked_sub(1);
    }
    script
        .turns
        .retain(|(_, turn)| !matches!(turn, Turn::Merge(_)));
    script.commits.push(Commit {
        at: other,
        parent: None,
        subject: "forced".to_owned(),
        signer: Signer::Known,
        fleet: Ok(Rc::clone(&fleet)),
    });
    script.turns.push((other + HOUR, Turn::Merge(2)));
    let strange = script.from + 6 * DAY;
    script.signers = true;
    script.commits.push(Commit {
        at: strange,
        parent: Some(3),
        subject: "of a stranger".to_owned(),
        signer: Signer::Stranger,
        fleet: Ok(fleet),
    });
    script.turns.push((strange + HOUR, Turn::Merge(3)));
    let [host, liar] = [0, 1].map(|number| fleets::hosts(&script, 0)[number].clone());
    for (kind, from, until) in [
        (Kind::Garbled, 0, 12 * HOUR),
        (Kind::DeadWake(host), 0, 8 * DAY),
        (Kind::Lies(liar, Lie::Mount), 0, 8 * DAY),
        (Kind::ImportFails, 0, DAY),
        (Kind::SeedFails, 4 * DAY, 6 * DAY),
    ] {
        let (from, until) = (script.from + from, script.from + until);
        script.faults.push(Fault {
            from,
            until,
            site: None,
            kind,
        });
    }
    script.people = false;
    script.quiet_from = script.until + -QUIET_DAYS * DAY;
    script
}

#[test]
fn without_a_bug_nothing_is_broken() {
    let outcome = simulate(&month());
    assert_eq!(outcome.broken, []);
    assert!(
        outcome.account.failures > 3,
        "the faults did nothing: {}",
        outcome.account.failures
    );
}

#[test]
fn each_bug_is_noticed_by_its_promise() {
    let mut missed = Vec::new();
    for (bug, promise) in [
        (Bug::Restless, 1),
        (Bug::ForgetsHosts, 2),
        (Bug::BelievesZero, 2),
        (Bug::NeverDownloads, 2),
        (Bug::DryRunWrites, 3),
        (Bug::Fickle, 3),
        (Bug::WrongTime, 4),
        (Bug::WakesAllAtOnce, 5),
        (Bug::TakesTheLine, 5),
        (Bug::NoVerification, 6),
        (Bug::BaseRemovedFirst, 7),
        (Bug::ForeignDiff, 7),
        (Bug::AcceptsAnyCommit, 8),
        (Bug::TakesAnySignature, 8),
        (Bug::Shell, 9),
        (Bug::ForgetsLetters, 10),
        (Bug::TellsNobody, 10),
    ] {
        let mut script = month();
        script.bug = Some(bug);
        let outcome = simulate(&script);
        match outcome.broken.first() {
            Some(broken) if broken.promise == promise => {}
            other => missed.push((bug, promise, other.cloned())),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
