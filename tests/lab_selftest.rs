//! The lab's stand-ins against what is known of the real programs: each ugly side once, with real ssh, tmux and rsync.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "lab_selftest/pcs.rs"]
mod pcs;
#[path = "lab_selftest/servers.rs"]
mod servers;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use harness::lab::{
    Builder, Content, Fault, Lab, MailFault, Output, Pace, Room, Server, State, TransferFault,
    changes, snapshot,
};

const SHORT: Duration = Duration::from_secs(15);

fn builder() -> Builder {
    Lab::builder()
        .school("bs-nord", [Room::new("r101", 3)])
        .at("2026-11-23 18:05:00")
}

fn lab() -> Lab {
    builder().build().unwrap()
}

fn small() -> Content {
    Content::base(1).base_size(2)
}

/// A lab whose school has an image with a diff, and whose hosts are all in LINBO.
fn lab_in_linbo() -> (Lab, Server) {
    let lab = lab();
    let school = lab.server("bs-nord");
    school.install("ubuntu", &small().with_diff(2)).unwrap();
    for host in lab.hosts() {
        host.boot().unwrap();
    }
    (lab, school)
}

/// Runs a command on a host as the reconciler's own driver does.
fn ssh(school: &Server, host: &str, command: &str) -> Output {
    let config = school.paths.ssh_config();
    let mut words = vec!["-F", config.to_str().unwrap(), "-o", "BatchMode=yes"];
    words.extend(["-o", "ConnectTimeout=4", "-o", "ServerAliveInterval=1"]);
    words.extend(["-o", "ServerAliveCountMax=2", "-o", "LogLevel=ERROR", host]);
    words.extend(command.split(' '));
    let bin = school.paths.bin().join("ssh");
    if !bin.exists() {
        std::os::unix::fs::symlink("/usr/bin/ssh", &bin).unwrap();
    }
    school.call("ssh", &words).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < SHORT, "still not: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn sessions_end(school: &Server) {
    until("all sessions of linbo-remote ended", || {
        let sessions = school.sessions().unwrap();
        !sessions.iter().any(|name| name.ends_with("_linbo-remote"))
    });
}
