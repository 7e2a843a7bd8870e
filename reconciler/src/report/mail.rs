//! Letters: one digest of what is new, with the evidence, and of what is good again.
//!
//! # Invariants
//!
//! What people were told stands in the journal, written after the relay took the letter. So news that
//! could not be sent is news again in the next pass, and nothing is told twice but after a crash
//! in the instant between the two.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::planning::{Entry, Journal};
use crate::report::style::count;
use crate::report::trouble::{MISSED, Standing, Trouble};
use crate::world::{Letter, Readers};

/// What is to be written into the journal once a letter was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The letter.
    pub letter: Letter,
    /// The entry.
    pub told: Entry,
}

/// The letter that is due, if there is news.
#[must_use]
pub fn news(server: &str, standing: &Standing, journal: &Journal) -> Option<News> {
    let is_news = |key: &String, trouble: &Trouble| match journal.told().get(key) {
        Some(told) => trouble.is_left_alone && *told != trouble.title,
        None => true,
    };
    let fresh: BTreeMap<&String, &Trouble> = standing
        .open
        .iter()
        .filter(|(key, trouble)| is_news(key, trouble))
        .collect();
    let missed: BTreeMap<&String, &Trouble> = standing
        .missed
        .iter()
        .filter(|(key, _)| !journal.told().contains_key(*key))
        .collect();
    if fresh.is_empty() && missed.is_empty() && standing.over.is_empty() {
        return None;
    }
    let still = journal
        .told()
        .keys()
        .filter(|key| {
            let is_over = standing.over.contains_key(*key);
            !is_over && !fresh.contains_key(key) && !key.starts_with(MISSED)
        })
        .count();
    // Of each room the last one is enough to know.
    let replaced = journal.told().keys().filter(|key| {
        let of_room = |key: &str| key.rsplit_once('/').map(|(room, _)| room.to_owned());
        key.starts_with(MISSED) && missed.keys().any(|new| of_room(new) == of_room(key))
    });
    let told = Entry::Told {
        opened: fresh
            .iter()
            .chain(&missed)
            .map(|(key, trouble)| ((*key).clone(), trouble.title.clone()))
            .collect(),
        closed: standing.over.keys().chain(replaced).cloned().collect(),
    };
    let letter = Letter {
        readers: Readers::Administrators,
        subject: subject(server, fresh.len(), missed.len(), standing.over.len()),
        body: body(&fresh, &missed, standing, still),
    };
    Some(News { letter, told })
}

fn subject(server: &str, fresh: usize, missed: usize, over: usize) -> String {
    let fresh = (fresh > 0).then(|| count(fresh, "new problem", "new problems"));
    let missed = (missed > 0).then(|| count(missed, "reset missed", "resets missed"));
    let over = (over > 0).then(|| format!("{over} good again"));
    let parts: Vec<String> = fresh.into_iter().chain(missed).chain(over).collect();
    format!("[reconcile] {server}: {}", parts.join(", "))
}

fn body(
    fresh: &BTreeMap<&String, &Trouble>,
    missed: &BTreeMap<&String, &Trouble>,
    standing: &Standing,
    still: usize,
) -> String {
    let mut body = String::new();
    // Writing to a String cannot fail.
    for trouble in fresh.values() {
        _ = writeln!(body, "! {}", trouble.title);
        for line in trouble.details.iter().flat_map(|line| line.lines()) {
            _ = writeln!(body, "    {line}");
        }
        body.push('\n');
    }
    if !missed.is_empty() {
        _ = writeln!(
            body,
            "Nothing failed, but no time is left before the next reset:"
        );
        for trouble in missed.values() {
            _ = writeln!(body, "- {}", trouble.title);
            for line in trouble.details.iter().flat_map(|line| line.lines()) {
                _ = writeln!(body, "    {line}");
            }
        }
        body.push('\n');
    }
    if !standing.over.is_empty() {
        _ = writeln!(body, "Over, and good again:");
        for title in standing.over.values() {
            _ = writeln!(body, "  {title}");
        }
        body.push('\n');
    }
    if still > 0 {
        _ = writeln!(
            body,
            "{} known before {} not over yet.\n",
            count(still, "problem", "problems"),
            if still == 1 { "is" } else { "are" }
        );
    }
    _ = writeln!(
        body,
        "On the server, `reconcile status` shows how things stand, `reconcile --dry-run` what is to be done,\n`reconcile history` what was done."
    );
    body
}
