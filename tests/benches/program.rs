//! The whole program: its wall time and the most memory that it held, from its start to its end.
//!
//! `cargo bench -p fleet-tests --bench program`. The least wall time of several runs counts, and the
//! largest peak.

use std::{
    env, fs,
    io::{Write as _, stdout},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use harness::{
    big_fleet::BigFleet,
    lab::{Content, Lab, Room, binary},
};

/// What one run took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    peak_kib: u64,
}

fn main() -> Result<()> {
    // Cargo's own argument; a test run of all targets does not measure.
    if !env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let program = binary()?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let big = tempfile::tempdir()?;
    BigFleet::MILLION.write(big.path())?;
    let realistic = here.join("../examples/realistic");
    let row = |name: &str, runs: u32, command: &mut Command| -> Result<()> {
        print(name, least(runs, command)?)
    };
    row("reconcile --help", 20, Command::new(&program).arg("--help"))?;
    row(
        "validate examples/realistic",
        20,
        Command::new(&program).arg("validate").arg(realistic),
    )?;
    row(
        "validate, 1000 schools",
        3,
        Command::new(&program).arg("validate").arg(big.path()),
    )?;
    pass_of(
        &BigFleet {
            schools: 20,
            ..BigFleet::MILLION
        },
        10,
    )?;
    pass_of(&BigFleet::MILLION, 3)
}

/// A pass and a dry run at a school with 1,000 hosts that has nothing to do, in a fleet of this size.
fn pass_of(fleet: &BigFleet, runs: u32) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fleet.write(folder.path())?;
    let lab = Lab::builder()
        .school("s0001", [Room::new("r01", 1)])
        .build()?;
    let release = lab
        .central()
        .publish("ubuntu", "2026.10.1", &Content::base(1))?;
    let address = lab.central().rsync.address.to_string();
    let edit = |work: &Path| {
        harness::lab::copy_tree(folder.path(), work)?;
        let image = work.join("images/ubuntu.yaml");
        let text = fs::read_to_string(&image)?;
        let (before, after) = text.split_once("sha256:").context("no digest")?;
        let after = after.get(64..).context("no digest")?;
        fs::write(
            &image,
            format!("{before}sha256:{}{after}", release.manifest_sha256),
        )?;
        let file = work.join("fleet.yaml");
        let text = fs::read_to_string(&file)?.replace("images.big.example", &address);
        fs::write(&file, text)?;
        Ok(())
    };
    lab.repo().commit(edit, "a big fleet")?;
    let server = lab.server("s0001");
    fs::remove_file(server.paths.linbo().join("start.conf.ubuntu-lab"))?;
    fs::write(server.paths.devices_csv(), fleet.devices())?;
    for host in fleet.host_names() {
        let status = server
            .paths
            .linbo_log()
            .join(format!("{host}_image.status"));
        fs::write(status, "202611231801 applied: ubuntu.qcow2 202610011200\n")?;
    }
    // The first pass writes the class, the second one fetches and activates the image.
    server.run(&[], "2026-11-22 22:05:00")?;
    let before = server.run(&[], "2026-11-23 22:05:00")?;
    let after = server.run(&[], "2026-11-23 22:10:00")?;
    ensure!(
        after.status == 0,
        "{}{}\n{}{}",
        before.stderr,
        before.stdout,
        after.stderr,
        after.stdout
    );
    writeln!(stdout(), "{}", after.stdout.trim())?;
    let schools = fleet.schools;
    for (name, arguments) in [("pass", &[][..]), ("dry run", &["--dry-run"])] {
        let mut command = server.command(&binary()?)?;
        command
            .arg("--config")
            .arg(server.paths.config())
            .args(arguments);
        print(
            &format!("no-op {name}, {schools} schools"),
            least(runs, &mut command)?,
        )?;
    }
    Ok(())
}

fn print(name: &str, Cost { wall, peak_kib }: Cost) -> Result<()> {
    let (wall, peak) = (wall.as_secs_f64() * 1000.0, peak_kib as f64 / 1024.0);
    writeln!(stdout(), "{name:32} {wall:9.1} ms {peak:8.1} MiB")?;
    Ok(())
}

fn least(runs: u32, command: &mut Command) -> Result<Cost> {
    let mut least = Cost {
        wall: Duration::MAX,
        peak_kib: 0,
    };
    for _ in 0..runs {
        let Cost { wall, peak_kib } = run(command)?;
        least = Cost {
            wall: least.wall.min(wall),
            peak_kib: least.peak_kib.max(peak_kib),
        };
    }
    Ok(least)
}

fn run(command: &mut Command) -> Result<Cost> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let begin = Instant::now();
    let child = command.spawn().context("cannot start reconcile")?;
    let status = format!("/proc/{}/status", child.id());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // The peak only grows, so the last look before the end is it, but for the last millisecond.
        let watch = scope.spawn(|| {
            let mut peak_kib = 0;
            while !over.load(Ordering::Relaxed) {
                peak_kib = peak_of(&status).unwrap_or(peak_kib);
                thread::sleep(Duration::from_millis(1));
            }
            peak_kib
        });
        let ended = wait(child);
        let wall = begin.elapsed();
        over.store(true, Ordering::Relaxed);
        ended?;
        let peak_kib = watch.join().unwrap_or_default();
        Ok(Cost { wall, peak_kib })
    })
}

fn wait(child: Child) -> Result<()> {
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn peak_of(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
