//! Scenarios: short scripts of one school, and what happens. `UPDATE_GOLDEN=1` writes the second part anew.
//!
//! Settings are `key: value`, what people do stands at a time, what goes wrong between two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reconciler::config::Driver;
use reconciler::linbo::verdict::HostOutcome;
use reconciler::planning::{Gate, StepResult};
use reconciler::simulator::time::{DAY, Moment};
use reconciler::simulator::{
    Commit, Edit, Fault, Kind, Lie, Outcome, Script, Sense, Signer, Start, Turn, Usage, What,
    simulate,
};
use schema::fleet::{
    Canary, Exam, ExamRooms, Fleet, PowerBudget, Retries, Rollout, Room, RoomWindows, Then, Waves,
};
use schema::policy::InUse;
use schema::schedule::FreeDays;

use crate::fleets::{self, Size, read};

const BETWEEN: &str = "\n---- what happens\n";

#[test]
fn scenarios_go_as_they_are_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(
        files.len() > 5,
        "the scenarios are gone from {}",
        folder.display()
    );
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (script, expected) = text.split_once(BETWEEN).unwrap_or((text.trim_end(), ""));
        let found = play(script);
        assert!(!found.contains("is broken"), "{}\n{found}", file.display());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, format!("{script}{BETWEEN}{found}")).unwrap();
        } else if found != expected {
            let diff = similar::TextDiff::from_lines(expected, found.as_str());
            wrong.push(format!("{}\n{}", file.display(), diff.unified_diff()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The world of a script, and its zone.
struct Scene {
    fleet: Fleet,
    zone: TimeZone,
    from: Option<Moment>,
    days: i64,
    hosts: usize,
    start: Start,
    signers: bool,
    driver: Driver,
    commits: Vec<Commit>,
    turns: Vec<(Moment, Turn)>,
    faults: Vec<Fault>,
}

fn play(text: &str) -> String {
    let fleet = fleets::fleet(
        1,
        Size {
            schools: 1,
            rooms: 1,
        },
    );
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut scene = Scene {
        fleet,
        zone,
        from: None,
        days: 7,
        hosts: 3,
        start: Start::Converged,
        signers: false,
        driver: Driver::Wrapper,
        commits: Vec::new(),
        turns: Vec::new(),
        faults: Vec::new(),
    };
    scene.school(|school, zone| {
        school.time_zone = zone.clone();
        school.holidays = Rc::new(FreeDays::default()).as_ref().clone().into();
        school.windows.reset = [read("mon-fri 17:30-22:00")].into_iter().collect();
        school.windows.download = [read("daily 22:00-05:00")].into_iter().collect();
        school.windows.activate = [read("daily 17:00-07:00")].into_iter().collect();
        school.windows.lessons = [read("mon-fri 07:30-17:00")].into_iter().collect();
        school.download_rate = Some(read("20 Mbit/s"));
        school.images.remove("tools");
        let room = school.rooms.values().next().unwrap().clone();
        school.rooms = [(
            read("r101"),
            Room {
                class: read("ubuntu-lab"),
                windows: RoomWindows::default(),
                in_use: InUse::default(),
                power_group: None,
                power: None,
                ..room
            },
        )]
        .into();
        school.power = PowerBudget {
            wake_per_minute: 6,
            on_at_once: 120,
        };
        school.exams.clear();
        school.announce = None;
        school.retries = Retries::default();
        school.rollout = Rollout {
            waves: None,
            ..Rollout::default()
        };
    });
    scene.set("reset", "mon, wed 18:00");
    for line in text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        match line.split_once(": ") {
            Some((key, value)) if !line.starts_with(|c: char| c.is_ascii_digit()) => {
                scene.set(key, value);
            }
            _ => scene.event(line),
        }
    }
    let from = scene.from.expect("`from:` is missing");
    let mut script = Script::new(&scene.fleet, scene.hosts, 1, from, from + scene.days * DAY);
    script.quiet_from = script.until;
    script.start = scene.start;
    script.signers = scene.signers;
    script.driver = scene.driver;
    script.commits.extend(scene.commits);
    for (number, commit) in script.commits.iter_mut().enumerate() {
        // Those that do not say otherwise build on the one before.
        commit.parent = if commit.subject.contains("another history") {
            None
        } else {
            number.checked_sub(1)
        };
    }
    script.turns = scene.turns;
    script.faults = scene.faults;
    account(&simulate(&script), &scene.zone)
}

impl Scene {
    /// Changes all schools alike.
    fn school(&mut self, mut change: impl FnMut(&mut schema::fleet::School, &TimeZone)) {
        for school in self.fleet.schools.values_mut() {
            change(school, &self.zone);
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        match key {
            "from" => self.from = Some(self.moment(value)),
            "days" => self.days = value.parse().unwrap(),
            "hosts" => self.hosts = value.parse().unwrap(),
            "schools" => {
                let school = self.fleet.schools.values().next().unwrap().clone();
                let schools = 1..=value.parse().unwrap();
                self.fleet.schools = schools
                    .map(|number: usize| (read(&format!("bs-{number:02}")), school.clone()))
                    .collect();
            }
            "uplink" => self.fleet.central.uplink = Some(read(value)),
            "class" => self.school(|school, _| {
                for room in school.rooms.values_mut() {
                    room.class = read(value);
                }
                let tools = school.images["ubuntu"].clone();
                school.images.insert(read("tools"), tools);
            }),
            "driver" => {
                self.driver = match value {
                    "linbo-remote" => Driver::LinboRemote,
                    _ => Driver::Wrapper,
                }
            }
            "signers" => self.signers = value == "known",
            "begins" => {
                self.start = if value == "empty" {
                    Start::Empty
                } else {
                    Start::Converged
                }
            }
            "reset" => self.school(|school, _| {
                school
                    .rooms
                    .values_mut()
                    .for_each(|room| room.reset = Some([read(value)].into_iter().collect()));
            }),
            "reset window" => self
                .school(|school, _| school.windows.reset = value.split("; ").map(read).collect()),
            "download window" => self.school(|school, _| {
                school.windows.download = value.split("; ").map(read).collect();
            }),
            "rooms" => self.school(|school, _| {
                let room = school.rooms.values().next().unwrap().clone();
                let rooms = 1..=value.parse().unwrap();
                school.rooms = rooms
                    .map(|number: usize| (read(&format!("r1{number:02}")), room.clone()))
                    .collect();
            }),
            "exam" => {
                let (dates, rooms) = value.split_once(' ').unwrap();
                let exam = Exam {
                    dates: read(dates),
                    rooms: ExamRooms::These(rooms.split(", ").map(read).collect()),
                };
                self.school(|school, _| school.exams.push(exam.clone()));
            }
            "tries" => {
                self.school(|school, _| school.retries.tries = value.parse().unwrap());
            }
            "guard" => self.school(|school, _| school.guard.reimage_at_most = read(value)),
            "in use" => self.school(|school, _| {
                let rooms = school.rooms.values_mut();
                rooms.for_each(|room| room.in_use = read(value));
            }),
            "rollout" => {
                let mut parts = value.split(", ").map(|part| part.split_once(' ').unwrap());
                let mut part = |wanted: &str| {
                    let (key, value) = parts.next().unwrap();
                    assert_eq!(key, wanted, "canary, then, healthy and soak make a rollout");
                    value
                };
                let waves = Waves {
                    canary: Canary::Portion(read(part("canary"))),
                    then: Then::Portion(read(part("then"))),
                    healthy: read(part("healthy")),
                    soak: read(part("soak")),
                };
                self.school(|school, _| school.rollout.waves = Some(waves.clone()));
            }
            "rollout_from" => {
                self.school(|school, _| school.rollout.from = Some(value.parse().unwrap()))
            }
            "line" => self.school(|school, _| school.download_rate = Some(read(value))),
            "holidays" => {
                let (first, last) = value.split_once(" to ").unwrap();
                let days = FreeDays::new([(read(first), read(last), "Christmas".to_owned())]);
                self.school(|school, _| school.holidays = days.clone().into());
            }
            other => panic!("`{other}` is no setting"),
        }
    }

    fn moment(&self, text: &str) -> Moment {
        let civil: DateTime = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        civil
            .to_zoned(self.zone.clone())
            .unwrap()
            .timestamp()
            .into()
    }

    /// `2026-11-23 18:00  merge ubuntu v2` or `2026-11-23 18:00 to 2026-11-24 06:00  line down`
    fn event(&mut self, line: &str) {
        let (when, what) = line
            .split_once("  ")
            .unwrap_or_else(|| panic!("no two blanks in `{line}`"));
        let what = what.trim();
        if let Some((from, until)) = when.split_once(" to ") {
            let (from, until) = (self.moment(from), self.moment(until));
            self.faults.push(Fault {
                from,
                until,
                site: Some(0),
                kind: kind(what),
            });
            return;
        }
        let at = self.moment(when);
        let words: Vec<&str> = what.split(' ').collect();
        let mut commit = |subject: &str, fleet| {
            self.commits.push(Commit {
                at,
                parent: None,
                subject: subject.to_owned(),
                signer: match subject {
                    "of a stranger" => Signer::Stranger,
                    _ => Signer::Known,
                },
                fleet,
            });
        };
        match words[..] {
            ["merge", "ubuntu", version] => {
                commit(
                    &format!("ubuntu {version}"),
                    Ok(Rc::new(fleets::at_version(&self.fleet, "ubuntu", version))),
                );
            }
            ["rollback", "ubuntu", "to", version] => {
                let turn = Turn::RollBack(0, read("ubuntu"), read(version));
                self.turns.push((at, turn));
            }
            ["merge", "gimp3", "for", host, "until", until] => {
                let until = until.parse().unwrap();
                let fleet = fleets::tried(&self.fleet, &[host], until);
                commit(&format!("{host} tries gimp3"), Ok(Rc::new(fleet)));
            }
            ["merge", "without", "gimp3"] => {
                commit(
                    "nobody tries gimp3",
                    Ok(Rc::new(fleets::untried(&self.fleet))),
                );
            }
            ["merge", "guard", share, "%"] => {
                let mut fleet = fleets::at_version(&self.fleet, "ubuntu", "v2");
                for school in fleet.schools.values_mut() {
                    school.guard.reimage_at_most = read(&format!("{share} %"));
                }
                commit("more may be re-imaged", Ok(Rc::new(fleet)));
            }
            ["merge", "quiet", "splash"] => {
                commit(
                    "quiet splash",
                    Ok(Rc::new(fleets::with_kernel_options(
                        &self.fleet,
                        "ubuntu-lab",
                        "quiet splash",
                    ))),
                );
            }
            ["merge", "a", "slip"] => commit(
                "a slip",
                Err("rooms/r101.yaml:1:8: no such class `ubuntu-lap`".to_owned()),
            ),
            ["push", "of", "a", "stranger"] => commit(
                "of a stranger",
                Ok(Rc::new(fleets::at_version(&self.fleet, "ubuntu", "v3"))),
            ),
            ["force", "another", "history"] => {
                commit(
                    "another history",
                    Ok(Rc::new(fleets::at_version(&self.fleet, "ubuntu", "v3"))),
                );
            }
            ["set", "back", "to", number] => {
                self.turns
                    .push((at, Turn::Merge(number.parse::<usize>().unwrap() - 1)));
            }
            ["edit", "start.conf"] => self
                .turns
                .push((at, Turn::Edit(0, read("ubuntu-lab"), Edit::Changed))),
            ["replace", "start.conf"] => self
                .turns
                .push((at, Turn::Edit(0, read("ubuntu-lab"), Edit::Foreign))),
            ["lose", "the", "torrent"] => {
                self.turns.push((at, Turn::TorrentLost(0, read("ubuntu"))));
            }
            ["suspend", kind, name, ref rest @ ..] => {
                let until = match rest {
                    ["until", until @ ..] => Some(self.moment(&until.join(" "))),
                    _ => None,
                };
                let what = format!("{kind} {name}").parse().unwrap();
                self.turns.push((at, Turn::Suspend(0, what, until)));
            }
            ["resume", kind, name] => {
                let what = format!("{kind} {name}").parse().unwrap();
                self.turns.push((at, Turn::Resume(0, what)));
            }
            ["the", "seeder", "dies"] => {
                self.turns.push((at, Turn::SeederDied(0, read("ubuntu"))));
            }
            ["stop"] => self.turns.push((at, Turn::Stop(0))),
            ["backup"] => self.turns.push((at, Turn::Backup(0))),
            ["restore"] => self.turns.push((at, Turn::Restore(0))),
            ["reconcile"] => self.turns.push((at, Turn::Pass(0))),
            _ => panic!("`{what}` is nothing that people do"),
        }
    }
}

fn kind(what: &str) -> Kind {
    let words: Vec<&str> = what.split(' ').collect();
    match words[..] {
        ["line", "down"] => Kind::LinkDown,
        ["git", "down"] => Kind::GitDown,
        ["server", "off"] => Kind::Reboot,
        ["disk", "full"] => Kind::DiskFull,
        ["mail", "down"] => Kind::MailDown,
        ["killed"] => Kind::Crash { after: 12 },
        ["rsync", "stops"] => Kind::RsyncStops,
        ["garbled"] => Kind::Garbled,
        ["activation", "fails"] => Kind::ActivateFails,
        ["import", "fails"] => Kind::ImportFails,
        ["clock", seconds] => Kind::Clock(seconds.parse().unwrap()),
        ["busy", "unseen"] => Kind::Blind(Sense::Busy),
        [host, "does", "not", "wake"] => Kind::DeadWake(read(host)),
        [host, "reports", "falsely"] => Kind::Lies(read(host), Lie::Mount),
        [host, "is", "skipped"] => Kind::Lies(read(host), Lie::Skipped),
        [host, "does", "nothing"] => Kind::Lies(read(host), Lie::Zero),
        ["journal", "full"] => Kind::JournalFull,
        ["power", "cut"] => Kind::TornRecord,
        ["killed", "at", "a", "record"] => Kind::KilledAtRecord,
        ["torrents", "fail"] => Kind::SeedFails,
        ["somebody", "works", "at", host] => Kind::Runs(read(host), Usage::Somebody),
        [host, "is", "left", "running"] => Kind::Runs(read(host), Usage::Nobody),
        [host, "comes", "up", "late"] => Kind::Slow(read(host)),
        ["commands", "of", "others", "wait", "for", host] => Kind::Onboot(read(host)),
        [image, version, "fails", "on", percent, "%"] => {
            Kind::BadVersion(read(image), read(version), percent.parse().unwrap())
        }
        [host, "fails"] => Kind::SyncFails(read(host)),
        _ => panic!("`{what}` is nothing that goes wrong"),
    }
}

/// Whether somebody reading of a wait learns what people have to do with it.
const fn is_peoples(gate: &Gate) -> bool {
    matches!(
        gate,
        Gate::Suspended { .. }
            | Gate::Exam
            | Gate::Guard { .. }
            | Gate::InUse(_)
            | Gate::Wave { .. }
            | Gate::RolloutStopped { .. }
            | Gate::RolledBack { .. }
            | Gate::Stalled { .. }
            | Gate::NotReset(_)
    )
}

/// What a reader wants to know of it.
fn account(outcome: &Outcome, zone: &TimeZone) -> String {
    let mut text = String::new();
    let mut applied = 0;
    let mut unsent = false;
    // What each school said last of these is not said again.
    let mut last = BTreeMap::new();
    let mut problem = BTreeMap::new();
    let mut commit = BTreeMap::new();
    let mut day = String::new();
    // What each school waited for at the end of the pass before, and of this one.
    let mut waited: BTreeMap<_, [BTreeSet<String>; 2]> = BTreeMap::new();
    for event in &outcome.account.events {
        match &event.what {
            What::Pass => {
                let [before, now] = waited.entry(event.site).or_default();
                *before = std::mem::take(now);
                continue;
            }
            What::Waits { gate, what, why } if is_peoples(gate) => {
                let [before, now] = waited.entry(event.site).or_default();
                let text = format!("{what}: {why}");
                let is_known = before.contains(&text);
                now.insert(text);
                if is_known {
                    continue;
                }
            }
            What::Host(_, HostOutcome::Applied { .. }) => {
                applied += 1;
                continue;
            }
            What::Commit(number) if commit.insert(event.site, *number).as_ref() == Some(number) => {
                continue;
            }
            What::Problem(text)
                if problem.insert(event.site, text.clone()).as_ref() == Some(text) =>
            {
                continue;
            }
            What::Ended { summary, .. }
                if last.insert(event.site, summary.clone()).as_ref() == Some(summary)
                    && applied == 0 =>
            {
                continue;
            }
            What::NoLetter if std::mem::replace(&mut unsent, true) => continue,
            What::Letter(_) => unsent = false,
            What::Ended { .. } => applied = 0,
            What::Began(_) => drop(last.remove(&event.site)),
            What::Finished(_, StepResult::Done) | What::Changed(_) => continue,
            _ if event.is_news() => {}
            _ => continue,
        }
        let at = event.at.timestamp().to_zoned(zone.clone());
        let today = at.strftime("%a %Y-%m-%d %Z").to_string();
        if today != day {
            writeln!(text, "{today}").unwrap();
            day = today;
        }
        let school = match event.site {
            Some(site) if outcome.wanting.len() > 1 => format!("school {}  ", site + 1),
            _ => String::new(),
        };
        let what = event.what.to_string().replace(&" ".repeat(41), "      ");
        writeln!(text, "  {}  {school}{what}", at.strftime("%H:%M")).unwrap();
    }
    for broken in &outcome.broken {
        writeln!(text, "{broken}").unwrap();
    }
    for wanting in outcome.wanting.iter().flatten() {
        writeln!(text, "In the end {wanting}.").unwrap();
    }
    if outcome.wanting.iter().flatten().next().is_none() {
        text += "In the end the server is as the state repo says.\n";
    }
    text
}
