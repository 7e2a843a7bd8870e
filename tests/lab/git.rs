//! The state repo in trouble: whatever is wrong with it, the last good commit stays in force and work goes on.

use std::fs;

use crate::one_school::{MONDAY, OneSchool, WEDNESDAY, replace_in, says, small, until};

#[test]
fn a_remote_that_is_down_is_no_failure_and_rooms_are_still_reset() {
    let school = OneSchool::ready(2);
    school.pass(MONDAY, 0);
    let remote = school.lab.repo().path();
    fs::rename(&remote, remote.with_extension("away")).unwrap();
    let output = school.pass(WEDNESDAY, 0);
    says(
        &output,
        &[
            "cannot reach",
            "the last good commit stays in force",
            "2 hosts applied",
        ],
    );
    assert!(school.lab.smtp().mails().unwrap().is_empty());
    fs::rename(remote.with_extension("away"), &remote).unwrap();
    let output = school.pass("2026-11-25 18:30:00", 0);
    assert!(!output.stderr.contains("cannot reach"), "{}", output.stderr);
    school.assert_clean();
}

#[test]
fn a_server_that_never_saw_the_repo_fails_and_says_why() {
    let school = OneSchool::ready(1);
    let remote = school.lab.repo().path();
    fs::rename(&remote, remote.with_extension("away")).unwrap();
    let output = school.pass(MONDAY, 1);
    says(&output, &["cannot reach", "check the network"]);
    assert!(
        !output.stdout.contains("as the state repo says"),
        "{}",
        output.stdout
    );
    says(
        &school.run(&["--dry-run"], MONDAY, 1),
        &["there is no commit to work towards"],
    );
}

#[test]
fn a_commit_that_does_not_validate_changes_nothing_until_it_is_mended() {
    let mut school = OneSchool::ready(1);
    school.pass(MONDAY, 0);
    school.release("2026.11.1", &small(2));
    let edit = |dir: &std::path::Path| {
        school.write(dir, "2026.11.1");
        replace_in(
            &dir.join("schools/bs-nord/rooms/r101.yaml"),
            "ubuntu-lab",
            "ubuntu-lap",
        );
        Ok(())
    };
    school
        .lab
        .repo()
        .commit(edit, "new version, new typo")
        .unwrap();
    let output = school.pass(WEDNESDAY, 1);
    let wanted = [
        "\u{201c}new version, new typo\u{201d} does not validate",
        "schools/bs-nord/rooms/r101.yaml:1:8",
        "ubuntu-lap",
        "the last good commit stays in force",
        "1 host applied",
    ];
    says(&output, &wanted);
    assert_eq!(school.applied(), [Some(small(1).stamp())]);
    let mails = school.lab.smtp().mails().unwrap();
    assert_eq!(mails.len(), 1, "{mails:?}");
    school.pass("2026-11-25 18:30:00", 1);
    assert_eq!(
        school.lab.smtp().mails().unwrap().len(),
        1,
        "the same news twice"
    );
    school.edit(
        "schools/bs-nord/rooms/r101.yaml",
        "ubuntu-lap",
        "ubuntu-lab",
        "typo",
    );
    school.pass("2026-11-25 19:00:00", 0);
    let mails = school.lab.smtp().mails().unwrap();
    assert_eq!(mails.len(), 2, "{mails:?}");
    assert!(mails[1].contains("1 good again"), "{}", mails[1]);
    school.pass("2026-11-30 18:05:00", 0);
    assert_eq!(school.applied(), [Some(small(2).stamp())]);
    school.assert_clean();
}

