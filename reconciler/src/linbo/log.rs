//! LINBO's logs: what they say went wrong, and what they prove went well.
//!
//! # Invariants
//!
//! What LINBO says is matched by its English phrases, by substring, in text without carriage returns
//! and control characters. Repetitions mean nothing: LINBO removes duplicate lines before it sends.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::status::{HostReport, ImageEvent};
use super::{civil, lines};

/// A line longer than this is cut: it is for people.
const LONGEST_LINE: usize = 400;

/// What LINBO was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Fetching an image.
    Download,
    /// Putting a partition back to its image.
    Sync,
    /// Writing boot loader or firmware entries.
    BootSetup,
    /// Making an image.
    Create,
    /// Sending an image, or any other transfer by rsync.
    Upload,
    /// Updating itself.
    Linbo,
    /// It was ended from outside.
    Abort,
}

/// One line that tells of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailurePhrase {
    /// What LINBO was doing.
    pub phase: Phase,
    /// Where it stands, counted from 1.
    pub number: usize,
    /// The line, without control characters.
    pub line: String,
}

impl FailurePhrase {
    /// Whether it may be harmless: firmware and boot loader entries cannot be written on some hardware.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        self.phase == Phase::BootSetup
    }
}

/// What a line is known by.
pub(super) enum Phrase {
    /// Anywhere in the line.
    Holds(&'static str),
    /// One before the other; the other may also stand alone on the next line, where a message of a
    /// missing program came between.
    Around(&'static str, &'static str),
    /// Nothing else in the line.
    Alone(&'static str),
}

use Phrase::{Alone, Around, Holds};

/// The first that fits counts, so what may be harmless comes first.
const PHRASES: [(Phase, Phrase); 29] = [
    (
        Phase::BootSetup,
        Holds("Failed to write EFI boot configuration"),
    ),
    (
        Phase::BootSetup,
        Holds("Failed to update linux EFI boot configuration"),
    ),
    (Phase::BootSetup, Around("Installing GRUB", "failed!")),
    (Phase::Download, Holds("could not be downloaded")),
    (Phase::Download, Holds("no multicast download possible")),
    (Phase::Download, Holds("Failed to mount cache partition")),
    (Phase::Linbo, Holds("Failed to download linbofs64.md5!")),
    (Phase::Linbo, Holds("Checksums differ")),
    (Phase::Linbo, Holds("Linbo & grub update failed!")),
    (Phase::Sync, Alone("Error!")),
    (Phase::Sync, Holds("Cannot mount ")),
    (Phase::Sync, Around("Connection to ", "failed!")),
    (Phase::Sync, Around("Mounting ", "failed!")),
    (Phase::Sync, Around("Image sync of ", "failed!")),
    (Phase::Sync, Around("Restore with ", "failed!")),
    (Phase::Sync, Around("Formatting of ", "failed!")),
    (Phase::Sync, Holds("is bigger than partition")),
    (Phase::Sync, Holds("is not a block device")),
    (Phase::Create, Holds("is not connectable!")),
    (Phase::Create, Holds("is not mountable")),
    (Phase::Create, Around("Creation of ", "failed")),
    (Phase::Create, Holds("Cannot prepare ")),
    (Phase::Create, Holds("Cannot get backingfile timestamp!")),
    (Phase::Create, Holds("Failed.")),
    (Phase::Upload, Holds("rsync error:")),
    (Phase::Upload, Holds("@ERROR")),
    (Phase::Upload, Holds("does not exist.")),
    (Phase::Abort, Holds("Aborted.")),
    (Phase::Abort, Holds("Killing processes:")),
];

/// Everything in a log that tells of a failure, in its order.
#[must_use]
pub fn scan(text: &[u8]) -> Vec<FailurePhrase> {
    // A carriage return overwrites what stood before it on a screen, but a failure is none the less
    // a failure for having been overwritten.
    let parts: Vec<(usize, String)> = lines(text)
        .flat_map(|(number, line)| {
            let parts: Vec<_> = line.split('\r').map(|part| (number, plain(part))).collect();
            parts
        })
        .filter(|(_, part)| !part.trim().is_empty())
        .collect();
    let mut found = Vec::new();
    for (index, (number, line)) in parts.iter().enumerate() {
        let next = parts.get(index + 1).map_or("", |(_, next)| next.trim());
        let phase = PHRASES
            .iter()
            .find(|(_, phrase)| fits(phrase, line, next))
            .map(|(p, _)| *p);
        found.extend(phase.map(|phase| FailurePhrase {
            phase,
            number: *number,
            line: shortened(line.trim()),
        }));
    }
    found
}

/// Whether a line is meant by a phrase; `next` is the line behind it.
pub(super) fn fits(phrase: &Phrase, line: &str, next: &str) -> bool {
    match phrase {
        Holds(text) => line.contains(text),
        Alone(text) => line.trim() == *text,
        Around(first, last) => line
            .split_once(first)
            .is_some_and(|(_, rest)| rest.contains(last) || next == *last),
    }
}

/// The lines that say why something failed, in their order, at most `count`: those that tell of a
/// failure, and those that tell its cause. Warnings alone are no failure, but may explain one.
#[must_use]
pub fn telling(text: &[u8], count: usize) -> Vec<String> {
    let failures: BTreeSet<usize> = scan(text).iter().map(|failure| failure.number).collect();
    let mut told: Vec<String> = Vec::new();
    for (number, line) in lines(text) {
        let shown = shortened(plain(&line).trim());
        let is_new = !shown.is_empty() && !told.contains(&shown);
        if is_new && (failures.contains(&number) || Cause::is_told_by(&shown)) {
            told.push(shown);
        }
        if told.len() == count {
            break;
        }
    }
    told
}

/// The last `count` lines that say something, for people: what a progress bar overwrote is gone,
/// as are control characters.
#[must_use]
pub fn tail(text: &[u8], count: usize) -> Vec<String> {
    let mut meaningful: Vec<String> = lines(text)
        .filter_map(|(_, line)| {
            let shown = line
                .split('\r')
                .map(plain)
                .rfind(|part| !part.trim().is_empty())?;
            let shown = shown.trim();
            (!is_progress(shown)).then(|| shortened(shown))
        })
        .collect();
    meaningful.drain(..meaningful.len().saturating_sub(count));
    meaningful
}

/// Whether a line is a bar or a percentage rather than a sentence.
fn is_progress(line: &str) -> bool {
    let bar = |c: char| {
        matches!(
            c,
            '[' | ']' | '=' | '>' | '#' | '.' | '-' | ' ' | '(' | ')' | '%' | '/' | ',' | ':'
        )
    };
    !line.is_empty()
        && line.chars().all(|c| bar(c) || c.is_ascii_digit())
        && line.contains(['[', '%', '#', '='])
}

/// A line without escape sequences and control characters.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // `ESC [ parameters letter`; anything else is two characters long.
                if chars.next() == Some('[') {
                    for c in chars.by_ref() {
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                    }
                }
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// One command that a client was seen to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCommand {
    /// When, in the client's local time.
    pub at: DateTime,
    /// The words behind `linbo_wrapper`: `sync:1`.
    pub words: String,
    /// The line on which it began, counted from 1.
    pub line: usize,
    /// Whether the next command was begun, which `linbo-remote` does only when this one returned 0.
    pub proven: bool,
}

/// What a client printed while `linbo-remote` (or SSH) ran commands on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionLog {
    /// The commands that were begun, in order.
    pub commands: Vec<SentCommand>,
    /// The `applied:` lines, in order, each with the number of commands begun before it.
    pub applied: Vec<AppliedLine>,
    /// What tells of a failure.
    pub failures: Vec<FailurePhrase>,
    text: Vec<u8>,
}

