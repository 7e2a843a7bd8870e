//! Resets that go wrong, with both drivers: what became of each host is told exactly, and every host that was begun is
//! switched off.

use std::{collections::BTreeMap, fs, time::Duration};

use harness::lab::{Fault, Host, Login, Room, State};

use crate::fleet::{Fleet, Run, ask, history, image, last, pass};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Driver {
    Wrapper,
    LinboRemote,
}

impl Driver {
    /// Settings of this driver. `linbo-remote` always waits out the whole `boot_timeout`, a twentieth of it in a lab.
    fn settings(self) -> &'static str {
        match self {
            Self::Wrapper => "driver: wrapper, boot_timeout: 8 s, command_timeout: 25 s",
            Self::LinboRemote => "driver: linbo-remote, boot_timeout: 100 s, command_timeout: 25 s",
        }
    }
}

/// A school whose one room is due on Wednesday at 18:00, with everything but its hosts in place.
pub(crate) fn school(pcs: u8, driver: Driver) -> Fleet {
    let fleet = Fleet::small([Room::new("r101", pcs)], &image()).expect("fleet");
    fleet
        .edit("fleet.yaml", |text| {
            format!("{text}  power: {{ wake_per_minute: 200 }}\n")
        })
        .expect("power");
    fleet
        .commit("a circuit that bears a lot", |_| Ok(()))
        .expect("commit");
    fleet.settings(driver.settings()).expect("settings");
    fleet.settle().expect("settle");
    fleet
}

impl Fleet {
    pub(crate) fn pc(&self, number: usize) -> Host {
        self.lab.host(&format!("r101-pc{number:02}"))
    }
}

/// What a host ran: the restores and halts that it was given.
fn ran(host: &Host) -> Vec<String> {
    host.wrapped().expect("commands")
}

/// Each fault, and what each driver has to make of it.
fn check_all(driver: Driver) {
    use Driver::Wrapper;
    const APPLIED: &str = "applied";
    const NOT_WRITTEN: &str = "failed: the image could not be written to the partition of the host";
    const NOT_MOUNTED: &str = "failed: the image could not be mounted on the host";
    const NOT_LOADED: &str = "failed: the host could not download the image";
    let late = Fault::WakesLate(Duration::from_secs(60));
    #[rustfmt::skip]
    let cases: [(Option<Fault>, &str, &str); 13] = [
        (None, APPLIED, APPLIED),
        (Some(Fault::Offline), "unreachable: it was woken, but LINBO did not answer within 8 seconds", "unreachable: it was woken, but LINBO was not online"),
        (Some(late), "unreachable: it was woken, but LINBO did not answer within 8 seconds", "unreachable: it was woken, but LINBO was not online"),
        (Some(Fault::SyncFails), NOT_WRITTEN, NOT_WRITTEN),
        (Some(Fault::MountFails), NOT_MOUNTED, NOT_MOUNTED),
        (Some(Fault::InUse), "in_use: somebody is logged in", "in_use: somebody is logged in"),
        (Some(Fault::HangsInSync), "unknown: `sync:1` was still running after 25 seconds", "unknown: its session was still there after 25 seconds"),
        (Some(Fault::LinkCut), "unknown: ", "unknown: "),
        (Some(Fault::StatusTorn), APPLIED, APPLIED),
        (Some(Fault::StatusMissing), APPLIED, APPLIED),
        (Some(Fault::LogTruncated), APPLIED, APPLIED),
        (Some(Fault::NoReverseName), APPLIED, APPLIED),
        (Some(Fault::DownloadFails), NOT_LOADED, NOT_LOADED),
    ];
    let fleet = school(13, driver);
    let nord = fleet.nord();
    for (number, (fault, ..)) in (1..).zip(&cases) {
        if let Some(fault) = fault {
            fleet.pc(number).set_fault(fault.clone()).expect("fault");
        }
    }
    let run = pass(&nord, "2026-11-25 18:05:00").expect("pass");
    let hosts = last(&nord, "2026-11-25 18:20:00").expect("history").hosts;
    let mut wrong = Vec::new();
    for (number, (fault, wrapper, remote)) in (1..).zip(&cases) {
        let wanted = if driver == Wrapper { wrapper } else { remote };
        let pc = fleet.pc(number);
        let found = hosts.get(&pc.name).map_or("nothing", String::as_str);
        if !found.starts_with(wanted) || (*wanted == APPLIED && found != APPLIED) {
            wrong.push(format!(
                "{} with {fault:?} is {found:?}, not {wanted:?}",
                pc.name
            ));
        }
        let commands = ran(&pc);
        let begun = !matches!(
            fault,
            Some(Fault::Offline | Fault::WakesLate(_) | Fault::InUse)
        );
        let halts = commands.iter().filter(|command| *command == "halt").count();
        // A host whose link is cut cannot be told anything.
        // One that comes up after it was waited for is switched off, sooner or later.
        let is_late = matches!(fault, Some(Fault::WakesLate(_)));
        if *fault != Some(Fault::LinkCut) && !is_late && (halts == 1) != begun {
            wrong.push(format!("{} with {fault:?} ran {commands:?}", pc.name));
        }
        let power = pc.state().expect("state");
        let wanted = match fault {
            Some(Fault::InUse) => State::Os,
            // Nobody waits for it; the next try finds it on.
            Some(Fault::WakesLate(_) | Fault::LinkCut) => power,
            _ => State::Off,
        };
        if power != wanted {
            wrong.push(format!("{} with {fault:?} is left {power:?}", pc.name));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), run.said);
    assert_eq!(run.exit, 1, "{}", run.said);
    assert_eq!(
        nord.sessions()
            .expect("sessions")
            .iter()
            .filter(|name| name.ends_with("linbo-remote"))
            .count(),
        0
    );
    // Nothing else switches a host off whose sync hangs.
    let overlaps = ["r101-pc07: linbo_wrapper halt while linbo_wrapper sync:1 ran"];
    assert_eq!(fleet.lab.anomalies().expect("anomalies"), overlaps);
}

