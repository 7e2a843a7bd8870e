//! A world that breaks a promise, made small: whatever can be left out is left out.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use reconciler::simulator::time::DAY;
use reconciler::simulator::{Broken, Outcome, Script, Turn, What, simulate};
use schema::fleet::{Retries, Room, RoomWindows, School};
use schema::policy::InUse;

/// The smallest world found that breaks the same promise, and its outcome.
pub(crate) fn shrink(script: Script, broken: &Broken) -> (Script, Outcome) {
    let mut small = script;
    small.keep_all = true;
    let mut outcome = simulate(&small);
    let in_the_end = broken.at >= small.until;
    let mut tries = 400;
    let mut keep = |candidate: Script, small: &mut Script| {
        tries -= 1;
        let found = (tries > 0).then(|| simulate(&candidate));
        let same = |outcome: &Outcome| {
            outcome
                .broken
                .iter()
                .any(|other| other.promise == broken.promise && kind(other) == kind(broken))
        };
        match found.filter(same) {
            Some(found) => {
                outcome = found;
                *small = candidate;
                true
            }
            None => false,
        }
    };
    // Schools first: each makes a run shorter.
    let names: Vec<_> = small.schools.keys().cloned().collect();
    for name in names {
        if small.schools.len() > 1 {
            _ = keep(without_school(&small, &name), &mut small);
        }
    }
    shorter(&mut small, &mut keep);
    for chunk in [64, 16, 4, 1] {
        let mut at = 0;
        while at < small.faults.len() {
            let mut candidate = small.clone();
            candidate
                .faults
                .drain(at..(at + chunk).min(small.faults.len()));
            if !keep(candidate, &mut small) {
                at += chunk;
            }
        }
        let mut at = 0;
        while at < small.turns.len() {
            let mut candidate = small.clone();
            let mut place = 0..;
            candidate.turns.retain(|(_, turn)| {
                let place = place.next().unwrap_or(0);
                // What does not come right in the end is to do so although the branch was set right.
                (in_the_end && matches!(turn, Turn::Merge(_))) || !(at..at + chunk).contains(&place)
            });
            if candidate.turns.len() == small.turns.len() || !keep(candidate, &mut small) {
                at += chunk;
            }
        }
    }
    for plainer in PLAINER {
        let candidate = with_plainer_fleets(&small, plainer);
        _ = keep(candidate, &mut small);
    }
    let mut last = small.commits.len();
    while last > 1 {
        last -= 1;
        if let Some(candidate) = without_commit(&small, last) {
            _ = keep(candidate, &mut small);
        }
    }
    shorter(&mut small, &mut keep);
    (small, outcome)
}

/// What a school can do without.
const PLAINER: &[fn(&mut School)] = &[
    |school| school.exams.clear(),
    |school| school.rollout.waves = None,
    |school| school.retries = Retries::default(),
    |school| each_room(school, |room| room.in_use = InUse::default()),
    |school| each_room(school, |room| room.windows = RoomWindows::default()),
    |school| each_room(school, |room| (room.power, room.power_group) = (None, None)),
    |school| each_room(school, |room| room.suspended_hosts.clear()),
    |school| each_room(school, |room| room.suspended = None),
    |school| school.suspended = None,
    |school| school.holidays = Arc::default(),
];

fn each_room(school: &mut School, change: impl FnMut(&mut Room)) {
    school.rooms.values_mut().for_each(change);
}

fn with_plainer_fleets(script: &Script, plainer: &fn(&mut School)) -> Script {
    let mut script = script.clone();
    for commit in &mut script.commits {
        if let Ok(fleet) = &mut commit.fleet {
            Rc::make_mut(fleet).schools.values_mut().for_each(plainer);
        }
    }
    script
}

/// How a promise is broken, whoever is concerned.
fn kind(broken: &Broken) -> String {
    let how = broken.how.split(':').next().unwrap_or_default();
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == ',');
    how.split(' ').filter(plain).collect()
}

/// Days at the end go, then days at the beginning.
fn shorter(small: &mut Script, keep: &mut impl FnMut(Script, &mut Script) -> bool) {
    for days in [16, 8, 4, 2, 1] {
        while small.until - small.from > days * DAY {
            let mut candidate = small.clone();
            candidate.until = candidate.until + -days * DAY;
            // What is judged at the end is judged after as long a time without faults.
            candidate.quiet_from = candidate.quiet_from + -days * DAY;
            let quiet = candidate.quiet_from;
            candidate.faults.retain_mut(|fault| {
                fault.until = fault.until.min(quiet);
                fault.from < fault.until
            });
            for (at, _) in &mut candidate.turns {
                *at = (*at).min(quiet);
            }
            candidate.turns.dedup();
            if candidate.quiet_from <= candidate.from || !keep(candidate, small) {
                break;
            }
        }
        while small.quiet_from - small.from > days * DAY {
            let mut candidate = small.clone();
            candidate.from = candidate.from + days * DAY;
            let from = candidate.from;
            candidate.faults.retain(|fault| fault.from >= from);
            candidate.turns.retain(|(at, _)| *at >= from);
            // The first commit is what the servers have at the beginning.
            for commit in &mut candidate.commits {
                commit.at = commit.at.max(from);
            }
            if !keep(candidate, small) {
                break;
            }
        }
    }
}

