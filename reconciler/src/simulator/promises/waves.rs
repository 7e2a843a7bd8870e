//! Promise 4 where it is about rollouts: no host gets another state of an image before its wave is open, nor
//! after the rollout has stopped. Both are judged from what hosts hold and from what was heard of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schema::fleet::{Canary, RoomHosts, Then, Waves};
use schema::name::{FileName, HostName, ImageName};
use schema::policy::Portion;
use schema::text::ImageStamp;

use super::groups::groups;
use super::hosts::is_suspended;
use super::{Book, Found, Scene};
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Action, Desired, Step, StepResult, Subject};
use crate::simulator::truth::{Contents, Live};
use crate::simulator::word;

/// LINBO's reports know no seconds.
const ROUNDED: SignedDuration = SignedDuration::from_mins(1);

/// What is remembered of rollouts, by the server's clock.
#[derive(Debug, Default)]
pub(super) struct Rollouts {
    /// When the files of an image were exchanged, as far as that was recorded.
    exchanged: BTreeMap<ImageName, Timestamp>,
    /// Since when a host is known to have which state of an image.
    known: BTreeMap<HostName, BTreeMap<ImageName, (Contents, Timestamp)>>,
    /// When a host failed, if it did so the last time.
    failed: BTreeMap<HostName, Timestamp>,
    /// How often a host was begun since it was last put back, and when the last time: often enough, and it may be
    /// left alone.
    tries: BTreeMap<HostName, (u32, Timestamp)>,
}

impl Rollouts {
    /// An exchange ended; one that was not recorded is not known to have been.
    pub(super) fn finished(&mut self, step: &Step, result: &StepResult, scene: &Scene<'_>) {
        if let (Action::Activate { image, .. }, StepResult::Done) = (&step.action, result)
            && scene.records
        {
            self.exchanged.insert(image.clone(), scene.clock());
        }
    }

    pub(super) fn begun(&mut self, step: &Step, scene: &Scene<'_>) {
        match &step.action {
            Action::Activate { image, .. } => _ = self.exchanged.remove(image),
            Action::ResetRoom { hosts, .. } => {
                for wake in hosts {
                    let (tries, last) = self.tries.entry(wake.host.clone()).or_default();
                    *tries += 1;
                    *last = scene.clock();
                }
            }
            _ => {}
        }
    }

    /// The outcome of a host.
    pub(super) fn heard(&mut self, host: &HostName, outcome: &HostOutcome, scene: &Scene<'_>) {
        if !scene.records {
            return;
        }
        match outcome {
            HostOutcome::Failed { .. } => _ = self.failed.insert(host.clone(), scene.clock()),
            _ => _ = self.failed.remove(host),
        }
        if matches!(outcome, HostOutcome::InUse { .. }) {
            self.tries.remove(host);
        }
        if !matches!(outcome, HostOutcome::Applied { .. }) {
            return;
        }
        self.tries.remove(host);
        let known = self.known.entry(host.clone()).or_default();
        let pc = scene.school.pcs.get(host);
        // What it holds from the time in another class was not heard of.
        for (file, _) in outcome.applied() {
            let held = pc.and_then(|pc| pc.holds.iter().find(|(image, _)| file.is_of(image)));
            let Some((image, held)) = held else { continue };
            let before = known.get(image);
            if before.is_none_or(|(contents, _)| *contents != held.contents) {
                known.insert(image.clone(), (held.contents, scene.clock()));
            }
        }
    }
}

/// No host of a step gets what it may not have yet.
pub(super) fn too_early(step: &Step, scene: &Scene<'_>, book: &Book) -> Vec<Found> {
    let (Action::ResetRoom { hosts, images, .. }, Some(desired)) = (&step.action, scene.desired)
    else {
        return Vec::new();
    };
    // A journal from a backup knows other times than those that are remembered here.
    if book.news.is_lost() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for image in images {
        let Some(rollout) = Rollout::of(image, desired, scene, &book.rollouts, false) else {
            continue;
        };
        let stopped = rollout.has_stopped();
        let lacking = hosts.iter().map(|wake| &wake.host);
        for host in lacking.filter(|host| !rollout.has(host)) {
            let wave = rollout.wave_of(host);
            if wave.is_some_and(|wave| wave >= rollout.open()) {
                let how = format!("step {} gives {image} to {host} before its wave", step.id);
                found.push((4, how));
            } else if stopped {
                let how = format!(
                    "step {} gives {image} to {host}, and its rollout has stopped",
                    step.id
                );
                found.push((4, how));
            }
        }
    }
    found
}

/// The rollout of one image at one school, as it truly stands.
pub(super) struct Rollout<'a> {
    image: &'a ImageName,
    contents: Contents,
    /// The report of a host that has the state.
    expected: Option<(FileName, ImageStamp)>,
    desired: &'a Desired,
    scene: &'a Scene<'a>,
    known: &'a Rollouts,
    by_word: bool,
    waves: Vec<Vec<&'a HostName>>,
    /// When each wave opened, of those that are open.
    opened: Vec<Timestamp>,
}

