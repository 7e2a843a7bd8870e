//! An image goes back to the version before, and is kept there, with real files, torrents and hosts.

use std::fs;

use harness::lab::Content;

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says};

fn content(version: u32) -> Content {
    Content::base(1).with_diff(version)
}

#[test]
fn an_image_goes_back_to_the_version_before_and_stays_there_until_git_names_another() {
    let mut school = OneSchool::fresh(2);
    let roll_back = |school: &OneSchool, more: &[&str], status| {
        let args = [&["rollback", "ubuntu", "--reason", "no sound"], more].concat();
        school.run(&args, "2026-11-26 09:00:00", status)
    };
    school.release("2026.10.1", &content(1));
    school.point("2026.10.1", "the first");
    school.pass(MONDAY, 0);
    let applied = school.applied();
    // Nothing lay there before the first.
    school.release("2026.11.1", &content(2));
    says(
        &roll_back(&school, &[], 64),
        &[
            "nothing lay there before as ubuntu",
            "names no other version",
        ],
    );
    school.point("2026.11.1", "the second");
    school.pass(WEDNESDAY, 0);
    school.pass("2026-11-25 18:30:00", 0);
    let nord = school.nord();
    let live = || fs::read(nord.paths.images().join("ubuntu/ubuntu.qdiff")).unwrap();
    let second = live();
    assert_ne!(school.applied(), applied);

    says(
        &roll_back(&school, &["--to", "2026.9.1"], 64),
        &["names no version 2026.9.1 of ubuntu", "it can be 2026.10.1"],
    );
    says(
        &school.run(
            &["rollback", "mint", "--reason", "no sound"],
            "2026-11-26 09:00:00",
            64,
        ),
        &["mint is no released image", "those are ubuntu"],
    );
    says(
        &school.run(
            &["rollback", "ubuntu", "--reason", " "],
            "2026-11-26 09:00:00",
            64,
        ),
        &["the reason is empty"],
    );
    says(
        &school.run(
            &["suspend", "--reason", "look", "image", "ubuntu"],
            "2026-11-26 08:00:00",
            0,
        ),
        &["image ubuntu is suspended"],
    );
    says(
        &roll_back(&school, &[], 0),
        &[
            "image ubuntu goes back from 2026.11.1 to 2026.10.1 with the next pass: no sound",
            "its suspension is over, or nothing would be done: look",
            "`reconcile resume image ubuntu`",
        ],
    );
    says(
        &roll_back(&school, &["--to", "2026.11.1"], 64),
        &["2026.11.1 is the version of ubuntu that the state repo names"],
    );

    let sent = school.lab.central().rsync.sent();
    let plan = school.run(&["--dry-run"], "2026-11-30 18:05:00", 0);
    says(
        &plan,
        &["activate 2026.10.1", "went back to 2026.10.1", "no sound"],
    );
    assert_eq!(live(), second, "a dry run changed something");
    let output = school.pass("2026-11-30 18:05:00", 0);
    says(&output, &["activate 2026.10.1", "seed"]);
    let first = live();
    assert_ne!(first, second);
    assert_eq!(school.applied(), applied);
    // With its torrent, and with nothing to download.
    assert!(
        nord.paths
            .images()
            .join("ubuntu/ubuntu.qdiff.torrent")
            .exists()
    );
    assert_eq!(school.lab.central().rsync.sent(), sent);

    // It is not tried again.
    school.pass("2026-12-02 18:05:00", 0);
    assert_eq!(live(), first);
    says(
        &school.run(&["status"], "2026-12-03 09:00:00", 0),
        &[
            "image ubuntu 2026.11.1",
            "rolled back to 2026.10.1: no sound",
        ],
    );
    says(
        &school.run(&["explain", "image", "ubuntu"], "2026-12-03 09:00:00", 0),
        &[
            "state repo  2026.10.1, ",
            "instead of 2026.11.1, from which somebody went back",
            "store       2026.10.1, verified",
            "before it   2026.11.1, ubuntu.qdiff of ",
            "PCs         2 have 2026.10.1",
            "room r101: 2 of 2 hosts run what is wanted",
        ],
    );
    says(
        &school.run(&["explain", "image", "mint"], "2026-12-03 09:00:00", 64),
        &["have no image mint: they have ubuntu"],
    );
    says(
        &roll_back(&school, &[], 64),
        &["is 2026.11.1 too, so it went back already"],
    );
    school.release("2026.12.1", &content(3));
    school.point("2026.12.1", "the third");
    school.pass("2026-12-07 22:30:00", 0);
    assert_ne!(live(), first);
    assert_ne!(live(), second);
    // Whoever names the second again names what people went back from, until it is resumed.
    school.point("2026.11.1", "the second again");
    school.pass("2026-12-08 22:30:00", 0);
    assert_eq!(live(), first);
    says(
        &school.run(&["resume", "image", "ubuntu"], "2026-12-09 09:00:00", 0),
        &["takes up again what the state repo names", "no sound"],
    );
    school.pass("2026-12-09 22:30:00", 0);
    assert_eq!(live(), second);
    school.assert_clean();
}
