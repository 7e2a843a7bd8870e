use std::cell::RefCell;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::*;

type OnCircuits = Vec<(Circuit, Pace)>;

const FREE: u32 = u32::MAX;

fn pace(wake_per_minute: u32, on_at_once: u32) -> Pace {
    Pace {
        wake_per_minute,
        on_at_once,
    }
}

/// The circuits of a room in a school.
fn room(name: &str, own: Pace, school: Pace) -> OnCircuits {
    #[expect(clippy::unwrap_used, reason = "a test may panic")]
    let room = Circuit::Room(name.parse().unwrap());
    vec![(Circuit::School, school), (room, own)]
}

fn host(name: &str) -> HostName {
    #[expect(clippy::unwrap_used, reason = "a test may panic")]
    name.parse().unwrap()
}

fn named(room: &str, hosts: usize) -> Vec<HostName> {
    (1..=hosts)
        .map(|number| host(&format!("{room}-pc{number}")))
        .collect()
}

/// Wakes hosts of several rooms that stay on for so many seconds each; when each was woken, in seconds.
async fn wakes(rooms: &[(&str, OnCircuits, usize, u64)]) -> Vec<(String, u64)> {
    let gate = Circuits::default();
    let begin = Instant::now();
    let woken = RefCell::new(Vec::new());
    let all = rooms.iter().flat_map(|(room, circuits, hosts, on_for)| {
        named(room, *hosts)
            .into_iter()
            .map(move |host| (room, host, circuits, *on_for))
    });
    let all = all.map(|(room, host, circuits, on_for)| {
        let (gate, woken) = (&gate, &woken);
        async move {
            let place = gate.place(&host, circuits, true).await;
            place.packet().await;
            let at = begin.elapsed().as_millis().div_euclid(1000);
            woken
                .borrow_mut()
                .push(((*room).to_owned(), u64::try_from(at).unwrap_or(u64::MAX)));
            sleep(Duration::from_secs(on_for)).await;
        }
    });
    join_all(all).await;
    woken.into_inner()
}

fn of(room: &str, woken: &[(String, u64)]) -> Vec<u64> {
    let own = woken.iter().filter(|(of, _)| of == room);
    own.map(|(_, at)| *at).collect()
}

#[tokio::test(start_paused = true)]
async fn wakes_are_spread_evenly_and_the_first_comes_at_once() {
    let woken = wakes(&[("r", room("r", pace(FREE, FREE), pace(6, 9)), 4, 100)]).await;
    assert_eq!(of("r", &woken), [0, 10, 20, 30]);
}

#[tokio::test(start_paused = true)]
async fn no_more_hosts_are_on_than_each_circuit_bears() {
    let woken = wakes(&[("r", room("r", pace(60, 2), pace(FREE, FREE)), 5, 300)]).await;
    assert_eq!(of("r", &woken), [0, 1, 300, 301, 600]);
}

#[tokio::test(start_paused = true)]
async fn rooms_share_the_school_and_one_that_waits_for_itself_keeps_no_other_waiting() {
    let school = pace(60, 3);
    let woken = wakes(&[
        ("a", room("a", pace(FREE, 1), school), 3, 100),
        ("b", room("b", pace(FREE, FREE), school), 4, 100),
    ])
    .await;
    assert_eq!(of("a", &woken), [0, 100, 200]);
    assert_eq!(of("b", &woken), [1, 2, 101, 102]);
    // The pace of one does not slow the other, and both together keep that of the school.
    let woken = wakes(&[
        ("a", room("a", pace(1, FREE), pace(30, FREE)), 3, 1),
        ("b", room("b", pace(FREE, FREE), pace(30, FREE)), 4, 1),
    ])
    .await;
    assert_eq!(of("a", &woken), [0, 60, 120]);
    assert_eq!(of("b", &woken), [2, 4, 6, 8]);
}

