#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::time::Instant;

use super::*;

fn shell(script: &str) -> Program {
    Program::new("shell", "/bin/sh").args(["-c", script])
}

/// Looks until it is so, for a minute at most.
async fn becomes(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_exit_code_and_what_was_said_are_told() {
    let finished = shell("echo out; echo err >&2; exit 3").run().await.unwrap();
    assert_eq!(
        (finished.code, finished.signal, finished.timed_out),
        (Some(3), None, false)
    );
    assert_eq!(finished.stdout, b"out\n");
    assert!(finished.stdout_is_whole && !finished.is_success());
    let mut lines = finished.last_lines(5);
    lines.sort();
    assert_eq!(lines, ["err", "out"]);
    assert_eq!(finished.how(), "ended with exit code 3");

    let finished = shell("kill -9 $$").run().await.unwrap();
    assert_eq!((finished.code, finished.signal), (None, Some(9)));
    assert_eq!(finished.how(), "was ended by signal 9");
}

#[tokio::test]
async fn each_line_is_handed_over_also_those_that_a_terminal_would_overwrite() {
    let mut heard = Vec::new();
    let program = shell(r"printf '1%%\r2%%\r\n'; printf done");
    let finished = program
        .run_heard(&mut |line| heard.push(line.to_owned()))
        .await
        .unwrap();
    assert!(finished.is_success());
    assert_eq!(heard, ["1%", "2%", "done"]);
}

#[tokio::test]
async fn a_program_sees_a_clean_environment_and_no_input() {
    let finished = shell("cat; env").env("EXTRA", "1").run().await.unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    for wanted in ["LC_ALL=C.UTF-8", "LANG=C.UTF-8", "EXTRA=1", "PATH="] {
        assert!(
            text.lines().any(|line| line.starts_with(wanted)),
            "{wanted} in {text}"
        );
    }
    // Cargo sets this for every test.
    assert!(!text.contains("CARGO_MANIFEST_DIR"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_started_names_the_program_and_its_setting() {
    let error = Program::new("rsync", "/nowhere/rsync")
        .run()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the program /nowhere/rsync was not found; install it, or say where it is with the setting commands.rsync"
    );
    let error = Program::new("tmux", "/etc/passwd").run().await.unwrap_err();
    assert!(
        matches!(
            error,
            ProcessError::NotExecutable {
                setting: "tmux",
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_deadline_ends_the_whole_group_even_what_ignores_being_asked() {
    let begun = Instant::now();
    let script =
        "trap '' TERM; (trap '' TERM; sleep 100 & wait; sleep 100) & echo up; sleep 100; sleep 100";
    let mut attached = shell(script)
        .deadline(Duration::from_secs(1))
        .start()
        .unwrap();
    let group = attached.group();
    let finished = attached.finished(&mut |_| ()).await.unwrap();
    assert!(finished.timed_out && !finished.is_success());
    assert_eq!(finished.stdout, b"up\n");
    assert!(!group.is_alive());
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(60),
        "{took:?}"
    );
}

#[tokio::test]
async fn what_a_killed_program_leaves_behind_is_ended_too() {
    let mut attached = shell("sleep 100 & kill -9 $$").start().unwrap();
    let finished = attached.finished(&mut |_| ()).await.unwrap();
    assert_eq!(finished.signal, Some(9));
    assert!(!attached.group().is_alive());
}

#[tokio::test]
async fn dropping_a_program_ends_it_and_what_it_started() {
    let attached = shell("sleep 100 & sleep 100").start().unwrap();
    let group = attached.group();
    assert!(group.is_alive());
    drop(attached);
    becomes("the group ends", || !group.is_alive()).await;
}

#[test]
fn a_runtime_that_ends_leaves_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (group, attached) = runtime.block_on(async {
        let ignoring = shell("trap '' TERM; echo up; sleep 100; sleep 100");
        let mut attached = ignoring.start().unwrap();
        let up = Cell::new(false);
        let mut hear = |_: &str| up.set(true);
        tokio::select! {
            finished = attached.finished(&mut hear) => unreachable!("{finished:?}"),
            () = becomes("it is up", || up.get()) => {}
        }
        (attached.group(), attached)
    });
    let entered = runtime.enter();
    drop(attached);
    drop(entered);
    assert!(group.is_alive(), "it ignores being asked");
    drop(runtime);
    let begun = Instant::now();
    while group.is_alive() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_stopped_program_tells_how_it_ended() {
    let mut attached = shell("sleep 100").start().unwrap();
    let finished = attached.stop().await.unwrap();
    assert_eq!(finished.signal, Some(15));
}

#[tokio::test]
async fn output_that_is_held_open_by_something_left_behind_is_not_waited_for() {
    let begun = Instant::now();
    let mut attached = shell("sleep 100 & echo done").start().unwrap();
    let finished = attached.finished(&mut |_| ()).await.unwrap();
    assert!(finished.is_success() && finished.stdout == b"done\n");
    assert!(begun.elapsed() < Duration::from_secs(60));
    attached.group().end().await;
}

#[tokio::test]
async fn a_detached_program_outlives_its_value_and_its_lock_lasts_as_long_as_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("output");
    assert!(!is_locked(&path).unwrap());
    let output = locked_output(&path).unwrap().unwrap();
    let detached = shell("echo said; sleep 100")
        .start_detached(output)
        .unwrap();
    let group = detached.group();
    drop(detached);
    becomes("it says something", || {
        std::fs::read(&path).unwrap() == b"said\n"
    })
    .await;
    assert!(group.is_alive() && is_locked(&path).unwrap());
    assert!(locked_output(&path).unwrap().is_none());
    group.end().await;
    becomes("the lock is gone", || !is_locked(&path).unwrap()).await;
    assert!(locked_output(&path).unwrap().is_some());
    assert_eq!(std::fs::read(&path).unwrap(), b"");
}

#[tokio::test]
async fn the_end_of_a_detached_program_can_be_waited_for() {
    let output = tempfile::tempfile().unwrap();
    let mut detached = shell("exit 4").start_detached(output).unwrap();
    assert_eq!(detached.wait().await.unwrap().code, Some(4));
}
