//! The units are what systemd takes them for, and keep what a school's server depends on.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::root;

/// The exposure that `systemd-analyze security` may give: 10 is a unit without any restriction.
const EXPOSURE_AT_MOST: f64 = 5.5;
/// The same for the unit that reads the store.
const SCRUB_EXPOSURE_AT_MOST: f64 = 2.5;

fn unit(name: &str) -> String {
    fs::read_to_string(root().join("reconciler/systemd").join(name)).unwrap()
}

/// All values of a setting, in their order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

fn analyze(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("systemd-analyze")
        .args(args)
        .current_dir(dir)
        .env("SYSTEMD_COLORS", "0")
        .output()
        .expect("systemd-analyze: `make packages` installs it");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "systemd-analyze {args:?}\n{text}");
    text
}

/// The units as they are, but for a program that exists on this machine.
fn copies() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, program) in [
        ("reconcile", "/usr/bin/reconcile"),
        ("reconcile-scrub", "/usr/bin/reconcile scrub"),
    ] {
        let service = unit(&format!("{name}.service"));
        assert_eq!(values(&service, "ExecStart"), [program]);
        let service = service.replace(&format!("ExecStart={program}"), "ExecStart=/bin/true");
        fs::write(dir.path().join(format!("{name}.service")), service).unwrap();
        let timer = format!("{name}.timer");
        fs::write(dir.path().join(&timer), unit(&timer)).unwrap();
    }
    dir
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    let dir = copies();
    let said = analyze(
        dir.path(),
        &[
            "verify",
            "--man=no",
            "./reconcile.service",
            "./reconcile.timer",
            "./reconcile-scrub.service",
            "./reconcile-scrub.timer",
        ],
    );
    let about_us: Vec<_> = said
        .lines()
        .filter(|line| line.contains("reconcile"))
        .collect();
    assert!(about_us.is_empty(), "{said}");
}

#[test]
fn the_units_are_not_exposed_more_than_they_have_to_be() {
    let dir = copies();
    for (service, at_most) in [
        ("./reconcile.service", EXPOSURE_AT_MOST),
        ("./reconcile-scrub.service", SCRUB_EXPOSURE_AT_MOST),
    ] {
        let said = analyze(
            dir.path(),
            &["security", "--offline=true", "--no-pager", service],
        );
        let line = said
            .lines()
            .find(|line| line.contains("Overall exposure level"))
            .expect("a line with the score");
        let score: f64 = line
            .rsplit(':')
            .next()
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|score| score.parse().ok())
            .expect("a score");
        assert!(score <= at_most, "{line}");
        writeln(line.trim());
    }
}

/// It disturbs nobody, and nobody has to wait for it.
#[test]
fn a_scrub_gives_way() {
    let service = unit("reconcile-scrub.service");
    for (key, value) in [
        ("Nice", "19"),
        ("IOSchedulingClass", "idle"),
        ("TimeoutStartSec", "infinity"),
    ] {
        assert_eq!(values(&service, key), [value], "{key}");
    }
    let timer = unit("reconcile-scrub.timer");
    assert_eq!(values(&timer, "Persistent"), ["true"]);
    analyze(&root(), &["calendar", values(&timer, "OnCalendar")[0]]);
}

#[test]
fn the_timer_means_every_five_minutes() {
    let timer = unit("reconcile.timer");
    let expression = values(&timer, "OnCalendar");
    assert_eq!(expression.len(), 1, "{timer}");
    let said = analyze(&root(), &["calendar", expression[0]]);
    assert!(said.contains("Normalized form: *-*-* *:00/5:00"), "{said}");
    for (key, value) in [
        ("Persistent", "true"),
        ("FixedRandomDelay", "true"),
        ("RandomizedDelaySec", "4min"),
    ] {
        assert_eq!(values(&timer, key), [value], "{key}");
    }
}

#[test]
fn what_runs_on_hosts_outlives_a_pass_and_stays_in_sight() {
    let service = unit("reconcile.service");
    for (key, value) in [
        ("Type", "oneshot"),
        ("KillMode", "process"),
        ("PrivateTmp", "no"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("RuntimeDirectory", "linuxmuster-reconciler"),
        ("StateDirectory", "linuxmuster-reconciler"),
        ("TimeoutStartSec", "infinity"),
        ("SuccessExitStatus", "75"),
        ("Environment", "HOME=/root"),
    ] {
        assert_eq!(values(&service, key), [value], "{key}");
    }
    for key in [
        "ProtectSystem",
        "ProtectHome",
        "PrivateUsers",
        "PrivateNetwork",
        "User",
        "UMask",
    ] {
        assert!(values(&service, key).is_empty(), "{key}");
    }
}

/// The folders that systemd makes are those that the program looks for.
#[test]
fn the_units_folders_are_the_programs() {
    let paths = reconciler::config::Paths::default();
    assert_eq!(paths.state, Path::new("/var/lib/linuxmuster-reconciler"));
    assert_eq!(paths.run, Path::new("/run/linuxmuster-reconciler"));
}

/// To standard error, where `cargo test` shows it when it is asked to.
pub(super) fn writeln(line: &str) {
    use std::io::Write as _;
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}
