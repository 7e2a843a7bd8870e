//! Two weeks of a school of twelve rooms whose hosts fare as hosts do, and whose reconciler is killed every evening.

use std::{collections::BTreeSet, fs, time::Duration};

use harness::lab::{Fault, Host, Lab, Login, Power, PowerEvent, Room, State};
use serde_json::Value;

use crate::{
    crash::settle,
    fleet::{Run, ask, history},
    one_school::{MONDAY, OneSchool, small, until},
};

/// Power for so many hosts at once, and every so many milliseconds one is woken.
const SCHOOL: usize = 8;
const WEST: usize = 3;
const R01: usize = 1;
const WAKE_MS: i64 = 200;

/// The rooms of the power group.
const IN_WEST: [&str; 4] = ["r01", "r02", "r03", "r04"];

/// What the hosts are that do not do as they should.
const FAILS: &str = "r02-pc02";
const ABSENT: &str = "r03-pc02";
const WORKED_AT: &str = "r04-pc02";
const WINDOWS: &str = "r05-pc02";
const FLAPS: &str = "r06-pc02";
const LIES: &str = "r07-pc02";
const BOOKED: &str = "r08-pc02";
const IN_SESSION: &str = "r09-pc02";

/// When a pass is killed, with all that it started in its group.
#[derive(Clone, Copy)]
enum Moment {
    /// A host is on its way up.
    Wake,
    /// The first host is being put back, which goes on while the next pass begins.
    Sync,
    /// The journal says that a room is about to be reset.
    Record,
    /// Some hosts are through.
    Half,
}

struct Fortnight {
    school: OneSchool,
}

impl Fortnight {
    fn begin() -> Self {
        let rooms = (1..=12).map(|number| {
            let pcs = if number < 10 { 2 } else { 1 };
            Room::new(&format!("r{number:02}"), pcs)
        });
        let mut school = OneSchool::built(Lab::builder().school("bs-nord", rooms));
        school.settings(
            "",
            "boot_timeout: 6 s, command_timeout: 20 s",
            "boot_timeout: 12 s, command_timeout: 60 s",
        );
        school.release("2026.10.1", &small(1));
        school.point("2026.10.1", "the first version");
        let edit = |dir: &std::path::Path| {
            let add = |file: &str, more: &str| {
                let path = dir.join("schools/bs-nord").join(file);
                fs::write(&path, fs::read_to_string(&path)? + more)
            };
            add(
                "school.yaml",
                &format!(
                    "power: {{ wake_per_minute: {}, on_at_once: {SCHOOL} }}\n\
                     power_groups: {{ west: {{ on_at_once: {WEST} }} }}\n\
                     exams: {{ 2026-11-25: [r10] }}\nretries: {{ stalled_after: 2 }}\n",
                    60_000 / WAKE_MS
                ),
            )?;
            add(
                "rooms/r01.yaml",
                &format!("power: {{ group: west, on_at_once: {R01} }}\n"),
            )?;
            for room in &IN_WEST[1..] {
                add(&format!("rooms/{room}.yaml"), "power: west\n")?;
            }
            add("rooms/r12.yaml", "reset: fri 18:30\n")?;
            Ok(())
        };
        school
            .lab
            .repo()
            .commit(edit, "what the school bears")
            .unwrap();
        school.pass("2026-11-22 20:00:00", 0);
        Self { school }
    }

    fn host(&self, name: &str) -> Host {
        self.school.lab.host(name)
    }

    /// The pass at 18:05, which is killed, and the next one.
    fn evening(&self, day: &str, moment: Moment) {
        let nord = self.school.nord();
        let journal = nord.paths.state().join("journal.jsonl");
        let begun = || {
            let text = fs::read_to_string(&journal).unwrap_or_default();
            text.matches("\"step\":\"reset/").count()
        };
        let off = || {
            let power = self.school.lab.power().unwrap();
            power
                .iter()
                .filter(|event| event.what == Power::Is(State::Off))
                .count()
        };
        let (recorded, went_off) = (begun(), off());
        let mut running = nord.spawn(&[], &format!("{day} 18:05:00")).unwrap();
        until("the moment of the kill", || {
            let mut hosts = self.school.lab.hosts();
            let is_now = match moment {
                Moment::Wake => hosts.any(|host| host.state().unwrap() == State::Booting),
                Moment::Sync => is_syncing(&self.host("r01-pc01")),
                Moment::Record => begun() > recorded,
                Moment::Half => off() > went_off + 5,
            };
            is_now || running.is_over().unwrap()
        });
        assert!(
            !running.is_over().unwrap(),
            "{}{}",
            running.stderr().unwrap(),
            running.stdout().unwrap()
        );
        running.kill().unwrap();
        if !matches!(moment, Moment::Sync) {
            settle(&self.school);
        }
        self.pass(day, "18:10");
    }