impl<'a> Rollout<'a> {
    /// Whatever a host holds, `by_word` it counts for nothing if that was never heard of.
    pub(super) fn of(
        image: &'a ImageName,
        desired: &'a Desired,
        scene: &'a Scene<'a>,
        known: &'a Rollouts,
        by_word: bool,
    ) -> Option<Self> {
        let contents = scene.school.disk.live.get(image).map(Live::contents)?;
        let mut rollout = Self {
            image,
            contents,
            expected: word::expected(image, contents),
            desired,
            scene,
            known,
            by_word,
            waves: waves(rules(image, desired), rooms(image, desired, scene)),
            opened: Vec::new(),
        };
        rollout.find_open();
        Some(rollout)
    }

    /// How many waves are open.
    fn open(&self) -> usize {
        self.opened.len()
    }

    fn wave_of(&self, host: &HostName) -> Option<usize> {
        self.waves.iter().position(|wave| wave.contains(&host))
    }

    /// Whether a host waited for its wave until lately.
    pub(super) fn holds_back(&self, host: &HostName, until: Timestamp) -> bool {
        let wave = self.wave_of(host).filter(|_| !self.has(host));
        let opened = wave.map(|wave| self.opened.get(wave));
        opened.is_some_and(|opened| opened.is_none_or(|at| *at > until))
    }

    fn has(&self, host: &HostName) -> bool {
        self.since(host).is_some()
    }

    /// Since when a host has the state, by whoever says the earliest.
    fn since(&self, host: &HostName) -> Option<Timestamp> {
        let pc = self.scene.school.pcs.get(host)?;
        let held = pc.holds.get(self.image);
        let held = held.filter(|held| !self.by_word && held.contents == self.contents);
        let says = pc.report.as_ref().filter(|report| {
            let expected = self.expected.as_ref();
            expected.is_some_and(|(file, stamp)| {
                report.file == *file && report.stamp.as_ref() == Some(stamp)
            })
        });
        let reported = says.and_then(|report| {
            let at = report.at.to_zoned(self.desired.zone.clone());
            at.ok().map(|at| at.timestamp())
        });
        let heard = self
            .known
            .known
            .get(host)
            .and_then(|known| known.get(self.image));
        let heard = heard.filter(|(contents, _)| *contents == self.contents);
        let all = [
            held.map(|held| held.since.timestamp()),
            reported,
            heard.map(|(_, at)| *at),
        ];
        all.into_iter().flatten().min()
    }

    /// Whether a host may be left alone, so that no wave waits for it: people want that, or it was tried often enough
    /// before this state came.
    fn is_left_alone(&self, host: &HostName) -> bool {
        let tried = self.known.tries.get(host).is_some_and(|(tries, last)| {
            let is_before = self.counts_from().is_none_or(|from| *last < from);
            *tries >= self.desired.retries.stalled_after && is_before
        });
        tried || is_suspended(&Subject::Host(host.clone()), self.desired, self.scene)
    }

    /// Since when what hosts do tells of the state, where that was recorded.
    fn counts_from(&self) -> Option<Timestamp> {
        let exchanged = *self.known.exchanged.get(self.image)?;
        let of = [Subject::Server, Subject::Image(self.image.clone())];
        Some(self.resumed(&of).map_or(exchanged, |at| at.max(exchanged)))
    }

    /// When people last said of any of these that its troubles are over.
    fn resumed(&self, of: &[Subject]) -> Option<Timestamp> {
        let orders = &self.scene.school.disk.orders;
        of.iter().filter_map(|what| orders.resumed(what)).max()
    }

    fn find_open(&mut self) {
        let exchanged = self.known.exchanged.get(self.image).copied();
        let mut opens = exchanged.unwrap_or(Timestamp::MIN);
        for (number, wave) in self.waves.iter().enumerate() {
            // The first waits for nothing, whatever the clock says of when the files were exchanged.
            if number > 0 && opens > self.scene.clock() {
                return;
            }
            self.opened.push(opens);
            let Some(rules) = rules(self.image, self.desired) else {
                return;
            };
            let mut since: Vec<_> = wave.iter().filter_map(|host| self.since(host)).collect();
            since.sort_unstable();
            let alone = |host: &&&HostName| !self.has(host) && self.is_left_alone(host);
            let counted = wave.len() - wave.iter().filter(alone).count();
            let wanted = (counted * usize::from(rules.healthy.get())).div_ceil(100);
            let wanted = wanted.max(usize::from(number == 0));
            let healthy = match wanted.checked_sub(1) {
                None => Some(opens),
                Some(last) => since.get(last).copied(),
            };
            let Some(healthy) = healthy else { return };
            let soaked = healthy.max(opens) + rules.soak.to_duration();
            opens = soaked - ROUNDED;
        }
    }

