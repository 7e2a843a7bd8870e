//! A world from a seed: a fleet, its history, what people do and what goes wrong.

use std::rc::Rc;

use reconciler::config::Driver;
use reconciler::planning::Subject;
use reconciler::simulator::chance::Chance;
use reconciler::simulator::time::{DAY, HOUR, MINUTE, Moment};
use reconciler::simulator::{Commit, Edit, Profile, Script, Signer, Start, Turn, fault};

use schema::fleet::School;

use crate::fleets::{self, Size};

/// So many days at the end of a world nothing goes wrong in: every schedule and window occurs in them.
pub(crate) const QUIET_DAYS: i64 = 9;

/// The world of a seed, from the first of November 2026 in any zone, with a change of clocks in some.
/// Where something is `tried`, hosts of test classes come and go.
pub(crate) fn world(
    seed: u64,
    profile: Profile,
    size: Size,
    (hosts, days): (usize, i64),
    tried: bool,
) -> Script {
    let mut chance = Chance::of(seed, "world");
    let begin = if seed.is_multiple_of(4) {
        "2026-10-20T12:00:00Z"
    } else {
        "2026-11-01T12:00:00Z"
    };
    let from: Moment = begin.parse::<jiff::Timestamp>().unwrap().into();
    let until = from + days * DAY;
    let mut fleet = fleets::fleet(seed, size);
    for school in fleet.schools.values_mut() {
        bears(school, size.rooms * hosts);
    }
    let is_foreign = tried && seed % 3 == 1;
    if is_foreign {
        fleet = fleets::foreign(&fleet);
    }
    let mut script = Script::new(&fleet, hosts, seed, from, until);
    script.keep_all = false;
    script.quiet_from = until + -QUIET_DAYS * DAY;
    script.tick = *chance
        .pick(&[MINUTE, 5 * MINUTE, 5 * MINUTE, 7 * MINUTE])
        .unwrap();
    script.start = *chance.pick(&[Start::Empty, Start::Converged]).unwrap();
    if is_foreign {
        // Nothing of another domain lies there in the beginning.
        script.start = Start::Empty;
    }
    script.driver = *chance
        .pick(&[Driver::Wrapper, Driver::LinboRemote])
        .unwrap();
    script.signers = seed.is_multiple_of(2);
    history(&mut script, &mut chance.part(1), tried);
    people(&mut script, &mut chance.part(2), profile);
    if is_foreign {
        rebrand(&mut script, &mut chance.part(3));
    }
    let images = ["ubuntu", "tools"].into_iter();
    let versions = images.flat_map(|image| {
        ["v1", "v2", "v3"].map(|version| (fleets::read(image), fleets::read(version)))
    });
    let versions: Vec<_> = versions.collect();
    for site in 0..size.schools {
        let hosts = fleets::hosts(&script, site);
        script.faults.extend(fault::draw(
            profile,
            seed,
            site,
            &hosts,
            &versions,
            from,
            script.quiet_from,
        ));
    }
    script
}

/// At each school somebody sees to it once a day that nothing has to be moved into its domain.
fn rebrand(script: &mut Script, chance: &mut Chance) {
    let goes_back = |turn: &Turn| matches!(turn, Turn::RollBack(..));
    script.turns.retain(|(_, turn)| !goes_back(turn));
    let days = (script.until - script.from) / DAY;
    for site in 0..script.schools.len() {
        for day in 0..days {
            let at = script.from + day * DAY + chance.between(0, DAY);
            let turn = Turn::Rebrand(site, fleets::read("ubuntu"));
            script.turns.push((at, turn));
        }
    }
    script.turns.sort_by_key(|(at, _)| *at);
}

/// A large school has fuses for as many PCs, or it is never through.
fn bears(school: &mut School, pcs: usize) {
    let factor = u32::try_from(pcs.div_ceil(12)).unwrap();
    let groups = school.power_groups.values_mut();
    for budget in groups.chain([&mut school.power]) {
        budget.wake_per_minute *= factor;
        budget.on_at_once *= factor;
    }
}

