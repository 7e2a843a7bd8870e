//! A world that breaks a promise, made small: whatever can be left out is left out.

use reconciler::simulator::{Broken, Outcome, Script, simulate};

/// The smallest world found that breaks the same promise, and its outcome.
pub(crate) fn shrink(script: Script, broken: &Broken) -> (Script, Outcome) {
    let mut small = script;
    small.keep_all = true;
    let mut outcome = simulate(&small);
    let mut tries = 400;
    let mut keep = |candidate: Script, small: &mut Script| {
        tries -= 1;
        let found = (tries > 0).then(|| simulate(&candidate));
        let same = |outcome: &Outcome| {
            outcome
                .broken
                .iter()
                .any(|other| other.promise == broken.promise)
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
            candidate
                .turns
                .drain(at..(at + chunk).min(small.turns.len()));
            if !keep(candidate, &mut small) {
                at += chunk;
            }
        }
    }
    (small, outcome)
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

/// What was found, for people.
pub(crate) fn tell(script: &Script, outcome: &Outcome, seed: u64) -> String {
    let zone = jiff::tz::TimeZone::UTC;
    let names: Vec<_> = script.schools.keys().map(ToString::to_string).collect();
    let mut text = String::new();
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
    for (at, turn) in &script.turns {
        text += &format!("  {at}  {turn:?}\n");
    }
    text += "\nthe last events:\n";
    let events: Vec<_> = outcome
        .account
        .events
        .iter()
        .filter(|event| !matches!(event.what, reconciler::simulator::What::Moving))
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
