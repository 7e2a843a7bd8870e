//! How the rollouts of the images stand that lie in LINBO's folder, found out from what hosts said.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schema::name::{FileName, HostName, ImageName, RoomName};

use super::Place;
use crate::linbo::status::ImageEvent;
use crate::linbo::verdict::HostOutcome;
use crate::planning::desired::Desired;
use crate::planning::journal::Attempt;
use crate::planning::observed::{Observed, Probe};
use crate::planning::orders::Subject;
use crate::planning::rollout::{Progress, Standing, Turn, Wanted};
use crate::planning::suspension;

/// The rollouts of all images whose state is known.
pub(super) struct Rollouts<'a>(BTreeMap<&'a ImageName, Progress>);

impl<'a> Rollouts<'a> {
    pub(super) fn of(desired: &Desired, observed: &'a Observed, places: &[Place<'_>]) -> Self {
        let progress = observed.live.iter().filter_map(|(image, live)| {
            let (file, found, stamp) = live.seen()?.state(image)?;
            let wanted = Wanted { file: &file, stamp };
            let rooms = places.iter().filter(|place| place.uses(image));
            let written = found.written;
            Some((
                image,
                of_image(desired, observed, image, wanted, written, rooms)?,
            ))
        });
        Self(progress.collect())
    }

    /// What the rollouts of some images let a host do, and the image that says so. What stops it goes before what it
    /// may do.
    pub(super) fn turn<'i>(
        &self,
        images: impl Iterator<Item = &'i ImageName>,
        host: &HostName,
        now: Timestamp,
    ) -> Option<(&'i ImageName, Turn)> {
        let turns = images.filter_map(|image| Some((image, self.0.get(image)?.turn(host, now))));
        turns.max_by_key(|(_, turn)| match turn {
            Turn::Has => (0, Timestamp::MIN),
            Turn::Open(since) => (1, *since),
            Turn::Closed(closed) => (2, closed.opens.unwrap_or(Timestamp::MAX)),
            Turn::Stopped(_) => (3, Timestamp::MAX),
        })
    }

    /// The images of these of which a host lacks what lies on the server, and may get it: a sync brings them all.
    pub(super) fn open<'i>(
        &self,
        images: impl Iterator<Item = &'i ImageName>,
        host: &HostName,
        now: Timestamp,
    ) -> impl Iterator<Item = &'i ImageName> {
        images.filter(move |image| {
            let rollout = self.0.get(*image);
            rollout.is_some_and(|rollout| matches!(rollout.turn(host, now), Turn::Open(_)))
        })
    }
}

/// The rollout of one state of an image to these rooms; none when there are no hosts.
fn of_image<'p>(
    desired: &Desired,
    observed: &Observed,
    image: &ImageName,
    wanted: Wanted<'_>,
    written: Timestamp,
    places: impl Iterator<Item = &'p Place<'p>>,
) -> Option<Progress> {
    // Whole seconds are enough, and read better in the identity of a step.
    let whole = |at: Timestamp| Timestamp::from_second(at.as_second()).ok();
    let activated = observed.journal.activated(image);
    let resolved = observed.orders.seen().and_then(|orders| {
        let of_image = orders.resumed(&Subject::Image(image.clone()));
        of_image.max(orders.resumed(&Subject::Server))
    });
    let mut places: Vec<(_, Vec<(&HostName, Standing)>)> = places
        .map(|place| {
            let hosts = place.members.hosts.iter().map(|device| {
                let standing = standing(desired, observed, &device.host, image, wanted);
                (&device.host, standing)
            });
            (place, hosts.collect())
        })
        .collect();
    let hosts = || places.iter().flat_map(|(_, hosts)| hosts);
    // Of an image that was made on site nobody noted when it came. It is news to hosts when some are known to have
    // another state of it: what was there before the reconciler was is not rolled out anew.
    let is_news = |host: &HostName| {
        let endings = ["qcow2", "qdiff"].into_iter();
        let files = endings.filter_map(|ending| format!("{image}.{ending}").parse().ok());
        let mut runs = files.filter_map(|file: FileName| observed.journal.host(host).runs(&file));
        runs.any(|runs| runs.since < written)
    };
    let replaced = || {
        let lacks = |(host, standing): &(&HostName, Standing)| {
            *standing == Standing::Lacks && is_news(host)
        };
        (written <= observed.at && hosts().any(lacks)).then_some(written)
    };
    let began = activated.or_else(replaced).and_then(whole);
    let first = || {
        let has = hosts().filter_map(|(_, standing)| match standing {
            Standing::Has(since) => Some(*since),
            _ => None,
        });
        has.min()
    };
    let counts_from = began.or_else(first).max(resolved);
    for (place, hosts) in &mut places {
        let judge = place.judge(desired, observed);
        for (host, standing) in hosts {
            let last = observed.journal.host(host).attempts().last();
            let (Standing::Lacks, Some(from), Some(last)) = (*standing, counts_from, last) else {
                continue;
            };
            // What goes wrong with this state tells of it; what stalled before it came tells nothing.
            let is_failure = matches!(last.outcome, HostOutcome::Failed { .. });
            if last.at < from {
                if judge.stalled(host, place.due, None).is_some() {
                    *standing = Standing::LeftAlone;
                }
            } else if is_failure && last.is_after(judge.resolved(host)) {
                *standing = Standing::Failed;
            }
        }
    }
    let began = began.unwrap_or(Timestamp::MIN);
    let mut rooms: BTreeMap<&RoomName, Vec<(&HostName, Standing)>> = BTreeMap::new();
    for (place, hosts) in places {
        rooms.entry(place.cohort.name).or_default().extend(hosts);
    }
    let rollout = desired.rollout_of(image);
    (!rooms.is_empty()).then(|| Progress::of(&rollout, began, observed.at, &rooms))
}

fn standing(
    desired: &Desired,
    observed: &Observed,
    host: &HostName,
    image: &ImageName,
    wanted: Wanted<'_>,
) -> Standing {
    let believed = observed.at + crate::planning::gates::SKEW;
    let memory = observed.journal.host(host);
    let began = |attempt: &&Attempt| !attempt.outcome.is_untouched();
    let last = memory.attempts().iter().rfind(began);
    let runs = memory
        .runs(wanted.file)
        .filter(|runs| runs.stamp.as_ref() == Some(wanted.stamp));
    let since = runs.map(|runs| runs.since);
    // What a host wrote itself counts when nothing newer is known of it.
    if let Some(Probe::Seen(Some(report))) = observed.reports.get(host)
        && report.event == ImageEvent::Applied
        && report.file.is_of(image)
        && let Ok(at) = report.at.to_zoned(desired.zone.clone())
        && let at = at.timestamp()
        && at <= believed
        && last.is_none_or(|last| at > last.at)
    {
        if report.file == *wanted.file && report.stamp.as_ref() == Some(wanted.stamp) {
            return Standing::Has(since.unwrap_or(at));
        }
    } else if let Some(since) = since {
        return Standing::Has(since);
    }
    let what = Subject::Host(host.clone());
    if suspension::check(desired, observed, &what).is_err() {
        return Standing::LeftAlone;
    }
    Standing::Lacks
}
