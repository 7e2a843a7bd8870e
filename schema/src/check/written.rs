//! Which settings a document writes, and where: for those who ask why a room is as it is.

use crate::document::fleet::{PowerDocument, WindowsDocument};
use crate::document::policy::PowerChoice;
use crate::document::{FleetDocument, RoomDocument, SchoolDocument};
use crate::fleet::{Setting, Written};
use crate::read::{At, WordOr};

use super::policy::Said;

#[derive(Default)]
struct Lines(Vec<(Setting, u32)>);

impl Lines {
    fn note<T>(&mut self, setting: Setting, at: &At<T>) {
        let line = at.span().and_then(|at| u32::try_from(at.line).ok());
        self.0.extend(line.map(|line| (setting, line)));
    }

    fn windows(&mut self, at: &At<WindowsDocument>) {
        if let Some(own) = at.get() {
            self.note(Setting::WindowsDownload, &own.download);
            self.note(Setting::WindowsReset, &own.reset);
            self.note(Setting::WindowsActivate, &own.activate);
        }
    }

    fn power(&mut self, at: &At<PowerDocument>) {
        if let Some(own) = at.get() {
            self.note(Setting::WakePerMinute, &own.wake_per_minute);
            self.note(Setting::OnAtOnce, &own.on_at_once);
        }
    }

    fn policies(&mut self, said: Said<'_>) {
        if let Some(own) = said.retries.get() {
            self.note(Setting::Tries, &own.tries);
            self.note(Setting::Wait, &own.wait);
            self.note(Setting::StalledAfter, &own.stalled_after);
        }
        self.note(Setting::Rollout, said.rollout);
        if let Some(WordOr::Parts(own)) = said.rollout.get() {
            self.note(Setting::RolloutFrom, &own.from);
            self.note(Setting::Canary, &own.canary);
            self.note(Setting::Then, &own.then);
            self.note(Setting::Healthy, &own.healthy);
            self.note(Setting::Soak, &own.soak);
            self.note(Setting::StopAtFailures, &own.stop_at_failures);
            self.note(Setting::LoadingAtOnce, &own.loading_at_once);
        }
        if let Some(own) = said.guard.get() {
            self.note(Setting::ReimageAtMost, &own.reimage_at_most);
        }
        self.note(Setting::Announce, said.announce);
    }
}

/// What `fleet.yaml` writes.
pub(crate) fn fleet(document: &FleetDocument) -> Written {
    let mut lines = Lines::default();
    lines.note(Setting::Calendar, &document.calendar);
    lines.note(Setting::Holidays, &document.holidays);
    lines.note(Setting::TimeZone, &document.time_zone);
    lines.note(Setting::Suspended, &document.suspended);
    if let Some(own) = document.defaults.get() {
        lines.windows(&own.windows);
        lines.power(&own.power);
        lines.policies(own.policies());
        lines.note(Setting::Lessons, &own.lessons);
        lines.note(Setting::Reset, &own.reset);
        lines.note(Setting::InUse, &own.in_use);
        lines.note(Setting::DownloadRate, &own.download_rate);
    }
    Written::new(lines.0)
}

/// What a `school.yaml` writes.
pub(crate) fn school(document: &SchoolDocument) -> Written {
    let mut lines = Lines::default();
    lines.note(Setting::Calendar, &document.calendar);
    lines.note(Setting::Holidays, &document.holidays);
    lines.note(Setting::Exams, &document.exams);
    lines.note(Setting::TimeZone, &document.time_zone);
    lines.note(Setting::Suspended, &document.suspended);
    lines.windows(&document.windows);
    lines.power(&document.power);
    lines.note(Setting::PowerGroups, &document.power_groups);
    lines.policies(document.policies());
    lines.note(Setting::Lessons, &document.lessons);
    lines.note(Setting::Reset, &document.reset);
    lines.note(Setting::InUse, &document.in_use);
    lines.note(Setting::DownloadRate, &document.download_rate);
    Written::new(lines.0)
}

/// What the document of a room writes.
pub(crate) fn room(document: &RoomDocument) -> Written {
    let mut lines = Lines::default();
    lines.note(Setting::Class, &document.class);
    lines.note(Setting::Reset, &document.reset);
    lines.note(Setting::Lessons, &document.lessons);
    lines.note(Setting::InUse, &document.in_use);
    lines.note(Setting::Suspended, &document.suspended);
    if let Some(own) = document.windows.get() {
        lines.note(Setting::WindowsReset, &own.reset);
    }
    power_of(&document.power, &mut lines);
    Written::new(lines.0)
}

fn power_of(at: &At<PowerChoice>, lines: &mut Lines) {
    match at.get() {
        Some(WordOr::Word(_)) => lines.note(Setting::PowerGroup, at),
        Some(WordOr::Parts(own)) => {
            lines.note(Setting::PowerGroup, &own.group);
            lines.note(Setting::WakePerMinute, &own.wake_per_minute);
            lines.note(Setting::OnAtOnce, &own.on_at_once);
        }
        None => {}
    }
}
