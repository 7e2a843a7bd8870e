//! The program is ended at any moment, and the next passes bring everything to the same end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use harness::lab::{Content, Fault, Running, State, run_tool, snapshot};
use rustix::process::{Pid, Signal, kill_process};

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says, small, until};

/// The passes that are ended, and those that come after them.
const KILLED: [&str; 3] = [MONDAY, "2026-11-23 18:20:00", "2026-11-23 18:35:00"];
const AFTER: [&str; 5] = [
    "2026-11-23 18:50:00",
    "2026-11-23 19:05:00",
    "2026-11-23 19:20:00",
    "2026-11-23 19:35:00",
    "2026-11-23 19:50:00",
];
const NOTHING: &str = "Nothing to do: the server is as the state repo says.";

/// Whom the kill hits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The process alone, as systemd does it with `KillMode=process`.
    Alone,
    /// All of its process group.
    Group,
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// All that matters at the end.
#[derive(Debug)]
struct End {
    files: BTreeMap<PathBuf, Option<String>>,
    state: Vec<PathBuf>,
    applied: Vec<Option<String>>,
}

fn files(root: &Path) -> BTreeMap<PathBuf, Option<String>> {
    let found = snapshot(root, &[]).unwrap().into_iter();
    found.map(|(path, entry)| (path, entry.sha256)).collect()
}

impl End {
    #[track_caller]
    fn assert_is(self, wanted: &Self, what: &str) {
        let left = |path: &PathBuf| self.files.get(path) != wanted.files.get(path);
        let differ: Vec<_> = self
            .files
            .keys()
            .chain(wanted.files.keys())
            .filter(|path| left(path))
            .collect();
        assert_eq!(differ, Vec::<&PathBuf>::new(), "{what}");
        assert_eq!(self.state, wanted.state, "{what}");
        assert_eq!(self.applied, wanted.applied, "{what}");
    }

    fn of(school: &OneSchool) -> Self {
        let paths = school.nord().paths;
        let state = fs::read_dir(paths.state()).unwrap();
        let mut state: Vec<PathBuf> = state
            .map(|entry| entry.unwrap().file_name().into())
            .collect();
        state.sort();
        Self {
            files: files(&paths.root.join("srv")),
            state,
            applied: school.applied(),
        }
    }
}

/// Command lines of what still works for the school: all but seeders and their tmux.
fn at_work(school: &OneSchool) -> Vec<String> {
    let root = school.nord().paths.root.display().to_string() + "/";
    let all = fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines
        .filter(|line| {
            line.contains(&root) && !line.contains("aria2c") && !line.starts_with("tmux")
        })
        .collect()
}

/// Waits until what outlived the pass is done, as it is a quarter of an hour later.
#[track_caller]
pub(crate) fn settle(school: &OneSchool) {
    until("an end of all work", || {
        let busy = school.lab.hosts().any(|host| {
            let running = fs::read_dir(host.dir.join("running"))
                .unwrap()
                .next()
                .is_some();
            running || host.state().unwrap() == State::Booting
        });
        !busy && at_work(school).is_empty()
    });
}

/// A school with its fresh state kept beside it.
fn scripted(pcs: u8, driver: &str) -> (OneSchool, PathBuf) {
    let school = OneSchool::ready(pcs);
    school.settings("", "reset: {", &format!("reset: {{ driver: {driver},"));
    let fresh = school.lab.world().root.join("fresh");
    copy(&school.nord().paths.root, &fresh);
    (school, fresh)
}

fn copy(from: &Path, to: &Path) {
    let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
    run_tool("cp", &["-a", &from, &to], Path::new("/")).unwrap();
}

