//! Why a room is as it is: each of its settings, its value, and where that is written.

use super::origin::{Origin, Setting, Written};
use super::policy::{Canary, ExamRooms, Suspension, Then};
use super::school::{PowerBudget, Room, School};
use super::{Fleet, RoomHosts};
use crate::name::{RoomName, SchoolName};

/// One setting of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Which.
    pub setting: Setting,
    /// Its value, as it is written in the state repo where it is written there.
    pub value: String,
    /// Where it comes from: of room, school and fleet the nearest that says something.
    pub origin: Origin,
}

/// The documents from which a room has its settings, the nearest first.
struct Levels<'a>(Vec<(String, &'a Written)>);

impl Levels<'_> {
    fn origin(&self, setting: Setting) -> Origin {
        let written = self.0.iter().find_map(|(file, written)| {
            let line = written.line(setting)?;
            Some(Origin::Written {
                file: file.clone(),
                line,
            })
        });
        written.unwrap_or(Origin::Default)
    }
}

impl Fleet {
    /// Every setting of a room, in the order of [`Setting::ALL`], with where it comes from. What nobody
    /// says and has no value either is left out. None when there is no such room.
    #[must_use]
    pub fn explain(&self, school: &SchoolName, room: &RoomName) -> Option<Vec<Explained>> {
        let at = self.schools.get(school)?;
        let its = at.rooms.get(room)?;
        let mut levels = self.levels(school, at);
        let room_file = format!("schools/{school}/rooms/{room}.yaml");
        levels.0.insert(0, (room_file, &its.written));
        let mut rows = Vec::new();
        for setting in Setting::ALL.iter().copied() {
            if setting == Setting::Suspended {
                let suspended = [&its.suspended, &at.suspended, &self.suspended];
                rows.extend(suspensions(suspended, &levels));
                continue;
            }
            rows.extend(value(setting, at, room, its).map(|value| Explained {
                setting,
                value,
                origin: levels.origin(place_of(setting, its)),
            }));
        }
        Some(rows)
    }

    /// Where a setting of a whole school comes from; none when there is no such school.
    #[must_use]
    pub fn origin(&self, school: &SchoolName, setting: Setting) -> Option<Origin> {
        let at = self.schools.get(school)?;
        Some(self.levels(school, at).origin(setting))
    }

    fn levels<'a>(&'a self, name: &SchoolName, school: &'a School) -> Levels<'a> {
        Levels(vec![
            (school_file(name), &school.written),
            ("fleet.yaml".to_owned(), &self.written),
        ])
    }
}

/// The document of a school, relative to the root of the state repo.
#[must_use]
pub fn school_file(name: &SchoolName) -> String {
    format!("schools/{name}/school.yaml")
}

/// The setting whose place is that of this one: what a room with a budget of its own leaves out is as
/// in its power group.
fn place_of(setting: Setting, room: &Room) -> Setting {
    let from_group = matches!(setting, Setting::WakePerMinute | Setting::OnAtOnce)
        && room.written.line(setting).is_none()
        && room.power.is_some()
        && room.power_group.is_some();
    if from_group {
        Setting::PowerGroups
    } else {
        setting
    }
}

/// Suspensions add up, so each level has its own.
fn suspensions<'a>(
    suspended: [&'a Option<Suspension>; 3],
    levels: &'a Levels<'_>,
) -> impl Iterator<Item = Explained> + 'a {
    let rows = suspended.into_iter().zip(&levels.0);
    rows.filter_map(|(suspended, (file, written))| {
        let Suspension { reason, by, until } = suspended.as_ref()?;
        let until = until.map_or(String::new(), |until| format!(" until {until}"));
        Some(Explained {
            setting: Setting::Suspended,
            value: format!("{reason} ({by}{until})"),
            origin: match written.line(Setting::Suspended) {
                Some(line) => Origin::Written {
                    file: file.clone(),
                    line,
                },
                None => Origin::Default,
            },
        })
    })
}

