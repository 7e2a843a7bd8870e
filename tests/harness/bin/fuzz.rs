//! `fuzz TARGET SECONDS SEED` runs broken input for a parser, or for `all`; `fuzz TARGET hex INPUT`
//! runs one input again.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use harness::fuzz::{TARGETS, Target, bears, run};

/// Inputs between two looks at the clock.
const ROUND: u64 = 500;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [name, "hex", hex] => again(name, hex),
        [name, seconds, seed] => long(
            name,
            Duration::from_secs(seconds.parse().context("SECONDS is a whole number")?),
            seed.parse().context("SEED is a whole number")?,
        ),
        _ => bail!(
            "usage: fuzz TARGET|all SECONDS SEED\n       fuzz TARGET hex INPUT\ntargets: {}",
            names()
        ),
    }
}

fn again(name: &str, hex: &str) -> anyhow::Result<ExitCode> {
    let input = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16))
        .collect::<Result<Vec<u8>, _>>()
        .context("INPUT is hexadecimal")?;
    let mut good = true;
    for target in chosen(name)? {
        good &= bears(target, &input);
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn long(name: &str, time: Duration, seed: u64) -> anyhow::Result<ExitCode> {
    let targets = chosen(name)?;
    let mut out = io::stdout().lock();
    let begun = Instant::now();
    let mut next = 0;
    while begun.elapsed() < time {
        for target in &targets {
            if let Err(crash) = run(target, seed, next..next + ROUND) {
                writeln!(out, "{crash}")?;
                return Ok(ExitCode::FAILURE);
            }
        }
        next += ROUND;
    }
    writeln!(
        out,
        "{next} inputs for each of {} targets, and none broke anything",
        targets.len()
    )?;
    Ok(ExitCode::SUCCESS)
}

fn chosen(name: &str) -> anyhow::Result<Vec<&'static Target>> {
    let chosen: Vec<_> = TARGETS
        .iter()
        .filter(|target| name == "all" || name == target.name)
        .collect();
    if chosen.is_empty() {
        bail!("there is no target {name}: {}", names());
    }
    Ok(chosen)
}

fn names() -> String {
    TARGETS
        .iter()
        .map(|target| target.name)
        .collect::<Vec<_>>()
        .join(", ")
}
