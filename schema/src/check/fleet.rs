//! `fleet.yaml`: the head of the fleet, and what holds for schools that say nothing else.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::policy::{self, Known, Policies, suspension};
use super::{Calendars, written};
use crate::diagnostic::{Diagnostic, Span};
use crate::document::FleetDocument;
use crate::document::fleet::{PowerDocument, WindowsDocument};
use crate::document::value::{Lessons, Reset, ServerAddress, Zone};
use crate::fleet::{Central, Mail, PowerBudget, SINGLE_DAYS, Suspension, WorkWindows, Written};
use crate::name::ChannelName;
use crate::policy::InUse;
use crate::read::{At, OneOrMany};
use crate::schedule::{Dates, FreeDays, Schedule, Window, Windows};
use crate::text::PlainText;
use crate::units::Rate;

/// Where the fleet's settings stand.
pub(crate) const FILE: &str = "fleet.yaml";

/// The port of an rsync daemon.
const RSYNC_PORT: u16 = 873;

/// What `fleet.yaml` resolves to.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What only the fleet as a whole has; none if it is broken.
    pub(crate) fleet: Option<Head>,
    pub(crate) time_zone: TimeZone,
    pub(crate) calendar: Arc<FreeDays>,
    /// Days that are free besides those of the calendar.
    pub(crate) single: Vec<Dates>,
    /// Both together.
    pub(crate) holidays: Arc<FreeDays>,
    pub(crate) windows: WorkWindows,
    pub(crate) power: PowerBudget,
    pub(crate) in_use: InUse,
    pub(crate) policies: Policies,
    pub(crate) suspended: Option<Suspension>,
    pub(crate) written: Written,
    pub(crate) reset: Option<Schedule>,
    /// Where the default reset is written.
    pub(crate) reset_at: Option<Span>,
    /// The channel of images of which a school says nothing; none if it is broken.
    pub(crate) channel: Option<ChannelName>,
    pub(crate) download_rate: Option<Rate>,
}

/// What only the fleet as a whole has.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) name: PlainText,
    pub(crate) central: Central,
    pub(crate) mail: Option<Mail>,
}

/// Fills in the defaults; without a document everything has its default.
pub(crate) fn resolve(
    document: Option<&FleetDocument>,
    calendars: &Calendars<'_>,
    found: &mut Vec<Diagnostic>,
) -> Settings {
    let defaults = document.and_then(|document| document.defaults.get());
    let own = defaults.and_then(|defaults| defaults.windows.get());
    let lessons = defaults.and_then(|defaults| defaults.lessons.get());
    let reset = defaults.map(|defaults| &defaults.reset);
    let channel = defaults.map(|defaults| &defaults.channel);
    let channel = match channel.filter(|channel| !channel.is_absent()) {
        Some(channel) => channel.get().cloned(),
        None => "stable".parse().ok(),
    };
    let zone = document.and_then(|document| document.time_zone.get());
    let zone = zone.cloned().or_else(|| USUAL_ZONE.parse().ok());
    if zone.is_none() {
        let message = format!("this machine does not know the time zone `{USUAL_ZONE}`");
        found.push(
            Diagnostic::error("no-time-zones", FILE, None, message)
                .with_hint("install its time zones: the package `tzdata`"),
        );
    }
    let calendar = document
        .and_then(|document| calendars.named(FILE, &document.calendar, found))
        .unwrap_or_default();
    let single = document
        .and_then(|document| single_days(&document.holidays))
        .unwrap_or_default();
    let usual = Policies::default();
    let policies = defaults.map(|defaults| {
        policy::resolve(FILE, defaults.policies(), &usual, Known::OfNoSchool, found)
    });
    Settings {
        fleet: document.and_then(|document| head(document, found)),
        time_zone: zone.map_or(TimeZone::UTC, |Zone(zone)| zone),
        holidays: holidays(&calendar, &single),
        calendar,
        single,
        in_use: defaults
            .and_then(|defaults| defaults.in_use.get())
            .copied()
            .unwrap_or_default(),
        policies: policies.unwrap_or(usual),
        suspended: document.and_then(|document| suspension(&document.suspended)),
        written: document.map(written::fleet).unwrap_or_default(),
        windows: windows(own, lessons, &usual_windows()),
        power: power(
            defaults.and_then(|defaults| defaults.power.get()),
            USUAL_POWER,
        ),
        reset: reset.and_then(At::get).and_then(schedule),
        reset_at: reset.and_then(At::span),
        channel,
        download_rate: defaults
            .and_then(|defaults| defaults.download_rate.get())
            .copied(),
    }
}

