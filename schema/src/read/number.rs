//! Numbers and truth values: one way to write each, and for the others the one to write instead.

use std::fmt::Display;
use std::str::FromStr;

use super::error::Problem;
use crate::yaml::{Scalar, quote};

/// `true` or `false`.
pub(super) fn truth(scalar: &Scalar) -> Result<bool, Problem> {
    let meant = match scalar.text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Some(true),
        "false" | "no" | "n" | "off" => Some(false),
        _ => None,
    };
    match (scalar.plain, scalar.text.as_str()) {
        (true, "true") => return Ok(true),
        (true, "false") => return Ok(false),
        _ => {}
    }
    let problem = Problem::new(
        "invalid-bool",
        format!("expected `true` or `false`, found {}", found(scalar)),
    );
    Err(match meant {
        Some(meant) if scalar.plain => problem.hint(format!("write `{meant}`")),
        Some(meant) => problem.hint(format!("write `{meant}`, without quotes")),
        None => problem,
    })
}

/// Decimal digits, perhaps after a minus sign, within the range of a type.
pub(super) fn integer<T: FromStr>(scalar: &Scalar, least: i128, most: i128) -> Result<T, Problem> {
    let text = scalar.text.as_str();
    if !(scalar.plain && is_integer(text)) {
        let message = format!("expected a whole number, found {}", found(scalar));
        return Err(instead(
            Problem::new("invalid-number", message),
            scalar,
            whole(text),
        ));
    }
    text.parse().map_err(|_| {
        let message = format!("the number {} is out of range", quote(text));
        Problem::new("invalid-number", message).hint(format!("{least} to {most} are possible"))
    })
}

/// Decimal digits, perhaps after a minus sign, perhaps with a decimal point and further digits.
pub(super) fn decimal(scalar: &Scalar) -> Result<f64, Problem> {
    const READABLE: f64 = 1e15;
    let text = scalar.text.as_str();
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    if let Some(number) = number
        && scalar.plain
        && is_decimal(text)
    {
        return Ok(number);
    }
    let problem = Problem::new(
        "invalid-number",
        format!("expected a number, found {}", found(scalar)),
    );
    let meant = number
        .filter(|number| number.abs() < READABLE)
        .map(|number| number.to_string());
    let meant = meant.or_else(|| whole(text).map(|number| number.to_string()));
    Err(instead(problem, scalar, meant))
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    (is_integer(whole) || whole == "-0")
        && !fraction.is_empty()
        && fraction.bytes().all(|b| b.is_ascii_digit())
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits == "0" && digits == text
        || !digits.is_empty()
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
}

/// What somebody most likely means by a number in another notation.
fn whole(text: &str) -> Option<i128> {
    let bare = text.trim().replace('_', "");
    let (sign, digits) = match bare.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, bare.strip_prefix('+').unwrap_or(&bare)),
    };
    let radix = |prefix: [&str; 2], radix| {
        let digits = prefix
            .iter()
            .find_map(|prefix| digits.strip_prefix(prefix))?;
        if digits.starts_with(['+', '-']) {
            None
        } else {
            i128::from_str_radix(digits, radix).ok()
        }
    };
    let exponent = || {
        let (digits, power) = digits.split_once(['e', 'E'])?;
        let power = power
            .strip_prefix('+')
            .unwrap_or(power)
            .parse::<u32>()
            .ok()?;
        digits
            .parse::<u64>()
            .ok()
            .map(i128::from)?
            .checked_mul(10i128.checked_pow(power)?)
    };
    let plain = || {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    plain()
        .or_else(|| radix(["0x", "0X"], 16))
        .or_else(|| radix(["0o", "0O"], 8))
        .or_else(|| radix(["0b", "0B"], 2))
        .or_else(exponent)
        .map(|number: i128| sign * number)
}

fn instead(problem: Problem, scalar: &Scalar, meant: Option<impl Display>) -> Problem {
    match meant {
        Some(meant) if scalar.plain => problem.hint(format!("write `{meant}`")),
        Some(meant) => problem.hint(format!("write `{meant}`, without quotes")),
        None => problem,
    }
}

fn found(scalar: &Scalar) -> String {
    let kind = if scalar.plain { "text" } else { "quoted text" };
    format!("{kind} {}", quote(&scalar.text))
}
