//! What a host is tried for again, by what is known of it since.

use std::sync::Arc;

use harness::worlds::{World, applied, at, failed, name, unreachable};
use reconciler::linbo::status::HostReport;
use reconciler::planning::{Orders, Probe};

use super::cases::{MONDAY, check};

/// A Monday evening on which all hosts but one were put back.
fn evening() -> World {
    let mut world = World::school(at(MONDAY));
    world.observed.journal = Default::default();
    for host in world.hosts().iter().skip(1) {
        world.outcome(
            host.as_str(),
            at("2026-11-23T18:01"),
            applied("ubuntu.qcow2"),
        );
    }
    world
}

/// What was resolved counts no more, neither how often nor how: not answering is given up sooner than failing.
#[test]
fn a_host_whose_failures_are_resolved_begins_anew() {
    let mut world = evening();
    for time in ["2026-11-23T18:10", "2026-11-23T18:15", "2026-11-23T18:20"] {
        world.outcome("r101-pc01", at(time), failed("no space"));
    }
    check(&world, &["r101 1: GaveUp"]);
    // At the very time of the last failure, which is therefore over too.
    let mut orders = Orders::default();
    orders.resume("host r101-pc01".parse().unwrap(), at("2026-11-23T18:20"));
    world.observed.orders = Probe::Seen(orders);
    check(&world, &["reset r101 1"]);
    world.outcome("r101-pc01", world.observed.at, unreachable());
    check(&world, &["r101 1: Retry"]);
    world.pass(10);
    check(&world, &["reset r101 1"]);
    world.outcome("r101-pc01", world.observed.at, unreachable());
    check(&world, &["r101 1: GaveUp"]);
}

/// What was judged of the same minute knows more than what the host wrote.
#[test]
fn what_a_host_said_since_its_last_judgement_counts() {
    for (reported, expected) in [
        ("202611231824", &["r101 1: Retry"][..]),
        ("202611231825", &["r101 1: Retry"]),
        ("202611231826", &[]),
    ] {
        let mut world = evening();
        world.outcome("r101-pc01", at("2026-11-23T18:25"), failed("no space"));
        let line = format!("{reported} applied: ubuntu.qcow2 \"202611011930\"");
        let report = HostReport::parse(line.as_bytes()).unwrap();
        let reports = Arc::make_mut(&mut world.observed.reports);
        reports.insert(name("r101-pc01"), Probe::Seen(Some(report)));
        check(&world, expected);
    }
}
