//! Broken input for every parser of what others write, on stable Rust and the same on every machine.
//!
//! An input is a function of the target, the seed and the iteration, so these three name a crash.

mod targets;

use std::fmt;
use std::panic::catch_unwind;

pub use targets::TARGETS;

/// A parser, good input for it, and the words that it knows.
#[derive(Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What mutations begin with.
    pub seeds: &'static [&'static str],
    /// What mutations put in.
    pub words: &'static [&'static str],
    /// Reads any bytes; panics when a promise does not hold.
    pub run: fn(&[u8]),
}

/// An input that broke a promise.
#[derive(Debug)]
pub struct Crash {
    /// Whose.
    pub target: &'static str,
    /// The seed of the run.
    pub seed: u64,
    /// Which input of it.
    pub iteration: u64,
    /// The input.
    pub input: Vec<u8>,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            seed,
            iteration,
            input,
        } = self;
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(
            f,
            "{target} does not bear this input (seed {seed}, iteration {iteration}):"
        )?;
        writeln!(f, "{}", input.escape_ascii())?;
        write!(
            f,
            "again: cargo run -p fleet-tests --bin fuzz -- {target} hex {hex}"
        )
    }
}

/// Runs one input; false when it panicked, whose message is on standard error then.
#[must_use]
pub fn bears(target: &'static Target, input: &[u8]) -> bool {
    catch_unwind(|| (target.run)(input)).is_ok()
}

/// Runs the inputs of these iterations.
///
/// # Errors
///
/// The first input that the target does not bear.
pub fn run(
    target: &'static Target,
    seed: u64,
    iterations: std::ops::Range<u64>,
) -> Result<(), Box<Crash>> {
    for iteration in iterations {
        let input = input(target, seed, iteration);
        if !bears(target, &input) {
            return Err(Box::new(Crash {
                target: target.name,
                seed,
                iteration,
                input,
            }));
        }
    }
    Ok(())
}

/// The input of one iteration; the first ones are the good inputs themselves.
#[must_use]
pub fn input(target: &Target, seed: u64, iteration: u64) -> Vec<u8> {
    let whole = usize::try_from(iteration).unwrap_or(usize::MAX);
    if let Some(good) = target.seeds.get(whole) {
        return good.as_bytes().to_vec();
    }
    let mut dice = Dice::new(seed, iteration);
    let mut bytes = dice.one_of(target.seeds).as_bytes().to_vec();
    for _ in 0..=dice.below(6) {
        mutate(&mut bytes, target, &mut dice);
    }
    // A splice of splices is not worth more than its length.
    bytes.truncate(64 * 1024);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, target: &Target, dice: &mut Dice) {
    const BYTES: &[u8] = b"\0\t\n\r \"#'-.0:;=[]{}\x1b\x7f\x80\xc3\xff";
    let from = dice.below(bytes.len() + 1);
    let to = (from + dice.below(12)).min(bytes.len());
    match dice.below(9) {
        0 => bytes.truncate(from),
        1 => drop(bytes.drain(from..to)),
        2 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << dice.below(8);
            }
        }
        3 => bytes.insert(from, BYTES[dice.below(BYTES.len())]),
        4 => drop(bytes.splice(from..to, dice.one_of(target.words).bytes())),
        5 => drop(bytes.splice(from..from, dice.one_of(target.words).bytes())),
        6 => {
            let copy: Vec<u8> = bytes[from..to].repeat(1 + dice.below(40));
            drop(bytes.splice(from..from, copy));
        }
        7 => {
            let other = dice.one_of(target.seeds).as_bytes();
            let start = dice.below(other.len() + 1);
            bytes.truncate(from);
            bytes.extend_from_slice(&other[start..]);
        }
        _ => {
            // A number next to a limit in the place of a number.
            let numbers = [
                "0",
                "-1",
                "255",
                "256",
                "65536",
                "4294967296",
                "18446744073709551616",
            ];
            if let Some(at) = bytes[from..].iter().position(u8::is_ascii_digit) {
                let at = from + at;
                let end = bytes[at..]
                    .iter()
                    .position(|byte| !byte.is_ascii_digit())
                    .map_or(bytes.len(), |length| at + length);
                drop(bytes.splice(at..end, dice.one_of(&numbers).bytes()));
            }
        }
    }
}

/// splitmix64: small, and good enough to wander.
struct Dice(u64);

impl Dice {
    const fn new(seed: u64, iteration: u64) -> Self {
        Self(
            seed.wrapping_mul(0xD134_2543_DE82_EF95)
                ^ iteration.wrapping_mul(0x2545_F491_4F6C_DD1D),
        )
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let drawn = usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or_default();
        drawn % bound.max(1)
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }
}
