//! Promises about work: none that need not be done, none at the wrong time, none too much at once, all
//! in the end.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use schema::name::{ClassName, HostName};
use schema::schedule::{Window, Windows};

use super::groups::groups;
use super::waves::Rollout;
use super::{Book, Found, Scene};
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Action, Desired, Purpose, Step};
use crate::simulator::time::{MINUTE, Moment, clocks_change};
use crate::simulator::truth::File;

/// How long a download goes on before anybody looks at the clock again.
const UNWATCHED: SignedDuration = SignedDuration::from_mins(12);

/// Promises 1 and 2: nothing is done to what is right already, and no host is reset that is known to be fresh.
pub(super) fn needless(step: &Step, scene: &Scene<'_>, book: &Book) -> Vec<Found> {
    let disk = &scene.school.disk;
    let right = match &step.action {
        Action::WriteStartConf { class, after, .. } => disk
            .classes
            .get(class)
            .is_some_and(|files| files.start_conf.as_ref() == Some(after)),
        // One that failed is done until one went well: what else it left undone shows nowhere.
        Action::ImportDevices { classes, hosts } => {
            let made = |class| {
                let files = disk.classes.get(class);
                files.is_some_and(|files| files.by_hand || files.boot_of == Some(files.written))
            };
            let led = |(host, class): (&HostName, &ClassName)| disk.boots.get(host) == Some(class);
            !book.import_failed
                && !book.rows_begun
                && classes.iter().all(made)
                && hosts.iter().all(led)
        }
        Action::SetRows { rows } => rows
            .iter()
            .any(|(host, change)| scene.school.disk.devices.get(host) != change.before()),
        Action::SetClasses { hosts } => hosts.iter().any(|(host, change)| {
            let device = scene.school.disk.devices.get(host);
            device.is_none_or(|device| device.class != change.before)
        }),
        Action::Download { manifest, .. } => {
            scene.published.get(manifest).is_some_and(|manifest| {
                manifest
                    .files()
                    .iter()
                    .all(|file| disk.store.objects.contains_key(&file.sha256))
                    && disk.store.manifests.values().any(|known| known == manifest)
            })
        }
        Action::Stage { manifest, to, .. } => {
            let store = disk.store.seen(false);
            store.renamed(manifest, to).is_some()
        }
        Action::Activate {
            image, manifest, ..
        } => {
            let wanted = scene.published.get(manifest).map(|manifest| {
                (
                    Some(manifest.base().sha256),
                    manifest.diff().map(|file| file.sha256),
                )
            });
            wanted.is_some()
                && disk
                    .live
                    .get(image)
                    .map(super::super::truth::Live::contents)
                    == wanted
        }
        Action::Delete { manifest, .. } => !disk.store.manifests.contains_key(manifest),
        Action::Seed { image, file } => disk.live.get(image).is_some_and(|live| {
            let found = if file.as_str().ends_with(".qdiff") {
                &live.diff
            } else {
                &live.base
            };
            found.as_ref().is_some_and(File::is_seeded)
        }),
        Action::SwitchOff { hosts } => hosts.is_empty(),
        Action::ResetRoom {
            due, hosts, images, ..
        } => {
            let clock = scene.clock();
            let known = |host: &HostName| {
                book.fresh.get(host).is_some_and(|(at, to)| {
                    // What it was put back to before it got another class is none of that one's images.
                    let is_theirs = images.iter().any(|image| to.contains(image.as_str()));
                    is_theirs && *due <= *at && *at <= clock
                })
            };
            let known: Vec<_> = hosts
                .iter()
                .filter(|wake| known(&wake.host))
                .map(|wake| wake.host.as_str())
                .collect();
            if known.is_empty() {
                return Vec::new();
            }
            return vec![(
                2,
                format!(
                    "step {} resets hosts that are fresh: {}",
                    step.id,
                    known.join(", ")
                ),
            )];
        }
    };
    if right {
        vec![(
            1,
            format!("step {} is done although nothing is to be done", step.id),
        )]
    } else {
        Vec::new()
    }
}

/// What the reconciler was told of a host.
pub(super) fn learn(host: &HostName, outcome: &HostOutcome, scene: &Scene<'_>, book: &mut Book) {
    if matches!(outcome, HostOutcome::Applied { .. }) && scene.records {
        let to = outcome.applied().map(|(file, _)| file.stem().to_owned());
        book.fresh
            .insert(host.clone(), (scene.clock(), to.collect()));
    }
}

/// Promise 2: no host counts as fresh that was not put back since it was told to.
pub(super) fn believed(
    host: &HostName,
    outcome: &HostOutcome,
    scene: &Scene<'_>,
    book: &mut Book,
) -> Vec<Found> {
    let told = book.orders.remove(host);
    if !matches!(outcome, HostOutcome::Applied { .. }) {
        return Vec::new();
    }
    let holds = scene.school.pcs.get(host).map(|pc| &pc.holds);
    let restored = told.is_some_and(|(at, images)| {
        images.iter().all(|image| {
            holds
                .and_then(|holds| holds.get(image))
                .is_some_and(|held| held.restored >= at)
        })
    });
    if restored {
        return Vec::new();
    }
    vec![(2, format!("{host} counts as fresh and was not put back"))]
}

