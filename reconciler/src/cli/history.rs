//! `reconcile history`: what was done, from the journal.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Common, Exit, Format, Output, pass, status};
use crate::host::journal_file::JournalFile;
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Entry, Record, StepResult};
use crate::report::style::time;

/// One pass.
#[derive(Debug, Serialize)]
struct Past {
    at: Timestamp,
    commit: Option<String>,
    steps: Vec<PastStep>,
    hosts: Vec<(String, HostOutcome)>,
    /// None when it was cut off.
    exit: Option<u8>,
    summary: Option<String>,
}

/// One step.
#[derive(Debug, Serialize)]
struct PastStep {
    title: String,
    id: String,
    began: Timestamp,
    seconds: Option<i64>,
    /// None when it was cut off.
    result: Option<StepResult>,
}

pub(super) fn run(
    common: &Common,
    limit: usize,
    all: bool,
    output: &Output,
    now: Timestamp,
) -> anyhow::Result<Exit> {
    let config = pass::config(common, output)?;
    let (records, warnings) = JournalFile::read(&config.paths.state)?;
    for warning in warnings {
        output.line(&warning);
    }
    let mut passes = fold(&records);
    passes.retain(|past| all || !past.steps.is_empty() || past.exit != Some(0));
    let passes = passes.split_off(passes.len().saturating_sub(limit));
    let zone = status::last(&config).map_or(TimeZone::UTC, |status| status.zone());
    match output.format {
        Format::Json => {
            output.json(&serde_json::json!({ "format_version": "1.0", "passes": passes }))?
        }
        Format::Text | Format::Markdown => output.text(&show(&passes, now, &zone))?,
    }
    Ok(Exit::Converged)
}

fn fold(records: &[Record]) -> Vec<Past> {
    let mut passes: Vec<Past> = Vec::new();
    for record in records {
        if passes.last().is_none_or(|past| past.at != record.pass) {
            passes.push(Past {
                at: record.pass,
                commit: None,
                steps: Vec::new(),
                hosts: Vec::new(),
                exit: None,
                summary: None,
            });
        }
        let Some(past) = passes.last_mut() else {
            continue;
        };
        match &record.entry {
            Entry::Commit { id, .. } => past.commit = Some(id.clone()),
            Entry::Started { step, title, .. } => {
                past.steps.push(PastStep {
                    title: title.clone(),
                    id: step.to_string(),
                    began: record.at,
                    seconds: None,
                    result: None,
                });
            }
            Entry::Host { host, outcome, .. } => {
                past.hosts.push((host.to_string(), outcome.clone()))
            }
            Entry::Finished { step, result } => {
                if let Some(begun) = past
                    .steps
                    .iter_mut()
                    .rev()
                    .find(|begun| begun.id == step.to_string())
                {
                    begun.seconds = Some(record.at.duration_since(begun.began).as_secs());
                    begun.result = Some(result.clone());
                }
            }
            Entry::PassFinished { exit, summary } => {
                past.exit = Some(*exit);
                past.summary = Some(summary.clone());
            }
            Entry::PassStarted
            | Entry::Told { .. }
            | Entry::Announced { .. }
            | Entry::Versions { .. }
            | Entry::Suspensions { .. }
            | Entry::Unknown => {}
        }
    }
    passes
}

fn show(passes: &[Past], now: Timestamp, zone: &TimeZone) -> String {
    let mut text = String::new();
    if passes.is_empty() {
        return "Nothing was done yet.\n".to_owned();
    }
    // Writing to a String cannot fail.
    for past in passes {
        let commit = past
            .commit
            .as_deref()
            .map(|commit| format!(" at {}", commit.get(..9).unwrap_or(commit)))
            .unwrap_or_default();
        let end = past.summary.as_deref().unwrap_or("cut off");
        let end = end.strip_prefix("Pass: ").unwrap_or(end);
        _ = writeln!(text, "{}{commit}: {end}", time(past.at, now, zone));
        for step in &past.steps {
            let took = step
                .seconds
                .filter(|seconds| *seconds > 0)
                .map(|seconds| format!(" ({:#})", SignedDuration::from_secs(seconds)))
                .unwrap_or_default();
            let result = match &step.result {
                None => "cut off".to_owned(),
                Some(StepResult::Done) => "done".to_owned(),
                Some(StepResult::Paused) => "paused".to_owned(),
                Some(StepResult::Failed { why, .. }) => format!("failed: {why}"),
            };
            _ = writeln!(text, "  {}{took}: {result}", step.title);
        }
        for (host, outcome) in past
            .hosts
            .iter()
            .filter(|(_, outcome)| !matches!(outcome, HostOutcome::Applied { .. }))
        {
            _ = writeln!(text, "    {host} {outcome}");
        }
    }
    text
}
