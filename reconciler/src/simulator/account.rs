//! What is kept of a run: the account of what happened, and the peaks.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::event::{Event, What};
use super::script::Script;
use super::time::Moment;
use super::truth::School;
use super::uplink::Uplink;
use crate::planning::StepResult;

/// How many of the last events are kept when not all are.
const LAST: usize = 60;

/// The most of something, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak {
    /// How much.
    pub most: u64,
    /// When first.
    pub at: Moment,
}

impl Peak {
    fn rise(&mut self, to: u64, at: Moment) {
        if to > self.most {
            *self = Self { most: to, at };
        }
    }
}

/// What is kept of a run.
#[derive(Debug, Clone)]
pub struct Account {
    /// What happened, the last of it when the script does not ask for all.
    pub events: VecDeque<Event>,
    /// Bytes per second that were granted of the central server's line.
    pub uplink_asked: Peak,
    /// Bytes per second that moved on it.
    pub uplink_moved: Peak,
    /// Hosts on at once because they were woken, of each school.
    pub power: Vec<Peak>,
    /// Passes that began.
    pub passes: u64,
    /// Steps that began.
    pub steps: u64,
    /// Steps that failed.
    pub failures: u64,
    keep_all: bool,
}

impl Account {
    pub(super) fn new(script: &Script) -> Self {
        Self {
            events: VecDeque::new(),
            uplink_asked: Peak::default(),
            uplink_moved: Peak::default(),
            power: vec![Peak::default(); script.schools.len()],
            passes: 0,
            steps: 0,
            failures: 0,
            keep_all: script.keep_all,
        }
    }

    pub(super) fn note(&mut self, event: Event, uplink: &Uplink, school: Option<&RefCell<School>>) {
        match &event.what {
            What::Pass => self.passes += 1,
            What::Began(_) => self.steps += 1,
            What::Finished(_, StepResult::Failed { .. }) => self.failures += 1,
            What::Moving => {
                self.uplink_asked.rise(uplink.asked(), event.at);
                self.uplink_moved.rise(uplink.moving(), event.at);
            }
            What::Woke(_) => {
                if let (Some(school), Some(site)) = (school, event.site)
                    && let Some(peak) = self.power.get_mut(site)
                {
                    peak.rise(school.borrow().woken(event.at).count() as u64, event.at);
                }
            }
            _ => {}
        }
        if !self.keep_all && self.events.len() == LAST {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
