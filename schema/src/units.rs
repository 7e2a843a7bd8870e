//! Quantities with their units written out: `15.1 GiB`, `1 Gbit/s`, `7 days`.
//!
//! Each has one grammar, a pattern in the JSON Schema, and an error that shows what is accepted.
//! `{}` writes a quantity such that reading it gives the same one again; sizes and rates take a
//! precision for people who want it short: `{:.1}` writes `15.1 GiB` for whatever is close to it.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::text::{excerpt, written};

/// Why a text is no quantity of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitError {
    text: String,
    kind: &'static str,
    why: &'static str,
    accepted: &'static str,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            text,
            kind,
            why,
            accepted,
        } = self;
        write!(f, "`{text}` is no {kind}: {why}; accepted is {accepted}")
    }
}

impl std::error::Error for UnitError {}

impl UnitError {
    /// What is wrong, without what would be right.
    pub(crate) const fn why(&self) -> &'static str {
        self.why
    }
}

/// A unit's name and how many of the smallest unit it is.
type Unit = (&'static str, u64);

/// How one kind of quantity is written.
struct Grammar {
    kind: &'static str,
    accepted: &'static str,
    /// By size, the largest first; the last is 1.
    units: &'static [Unit],
    /// What to say of a unit that is not among them.
    hint: fn(&str) -> &'static str,
}

/// A number with up to three decimals.
struct Number {
    thousandths: u128,
    whole: bool,
}

const TOO_LARGE: &str = "the number is too large";

/// Takes the number off the text; gives the unit that is left.
fn number(text: &str) -> Result<(Number, &str), &'static str> {
    let digits_end = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let (whole, rest) = text.split_at(digits_end(text));
    if whole.is_empty() {
        return Err("a number has to come first");
    }
    if rest.starts_with(',') {
        return Err("decimals follow a point, not a comma");
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits_end(rest)),
        None => ("0", rest),
    };
    if fraction.is_empty() || fraction.len() > 3 {
        return Err("one to three decimals follow a point");
    }
    let whole: u64 = whole.parse().map_err(|_| TOO_LARGE)?;
    let decimals: u64 = format!("{fraction:0<3}").parse().map_err(|_| TOO_LARGE)?;
    let thousandths = u128::from(whole) * 1000 + u128::from(decimals);
    let number = Number {
        thousandths,
        whole: !text.contains('.'),
    };
    Ok((number, rest.trim_start_matches(' ')))
}

impl Grammar {
    fn error(&self, text: &str, why: &'static str) -> UnitError {
        UnitError {
            text: excerpt(text),
            kind: self.kind,
            why,
            accepted: self.accepted,
        }
    }

    /// The quantity in the smallest unit, rounded to the nearest where it is no whole one.
    fn read(&self, text: &str) -> Result<u64, UnitError> {
        let (number, name) = number(text).map_err(|why| self.error(text, why))?;
        let Some(&(_, scale)) = self.units.iter().find(|(unit, _)| *unit == name) else {
            let why = if name.is_empty() {
                "the unit is missing"
            } else {
                (self.hint)(name)
            };
            return Err(self.error(text, why));
        };
        if scale == 1 && !number.whole {
            return Err(self.error(text, "the smallest unit takes no decimals"));
        }
        let value = unthousand(number.thousandths, scale);
        u64::try_from(value).map_err(|_| self.error(text, TOO_LARGE))
    }

    fn write(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(precision) = f.precision() else {
            return self.write_exactly(value, f);
        };
        let step = 10_u128.pow(3 - u32::try_from(precision.min(3)).unwrap_or(3));
        for (name, scale) in self.units {
            let scale = u128::from(*scale);
            let steps = (u128::from(value) * 1000 + scale * step / 2) / (scale * step);
            if steps * step >= 1000 || scale == 1 {
                return write_number(
                    if scale == 1 {
                        u128::from(value) * 1000
                    } else {
                        steps * step
                    },
                    name,
                    f,
                );
            }
        }
        Ok(())
    }

