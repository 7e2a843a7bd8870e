#![expect(clippy::unwrap_used, reason = "a test may panic")]

use schema::fleet::Then;
use schema::units::Percent;

use super::*;

const DAY: i64 = 24 * 3600;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + day * DAY).unwrap()
}

/// So many rooms of so many hosts, each standing as the function says of its number.
fn school(rooms: usize, hosts: usize, standing: impl Fn(usize) -> Standing) -> School {
    let mut school = School::new();
    for room in 0..rooms {
        let name: RoomName = format!("r{room:03}").parse().unwrap();
        let hosts = (0..hosts).map(|host| {
            let name: HostName = format!("{name}-pc{host:02}").parse().unwrap();
            (name, standing(room * hosts + host))
        });
        school.insert(name.clone(), hosts.collect());
    }
    school
}

type School = BTreeMap<RoomName, Vec<(HostName, Standing)>>;

fn progress(rollout: &Rollout, school: &School, day: i64) -> Progress {
    let rooms = school
        .iter()
        .map(|(room, hosts)| {
            let hosts = hosts.iter().map(|(host, standing)| (host, *standing));
            (room, hosts.collect())
        })
        .collect();
    Progress::of(rollout, at(0), at(day), &rooms)
}

fn sizes(rollout: &Rollout, school: &School) -> Vec<usize> {
    let progress = progress(rollout, school, 0);
    let numbers: Vec<usize> = progress.of_host.values().map(|seat| seat.wave).collect();
    (0..progress.waves.len())
        .map(|wave| numbers.iter().filter(|number| **number == wave).count())
        .collect()
}

fn waves(change: impl FnOnce(&mut Waves)) -> Rollout {
    let mut rollout = Rollout::default();
    change(rollout.waves.as_mut().unwrap());
    rollout
}

fn turn(rollout: &Rollout, school: &School, host: &str, day: i64) -> Turn {
    progress(rollout, school, day).turn(&host.parse().unwrap(), at(day))
}

#[test]
fn waves_hold_each_host_once_in_the_sizes_that_are_asked_for() {
    let school = school(10, 12, |_| Standing::Lacks);
    assert_eq!(sizes(&Rollout::default(), &school), [12, 36, 36, 36]);
    let hosts = waves(|waves| {
        waves.canary = Canary::Portion(Portion::Hosts(5));
        waves.then = Then::Portion(Portion::Hosts(50));
    });
    assert_eq!(sizes(&hosts, &school), [5, 50, 50, 15]);
    let named = waves(|waves| {
        waves.canary = Canary::Rooms(["r003", "r004"].map(|room| room.parse().unwrap()).into());
        waves.then = Then::Portion(Portion::Rooms(4));
    });
    assert_eq!(sizes(&named, &school), [24, 48, 48]);
    // Two rooms are the fifth exactly.
    let fifth =
        waves(|waves| waves.then = Then::Portion(Portion::Share(Percent::new(20).unwrap())));
    assert_eq!(sizes(&fifth, &school), [12, 24, 24, 24, 24, 12]);
    let groups = waves(|waves| {
        let group = |rooms: &[&str]| rooms.iter().map(|room| room.parse().unwrap()).collect();
        waves.then = Then::Groups(vec![group(&["r009", "r005"]), group(&[]), group(&["r001"])]);
    });
    assert_eq!(sizes(&groups, &school), [12, 24, 12, 72]);
    let with_canary = |host: &str| turn(&groups, &school, host, 1);
    assert!(matches!(with_canary("r005-pc00"), Turn::Closed(closed) if closed.wave == 2));
    assert!(matches!(with_canary("r002-pc00"), Turn::Closed(closed) if closed.wave == 4));
    let at_once = Rollout {
        waves: None,
        ..Rollout::default()
    };
    assert_eq!(sizes(&at_once, &school), [120]);
    assert_eq!(sizes(&Rollout::default(), &School::new()), [0; 0]);
}

