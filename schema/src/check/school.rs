//! `schools/<school>/school.yaml`, and what all documents of a school add up to.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::{Date, Time};

use super::fleet::{FILE, holidays, power, schedule, single_days, windows};
use super::image::Source;
use super::policy::{self, Known, check_rooms, suspension};
use super::version::Choice;
use super::{Commons, Images, room, test_class, unknown_image, written};
use crate::diagnostic::{Diagnostic, Span};
use crate::document::SchoolDocument;
use crate::document::value::Reset;
use crate::fleet::{
    Exam, ExamRooms, HardwareClass, PowerBudget, Rebrand, Room, School, TestClass, WantedVersion,
    WorkWindows,
};
use crate::load::SchoolFiles;
use crate::name::{ImageName, PowerGroupName, RoomName, SchoolName, TestClassName};
use crate::policy::InUse;
use crate::read::At;
use crate::schedule::{Days, Point, Schedule, Window, Windows};

/// What a school's rooms and test classes have to know of it.
pub(crate) struct Site<'a> {
    pub(crate) name: &'a SchoolName,
    /// Whether its own document, and with it its power groups, could be read.
    pub(crate) complete: bool,
    pub(crate) windows: WorkWindows,
    pub(crate) in_use: InUse,
    pub(crate) power: PowerBudget,
    pub(crate) power_groups: BTreeMap<PowerGroupName, PowerBudget>,
    /// The reset of rooms that say none.
    pub(crate) reset: Option<Schedule>,
    /// Where it is written.
    reset_at: Option<(String, Span)>,
    /// Whether somebody has been told that it never happens.
    told: Cell<bool>,
    /// Whether its windows for resets are the fleet's.
    fleet_windows: bool,
}

/// Reads a school with all its rooms and test classes.
pub(crate) fn resolve(
    name: &SchoolName,
    files: &SchoolFiles<'_>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<School> {
    let own_path = format!("schools/{name}/school.yaml");
    let document = match files.school {
        Some(file) => file.read::<SchoolDocument>(found),
        None => {
            let message = format!("there is no `{own_path}`, but there are files of this school");
            found.push(
                Diagnostic::error("missing-file", own_path.as_str(), None, message)
                    .with_hint("add it with the `server` and the `domain` of the school"),
            );
            None
        }
    };
    let settings = commons.settings;
    let site = site(name, &own_path, document.as_ref(), commons, found);
    let rooms = room::resolve_all(files, &site, commons, found);
    let in_rooms = of_rooms(&rooms, commons);
    let named = document.iter().flat_map(|document| document.images.get());
    let named = named.flatten().filter_map(|(image, _)| image.get());
    let taken = in_rooms.iter().copied().chain(named).collect();
    let test_classes = test_class::resolve_all(files, &site, commons, &taken, found);
    let document = document?;
    let images = wanted(
        &own_path,
        &document,
        used(in_rooms, &test_classes, commons),
        commons,
        found,
    );
    let names: Vec<&RoomName> = files.rooms.iter().map(|(name, _)| name).collect();
    let known = Known::Of(name, &names);
    let policies = policy::resolve(
        &own_path,
        document.policies(),
        &settings.policies,
        known,
        found,
    );
    let exams = exams(&own_path, &document, known, found);
    let calendar = commons
        .calendars
        .named(&own_path, &document.calendar, found);
    let single = single_days(&document.holidays);
    let free = if calendar.is_none() && single.is_none() {
        Arc::clone(&settings.holidays)
    } else {
        holidays(
            calendar.as_ref().unwrap_or(&settings.calendar),
            single.as_ref().unwrap_or(&settings.single),
        )
    };
    let rebrand = rebrand(&own_path, &document, &site, commons, found);
    let written = written::school(&document);
    let suspended = suspension(&document.suspended);
    let zone = document.time_zone.into_inner().map(|zone| zone.0);
    Some(School {
        title: document
            .title
            .into_inner()
            .or_else(|| name.as_str().parse().ok())?,
        server: document.server.into_inner()?,
        domain: document.domain.into_inner()?,
        contact: document.contact.into_inner(),
        time_zone: zone.unwrap_or_else(|| settings.time_zone.clone()),
        windows: site.windows,
        holidays: free,
        download_rate: document
            .download_rate
            .into_inner()
            .or(settings.download_rate),
        images,
        power: site.power,
        power_groups: site.power_groups,
        rooms: whole(rooms)?,
        rebrand,
        test_classes: whole(test_classes)?,
        exams,
        retries: policies.retries,
        rollout: policies.rollout,
        guard: policies.guard,
        announce: policies.announce,
        suspended,
        written,
    })
}

