//! The ledger of a school whose hosts fare differently: `status --hosts` and `explain`.

use harness::lab::{Fault, changes, snapshot};
use serde_json::Value;

use crate::fleet::{ask, pass};
use crate::resets::{Driver, school};

fn host<'a>(run: &'a Value, name: &str) -> &'a Value {
    let rooms = run["rooms"].as_array().into_iter().flatten();
    let mut hosts = rooms.flat_map(|room| room["hosts"].as_array().into_iter().flatten());
    hosts.find(|host| host["host"] == name).unwrap()
}

#[test]
fn what_became_of_each_host_can_be_asked_and_explained() {
    let fleet = school(4, Driver::Wrapper);
    let nord = fleet.nord();
    let names = [1, 2, 3, 4].map(|number| fleet.pc(number).name);
    let [good, full, silent, in_use] = names.each_ref().map(String::as_str);
    fleet.pc(2).set_fault(Fault::CacheFull).unwrap();
    fleet.pc(3).set_fault(Fault::Offline).unwrap();
    fleet.pc(4).set_fault(Fault::InUse).unwrap();
    let run = pass(&nord, "2026-11-25 18:05:00").unwrap();
    assert_eq!(run.exit, 1, "{}", run.said);

    let state = &nord.paths.root;
    // A look fetches the state repo and remembers digests.
    let kept = "var/lib/linuxmuster-reconciler";
    let left_out =
        ["state.git", "state.git.lock", "digests.json"].map(|name| format!("{kept}/{name}"));
    let left_out = left_out.each_ref().map(String::as_str);
    let before = snapshot(state, &left_out).unwrap();
    let run = ask(&nord, &["status", "--hosts"], "2026-11-25 18:12:00").unwrap();
    // One host failed.
    assert_eq!(run.exit, 1, "{}", run.said);
    for (name, state, cause, runs) in [
        (good, "applied", Value::Null, "wanted"),
        (full, "failed", "cache_full".into(), "unknown"),
        (silent, "unreachable", "no_answer".into(), "unknown"),
        (in_use, "in_use", Value::Null, "unknown"),
    ] {
        let found = host(&run.json, name);
        assert_eq!(found["state"], state, "{found}");
        assert_eq!(found["cause"], cause, "{found}");
        assert_eq!(found["runs"], runs, "{found}");
        assert_eq!(found["last"]["room"], "r101", "{found}");
        assert_eq!(found["last"]["due"], "2026-11-25T17:00:00Z", "{found}");
    }
    assert_eq!(host(&run.json, good)["applied"][0]["version"], "2026.10.1");
    assert_eq!(host(&run.json, full)["failures"], 1);
    assert_eq!(run.json["counts"]["as_wanted"], 1);

    let text = nord
        .run(&["status", "--room", "r101"], "2026-11-25 18:12:00")
        .unwrap();
    let row = text
        .stdout
        .lines()
        .find(|line| line.contains(full))
        .unwrap();
    assert!(
        row.contains("failed") && row.contains("the cache partition of the host is full"),
        "{row}"
    );
    let text = nord
        .run(&["explain", "host", full], "2026-11-25 18:12:00")
        .unwrap();
    for line in [
        "the cache partition of the host is full",
        "or make the cache partition larger",
        "cause: No space left on device",
        &format!("tried in vain: {full}"),
    ] {
        assert!(text.stdout.contains(line), "{line} in\n{}", text.stdout);
    }
    // When it is due again, it would be reset.
    let arguments = ["explain", "host", good, "--at", "2026-11-30 18:01"];
    let run = ask(&nord, &arguments, "2026-11-25 18:12:00").unwrap();
    assert_eq!(run.exit, 0, "{}", run.said);
    assert_eq!(run.json["host"]["is_fresh"], false, "{}", run.said);
    let step = &run.json["plan"]["steps"][0]["object"];
    assert_eq!(step, "room r101", "{}", run.said);
    let run = ask(&nord, &["explain", "room", "r101"], "2026-11-25 18:12:00").unwrap();
    assert_eq!(run.json["room"]["counts"]["unreachable"], 1, "{}", run.said);
    let class = &run.json["settings"][0];
    assert_eq!(class["setting"], "class", "{}", run.said);
    assert_eq!(class["file"], "schools/bs-nord/rooms/r101.yaml");
    assert_eq!(run.json["times"]["resets"].as_array().unwrap().len(), 3);
    for (arguments, said) in [
        (
            &["status", "--school", "bs-sued"][..],
            "this is the server of bs-nord",
        ),
        (&["status", "--room", "r999"], "its rooms are r101"),
        (&["explain", "room", "r999"], "its rooms are r101"),
        (
            &["explain", "host", "r101-pc99"],
            "devices.csv has no such host",
        ),
    ] {
        let output = nord.run(arguments, "2026-11-25 18:12:00").unwrap();
        assert_eq!(output.status, 64, "{arguments:?}: {}", output.stderr);
        assert!(output.stderr.contains(said), "{}", output.stderr);
    }
    let after = snapshot(state, &left_out).unwrap();
    let mut changes = changes(&before, &after);
    changes.retain(|change| !change.starts_with(&format!("~ {kept}: ")));
    assert_eq!(changes, Vec::<String>::new());

    // What was tried is remembered, and what is well again says so.
    fleet.pc(2).clear_faults().unwrap();
    pass(&nord, "2026-11-25 18:25:00").unwrap();
    let arguments = ["explain", "host", full];
    let run = ask(&nord, &arguments, "2026-11-25 18:30:00").unwrap();
    let found = &run.json["host"];
    assert_eq!(found["state"], "applied", "{}", run.said);
    assert_eq!(found["runs"], "wanted", "{}", run.said);
    assert_eq!(
        found["attempts"].as_array().unwrap().len(),
        2,
        "{}",
        run.said
    );
    assert_eq!(found["attempts"][0]["cause"], "cache_full", "{}", run.said);
}
