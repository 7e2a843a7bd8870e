//! The figures by which a timetable is made, each reckoned by hand.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::bound::{Demand, MINUTE};
use super::*;

const fn pace(wake_per_minute: u32, on_at_once: u32) -> Pace {
    Pace {
        wake_per_minute,
        on_at_once,
    }
}

/// A room with its circuits.
struct Made {
    name: RoomName,
    circuits: Vec<(Circuit, Pace)>,
}

impl Made {
    fn new(name: &str, own: Pace, school: Option<Pace>) -> Self {
        let name: RoomName = name.parse().unwrap();
        let own = (Circuit::Room(name.clone()), own);
        let school = school.map(|pace| (Circuit::School, pace));
        Self {
            name,
            circuits: [own].into_iter().chain(school).collect(),
        }
    }

    fn batch(&self, hosts: usize, each: SignedDuration) -> Batch<'_> {
        Batch {
            room: &self.name,
            hosts,
            circuits: &self.circuits,
            each,
            not_before: Timestamp::UNIX_EPOCH,
            closes: None,
        }
    }
}

const fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn in_the_first_minutes_no_more_hosts_are_on_than_were_woken() {
    let room = Made::new("r101", Pace::UNBOUNDED, None);
    let takes = |batches: &[Batch<'_>]| Demand::of(NOW, batches).takes(pace(2, 10));
    // 191 minutes of all hosts; 2, 4, … 10 of them are on in the first five minutes, and 10 from then on.
    let many = [room.batch(19, minutes(10)), room.batch(1, minutes(1))];
    assert_eq!(takes(&many), 5 * MINUTE + (191 - 30) * MINUTE / 10);
    // What is through before all ten are on is not reckoned with what would be woken until then.
    let few = [
        room.batch(3, minutes(9)),
        room.batch(1, SignedDuration::ZERO),
    ];
    assert_eq!(takes(&few), 27 * MINUTE / 10);
}

#[test]
fn what_hosts_take_does_not_hang_on_when_they_may_be_woken_and_ends_with_them() {
    let room = Made::new("r101", Pace::UNBOUNDED, None);
    let later = Batch {
        not_before: NOW + minutes(30),
        ..room.batch(10, minutes(10))
    };
    let pace = pace(10, 1);
    let mut demand = Demand::of(NOW, [&later]);
    assert_eq!(demand.takes(pace), 130 * MINUTE);
    demand = demand.begun();
    assert_eq!(demand.takes(pace), 100 * MINUTE);
    demand.remove(&later, 4);
    assert_eq!(demand.takes(pace), 60 * MINUTE);
    demand.remove(&later, 6);
    assert_eq!(demand.takes(pace), 0);
}

#[test]
fn an_evening_begins_and_ends_with_few_hosts_on() {
    let room = Made::new("r101", pace(2, 10), None);
    let batch = room.batch(20, minutes(10));
    let bear = |pace: Pace, batch: &Batch<'_>| ramp::takes(pace, &[batch], &paces(&[*batch]));
    // In both halves together 4, 8, 12 and 16 are on in the first four minutes, and 20 from then on.
    let half = 4 * MINUTE + (200 - 4 - 8 - 12 - 16) * MINUTE / 20;
    assert_eq!(bear(pace(2, 10), &batch), 2 * half);
    // Two minutes of work are through before more than those of the first minute have gone on or off.
    let short = Batch {
        each: SignedDuration::from_secs(6),
        ..batch
    };
    assert_eq!(bear(pace(2, 10), &short), MINUTE);
    // Ten hours are looked at minute by minute; what is on then is taken for all that there are.
    let slow = Made::new("r101", pace(1, 2000), None);
    let slow = slow.circuits;
    let slow = Batch {
        circuits: &slow,
        hosts: 2000,
        each: minutes(10_000),
        ..batch
    };
    let rest = 2000 * 10_000 - 600 * 601;
    let half = 600 * MINUTE + rest * MINUTE / 4000;
    assert_eq!(bear(pace(1, 2000), &slow), 2 * half);
}

#[test]
fn what_is_still_to_do_is_known_of_circuits_that_tell_rooms_apart() {
    let school = Some(pace(100, 100));
    let (quick, slow) = (
        Made::new("quick", pace(10, 10), school),
        Made::new("slow", pace(10, 1), school),
    );
    let batches = [quick.batch(10, minutes(10)), slow.batch(10, minutes(10))];
    let paces = paces(&batches);
    let mut rests = rest::all(NOW, &batches, &paces);
    let place = |wanted: &Circuit| paces.keys().position(|circuit| *circuit == wanted).unwrap();
    let slowly = place(&slow.circuits[0].0);
    let ends = |rests: &[Rest], place: usize| rest::ends(NOW, NOW + minutes(5), &[place], rests);
    assert_eq!(ends(&rests, place(&Circuit::School)), 5 * MINUTE);
    assert_eq!(ends(&rests, place(&quick.circuits[0].0)), 15 * MINUTE);
    assert_eq!(ends(&rests, slowly), 105 * MINUTE);
    rests[slowly].remove(&batches[1], 4);
    assert_eq!(ends(&rests, slowly), 65 * MINUTE);
}

#[test]
fn a_slow_room_goes_with_those_that_have_begun_when_it_would_be_last() {
    let school = Some(pace(60, 5));
    let quick = ["a", "b", "c", "d", "e", "f"].map(|name| Made::new(name, Pace::UNBOUNDED, school));
    let slow = Made::new("slow", pace(60, 1), school);
    let mut batches = Vec::from(quick.each_ref().map(|room| room.batch(5, minutes(10))));
    batches.push(slow.batch(8, minutes(5)));
    let nobody = Taken::default();
    let begins = |table: &Timetable| {
        let first = table.rooms[&slow.name].first_wake().unwrap();
        first.duration_since(NOW)
    };
    let plain = timetable(NOW, &nobody, &batches);
    assert_eq!(begins(&plain), minutes(60));
    // It takes 40 minutes: of those that could begin at ten minutes it is the last that would be through by the 50th,
    // and did it begin a second later, it would not be.
    let by = |target: Nanos| begins(&with_target(NOW, &nobody, &batches, target));
    assert_eq!(by(50 * MINUTE), minutes(10) + SignedDuration::from_secs(1));
    assert_eq!(by(50 * MINUTE - 1), minutes(10));
    let best = shortest(NOW, &nobody, &batches);
    assert!(best.makespan() < plain.makespan());
}
