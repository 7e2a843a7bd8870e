//! `linuxmuster-import-devices`, as far as LINBO clients and the reconciler see its effects.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};

use anyhow::Result;

use super::say;
use crate::lab::{
    host::append,
    linbo_files::{Row, read_devices, split_start_conf},
    world::{ServerPaths, World, replace},
};

pub(super) fn main(world: &World, server: &ServerPaths) -> Result<u8> {
    let now = world.now()?.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let log = server.root.join("var/log/linuxmuster/import-devices.log");
    append(&log, &format!("[{now}] linuxmuster-import-devices\n"))?;
    let fault = server.fault_of("linuxmuster-import-devices");
    let Ok(rows) = read_devices(&server.devices_csv()) else {
        say("Traceback (most recent call last):");
        return Ok(1);
    };
    let problems = problems(&rows);
    if fault == "dry-run-fails" || !problems.is_empty() {
        for problem in problems {
            say(&format!("ERROR: {problem}"));
        }
        say("sophomorix-device finished with errors!");
        return Ok(1);
    }
    // What the rows say about AD: tests read here whether an account would have been deleted.
    let accounts: BTreeSet<_> = rows
        .iter()
        .map(|row| row.host().to_uppercase() + "$\n")
        .collect();
    replace(
        &server.root.join("var/lib/ad-accounts"),
        accounts.into_iter().collect::<String>(),
    )?;
    dhcp(server, &rows, &fault)?;
    links(server, &rows)?;
    if !groups(server, &rows)? {
        say("TypeError: sequence item 0: expected str instance, NoneType found");
        return Ok(1);
    }
    if fault == "hook-fails" || !hooks(server)? {
        say("subprocess.CalledProcessError: a hook returned non-zero exit status 1.");
        return Ok(1);
    }
    append(&log, &format!("[{now}] finished\n"))?;
    Ok(0)
}

fn problems(rows: &[Row]) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut macs, mut ips) = (BTreeSet::new(), BTreeSet::new());
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    for row in rows {
        let host = row.host();
        if host.is_empty() || !plain(host) || !plain(row.room()) {
            problems.push(format!("{host}: bad characters in room or host"));
        }
        if !macs.insert(row.mac().to_lowercase()) {
            problems.push(format!("{host}: MAC {} is used twice", row.mac()));
        }
        if row.ip() != "DHCP" && !ips.insert(row.ip()) {
            problems.push(format!("{host}: IP {} is used twice", row.ip()));
        }
        if !row.pxe().contains(|c: char| c.is_ascii_digit()) {
            problems.push(format!("{host}: PXE flag {:?}", row.pxe()));
        }
    }
    problems
}

/// Exit 0 whatever happens here: a flag such as `1x` leaves the server without its DHCP configuration.
fn dhcp(server: &ServerPaths, rows: &[Row], fault: &str) -> Result<()> {
    let main = server.root.join("etc/dhcp/devices.conf");
    let school = server.root.join("etc/dhcp/devices/default-school.conf");
    fs::remove_file(&main).ok();
    let mut text = String::new();
    for row in rows {
        if row.pxe().parse::<i64>().is_err() || fault == "dhcp-fails" {
            say(&format!(
                "invalid literal for int() with base 10: '{}'",
                row.pxe()
            ));
            return Ok(());
        }
        text += &format!(
            "host {} {{\n  hardware ethernet {};\n  fixed-address {};\n  option nis-domain \"{}\";\n}}\n",
            row.host(),
            row.mac(),
            row.ip(),
            row.group()
        );
    }
    replace(&school, text)?;
    replace(&main, format!("include \"{}\";\n", school.display()))
}

/// All links are deleted and made again; nothing protects a client that boots meanwhile.
fn links(server: &ServerPaths, rows: &[Row]) -> Result<()> {
    for entry in fs::read_dir(server.linbo())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        if name.starts_with("start.conf-") && path.is_symlink() {
            fs::remove_file(&path)?;
        }
    }
    for row in rows
        .iter()
        .filter(|row| matches!(row.pxe(), "1" | "2" | "3"))
    {
        let link = server.linbo().join(format!("start.conf-{}", row.ip()));
        symlink(format!("start.conf.{}", row.group()), link)?;
        let grub = server
            .linbo()
            .join("boot/grub/hostcfg")
            .join(format!("{}.cfg", row.host()));
        fs::remove_file(&grub).ok();
        symlink(format!("../{}.cfg", row.group()), grub)?;
    }
    Ok(())
}

/// A start.conf without `KernelOptions` stops the whole program.
fn groups(server: &ServerPaths, rows: &[Row]) -> Result<bool> {
    let groups: BTreeSet<_> = rows
        .iter()
        .filter(|row| matches!(row.pxe(), "1" | "2"))
        .map(Row::group)
        .collect();
    for group in groups {
        let path = server.linbo().join(format!("start.conf.{group}"));
        if !path.exists() {
            fs::copy(server.linbo().join("start.conf"), &path)?;
        }
        let sections = split_start_conf(&fs::read_to_string(&path)?);
        let linbo = sections.iter().find(|section| section.name == "linbo");
        if linbo.is_some_and(|linbo| !linbo.has("kerneloptions")) {
            return Ok(false);
        }
        let options = linbo.map_or("", |linbo| linbo.get("kerneloptions"));
        let text = format!(
            "### managed by linuxmuster.net ###\n# group {group}\nlinux /linbo64 {options}\n"
        );
        replace(
            &server
                .linbo()
                .join("boot/grub")
                .join(format!("{group}.cfg")),
            text,
        )?;
    }
    Ok(true)
}

fn hooks(server: &ServerPaths) -> Result<bool> {
    let folder = server
        .root
        .join("var/lib/linuxmuster/hooks/device-import.post.d");
    for entry in fs::read_dir(folder)? {
        let mut hook = Command::new(entry?.path());
        let status = hook
            .args(["-s", "default-school"])
            .stdin(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Ok(false);
        }
    }
    Ok(true)
}
