//! A rehearsal: what a fleet would live through, for people who are about to merge it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::fleet::Fleet;
use schema::name::{RoomName, SchoolName};

use super::event::{What, rate};
use super::fault::{self, Profile};
use super::script::{Script, Start};
use super::time::{DAY, Moment};
use super::{Account, Broken, simulate};
use crate::planning::{Action, Gate, StepId, StepResult};
use crate::report::style::count;
use crate::report::title;

/// How a fleet is rehearsed.
#[derive(Debug, Clone)]
pub struct Options {
    /// When it begins.
    pub from: Timestamp,
    /// How many weeks it lasts.
    pub weeks: u16,
    /// What chance follows from.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Profile,
    /// What the servers have at the beginning.
    pub start: Start,
    /// Hosts in each room that takes them from `devices.csv`, which the state repo does not hold.
    pub hosts_per_room: usize,
}

/// What a fleet lived through.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Promises that were broken: a fault of the program, not of the fleet.
    pub broken: Vec<Broken>,
    /// What happened.
    pub account: Account,
    /// What is not as it should be at the end, by school.
    pub wanting: BTreeMap<SchoolName, Vec<String>>,
    schools: Vec<(SchoolName, TimeZone)>,
    uplink: Option<u64>,
    zone: TimeZone,
    options: Options,
}

/// Rehearses a fleet: the production planner and loop at all schools, over so many weeks.
#[must_use]
pub fn rehearse(fleet: &Fleet, options: &Options) -> Rehearsal {
    let from = Moment::from(options.from);
    let until = from + i64::from(options.weeks) * 7 * DAY;
    let mut script = Script::new(fleet, options.hosts_per_room, options.seed, from, until);
    script.start = options.start;
    script.quiet_from = until;
    for (site, (name, rooms)) in script.schools.iter().enumerate() {
        let hosts: Vec<_> = rooms.values().flatten().cloned().collect();
        let images = fleet.schools.get(name).map(|school| &school.images);
        let versions = images.into_iter().flatten();
        let versions: Vec<_> = versions
            .map(|(image, wanted)| (image.clone(), wanted.version.clone()))
            .collect();
        script.faults.extend(fault::draw(
            options.faults,
            options.seed,
            site,
            &hosts,
            &versions,
            from,
            until,
        ));
    }
    let outcome = simulate(&script);
    let schools = fleet
        .schools
        .iter()
        .map(|(name, school)| (name.clone(), school.time_zone.clone()))
        .collect();
    Rehearsal {
        broken: outcome.broken,
        account: outcome.account,
        wanting: fleet
            .schools
            .keys()
            .cloned()
            .zip(outcome.wanting)
            .filter(|(_, left)| !left.is_empty())
            .collect(),
        schools,
        uplink: fleet.central.uplink.map(|rate| rate.bits() / 8),
        zone: fleet.time_zone.clone(),
        options: options.clone(),
    }
}

/// All resets of one room.
struct Resets {
    count: usize,
    longest: i64,
    /// The latest end by the school's clock.
    latest: String,
}

