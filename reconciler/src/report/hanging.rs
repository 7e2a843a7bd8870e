//! Hosts that are busy for longer than a reset may take: what has them, since when, and what to do about it.

use schema::name::HostName;

use crate::linbo::remote::session_name;
use crate::planning::{Busy, Occupant};
use crate::report::title::Clock;

/// What has a host, in the words that follow its name.
#[must_use]
pub(super) fn what(busy: &Busy, clock: Clock<'_>) -> String {
    let since = clock.show(busy.since);
    match &busy.by {
        Occupant::Session => {
            format!("has a session of linbo-remote since {since}, longer than a reset may take")
        }
        Occupant::Orphan(_) => {
            format!("has a command of an earlier pass since {since}, longer than a reset may take")
        }
    }
}

/// How a person finds out more, and ends it.
#[must_use]
pub(super) fn advice(host: &HostName, busy: &Busy) -> String {
    match &busy.by {
        Occupant::Session => {
            let session = session_name(host);
            format!(
                "look into it with `tmux attach -t {session}` (Ctrl-b d leaves it), and if nothing moves, end it with `tmux kill-session -t {session}`"
            )
        }
        Occupant::Orphan(log) => {
            format!("`fuser -v {log}` shows its process: end that with `kill`")
        }
    }
}
