//! Thousands of worlds, each from one number.

use std::time::Instant;

use reconciler::simulator::{Script, simulate};
use reconciler::simulator::time::{DAY, Moment};
use crate::fleets::{self, Size};

fn first_of_november() -> Moment {
    "2026-11-01T12:00:00Z".parse::<jiff::Timestamp>().unwrap().into()
}

#[test]
fn quiet() {
    let began = Instant::now();
    let from = first_of_november();
    let fleet = fleets::fleet(1, Size { schools: 2, rooms: 2 });
    let mut script = Script::new(&fleet, 4, 1, from, from + 30 * DAY);
    script.quiet_from = from;
    let outcome = simulate(&script);
    for event in outcome.account.events.iter().filter(|event| event.is_news()) {
        println!("{}", event.line(&format!("{:?}", event.site), &fleet.time_zone));
    }
    println!("{:?} {:?} {} {}", outcome.broken, outcome.wanting, outcome.account.passes, outcome.account.steps);
    println!("{:?}", began.elapsed());
}