impl Rehearsal {
    /// Whether nothing would fail or be missing.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.broken.is_empty() && self.wanting.is_empty() && self.account.failures == 0
    }

    fn name(&self, site: usize) -> (&str, &TimeZone) {
        self.schools
            .get(site)
            .map_or(("?", &self.zone), |(name, zone)| (name.as_str(), zone))
    }

    fn timetable(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut begun: BTreeMap<(usize, &StepId), Moment> = BTreeMap::new();
        let mut resets: BTreeMap<(usize, &RoomName), Resets> = BTreeMap::new();
        writeln!(f, "Timetable")?;
        for event in &self.account.events {
            let Some(site) = event.site else { continue };
            match &event.what {
                What::Began(step) => _ = begun.insert((site, &step.id), event.at),
                What::Finished(step, result) => {
                    let Some(since) = begun.remove(&(site, &step.id)) else {
                        continue;
                    };
                    let (name, zone) = self.name(site);
                    let clock = |at: Moment, format: &str| {
                        at.timestamp()
                            .to_zoned(zone.clone())
                            .strftime(format)
                            .to_string()
                    };
                    if let Action::ResetRoom { room, .. } = &step.action {
                        let all = resets.entry((site, room)).or_insert(Resets {
                            count: 0,
                            longest: 0,
                            latest: String::new(),
                        });
                        all.count += 1;
                        all.longest = all.longest.max(event.at - since);
                        all.latest = all.latest.clone().max(clock(event.at, "%H:%M"));
                        continue;
                    }
                    let how = match result {
                        StepResult::Done => "",
                        StepResult::Paused => " (goes on in the next window)",
                        StepResult::Failed { .. } => " (fails)",
                    };
                    let (from, until) =
                        (clock(since, "%a %Y-%m-%d %H:%M"), clock(event.at, "%H:%M"));
                    writeln!(
                        f,
                        "  {from}–{until}  {name:<12} {}{how}",
                        title::of_step(step)
                    )?;
                }
                _ => {}
            }
        }
        for (
            (site, room),
            Resets {
                count,
                longest,
                latest,
            },
        ) in &resets
        {
            let minutes = longest / 60_000;
            writeln!(
                f,
                "  {:<12} room {room}: {count} resets, {minutes} minutes at most, over by {latest}",
                self.name(*site).0
            )?;
        }
        Ok(())
    }

    fn peaks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nPeaks")?;
        let at = |moment: Moment| {
            moment
                .timestamp()
                .to_zoned(self.zone.clone())
                .strftime("%a %Y-%m-%d %H:%M")
                .to_string()
        };
        let Account {
            uplink_asked: asked,
            uplink_moved: moved,
            ..
        } = &self.account;
        if asked.most == 0 {
            writeln!(f, "  the central server's line: nothing is downloaded")?;
        } else {
            let of = self
                .uplink
                .map_or_else(String::new, |capacity| format!(" of {}", rate(capacity)));
            writeln!(
                f,
                "  the central server's line: {}{of} in use, {}",
                rate(moved.most),
                at(moved.at)
            )?;
            if self.uplink.is_some_and(|capacity| asked.most > capacity) {
                writeln!(
                    f,
                    "    ! the schools may ask for {} at once, which is more than it carries ({})",
                    rate(asked.most),
                    at(asked.at)
                )?;
            }
        }
        for (site, peak) in self
            .account
            .power
            .iter()
            .enumerate()
            .filter(|(_, peak)| peak.most > 0)
        {
            writeln!(
                f,
                "  {}: {} hosts on at once, {}",
                self.name(site).0,
                peak.most,
                at(peak.at)
            )?;
        }
        Ok(())
    }

    fn late(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut late = BTreeSet::new();
        for event in &self.account.events {
            if let (
                Some(site),
                What::Waits {
                    gate,
                    what: text,
                    why,
                },
            ) = (event.site, &event.what)
                && (gate.needs_a_person() || matches!(gate, Gate::TooLate { .. }))
            {
                let why = match gate {
                    Gate::TooLate { minutes, .. } => {
                        format!("the window is too short for the {minutes} minutes it takes")
                    }
                    Gate::GaveUp { .. } => "hosts were given up until the next time".to_owned(),
                    Gate::NotRebranded(_) => {
                        "the image has to be moved into the school's domain first".to_owned()
                    }
                    _ => why.clone(),
                };
                late.insert((site, format!("{text}: {why}")));
            }
        }
        let paused: BTreeSet<_> = self
            .account
            .events
            .iter()
            .filter_map(|event| match (&event.what, event.site) {
                (What::Finished(step, StepResult::Paused), Some(site)) => {
                    Some((site, title::of_step(step)))
                }
                _ => None,
            })
            .collect();
        late.extend(
            paused
                .into_iter()
                .map(|(site, title)| (site, format!("{title}: takes more than one window"))),
        );
        writeln!(f, "\nLate")?;
        if late.is_empty() {
            return writeln!(f, "  nothing");
        }
        for (site, text) in late {
            writeln!(f, "  {:<12} {text}", self.name(site).0)?;
        }
        Ok(())
    }

    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failed: BTreeMap<(usize, String), usize> = BTreeMap::new();
        for event in &self.account.events {
            if let (Some(site), What::Finished(step, StepResult::Failed { why, .. })) =
                (event.site, &event.what)
            {
                *failed
                    .entry((site, format!("{}: {why}", title::of_step(step))))
                    .or_default() += 1;
            }
        }
        writeln!(f, "\nFailures")?;
        if failed.is_empty() && self.broken.is_empty() {
            writeln!(f, "  none")?;
        }
        for ((site, text), times) in failed {
            let times = if times == 1 {
                String::new()
            } else {
                format!(" ({times} times)")
            };
            writeln!(f, "  {:<12} {text}{times}", self.name(site).0)?;
        }
        for broken in &self.broken {
            writeln!(f, "  a fault of reconcile itself: {broken}")?;
        }
        if !self.wanting.is_empty() {
            writeln!(f, "\nNot as it should be at the end")?;
        }
        for (school, left) in &self.wanting {
            for what in left {
                writeln!(f, "  {school:<12} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options {
            weeks,
            seed,
            faults,
            start,
            ..
        } = &self.options;
        let mut head = format!(
            "{} of {}, seed {seed}",
            count(*weeks as usize, "week", "weeks"),
            count(self.schools.len(), "school", "schools"),
        );
        if *start == Start::Empty {
            head += ", beginning with empty servers";
        }
        match faults {
            Profile::None => head += ", nothing goes wrong",
            Profile::Light => head += ", with what goes wrong in a good year",
            Profile::Heavy => head += ", with much more going wrong than in any year",
        }
        write!(
            head,
            ": {} passes, {} steps",
            self.account.passes, self.account.steps
        )?;
        writeln!(f, "{head}.\n")?;
        self.timetable(f)?;
        self.peaks(f)?;
        self.late(f)?;
        self.failures(f)
    }
}