#[test]
fn the_wrapper_tells_what_became_of_each_host() {
    check_all(Driver::Wrapper);
}

#[test]
fn linbo_remote_tells_what_became_of_each_host() {
    check_all(Driver::LinboRemote);
}

/// Linux that nobody works at is restarted into LINBO; otherwise it is left alone.
#[test]
fn only_a_host_that_nobody_works_at_is_taken() {
    for driver in [Driver::Wrapper, Driver::LinboRemote] {
        let fleet = school(4, driver);
        let nord = fleet.nord();
        let cases = [
            (Login::Nobody, "applied"),
            (Login::Somebody, "in_use: somebody is logged in"),
            (
                Login::Garbage,
                "in_use: its operating system gave no readable answer",
            ),
            (
                Login::Refused,
                "in_use: its operating system refuses root's login",
            ),
        ];
        for (number, (login, _)) in (1..).zip(&cases) {
            fleet.pc(number).set_login(*login).expect("login");
            fleet.pc(number).set_state(State::Os).expect("state");
        }
        let run = pass(&nord, "2026-11-25 18:05:00").expect("pass");
        let hosts = last(&nord, "2026-11-25 18:20:00").expect("history").hosts;
        for (number, (login, wanted)) in (1..).zip(&cases) {
            let pc = fleet.pc(number);
            let found = hosts.get(&pc.name).map_or("nothing", String::as_str);
            assert!(
                found.starts_with(wanted),
                "{login:?}: {found}\n{}",
                run.said
            );
            let is_taken = *login == Login::Nobody;
            let left = if is_taken { State::Off } else { State::Os };
            assert_eq!(pc.state().expect("state"), left, "{login:?}");
            let all: &[&str] = if is_taken {
                &["initcache", "sync:1", "halt"]
            } else {
                &[]
            };
            assert_eq!(ran(&pc), all, "{login:?}");
        }
        assert!(!run.said.contains("mmuster"), "{}", run.said);
    }
}

#[test]
fn a_host_that_comes_up_too_late_is_switched_off() {
    let fleet = school(2, Driver::Wrapper);
    let nord = fleet.nord();
    let patience = "driver: wrapper, boot_timeout: 2 s, command_timeout: 25 s";
    fleet.settings(patience).expect("settings");
    let late = fleet.pc(1);
    late.set_fault(Fault::WakesLate(Duration::from_secs(3)))
        .expect("fault");
    pass(&nord, "2026-11-25 21:25:00").expect("pass");
    let hosts = last(&nord, "2026-11-25 21:26:00").expect("history").hosts;
    let found = hosts.get(&late.name).map_or("nothing", String::as_str);
    assert!(found.starts_with("unreachable: it was woken"), "{found}");
    late.wait_for(State::Linbo, Duration::from_secs(10))
        .expect("it comes up");
    late.wait_for_port(fleet.lab.world().linbo_port)
        .expect("LINBO answers");
    // Another try, which would switch it off as well, would overrun the window.
    let run = pass(&nord, "2026-11-25 21:52:00").expect("pass");
    assert_eq!(ran(&late), ["halt"], "{}", run.said);
    assert_eq!(late.state().expect("state"), State::Off);
}

