//! Staff are told what is coming: a calendar that everybody may read, and a letter that comes once.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use harness::lab::MailFault;

use crate::one_school::{MONDAY, OneSchool};

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