    /// With decimals in the largest unit that fits, if that is exact; else in the largest unit that
    /// needs none.
    fn write_exactly(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = self
            .units
            .iter()
            .filter(|(_, scale)| *scale <= value.max(1));
        for (at, &(name, scale)) in fitting.enumerate() {
            let wide = u128::from(scale);
            let thousandths = (u128::from(value) * 1000 + wide / 2) / wide;
            let exact = at == 0 && unthousand(thousandths, scale) == u128::from(value);
            if exact || value.is_multiple_of(scale) {
                return write_number(thousandths, name, f);
            }
        }
        Ok(())
    }
}

fn unthousand(thousandths: u128, scale: u64) -> u128 {
    (thousandths * u128::from(scale) + 500) / 1000
}

fn write_number(thousandths: u128, unit: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, decimals) = (thousandths / 1000, thousandths % 1000);
    if decimals == 0 {
        return write!(f, "{whole} {unit}");
    }
    let decimals = format!("{decimals:03}");
    write!(f, "{whole}.{} {unit}", decimals.trim_end_matches('0'))
}

/// A number of bytes. Written with a binary unit (`15.1 GiB`, `200 MiB`) or `B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub u64);

const BYTES: Grammar = Grammar {
    kind: "size",
    accepted: "a number with TiB, GiB, MiB, KiB or B, as in `15.1 GiB`",
    units: &[
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("B", 1),
    ],
    hint: |unit| match unit.to_ascii_lowercase().as_str() {
        "tb" | "t" | "tib" => "write TiB",
        "gb" | "g" | "gib" => "write GiB",
        "mb" | "m" | "mib" => "write MiB",
        "kb" | "k" | "kib" => "write KiB",
        "b" | "byte" | "bytes" => "write B",
        _ => "this unit is not known",
    },
};

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        BYTES.read(text).map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        BYTES.write(self.0, f)
    }
}

written!(
    Bytes,
    r"^([0-9]+(\.[0-9]{1,3})? *[KMGT]iB|[0-9]+ *B)$",
    "A size: a number with TiB, GiB, MiB, KiB or B, as in `15.1 GiB`."
);

/// A data rate in bits per second, as networks count. Written `1 Gbit/s`, `100 Mbit/s`, `500 kbit/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(NonZeroU64);

const RATE: Grammar = Grammar {
    kind: "data rate",
    accepted: "a number with Gbit/s, Mbit/s, kbit/s or bit/s, as in `100 Mbit/s`",
    units: &[
        ("Gbit/s", 1_000_000_000),
        ("Mbit/s", 1_000_000),
        ("kbit/s", 1000),
        ("bit/s", 1),
    ],
    hint: |unit| match unit.to_ascii_lowercase().as_str() {
        "gb/s" | "gib/s" | "mb/s" | "mib/s" | "kb/s" | "kib/s" | "b/s" => {
            "rates are in bits, a byte has 8 of them; write Mbit/s"
        }
        "gbit/s" | "gbit" | "gbps" | "gbit/sec" => "write Gbit/s",
        "mbit/s" | "mbit" | "mbps" | "mbit/sec" => "write Mbit/s",
        "kbit/s" | "kbit" | "kbps" | "kbit/sec" => "write kbit/s",
        _ => "this unit is not known",
    },
};