#[test]
fn a_forced_push_is_refused_until_the_branch_continues_what_was_applied() {
    let school = OneSchool::ready(1);
    school.edit(
        "schools/bs-nord/school.yaml",
        "title: bs-nord",
        "title: Nord",
        "a title",
    );
    school.pass(MONDAY, 0);
    let applied = school.lab.repo().head().unwrap();
    school
        .lab
        .repo()
        .force_push(
            |dir| Ok(fs::write(dir.join("README.md"), "rewritten\n")?),
            "history rewritten",
        )
        .unwrap();
    let output = school.pass(WEDNESDAY, 1);
    says(
        &output,
        &[
            "does not build on",
            &applied[..9],
            "someone force-pushed",
            "the last good commit stays in force",
            "1 host applied",
        ],
    );
    let noted = fs::read_to_string(school.nord().paths.state().join("applied-commit")).unwrap();
    assert_eq!(noted.trim(), applied);
}

#[test]
fn only_commits_of_known_signers_are_applied() {
    let school = OneSchool::ready(1);
    let repo = school.lab.repo();
    let known = repo.signer("anna@musterstadt.example", true).unwrap();
    let stranger = repo.signer("eve@elsewhere.example", false).unwrap();
    school.settings(
        &format!("signers: \"{}\"\n", repo.allowed_signers().display()),
        "",
        "",
    );
    let output = school.pass(MONDAY, 1);
    says(&output, &["not signed"]);
    repo.sign_head(&known).unwrap();
    let good = repo.head().unwrap();
    school.pass("2026-11-23 18:10:00", 0);
    school.edit(
        "schools/bs-nord/school.yaml",
        "title: bs-nord",
        "title: Nobody",
        "unsigned",
    );
    let output = school.pass("2026-11-23 18:20:00", 1);
    says(
        &output,
        &[
            "a new commit is not signed as it must be",
            "\"unsigned\" by Lab",
        ],
    );
    repo.git(&repo.work(), &["reset", "-q", "--hard", "HEAD^"])
        .unwrap();
    repo.commit_signed(|_| Ok(()), "by a stranger", &stranger)
        .unwrap();
    let output = school.pass("2026-11-23 18:30:00", 1);
    says(&output, &["by a stranger"]);
    let noted = || fs::read_to_string(school.nord().paths.state().join("applied-commit")).unwrap();
    assert_eq!(noted().trim(), good);
    repo.git(&repo.work(), &["reset", "-q", "--hard", "HEAD^"])
        .unwrap();
    let next = repo.commit_signed(|_| Ok(()), "by anna", &known).unwrap();
    school.pass("2026-11-23 18:40:00", 0);
    assert_eq!(noted().trim(), next);
}

#[test]
fn a_server_that_the_repo_does_not_know_is_told_which_it_knows() {
    let school = OneSchool::ready(1);
    school.settings("", "server: bs-nord", "server: bs-nrod");
    let output = school.pass(MONDAY, 1);
    says(
        &output,
        &[
            "knows no school bs-nrod; it knows bs-nord",
            "set `server` in the settings",
        ],
    );
    assert!(
        !output.stdout.contains("as the state repo says"),
        "{}",
        output.stdout
    );
}

#[test]
fn a_commit_merged_while_a_pass_runs_counts_from_the_next_pass_on_at_the_latest() {
    let mut school = OneSchool::ready(1);
    let host = school.lab.hosts().next().unwrap();
    host.set_sync_time(std::time::Duration::from_secs(2))
        .unwrap();
    let running = school.nord().spawn(&[], MONDAY).unwrap();
    until("a sync", || !host.wrapped().unwrap().is_empty());
    school.release("2026.11.1", &small(2));
    let newest = school.point("2026.11.1", "the next version");
    let output = running.wait(std::time::Duration::from_secs(100)).unwrap();
    assert_eq!(output.status, 0, "{}{}", output.stderr, output.stdout);
    assert_eq!(school.applied(), [Some(small(1).stamp())]);
    school.pass("2026-11-23 18:20:00", 0);
    let noted = fs::read_to_string(school.nord().paths.state().join("applied-commit")).unwrap();
    assert_eq!(noted.trim(), newest);
    let live = fs::read_to_string(
        school
            .nord()
            .paths
            .images()
            .join("ubuntu/ubuntu.qdiff.info"),
    )
    .unwrap();
    assert!(live.contains(&small(2).stamp()), "{live}");
    school.assert_clean();
}
