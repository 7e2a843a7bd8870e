//! How things look: times in the server's zone, marks, colours.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Whether text carries ANSI colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// What a line of a plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Something new.
    Add,
    /// Something changes in place.
    Change,
    /// Something is deleted.
    Delete,
    /// Something is done again.
    Again,
    /// Something waits for a gate.
    Wait,
    /// Something waits for a person.
    Blocked,
}

impl Mark {
    /// The sign in front of a line.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Delete => '-',
            Self::Again => '↻',
            Self::Wait => '…',
            Self::Blocked => '!',
        }
    }

    /// The sign, in its colour.
    #[must_use]
    pub fn paint(self, color: Color) -> String {
        let code = match self {
            Self::Add => 32,
            Self::Change => 33,
            Self::Again => 36,
            Self::Wait => 90,
            Self::Delete | Self::Blocked => 31,
        };
        match color {
            Color::On => format!("\u{1b}[{code}m{}\u{1b}[0m", self.sign()),
            Color::Off => self.sign().to_string(),
        }
    }
}

/// A time as people read it: `Mon 23 Nov 18:05`, with the year when it is another than that of `now`.
#[must_use]
pub fn time(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(zone.clone()), now.to_zoned(zone.clone()));
    let format = if at.year() == now.year() {
        "%a %-d %b %H:%M"
    } else {
        "%a %-d %b %Y %H:%M"
    };
    at.strftime(format).to_string()
}

/// `1 host`, `20 hosts`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The first few names of a list and how many more there are.
#[must_use]
pub fn few<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 6;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    match names.len() {
        0..=SHOWN => names.join(", "),
        all => format!("{} and {} more", names[..SHOWN].join(", "), all - SHOWN),
    }
}

/// All names of a list, as in a sentence: `r101, r102 and r103`.
#[must_use]
pub fn every<T: ToString>(names: &[T]) -> String {
    let names: Vec<String> = names.iter().map(T::to_string).collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}