/// Promise 4: nothing begins outside its window, within lessons, in holidays or before it is due.
pub(super) fn out_of_window(step: &Step, scene: &Scene<'_>) -> Vec<Found> {
    let Some(desired) = scene.desired else {
        return vec![(4, format!("step {} begins without a commit", step.id))];
    };
    let at = scene.clock();
    if clocks_change(at, &desired.zone) {
        return Vec::new();
    }
    let local = desired.zone.to_datetime(at);
    let windows = &desired.windows;
    let quiet = !is_open(&windows.lessons, local);
    let mut found = Vec::new();
    let mut check = |holds: bool, how: &str| {
        if !holds {
            found.push((
                4,
                format!("step {} begins {how}: it is {local} at the school", step.id),
            ));
        }
    };
    if let (Action::Activate { image, version, .. }, Some(first)) =
        (&step.action, &desired.not_before)
    {
        let wanted = desired.images.get(&(image.clone(), version.clone()));
        let for_vm = wanted.is_some_and(|wanted| wanted.purpose == Purpose::Vm);
        let lies_there = scene.school.disk.live.get(image);
        let replaces = lies_there.is_some_and(|live| live.base.is_some() || live.diff.is_some());
        check(
            !replaces
                || for_vm
                || first.day <= local.date()
                || desired.gone_back.contains_key(image),
            "before the first day of its rollout",
        );
    }
    match &step.action {
        Action::WriteStartConf { .. }
        | Action::SetRows { .. }
        | Action::SetClasses { .. }
        | Action::ImportDevices { .. }
        | Action::Stage { .. }
        | Action::Activate { .. } => {
            check(is_open(&windows.activate, local), "outside its window");
            check(quiet, "within lessons");
        }
        // Who begins early waits, and asks for nothing until then.
        Action::Download { from, .. } => {
            let local = desired.zone.to_datetime(*from);
            check(is_open(&windows.download, local), "outside its window");
            check(
                from.duration_since(at) < SignedDuration::from_mins(10),
                "long before its slot",
            );
        }
        Action::Seed { .. } | Action::Delete { .. } => {}
        Action::SwitchOff { .. } => check(quiet, "within lessons"),
        Action::ResetRoom { due, room, .. } => {
            let own = desired.rooms.get(room).map(|room| &room.windows);
            let own = own.cloned().unwrap_or_default();
            check(is_open(own.reset(windows), local), "outside its window");
            check(!is_open(own.lessons(windows), local), "within lessons");
            let free = desired
                .holidays
                .iter()
                .any(|(first, last, _)| first <= local.date() && local.date() <= last);
            check(!free, "in the holidays");
            check(*due <= at, "before it is due");
        }
    }
    found
}

/// Promise 4: a download stops when its window closes, by the server's clock. That may be set while it runs, and
/// nobody looks at it all the time.
pub(super) fn overrun(step: &Step, scene: &Scene<'_>, book: &Book) -> Vec<Found> {
    let Action::Download { until, .. } = &step.action else {
        return Vec::new();
    };
    let late = scene.clock() > *until + UNWATCHED;
    let (_, clock_set) = book.clock_set;
    let is_told = clock_set.is_none_or(|at| scene.now.timestamp() > at.timestamp() + UNWATCHED);
    if late && is_told {
        vec![(
            4,
            format!("step {} goes on after its window closed", step.id),
        )]
    } else {
        Vec::new()
    }
}

/// Whether a window is open, by the clock on the wall.
fn is_open(windows: &Windows, local: DateTime) -> bool {
    let (today, now) = (local.date(), local.time());
    let holds = |window: &Window| {
        let opens_on =
            |day: Option<jiff::civil::Date>| day.is_some_and(|day| window.days.contains(day));
        if window.start < window.end {
            opens_on(Some(today)) && window.start <= now && now < window.end
        } else {
            (opens_on(Some(today)) && window.start <= now)
                || (opens_on(today.yesterday().ok()) && now < window.end)
        }
    };
    let mut held = windows.iter().filter(|window| holds(window)).peekable();
    held.peek().is_some() && held.all(|window| !window.denies)
}

