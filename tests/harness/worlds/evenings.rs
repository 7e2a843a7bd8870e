//! Evenings on which rooms share circuits: random ones with all that can happen, and those of schools.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use reconciler::planning::{Batch, Circuit, Pace, Taken};
use schema::name::RoomName;

use super::dice::Dice;
use super::{at, name};

/// What is to be woken on one evening, and what is on when it begins.
#[derive(Debug, Clone)]
pub struct Evening {
    /// When it begins.
    pub now: Timestamp,
    /// Hosts of earlier passes.
    pub before: Vec<Before>,
    /// What is to be woken, in order.
    pub stays: Vec<Stay>,
}

/// A host of an earlier pass.
#[derive(Debug, Clone)]
pub struct Before {
    /// Its circuits.
    pub circuits: Vec<Circuit>,
    /// When it was woken, if that is known.
    pub woken: Option<Timestamp>,
    /// When it is off.
    pub off: Timestamp,
}

/// A batch that owns its parts.
#[derive(Debug, Clone)]
pub struct Stay {
    /// The room.
    pub room: RoomName,
    /// How many hosts.
    pub hosts: usize,
    /// Their circuits.
    pub circuits: Vec<(Circuit, Pace)>,
    /// How long each is on.
    pub each: SignedDuration,
    /// When the first may be woken.
    pub not_before: Timestamp,
    /// When all have to be off.
    pub closes: Option<Timestamp>,
}

impl Evening {
    /// The batches.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch<'_>> {
        self.stays.iter().map(Stay::batch).collect()
    }

    /// What is taken.
    #[must_use]
    pub fn taken(&self) -> Taken {
        let mut taken = Taken::default();
        for Before {
            circuits,
            woken,
            off,
        } in &self.before
        {
            taken.add(circuits, *woken, *off);
        }
        taken
    }

    /// An evening of a school: so many rooms of so many hosts, every so many on a fuse of their own,
    /// ten minutes for each host.
    #[must_use]
    pub fn of_school(rooms: usize, hosts: usize, rooms_on_fuse: usize, budgets: [Pace; 3]) -> Self {
        let now = at("2026-11-23T18:00");
        let [school, group, own] = budgets;
        let stay = |number: usize| {
            let room: RoomName = name(&format!("r{number:03}"));
            let fuse = name(&format!("fuse{}", number / rooms_on_fuse.max(1)));
            let circuits = vec![
                (Circuit::School, school),
                (Circuit::Group(fuse), group),
                (Circuit::Room(room.clone()), own),
            ];
            Stay {
                room,
                hosts,
                circuits,
                each: SignedDuration::from_mins(10),
                not_before: now,
                closes: None,
            }
        };
        Self {
            now,
            before: Vec::new(),
            stays: (0..rooms).map(stay).collect(),
        }
    }

    /// An evening of some school as there are, the same for equal numbers.
    #[must_use]
    pub fn of_some_school(numbers: Vec<u16>) -> Self {
        school(&mut Dice::new(numbers))
    }
}

impl Stay {
    fn batch(&self) -> Batch<'_> {
        let Self {
            room,
            hosts,
            circuits,
            each,
            not_before,
            closes,
        } = self;
        Batch {
            room,
            hosts: *hosts,
            circuits,
            each: *each,
            not_before: *not_before,
            closes: *closes,
        }
    }
}

/// A pace.
#[must_use]
const fn pace(wake_per_minute: u32, on_at_once: u32) -> Pace {
    Pace {
        wake_per_minute,
        on_at_once,
    }
}

/// Any evening of a few rooms.
pub fn evenings() -> impl Strategy<Value = Evening> {
    proptest::collection::vec(any::<u16>(), 0..160).prop_map(|rolls| evening(&mut Dice::new(rolls)))
}

