//! Staff are told what is coming: a calendar that everybody may read, and a letter that comes once.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use harness::lab::MailFault;

use crate::one_school::{MONDAY, OneSchool, says};

/// Before anything was reset.
const SUNDAY: &str = "2026-11-22 12:00:00";

#[test]
fn staff_are_told_once_and_find_it_in_the_calendar() {
    let school = OneSchool::ready(1);
    school.lab.set_time(SUNDAY).unwrap();
    school.edit(
        "schools/bs-nord/school.yaml",
        "reset: ",
        "contact: hausmeister@bs-nord.example\nannounce: { days_before: 3 }\nreset: ",
        "the caretaker is told beforehand",
    );
    let calendar = school.nord().paths.state().join("calendar.ics");
    let smtp = school.lab.smtp();
    let told = || {
        let mails = smtp.mails().unwrap();
        let all = mails
            .iter()
            .filter(|mail| mail.contains("coming up on the PCs"));
        all.cloned().collect::<Vec<_>>()
    };

    smtp.set_fault(MailFault::Later).unwrap();
    let output = school.pass(SUNDAY, 1);
    assert!(
        output.stderr.contains("the letter was not sent"),
        "{}",
        output.stderr
    );
    let text = fs::read_to_string(&calendar).unwrap();
    assert!(
        text.contains("DTSTART:20261123T170000Z\r\n")
            && text.contains("SUMMARY:Reset of room r101\r\n"),
        "{text}"
    );
    let before = fs::metadata(&calendar).unwrap();
    assert_eq!(before.permissions().mode() & 0o777, 0o644);

    smtp.set_fault(MailFault::None).unwrap();
    school.pass("2026-11-22 12:10:00", 0);
    let mails = told();
    let [mail] = mails.as_slice() else {
        panic!("{mails:#?}");
    };
    assert!(
        mail.contains("hausmeister@bs-nord.example") && !mail.contains("it@musterstadt.example"),
        "{mail}"
    );
    school.pass("2026-11-22 12:20:00", 0);
    assert_eq!(told().len(), 1);
    let after = fs::metadata(&calendar).unwrap();
    assert_eq!(before.ino(), after.ino(), "it was written again");

    school.pass(MONDAY, 0);
    assert_eq!(told().len(), 1);
}

#[test]
fn what_is_suspended_by_hand_is_shown_until_it_is_resumed() {
    let school = OneSchool::ready(1);
    let say = |arguments: &[&str], status| school.run(arguments, MONDAY, status);
    says(&say(&["suspend", "room", "r101"], 64), &["--reason <TEXT>"]);
    let suspend = |more: &[&str], status| {
        say(
            &[&["suspend", "--reason", "new furniture"], more].concat(),
            status,
        )
    };
    says(
        &suspend(&["desk", "4"], 64),
        &["`desk` is nothing that can be suspended", "`room NAME`"],
    );
    says(
        &suspend(&["--until", "tomorrow"], 64),
        &["`3 days`, `2026-11-27` for the end of that day"],
    );
    says(
        &suspend(&["--until", "2026-11-20"], 64),
        &["would have ended on Sat 21 Nov 00:00"],
    );
    says(
        &say(&["suspend", "--reason", " "], 64),
        &["the reason is empty"],
    );
    says(
        &suspend(&["room", "r109"], 0),
        &["has no room r109", "check the name"],
    );
    says(
        &say(&["resume", "room", "r109"], 0),
        &["room r109 is resumed, it was suspended: new furniture"],
    );
    school.pass("2026-11-23 12:00:00", 0);
    says(
        &suspend(&["room", "r101", "--until", "3 days"], 0),
        &["room r101 is suspended until Thu 26 Nov 18:05"],
    );
    says(
        &say(&["--dry-run"], 0),
        &["… suspended:", "until Thu 26 Nov 18:05: new furniture"],
    );
    school.pass(MONDAY, 0);
    says(&say(&["status"], 0), &["suspended   room r101 since"]);
    assert_eq!(school.applied(), [None]);
    suspend(&[], 0);
    says(
        &say(&["resume", "room", "r101"], 0),
        &["still suspended: server, by "],
    );
    says(
        &say(&["resume", "room", "r101"], 0),
        &["room r101 was not suspended on this server"],
    );
    say(&["resume"], 0);
    school.pass("2026-11-23 18:20:00", 0);
    assert!(school.applied().iter().all(Option::is_some));
}
