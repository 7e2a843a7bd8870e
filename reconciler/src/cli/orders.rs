//! `reconcile suspend` and `reconcile resume`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::policy::Until;
use schema::units::Length;

use super::exit::WrongUsage;
use super::{Common, Exit, Output, pass, status};
use crate::config::{Config, Paths};
use crate::host::orders;
use crate::linbo::devices::Devices;
use crate::planning::{Subject, Suspended};
use crate::report::style::time;

/// Joins the words of what is suspended or resumed.
pub(super) fn subject(words: &[String]) -> Result<Subject, String> {
    match words {
        [] => Ok(Subject::Server),
        words => words.join(" ").parse(),
    }
}

/// When a suspension ends, as people type it.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// At an instant.
    At(Timestamp),
    /// At a time or with the end of a day in the school's zone.
    Local(Until),
    /// After so much time.
    After(Length),
}

/// Reads the end of a suspension.
pub(super) fn end(text: &str) -> Result<End, String> {
    let text = text.trim();
    let at = text.parse().map(End::At);
    at.or_else(|_| text.parse().map(End::Local))
        .or_else(|_| text.parse().map(End::After))
        .map_err(|_| {
            "write `3 days`, `2026-11-27` for the end of that day, `2026-11-27 18:00` for local time, or `2026-11-27T17:00:00Z`"
                .to_owned()
        })
}

impl End {
    fn instant(self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Local(until) => until.end(zone),
            Self::After(length) => now
                .checked_add(length.to_duration())
                .unwrap_or(Timestamp::MAX),
        }
    }
}

/// Why, as whoever wonders later reads it.
pub(super) fn reason(text: &str) -> Result<String, WrongUsage> {
    let reason = text.trim().to_owned();
    if reason.is_empty() {
        let text = "the reason is empty: say why, for whoever wonders that nothing happens";
        return Err(WrongUsage(text.to_owned()));
    }
    Ok(reason)
}

pub(super) fn suspend(
    common: &Common,
    what: Subject,
    reason: &str,
    until: Option<End>,
    output: &Output,
    now: Timestamp,
) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let zone = status::zone(&config);
    let reason = self::reason(reason)?;
    let until = until.map(|until| until.instant(now, &zone));
    let shown = |at| time(at, now, &zone);
    if let Some(until) = until.filter(|until| *until <= now) {
        let text = format!(
            "the suspension would have ended on {}, and it is {} now",
            shown(until),
            shown(now)
        );
        return Err(WrongUsage(text).into());
    }
    let end = until.map_or_else(|| format!("`{}`", what.resume()), shown);
    let line = format!("{what} is suspended until {end}: {reason}\n");
    let suspended = Suspended {
        since: now,
        reason,
        by: user(),
        until,
    };
    if let Some(unknown) = unknown(&config, &what) {
        output.line(&format!(
            "! {unknown}: it is suspended all the same, but check the name"
        ));
    }
    let aside = orders::change(&config.paths.state, now, |orders| {
        orders.suspend(what, suspended);
    })?;
    set_aside(aside, output);
    output.text(&line)?;
    Ok(Exit::Converged)
}

pub(super) fn resume(
    common: &Common,
    what: Subject,
    output: &Output,
    now: Timestamp,
) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let zone = status::zone(&config);
    if let Some(unknown) = unknown(&config, &what) {
        output.line(&format!("! {unknown}: check the name"));
    }
    let mut text = match what {
        Subject::Server => {
            "nothing was suspended as a whole; all failures until now count as resolved\n"
                .to_owned()
        }
        _ => format!(
            "{what} was not suspended on this server; its failures until now count as resolved\n"
        ),
    };
    let aside = orders::change(&config.paths.state, now, |orders| {
        let ended = orders
            .suspension(&what, now)
            .map(|ended| ended.reason.clone());
        let gone_back = match &what {
            Subject::Image(image) => orders.rolled_back().get(image).cloned(),
            Subject::Server | Subject::Room(_) | Subject::Host(_) => None,
        };
        orders.resume(what.clone(), now);
        if let Some(reason) = ended {
            text = format!(
                "{what} is resumed, it was suspended: {reason}\nits failures until now count as resolved\n"
            );
        }
        if let Some(order) = gone_back {
            text = format!(
                "{what} takes up again what the state repo names; it went back to {}: {}\nits failures until now count as resolved\n",
                order.to, order.reason
            );
        }
        for (
            what,
            Suspended {
                reason, by, until, ..
            },
        ) in orders.suspensions(now)
        {
            let until = until.map_or(String::new(), |at| {
                format!(" until {}", time(at, now, &zone))
            });
            text += &format!("still suspended: {what}{until}, by {by}: {reason}\n");
        }
    })?;
    set_aside(aside, output);
    output.text(&text)?;
    Ok(Exit::Converged)
}

/// That this server has no such thing, as far as its own files tell. A file that cannot be read says nothing.
fn unknown(config: &Config, what: &Subject) -> Option<String> {
    let Paths { linbo, devices, .. } = &config.paths;
    let rows = || Some(Devices::parse(&std::fs::read(devices).ok()?));
    match what {
        Subject::Server => None,
        Subject::Room(room) => rows()?
            .in_room(room)
            .next()
            .is_none()
            .then(|| format!("{} has no room {room}", devices.display())),
        Subject::Host(host) => rows()?
            .get(host)
            .is_none()
            .then(|| format!("{} has no host {host}", devices.display())),
        Subject::Image(image) => {
            let images = linbo.join("images");
            let is_there = images.join(image.as_str()).exists() || !images.exists();
            (!is_there).then(|| format!("{} has no image {image}", images.display()))
        }
    }
}

pub(super) fn set_aside(aside: Option<std::path::PathBuf>, output: &Output) {
    if let Some(aside) = aside {
        output.line(&format!(
            "! earlier orders could not be understood and are in {}",
            aside.display()
        ));
    }
}

/// Who gives the order: behind sudo, who called it.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is what reads the environment"
)]
pub(super) fn user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "root".to_owned())
}