#[test]
fn a_host_is_tried_again_as_often_as_is_sensible_and_mailed_once() {
    let fleet = school(3, Driver::Wrapper);
    let nord = fleet.nord();
    let (fails, silent) = (fleet.pc(2), fleet.pc(3));
    fails.set_fault(Fault::SyncFails).expect("fault");
    silent.set_fault(Fault::Offline).expect("fault");
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    let before = fleet.mails().expect("mails").len();
    let mut run = None;
    // Tried at once, then after ten minutes and after twenty: three times when it failed, twice when it was silent.
    let passes = [
        ("2026-11-25 18:05:00", [1, 1, 1]),
        ("2026-11-25 18:10:00", [1, 1, 1]),
        ("2026-11-25 18:25:00", [1, 2, 2]),
        ("2026-11-25 18:50:00", [1, 3, 2]),
        ("2026-11-25 19:15:00", [1, 3, 2]),
    ];
    for (at, tries) in passes {
        run = Some(pass(&nord, at).expect("pass"));
        tried.clear();
        let all = history(&nord, at).expect("history");
        for (pc, wanted) in (1..).zip(tries) {
            let name = fleet.pc(pc).name;
            let found = all
                .iter()
                .filter(|past| past.hosts.contains_key(&name))
                .count();
            assert_eq!(found, wanted, "tries of {name} at {at}");
        }
    }
    assert_eq!(ran(&fails), ["initcache", "sync:1", "halt"].repeat(3));
    assert_eq!(ran(&fleet.pc(1)), ["initcache", "sync:1", "halt"]);
    let run: Run = run.expect("a pass");
    let text = run.text("holds") + &run.text("troubles");
    assert!(
        run.exit == 1 && text.contains(&fails.name) && text.contains(&silent.name),
        "{}",
        run.said
    );

    let told = fleet.mails().expect("mails").split_off(before);
    let about = |host: &Host| {
        told.iter()
            .filter(|(_, body)| body.contains(&format!("host {}", host.name)))
            .collect::<Vec<_>>()
    };
    assert_eq!(about(&fails).len(), 1, "{told:?}");
    assert_eq!(about(&silent).len(), 1, "{told:?}");
    assert_eq!(about(&fleet.pc(1)).len(), 0, "{told:?}");
    let body = &about(&fails)[0].1;
    assert!(
        body.contains("in room r101") && body.contains("Cannot mount /dev/sda2!"),
        "no evidence in {body}"
    );

    fails.clear_faults().expect("faults");
    silent.clear_faults().expect("faults");
    let so_far = before + told.len();
    let run = pass(&nord, "2026-11-30 18:05:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    let good = fleet.mails().expect("mails").split_off(so_far);
    let [(subject, body)] = good.as_slice() else {
        panic!("{good:?}")
    };
    assert!(
        subject.contains("good again") && body.contains(&fails.name) && body.contains(&silent.name),
        "{subject}\n{body}"
    );
    assert_eq!(
        fleet.lab.anomalies().expect("anomalies"),
        Vec::<String>::new()
    );
}

#[test]
fn a_session_that_is_there_and_a_stranger_in_the_room_hold_only_themselves() {
    for driver in [Driver::Wrapper, Driver::LinboRemote] {
        let fleet = school(3, driver);
        let nord = fleet.nord();
        // Hosts of another class are nobody's news, unless the state repo names them.
        let listed = driver == Driver::Wrapper;
        if listed {
            let hosts = "hosts: [r101-pc01, r101-pc02, r101-pc03]\n";
            fleet
                .edit("schools/bs-nord/rooms/r101.yaml", |text| {
                    text.to_owned() + hosts
                })
                .expect("edit");
            fleet.commit("these three", |_| Ok(())).expect("commit");
        }
        let devices = nord.paths.devices_csv();
        let text = fs::read_to_string(&devices).expect("devices");
        let changed = text.replace("r101;r101-pc03;ubuntu-lab;", "r101;r101-pc03;teachers;");
        assert_ne!(text, changed);
        fs::write(&devices, changed).expect("devices");
        let session = "r101-pc02_linbo-remote";
        nord.call("tmux", &["new-session", "-d", "-s", session, "sleep 500"])
            .expect("tmux")
            .success()
            .expect("session");

        let run = pass(&nord, "2026-11-25 18:05:00").expect("pass");
        let hosts = last(&nord, "2026-11-25 18:10:00").expect("history").hosts;
        assert_eq!(
            hosts,
            BTreeMap::from([("r101-pc01".to_owned(), "applied".to_owned())]),
            "{}",
            run.said
        );
        let holds = run.text("holds") + &run.text("troubles");
        assert!(holds.contains("r101-pc02"), "{holds}");
        let stranger = "r101-pc03 has hardware class teachers, the room has ubuntu-lab";
        assert_eq!(holds.contains(stranger), listed, "{holds}");
        for pc in [2, 3] {
            assert_eq!(fleet.pc(pc).magic_packets().expect("packets"), 0);
        }
        nord.call("tmux", &["kill-session", "-t", session])
            .expect("tmux")
            .success()
            .expect("session");
        pass(&nord, "2026-11-25 18:20:00").expect("pass");
        let status = ask(&nord, &["status"], "2026-11-25 18:30:00").expect("status");
        assert!(
            !status.text("holds").contains("r101-pc02"),
            "{}",
            status.said
        );
        assert_eq!(ran(&fleet.pc(2)).last().map(String::as_str), Some("halt"));
        assert!(fleet.pc(2).applied().expect("applied").is_some());

        // linbo-remote could be given the room as a whole now, and would take the stranger along.
        let run = pass(&nord, "2026-11-30 18:05:00").expect("pass");
        let restores = |pc| {
            ran(&fleet.pc(pc))
                .iter()
                .filter(|command| *command == "sync:1")
                .count()
        };
        assert_eq!(
            [restores(1), restores(2), restores(3)],
            [2, 2, 0],
            "{}",
            run.said
        );
        assert_eq!(fleet.pc(3).magic_packets().expect("packets"), 0);
        assert_eq!(
            fleet.lab.anomalies().expect("anomalies"),
            Vec::<String>::new()
        );
    }
}
