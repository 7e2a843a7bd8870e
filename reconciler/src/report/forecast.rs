//! The days to come, for people and programs.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::planning::{Action, Forecast, Foreseen, Server};
use crate::report::json::{self, FORMAT_VERSION};
use crate::report::style::{Color, count};
use crate::report::text::{Head, block, opening};
use crate::report::title::{self, Clock};

/// As text, day by day.
#[must_use]
pub fn text(head: Head<'_>, server: &Server, forecast: &Forecast, color: Color) -> String {
    let mut text = opening(head, color);
    let clock = head.clock;
    let mut day = None;
    // Writing to a String cannot fail.
    for one in &forecast.work {
        let at = one.from.to_zoned(clock.zone.clone());
        if day != Some(at.date()) {
            day = Some(at.date());
            _ = writeln!(text, "\n{}", at.strftime("%a %-d %b %Y"));
        }
        let span = span(one.from, one.until, clock);
        _ = writeln!(text, "  {span}  {}", what(one));
    }
    let until = clock.show(forecast.until);
    if forecast.work.is_empty() && forecast.slots.is_empty() {
        _ = writeln!(text, "\nNothing is to be done until {until}.");
    }
    if !forecast.peaks.is_empty() {
        text.push_str("\nAt most:\n");
    }
    for peak in &forecast.peaks {
        let hosts = count(peak.hosts, "host", "hosts");
        let at = clock.show(peak.at);
        _ = writeln!(text, "  {hosts} on at once in {}, at {at}", peak.circuit);
    }
    slots(&mut text, server, forecast, clock);
    if !forecast.blocked.is_empty() {
        text.push_str("\nWhat nothing is foreseen of before a person does something:\n");
        let items = forecast.blocked.iter().map(|hold| title::held(hold, clock));
        block(&mut text, items, "", color);
    }
    text
}

fn slots(text: &mut String, server: &Server, forecast: &Forecast, clock: Clock<'_>) {
    if forecast.slots.is_empty() {
        return;
    }
    text.push_str("\nSlots on the line of the central server:\n");
    for (school, slot) in &forecast.slots {
        let from = clock.show(slot.from);
        let until = time_of(slot.until, clock);
        let whose = match server {
            Server::Central => format!("  {school}"),
            Server::School(_) => String::new(),
        };
        // Writing to a String cannot fail.
        _ = writeln!(text, "  {from}–{until}{whose}  at {}", slot.rate);
    }
}

/// As one JSON document.
#[must_use]
pub fn json(head: Head<'_>, forecast: &Forecast) -> Value {
    let work = forecast.work.iter().map(|one| {
        json!({
            "from": one.from, "until": one.until, "is_through": one.is_through,
            "step": json::step(&one.step, 0, head.clock),
        })
    });
    let slots = forecast.slots.iter().map(|(school, slot)| {
        json!({
            "school": school, "from": slot.from, "until": slot.until, "bits_per_second": slot.rate.bits(),
        })
    });
    let blocked = forecast.blocked.iter();
    json!({
        "format_version": FORMAT_VERSION,
        "server": head.server,
        "at": forecast.at,
        "until": forecast.until,
        "commit": head.commit,
        "problems": head.problems,
        "unseen": head.blind,
        "suspended": head.suspended,
        "work": work.collect::<Vec<_>>(),
        "peaks": forecast.peaks,
        "slots": slots.collect::<Vec<_>>(),
        "blocked": blocked.map(|hold| json::hold(hold, head.clock)).collect::<Vec<_>>(),
    })
}

fn what(one: &Foreseen) -> String {
    let title = title::of_step(&one.step);
    match &one.step.action {
        Action::Download {
            rate: Some(rate), ..
        } => {
            let goes_on = if one.is_through {
                ""
            } else {
                ", to be continued"
            };
            format!("{title} at {rate}{goes_on}")
        }
        _ => title,
    }
}

fn span(from: Timestamp, until: Timestamp, clock: Clock<'_>) -> String {
    let (from, until) = (time_of(from, clock), time_of(until, clock));
    if from == until {
        format!("{from}      ")
    } else {
        format!("{from}–{until}")
    }
}

fn time_of(at: Timestamp, clock: Clock<'_>) -> String {
    let at = at.to_zoned(clock.zone.clone());
    at.strftime("%H:%M").to_string()
}