fn head(document: &FleetDocument, found: &mut Vec<Diagnostic>) -> Option<Head> {
    let mail = match document.mail.get() {
        Some(mail) => {
            let to = mail
                .to
                .get()
                .map(|to| to.iter().filter_map(At::get).cloned().collect::<Vec<_>>());
            if mail.to.get().is_some_and(|to| to.iter().len() == 0) {
                let message = "nobody would get these mails";
                found.push(
                    Diagnostic::error("empty-list", FILE, mail.to.span(), message)
                        .with_hint("write at least one address, or leave `mail` out"),
                );
            }
            Some(Mail {
                from: mail.from.get()?.clone(),
                to: to?,
            })
        }
        None => None,
    };
    let central = document.central.get()?;
    let ServerAddress { host, port } = central.server.get()?.clone();
    let module = central
        .release_module
        .get()
        .cloned()
        .or_else(|| "releases".parse().ok());
    Some(Head {
        name: document.name.get()?.clone(),
        central: Central {
            server: host,
            port: port.unwrap_or(RSYNC_PORT),
            release_module: module?,
            uplink: central.uplink.get().copied(),
        },
        mail,
    })
}

const USUAL_ZONE: &str = "Europe/Berlin";

const USUAL_POWER: PowerBudget = PowerBudget {
    wake_per_minute: 6,
    on_at_once: 120,
};

fn usual_windows() -> WorkWindows {
    let daily = |text: &str| text.parse::<Window>().ok().into_iter().collect::<Windows>();
    WorkWindows {
        download: daily("daily 22:00–05:00"),
        reset: daily("mon–fri 17:30–22:00"),
        activate: daily("daily 17:30–07:00"),
        lessons: daily("mon–fri 07:30–17:00"),
    }
}

/// The windows that a document says, the others as they are without it.
pub(crate) fn windows(
    own: Option<&WindowsDocument>,
    lessons: Option<&Lessons>,
    base: &WorkWindows,
) -> WorkWindows {
    let or = |own: Option<&Windows>, base: &Windows| own.unwrap_or(base).clone();
    WorkWindows {
        download: or(own.and_then(|own| own.download.get()), &base.download),
        reset: or(own.and_then(|own| own.reset.get()), &base.reset),
        activate: or(own.and_then(|own| own.activate.get()), &base.activate),
        lessons: lessons.map_or_else(|| base.lessons.clone(), Lessons::windows),
    }
}

/// What a circuit bears as a document says, the rest as it is without it.
pub(crate) fn power(own: Option<&PowerDocument>, base: PowerBudget) -> PowerBudget {
    let count = |own: &At<crate::document::value::Count>| own.get().map(|count| count.0);
    PowerBudget {
        wake_per_minute: own
            .and_then(|own| count(&own.wake_per_minute))
            .unwrap_or(base.wake_per_minute),
        on_at_once: own
            .and_then(|own| count(&own.on_at_once))
            .unwrap_or(base.on_at_once),
    }
}

/// The single days that a document says are free; none where it says nothing.
pub(crate) fn single_days(own: &At<OneOrMany<Dates>>) -> Option<Vec<Dates>> {
    let days = own.get()?.iter();
    Some(days.filter_map(At::get).copied().collect())
}

/// The days of a calendar and single ones.
pub(crate) fn holidays(calendar: &Arc<FreeDays>, single: &[Dates]) -> Arc<FreeDays> {
    if single.is_empty() {
        return Arc::clone(calendar);
    }
    let days = calendar
        .iter()
        .map(|(first, last, name)| (first, last, name.to_owned()));
    let single = single
        .iter()
        .map(|dates| (dates.from, dates.to, SINGLE_DAYS.to_owned()));
    Arc::new(FreeDays::new(days.chain(single)))
}

/// The times of a reset; none if it never happens.
pub(crate) fn schedule(reset: &Reset) -> Option<Schedule> {
    match reset {
        Reset::Never => None,
        Reset::At(schedule) => Some(schedule.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_windows_are_windows() {
        let WorkWindows {
            download,
            reset,
            activate,
            lessons,
        } = usual_windows();
        let written = [download, reset, activate, lessons].map(|windows| windows.to_string());
        assert_eq!(
            written,
            [
                "daily 22:00–05:00",
                "mon–fri 17:30–22:00",
                "daily 17:30–07:00",
                "mon–fri 07:30–17:00"
            ]
        );
    }
}
