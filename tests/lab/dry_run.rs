//! What a dry run says and leaves alone, and the exit codes.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use harness::lab::{Fault, State, TransferFault, changes, snapshot};
use serde_json::Value;

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says, small, until};

/// Runs a dry run and asserts that nothing in the whole world changed but the clone and the cache.
#[track_caller]
fn assert_changes_nothing(school: &OneSchool, at: &str, status: i32) {
    let root = &school.lab.world().root;
    let state = "bs-nord/var/lib/linuxmuster-reconciler";
    let clone = format!("{state}/state.git");
    let digests = format!("{state}/digests.json");
    // The clock and the outputs are the lab's own; tmux's client makes its empty socket folder.
    let lock = format!("{clone}.lock");
    let without = [
        "now",
        "out",
        "log",
        "bs-nord/run/tmux",
        &clone,
        &lock,
        &digests,
    ];
    let before = snapshot(root, &without).unwrap();
    for output in ["text", "json", "markdown"] {
        school.run(&["--dry-run", "--output", output], at, status);
    }
    let after = snapshot(root, &without).unwrap();
    let mut changes = changes(&before, &after);
    // What was put into it is left out above.
    changes.retain(|change| {
        !change.starts_with(&format!("~ {state}: ")) && change != &format!("+ {state}")
    });
    assert_eq!(changes, Vec::<String>::new());
}

#[test]
fn a_dry_run_changes_nothing_whatever_the_state() {
    let mut school = OneSchool::ready(2);
    let nord = school.nord();
    assert_changes_nothing(&school, MONDAY, 0);

    let central = school.lab.central();
    central
        .rsync
        .set_fault(TransferFault::CutAfter(1_000_000))
        .unwrap();
    school.pass(MONDAY, 1);
    central.rsync.set_fault(TransferFault::None).unwrap();
    assert!(
        bytes_in(&nord.paths.store().join("partial")) > 0,
        "nothing was kept"
    );
    assert_changes_nothing(&school, MONDAY, 0);

    let session = [
        "new-session",
        "-d",
        "-s",
        "r101-pc01_linbo-remote",
        "sleep 120",
    ];
    let tmux = |arguments: &[&str]| {
        let mut tmux = nord.command(Path::new("tmux")).unwrap();
        // A sleep of faked time may end at once.
        let status = tmux
            .env_remove("LD_PRELOAD")
            .args(arguments)
            .status()
            .unwrap();
        assert!(status.success(), "tmux {arguments:?}");
    };
    tmux(&session);
    assert_changes_nothing(&school, MONDAY, 0);
    tmux(&["kill-session", "-t", "=r101-pc01_linbo-remote"]);

    school.pass("2026-11-23 18:12:00", 0);
    assert_changes_nothing(&school, "2026-11-23 18:20:00", 0);
    school.release("2026.11.1", &small(2));
    school.point("2026.11.1", "the next version");
    assert_changes_nothing(&school, WEDNESDAY, 0);

    fs::write(
        nord.paths.linbo().join("start.conf.ubuntu-lab"),
        "[LINBO]\n# by hand\n",
    )
    .unwrap();
    fs::remove_file(nord.paths.images().join("ubuntu/ubuntu.qdiff.torrent")).unwrap();
    let journal = nord.paths.state().join("journal.jsonl");
    let torn = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, &torn[..torn.len() - 7]).unwrap();
    school.run(&["--dry-run"], WEDNESDAY, 0);
    assert_changes_nothing(&school, WEDNESDAY, 0);
}

fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| file.metadata().ok())
        .map(|found| found.len())
        .sum()
}

fn json(school: &OneSchool, arguments: &[&str], at: &str) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let output = school.run(&arguments, at, 0);
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", output.stdout))
}

/// The titles of steps by their ids.
fn steps(document: &Value) -> BTreeMap<String, Value> {
    let steps = document["steps"].as_array().unwrap().iter();
    steps
        .map(|step| (step["id"].as_str().unwrap().to_owned(), step.clone()))
        .collect()
}

/// What a dry run says is what the next pass at the same time does.
#[track_caller]
fn assert_keeps_its_word(school: &OneSchool, at: &str, count: usize) {
    let planned = json(school, &["--dry-run"], at);
    school.pass(at, 0);
    let history = json(school, &["history", "--all", "--limit", "1"], at);
    let passes = history["passes"].as_array().unwrap();
    let (done, planned) = (by_room(steps(&passes[0])), by_room(steps(&planned)));
    let ids = |steps: &BTreeMap<String, Value>| steps.keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&planned), ids(&done), "at {at}");
    assert_eq!(planned.len(), count, "at {at}: {planned:#?}");
    for (id, step) in &done {
        assert_eq!(step["result"], "done", "{id}");
        let round = |id: &str| planned[id]["round"].as_u64().unwrap();
        for (other, earlier) in &done {
            let ended = |step: &Value| step["began"].as_str().unwrap().to_owned();
            if round(other) < round(id) {
                assert!(
                    ended(earlier) <= ended(step),
                    "{other} of an earlier round began after {id}"
                );
            }
        }
    }
}

