//! The guard against mass changes on a server: what it stops, who is told, and what goes on.

use harness::lab::{Lab, Room};

use crate::one_school::{OneSchool, WEDNESDAY, says, small};

const ALLOWS: &str = "guard: { reimage_at_most: 100 % }";
const NOTHING: &str = "Nothing to do: the server is as the state repo says.";

#[test]
fn a_version_for_all_at_once_waits_for_the_line_that_allows_it() {
    let rooms = [("r101", 2), ("r102", 1)].map(|(room, pcs)| Room::new(room, pcs));
    let mut school = OneSchool::built(Lab::builder().school("bs-nord", rooms));
    let all = |seed: u32| vec![Some(small(seed).stamp()); 3];
    school.release("2026.10.1", &small(1));
    school.point("2026.10.1", "the first version");
    school.pass("2026-11-23 18:05:00", 0);
    assert_eq!(school.applied(), all(1));

    school.release("2026.11.1", &small(2));
    school.point("2026.11.1", "the next version");
    let allows = |from: &str, to: &str, why: &str| school.edit("fleet.yaml", from, to, why);
    allows(ALLOWS, "guard: { reimage_at_most: 40 % }", "not so fast");
    let asked = [
        "3 of the school's 3 PCs would be re-imaged outside of a rollout, more than the 40 %",
        "fleet.yaml",
        ALLOWS,
    ];
    for at in ["2026-11-24 18:05:00", "2026-11-24 18:15:00", WEDNESDAY] {
        says(&school.pass(at, 3), &asked);
        assert_eq!(school.told(ALLOWS), 1, "{at}");
    }
    says(&school.run(&["status"], "2026-11-25 18:10:00", 3), &asked);
    says(
        &school.run(&["--dry-run"], "2026-11-25 18:10:00", 3),
        &asked,
    );
    // Whatever waits, what was due was put back to what it had.
    assert_eq!(school.applied(), all(1));
    let syncs = |host: harness::lab::Host| {
        let ran = host.wrapped().unwrap();
        ran.iter().filter(|command| *command == "sync:1").count()
    };
    assert_eq!(school.lab.hosts().map(syncs).collect::<Vec<_>>(), [2; 3]);

    allows("guard: { reimage_at_most: 40 % }", ALLOWS, "that is meant");
    school.pass("2026-11-25 18:20:00", 0);
    assert_eq!(school.applied(), all(2));
    assert_eq!((school.told(ALLOWS), school.told("good again")), (1, 1));
    allows(ALLOWS, "guard: { reimage_at_most: 40 % }", "it is done");
    says(&school.pass("2026-11-25 18:40:00", 0), &[NOTHING]);
    school.assert_clean();
}
