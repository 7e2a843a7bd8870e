//! What happened in a simulated world, in one line each.

use std::fmt;
use std::rc::Rc;

use jiff::tz::TimeZone;
use schema::name::{HostName, ImageName};

use super::pc::Usage;
use super::time::Moment;
use super::truth::Contents;
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Gate, Step, StepResult};
use crate::report::title;
use crate::world::Letter;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, truly.
    pub at: Moment,
    /// At which school, by its place in the fleet's order; none for the world.
    pub site: Option<usize>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum What {
    /// A pass began.
    Pass,
    /// A pass found another one running and went away.
    Refused,
    /// A pass ended.
    Ended {
        /// Its exit code.
        exit: u8,
        /// In one line.
        summary: String,
    },
    /// A pass was cut off.
    Killed,
    /// A pass takes up a commit, by its number in the history.
    Commit(usize),
    /// Something is wrong with the state repo.
    Problem(String),
    /// A step began.
    Began(Rc<Step>),
    /// A step ended.
    Finished(Rc<Step>, StepResult),
    /// The outcome of a host.
    Host(HostName, HostOutcome),
    /// A host was woken.
    Woke(HostName),
    /// A host whose operating system was up was restarted into LINBO.
    Restarted(HostName, Usage),
    /// Somebody came to a PC or left it, which no server notices by itself.
    People(String),
    /// A host began to restore images.
    Reads(HostName, Vec<(ImageName, Contents)>),
    /// Something was done to the files of a class, of an image or of the store.
    Changed(String),
    /// A transfer began or ended.
    Moving,
    /// A program was run.
    Ran(Vec<String>),
    /// The relay took a letter.
    Letter(Letter),
    /// The relay did not take a letter.
    NoLetter,
    /// What the plan waits for at the end of a pass, for people.
    Waits {
        /// What for.
        gate: Gate,
        /// What is wanted.
        what: String,
        /// What for, in words.
        why: String,
    },
    /// Something else befell the school or the world.
    Befell(String),
}

impl Event {
    /// Whether a reader of a short account wants to see it.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        !matches!(
            self.what,
            What::Pass
                | What::Moving
                | What::Ran(_)
                | What::Reads(..)
                | What::Woke(_)
                | What::Waits { .. }
        )
    }

    /// The line of an account.
    #[must_use]
    pub fn line(&self, school: &str, zone: &TimeZone) -> String {
        let at = self
            .at
            .timestamp()
            .to_zoned(zone.clone())
            .strftime("%a %Y-%m-%d %H:%M:%S %Z")
            .to_string();
        format!("{at}  {school:<10} {}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Refused => f.write_str("another pass runs, this one goes away"),
            Self::Ended { exit, summary } => write!(f, "exit {exit}: {summary}"),
            Self::Killed => f.write_str("the pass is cut off"),
            Self::Commit(number) => write!(f, "works towards commit {}", number + 1),
            Self::Problem(text) => {
                write!(f, "state repo: {}", text.lines().next().unwrap_or_default())
            }
            Self::Began(step) => write!(f, "begins  {}", title::of_step(step)),
            Self::Finished(step, result) => {
                let title = title::of_step(step);
                match result {
                    StepResult::Done => write!(f, "done    {title}"),
                    StepResult::Paused => write!(f, "paused  {title}"),
                    StepResult::Failed { why, .. } => write!(f, "FAILED  {title}: {why}"),
                }
            }
            Self::Host(host, outcome) => write!(f, "{host} {outcome}"),
            Self::Woke(host) => write!(f, "{host} is woken"),
            Self::Restarted(host, usage) => {
                let who = match usage {
                    Usage::Nobody => "nobody works at it",
                    Usage::Somebody => "somebody works at it",
                    Usage::Unreadable => "who works at it is not known",
                };
                write!(f, "{host} is restarted; {who}")
            }
            Self::Reads(host, images) => {
                let names: Vec<_> = images.iter().map(|(image, _)| image.as_str()).collect();
                write!(f, "{host} restores {}", names.join(", "))
            }
            Self::Changed(what) | Self::Befell(what) | Self::People(what) => f.write_str(what),
            Self::Moving => f.write_str("the line's load changes"),
            Self::Ran(words) => write!(f, "runs {}", words.join(" ")),
            Self::Letter(letter) => {
                write!(f, "mail: {}", letter.subject)?;
                for line in letter
                    .body
                    .lines()
                    .filter(|line| line.starts_with("! ") || line.starts_with("  "))
                {
                    write!(f, "\n{:>41} {line}", "")?;
                }
                Ok(())
            }
            Self::NoLetter => f.write_str("the letter could not be sent"),
            Self::Waits { what, why, .. } => write!(f, "waits: {what}: {why}"),
        }
    }
}

/// Bytes per second as people write the rates of lines.
#[must_use]
pub fn rate(bytes_per_second: u64) -> String {
    schema::units::Rate::bits_per_second(bytes_per_second.saturating_mul(8))
        .map_or_else(|| "0".to_owned(), |rate| rate.to_string())
}