#[tokio::test(start_paused = true)]
async fn the_room_with_most_hosts_to_wake_is_served_first() {
    let school = pace(60, 1);
    let woken = wakes(&[
        ("a", room("a", pace(FREE, FREE), school), 2, 100),
        ("b", room("b", pace(FREE, FREE), school), 3, 100),
    ])
    .await;
    // The first was alone when it asked; of two with as many whoever asked first goes first.
    assert_eq!(of("a", &woken), [0, 300]);
    assert_eq!(of("b", &woken), [100, 200, 400]);
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_waiting_blocks_nobody_and_a_turn_is_not_given_twice() {
    let gate = Circuits::default();
    let circuits = room("r", pace(1, 1), pace(FREE, FREE));
    let first = gate.place(&host("pc1"), &circuits, true).await;
    first.packet().await;
    let (second, third) = (host("pc2"), host("pc3"));
    let gave_up = timeout(Duration::from_secs(1), gate.place(&second, &circuits, true));
    assert!(gave_up.await.is_err());
    drop(first);
    let begin = Instant::now();
    let place = gate.place(&third, &circuits, true).await;
    place.packet().await;
    assert_eq!(begin.elapsed().as_secs(), 59);
}

#[tokio::test(start_paused = true)]
async fn a_packet_keeps_its_distance_when_looks_took_longer() {
    let gate = Circuits::default();
    let circuits = room("r", pace(6, FREE), pace(FREE, FREE));
    let begin = Instant::now();
    let (one, two) = (host("pc1"), host("pc2"));
    let slow = async {
        let place = gate.place(&one, &circuits, true).await;
        sleep(Duration::from_secs(9)).await;
        place.packet().await;
        begin.elapsed().as_secs()
    };
    let quick = async {
        let place = gate.place(&two, &circuits, true).await;
        place.packet().await;
        begin.elapsed().as_secs()
    };
    assert_eq!(tokio::join!(slow, quick), (9, 19));
}

#[tokio::test(start_paused = true)]
async fn hosts_that_are_on_count_and_those_of_them_begin_that_the_circuit_bears() {
    let gate = Circuits::default();
    let circuits = room("r", pace(FREE, 1), pace(FREE, FREE));
    let [asleep, one, two] = ["pc1", "pc2", "pc3"].map(host);
    let busy = host("pc4");
    gate.note(&busy, &circuits, Duration::from_secs(100));
    let order = RefCell::new(Vec::new());
    let begin = Instant::now();
    let work = async |host: &HostName, is_asleep| {
        let place = gate.place(host, &circuits, is_asleep).await;
        order
            .borrow_mut()
            .push((host.to_string(), begin.elapsed().as_secs()));
        sleep(Duration::from_secs(10)).await;
        place.off(host);
        drop(place);
    };
    tokio::join!(work(&asleep, true), work(&one, false), work(&two, false));
    let expected = [("pc2", 0), ("pc3", 10), ("pc1", 100)];
    assert_eq!(
        order.into_inner(),
        expected.map(|(host, at)| (host.to_owned(), at))
    );
}

#[tokio::test(start_paused = true)]
async fn hosts_that_an_earlier_pass_left_on_count_until_they_are_off_or_had_time_enough() {
    let gate = Circuits::default();
    let circuits = room("r", pace(FREE, 2), pace(FREE, FREE));
    let [one, two, left, gone] = ["pc1", "pc2", "pc3", "pc4"].map(host);
    let on = |hosts: &[&HostName]| {
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| ((*host).clone(), circuits.clone()))
            .collect();
        gate.seen_on(hosts, &BTreeSet::new(), Duration::from_secs(100));
    };
    let begin = Instant::now();
    let woken = async |host: &HostName| {
        let place = gate.place(host, &circuits, true).await;
        (begin.elapsed().as_secs(), place)
    };
    on(&[&left, &gone]);
    let looks = async {
        for _ in 0..20 {
            sleep(Duration::from_secs(10)).await;
            on(&[&left]);
        }
    };
    let ((first, place), (second, _), ()) = tokio::join!(woken(&one), woken(&two), looks);
    assert_eq!((first, second), (10, 100));
    // Whoever works on one that was left on has its place.
    drop(place);
    on(&[&one, &two]);
    let (at, _) = woken(&one).await;
    assert_eq!(at, 200);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_may_still_be_on_counts_until_it_cannot_be_any_more() {
    let gate = Circuits::default();
    let circuits = room("r", pace(FREE, 1), pace(FREE, FREE));
    let [one, two] = ["pc1", "pc2"].map(host);
    let place = gate.place(&one, &circuits, true).await;
    place.left(&one, Duration::from_secs(30));
    drop(place);
    let begin = Instant::now();
    let place = gate.place(&two, &circuits, true).await;
    assert_eq!(begin.elapsed().as_secs(), 30);
    place.left(&two, Duration::from_secs(30));
    drop(place);
    // Whoever asks for it again knows more of it.
    let begin = Instant::now();
    drop(gate.place(&two, &circuits, true).await);
    assert_eq!(begin.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn several_hosts_at_once_wait_for_as_many_places_and_keep_the_turns_of_all() {
    let gate = Circuits::default();
    let circuits = room("r", pace(FREE, FREE), pace(30, 4));
    let begin = Instant::now();
    let singles = named("s", 8);
    let order = RefCell::new(Vec::new());
    let single = async |host: &HostName| {
        let place = gate.place(host, &circuits, true).await;
        order.borrow_mut().push(begin.elapsed().as_secs());
        sleep(Duration::from_secs(50)).await;
        drop(place);
    };
    let batch = async {
        sleep(Duration::from_secs(1)).await;
        let hosts = named("b", 3).into_iter().collect();
        let place = gate.places(hosts, &circuits, Duration::from_secs(2)).await;
        let at = begin.elapsed().as_secs();
        sleep(Duration::from_secs(50)).await;
        for host in named("b", 3) {
            place.off(&host);
        }
        sleep(Duration::from_secs(1000)).await;
        at
    };
    let late = async {
        sleep(Duration::from_secs(3)).await;
        join_all(singles[4..].iter().map(single)).await;
    };
    let (_, at, ()) = tokio::join!(join_all(singles[..4].iter().map(single)), batch, late);
    // Those that came later wait behind it, although there would have been a place for them.
    assert_eq!(at, 54);
    assert_eq!(order.into_inner(), [0, 2, 4, 6, 60, 104, 106, 108]);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_to_load_is_not_overtaken_for_ever() {
    let gate = Circuits::default();
    let quick = room("r", pace(FREE, FREE), pace(FREE, 2));
    let mut loading = quick.clone();
    loading.push((Circuit::Loading, pace(FREE, 1)));
    let begin = Instant::now();
    let [one, two] = ["pc1", "pc2"].map(host);
    let load = async |host: &HostName| {
        let place = gate.place(host, &loading, true).await;
        let at = begin.elapsed().as_secs();
        sleep(Duration::from_secs(100)).await;
        drop(place);
        at
    };
    let others = async {
        for host in named("q", 30) {
            drop(timeout(Duration::from_secs(10), gate.place(&host, &quick, true)).await);
            sleep(Duration::from_secs(1)).await;
        }
    };
    let (first, second, ()) = tokio::join!(load(&one), load(&two), others);
    assert_eq!((first, second), (0, 100));
}

/// Many rooms with many bounds: at no time are more on, or are more woken in a minute, than each bears.
#[tokio::test(start_paused = true)]
async fn budgets_hold_at_every_time() {
    let school = pace(120, 40);
    let group = |name: &str| {
        #[expect(clippy::unwrap_used, reason = "a test may panic")]
        Circuit::Group(name.parse().unwrap())
    };
    let mut rooms = Vec::new();
    for number in 1..=12_u32 {
        let name = format!("r{number}");
        let mut circuits = room(&name, pace(20 + number, 3 + number), school);
        let bounds = pace(60, 12);
        circuits.push((group(if number % 2 == 0 { "even" } else { "odd" }), bounds));
        rooms.push((name, circuits));
    }
    let gate = Circuits::default();
    let begin = Instant::now();
    let events = RefCell::new(Vec::new());
    let all = rooms.iter().flat_map(|(name, circuits)| {
        named(name, 30)
            .into_iter()
            .map(move |host| (host, circuits))
    });
    let all = all.enumerate().map(|(index, (host, circuits))| {
        let (gate, events) = (&gate, &events);
        async move {
            let place = gate.place(&host, circuits, true).await;
            place.packet().await;
            let from = begin.elapsed();
            let lasts = 60 + u64::try_from(index * 37 % 240).unwrap_or(0);
            sleep(Duration::from_secs(lasts)).await;
            drop(place);
            events.borrow_mut().push((from, begin.elapsed(), circuits));
        }
    });
    join_all(all).await;
    let events = events.into_inner();
    assert_eq!(events.len(), 360);
    for (circuit, bounds) in rooms.iter().flat_map(|(_, circuits)| circuits) {
        let own: Vec<_> = events
            .iter()
            .filter(|(_, _, circuits)| circuits.iter().any(|(of, _)| of == circuit))
            .collect();
        for (from, ..) in &own {
            let on = own
                .iter()
                .filter(|(f, to, _)| f <= from && from < to)
                .count();
            assert!(on <= bounds.on_at_once as usize, "{circuit}: {on}");
            let minute = *from + Duration::from_secs(60);
            let woken = own
                .iter()
                .filter(|(f, ..)| from <= f && *f < minute)
                .count();
            assert!(
                woken <= bounds.wake_per_minute as usize,
                "{circuit}: {woken}"
            );
        }
    }
    // Two groups bear 24 that stay on for three minutes: 360 hosts take three quarters of an hour.
    let ends = events.iter().map(|(_, to, _)| to.as_secs()).max();
    assert!(ends.is_some_and(|ends| ends < 50 * 60), "{ends:?}");
}

#[test]
fn seconds_are_rounded_up() {
    let seconds = |n| seconds_between_wakes(&[(Circuit::School, pace(n, 1))]);
    assert_eq!(
        [0, 1, 6, 7, 59, 60, 61, u32::MAX].map(seconds),
        [60, 60, 10, 9, 2, 1, 1, 1]
    );
}
