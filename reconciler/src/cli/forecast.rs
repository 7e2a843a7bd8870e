//! `reconcile forecast`: the timetable of the coming days.

use jiff::{SignedDuration, Timestamp};

use super::look::{self, At};
use super::{Common, Exit, Format, Output, pass};
use crate::planning;
use crate::report::forecast;

pub(super) fn run(
    common: &Common,
    days: u16,
    at: Option<At>,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    let sight = look::at_server(pass::config(common, output)?, at, output, now)?;
    let span = SignedDuration::from_hours(24 * i64::from(days));
    let until = sight.observed.at.saturating_add(span)?;
    let found = planning::forecast(&sight.desired, sight.observed.clone(), until);
    let head = sight.head();
    match output.format {
        Format::Json => output.json(&forecast::json(head, &found))?,
        Format::Text | Format::Markdown => {
            let text = forecast::text(head, &sight.desired.server, &found, output.color);
            output.text(&text)?;
        }
    }
    Ok(if sight.has_failed() {
        Exit::Failed
    } else {
        Exit::Converged
    })
}