/// Puts the school back to its beginning.
fn restore(school: &OneSchool, fresh: &Path) {
    let nord = school.nord();
    let mut tmux = nord.command(Path::new("tmux")).unwrap();
    tmux.arg("kill-server").output().unwrap();
    settle(school);
    until("an empty folder", || {
        fs::remove_dir_all(&nord.paths.root).is_ok()
    });
    copy(fresh, &nord.paths.root);
    for host in school.lab.hosts() {
        host.set_state(State::Off).unwrap();
        for name in ["applied.json", "commands.log", "anomalies"] {
            fs::remove_file(host.dir.join(name)).ok();
        }
        fs::remove_dir_all(host.dir.join("cache")).unwrap();
        fs::create_dir(host.dir.join("cache")).unwrap();
    }
}

fn records(school: &OneSchool) -> u64 {
    let text = fs::read(school.nord().paths.state().join("journal.jsonl")).unwrap_or_default();
    text.iter()
        .filter(|byte| **byte == b'\n')
        .count()
        .try_into()
        .unwrap()
}

/// Ends the process and gives whether it still ran.
fn end(running: &mut Running, victim: Victim) -> bool {
    let ran = !running.is_over().unwrap();
    if ran && victim == Victim::Alone {
        let pid = Pid::from_raw(running.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        until("its end", || running.is_over().unwrap());
    }
    running.kill().unwrap();
    ran
}

/// Runs passes until there is nothing left to do; gives how many it took.
#[track_caller]
fn converge(school: &OneSchool, what: &str) -> usize {
    let mut said = String::new();
    for (index, at) in AFTER.into_iter().enumerate() {
        let output = school.nord().run(&[], at).unwrap();
        if output.status == 0 && output.stdout.contains(NOTHING) {
            return index + 1;
        }
        said += &format!(
            "--- {at}: {}\n{}{}",
            output.status, output.stderr, output.stdout
        );
        settle(school);
    }
    panic!("{what} did not converge\n{said}");
}

/// Kills up to three passes in a row at random moments until so many were killed; each time the end is that of a pass
/// that nobody disturbed.
fn killed_at_random(mut dice: Dice, driver: &str, victim: Victim, wanted_kills: usize) {
    let (school, fresh) = scripted(2, driver);
    let undisturbed = school.pass(MONDAY, 0);
    let length = records(&school);
    says(&undisturbed, &["2 hosts applied"]);
    converge(&school, "the undisturbed school");
    let wanted = End::of(&school);
    assert!(
        wanted
            .applied
            .iter()
            .all(|stamp| *stamp == Some(small(1).stamp())),
        "{wanted:?}"
    );
    let mut kills = 0;
    for cycle in 0.. {
        if kills >= wanted_kills {
            break;
        }
        assert!(cycle < wanted_kills, "only {kills} passes were killed");
        restore(&school, &fresh);
        let mut moments = Vec::new();
        for at in KILLED {
            // A pass after one that got far has less to do.
            let left = length.saturating_sub(records(&school)).max(3);
            let (record, late) = (dice.below(left), dice.below(250));
            let begin = records(&school);
            let mut running = school.nord().spawn(&[], at).unwrap();
            until("a record", || {
                records(&school) >= begin + record || running.is_over().unwrap()
            });
            thread::sleep(Duration::from_millis(late));
            let ran = end(&mut running, victim);
            kills += usize::from(ran);
            moments.push(format!(
                "{at}: record {record} and {late} ms, {}",
                if ran { "killed" } else { "was over" }
            ));
            settle(&school);
        }
        let what = format!("cycle {cycle} ({moments:#?})");
        converge(&school, &what);
        End::of(&school).assert_is(&wanted, &what);
        assert_eq!(
            school.lab.anomalies().unwrap(),
            Vec::<String>::new(),
            "{what}"
        );
        school.run(
            &["history", "--all", "--output", "json"],
            "2026-11-23 20:00:00",
            0,
        );
    }
}

#[test]
fn killed_alone_with_the_wrapper() {
    killed_at_random(Dice(11), "wrapper", Victim::Alone, 14);
}

#[test]
fn killed_with_its_children_with_the_wrapper() {
    killed_at_random(Dice(22), "wrapper", Victim::Group, 11);
}

#[test]
fn killed_alone_with_linbo_remote() {
    killed_at_random(Dice(33), "linbo-remote", Victim::Alone, 14);
}

#[test]
fn killed_with_its_children_with_linbo_remote() {
    killed_at_random(Dice(44), "linbo-remote", Victim::Group, 11);
}

#[test]
fn terminated_in_mid_download_it_ends_and_goes_on_where_it_was() {
    let mut school = OneSchool::fresh(1);
    school.release("2026.10.1", &Content::base(1).base_size(8));
    school.point("2026.10.1", "the first version");
    let rsync = school.lab.central().rsync;
    rsync.set_rate(500_000);
    let running = school.nord().spawn(&[], "2026-11-28 18:05:00").unwrap();
    let arrived = || {
        let parts = snapshot(&school.nord().paths.store().join("partial"), &[]).unwrap_or_default();
        parts.values().map(|entry| entry.size).sum::<u64>()
    };
    until("a quarter of the image", || arrived() > 2 << 20);
    running.signal(Signal::TERM).unwrap();
    let output = running.wait(Duration::from_secs(60)).unwrap();
    says(&output, &["stopped before its end"]);
    assert_eq!(output.status, 0, "{}{}", output.stderr, output.stdout);
    rsync.set_rate(0);
    settle(&school);
    let (before, kept) = (rsync.sent(), arrived());
    assert!(kept > 1 << 20, "only {kept} bytes were kept");
    let output = school.pass("2026-11-28 18:20:00", 0);
    says(&output, &["activate 2026.10.1: done"]);
    let again = rsync.sent() - before;
    assert!(
        again < (9 << 20) - kept,
        "{again} bytes came after {kept} were there"
    );
    school.assert_clean();
}

#[test]
fn terminated_in_mid_reset_it_ends_and_the_host_is_left_in_peace() {
    let school = OneSchool::ready(1);
    let host = school.lab.hosts().next().unwrap();
    host.set_sync_time(Duration::from_secs(3)).unwrap();
    let running = school.nord().spawn(&[], MONDAY).unwrap();
    let synced = || {
        let commands = host.wrapped().unwrap();
        commands
            .iter()
            .filter(|command| *command == "sync:1")
            .count()
    };
    until("a sync", || synced() > 0);
    let pid = Pid::from_raw(running.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = running.wait(Duration::from_secs(60)).unwrap();
    says(&output, &["stopped before its end"]);
    settle(&school);
    school.pass("2026-11-23 18:20:00", 0);
    assert_eq!(synced(), 1, "it was synced again");
    assert_eq!(school.applied(), [Some(small(1).stamp())]);
    school.assert_clean();
}

/// LINBO reports an image as applied that it could not mount. When the pass was killed nobody heard that, and the
/// report lies there.
#[test]
fn a_report_that_lies_is_not_believed_by_the_pass_after_a_kill() {
    for (driver, victim) in [
        ("wrapper", Victim::Alone),
        ("wrapper", Victim::Group),
        ("linbo-remote", Victim::Alone),
    ] {
        let (school, _) = scripted(1, driver);
        let host = school.lab.hosts().next().unwrap();
        host.set_sync_time(Duration::from_secs(2)).unwrap();
        host.set_fault(Fault::MountFails).unwrap();
        let mut running = school.nord().spawn(&[], MONDAY).unwrap();
        let log = match driver {
            "wrapper" => school.nord().paths.root.join("run/hosts/r101-pc01.log"),
            _ => school
                .nord()
                .paths
                .linbo_log()
                .join("r101-pc01.linbo-remote"),
        };
        until("a mount that fails", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            log.contains("Mounting /dev/nbd0 failed!")
        });
        assert!(end(&mut running, victim), "{driver}: it was over");
        let status = school.nord().paths.linbo_log();
        let status = status.join("r101-pc01_image.status");
        until("a report", || {
            fs::read_to_string(&status).is_ok_and(|text| text.contains("applied"))
        });
        settle(&school);
        // The pass may have heard of the failure just before it was killed.
        let asked = &["status", "--hosts"];
        let output = school.nord().run(asked, "2026-11-23 18:10:00").unwrap();
        says(&output, &["0 as wanted"]);
        assert!(!output.stdout.contains("1 applied"), "{}", output.stdout);
        host.clear_faults().unwrap();
        let output = school.pass("2026-11-23 18:20:00", 0);
        says(&output, &["r101-pc01 applied"]);
        says(&school.pass("2026-11-23 18:30:00", 0), &[NOTHING]);
        school.assert_clean();
    }
}

#[test]
fn a_journal_cut_at_any_byte_is_read_as_far_as_it_goes() {
    let school = OneSchool::ready(2);
    school.pass(MONDAY, 0);
    let end = End::of(&school);
    let journal = school.nord().paths.state().join("journal.jsonl");
    let whole = fs::read(&journal).unwrap();
    let mut dice = Dice(55);
    for round in 0..6 {
        let cut = usize::try_from(dice.below(whole.len() as u64)).unwrap();
        fs::write(&journal, &whole[..cut]).unwrap();
        let output = school.pass(&format!("2026-11-23 18:2{round}:00"), 0);
        says(&output, &[NOTHING]);
        if cut > 0 && whole[cut - 1] != b'\n' && whole[cut] != b'\n' {
            says(
                &output,
                &["the last line was cut off in the middle and does not count"],
            );
        }
        End::of(&school).assert_is(&end, &format!("cut at byte {cut}"));
    }
}

#[test]
fn whatever_lies_in_the_state_folder_is_set_aside_and_made_anew() {
    let school = OneSchool::ready(2);
    school.pass(MONDAY, 0);
    let state = school.nord().paths.state();
    let run = school.nord().paths.run();
    let aside = |name: &str| {
        let names = fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names
            .filter(|found| {
                found
                    .to_string_lossy()
                    .starts_with(&format!("{name}.corrupt-"))
            })
            .count()
    };
    let no_state = |end| End {
        state: Vec::new(),
        ..end
    };
    let end = no_state(End::of(&school));
    for (minute, name, garbage) in [
        (10, "digests.json", &b"{\"format"[..]),
        (11, "digests.json", b"\0\xff\0"),
        (
            12,
            "status.json",
            b"{\"format_version\": \"1.0\", \"server\"",
        ),
        (13, "status.json", b""),
        (14, "journal.jsonl", b"\0\0\0\0\n"),
    ] {
        fs::write(state.join(name), garbage).unwrap();
        let output = school.pass(&format!("2026-11-23 18:{minute}:00"), 0);
        says(&output, &[NOTHING]);
        if name != "status.json" {
            says(&output, &[name]);
            assert!(aside(name) > 0, "{name} was not set aside");
        }
        no_state(End::of(&school)).assert_is(&end, name);
        says(
            &school.run(&["status"], &format!("2026-11-23 18:{minute}:30"), 0),
            &["bs-nord: ready since"],
        );
    }
    fs::write(state.join("state.git/HEAD"), "nonsense").unwrap();
    fs::remove_dir_all(state.join("state.git/objects")).unwrap();
    let output = school.pass("2026-11-23 18:20:00", 0);
    says(
        &output,
        &["the clone of the state repo was damaged", NOTHING],
    );
    for left in [&b"999999 2026-11-23T17:00:00Z\n"[..], b"1", b"\xff\xff"] {
        fs::write(run.join("lock"), left).unwrap();
        says(&school.pass("2026-11-23 18:30:00", 0), &[NOTHING]);
    }
    school.pass(WEDNESDAY, 0);
    school.assert_clean();
}
