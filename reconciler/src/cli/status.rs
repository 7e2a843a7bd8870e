//! `reconcile status`: how this server stood at the end of the last pass, and how its hosts stand now.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::name::{RoomName, SchoolName};

use super::exit::WrongUsage;
use super::explain::no_room;
use super::{Common, Exit, Format, Output, look, pass};
use crate::config::Config;
use crate::planning::{Ledger, Server};
use crate::report::hosts as table;
use crate::report::status::{ConditionKind, Status};
use crate::report::style::{Mark, time};

/// Its name in the state folder.
pub(super) const FILE: &str = "status.json";

/// What of it is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show every host: what it runs, what was tried last, and why it failed.
    #[arg(long)]
    hosts: bool,
    /// Show the hosts of this room alone.
    #[arg(long, value_name = "ROOM")]
    room: Option<RoomName>,
    /// Show the hosts of this school, which has to be the one of this server.
    #[arg(long, value_name = "SCHOOL")]
    school: Option<SchoolName>,
}

pub(super) fn run(
    common: &Common,
    args: &Args,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    if args.hosts || args.room.is_some() || args.school.is_some() {
        return hosts(common, args, output, now);
    }
    let now = now();
    let config = pass::config(common, output)?;
    let path = config.paths.state.join(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "no pass has ended on this server yet: run `reconcile`, or look at `systemctl status reconcile.timer`"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let status: Status = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged: the next pass makes it anew", path.display()))?;
    match output.format {
        Format::Json => output.json(&status)?,
        Format::Text | Format::Markdown => output.text(&show(&status, now, *output))?,
    }
    Ok(match status.exit {
        0 => Exit::Converged,
        held if held == Exit::Held.code() => Exit::Held,
        _ => Exit::Failed,
    })
}

/// How the hosts stand: looked at now, and nothing is changed.
fn hosts(
    common: &Common,
    args: &Args,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let here = &config.server;
    if let Some(school) = &args.school
        && *here != Server::School(school.clone())
    {
        let text = format!(
            "this is the server of {here}, which knows nothing of the hosts of {school}: ask there"
        );
        return Err(WrongUsage(text).into());
    }
    let sight = look::at_server(config, None, output, now)?;
    let mut ledger = Ledger::of(&sight.desired, &sight.observed);
    if let Some(room) = &args.room {
        if !ledger.rooms.contains_key(room) {
            return Err(no_room(room, &ledger).into());
        }
        ledger.rooms.retain(|name, _| name == room);
    }
    let head = sight.head();
    match output.format {
        Format::Text => output.text(&table::text(head, &ledger, output.color))?,
        Format::Json => output.json(&table::json(head, &ledger))?,
        Format::Markdown => output.text(&table::markdown(head, &ledger))?,
    }
    let has_failed = sight.has_failed() || table::Counts::of(&ledger).failed > 0;
    Ok(if has_failed {
        Exit::Failed
    } else {
        Exit::Converged
    })
}

/// The status that the last pass left; one that cannot be read says nothing.
pub(super) fn last(config: &Config) -> Option<Status> {
    serde_json::from_slice(&fs::read(config.paths.state.join(FILE)).ok()?).ok()
}

/// The zone in which this server reads times, as far as a pass has noted it.
pub(super) fn zone(config: &Config) -> TimeZone {
    last(config).map_or(TimeZone::UTC, |status| status.zone())
}

fn show(status: &Status, now: Timestamp, output: Output) -> String {
    let zone = status.zone();
    let mut text = String::new();
    let holds = |kind| {
        status
            .conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.status)
    };
    let (word, since) = match (
        holds(ConditionKind::Stalled),
        holds(ConditionKind::Ready),
        holds(ConditionKind::Reconciling),
    ) {
        (Some(stalled), ..) => ("troubled", stalled.last_transition),
        (None, Some(ready), _) => ("ready", ready.last_transition),
        (None, None, Some(waiting)) => ("waiting", waiting.last_transition),
        (None, None, None) => ("unknown", status.at),
    };
    // Writing to a String cannot fail.
    _ = writeln!(
        text,
        "{}: {word} since {}",
        status.server,
        time(since, now, &zone)
    );
    if let Some(commit) = &status.last_applied_commit {
        _ = writeln!(text, "commit      {}", commit.get(..9).unwrap_or(commit));
    }
    _ = writeln!(
        text,
        "last pass   {}, exit {}: {}",
        time(status.at, now, &zone),
        status.exit,
        status.last_operation.trim_start_matches("Pass: ")
    );
    for suspension in &status.suspended {
        _ = writeln!(text, "suspended   {suspension}");
    }
    for (mark, told) in status
        .troubles
        .iter()
        .map(|told| (Mark::Blocked, told))
        .chain(status.holds.iter().map(|told| (Mark::Wait, told)))
    {
        _ = writeln!(text, "\n{} {}", mark.paint(output.color), told.title);
        for line in &told.details {
            _ = writeln!(text, "    {line}");
        }
    }
    text
}