/// Commits that follow one another, now and then an invalid one or one on another branch.
fn history(script: &mut Script, chance: &mut Chance, tried: bool) {
    let busy = script.quiet_from - script.from;
    let mut fleet = script.commits[0].fleet.clone().unwrap();
    let first = script.schools.values().next().into_iter();
    let first = first.flat_map(|rooms| rooms.values().next());
    let first: Vec<_> = first.flatten().cloned().collect();
    let mut tip = 0;
    let mut times: Vec<i64> = (0..chance.between(1, 5))
        .map(|_| chance.between(HOUR, busy))
        .collect();
    times.sort_unstable();
    let mut times = times.into_iter().peekable();
    while let Some(after) = times.next() {
        let at = script.from + after;
        let version = *chance.pick(&["v1", "v2", "v3"]).unwrap();
        let mut lasts = true;
        let day = |at: Moment| at.timestamp().to_zoned(fleet.time_zone.clone()).date();
        let latest = day(script.quiet_from + -DAY);
        let is_tried = fleet
            .schools
            .values()
            .any(|school| !school.test_classes.is_empty());
        let next = Rc::new(match chance.below(if tried { 8 } else { 4 }) {
            6 | 7 => fleets::kept(&fleet, &first, chance),
            4 if is_tried => fleets::untried(&fleet),
            4 | 5 => {
                let far = day(script.until + 9 * DAY);
                let ends = day(at + chance.between(1, 9) * DAY).min(latest);
                let until = *chance.pick(&[ends, far, far]).unwrap();
                let hosts = ["r01-pc01", "r01-pc02", "r02-pc01"];
                fleets::tried(&fleet, &hosts, until)
            }
            3 => {
                lasts = false;
                let until = day(at + chance.between(1, 5) * DAY);
                fleets::suspended(&fleet, until.min(latest), chance)
            }
            0 => fleets::with_kernel_options(
                &fleet,
                "ubuntu-lab",
                &format!("quiet splash{}", chance.below(9)),
            ),
            1 => fleets::at_version(&fleet, "tools", version),
            _ => fleets::at_version(&fleet, "ubuntu", version),
        });
        let ours = (Some(tip), "a change", Signer::Known, Ok(Rc::clone(&next)));
        let (parent, subject, signer, said) = match chance.below(8) {
            0 => (
                Some(tip),
                "a slip of the pen",
                Signer::Known,
                Err("rooms/r01.yaml:3:5: no such class".to_owned()),
            ),
            1 => (None, "another history", Signer::Known, ours.3),
            2 if script.signers => (Some(tip), "of a stranger", Signer::Stranger, ours.3),
            3 if script.signers => (Some(tip), "not signed", Signer::Nobody, ours.3),
            _ => ours,
        };
        let number = script.commits.len();
        let bad = said.is_err() || parent.is_none() || signer != Signer::Known;
        script.commits.push(Commit {
            at,
            parent,
            subject: subject.to_owned(),
            signer,
            fleet: said,
        });
        if bad {
            // Somebody notices, and sets the branch back to what was good, if the next change does not.
            let noticed = after + chance.between(HOUR, DAY);
            if times.peek().is_none_or(|next| noticed < *next) {
                script.turns.push((script.from + noticed, Turn::Merge(tip)));
            }
        } else if lasts {
            (fleet, tip) = (next, number);
        } else {
            tip = number;
        }
    }
    // Whatever was set back or forced: before the quiet time the branch is where it should be.
    script.turns.push((script.quiet_from, Turn::Merge(tip)));
}

fn people(script: &mut Script, chance: &mut Chance, profile: Profile) {
    let most = match profile {
        Profile::None => 0,
        Profile::Light => 2,
        Profile::Heavy => 10,
    };
    let busy = script.quiet_from - script.from;
    for site in 0..script.schools.len() {
        for _ in 0..chance.below(most + 1) {
            let at = script.from + chance.between(0, busy);
            let turn = match chance.below(9) {
                0 => Turn::Edit(site, fleets::read("ubuntu-lab"), Edit::Removed),
                1 => Turn::Edit(site, fleets::read("ubuntu-lab"), Edit::Changed),
                2 => Turn::TorrentLost(site, fleets::read("ubuntu")),
                3 => Turn::Backup(site),
                4 => Turn::Restore(site),
                5 => Turn::Stop(site),
                6 => Turn::SeederDied(site, fleets::read("ubuntu")),
                _ => Turn::Pass(site),
            };
            script.turns.push((at, turn));
        }
        orders(script, &mut chance.part(site as u64), site);
        // Idle looks: what nobody expects to do anything must do nothing.
        for _ in 0..4 {
            script.turns.push((
                script.from + chance.between(0, script.until - script.from),
                Turn::Pass(site),
            ));
        }
    }
}

/// What people order on the server: to leave something alone, and to go on.
fn orders(script: &mut Script, chance: &mut Chance, site: usize) {
    let hosts = fleets::hosts(script, site);
    let busy = script.quiet_from - script.from;
    let mut back = chance.part(1);
    if back.happens(50) {
        let image = fleets::read("ubuntu");
        let at = script.from + back.between(0, busy - HOUR);
        let to = fleets::read(back.pick(&["v1", "v2", "v3"]).unwrap());
        script.turns.push((at, Turn::RollBack(site, image, to)));
        if back.happens(500) {
            let later = (at + back.between(HOUR, 9 * DAY)).min(script.quiet_from);
            let image = Subject::Image(fleets::read("ubuntu"));
            script.turns.push((later, Turn::Resume(site, image)));
        }
    }
    for _ in 0..chance.below(4) {
        let at = script.from + chance.between(0, busy - HOUR);
        let what = match chance.below(6) {
            0 => Subject::Server,
            1 => Subject::Room(fleets::read("r01")),
            2 => Subject::Room(fleets::read("r02")),
            3 => Subject::Image(fleets::read("ubuntu")),
            _ => Subject::Host(chance.pick(&hosts).unwrap().clone()),
        };
        if chance.happens(700) {
            let until = chance
                .happens(500)
                .then(|| at + chance.between(HOUR, 3 * DAY));
            script
                .turns
                .push((at, Turn::Suspend(site, what.clone(), until)));
        }
        if chance.happens(700) {
            let later = (at + chance.between(HOUR, 4 * DAY)).min(script.quiet_from);
            script.turns.push((later, Turn::Resume(site, what)));
        }
    }
}
