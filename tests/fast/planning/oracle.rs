//! What no plan may do, found out the plain way: from civil times, rows and files.

use std::collections::BTreeSet;

use harness::worlds::World;
use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, Zoned};
use reconciler::linbo::devices::Device;
use reconciler::planning::{Action, Circuit, Gate, Plan, Probe, Purpose, Step};
use schema::fleet::{DeviceRow, DomainJoin, RoomHosts};
use schema::name::PowerGroupName;
use schema::schedule::{Window, Windows};

/// Whether any window is open, by the clock on the wall. Within the hour that exists twice the wall
/// says too little, so any minute of it counts.
pub(super) fn is_open(windows: &Windows, at: Timestamp, world: &World) -> bool {
    let zone = &world.desired.zone;
    let here = at.to_zoned(zone.clone());
    let twice = zone.to_ambiguous_timestamp(here.datetime()).is_ambiguous();
    let span = if twice { -60..=60 } else { 0..=0 };
    span.into_iter().any(|minutes| {
        let wall = here.datetime() + SignedDuration::from_mins(minutes);
        let holds = |window: &Window| {
            let (today, before) = (wall.date(), wall.date().yesterday().unwrap());
            let over_night = window.end <= window.start;
            let end_of_day = window.end == Time::midnight();
            let starts = window.days.contains(today) && window.start <= wall.time();
            let ends = window.days.contains(before) && wall.time() < window.end;
            if over_night {
                starts || (ends && !end_of_day)
            } else {
                starts && wall.time() < window.end
            }
        };
        let mut held = windows.iter().filter(|window| holds(window)).peekable();
        held.peek().is_some() && held.all(|window| !window.denies)
    })
}

/// Whether any minute of a span lies in lessons or outside of a window.
fn is_disturbed(windows: &Windows, world: &World, minutes: i64) -> Option<String> {
    let from = world.observed.at;
    (0..minutes).step_by(5).find_map(|minute| {
        let at = from + SignedDuration::from_mins(minute);
        let shown = || at.to_zoned(world.desired.zone.clone());
        if !is_open(windows, at, world) {
            return Some(format!("its window is closed at {}", shown()));
        }
        // What counts as lessons in the hour that exists twice is the schema's to say.
        let twice = world
            .desired
            .zone
            .to_ambiguous_timestamp(shown().datetime())
            .is_ambiguous();
        (!twice && is_open(&world.desired.windows.lessons, at, world))
            .then(|| format!("lessons at {}", shown()))
    })
}

/// Everything that is wrong with a plan.
pub(super) fn judge(world: &World, plan: &Plan) -> Vec<String> {
    let mut wrong: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| {
            judge_step(world, plan, step)
                .into_iter()
                .map(move |what| format!("{}: {what}", step.id))
        })
        .collect();
    wrong.extend(judge_together(world, plan));
    wrong
}