/// A new version is due since its activation, which a dry run cannot know to the second.
fn by_room(steps: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let without_time = |id: String| match id.strip_prefix("reset/") {
        Some(reset) => format!("reset {}", reset.split('/').next().unwrap()),
        None => id,
    };
    let steps = steps.into_iter();
    steps.map(|(id, step)| (without_time(id), step)).collect()
}

#[test]
fn a_pass_does_what_the_dry_run_said() {
    let mut school = OneSchool::ready(2);
    assert_keeps_its_word(&school, MONDAY, 7);
    assert_keeps_its_word(&school, "2026-11-23 18:20:00", 0);
    school.release("2026.11.1", &small(2));
    school.point("2026.11.1", "the next version");
    assert_keeps_its_word(&school, "2026-11-24 18:05:00", 5);
    assert_keeps_its_word(&school, WEDNESDAY, 1);
    school.edit(
        "hardware-classes/ubuntu-lab.yaml",
        "Ubuntu 24.04",
        "Ubuntu",
        "a shorter name",
    );
    fs::remove_file(
        school
            .nord()
            .paths
            .images()
            .join("ubuntu/ubuntu.qcow2.torrent"),
    )
    .unwrap();
    assert_keeps_its_word(&school, "2026-11-26 18:05:00", 3);
    school.assert_clean();
}

#[test]
fn a_dry_run_can_be_asked_about_another_time() {
    let school = OneSchool::ready(2);
    school.pass(MONDAY, 0);
    let asked = ["--dry-run", "--detailed-exitcode"];
    let output = school.run(&asked, "2026-11-23 18:20:00", 0);
    says(
        &output,
        &["Nothing to do: the server is as the state repo says."],
    );
    let asked = [
        "--dry-run",
        "--detailed-exitcode",
        "--at",
        "2026-11-25 18:05",
    ];
    let output = school.run(&asked, "2026-11-23 18:20:00", 2);
    says(&output, &["Wed 25 Nov 18:05", "r101", "2 hosts to reset"]);
    let asked = [
        "--dry-run",
        "--at",
        "2026-11-25T17:05:00Z",
        "--output",
        "markdown",
    ];
    let output = school.run(&asked, "2026-11-23 18:20:00", 0);
    says(&output, &["### bs-nord at `", "| ↻ | room r101 |"]);
    let output = school.run(
        &["--dry-run", "--at", "tomorrow"],
        "2026-11-23 18:20:00",
        64,
    );
    says(
        &output,
        &["'tomorrow'", "write `2026-11-23 18:05` for local time"],
    );
}

#[test]
fn wrong_usage_is_64() {
    let school = OneSchool::fresh(1);
    for arguments in [
        &["--bogus"][..],
        &["--at", "2026-11-25 18:05"],
        &["--detailed-exitcode"],
        &["--output", "yaml"],
        &["apply"],
    ] {
        let output = school.run(arguments, MONDAY, 64);
        assert!(output.stdout.is_empty(), "{}", output.stdout);
        says(&output, &["error: "]);
    }
    let output = school.run(&["--help"], MONDAY, 0);
    says(&output, &["Exit codes:", "75  another pass is running"]);
}

#[test]
fn a_second_pass_is_refused_by_the_name_of_the_first_but_may_look() {
    let school = OneSchool::ready(1);
    let host = school.lab.hosts().next().unwrap();
    host.set_fault(Fault::HangsInSync).unwrap();
    let running = school.nord().spawn(&[], MONDAY).unwrap();
    until("a sync", || !host.wrapped().unwrap().is_empty());
    let output = school.nord().run_now(&[]).unwrap();
    assert_eq!(output.status, 75, "{}{}", output.stderr, output.stdout);
    says(
        &output,
        &[
            "another pass is running: process",
            &running.id().to_string(),
            "since 2026-11-23",
        ],
    );
    let output = school.nord().run_now(&["--dry-run"]).unwrap();
    assert_eq!(output.status, 0, "{}{}", output.stderr, output.stdout);
    says(&output, &["r101"]);
    host.clear_faults().unwrap();
    let output = running.wait(Duration::from_secs(100)).unwrap();
    assert_eq!(output.status, 0, "{}{}", output.stderr, output.stdout);
    host.wait_for(State::Off, Duration::from_secs(30)).unwrap();
}
