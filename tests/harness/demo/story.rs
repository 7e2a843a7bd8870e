//! One week of two schools.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::stage::{Day, FIRST, NORD, SECOND, SUED, Stage, chapter, replace_in, say};
use crate::lab::{Fault, copy_tree};

/// Where a colleague works on the state repo.
const DESK: &str = "colleague:~/fleet$";
/// Where images are published.
const CENTRAL: &str = "root@central:/srv/releases#";

/// Tells all of it.
pub(super) fn tell() -> Result<()> {
    say(
        "A central server and two schools with eight PCs come to life in a temporary folder.\n\
         Real: reconcile, git, rsync, ssh and sshd, tmux, qcow2 images, mails. Stand-ins: the PCs, and LINBO's\n\
         commands on them and on the servers. Time is simulated; images are small.\n\
         Commands are shown as an administrator types them, followed by what they printed.",
    )?;
    let mut stage = Stage::build()?;
    mistakes(&stage)?;
    first_version(&stage)?;
    friday(&stage)?;
    monday(&mut stage)?;
    second_version(&stage)?;
    wednesday(&mut stage)?;
    look_back(&mut stage)?;
    stage.end()
}

fn mistakes(stage: &Stage) -> Result<()> {
    chapter("A mistake is found before it is merged")?;
    let copy = tempfile::tempdir()?;
    copy_tree(&stage.lab.repo().work(), copy.path())?;
    let room = copy.path().join("schools/bs-nord/rooms/r101.yaml");
    replace_in(&room, "class: ubuntu-lab", "class: ubuntu-lap")?;
    let room = copy.path().join("schools/bs-nord/rooms/r102.yaml");
    replace_in(&room, "fri 18:30", "fri 18:3o")?;
    let image = copy.path().join("images/ubuntu.yaml");
    replace_in(&image, "stable: 2026.10.1", "stable: 2026.10.7")?;
    stage.run_in(copy.path(), DESK, &["validate"], 1)?;
    say("Corrected:\n")?;
    stage.run_in(&stage.lab.repo().work(), DESK, &["validate"], 0)?;
    Ok(())
}

fn first_version(stage: &Stage) -> Result<()> {
    chapter("A version is published")?;
    let line = publish(stage, FIRST, 1)?;
    enter(stage, FIRST, &line)?;
    stage.merge("ubuntu: 2026.10.1 as it was built")
}

/// Publishes a version; gives the line that the state repo has to say of it.
fn publish(stage: &Stage, version: &str, diff: u32) -> Result<String> {
    stage.publish(version, diff)?;
    let folder = format!("ubuntu/{version}");
    let printed = stage.run_in(
        &stage.lab.central().releases(),
        CENTRAL,
        &["manifest", &folder],
        0,
    )?;
    let line = printed
        .lines()
        .find(|line| line.trim_start().starts_with(&format!("{version}:")))
        .context("manifest did not print the version's line")?;
    Ok(line.trim().to_owned())
}

/// Puts the line of a version in the place of the one that the example has.
fn enter(stage: &Stage, version: &str, line: &str) -> Result<()> {
    let file = stage.lab.repo().work().join("images/ubuntu.yaml");
    let text = fs::read_to_string(&file)?;
    let head = format!("{version}:");
    let lines = text.lines().map(|old| {
        if old.trim_start().starts_with(&head) {
            format!("  {line}\n")
        } else {
            format!("{old}\n")
        }
    });
    fs::write(&file, lines.collect::<String>())?;
    Ok(())
}

fn friday(stage: &Stage) -> Result<()> {
    chapter("What would happen? A dry run on a server that has nothing yet")?;
    stage.run(NORD, (Day::Friday, "15:00"), &["--dry-run"], 0)?;
    say("And tonight, when the window for downloads is open?\n")?;
    let tonight = stage.time(Day::Friday, "22:05")?;
    let arguments = ["--dry-run", "--at", &tonight, "--detailed-exitcode"];
    stage.run(NORD, (Day::Friday, "15:01"), &arguments, 2)?;
    ensure!(
        !stage
            .lab
            .server(NORD)
            .paths
            .images()
            .join("ubuntu")
            .exists(),
        "a dry run left an image behind"
    );
    chapter("Friday night: the window for downloads is open")?;
    stage.run(NORD, (Day::Friday, "22:05"), &[], 0)?;
    say("The other school, the same minute:\n")?;
    stage.run(SUED, (Day::Friday, "22:05"), &[], 0)?;
    Ok(())
}

