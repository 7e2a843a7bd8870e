//! Each promise can be broken: a fault of the reconciler made on purpose, which the check has to notice.

use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use reconciler::planning::Subject;
use reconciler::simulator::time::{DAY, HOUR, Moment};
use reconciler::simulator::{
    Bug, Commit, Fault, Kind, Lie, Profile, Script, Signer, Turn, Usage, simulate,
};
use schema::fleet::{Canary, Exam, ExamRooms, Retries, RoomWindows, Suspension, Then, Waves};
use schema::policy::{InUse, Until};

use crate::fleets::{self, Size};
use crate::worlds::{QUIET_DAYS, world};

/// A month in which enough happens that each bug has its chance, and no promise is broken without one.
pub(crate) fn month() -> Script {
    // A version with a diff on a new base replaces one with a diff on the old one.
    month_of(["v2", "v3", "v2"])
}

/// The same, with these versions of the image one after the other.
fn month_of([first, second, third]: [&str; 3]) -> Script {
    let mut script = world(
        4,
        Profile::None,
        Size {
            schools: 2,
            rooms: 3,
        },
        (8, 21),
        false,
    );
    assert!(script.commits.len() > 1);
    let fleet = script.commits[0].fleet.clone().unwrap();
    let other = script.from + 3 * DAY;
    for (after, version) in [(0, first), (2 * DAY, second), (5 * DAY, third)] {
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
    script.quiet_from = script.until + -QUIET_DAYS * DAY;
    script
}

/// A month in which much is to be left alone: exams, suspensions, people at their PCs, a bad version.
fn careful_month() -> Script {
    let mut script = month();
    let (from, day) = (script.from, |day: i64| script.from + day * DAY);
    let date = |at: Moment| at.timestamp().to_zoned(TimeZone::UTC).date();
    let exam = Exam {
        dates: fleets::read(&format!("{}..{}", date(day(2)), date(day(4)))),
        rooms: ExamRooms::All,
    };
    let suspension = Suspension {
        reason: fleets::read("new furniture"),
        by: fleets::read("Ada"),
        until: Some(Until::Day(date(day(8)))),
    };
    for commit in &mut script.commits {
        let Ok(fleet) = &mut commit.fleet else {
            continue;
        };
        for school in Rc::make_mut(fleet).schools.values_mut() {
            school.exams = vec![exam.clone()];
            school.rollout.waves = Some(Waves {
                canary: Canary::Portion(fleets::read("1 room")),
                then: Then::Portion(fleets::read("5 hosts")),
                ..Waves::default()
            });
            school.rollout.stop_at_failures = fleets::read("10 %");
            school.retries = Retries::default();
            school.holidays = Arc::default();
            for room in school.rooms.values_mut() {
                room.reset = Some([fleets::read("daily 18:30")].into_iter().collect());
                (room.in_use, room.windows) = (InUse::Wait, RoomWindows::default());
            }
            if let Some(room) = school.rooms.values_mut().last() {
                room.suspended = Some(suspension.clone());
            }
        }
    }
    let room: Subject = "room r02".parse().unwrap();
    let hosts = fleets::hosts(&script, 0);
    let resumed = Turn::Resume(0, room.clone());
    script.turns.push((from, Turn::Suspend(0, room, None)));
    script.turns.push((from + 9 * DAY, resumed));
    let bad = Kind::BadVersion(fleets::read("ubuntu"), fleets::read("v2"), 100);
    let works = Kind::Runs(hosts[2].clone(), Usage::Somebody);
    for (kind, until) in [(bad, 10 * DAY), (works, 9 * DAY)] {
        let (until, site) = (from + until, None);
        script.faults.push(Fault {
            from,
            until,
            site,
            kind,
        });
    }
    script
}

/// A month in which new versions are merged days before they may come.
fn announced_month() -> Script {
    let mut script = month();
    let first = (script.from + 8 * DAY).timestamp();
    let first = first.to_zoned(TimeZone::UTC).date();
    for commit in &mut script.commits {
        let Ok(fleet) = &mut commit.fleet else {
            continue;
        };
        for school in Rc::make_mut(fleet).schools.values_mut() {
            school.rollout.from = Some(first);
        }
    }
    script
}

#[test]
fn without_a_bug_nothing_is_broken() {
    let [_, _, outcome] = [careful_month(), announced_month(), month()].map(|script| {
        let outcome = simulate(&script);
        let tell = || crate::shrink::tell(&outcome.broken[0], &script, &outcome, script.seed);
        assert!(outcome.broken.is_empty(), "{}", tell());
        outcome
    });

    assert!(
        outcome.account.failures > 3,
        "the faults did nothing: {}",
        outcome.account.failures
    );
}

/// Bugs that show only where something is to be left alone.
const CAREFUL: &[Bug] = &[
    Bug::ForgetsExams,
    Bug::ForgetsSuspensions,
    Bug::ForgetsOrders,
    Bug::IgnoresPeople,
    Bug::OpensAllWaves,
    Bug::NeverStops,
];

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
        (Bug::ForgetsExams, 4),
        (Bug::ForgetsSuspensions, 4),
        (Bug::ForgetsOrders, 4),
        (Bug::ForgetsRollbacks, 4),
        (Bug::ForgetsFirstDay, 4),
        (Bug::IgnoresPeople, 4),
        (Bug::OpensAllWaves, 4),
        (Bug::NeverStops, 4),
        (Bug::WakesAllAtOnce, 5),
        (Bug::OverlooksBudgets, 5),
        (Bug::OverlooksSlots, 5),
        (Bug::TakesTheLine, 5),
        (Bug::NoVerification, 6),
        (Bug::BaseRemovedFirst, 7),
        (Bug::ForeignDiff, 7),
        (Bug::ForgetsThePrevious, 7),
        (Bug::DeletesShared, 7),
        (Bug::AcceptsAnyCommit, 8),
        (Bug::TakesAnySignature, 8),
        (Bug::Shell, 9),
        (Bug::ForgetsLetters, 10),
        (Bug::TellsNobody, 10),
    ] {
        let mut script = if CAREFUL.contains(&bug) {
            careful_month()
        } else if bug == Bug::ForgetsFirstDay {
            announced_month()
        } else if bug == Bug::ForgetsRollbacks {
            let mut script = month();
            // Before the second version is in its place.
            let soon = script.from + 2 * DAY + HOUR + HOUR / 2;
            for site in 0..2 {
                let back = Turn::RollBack(site, fleets::read("ubuntu"), fleets::read("v2"));
                script.turns.push((soon, back));
            }
            script
        } else if bug == Bug::DeletesShared {
            // In the end nobody needs the diff of the second any more, but its base belongs to the first as well.
            month_of(["v2", "v1", "v3"])
        } else {
            month()
        };
        script.bug = Some(bug);
        let outcome = simulate(&script);
        match outcome.broken.first() {
            Some(broken) if broken.promise == promise => {}
            other => missed.push((bug, promise, other.cloned())),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