#[test]
fn a_wave_opens_when_the_one_before_is_healthy_and_has_soaked() {
    let rollout = Rollout::default();
    let few = school(3, 20, |host| {
        if host < 18 {
            Standing::Has(at(1))
        } else {
            Standing::Lacks
        }
    });
    assert_eq!(turn(&rollout, &few, "r000-pc00", 2), Turn::Has);
    assert_eq!(turn(&rollout, &few, "r000-pc19", 2), Turn::Open(at(0)));
    let closed_for = |has, wanted, opens| {
        Turn::Closed(Closed {
            wave: 2,
            of: 3,
            has,
            wanted,
            opens,
        })
    };
    let closed = |has, opens| closed_for(has, 19, opens);
    assert_eq!(turn(&rollout, &few, "r001-pc00", 9), closed(18, None));
    // The nineteenth host had it on day 3, one more day goes by.
    let enough = school(3, 20, |host| match host {
        0..18 => Standing::Has(at(1)),
        18 => Standing::Has(at(3)),
        _ => Standing::Lacks,
    });
    assert_eq!(
        turn(&rollout, &enough, "r001-pc00", 3),
        closed(19, Some(at(4)))
    );
    assert_eq!(turn(&rollout, &enough, "r001-pc00", 4), Turn::Open(at(4)));
    // Hosts that are left alone are not waited for.
    let broken = school(3, 20, |host| match host {
        0..10 => Standing::Has(at(1)),
        10..20 => Standing::LeftAlone,
        _ => Standing::Lacks,
    });
    assert_eq!(turn(&rollout, &broken, "r001-pc00", 2), Turn::Open(at(2)));
    // But a state that nobody has tried is not given to others.
    let alone = school(3, 20, |host| match host {
        0..20 => Standing::LeftAlone,
        _ => Standing::Lacks,
    });
    assert_eq!(
        turn(&rollout, &alone, "r001-pc00", 9),
        closed_for(0, 1, None)
    );
}

#[test]
fn a_rollout_that_goes_bad_stops_by_itself_and_leaves_those_alone_that_have_it() {
    let rollout = Rollout::default();
    let bad = |failed: usize| {
        school(3, 20, move |host| match host {
            host if host < failed => Standing::Failed,
            10..20 => Standing::Has(at(1)),
            _ => Standing::Lacks,
        })
    };
    assert_eq!(turn(&rollout, &bad(2), "r000-pc00", 1), Turn::Open(at(0)));
    let stopped = Stopped {
        failed: 3,
        hosts: 20,
    };
    assert_eq!(
        turn(&rollout, &bad(3), "r000-pc00", 1),
        Turn::Stopped(stopped)
    );
    assert_eq!(
        turn(&rollout, &bad(3), "r001-pc00", 1),
        Turn::Stopped(stopped)
    );
    assert_eq!(turn(&rollout, &bad(3), "r000-pc19", 1), Turn::Has);
    // Hosts whose wave is still closed do not make the share smaller.
    let mut lenient = waves(|waves| waves.healthy = Percent::new(50).unwrap());
    lenient.stop_at_failures = Percent::new(12).unwrap();
    let closed = turn(&lenient, &bad(3), "r001-pc00", 1);
    assert_eq!(closed, Turn::Stopped(stopped));
    let open = turn(&lenient, &bad(3), "r001-pc00", 2);
    assert_eq!(open, Turn::Open(at(2)));
}

#[test]
fn what_opened_stays_open_as_more_hosts_get_it() {
    let rollout = waves(|waves| waves.healthy = Percent::new(50).unwrap());
    let mut opened = None;
    for count in 5..40 {
        let school = school(4, 10, |host| {
            if host < count {
                Standing::Has(at(1 + host as i64))
            } else {
                Standing::Lacks
            }
        });
        let turn = turn(&rollout, &school, "r001-pc09", 100);
        if let Turn::Open(at) = turn {
            assert_eq!(*opened.get_or_insert(at), at);
        }
    }
    assert_eq!(opened, Some(at(6)));
}