/// The script without a commit, which nobody may set the branch to; its children build on its parent.
fn without_commit(script: &Script, gone: usize) -> Option<Script> {
    let mut script = script.clone();
    let parent = script.commits.get(gone)?.parent;
    script.commits.remove(gone);
    let moved = |number: usize| number - usize::from(number > gone);
    for commit in &mut script.commits {
        let known = commit.parent.filter(|number| *number != gone);
        let none = commit.parent.is_none();
        commit.parent = if none { None } else { known.or(parent) }.map(moved);
    }
    script.turns.retain_mut(|(_, turn)| match turn {
        Turn::Merge(number) if *number == gone => false,
        Turn::Merge(number) => {
            *number = moved(*number);
            true
        }
        _ => true,
    });
    Some(script)
}

fn without_school(script: &Script, name: &schema::name::SchoolName) -> Script {
    let Some(gone) = script.schools.keys().position(|other| other == name) else {
        return script.clone();
    };
    let mut script = script.clone();
    script.schools.remove(name);
    let moved = |site: usize| site - usize::from(site > gone);
    script.faults.retain(|fault| fault.site != Some(gone));
    script
        .faults
        .iter_mut()
        .for_each(|fault| fault.site = fault.site.map(moved));
    script.turns.retain(|(_, turn)| turn.site() != Some(gone));
    for (_, turn) in &mut script.turns {
        if let Some(site) = turn.site() {
            *turn = turn.clone().at_site(moved(site));
        }
    }
    script
}

/// What was found first and in the small world, for people.
pub(crate) fn tell(first: &Broken, script: &Script, outcome: &Outcome, seed: u64) -> String {
    let zone = jiff::tz::TimeZone::UTC;
    let names: Vec<_> = script.schools.keys().map(ToString::to_string).collect();
    let mut text = format!("of all that broke: {first}\n");
    for broken in &outcome.broken {
        text += &format!("{broken} at {}\n", names[broken.site]);
    }
    text += &format!(
        "\nseed {seed}; made small it needs, at {}:\n",
        names.join(", ")
    );
    for fault in &script.faults {
        let site = fault.site.map_or("everywhere", |site| &names[site]);
        text += &format!(
            "  {} to {}  {site}: {}\n",
            fault.from, fault.until, fault.kind
        );
    }
    for commit in &script.commits {
        text += &format!("  {}  commit: {}\n", commit.at, commit.subject);
    }
    let fleets = script.commits.iter();
    let mut fleets = fleets.filter_map(|commit| commit.fleet.as_ref().ok());
    let schools = fleets.next().map(|fleet| &fleet.schools);
    for (name, school) in schools.into_iter().flatten() {
        if names.contains(&name.to_string()) {
            let School {
                exams,
                retries,
                rollout,
                ..
            } = school;
            text += &format!("  {name}: {exams:?}\n  {retries:?}\n  {rollout:?}\n");
        }
    }
    for (at, turn) in &script.turns {
        text += &format!("  {at}  {turn:?}\n");
    }
    text += "\nthe last events:\n";
    let sites: BTreeSet<_> = outcome.broken.iter().map(|broken| broken.site).collect();
    let events: Vec<_> = outcome
        .account
        .events
        .iter()
        .filter(|event| !matches!(event.what, What::Moving))
        .filter(|event| event.site.is_none_or(|site| sites.contains(&site)))
        .collect();
    for event in &events[events.len().saturating_sub(40)..] {
        text += &format!(
            "  {}\n",
            event.line(event.site.map_or("", |site| &names[site]), &zone)
        );
    }
    text + &format!(
        "\nto see it again: SEED={seed} cargo test -p fleet-tests --test sim one_seed -- --nocapture\n"
    )
}

#[test]
fn a_broken_world_is_made_small() {
    let mut script = crate::bugs::month();
    script.bug = Some(reconciler::simulator::Bug::AcceptsAnyCommit);
    let (whole, broken) = (script.clone(), simulate(&script).broken);
    let (small, outcome) = shrink(script, &broken[0]);
    assert_eq!(outcome.broken[0].promise, 8);
    assert!(small.faults.is_empty(), "{:?}", small.faults);
    assert_eq!((small.schools.len(), small.commits.len()), (1, 2));
    assert!(small.until - small.from < (whole.until - whole.from) / 2);
}
