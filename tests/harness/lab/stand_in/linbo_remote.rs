//! `linbo-remote` of LINBO 7.4: wakes hosts, starts one tmux session a host and returns at once with exit 0.
//!
//! Only usage errors give exit 1. Skipped hosts, failed commands and calls that were dropped because a session was
//! still there all look the same to the caller.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio, id},
    thread,
    time::Duration,
};

use anyhow::Result;

use super::{complain, date, say, say_on, seconds, tmux};
use crate::lab::{
    linbo_files::{Row, read_devices},
    world::{ServerPaths, World, replace},
};

/// What the command line asks for.
#[derive(Default)]
struct Wanted {
    hosts: Option<Vec<String>>,
    group: Option<String>,
    room: Option<String>,
    direct: Option<String>,
    onboot: Option<String>,
    wait: Option<u64>,
    between: u64,
    noauto: bool,
    disable_gui: bool,
}

/// A usage error; its text is the last line of standard output.
struct Misuse(String);

pub(super) fn main(world: &World, server: &ServerPaths, arguments: &[String]) -> Result<u8> {
    if arguments.iter().any(|argument| argument == "-l") {
        list(server)?;
        return Ok(0);
    }
    let rows = read_devices(&server.devices_csv())?;
    let parsed = match parse(arguments, &rows) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Ok(1),
        Err(misuse) => return Ok(usage(&misuse.0)),
    };
    let hosts = match select(&parsed, &rows) {
        Ok(hosts) => hosts,
        Err(misuse) => return Ok(usage(&misuse.0)),
    };
    say(&format!(
        "###\n### linbo-remote ({}) start: {}\n###\n",
        id(),
        date(world)?
    ));
    Remote {
        world,
        server,
        rows: &rows,
        wanted: parsed,
    }
    .run(&hosts)?;
    say(&format!(
        "\n###\n### linbo-remote ({}) end: {}\n###",
        id(),
        date(world)?
    ));
    Ok(0)
}

fn usage(reason: &str) -> u8 {
    say("\nUsage: linbo-remote <options>\n");
    for line in [
        " -i <i1,i2,...>     Hosts, by name or IP.",
        " -g <group>         All hosts of a group.",
        " -r <room>          All hosts of a room.",
        " -c <cmd1,cmd2,..>  Commands that are sent now.",
        " -p <cmd1,cmd2,..>  Commands for the next boot.",
        " -w <sec>           Wake up, wait <sec> seconds.",
        " -b <sec>           Wait <sec> seconds between two hosts.",
        " -n                 No automatic functions at the next boot.",
        " -d                 No GUI at the next boot.",
        " -l                 List sessions.",
        "\nKnown commands: partition label format initcache sync new postsync start prestart",
        "create_image create_qdiff upload_image upload_qdiff reboot halt\n",
    ] {
        say(line);
    }
    say(reason);
    1
}

fn misuse<T>(reason: impl Into<String>) -> Result<T, Misuse> {
    Err(Misuse(reason.into()))
}

/// `None` if an option is unknown, which is said on standard error.
fn parse(arguments: &[String], rows: &[Row]) -> Result<Option<Wanted>, Misuse> {
    let mut wanted = Wanted::default();
    let mut arguments = arguments.iter();
    while let Some(option) = arguments.next() {
        if option == "-n" {
            wanted.noauto = true;
            continue;
        }
        if option == "-d" || option == "-u" {
            wanted.disable_gui |= option == "-d";
            continue;
        }
        if !matches!(
            option.as_str(),
            "-i" | "-g" | "-r" | "-c" | "-p" | "-w" | "-b" | "-s" | "-a"
        ) {
            complain(&format!("Invalid option: {option}"));
            return Ok(None);
        }
        let Some(value) = arguments.next() else {
            complain(&format!("Option {option} requires an argument."));
            return Ok(None);
        };
        let number = value.parse();
        match (option.as_str(), number) {
            ("-i", _) => wanted.hosts = Some(listed(value, rows)?),
            ("-g", _) => wanted.group = Some(value.clone()),
            ("-r", _) => wanted.room = Some(value.clone()),
            ("-c", _) => wanted.direct = Some(checked(value)?),
            ("-p", _) => wanted.onboot = Some(checked(value)?),
            ("-w", Ok(number)) => wanted.wait = Some(number),
            ("-b", Ok(number)) => wanted.between = number,
            ("-w" | "-b", Err(_)) => return misuse(format!("{value} is not an integer variable!")),
            _ => {}
        }
    }
    Ok(Some(wanted))
}

/// The hosts of `-i`, evaluated while the options are still being read.
fn listed(value: &str, rows: &[Row]) -> Result<Vec<String>, Misuse> {
    let mut hosts = Vec::new();
    for name in value.split(',').filter(|name| !name.is_empty()) {
        let row = rows
            .iter()
            .find(|row| row.host() == name || row.ip() == name);
        match row {
            Some(row) if matches!(row.pxe(), "1" | "2") => hosts.push(row.host().to_owned()),
            _ => say(&format!("Skipping {name}, not a pxe host!")),
        }
    }
    if hosts.is_empty() {
        return misuse("No valid hosts in list!");
    }
    Ok(hosts)
}