/// The value of a setting; none where there is nothing to tell.
fn value(setting: Setting, school: &School, name: &RoomName, room: &Room) -> Option<String> {
    let waves = school.rollout.waves.as_ref();
    let power = power(school, room);
    match setting {
        Setting::Class => Some(match &room.hosts {
            RoomHosts::FromDevices => room.class.to_string(),
            RoomHosts::Listed(hosts) => format!("{} ({} hosts)", room.class, hosts.len()),
        }),
        Setting::Reset => Some(
            room.reset
                .as_ref()
                .map_or("never".to_owned(), ToString::to_string),
        ),
        Setting::WindowsReset => Some(room.windows.reset(&school.windows).to_string()),
        Setting::WindowsDownload => Some(school.windows.download.to_string()),
        Setting::WindowsActivate => Some(school.windows.activate.to_string()),
        Setting::Lessons => Some(room.windows.lessons(&school.windows).to_string()),
        Setting::Calendar => Some(match school.holidays.iter().len() {
            0 => "no holidays".to_owned(),
            1 => "1 holiday".to_owned(),
            many => format!("{many} holidays"),
        }),
        Setting::Holidays => single_days(school),
        Setting::Exams => exams(school, name),
        Setting::InUse => Some(room.in_use.to_string()),
        Setting::PowerGroup => room.power_group.as_ref().map(ToString::to_string),
        Setting::WakePerMinute => Some(power.wake_per_minute.to_string()),
        Setting::OnAtOnce => Some(power.on_at_once.to_string()),
        Setting::PowerGroups => {
            let group = room.power_group.as_ref()?;
            let PowerBudget {
                wake_per_minute,
                on_at_once,
            } = school.power_groups.get(group)?;
            Some(format!(
                "{group}: {wake_per_minute} woken per minute, {on_at_once} on at once"
            ))
        }
        Setting::Tries => Some(school.retries.tries.to_string()),
        Setting::Wait => Some(school.retries.wait.to_string()),
        Setting::StalledAfter => Some(school.retries.stalled_after.to_string()),
        Setting::Rollout => Some(match waves {
            Some(_) => "in waves".to_owned(),
            None => "at_once".to_owned(),
        }),
        Setting::RolloutFrom => school.rollout.from.map(|day| day.to_string()),
        Setting::Canary => waves.map(|waves| match &waves.canary {
            Canary::Portion(portion) => portion.to_string(),
            Canary::Rooms(rooms) => list(rooms),
        }),
        Setting::Then => waves.map(|waves| match &waves.then {
            Then::Portion(portion) => portion.to_string(),
            Then::Groups(groups) => {
                let groups = groups.iter().map(list);
                groups.collect::<Vec<_>>().join("; ")
            }
        }),
        Setting::Healthy => waves.map(|waves| waves.healthy.to_string()),
        Setting::Soak => waves.map(|waves| waves.soak.to_string()),
        Setting::StopAtFailures => Some(school.rollout.stop_at_failures.to_string()),
        Setting::LoadingAtOnce => Some(school.rollout.loading_at_once.to_string()),
        Setting::ReimageAtMost => Some(school.guard.reimage_at_most.to_string()),
        Setting::Announce => Some(match school.announce {
            Some(announce) => format!("{} days before", announce.days_before),
            None => "never".to_owned(),
        }),
        Setting::DownloadRate => school.download_rate.map(|rate| rate.to_string()),
        Setting::TimeZone => school.time_zone.iana_name().map(str::to_owned),
        Setting::Suspended => None,
    }
}

/// What the nearest circuit bears: the room's own, or that of the whole school.
fn power(school: &School, room: &Room) -> PowerBudget {
    room.power.unwrap_or(school.power)
}

fn list<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    names.join(", ")
}

/// Free days that no calendar has, which have no name of their own.
fn single_days(school: &School) -> Option<String> {
    let days = school
        .holidays
        .iter()
        .filter(|(_, _, name)| *name == SINGLE_DAYS)
        .map(|(from, to, _)| crate::schedule::Dates { from, to });
    let text = list(days);
    (!text.is_empty()).then_some(text)
}

/// The name of free days that are written one by one.
pub(crate) const SINGLE_DAYS: &str = "no school";

fn exams(school: &School, room: &RoomName) -> Option<String> {
    let exams = school.exams.iter().filter(|exam| match &exam.rooms {
        ExamRooms::All => true,
        ExamRooms::These(rooms) => rooms.contains(room),
    });
    let text = list(exams.map(|exam| exam.dates));
    (!text.is_empty()).then_some(text)
}