/// An `applied:` line and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedLine {
    /// What was applied.
    pub report: HostReport,
    /// The command that was running, by its place in [`SessionLog::commands`]; none before the first.
    pub command: Option<usize>,
}

impl SessionLog {
    /// Reads `<host>.linbo-remote`, or the output of `linbo_wrapper` over SSH.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut log = Self {
            failures: scan(text),
            text: text.to_vec(),
            ..Self::default()
        };
        // A torn last line proves nothing.
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        for (number, line) in lines(text.get(..whole).unwrap_or_default()) {
            for part in line.split('\r').map(plain) {
                if let Some((at, words)) = wrapper_header(part.trim()) {
                    if let Some(last) = log.commands.last_mut() {
                        last.proven = true;
                    }
                    log.commands.push(SentCommand {
                        at,
                        words: words.to_owned(),
                        line: number,
                        proven: false,
                    });
                } else if let Some(report) = HostReport::parse_line(&part)
                    && report.event == ImageEvent::Applied
                {
                    let command = log.commands.len().checked_sub(1);
                    log.applied.push(AppliedLine { report, command });
                }
            }
        }
        log
    }

    /// Whether the command that printed this line returned 0 for certain.
    #[must_use]
    pub fn proves(&self, applied: &AppliedLine) -> bool {
        applied
            .command
            .and_then(|index| self.commands.get(index))
            .is_some_and(|c| c.proven)
    }

    /// Whether something tells of a failure of the command that printed this line. What stands before all commands
    /// may concern each of them.
    #[must_use]
    pub fn failed_with(&self, applied: &AppliedLine) -> bool {
        let begin = |index: usize| self.commands.get(index).map(|command| command.line);
        let (from, to) = match applied.command {
            Some(index) => (begin(index), begin(index + 1)),
            None => (None, begin(0)),
        };
        let is_of_it = |line: usize| {
            begin(0).is_some_and(|first| line < first)
                || from.is_none_or(|from| line >= from) && to.is_none_or(|to| line < to)
        };
        let mut failures = self.failures.iter();
        failures.any(|failure| !failure.is_warning() && is_of_it(failure.number))
    }

    /// The last `count` lines that say something, for people.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        tail(&self.text, count)
    }
}

/// The time and the words of `### <YYYYMMDD-hhmmss> linbo_wrapper <words> ###`.
fn wrapper_header(line: &str) -> Option<(DateTime, &str)> {
    let inner = line.strip_prefix("### ")?.strip_suffix(" ###")?;
    let (stamp, rest) = inner.split_once(' ')?;
    let words = rest.strip_prefix("linbo_wrapper ")?.trim();
    let (day, time) = stamp.split_once('-')?;
    let at = civil(&format!("{day}{time}")).filter(|_| day.len() == 8 && time.len() == 6)?;
    Some((at, words))
}

#[cfg(test)]
pub(crate) mod tests;
