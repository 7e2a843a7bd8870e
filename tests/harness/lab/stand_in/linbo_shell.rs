//! `linbo-shell`: what a PC does with a command that came in over SSH.

use std::{
    env, fs,
    net::Ipv4Addr,
    os::unix::process::parent_id,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    complain,
    linbo::{self, Linbo},
    say, say_on,
};
use crate::lab::{
    host::{Host, Login, State},
    world::World,
};

pub(super) fn main(root: &Path) -> Result<u8> {
    let world = World::open(root)?;
    let connection = env::var("SSH_CONNECTION").context("not called by sshd")?;
    let mut connection = connection.split(' ').skip(2);
    let address: Ipv4Addr = connection.next().unwrap_or_default().parse()?;
    let port: u16 = connection.next().unwrap_or_default().parse()?;
    let found = world.hosts.iter().find(|(_, host)| host.address == address);
    let name = found.context("no host has this address")?.0.clone();
    let line = env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| word.trim_matches(['"', '\'']).to_owned())
        .collect();
    let parent = parent_id();
    let code = if port == world.linbo_port {
        in_linbo(world, &name, &words)?
    } else {
        in_os(&world, &name, &line, &words)?
    };
    let Some(code) = code else {
        // The machine is gone: no exit status may come back, so wait until the connection is closed under us.
        let begin = Instant::now();
        while parent_id() == parent && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(20));
        }
        return Ok(255);
    };
    Ok(u8::try_from(code).unwrap_or(255))
}

fn in_linbo(world: World, name: &str, words: &[String]) -> Result<Option<i32>> {
    let host = Host::new(&world, name);
    let (program, arguments) = words.split_first().map_or(("", words), |(first, rest)| {
        (first.rsplit('/').next().unwrap_or(first), rest)
    });
    let line = std::iter::once(program).chain(arguments.iter().map(String::as_str));
    let line: Vec<_> = line.collect();
    let line = line.join(" ");
    let code = match program {
        "linbo_wrapper" => return Linbo::new(world, name, true)?.wrap(arguments),
        "ls" => Some(list(arguments)),
        "cat" => Some(show(&host, arguments)),
        "gui_ctl" => gui(&world, name, arguments)?,
        "ps" => {
            say("  PID USER       VSZ STAT COMMAND");
            say("    1 root      2212 S    init");
            for (pid, command) in linbo::running(&host)? {
                let name = command.split(' ').next().unwrap_or_default();
                say(&format!(
                    "{pid:>5} root      2340 S    {{{name}}} /bin/sh /usr/bin/{command}"
                ));
            }
            Some(0)
        }
        "" | "true" => Some(0),
        other => {
            complain(&format!("sh: {other}: not found"));
            Some(127)
        }
    };
    let id = format!("{}-shell", std::process::id());
    host.begin(&id, &line, Vec::new())?;
    if let Some(code) = code {
        host.end(&id, code)?;
    }
    Ok(code)
}

fn list(arguments: &[String]) -> i32 {
    let mut code = 0;
    for name in arguments.iter().filter(|name| !name.starts_with('-')) {
        if matches!(name.as_str(), "/start.conf" | "/.env" | "/cache") {
            say(name);
        } else {
            complain(&format!("ls: {name}: No such file or directory"));
            code = 1;
        }
    }
    code
}

fn show(host: &Host, arguments: &[String]) -> i32 {
    let mut code = 0;
    for name in arguments {
        let file = match name.as_str() {
            "/start.conf" => host.dir.join("start.conf"),
            "/tmp/linbo.log" => host.dir.join("linbo.log"),
            other => {
                let base = other
                    .strip_prefix("/cache/")
                    .filter(|base| base.ends_with(".info"));
                host.dir.join("cache").join(base.unwrap_or("..nothing"))
            }
        };
        match fs::read_to_string(file) {
            Ok(text) => say_on(&text),
            Err(_) => {
                complain(&format!(
                    "cat: can't open '{name}': No such file or directory"
                ));
                code = 1;
            }
        }
    }
    code
}

fn gui(world: &World, name: &str, arguments: &[String]) -> Result<Option<i32>> {
    let linbo = Linbo::new(world.clone(), name, true)?;
    let done = linbo
        .header(&format!("gui_ctl {}", arguments.join(" ")))
        .and_then(|()| match arguments.first().map(String::as_str) {
            Some("disable") => linbo.say("Disabling linbo_gui."),
            Some("restore") => linbo.say("Restoring gui."),
            _ => linbo.say("Usage: gui_ctl disable|restore"),
        });
    Ok(done.is_ok().then_some(0))
}

/// An operating system: notes what it is told, and goes down when told to.
fn in_os(world: &World, name: &str, line: &str, words: &[String]) -> Result<Option<i32>> {
    let host = Host::new(world, name);
    let id = format!("{}-os", std::process::id());
    host.begin(&id, &format!("os: {line}"), Vec::new())?;
    if words.iter().any(|word| word.ends_with("start.conf")) {
        complain("ls: cannot access '/start.conf': No such file or directory");
        host.end(&id, 2)?;
        return Ok(Some(2));
    }
    if words.iter().any(|word| word == "loginctl") {
        match host.login()? {
            Login::Nobody => say("     c1  128 gdm  seat0 tty1\n      7    0 root"),
            Login::Somebody | Login::Refused => say("      3 1047 mmuster seat0 tty2"),
            Login::Garbage => say("Welcome! You have new mail."),
        }
        say("reconcile:end");
        host.end(&id, 0)?;
        return Ok(Some(0));
    }
    let down = words.iter().find_map(|word| match word.as_str() {
        "poweroff" => Some(State::Off),
        "reboot" => Some(State::Booting),
        _ => None,
    });
    if let Some(state) = down {
        host.set_state(state)?;
        return Ok(None);
    }
    host.end(&id, 0)?;
    Ok(Some(0))
}
