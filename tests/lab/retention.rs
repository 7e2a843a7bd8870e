//! What nobody needs goes out of the store, and nothing else; what the disk damages is fetched again. With real files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use harness::lab::{Content, Server};

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, says};

/// Large enough to be linked and not copied; the first two have one base.
fn content(version: u32) -> Content {
    Content {
        diff_mib: 2,
        ..Content::base(version / 3).base_size(4).with_diff(version)
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn versions(server: &Server) -> usize {
    names(&server.paths.store().join("manifests")).len()
}

/// The image files that LINBO has and those kept from before, by what tells whether they were touched.
fn outside(server: &Server) -> Vec<(u64, u64, i64)> {
    let sets = [
        server.paths.images().join("ubuntu"),
        server.paths.store().join("previous/ubuntu"),
    ];
    let files = sets.iter().flat_map(|set| {
        ["ubuntu.qcow2", "ubuntu.qdiff"].map(|file| fs::metadata(set.join(file)).unwrap())
    });
    files
        .map(|found| (found.ino(), found.size(), found.mtime()))
        .collect()
}

#[test]
fn a_version_that_nobody_needs_is_deleted_two_weeks_later() {
    let mut school = OneSchool::fresh(1);
    school.release("2026.10.1", &content(1));
    school.point("2026.10.1", "the first");
    school.pass(MONDAY, 0);
    school.release("2026.11.1", &content(2));
    school.point("2026.11.1", "the second");
    school.pass(WEDNESDAY, 0);
    school.pass("2026-11-25 18:30:00", 0);
    school.release("2026.12.1", &content(3));
    school.point("2026.12.1", "the third");
    school.pass("2026-11-30 18:05:00", 0);
    school.pass("2026-11-30 18:30:00", 0);
    let nord = school.nord();
    assert_eq!(versions(&nord), 3);
    let objects = || names(&nord.paths.store().join("objects"));
    let (all, before) = (objects(), outside(&nord));

    // By then the schedule has had its times; the first version is noted as needed by nobody since the third came.
    school.pass("2026-12-07 18:05:00", 0);
    school.pass("2026-12-09 18:05:00", 0);
    school.pass("2026-12-14 18:00:00", 0);
    assert_eq!(versions(&nord), 3);
    let plan = school.run(&["--dry-run"], "2026-12-14 18:50:00", 0);
    says(
        &plan,
        &[
            "- image ubuntu: would delete 2026.10.1 from the store, ",
            "1 to delete",
        ],
    );
    assert_eq!(versions(&nord), 3, "a dry run deleted something");
    let output = school.pass("2026-12-14 18:50:00", 0);
    says(&output, &["delete 2026.10.1 from the store"]);
    assert_eq!(versions(&nord), 2);
    assert_eq!(outside(&nord), before);
    // Its diff and the two records alone: the second version has the same base.
    let gone: BTreeSet<_> = all.difference(&objects()).cloned().collect();
    assert!(!gone.is_empty() && objects().len() >= 4, "{gone:?}");

    // Going back needs no download.
    school.point("2026.11.1", "back");
    let sent = school.lab.central().rsync.sent();
    school.pass("2026-12-16 18:05:00", 0);
    assert_eq!(
        school.lab.central().rsync.sent(),
        sent,
        "it was fetched again"
    );
    school.assert_clean();
}

/// Another byte in a file whose times stay, as a bad disk has it.
fn damage(path: &Path) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(b"forgotten", 1 << 20).unwrap();
    file.set_modified(before).unwrap();
}

#[test]
fn what_the_disk_damaged_is_found_fetched_again_and_put_in_place() {
    let mut school = OneSchool::fresh(1);
    school.release("2026.10.1", &content(1));
    school.point("2026.10.1", "the first");
    school.pass(MONDAY, 0);
    let nord = school.nord();
    let live = nord.paths.images().join("ubuntu/ubuntu.qcow2");
    let good = fs::read(&live).unwrap();
    let scrub = |status| school.run(&["scrub", "--mib-per-second", "1000"], WEDNESDAY, status);
    says(
        &scrub(0),
        &[
            "4 files with ",
            "all are what they were when they were downloaded",
        ],
    );
    school.pass("2026-11-24 18:05:00", 0);

    // One file under two names: nobody sees it, until somebody reads it.
    damage(&live);
    let sent = school.lab.central().rsync.sent();
    school.pass("2026-11-24 19:05:00", 0);
    assert_eq!(school.lab.central().rsync.sent(), sent);
    let output = scrub(1);
    says(
        &output,
        &[
            "of ubuntu 2026.10.1 is damaged: it has sha256:",
            "Look after the disk",
        ],
    );
    let plan = school.run(&["--dry-run"], "2026-11-24 20:05:00", 0);
    says(
        &plan,
        &[
            "+ image ubuntu: would download 2026.10.1",
            "it is no longer what it was when it was downloaded",
        ],
    );
    // Nobody makes a torrent of what is damaged: it has its time of change as before, but for a nanosecond.
    assert!(!plan.stdout.contains("image ubuntu: would make the torrent"));
    school.pass("2026-11-24 20:05:00", 0);
    assert_eq!(fs::read(&live).unwrap(), good);
    says(&scrub(0), &["all are what they were"]);
    says(
        &school.run(&["--dry-run"], "2026-11-24 21:05:00", 0),
        &["Nothing to do"],
    );
    school.assert_clean();
}