/// The VM for images of other domains. Complains of a class that does not exist, and of names that are its own.
fn rebrand(
    file: &str,
    document: &SchoolDocument,
    site: &Site<'_>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Rebrand> {
    let written = document.rebrand.get()?;
    room::check_class(file, &written.like, site, commons, found);
    if commons.classes.contains_key(Rebrand::CLASS) {
        let message = format!(
            "`{}` is the name of a hardware class, too: both would write its `start.conf`",
            Rebrand::CLASS
        );
        let at = document.rebrand.span();
        found.push(
            Diagnostic::error("duplicate-class", file, at, message)
                .with_hint("rename the hardware class"),
        );
    }
    for image in commons.images.keys() {
        let taken = Rebrand::stem(image).filter(|stem| commons.images.contains_key(stem));
        if let Some(stem) = taken {
            let message = format!("`{stem}` is the name under which the VM loads `{image}`");
            let path = format!("images/{stem}.yaml");
            found.push(
                Diagnostic::error("duplicate-image", path, None, message)
                    .with_hint("rename the image"),
            );
        }
    }
    Some(Rebrand {
        host: written.host.get()?.clone(),
        like: written.like.get()?.clone(),
    })
}

fn exams(
    file: &str,
    document: &SchoolDocument,
    known: Known<'_>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Exam> {
    let mut exams = Vec::new();
    for (dates, rooms) in document.exams.get().into_iter().flatten() {
        let Some(written) = rooms.get() else { continue };
        let names: Vec<_> = written.iter().cloned().collect();
        if names.is_empty() {
            let message = "an exam without rooms";
            found.push(
                Diagnostic::error("empty-list", file, rooms.span(), message)
                    .with_hint("name the rooms, or write `all`"),
            );
        }
        let is_all = |room: &At<RoomName>| room.get().is_some_and(|room| room.as_str() == "all");
        let rooms = if let [only] = names.as_slice()
            && is_all(only)
        {
            ExamRooms::All
        } else {
            check_rooms(file, &names, known, found);
            ExamRooms::These(names.iter().filter_map(At::get).cloned().collect())
        };
        exams.extend(dates.get().map(|dates| Exam {
            dates: *dates,
            rooms,
        }));
    }
    exams.sort_by_key(|exam| exam.dates);
    exams
}

fn whole<K: Ord, V>(parts: BTreeMap<K, Option<V>>) -> Option<BTreeMap<K, V>> {
    parts
        .into_iter()
        .map(|(name, part)| Some((name, part?)))
        .collect()
}