/// Promise 5: no more hosts are on, and none are woken faster, than the state repo says that their school, their
/// circuit and their room bear.
pub(super) fn power(host: &HostName, scene: &Scene<'_>, book: &mut Book) -> Vec<Found> {
    book.given_up.remove(host);
    let Some(rules) = rules(scene) else {
        return Vec::new();
    };
    let room_of = |host: &HostName| {
        let name = &scene.school.disk.devices.get(host)?.room;
        rules.rooms.get_key_value(name)
    };
    let Some((name, room)) = room_of(host) else {
        return vec![(5, format!("{host} is woken, and has no room"))];
    };
    let (mut school, mut group, mut own) = (0, 0, 0);
    // Of a host that comes up after it was given up on, nobody can know that it is on before the next look.
    let on = scene.school.woken(scene.now);
    let on = on.filter(|host| !book.given_up.contains(*host));
    for (other, beside) in on.filter_map(room_of) {
        school += 1;
        group += u32::from(beside.power_group == room.power_group);
        own += u32::from(other == name);
    }
    let mut budgets = vec![("the school".to_owned(), rules.power, school)];
    if let Some(fuse) = &room.power_group {
        let budget = rules.power_groups.get(fuse).unwrap_or(&rules.power);
        budgets.push((format!("circuit {fuse}"), *budget, group));
    }
    if let Some(budget) = room.power {
        budgets.push((format!("room {name}"), budget, own));
    }
    let mut found = Vec::new();
    for (circuit, budget, on) in budgets {
        let bears = budget.on_at_once;
        if on > bears {
            let how = format!("{on} hosts are on in {circuit}, which bears {bears}");
            found.push((5, how));
        }
        let bears = budget.wake_per_minute;
        let wakes = book.wakes.entry(circuit.clone()).or_default();
        wakes.retain(|at| scene.now - *at < MINUTE);
        wakes.push(scene.now);
        let woken = wakes.len();
        if woken > bears as usize {
            let how =
                format!("{woken} hosts are woken in a minute in {circuit}, which bears {bears}");
            found.push((5, how));
        }
    }
    found
}

/// What the commit says of the school that its server works towards.
fn rules<'a>(scene: &Scene<'a>) -> Option<&'a schema::fleet::School> {
    let commit = scene.remote.commits.get(scene.school.disk.applied?)?;
    commit.fleet.as_ref().ok()?.schools.get(&scene.school.name)
}

/// Promise 5: never is more asked of the central server's line than it carries, as long as all servers work by one
/// commit and by true clocks.
pub(super) fn uplink(scene: &Scene<'_>) -> Vec<Found> {
    let (asked, Some(capacity)) = scene.uplink else {
        return Vec::new();
    };
    if asked > capacity {
        let how = format!("{asked} bytes per second are asked of a line that carries {capacity}");
        return vec![(5, how)];
    }
    Vec::new()
}

/// Promise 2: after a time without faults all is as it should be, and promise 10: people know it.
pub(super) fn converged(scene: &Scene<'_>, book: &Book, quiet_from: Moment) -> Vec<Found> {
    let Some(desired) = scene.desired else {
        return Vec::new();
    };
    let mut left = scene
        .school
        .wanting(desired, scene.published, scene.clock());
    let (stale, all_due) = stale_hosts(scene, book, desired, quiet_from);
    left.extend(stale);
    if left.is_empty() {
        let told = book.news.told.iter().filter(|_| all_due);
        let told = told.map(|title| (10, format!("nobody was told that it is over: {title}")));
        return told.collect();
    }
    left.into_iter()
        .map(|what| (2, format!("in the end {what}")))
        .collect()
}

/// Hosts that are not fresh, and whether all rooms became due in the quiet time.
fn stale_hosts(
    scene: &Scene<'_>,
    book: &Book,
    desired: &Desired,
    quiet_from: Moment,
) -> (Vec<String>, bool) {
    // What became due in the last hours may still be under way.
    let at = scene.clock() - SignedDuration::from_hours(12);
    let mut stale = Vec::new();
    let mut all_due = true;
    // What a wave let come at last may still be under way, and wait for a window.
    let long_ago = scene.clock() - SignedDuration::from_hours(60);
    let images = scene.school.disk.live.keys();
    let rollouts: Vec<_> = images
        .filter_map(|image| Rollout::of(image, desired, scene, &book.rollouts, true))
        .collect();
    for (name, _, group) in groups(desired, scene) {
        let due = group
            .schedule
            .and_then(|schedule| schedule.latest(at, &desired.zone, &desired.holidays));
        let (Some(due), Some(class)) = (due, desired.classes.get(group.class)) else {
            continue;
        };
        // What was missed before, in holidays say, is caught up with the next occurrence only.
        if due < quiet_from.timestamp() {
            all_due = false;
            continue;
        }
        let rows = scene.school.disk.devices.in_room(name);
        for device in rows.filter(|device| group.has(device)) {
            let Some(pc) = scene.school.pcs.get(&device.host) else {
                continue;
            };
            let fresh = class.os.iter().all(|os| {
                pc.holds
                    .get(&os.image)
                    .is_some_and(|held| held.restored.timestamp() >= due)
            });
            let mut rollouts = rollouts.iter();
            let waits = rollouts.any(|rollout| rollout.holds_back(&device.host, long_ago));
            if waits {
                all_due = false;
            } else if !fresh {
                stale.push(format!("{} was not reset since {due}", device.host));
            }
        }
    }
    (stale, all_due)
}