fn monday(stage: &mut Stage) -> Result<()> {
    chapter("Monday evening: rooms are reset; one PC has a broken disk, one is unplugged")?;
    stage.lab.host("r101-pc02").set_fault(Fault::SyncFails)?;
    stage.lab.host("r101-pc04").set_fault(Fault::Offline)?;
    stage.run(NORD, (Day::Monday, "18:05"), &[], 1)?;
    applied(stage, "r101-pc01", true)?;
    applied(stage, "r101-pc02", false)?;
    let mails = stage.mails(1)?;
    ensure!(
        mails.iter().all(|mail| mail.contains("r101-pc02")),
        "the mail does not name the PC that failed"
    );
    say("The disk is changed and the cable is found.\n")?;
    stage.lab.host("r101-pc02").clear_faults()?;
    stage.lab.host("r101-pc04").clear_faults()?;
    stage.run(NORD, (Day::Monday, "19:10"), &[], 0)?;
    applied(stage, "r101-pc02", true)?;
    applied(stage, "r101-pc04", true)?;
    stage.mails(1)?;
    Ok(())
}

fn second_version(stage: &Stage) -> Result<()> {
    chapter("Tuesday: the next version is published and merged")?;
    let line = publish(stage, SECOND, 2)?;
    enter(stage, SECOND, &line)?;
    let file = stage.lab.repo().work().join("images/ubuntu.yaml");
    replace_in(&file, "stable: 2026.10.1", "stable: 2026.11.1")?;
    stage.merge("ubuntu: 2026.11.1 for everybody")?;
    stage.run(NORD, (Day::Tuesday, "14:00"), &["--dry-run"], 0)?;
    chapter("Tuesday night: only what is new comes over the line")?;
    let rsync = stage.lab.central().rsync;
    let before = rsync.sent();
    stage.run(NORD, (Day::Tuesday, "22:05"), &[], 0)?;
    let sent = rsync.sent() - before;
    ensure!(sent < 8 << 20, "{sent} bytes came over the line");
    say(&format!(
        "The release server sent {:.1} MiB; the base of 64 MiB was there already.",
        mebibytes(sent)
    ))
}

fn wednesday(stage: &mut Stage) -> Result<()> {
    chapter("Wednesday evening: the rooms get it")?;
    stage.run(NORD, (Day::Wednesday, "18:05"), &[], 0)?;
    let image = stage.lab.server(NORD).image("ubuntu.qdiff")?;
    for pc in 1..=4 {
        let host = stage.lab.host(&format!("r101-pc{pc:02}"));
        let applied = host.applied()?.and_then(|applied| applied.diff);
        ensure!(
            applied.as_ref() == Some(&image),
            "{} does not have the new version",
            host.name
        );
    }
    stage.mails(0)?;
    Ok(())
}

fn look_back(stage: &mut Stage) -> Result<()> {
    chapter("How does it stand, and what was done?")?;
    stage.run(NORD, (Day::Wednesday, "18:40"), &["status"], 0)?;
    stage.run(NORD, (Day::Wednesday, "18:41"), &["history"], 0)?;
    chapter("A dry run again")?;
    stage.run(
        NORD,
        (Day::Wednesday, "18:42"),
        &["--dry-run", "--detailed-exitcode"],
        0,
    )?;
    let anomalies = stage.lab.anomalies()?;
    ensure!(
        anomalies.is_empty(),
        "PCs saw what they should not: {anomalies:?}"
    );
    Ok(())
}

/// Whether a PC has an image from this week.
fn applied(stage: &Stage, host: &str, wanted: bool) -> Result<()> {
    let applied = stage
        .lab
        .host(host)
        .applied()?
        .is_some_and(|applied| !applied.empty);
    ensure!(applied == wanted, "{host}: applied is {applied}");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