fn evening(dice: &mut Dice) -> Evening {
    let now = at(dice.pick(&["2026-11-23T18:00", "2026-10-25T01:30"]));
    let school = some_pace(dice);
    let groups = [some_pace(dice), some_pace(dice)];
    let loading = some_pace(dice);
    let minutes = SignedDuration::from_mins;
    let seconds = SignedDuration::from_secs;
    let stays = (0..dice.below(7)).map(|number| {
        let room: RoomName = name(&format!("r{number}"));
        let mut circuits = Vec::new();
        if !dice.once_in(4) {
            circuits.push((Circuit::School, school));
        }
        let group = dice.below(3);
        if let Some(pace) = groups.get(group) {
            circuits.push((Circuit::Group(name(&format!("g{group}"))), *pace));
        }
        if dice.once_in(2) {
            circuits.push((Circuit::Room(room.clone()), some_pace(dice)));
        }
        if dice.once_in(3) {
            circuits.push((Circuit::Loading, loading));
        }
        if dice.once_in(9) {
            circuits.extend(circuits.first().cloned());
        }
        Stay {
            room,
            hosts: dice.below(9),
            circuits,
            each: dice.pick(&[
                minutes(5),
                minutes(12),
                seconds(40),
                SignedDuration::from_nanos(1_234_567_891),
                SignedDuration::ZERO,
            ]),
            not_before: now + seconds(dice.pick(&[0, 0, 0, -300, 30, 200, 1800])),
            closes: dice
                .once_in(5)
                .then(|| now + minutes(dice.pick(&[10, 30, -1]))),
        }
    });
    let stays: Vec<_> = stays.collect();
    let circuits: Vec<_> = stays.iter().map(|stay| stay.circuits.clone()).collect();
    let before = (0..dice.below(6)).filter_map(|_| {
        let circuits = circuits.get(dice.below(circuits.len()))?;
        let woken = now - seconds(dice.pick(&[20, 20, 45, 60, 300, -40]));
        Some(Before {
            circuits: circuits
                .iter()
                .map(|(circuit, _)| circuit.clone())
                .collect(),
            woken: (!dice.once_in(5)).then_some(woken),
            off: match dice.below(8) {
                0 => Timestamp::MAX,
                1 => now - minutes(1),
                2 => now,
                _ => now + seconds(dice.pick(&[30, 200, 900])),
            },
        })
    });
    let before = before.collect();
    Evening { now, before, stays }
}

fn some_pace(dice: &mut Dice) -> Pace {
    Pace {
        wake_per_minute: dice.pick(&[6, 1, 7, 60, u32::MAX]),
        on_at_once: dice.pick(&[3, 1, 2, 8, u32::MAX]),
    }
}

/// Evenings of schools as there are, of 8 to 40 rooms: now the school's budget is the bottleneck, now fuses, now the
/// circuit of each room, which bears less than its hosts could need.
pub fn schools() -> impl Strategy<Value = Evening> {
    proptest::collection::vec(any::<u16>(), 0..160).prop_map(Evening::of_some_school)
}

fn school(dice: &mut Dice) -> Evening {
    let rooms = dice.pick(&[40, 8, 12, 20]);
    let rooms_on_fuse = dice.pick(&[4, 2, 8]);
    let budgets = [
        pace(
            dice.pick(&[20, 6, 12, 30, 60]),
            dice.pick(&[120, 60, 90, 150, 300]),
        ),
        pace(dice.pick(&[12, 20, 30, 60]), dice.pick(&[60, 30, 90])),
        pace(
            dice.pick(&[6, 1, 2, 3, 10, 30]),
            dice.pick(&[u32::MAX, 5, 10, 20]),
        ),
    ];
    let mut evening = Evening::of_school(rooms, 30, rooms_on_fuse, budgets);
    let alike = dice.once_in(2);
    for stay in &mut evening.stays {
        stay.hosts = 25 + dice.below(11);
        if alike {
            continue;
        }
        stay.each = SignedDuration::from_mins(dice.pick(&[10, 8, 12, 15]));
    }
    evening
}
