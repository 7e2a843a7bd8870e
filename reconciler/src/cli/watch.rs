//! What a pass does, as it does it, for people who watch: to standard error.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use crate::engine::Event;
use crate::linbo::verdict::HostOutcome;
use crate::planning::{StepId, StepResult};
use crate::report::style::Mark;
use crate::report::title;
use crate::world::Progress;

use super::Output;

/// Percents between two lines where nobody can see a line change.
const STRIDE: u64 = 10;

pub(super) struct Watch {
    output: Output,
    is_terminal: bool,
    /// Whether the last line is one that changes in place.
    is_open: bool,
    told: BTreeMap<StepId, u64>,
}

impl Watch {
    pub(super) fn new(output: Output) -> Self {
        Self {
            output,
            is_terminal: std::io::stderr().is_terminal(),
            is_open: false,
            told: BTreeMap::new(),
        }
    }

    pub(super) fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Target(target) => {
                for problem in &target.problems {
                    self.line(&format!(
                        "{} {}",
                        Mark::Blocked.paint(self.output.color_on_stderr()),
                        problem.text
                    ));
                }
            }
            Event::Planned(_) => {}
            Event::Started(step) => self.line(&format!("> {}", title::of_step(step))),
            Event::Progress(_, Progress::Host(host, outcome)) => {
                let mark = if matches!(outcome, HostOutcome::Applied { .. }) {
                    Mark::Again
                } else {
                    Mark::Blocked
                };
                self.line(&format!(
                    "  {} {host} {outcome}",
                    mark.paint(self.output.color_on_stderr())
                ));
            }
            Event::Progress(_, Progress::Admitted(_)) => {}
            Event::Progress(_, Progress::Note(note)) => self.line(&format!("  {note}")),
            Event::Progress(
                step,
                Progress::Bytes {
                    done,
                    total,
                    per_second,
                },
            ) => {
                self.bytes(&step.id, *done, *total, *per_second);
            }
            Event::Finished(step, result) => {
                let end = match result {
                    StepResult::Done => "done".to_owned(),
                    StepResult::Paused => "paused, goes on in the next window".to_owned(),
                    StepResult::Failed { why, .. } => format!("failed: {why}"),
                };
                self.line(&format!("< {}: {end}", title::of_step(step)));
            }
        }
    }

    fn bytes(&mut self, step: &StepId, done: u64, total: u64, per_second: u64) {
        let percent = (done * 100).checked_div(total).unwrap_or(100).min(100);
        let left = total.saturating_sub(done).checked_div(per_second);
        let left = left
            .map(|seconds| format!(", {} left", duration(seconds)))
            .unwrap_or_default();
        let line = format!(
            "  {percent:>3} % of {}, {}/s{left}",
            title::bytes(total),
            title::bytes(per_second)
        );
        if self.is_terminal {
            write!(std::io::stderr(), "\r{line}\u{1b}[K").ok();
            self.is_open = true;
            return;
        }
        let told = self.told.entry(step.clone()).or_insert(0);
        if percent >= *told + STRIDE {
            *told = percent;
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        self.close();
        self.output.line(line);
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_open) {
            writeln!(std::io::stderr()).ok();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.close();
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5399 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}