    /// Whether more hosts failed than may.
    fn has_stopped(&self) -> bool {
        let Some(counts_from) = self.counts_from() else {
            return false;
        };
        let open: Vec<&HostName> = self
            .waves
            .iter()
            .take(self.open())
            .flatten()
            .copied()
            .collect();
        let failed = open.iter().copied().filter(|host| {
            let failed = self.known.failed.get(*host);
            let row = self.scene.school.disk.devices.get(host);
            let mut of = vec![Subject::Host((*host).clone())];
            of.extend(row.map(|row| Subject::Room(row.room.clone())));
            let resumed = self.resumed(&of);
            failed
                .is_some_and(|at| *at >= counts_from && resumed.is_none_or(|resumed| *at > resumed))
                && !self.has(host)
                && !self.is_left_alone(host)
        });
        let failed = failed.count();
        let share = usize::from(self.desired.rollout.stop_at_failures.get());
        failed > 1 && failed * 100 > open.len() * share
    }
}

/// The hosts of each room that takes part in the rollout of an image.
fn rooms<'a>(
    image: &ImageName,
    desired: &'a Desired,
    scene: &Scene<'a>,
) -> Vec<(&'a str, Vec<&'a HostName>)> {
    let devices = &scene.school.disk.devices;
    let mut found: Vec<(&str, Vec<&HostName>)> = Vec::new();
    for (name, room, group) in groups(desired, scene) {
        let class = desired.classes.get(group.class);
        let uses = class.is_some_and(|class| class.os.iter().any(|os| os.image == *image));
        let latest = group
            .schedule
            .and_then(|schedule| schedule.latest(scene.clock(), &desired.zone, &desired.holidays));
        if !uses || latest.is_none() {
            continue;
        }
        let listed: Vec<_> = match &room.hosts {
            RoomHosts::Listed(hosts) if group.test.is_none() => {
                hosts.iter().filter_map(|host| devices.get(host)).collect()
            }
            _ => devices.in_room(name).collect(),
        };
        let hosts = listed.into_iter().filter(|device| {
            let waits = scene.school.onboot().any(|(host, _)| *host == device.host);
            device.room == *name && group.has(device) && group.is_led(device, scene) && !waits
        });
        let hosts = hosts.map(|device| &device.host);
        match found.last_mut() {
            Some((last, all)) if *last == name.as_str() => all.extend(hosts),
            _ => found.push((name.as_str(), hosts.collect())),
        }
    }
    found
}

/// In which waves an image comes; at once where a test class tries it, or where it goes back.
fn rules<'a>(image: &ImageName, desired: &'a Desired) -> Option<&'a Waves> {
    let mut tests = desired.test_classes.values();
    let is_tried = tests.any(|test| test.images.contains(image));
    let at_once = is_tried || desired.gone_back.contains_key(image);
    desired.rollout.waves.as_ref().filter(|_| !at_once)
}

/// Who gets a new state together.
fn waves<'a>(
    rules: Option<&Waves>,
    rooms: Vec<(&'a str, Vec<&'a HostName>)>,
) -> Vec<Vec<&'a HostName>> {
    let all: usize = rooms.iter().map(|(_, hosts)| hosts.len()).sum();
    // Nothing is judged of later waves that are named.
    let Some((rules, then)) = rules.and_then(|rules| Some((rules, portion_of(&rules.then)?)))
    else {
        return vec![rooms.into_iter().flat_map(|(_, hosts)| hosts).collect()];
    };
    let mut waves = Vec::new();
    let mut rest = Vec::new();
    let mut first = Vec::new();
    for (name, hosts) in rooms {
        match &rules.canary {
            Canary::Rooms(named) if named.contains(name) => first.extend(hosts),
            _ => rest.push(hosts),
        }
    }
    waves.push(first);
    let mut portion = match rules.canary {
        Canary::Portion(portion) => portion,
        Canary::Rooms(_) => then,
    };
    rest.retain(|hosts| !hosts.is_empty());
    while !rest.is_empty() {
        let mut wave = Vec::new();
        let mut rooms = 0;
        loop {
            let is_enough = match portion {
                Portion::Rooms(most) => rooms >= most,
                Portion::Hosts(most) => wave.len() >= most as usize,
                Portion::Share(share) => wave.len() * 100 >= all * usize::from(share.get()),
            };
            if rest.is_empty() || (is_enough && !wave.is_empty()) {
                break;
            }
            if let Portion::Hosts(_) = portion {
                wave.push(rest[0].remove(0));
            } else {
                wave.append(&mut rest[0]);
            }
            if rest[0].is_empty() {
                rest.remove(0);
                rooms += 1;
            }
        }
        waves.push(wave);
        portion = then;
    }
    waves.retain(|wave| !wave.is_empty());
    waves
}

fn portion_of(then: &Then) -> Option<Portion> {
    match then {
        Then::Portion(portion) => Some(*portion),
        _ => None,
    }
}
