//! Retries, waves, the guard, announcements, suspensions: what a document leaves out is as in the
//! one above it, key by key.

use std::collections::BTreeSet;

use super::dangling;
use crate::diagnostic::{Diagnostic, Span};
use crate::document::SchoolDocument;
use crate::document::fleet::DefaultsDocument;
use crate::document::policy::{
    AnnounceChoice, GuardDocument, RetriesDocument, RolloutChoice, RolloutDocument,
    SuspensionDocument,
};
use crate::fleet::{Announce, Canary, Guard, Retries, Rollout, Suspension, Then, Waves};
use crate::name::{RoomName, SchoolName};
use crate::read::{At, WordOr};

/// How careful the schools are, or one school is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policies {
    pub(crate) retries: Retries,
    pub(crate) rollout: Rollout,
    pub(crate) guard: Guard,
    pub(crate) announce: Option<Announce>,
}

/// What a document says of care.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) retries: &'a At<RetriesDocument>,
    pub(crate) rollout: &'a At<RolloutChoice>,
    pub(crate) guard: &'a At<GuardDocument>,
    pub(crate) announce: &'a At<AnnounceChoice>,
}

impl DefaultsDocument {
    /// What it says of care.
    pub(crate) fn policies(&self) -> Said<'_> {
        Said {
            retries: &self.retries,
            rollout: &self.rollout,
            guard: &self.guard,
            announce: &self.announce,
        }
    }
}

impl SchoolDocument {
    /// What it says of care.
    pub(crate) fn policies(&self) -> Said<'_> {
        Said {
            retries: &self.retries,
            rollout: &self.rollout,
            guard: &self.guard,
            announce: &self.announce,
        }
    }
}

/// The rooms that a document may name.
#[derive(Clone, Copy)]
pub(crate) enum Known<'a> {
    /// None: it speaks for all schools.
    OfNoSchool,
    /// Those of this school.
    Of(&'a SchoolName, &'a [&'a RoomName]),
}

/// What a document says, the rest as in the one above it.
pub(crate) fn resolve(
    file: &str,
    said: Said<'_>,
    base: &Policies,
    known: Known<'_>,
    found: &mut Vec<Diagnostic>,
) -> Policies {
    Policies {
        retries: said.retries.get().map_or(base.retries, |own| Retries {
            tries: own.tries.get().map_or(base.retries.tries, |count| count.0),
            wait: own.wait.get().copied().unwrap_or(base.retries.wait),
            stalled_after: own
                .stalled_after
                .get()
                .map_or(base.retries.stalled_after, |count| count.0),
        }),
        rollout: match said.rollout.get() {
            None => base.rollout.clone(),
            Some(WordOr::Word(_)) => Rollout {
                waves: None,
                ..base.rollout.clone()
            },
            Some(WordOr::Parts(own)) => rollout(file, own, &base.rollout, known, found),
        },
        guard: Guard {
            reimage_at_most: said
                .guard
                .get()
                .and_then(|own| own.reimage_at_most.get().copied())
                .unwrap_or(base.guard.reimage_at_most),
        },
        announce: match said.announce.get() {
            None => base.announce,
            Some(WordOr::Word(_)) => None,
            Some(WordOr::Parts(own)) => own.days_before.get().map(|days| Announce {
                days_before: days.0,
            }),
        },
    }
}

fn rollout<'a>(
    file: &str,
    own: &'a RolloutDocument,
    base: &Rollout,
    known: Known<'_>,
    found: &mut Vec<Diagnostic>,
) -> Rollout {
    let waves = base.waves.clone().unwrap_or_default();
    let mut named: BTreeSet<&RoomName> = BTreeSet::new();
    let mut group = |names: &'a [At<RoomName>], (span, portion): (Option<Span>, &str)| {
        if names.is_empty() {
            let message = "a list without rooms";
            found.push(
                Diagnostic::error("empty-list", file, span, message)
                    .with_hint(format!("name a room, or write `{portion}`")),
            );
        }
        check_rooms(file, names, known, found);
        for room in names {
            if room.get().is_some_and(|name| !named.insert(name)) {
                let name = room.get().map_or("", RoomName::as_str);
                let message = format!("`{name}` is in a wave already");
                found.push(
                    Diagnostic::error("duplicate-room", file, room.span(), message)
                        .with_hint("leave it where it is to have the version first"),
                );
            }
        }
        names.iter().filter_map(At::get).cloned().collect()
    };
    let canary = own.canary.get().map(|canary| match canary {
        WordOr::Word(portion) => Canary::Portion(*portion),
        WordOr::Parts(names) => Canary::Rooms(group(names, (own.canary.span(), "1 room"))),
    });
    let then = own.then.get().map(|then| match then {
        WordOr::Word(portion) => Then::Portion(*portion),
        WordOr::Parts(groups) => {
            let groups = groups.iter();
            Then::Groups(
                groups
                    .map(|names| group(names, (own.then.span(), "25 %")))
                    .collect(),
            )
        }
    });
    // A day alone says nothing of waves.
    let is_day_alone = own.from.get().is_some()
        && canary.is_none()
        && then.is_none()
        && own.healthy.get().is_none()
        && own.soak.get().is_none();
    let waves = Waves {
        canary: canary.unwrap_or(waves.canary),
        then: then.unwrap_or(waves.then),
        healthy: own.healthy.get().copied().unwrap_or(waves.healthy),
        soak: own.soak.get().copied().unwrap_or(waves.soak),
    };
    Rollout {
        from: own.from.get().map(|day| day.0).or(base.from),
        waves: if is_day_alone {
            base.waves.clone()
        } else {
            Some(waves)
        },
        stop_at_failures: own
            .stop_at_failures
            .get()
            .copied()
            .unwrap_or(base.stop_at_failures),
        loading_at_once: own
            .loading_at_once
            .get()
            .map_or(base.loading_at_once, |count| count.0),
    }
}

/// Complains of rooms that do not exist, or cannot be named here.
pub(crate) fn check_rooms(
    file: &str,
    names: &[At<RoomName>],
    known: Known<'_>,
    found: &mut Vec<Diagnostic>,
) {
    for room in names {
        let Some(name) = room.get() else { continue };
        let (school, rooms) = match known {
            Known::OfNoSchool => {
                let message =
                    format!("`{name}` is a room of a school, and this is for all schools");
                found.push(
                    Diagnostic::error("room-of-no-school", file, room.span(), message)
                        .with_hint("write `1 room` here, or the rooms in the `school.yaml`"),
                );
                continue;
            }
            Known::Of(school, rooms) => (school, rooms),
        };
        if !rooms.contains(&name) {
            let message = format!("the school has no room `{name}`");
            found.push(dangling(
                "unknown-room",
                file,
                room.span(),
                message,
                name.as_str(),
                rooms.iter().map(|room| room.as_str()),
                "its rooms are",
                || format!("a room is a file: add `schools/{school}/rooms/{name}.yaml`"),
            ));
        }
    }
}

/// The suspension that a document says; none also where it is broken.
pub(crate) fn suspension(own: &At<SuspensionDocument>) -> Option<Suspension> {
    let own = own.get()?;
    Some(Suspension {
        reason: own.reason.get()?.clone(),
        by: own.by.get()?.clone(),
        until: own.until.get().copied(),
    })
}