impl Rate {
    /// A rate of so many bits per second; none when it is zero.
    #[must_use]
    pub fn bits_per_second(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    /// The rate in bits per second; never 0.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// The rate in KiB per second, which is what rsync's `--bwlimit` takes; at least 1.
    #[must_use]
    pub fn kib_per_second(self) -> u64 {
        (self.0.get() / 8 / 1024).max(1)
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bits = RATE.read(text)?;
        Self::bits_per_second(bits).ok_or_else(|| RATE.error(text, "nothing would ever arrive"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RATE.write(self.0.get(), f)
    }
}

written!(
    Rate,
    r"^([0-9]+(\.[0-9]{1,3})? *[GMk]bit/s|[0-9]+ *bit/s)$",
    "A data rate: a number with Gbit/s, Mbit/s, kbit/s or bit/s, as in `100 Mbit/s`."
);

/// A share of a whole, 0 to 100. Written `40 %`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// That share; none above 100.
    #[must_use]
    pub const fn new(percent: u8) -> Option<Self> {
        if percent <= 100 {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// That share; the whole where it is more.
    pub(crate) const fn clamped(percent: u8) -> Self {
        Self(if percent <= 100 { percent } else { 100 })
    }

    /// The number before the sign, 0 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// So much of `whole`, rounded down.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        u64::try_from(u128::from(whole) * u128::from(self.0) / 100).unwrap_or(whole)
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = |why| UnitError {
            text: excerpt(text),
            kind: "share",
            why,
            accepted: "a whole number from 0 to 100 with %, as in `40 %`",
        };
        let (number, unit) = number(text).map_err(error)?;
        match unit {
            "%" => {}
            "" => return Err(error("the % is missing")),
            _ => return Err(error("this unit is not known")),
        }
        if !number.whole {
            return Err(error("it takes no decimals"));
        }
        u8::try_from(number.thousandths / 1000)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| error("it is more than the whole"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

written!(
    Percent,
    "^(100|[0-9]{1,2}) *%$",
    "A share: a whole number from 0 to 100 with %, as in `40 %`."
);

/// A length of time, to the second and at most ten years. Absolute: a day is 24 hours. Written
/// `7 days`, `90 min`, `2 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Length(u64);

const DAY: u64 = 24 * 3600;

impl Length {
    /// The longest that there is: timestamps bear to have it added.
    pub const MAX: Self = Self(3660 * DAY);

    /// A length of so many seconds; none above [`Length::MAX`].
    #[must_use]
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        (seconds <= Self::MAX.0).then_some(Self(seconds))
    }

    /// A length of so many minutes, of about a month at most.
    pub(crate) const fn from_minutes(minutes: u16) -> Self {
        Self(minutes as u64 * 60)
    }

    /// The length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// The length as timestamps take it.
    #[must_use]
    pub fn to_duration(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_secs(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

impl FromStr for Length {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = |why| UnitError {
            text: excerpt(text),
            kind: "length of time",
            why,
            accepted: "a whole number with s, min, h, days or weeks, as in `90 min` or `7 days`",
        };
        let (number, unit) = number(text).map_err(error)?;
        let scale = match unit {
            "s" | "sec" | "second" | "seconds" => 1,
            "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "day" | "days" => DAY,
            "week" | "weeks" => 7 * DAY,
            "" => return Err(error("the unit is missing")),
            "m" => return Err(error("write min")),
            "d" => return Err(error("write days")),
            "w" => return Err(error("write weeks")),
            "month" | "months" | "year" | "years" => {
                return Err(error("months and years differ in length; write days"));
            }
            _ => return Err(error("this unit is not known")),
        };
        if !number.whole {
            return Err(error("it takes no decimals; use a smaller unit"));
        }
        u64::try_from(number.thousandths / 1000 * u128::from(scale))
            .ok()
            .and_then(Self::from_seconds)
            .ok_or_else(|| error("it is longer than ten years"))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(seconds) = *self;
        // Nobody calls seven days a week where a number is asked for, but 21 days are three weeks.
        let (scale, one, many) = match seconds {
            0 => (1, "s", "s"),
            _ if seconds.is_multiple_of(7 * DAY) && seconds >= 14 * DAY => {
                (7 * DAY, "week", "weeks")
            }
            _ if seconds.is_multiple_of(DAY) => (DAY, "day", "days"),
            _ if seconds.is_multiple_of(3600) => (3600, "h", "h"),
            _ if seconds.is_multiple_of(60) => (60, "min", "min"),
            _ => (1, "s", "s"),
        };
        let count = seconds / scale;
        write!(f, "{count} {}", if count == 1 { one } else { many })
    }
}

written!(
    Length,
    "^[0-9]+ *(s|sec|seconds?|min|minutes?|h|hours?|days?|weeks?)$",
    "A length of time: a whole number with s, min, h, days or weeks, as in `7 days`."
);

#[cfg(test)]
mod tests;
