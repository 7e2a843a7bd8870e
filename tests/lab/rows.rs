//! Rooms whose rows of `devices.csv` the state repo keeps, with the real file and the device import.

use std::fs;
use std::path::Path;

use crate::one_school::{MONDAY, OneSchool, says};

/// No room is reset that late.
const TUESDAY: &str = "2026-11-24 22:30:00";
const LATER: &str = "2026-11-24 23:00:00";
const ROOM: &str = "schools/bs-nord/rooms/r101.yaml";

/// A school of three PCs that have their image, and whose first one gets a role, the second one goes, and a fourth comes.
fn kept() -> OneSchool {
    let school = OneSchool::ready(3);
    school.pass(MONDAY, 0);
    let rows = rows(&school);
    let of = |host: &str| {
        let row = rows.lines().find(|row| row.contains(host)).unwrap();
        let columns: Vec<&str> = row.split(';').collect();
        format!("{{ mac: {}, ip: {} }}", columns[3], columns[4])
    };
    let room = format!(
        "class: ubuntu-lab\ndevices:\n  r101-pc01: {}\n  r101-pc02: removed\n  r101-pc03: {}\n  \
         r101-pc04: {{ mac: 52:54:00:00:00:44, ip: 127.99.0.44 }}\n",
        of("r101-pc01").replace(" }", ", role: classroom-teachercomputer }"),
        of("r101-pc03"),
    );
    commit(&school, room);
    school
}

fn commit(school: &OneSchool, room: String) {
    let edit = |dir: &Path| Ok(fs::write(dir.join(ROOM), room)?);
    school.lab.repo().commit(edit, "the rows of r101").unwrap();
}

fn rows(school: &OneSchool) -> String {
    fs::read_to_string(school.nord().paths.devices_csv()).unwrap()
}

#[test]
fn rows_follow_git_and_the_import_follows_them() {
    let school = kept();
    let before = rows(&school);
    let run = school.run(&["--dry-run"], TUESDAY, 0);
    says(
        &run,
        &[
            "devices.csv: would set 3 rows",
            "r101-pc01: role classroom-teachercomputer (was classroom-studentcomputer)",
            "remove r101-pc02 from room r101",
            "add r101-pc04 to room r101 with class ubuntu-lab, 52:54:00:00:00:44, 127.99.0.44",
            "then would run linuxmuster-import-devices",
        ],
    );
    assert_eq!(rows(&school), before);
    school.pass(TUESDAY, 0);
    let second = before.split_inclusive('\n');
    let second = second.filter(|row| !row.contains("r101-pc02"));
    let wanted = second
        .map(|row| match row.contains("r101-pc01") {
            true => row.replace("classroom-studentcomputer", "classroom-teachercomputer"),
            false => row.to_owned(),
        })
        .collect::<String>()
        + "r101;r101-pc04;ubuntu-lab;52:54:00:00:00:44;127.99.0.44;;;;classroom-studentcomputer;;1;;;;\n";
    assert_eq!(rows(&school), wanted);
    let linbo = school.nord().paths.linbo();
    let link = fs::read_link(linbo.join("start.conf-127.99.0.44")).unwrap();
    assert_eq!(link, Path::new("start.conf.ubuntu-lab"));
    let state = school.nord().paths.state();
    assert_eq!(
        fs::read_to_string(state.join("devices.csv.before")).unwrap(),
        before
    );
    says(&school.pass(LATER, 0), &["Pass: 1 waiting."]);
    school.assert_clean();
}

#[test]
fn an_import_that_costs_the_school_its_dhcp_is_told_and_tried_again() {
    let school = kept();
    let nord = school.nord();
    nord.set_fault("linuxmuster-import-devices", Some("dhcp-fails"))
        .unwrap();
    says(
        &school.pass(TUESDAY, 1),
        &["devices.conf is gone: no PC of the school gets an address"],
    );
    nord.set_fault("linuxmuster-import-devices", None).unwrap();
    let run = school.pass(LATER, 0);
    says(&run, &["run linuxmuster-import-devices"]);
    assert!(nord.paths.root.join("etc/dhcp/devices.conf").is_file());
    says(
        &school.pass("2026-11-24 23:30:00", 0),
        &["Pass: 1 waiting."],
    );
}

#[test]
fn what_somebody_added_by_hand_is_told_and_stays() {
    let school = kept();
    let path = school.nord().paths.devices_csv();
    let by_hand =
        rows(&school) + "r101;r101-pc09;ubuntu-lab;52:54:00:00:00:99;127.99.0.99;;;;;;1;;;;\n";
    fs::write(&path, by_hand).unwrap();
    let run = school.pass(TUESDAY, 0);
    says(
        &run,
        &["r101-pc09 is in devices.csv, but not among the `devices` of its room"],
    );
    let text = rows(&school);
    assert!(
        text.contains("r101-pc09") && text.contains("r101-pc04"),
        "{text}"
    );
}