fn checked(commands: &str) -> Result<String, Misuse> {
    for command in commands.split(',') {
        let (word, argument) = command.split_once(':').unwrap_or((command, ""));
        match word {
            "partition" | "label" | "format" | "initcache" | "reboot" | "halt" => {}
            "sync" | "new" | "postsync" | "start" | "prestart" | "create_image"
            | "create_qdiff" | "upload_image" | "upload_qdiff" => {
                let number = argument.split(':').next().unwrap_or("");
                if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                    return misuse(format!("Command string \"{number}\" is not valid!"));
                }
            }
            _ => return misuse(format!("Command \"{word}\" is not known!")),
        }
    }
    Ok(commands.to_owned())
}

fn select(wanted: &Wanted, rows: &[Row]) -> Result<Vec<String>, Misuse> {
    if wanted.direct.is_some() && wanted.onboot.is_some() {
        return misuse("You cannot use options -c and -p together!");
    }
    let nothing = wanted.direct.is_none() && wanted.onboot.is_none() && wanted.wait.is_none();
    if nothing && !wanted.noauto && !wanted.disable_gui {
        return misuse("No command given!");
    }
    if wanted.group.is_some() && (wanted.hosts.is_some() || wanted.room.is_some()) {
        return misuse("You cannot use option -g together with -i or -r!");
    }
    // A text match on "name flag": a host whose name begins with 1 or 2 passes whatever its flag is.
    let is_pxe =
        |row: &&Row| row.pxe().starts_with(['1', '2']) || row.host().starts_with(['1', '2']);
    let names = |column: fn(&Row) -> &str, value: &str| -> Vec<String> {
        let rows = rows
            .iter()
            .filter(|row| column(row) == value)
            .filter(is_pxe);
        rows.map(|row| row.host().to_owned()).collect()
    };
    // -r silently replaces the list of -i.
    let hosts = match (&wanted.room, &wanted.group, &wanted.hosts) {
        (Some(room), _, _) => names(Row::room, room),
        (None, Some(group), _) => names(Row::group, group),
        (None, None, Some(hosts)) => hosts.clone(),
        (None, None, None) => return misuse("No hosts given!"),
    };
    if let (Some(room), true) = (&wanted.room, hosts.is_empty()) {
        return misuse(format!("No hosts in room {room}!"));
    }
    if let (Some(group), true) = (&wanted.group, hosts.is_empty()) {
        return misuse(format!("No hosts in group {group}!"));
    }
    let commands = wanted.direct.as_ref().or(wanted.onboot.as_ref());
    let moves = commands.is_some_and(|line| line.contains("upload") || line.contains("create"));
    if moves && (hosts.len() > 1 || wanted.room.is_some() || wanted.group.is_some()) {
        return misuse("Upload or create cannot be used with lists!");
    }
    Ok(hosts)
}

fn list(server: &ServerPaths) -> Result<()> {
    let output = tmux(server)
        .arg("list-sessions")
        .stderr(Stdio::null())
        .output()?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if line.contains("linbo-remote") {
            say(line);
        }
    }
    Ok(())
}

struct Remote<'a> {
    world: &'a World,
    server: &'a ServerPaths,
    rows: &'a [Row],
    wanted: Wanted,
}

