//! `reconcile suspend` and `reconcile resume`.

use jiff::Timestamp;

use super::{Common, Exit, Output, look, pass, status};
use crate::host::orders;
use crate::planning::{Subject, Suspended};
use crate::report::style::time;

/// Joins the words of what is suspended or resumed.
pub(super) fn subject(words: &[String]) -> Result<Subject, String> {
    match words {
        [] => Ok(Subject::Server),
        words => words.join(" ").parse(),
    }
}

pub(super) fn suspend(
    common: &Common,
    what: Subject,
    reason: String,
    until: Option<look::At>,
    output: &Output,
    now: Timestamp,
) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let zone = status::zone(&config);
    let until = until.map(|until| until.instant(&zone)).transpose()?;
    if let Some(until) = until
        && until <= now
    {
        anyhow::bail!(
            "the suspension would have ended at {}",
            time(until, now, &zone)
        );
    }
    let end = until.map_or_else(
        || format!("until `reconcile resume{}`", argument(&what)),
        |until| format!("until {}", time(until, now, &zone)),
    );
    let line = format!("{what} is suspended {end}: {reason}\n");
    let suspended = Suspended {
        since: now,
        reason,
        by: user(),
        until,
    };
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
    let mut line = format!("{what} is resumed: its failures until now count as resolved\n");
    let aside = orders::change(&config.paths.state, now, |orders| {
        if let Some(ended) = orders.resume(what.clone(), now) {
            line = format!("{what} is resumed, it was suspended: {}\n", ended.reason);
        }
    })?;
    set_aside(aside, output);
    output.text(&line)?;
    Ok(Exit::Converged)
}

/// What is typed behind the command for it.
fn argument(what: &Subject) -> String {
    match what {
        Subject::Server => String::new(),
        what => format!(" {what}"),
    }
}

fn set_aside(aside: Option<std::path::PathBuf>, output: &Output) {
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
fn user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "root".to_owned())
}