fn site<'a>(
    name: &'a SchoolName,
    own_path: &str,
    document: Option<&SchoolDocument>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> Site<'a> {
    let settings = commons.settings;
    let own_windows = document.and_then(|document| document.windows.get());
    let lessons = document.and_then(|document| document.lessons.get());
    let base = power(
        document.and_then(|document| document.power.get()),
        settings.power,
    );
    let mut groups: BTreeMap<PowerGroupName, PowerBudget> = BTreeMap::new();
    let mut complete = document.is_some();
    if let Some(written) = document.map(|document| &document.power_groups) {
        complete &= written.is_absent() || written.get().is_some();
        for (group, budget) in written.get().into_iter().flatten() {
            let Some(group_name) = group.get() else {
                complete = false;
                continue;
            };
            if *group_name == PowerGroupName::default() {
                let message = format!("`{group_name}` is the power group of rooms that name none");
                found.push(
                    Diagnostic::error("reserved-name", own_path, group.span(), message)
                        .with_hint("write what it bears under `power`, or choose another name"),
                );
            }
            groups.insert(group_name.clone(), power(budget.get(), base));
        }
    }
    let own_reset = document.map(|document| &document.reset);
    let (reset, reset_at) = match own_reset.and_then(|reset| Some((reset.get()?, reset.span()))) {
        Some((reset, at)) => (schedule(reset), at.map(|at| (own_path.to_owned(), at))),
        None => (
            settings.reset.clone(),
            settings.reset_at.map(|at| (FILE.to_owned(), at)),
        ),
    };
    Site {
        name,
        complete,
        windows: windows(own_windows, lessons, &settings.windows),
        in_use: document
            .and_then(|document| document.in_use.get())
            .copied()
            .unwrap_or(settings.in_use),
        power: base,
        power_groups: groups,
        reset,
        reset_at,
        told: Cell::new(false),
        fleet_windows: own_windows.is_none_or(|own| own.reset.is_absent()),
    }
}

/// The images of the classes that a school's rooms have.
fn of_rooms<'a>(
    rooms: &BTreeMap<RoomName, Option<Room>>,
    commons: &Commons<'a>,
) -> BTreeSet<&'a ImageName> {
    let classes: BTreeSet<_> = rooms.values().flatten().map(|room| &room.class).collect();
    let classes = classes.iter().filter_map(|class| commons.class(class));
    classes.flat_map(HardwareClass::images).collect()
}

/// The released images that follow a channel: those of rooms, and what test classes leave as it is.
fn used<'a>(
    in_rooms: BTreeSet<&'a ImageName>,
    test_classes: &BTreeMap<TestClassName, Option<TestClass>>,
    commons: &Commons<'a>,
) -> BTreeSet<&'a ImageName> {
    let tested = test_classes.values().flatten().flat_map(|test| {
        let images = commons.class(&test.like).map(HardwareClass::images);
        let mut images = images.unwrap_or_default();
        images.retain(|image| test.images.values().all(|own| own.replaces != **image));
        images
    });
    let all = in_rooms.into_iter().chain(tested);
    all.filter(|image| {
        let facts = commons.images.get(*image).and_then(Option::as_ref);
        facts.is_some_and(|facts| matches!(facts.source, Source::Released { .. }))
    })
    .collect()
}

fn wanted(
    file: &str,
    document: &SchoolDocument,
    used: BTreeSet<&ImageName>,
    commons: &Commons<'_>,
    found: &mut Vec<Diagnostic>,
) -> BTreeMap<ImageName, WantedVersion> {
    let mut versions = BTreeMap::new();
    let mut said = BTreeSet::new();
    for (image, choice) in document.images.get().into_iter().flatten() {
        let Some(name) = image.get() else { continue };
        said.insert(name);
        let Some(facts) = commons.images.get(name) else {
            found.push(unknown_image(file, image.span(), name, commons.images));
            continue;
        };
        let Some(facts) = facts else { continue };
        if matches!(facts.source, Source::OnSite { .. }) {
            let message = format!("image `{name}` is made on site, so no channel leads to it");
            found.push(
                Diagnostic::error("made-on-site", file, image.span(), message).with_hint(format!(
                    "drop it here; its `version` is in `images/{name}.yaml`"
                )),
            );
            continue;
        }
        if let Some(text) = choice.get() {
            let choice_at = (file, choice.span());
            let version = facts.wanted(choice_at, name, &Choice::Written(&text.0), found);
            versions.extend(version.map(|version| (name.clone(), version)));
        }
    }
    if document.images.get().is_none() && !document.images.is_absent() {
        return versions;
    }
    let Some(channel) = &commons.settings.channel else {
        return versions;
    };
    for name in used.into_iter().filter(|name| !said.contains(name)) {
        if let Some(facts) = commons.images.get(name).and_then(Option::as_ref) {
            let at = document.images.span();
            let version = facts.wanted((file, at), name, &Choice::Default(channel), found);
            versions.extend(version.map(|version| (name.clone(), version)));
        }
    }
    versions
}