impl Remote<'_> {
    fn run(&self, hosts: &[String]) -> Result<()> {
        let flagged = self.wanted.noauto || self.wanted.disable_gui;
        if flagged || self.wanted.onboot.is_some() {
            for host in hosts {
                self.write_onboot(host)?;
            }
        }
        let wait = self.wanted.wait;
        if let Some(wait) = wait.filter(|wait| *wait > 0 || self.wanted.onboot.is_some()) {
            self.wake(hosts)?;
            if wait > 0 {
                self.wait(wait);
            }
        }
        if let Some(commands) = &self.wanted.direct {
            say("Sending command(s) to:");
            for host in hosts {
                self.send(host, commands, flagged)?;
            }
        } else if self.wanted.onboot.is_some() && wait.is_some_and(|wait| wait > 0) {
            self.check_onboot(hosts)?;
        }
        Ok(())
    }

    fn write_onboot(&self, host: &str) -> Result<()> {
        let mut line = self.wanted.onboot.clone().unwrap_or_default();
        for (flag, word) in [
            (self.wanted.noauto, "noauto"),
            (self.wanted.disable_gui, "disablegui"),
        ] {
            if flag {
                line += &format!(",{word}");
            }
        }
        let path = self.server.linbocmd().join(format!("{host}.cmd"));
        replace(&path, format!("{line}\n"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660))?;
        self.world.stamp(&path)
    }

    fn wake(&self, hosts: &[String]) -> Result<()> {
        say("Trying to wake up:");
        for (index, host) in hosts.iter().enumerate() {
            say_on(&format!(" {host} ... "));
            let mac = self
                .rows
                .iter()
                .find(|row| row.host() == host)
                .map_or("", Row::mac);
            if self.wanted.onboot.is_some() && self.is_online(host)? {
                say("Host is online, rebooting ...");
                self.ssh(host, &["/sbin/reboot"])?;
            } else if mac.split(':').count() == 6 {
                Command::new(self.server.bin().join("wakeonlan"))
                    .arg(mac.to_uppercase())
                    .status()?;
            } else {
                say(&format!("{mac} is no valid mac address!"));
            }
            if self.wanted.between > 0 && index + 1 < hosts.len() {
                say_on("   ");
                self.dots(self.wanted.between);
                say("");
            }
        }
        say("");
        Ok(())
    }

    fn wait(&self, wait: u64) {
        say_on(&format!("Waiting {wait} second(s) for client(s) to boot "));
        self.dots(wait);
        say("\n");
    }

    fn dots(&self, number: u64) {
        for _ in 0..number {
            thread::sleep(seconds(self.world, 1));
            say_on(".");
        }
    }

    /// `ssh` to a host as LINBO's helper calls it; with 3 s where a school has 1 s, because the lab's PCs share the
    /// processors of one machine.
    fn ssh(&self, host: &str, command: &[&str]) -> Result<bool> {
        let status = Command::new("ssh")
            .arg("-F")
            .arg(self.server.ssh_config())
            .args([
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "ConnectTimeout=3",
            ])
            .arg(host)
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(status.success())
    }

    fn is_online(&self, host: &str) -> Result<bool> {
        self.ssh(host, &["/bin/ls", "/start.conf"])
    }

    fn send(&self, host: &str, commands: &str, flagged: bool) -> Result<()> {
        say_on(&format!(" {host} ... "));
        if !flagged {
            fs::remove_file(self.server.linbocmd().join(format!("{host}.cmd"))).ok();
        }
        if !self.is_online(host)? {
            say("Not online, host skipped.");
            return Ok(());
        }
        let script = self.server.scripts().join(format!("{}.{host}.sh", id()));
        fs::write(
            &script,
            self.script(host, commands, &script.to_string_lossy()),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let log = self.server.linbo_log().join(format!("{host}.linbo-remote"));
        let first = !tmux(self.server)
            .arg("list-sessions")
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()?
            .success();
        let session = format!("{host}.linbo-remote");
        tmux(self.server)
            .args(["new", "-Ads", &session])
            .arg(&script)
            .args([";", "pipe-pane"])
            .arg(format!("cat > {}", log.display()))
            .stdin(Stdio::null())
            .status()?;
        let pids = self.pids(host, first)?;
        say(&format!(
            "Started with PID {pids}. Log see {}.",
            log.display()
        ));
        Ok(())
    }

    /// The first session of a server shows two processes, that of the tmux server too.
    fn pids(&self, host: &str, first: bool) -> Result<String> {
        let target = format!("={host}_linbo-remote:");
        let output = tmux(self.server)
            .args(["list-panes", "-t", &target, "-F", "#{pid} #{pane_pid}"])
            .stderr(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(match text.trim().split_once(' ') {
            Some((server, pane)) if first => format!("{server}\n{pane}"),
            Some((_, pane)) => pane.to_owned(),
            None => "unknown".to_owned(),
        })
    }

    /// The script that runs in the session: each command only if all before it returned 0.
    fn script(&self, host: &str, commands: &str, own: &str) -> String {
        let ssh = format!(
            "ssh -F '{}' -o BatchMode=yes {host}",
            self.server.ssh_config().display()
        );
        let pause = fraction(self.world.pace.pause_ms);
        let background = fraction(self.world.pace.background_ms);
        let mut text = format!("#!/bin/bash\nRC=0\n{ssh} gui_ctl disable\n");
        for (index, command) in commands.split(',').enumerate() {
            if index > 0 {
                text += &format!("[ $RC = 0 ] && sleep {pause}\n");
            }
            let call = format!("{ssh} /usr/bin/linbo_wrapper {command}");
            text += &match command.split(':').next() {
                Some("start" | "reboot" | "halt") => {
                    format!("if [ $RC = 0 ]; then {call} & sleep {background}; fi\n")
                }
                _ => format!("if [ $RC = 0 ]; then {call} || RC=1; fi\n"),
            };
        }
        text + &format!("{ssh} gui_ctl restore\nrm -f '{own}'\nexit $RC\n")
    }

    fn check_onboot(&self, hosts: &[String]) -> Result<()> {
        say("Checking onboot commands:");
        for host in hosts {
            let path = self.server.linbocmd().join(format!("{host}.cmd"));
            if path.exists() {
                fs::remove_file(path)?;
                say(&format!(" {host} ... Not done, host skipped!"));
            } else {
                say(&format!(" {host} ... Ok!"));
            }
        }
        Ok(())
    }
}

fn fraction(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}