    fn pass(&self, day: &str, time: &str) -> Run {
        ask(&self.school.nord(), &[], &format!("{day} {time}:00")).unwrap()
    }

    /// An order that is given at noon.
    fn order(&self, order: &str, day: &str) {
        let order: Vec<_> = order.split(' ').collect();
        let output = self.school.nord().run(&order, &format!("{day} 12:00:00"));
        output.unwrap().success().unwrap();
    }

    /// Asks at the end of an evening.
    fn ask(&self, arguments: &[&str], day: &str) -> Run {
        ask(&self.school.nord(), arguments, &format!("{day} 20:00:00")).unwrap()
    }

    /// How all hosts stand at the end of an evening.
    fn ledger(&self, day: &str) -> Run {
        self.ask(&["status", "--hosts"], day)
    }

    /// How often each of these hosts was tried until the end of an evening, by what the program remembers.
    fn tries<const N: usize>(&self, hosts: [&str; N], day: &str) -> [usize; N] {
        let past = history(&self.school.nord(), &format!("{day} 20:00:00")).unwrap();
        hosts.map(|host| {
            past.iter()
                .filter(|pass| pass.hosts.contains_key(host))
                .count()
        })
    }

    /// Restores that a host was given.
    fn syncs(&self, host: &str) -> usize {
        let commands = self.host(host).wrapped().unwrap();
        commands
            .iter()
            .filter(|command| *command == "sync:1")
            .count()
    }
}

fn is_syncing(host: &Host) -> bool {
    let commands = host.commands().unwrap();
    commands
        .last()
        .is_some_and(|run| run.command.ends_with("sync:1") && run.code.is_none())
}

/// The ledger's entry of a host.
fn entry<'a>(ledger: &'a Run, host: &str) -> &'a Value {
    let rooms = ledger.json["rooms"].as_array().unwrap().iter();
    let mut hosts = rooms.flat_map(|room| room["hosts"].as_array().unwrap());
    hosts.find(|entry| entry["host"] == host).unwrap()
}

/// Hosts count from when they are woken, or restarted, until they are off or somebody's. Of those whose names begin
/// so, so many may be on.
fn check_on(events: &[PowerEvent], circuits: &[(&[&str], usize)]) {
    let mut on = BTreeSet::new();
    for event in events {
        match event.what {
            Power::Is(State::Booting) => on.insert(event.host.as_str()),
            Power::Is(State::Off | State::Os | State::Windows) => on.remove(event.host.as_str()),
            _ => false,
        };
        for (rooms, most) in circuits {
            let is_of = |host: &&&str| rooms.iter().any(|room| host.starts_with(room));
            let count = on.iter().filter(is_of).count();
            assert!(
                count <= *most,
                "{count} of {most} in {rooms:?}: {on:?} at {}",
                event.at
            );
        }
    }
}

fn check_wakes(events: &[PowerEvent]) {
    let packets = events.iter().filter(|event| event.what == Power::Packet);
    let packets: Vec<i64> = packets.map(|event| event.at).collect();
    for (index, first) in packets.iter().enumerate() {
        for (more, last) in (1..).zip(&packets[index + 1..]) {
            // What lies between the right time and the start of the program that sends.
            const SLACK: i64 = 5 * WAKE_MS;
            assert!(
                last - first + SLACK >= more * WAKE_MS,
                "{} packets within {} ms",
                more + 1,
                last - first
            );
        }
    }
}

#[test]
fn two_weeks_of_a_school_end_with_the_right_ledger() {
    let fortnight = Fortnight::begin();
    first_week(&fortnight);
    second_week(&fortnight);
    check_ledger(&fortnight);
    assert_eq!(fortnight.tries([ABSENT, LIES], "2026-12-04"), [4, 6]);
    let power = fortnight.school.lab.power().unwrap();
    check_on(
        &power,
        &[(&["r"], SCHOOL), (&IN_WEST, WEST), (&["r01"], R01)],
    );
    check_wakes(&power);
    fortnight.school.assert_clean();
}

