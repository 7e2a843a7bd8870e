//! Sets of weekdays: `mon, wed`, `mon–fri`, `daily`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;

use super::{Kind, ScheduleError};
use crate::text::{excerpt, written};

/// A set of weekdays, never empty. Written `mon, wed`, `mon–fri` (or `mon-fri`), `daily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weekdays(u8);

/// Short and long name, Monday first, then what a German might write.
const NAMES: [(&str, &str, [&str; 2]); 7] = [
    ("mon", "monday", ["mo", "montag"]),
    ("tue", "tuesday", ["di", "dienstag"]),
    ("wed", "wednesday", ["mi", "mittwoch"]),
    ("thu", "thursday", ["do", "donnerstag"]),
    ("fri", "friday", ["fr", "freitag"]),
    ("sat", "saturday", ["sa", "samstag"]),
    ("sun", "sunday", ["so", "sonntag"]),
];

const KIND: Kind = Kind {
    name: "set of weekdays",
    accepted: "as in `daily`, `mon, wed` or `mon–fri`",
};

impl Weekdays {
    /// All seven.
    pub const DAILY: Self = Self(0b111_1111);

    /// Whether the day is among them.
    #[must_use]
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }
}

/// The number of a day, Monday 0.
fn number(name: &str) -> Result<usize, String> {
    let name = name.trim();
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    if name.is_empty() {
        return Err("the name of a day is missing".to_owned());
    }
    if let Some(day) = NAMES
        .iter()
        .position(|(short, long, _)| is(short) || is(long))
    {
        return Ok(day);
    }
    let hint = match NAMES
        .iter()
        .find(|(.., german)| german.iter().any(|known| is(known)))
    {
        Some((short, ..)) => format!(
            "write `{short}` for `{}`, days have English names",
            excerpt(name)
        ),
        None => format!("`{}` is no day", excerpt(name)),
    };
    Err(hint)
}

fn days(text: &str) -> Result<u8, String> {
    if text.trim().eq_ignore_ascii_case("daily") {
        return Ok(Weekdays::DAILY.0);
    }
    text.split(',').try_fold(0, |set, item| {
        let (first, last) = match item.split_once(['-', '–']) {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(item)?, number(item)?),
        };
        // `fri–mon` goes over the end of the week.
        let length = (last + 7 - first) % 7;
        Ok((first..=first + length).fold(set, |set, day| set | 1 << (day % 7)))
    })
}

impl FromStr for Weekdays {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        days(text).map(Self).map_err(|why| KIND.error(text, why))
    }
}

impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::DAILY {
            return f.write_str("daily");
        }
        let holds = |day: usize| day < 7 && self.0 & 1 << day != 0;
        let mut day = 0;
        let mut between = "";
        while let Some((name, ..)) = NAMES.get(day) {
            if !holds(day) {
                day += 1;
                continue;
            }
            write!(f, "{between}{name}")?;
            between = ", ";
            let run = (day..7).take_while(|&day| holds(day)).count();
            // Two days in a row read better one by one.
            if run >= 3 {
                write!(
                    f,
                    "–{}",
                    NAMES.get(day + run - 1).map_or("", |(short, ..)| short)
                )?;
                day += run;
            } else {
                day += 1;
            }
        }
        Ok(())
    }
}

/// One day, either case, short or long.
macro_rules! day_pattern {
    () => {
        "([mM][oO][nN]([dD][aA][yY])?|[tT][uU][eE]([sS][dD][aA][yY])?|[wW][eE][dD]([nN][eE][sS][dD][aA][yY])?|[tT][hH][uU]([rR][sS][dD][aA][yY])?|[fF][rR][iI]([dD][aA][yY])?|[sS][aA][tT]([uU][rR][dD][aA][yY])?|[sS][uU][nN]([dD][aA][yY])?)"
    };
}

macro_rules! days_pattern {
    () => {
        concat!(
            "([dD][aA][iI][lL][yY]|",
            $crate::schedule::weekdays::day_pattern!(),
            "( *[–-] *",
            $crate::schedule::weekdays::day_pattern!(),
            ")?( *, *",
            $crate::schedule::weekdays::day_pattern!(),
            "( *[–-] *",
            $crate::schedule::weekdays::day_pattern!(),
            ")?)*)"
        )
    };
}
pub(super) use {day_pattern, days_pattern};

written!(
    Weekdays,
    concat!("^", days_pattern!(), "$"),
    "Weekdays: `daily`, `mon, wed` or `mon–fri`."
);