fn judge_step(world: &World, plan: &Plan, step: &Step) -> Vec<String> {
    let World {
        desired, observed, ..
    } = world;
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    let mut span = None;
    match &step.action {
        Action::WriteStartConf {
            class,
            before,
            after,
        } => {
            span = is_disturbed(&desired.windows.activate, world, 5);
            check(
                desired
                    .classes
                    .get(class)
                    .is_some_and(|class| class.start_conf == *after),
                "writes something else",
            );
            let foreign = before
                .as_ref()
                .is_some_and(|text| !text.starts_with("# Written by reconcile"));
            check(!foreign, "overwrites a foreign file");
        }
        Action::Stage {
            image,
            version,
            manifest,
            to,
        } => {
            span = is_disturbed(&desired.windows.activate, world, 10);
            let wanted = desired.images.get(&(image.clone(), version.clone()));
            check(
                wanted.is_some_and(|wanted| {
                    wanted.published == *manifest && wanted.domain_join == DomainJoin::Rebrand
                }),
                "makes ready what has not to be moved",
            );
            check(desired.rebrand.is_some(), "makes ready for nobody");
            let store = observed.store.seen().unwrap();
            check(store.is_complete(manifest), "makes ready what is not there");
            check(store.renamed(manifest, to).is_none(), "makes ready twice");
        }
        Action::SetRows { rows } => {
            span = is_disturbed(&desired.windows.activate, world, 10);
            check(!rows.is_empty(), "changes nothing");
            for (host, change) in rows {
                let devices = observed.devices.seen().unwrap();
                check(change.before() == devices.get(host), "mistakes a row");
                check(change.before() != change.after(), "changes nothing");
                let mut rooms = desired.rooms.iter();
                let kept = rooms.find_map(|(name, room)| Some((name, room.devices.get(host)?)));
                let is_meant = match (kept, change.after()) {
                    (Some((room, DeviceRow::Removed)), None) => {
                        change.before().is_some_and(|row| row.room == *room)
                    }
                    (Some((room, DeviceRow::Kept { mac, ip, .. })), Some(row)) => {
                        row.room == *room && row.mac == Some(*mac) && row.ip == ip.fixed()
                    }
                    _ => false,
                };
                check(is_meant, "writes what nobody said");
                let busy = observed.busy.seen().unwrap().contains_key(host);
                check(!busy, "changes the row of a host that is busy");
            }
        }
        Action::SetClasses { hosts } => {
            span = is_disturbed(&desired.windows.activate, world, 10);
            check(!hosts.is_empty(), "moves nobody");
            let today = observed.at.to_zoned(desired.zone.clone()).date();
            for (host, change) in hosts {
                let device = observed.devices.seen().unwrap().get(host).unwrap();
                let mut rooms = desired.rooms.values();
                let kept = rooms.find(|room| room.devices.contains_key(host));
                let home = kept.unwrap_or_else(|| &desired.rooms[&device.room]);
                let home = &home.class;
                let mut tests = desired.test_classes.values();
                let wanted = tests
                    .find(|test| test.hosts.contains(host) && test.until >= today)
                    .map_or(home, |test| &test.class);
                check(change.after == *wanted, "gives a host the wrong class");
                check(change.before == device.class, "mistakes a host");
                check(change.before != change.after, "changes nothing");
                let busy = observed.busy.seen().unwrap().contains_key(host);
                check(!busy, "moves a host that is busy");
            }
        }
        Action::ImportDevices { classes, hosts } => {
            span = is_disturbed(&desired.windows.activate, world, 5);
            let rows = observed.devices.seen().unwrap();
            let there = |class: &&schema::name::ClassName| {
                let is_used = !desired.test_classes.contains_key(class.as_str())
                    || rows.of_class(class).next().is_some();
                is_used
                    && matches!(observed.classes.get(*class), Some(Probe::Seen(files)) if files.start_conf.is_none())
            };
            check(
                desired.classes.keys().filter(there).count() == 0,
                "would make a start.conf that is not ours",
            );
            check(!classes.is_empty() || !hosts.is_empty(), "imports nothing");
        }
        Action::Download { until, bytes, .. } => {
            check(
                is_open(&desired.windows.download, observed.at, world),
                "its window is closed",
            );
            let last = *until - SignedDuration::from_mins(1);
            check(
                is_open(&desired.windows.download, last, world),
                "goes on after its window",
            );
            check(
                observed
                    .store
                    .seen()
                    .is_some_and(|store| store.free >= bytes.0),
                "there is no space for it",
            );
        }
        Action::Activate {
            image,
            version,
            manifest,
        } => {
            span = is_disturbed(&desired.windows.activate, world, 10);
            let wanted = desired.images.get(&(image.clone(), version.clone()));
            let sound = wanted.is_some_and(|wanted| {
                wanted.manifest == *manifest && wanted.domain_join == DomainJoin::NotNeeded
            });
            check(sound, "activates what is not wanted, or of another domain");
            let store = observed.store.seen().unwrap();
            let files = store
                .manifests
                .get(manifest)
                .map(|manifest| manifest.files())
                .unwrap_or_default();
            let verified = files
                .iter()
                .all(|file| store.objects.contains(&file.sha256));
            check(
                !files.is_empty() && verified,
                "activates what was not verified",
            );
            let orders = observed.orders.seen().unwrap();
            let mut refused = orders.rolled_back().values();
            check(
                !refused.any(|order| order.from == *manifest),
                "activates what people went back from",
            );
        }
        Action::Delete { manifest, .. } => {
            let today = observed.at.to_zoned(desired.zone.clone()).date();
            let wanted = desired.images.values().any(|wanted| {
                let is_over =
                    matches!(wanted.purpose, Purpose::TestClass { until } if until < today);
                wanted.manifest == *manifest && !is_over
            });
            check(!wanted, "deletes what is wanted");
            let store = observed.store.seen().unwrap();
            let known = &store.manifests[manifest];
            let kept = observed.kept.seen().unwrap();
            let mut files = std::iter::once(known.base()).chain(known.diff());
            check(
                files.any(|file| !kept.contains(&file.sha256)),
                "deletes what was live before",
            );
            if let Some(live) = observed.live.get(known.image()) {
                let live = live.seen().unwrap();
                check(!live.holds(known), "deletes what is live");
            }
            let since = observed.journal.unneeded().get(manifest);
            let long = since.is_some_and(|since| {
                observed.at.duration_since(*since) >= SignedDuration::from_hours(14 * 24)
            });
            let lacks_space =
                |hold: &reconciler::planning::Hold| matches!(hold.gate, Gate::NoSpace { .. });
            check(
                long || plan.holds.iter().any(lacks_space),
                "deletes what was needed lately",
            );
        }
        Action::Seed { image, .. } => {
            let live = observed.live.get(image).and_then(Probe::seen).unwrap();
            check(!live.uploading, "disturbs an upload");
        }
        Action::SwitchOff { hosts } => {
            let left_on = observed.left_on.seen().unwrap();
            check(
                hosts.iter().all(|host| left_on.contains(host)),
                "switches off what was not left on",
            );
        }
        Action::ResetRoom {
            room,
            test,
            hosts,
            class,
            circuits,
            images,
            whole_room,
            ..
        } => {
            let wanted = desired.rooms.get(room).unwrap();
            let systems = i64::try_from(desired.classes.get(class).unwrap().os.len()).unwrap();
            let loads = circuits.contains(&desired.loading());
            // A room may begin with the hosts that fit in; of each of them there is time enough.
            let minutes = 5 + 10 * systems + if loads { 15 } else { 0 };
            span = is_disturbed(&desired.windows.reset, world, minutes);
            let today = observed.at.to_zoned(desired.zone.clone()).date();
            let free = desired
                .holidays
                .iter()
                .any(|(first, last, _)| first <= today && today <= last);
            check(!free, "is in the holidays");
            let loading = loads.then(|| desired.loading());
            let mut bounds = vec![(Circuit::School, desired.power[&PowerGroupName::default()])];
            if let Some(group) = &wanted.power_group {
                bounds.push((Circuit::Group(group.clone()), desired.power[group]));
            }
            if let Some(own) = wanted.power {
                bounds.push((Circuit::Room(room.clone()), own));
            }
            let bounds = bounds.into_iter().map(|(of, budget)| (of, budget.into()));
            let bounds: Vec<_> = bounds.chain(loading).collect();
            check(*circuits == bounds, "does not keep the budgets of the room");
            let own = test.as_ref().map(|test| &desired.test_classes[test]);
            let own_class = own.map_or(&wanted.class, |own| &own.class);
            check(class == own_class, "is of another class");
            let is_over = own.is_some_and(|own| own.until < today);
            check(!is_over, "is for a test class that is over");
            let systems = &desired.classes[class].os;
            let of_class = systems.iter().map(|os| os.image.clone());
            check(
                of_class.collect::<BTreeSet<_>>() == images.iter().cloned().collect(),
                "restores other images",
            );
            let astray = observed.astray.seen().unwrap();
            let rows: Vec<&Device> = observed.devices.seen().unwrap().rows().iter().collect();
            for wake in hosts {
                let device = rows.iter().find(|device| device.host == wake.host).unwrap();
                let sound = device.room == *room && device.class == *class && device.pxe.is_reset();
                check(
                    sound,
                    &format!("touches {}, which is none of its hosts", wake.host),
                );
                let busy = observed.busy.seen().unwrap().contains_key(&wake.host);
                check(!busy, &format!("disturbs {}", wake.host));
                let led = astray.get(&wake.host);
                check(led.is_none(), &format!("{} boots {led:?}", wake.host));
                let named = own.is_none_or(|own| own.hosts.contains(&wake.host));
                check(
                    named,
                    &format!("touches {}, which tests nothing", wake.host),
                );
                if own.is_none()
                    && let RoomHosts::Listed(listed) = &wanted.hosts
                {
                    check(
                        listed.contains(&wake.host),
                        &format!("touches {}, which is not listed", wake.host),
                    );
                }
            }
            let all = rows.iter().filter(|device| device.room == *room).count();
            check(!whole_room || hosts.len() == all, "is not the whole room");
            for image in images {
                let live = observed.live.get(image).and_then(Probe::seen);
                check(
                    live.is_some_and(|live| live.base.is_some() && !live.uploading),
                    "restores what is not there",
                );
            }
        }
    }
    wrong.extend(span);
    wrong
}

