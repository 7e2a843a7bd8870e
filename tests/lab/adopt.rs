//! A server that nobody has described: what `adopt` writes of it is valid, and its first dry run plans nothing.

use std::fs;
use std::path::Path;

use harness::lab::{Content, Lab, Room, copy_tree};

use crate::one_school::{MONDAY, replace_in, says};

/// Everything below a folder.
fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(tree(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_server_is_adopted_as_it_is_and_its_first_pass_changes_nothing() {
    let rooms = [
        Room::new("r101", 2),
        Room::new("r102", 1).class("office"),
        Room::new("r103", 1).class("odd"),
    ];
    let lab = Lab::builder()
        .school("bs-nord", rooms)
        .at(MONDAY)
        .build()
        .unwrap();
    let nord = lab.server("bs-nord");
    nord.install("ubuntu", &Content::base(1)).unwrap();
    let linbo = nord.paths.linbo();
    replace_in(
        &linbo.join("start.conf.office"),
        "Locale = de-de",
        "Locale = en-gb",
    );
    replace_in(&linbo.join("start.conf.odd"), "/dev/sda3", "/dev/sdb1");
    nord.call("linuxmuster-import-devices", &[])
        .unwrap()
        .success()
        .unwrap();
    let before = (tree(&linbo), fs::read(nord.paths.devices_csv()).unwrap());

    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("fleet");
    let adopt = |status| {
        let arguments = ["adopt", "--out", out.to_str().unwrap()];
        let output = nord.run(&arguments, MONDAY).unwrap();
        assert_eq!(output.status, status, "{}{}", output.stdout, output.stderr);
        output
    };
    let output = adopt(0);
    says(
        &output,
        &[
            "school bs-nord, 2 rooms, 2 hardware classes",
            "- hardware class odd: its partitions are not the first ones of one disk in order: /dev/sda1, /dev/sda2, /dev/sdb1",
            "- room r103: its hardware class odd is not adopted",
            "- nothing is reset: write `reset: mon, wed 18:00`",
            "The first dry run plans nothing: the server is as these files say.",
        ],
    );
    assert!(!output.stdout.contains("secret"));
    let valid = nord
        .run(&["validate", out.to_str().unwrap()], MONDAY)
        .unwrap();
    assert_eq!(valid.status, 0, "{}", valid.stdout);
    says(&valid, &["no errors: "]);

    // As people go on: into Git, and a first pass.
    lab.repo()
        .commit(|dir| copy_tree(&out, dir), "the server as it is")
        .unwrap();
    let dry = nord
        .run(&["--dry-run", "--detailed-exitcode"], MONDAY)
        .unwrap();
    assert_eq!(dry.status, 0, "{}{}", dry.stdout, dry.stderr);
    says(&dry, &["Nothing to do"]);
    let pass = nord.run(&[], MONDAY).unwrap();
    assert_eq!(pass.status, 0, "{}{}", pass.stdout, pass.stderr);
    assert_eq!(
        (tree(&linbo), fs::read(nord.paths.devices_csv()).unwrap()),
        before
    );

    // Once more writes nothing; what people changed since is left as it is.
    replace_in(
        &out.join("schools/bs-nord/rooms/r101.yaml"),
        "class:",
        "reset: mon, wed 18:00\nclass:",
    );
    says(
        &adopt(0),
        &[
            "0 files written",
            "- schools/bs-nord/rooms/r101.yaml is there already and says something else",
        ],
    );
    // From then on its hosts are reset to the image that was made on site.
    lab.repo()
        .commit(|dir| copy_tree(&out, dir), "r101 is reset")
        .unwrap();
    let pass = nord.run(&[], MONDAY).unwrap();
    assert_eq!(pass.status, 0, "{}{}", pass.stdout, pass.stderr);
    says(&pass, &["reset 2 hosts to ubuntu"]);
    let back = ["rollback", "ubuntu", "--reason", "no sound"];
    let back = nord.run(&back, MONDAY).unwrap();
    assert_eq!(back.status, 64);
    says(&back, &["ubuntu is made at this school", "`backups`"]);
    assert_eq!(lab.anomalies().unwrap(), Vec::<String>::new());
}

#[test]
fn a_server_that_says_too_little_is_told_so() {
    let lab = Lab::builder()
        .school("bs-nord", [Room::new("r101", 1)])
        .at(MONDAY)
        .build()
        .unwrap();
    let nord = lab.server("bs-nord");
    let place = tempfile::tempdir().unwrap();
    let arguments = ["adopt", "--out", place.path().to_str().unwrap()];
    let said = |status| {
        let output = nord.run(&arguments, MONDAY).unwrap();
        assert_eq!(output.status, status, "{}{}", output.stdout, output.stderr);
        output
    };
    // An image that is not there is known, and the dry run says what that means.
    says(
        &said(0),
        &[
            "image ubuntu: there is no ubuntu.qcow2 in LINBO's folder",
            "The first dry run ",
        ],
    );
    fs::write(nord.paths.setup_ini(), "[setup]\nservername = server\n").unwrap();
    says(
        &said(1),
        &["setup.ini: there is no `domainname` in [setup]"],
    );
    fs::remove_file(nord.paths.setup_ini()).unwrap();
    says(&said(1), &["cannot read ", "setup.ini"]);
}