fn first_week(fortnight: &Fortnight) {
    let nord = fortnight.school.nord();
    let monday = "2026-11-23";
    fortnight.host(FAILS).set_fault(Fault::SyncFails).unwrap();
    fortnight.host(ABSENT).set_fault(Fault::Offline).unwrap();
    fortnight.host(WORKED_AT).set_state(State::Os).unwrap();
    fortnight.host(WINDOWS).set_state(State::Windows).unwrap();
    fortnight.host(FLAPS).set_fault(Fault::PowerFails).unwrap();
    fortnight.host(LIES).set_fault(Fault::MountFails).unwrap();
    let foreign = nord.paths.linbocmd().join(format!("{BOOKED}.cmd"));
    fs::write(&foreign, "noauto,start:1").unwrap();
    let session = format!("{IN_SESSION}_linbo-remote");
    let tmux = |arguments: &[&str]| {
        let mut tmux = nord.command(std::path::Path::new("tmux")).unwrap();
        assert!(tmux.args(arguments).status().unwrap().success());
    };
    tmux(&["new-session", "-d", "-s", &session, "sleep 1000"]);
    fortnight.order("suspend room r11 --reason desks --until 2026-11-26", monday);
    fortnight.evening(monday, Moment::Wake);
    for untouched in [WORKED_AT, WINDOWS, BOOKED, IN_SESSION, "r11-pc01"] {
        let packets = fortnight.host(untouched).magic_packets().unwrap();
        assert_eq!((packets, fortnight.syncs(untouched)), (0, 0), "{untouched}");
    }
    tmux(&["kill-session", "-t", &session]);
    fortnight.host(FLAPS).clear_faults().unwrap();
    fortnight.pass(monday, "18:25");
    fortnight.pass(monday, "18:50");
    let ledger = fortnight.ledger(monday);
    for (host, state) in [
        (FAILS, "failed"),
        (ABSENT, "unreachable"),
        (LIES, "failed"),
        (FLAPS, "applied"),
        (IN_SESSION, "applied"),
        (BOOKED, "unknown"),
    ] {
        assert_eq!(entry(&ledger, host)["state"], state, "{host}");
    }
    let hosts = [FAILS, ABSENT, LIES, FLAPS, IN_SESSION, BOOKED];
    assert_eq!(fortnight.tries(hosts, monday), [3, 2, 3, 2, 1, 0]);
    assert!(foreign.exists(), "somebody else's commands were taken away");
    // It is due on Fridays, and none had come before it was there.
    assert_eq!(fortnight.syncs("r12-pc01"), 1);

    fs::remove_file(&foreign).unwrap();
    let wednesday = "2026-11-25";
    let first = fortnight.host("r01-pc01");
    first.set_sync_time(Duration::from_secs(5)).unwrap();
    fortnight.evening(wednesday, Moment::Sync);
    first.set_sync_time(Duration::from_millis(200)).unwrap();
    assert_eq!(fortnight.syncs("r10-pc01"), 1, "in an exam");
    for host in [WORKED_AT, WINDOWS] {
        assert_eq!(fortnight.host(host).magic_packets().unwrap(), 0, "{host}");
        assert_eq!(entry(&fortnight.ledger(wednesday), host)["state"], "in_use");
    }
    // Those who worked late go home; one of them leaves the PC on.
    fortnight.host(WORKED_AT).set_login(Login::Nobody).unwrap();
    fortnight.host(WINDOWS).set_state(State::Off).unwrap();
    fortnight.pass(wednesday, "18:25");
    fortnight.pass(wednesday, "18:50");
    let ledger = fortnight.ledger(wednesday);
    for host in [WORKED_AT, WINDOWS, BOOKED, FLAPS] {
        assert_eq!(entry(&ledger, host)["state"], "applied", "{host}");
    }
    fortnight.pass("2026-11-27", "18:35");
    assert_eq!(fortnight.tries([FAILS, ABSENT, LIES], wednesday), [6, 4, 6]);
}