fn judge_together(world: &World, plan: &Plan) -> Vec<String> {
    let observed = &world.observed;
    let mut wrong = Vec::new();
    let running = observed
        .running
        .iter()
        .map(|running| (&*running.step, Some(running.since)));
    let all: Vec<_> = running
        .chain(plan.steps.iter().map(|step| (step, None)))
        .collect();
    let is_download = |(step, _): &&(&Step, _)| matches!(step.action, Action::Download { .. });
    let downloads = all.iter().filter(is_download).count();
    let news = !plan.steps.is_empty();
    for (step, other) in pairs(&all) {
        if collide(&step.action, &other.action) {
            wrong.push(format!("{} and {} at a time", step.id, other.id));
        }
    }
    if downloads > 1 && news {
        wrong.push("two downloads at a time".to_owned());
    }
    wrong
}

/// All pairs of which one at least is new.
fn pairs<'a>(all: &[(&'a Step, Option<Timestamp>)]) -> Vec<(&'a Step, &'a Step)> {
    let new = all
        .iter()
        .enumerate()
        .filter(|(_, (_, since))| since.is_none());
    new.flat_map(|(index, (step, _))| all[..index].iter().map(|(other, _)| (*step, *other)))
        .collect()
}

/// Whether two steps would spoil each other's files.
fn collide(a: &Action, b: &Action) -> bool {
    use Action::{
        Activate, Delete, Download, ImportDevices, ResetRoom, Seed, SetClasses, SetRows, Stage,
        WriteStartConf,
    };
    let one_way = |a: &Action, b: &Action| match (a, b) {
        (
            Activate { image: x, .. } | Seed { image: x, .. },
            Activate { image: y, .. } | Seed { image: y, .. },
        ) => x == y,
        (Activate { image, .. } | Seed { image, .. }, ResetRoom { images, .. }) => {
            images.contains(image)
        }
        (
            WriteStartConf { class: x, .. },
            ResetRoom { class: y, .. } | WriteStartConf { class: y, .. },
        ) => x == y,
        (ImportDevices { classes, hosts }, ResetRoom { class, .. }) => {
            classes.contains(class) || hosts.values().any(|of| of == class)
        }
        (SetClasses { hosts }, ResetRoom { class, .. } | WriteStartConf { class, .. }) => hosts
            .values()
            .any(|change| [&change.before, &change.after].contains(&class)),
        (SetRows { rows }, ResetRoom { room, .. }) => {
            let rows = rows.values();
            let rows = rows.flat_map(|change| [change.before(), change.after()]);
            rows.flatten().any(|row| row.room == *room)
        }
        (SetClasses { .. } | SetRows { .. }, SetClasses { .. } | SetRows { .. }) => true,
        (
            ImportDevices { .. },
            ImportDevices { .. } | SetClasses { .. } | SetRows { .. } | WriteStartConf { .. },
        ) => true,
        (ResetRoom { room: x, .. }, ResetRoom { room: y, .. }) => x == y,
        (Download { .. }, Download { .. }) => true,
        (Delete { .. }, Delete { .. } | Download { .. } | Stage { .. } | Activate { .. }) => true,
        _ => false,
    };
    one_way(a, b) || one_way(b, a)
}

/// When it is, for messages.
pub(super) fn shown(world: &World) -> Zoned {
    world.observed.at.to_zoned(world.desired.zone.clone())
}
