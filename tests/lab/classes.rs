//! Class files: nobody else's is overwritten, what was changed by hand is put back, and an import that fails is told.

use std::fs;

use harness::lab::Room;

use crate::fleet::{Fleet, ask, dry_run, image, last, pass};

const CLASS: &str = "start.conf.ubuntu-lab";

fn school() -> Fleet {
    Fleet::small([Room::new("r101", 1)], &image()).expect("fleet")
}

#[test]
fn a_file_of_somebody_else_is_left_alone_until_it_is_handed_over() {
    let fleet = school();
    let nord = fleet.nord();
    let path = nord.paths.linbo().join(CLASS);
    nord.write_start_conf("ubuntu-lab", "ubuntu", "torrent")
        .expect("start.conf");
    let theirs = fs::read(&path).expect("start.conf");
    let before = fleet.mails().expect("mails").len();
    for at in ["2026-11-23 22:05:00", "2026-11-23 22:15:00"] {
        let run = pass(&nord, at).expect("pass");
        let troubles = run.text("troubles");
        assert_eq!(run.exit, 1, "{}", run.said);
        assert!(
            troubles.contains("was not written by reconcile"),
            "{troubles}"
        );
        assert!(
            troubles.contains("move it away"),
            "what to do is missing in {troubles}"
        );
        assert_eq!(fs::read(&path).expect("start.conf"), theirs);
    }
    // By its file the numbers of its systems are not known, so no host is reset by them.
    let run = pass(&nord, "2026-11-25 18:05:00").expect("pass");
    assert!(
        run.text("holds")
            .contains("start.conf.ubuntu-lab has to be right first"),
        "{}",
        run.said
    );
    assert_eq!(
        fleet
            .lab
            .host("r101-pc01")
            .magic_packets()
            .expect("packets"),
        0
    );
    let told = fleet.mails().expect("mails").split_off(before);
    assert_eq!(
        told.iter()
            .filter(|(_, body)| body.contains("was not written by reconcile"))
            .count(),
        1,
        "{told:?}"
    );

    fs::rename(&path, path.with_extension("old")).expect("moved away");
    let run = pass(&nord, "2026-11-25 18:20:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    let text = fs::read_to_string(&path).expect("start.conf");
    assert!(text.starts_with("# Written by reconcile"), "{text}");
    let (subject, body) = fleet.mails().expect("mails").pop().expect("a mail");
    assert!(
        subject.contains("good again") && body.contains("start.conf.ubuntu-lab"),
        "{subject}\n{body}"
    );
}

#[test]
fn what_was_changed_by_hand_is_shown_as_a_diff_and_put_back() {
    let fleet = school();
    let nord = fleet.nord();
    fleet.settle().expect("settle");
    let path = nord.paths.linbo().join(CLASS);
    let ours = fs::read_to_string(&path).expect("start.conf");
    let changed = ours.replace("Autostart = no", "Autostart = yes") + "# tried something\n";
    assert_ne!(ours, changed);
    fs::write(&path, &changed).expect("start.conf");
    let run = nord
        .run(&["--dry-run"], "2026-11-24 18:05:00")
        .expect("dry run");
    for line in ["-Autostart = yes", "+Autostart = no", "-# tried something"] {
        assert!(
            run.stdout.lines().any(|found| found.trim() == line),
            "no {line:?} in {}",
            run.stdout
        );
    }
    assert_eq!(
        fs::read_to_string(&path).expect("start.conf"),
        changed,
        "a dry run wrote"
    );
    let run = pass(&nord, "2026-11-24 10:00:00").expect("pass");
    assert_eq!(
        fs::read_to_string(&path).expect("start.conf"),
        changed,
        "written during lessons: {}",
        run.said
    );
    let run = pass(&nord, "2026-11-24 18:05:00").expect("pass");
    assert_eq!(run.exit, 0, "{}", run.said);
    assert_eq!(fs::read_to_string(&path).expect("start.conf"), ours);
    let steps = last(&nord, "2026-11-24 18:06:00").expect("history").steps;
    assert!(
        steps.contains(&("import-devices".to_owned(), "done".to_owned())),
        "{steps:?}"
    );
    let run = dry_run(&nord, "2026-11-24 18:07:00").expect("dry run");
    assert!(!run.said.contains("write_start_conf"), "{}", run.said);
}

#[test]
fn an_import_that_fails_is_told_with_its_last_words_and_tried_again() {
    for (fault, words) in [
        ("dry-run-fails", "sophomorix-device finished with errors!"),
        ("hook-fails", "a hook returned non-zero exit status 1"),
    ] {
        let fleet = school();
        let nord = fleet.nord();
        nord.set_fault("linuxmuster-import-devices", Some(fault))
            .expect("fault");
        fs::remove_file(nord.paths.linbo().join("boot/grub/ubuntu-lab.cfg"))
            .expect("boot configuration");
        let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
        let steps = last(&nord, "2026-11-23 22:06:00").expect("history").steps;
        let end = steps
            .iter()
            .find(|(id, _)| id == "import-devices")
            .map(|(_, end)| end.as_str());
        assert!(
            end.is_some_and(|end| end.starts_with("failed: ")),
            "{fault}: {steps:?}"
        );
        let troubles = run.text("troubles");
        assert!(
            run.exit == 1 && troubles.contains(words),
            "{fault}: {troubles}"
        );
        let told = fleet.mails().expect("mails");
        assert!(
            told.iter().any(|(_, body)| body.contains(words)),
            "{fault}: {told:?}"
        );
        nord.set_fault("linuxmuster-import-devices", None)
            .expect("fault");
        // What the failed import left is of use, or is not; in either case the school is well after the next one.
        pass(&nord, "2026-11-23 22:25:00").expect("pass");
        let run = ask(&nord, &["status"], "2026-11-23 22:26:00").expect("status");
        assert!(
            run.exit == 0 && run.text("troubles").is_empty(),
            "{fault}: {}",
            run.said
        );
        assert!(
            nord.paths
                .linbo()
                .join("boot/grub/ubuntu-lab.cfg")
                .is_file()
        );
    }
}

#[test]
fn rows_that_would_cost_the_server_its_dhcp_configuration_are_not_imported() {
    let fleet = Fleet::small([Room::new("r101", 2)], &image()).expect("fleet");
    let nord = fleet.nord();
    let devices = nord.paths.devices_csv();
    let dhcp = nord.paths.root.join("etc/dhcp/devices.conf");
    let text = fs::read_to_string(&devices).expect("devices");
    fs::write(&devices, text.replacen(";;1;", ";;1x;", 1)).expect("devices");
    assert!(dhcp.is_file());
    let run = pass(&nord, "2026-11-23 22:05:00").expect("pass");
    let troubles = run.text("troubles");
    assert!(
        run.exit == 1 && troubles.contains("devices.csv has bad rows") && troubles.contains("1x"),
        "{troubles}\n{}",
        run.said
    );
    assert!(
        dhcp.is_file(),
        "the import ran and took the DHCP configuration away"
    );
}