/// What failed at two occurrences in a row is left alone, until somebody says that it is well again.
fn second_week(fortnight: &Fortnight) {
    let left_alone = [FAILS, ABSENT, LIES];
    let packets = fortnight.host(ABSENT).magic_packets().unwrap();
    let monday = "2026-11-30";
    fortnight.host(FLAPS).set_fault(Fault::PowerFails).unwrap();
    fortnight.evening(monday, Moment::Record);
    fortnight.pass(monday, "18:25");
    fortnight.pass(monday, "18:50");
    assert_eq!(fortnight.tries(left_alone, monday), [6, 4, 6]);
    for host in left_alone {
        assert_eq!(
            fortnight.school.told(&format!("host {host} in")),
            2,
            "{host}"
        );
        let told = format!("nothing more is tried until `reconcile resume host {host}`");
        assert_eq!(fortnight.school.told(&told), 1, "{host}");
    }
    assert_eq!(
        fortnight.school.told("nothing more is tried"),
        1,
        "all in one"
    );
    assert_eq!(fortnight.host(ABSENT).magic_packets().unwrap(), packets);
    fortnight.host(FLAPS).clear_faults().unwrap();
    fortnight.host(FAILS).clear_faults().unwrap();
    let wednesday = "2026-12-02";
    fortnight.order(&format!("resume host {FAILS}"), wednesday);
    fortnight.evening(wednesday, Moment::Half);
    fortnight.pass(wednesday, "18:25");
    fortnight.pass("2026-12-04", "18:35");
    assert_eq!(fortnight.host(ABSENT).magic_packets().unwrap(), packets);
}

fn check_ledger(fortnight: &Fortnight) {
    let ledger = fortnight.ledger("2026-12-04");
    for host in fortnight.school.lab.hosts() {
        let found = entry(&ledger, &host.name);
        let (state, cause, runs) = match host.name.as_str() {
            ABSENT => ("unreachable", "no_answer".into(), "unknown"),
            LIES => ("failed", "not_mountable".into(), "unknown"),
            _ => ("applied", Value::Null, "wanted"),
        };
        assert_eq!(found["state"], state, "{found:#}");
        assert_eq!(found["cause"], cause, "{found:#}");
        assert_eq!(found["runs"], runs, "{found:#}");
        if state == "applied" {
            assert_eq!(found["applied"][0]["version"], "2026.10.1", "{found:#}");
            assert_eq!(found["failures"], 0, "{found:#}");
            let applied = host.applied().unwrap().map(|applied| applied.timestamp);
            assert_eq!(applied, Some(small(1).stamp()), "{}", host.name);
        }
        let odd = [FAILS, ABSENT, WORKED_AT, WINDOWS, FLAPS, LIES, BOOKED];
        let due = match host.name.as_str() {
            // Suspended for a week, and caught up on Friday.
            "r11-pc01" => 3,
            "r12-pc01" => 3,
            name if odd.contains(&name) => continue,
            // Whatever was killed in between, and the exam caught up on Friday.
            _ => 4,
        };
        assert_eq!(
            fortnight.syncs(&host.name),
            due,
            "restores of {}",
            host.name
        );
    }
}

/// A pass that is killed leaves its sessions on the hosts, and the next one counts them.
#[test]
fn linbo_remote_keeps_the_budgets_also_after_a_kill() {
    const MOST: usize = 3;
    let rooms = ["r01", "r02", "r03"].map(|room| Room::new(room, 2));
    let mut school = OneSchool::built(Lab::builder().school("bs-nord", rooms));
    school.settings(
        "",
        "boot_timeout: 6 s, command_timeout: 20 s",
        "driver: linbo-remote, boot_timeout: 100 s, command_timeout: 60 s",
    );
    school.release("2026.10.1", &small(1));
    school.point("2026.10.1", "the first version");
    school.edit(
        "fleet.yaml",
        "on_at_once: 40",
        &format!("on_at_once: {MOST}"),
        "what the school bears",
    );
    let mut running = school.nord().spawn(&[], MONDAY).unwrap();
    let hosts = || school.lab.hosts();
    until("a sync", || {
        hosts().any(|host| is_syncing(&host)) || running.is_over().unwrap()
    });
    assert!(!running.is_over().unwrap(), "{}", running.stdout().unwrap());
    running.kill().unwrap();
    let passes = [
        "2026-11-23 18:06:00",
        "2026-11-23 18:20:00",
        "2026-11-23 18:45:00",
    ];
    for at in passes {
        school.nord().run(&[], at).unwrap();
    }
    assert_eq!(school.applied(), vec![Some(small(1).stamp()); 6]);
    for host in hosts() {
        assert_eq!(host.state().unwrap(), State::Off, "{}", host.name);
    }
    check_on(&school.lab.power().unwrap(), &[(&["r"], MOST)]);
    school.assert_clean();
}