/// The school that makes an image, if that is another one.
pub(crate) fn made_elsewhere<'a>(
    school: &SchoolName,
    image: &ImageName,
    images: &'a Images,
) -> Option<&'a SchoolName> {
    match &images.get(image)?.as_ref()?.source {
        Source::OnSite { made_at, .. } => made_at.as_ref().filter(|maker| *maker != school),
        Source::Released { .. } => None,
    }
}

impl Site<'_> {
    /// Warns of a test class whose own reset never falls into the window of its school.
    pub(crate) fn check_test_reset(
        &self,
        file: &str,
        own: &At<Reset>,
        found: &mut Vec<Diagnostic>,
    ) {
        if own.get().is_some() {
            self.check_reset(file, own, None, found);
        }
    }

    /// Warns of a room whose reset never falls into its window; of an inherited one once.
    pub(crate) fn check_reset(
        &self,
        file: &str,
        own: &At<Reset>,
        own_window: Option<(&RoomName, &Windows)>,
        found: &mut Vec<Diagnostic>,
    ) {
        let (times, (file, at)) = match own.get() {
            Some(Reset::Never) => return,
            Some(Reset::At(times)) => (times, (file, own.span())),
            None => {
                let (Some(times), Some((file, at)), false) =
                    (&self.reset, &self.reset_at, self.told.get())
                else {
                    return;
                };
                (times, (file.as_str(), Some(*at)))
            }
        };
        let windows = own_window.map_or(&self.windows.reset, |(_, window)| window);
        if falls_into(times, windows) {
            return;
        }
        if own.get().is_none() && own_window.is_none() {
            self.told.set(true);
        }
        // What the fleet alone says is wrong once, not at each school.
        let whose = if let Some((room, _)) = own_window {
            format!(" of room `{room}` of school `{}`", self.name)
        } else if file == FILE && self.fleet_windows {
            String::new()
        } else {
            format!(" of school `{}`", self.name)
        };
        let message = format!("`{times}` never falls into the window for resets{whose}: {windows}");
        found.push(
            Diagnostic::warning("never-in-window", file, at, message)
                .with_hint("choose times within it, or change `windows: { reset: … }`"),
        );
    }
}

/// Whether any time of a schedule falls into any window, by civil time.
fn falls_into(times: &Schedule, windows: &Windows) -> bool {
    // Every weekday, and the days that are named: what is left out there is left out elsewhere, too.
    let week = Date::new(2001, 1, 1).into_iter();
    let week = week.flat_map(|monday| monday.series(jiff::ToSpan::day(1)).take(7));
    let mut weekly = times.iter().filter_map(|point| match point {
        Point::Weekly { days, at, .. } => Some((*days, *at)),
        Point::Once { .. } | Point::Not(_) => None,
    });
    let holds = |day: Date, at: Time| {
        let mut open = windows
            .iter()
            .filter(|window| holds(window, day, at))
            .peekable();
        open.peek().is_some() && open.all(|window| !window.denies)
    };
    weekly.any(|(days, at)| {
        week.clone()
            .any(|day| days.contains(day.weekday()) && holds(day, at))
            || windows.iter().any(|window| match window.days {
                Days::Dates(dates) if !window.denies => dates
                    .from
                    .series(jiff::ToSpan::day(1))
                    .take_while(|day| *day <= dates.to)
                    .any(|day| days.contains(day.weekday()) && holds(day, at)),
                _ => false,
            })
    }) || times.iter().any(|point| match point {
        Point::Once { day, at } => holds(*day, *at),
        _ => false,
    })
}

fn holds(window: &Window, day: Date, at: Time) -> bool {
    let Window {
        days, start, end, ..
    } = *window;
    let over_night = end <= start;
    let yesterday = day.yesterday();
    let today = days.contains(day) && start <= at && (over_night || at < end);
    today || (over_night && yesterday.is_ok_and(|day| days.contains(day)) && at < end)
}
