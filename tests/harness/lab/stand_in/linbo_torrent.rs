//! `linbo-torrent` of LINBO 7.4 and the seeder that it starts in tmux.
//!
//! A seeder that finds another image than its torrent describes fetches the old content from its peers and writes it
//! into the new file. So does this one: it damages the file and notes an anomaly.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{complain, say, say_on, tmux};
use crate::lab::{
    host::append,
    images::{hex, sample_digest},
    world::{ServerPaths, replace},
};
use sha2::{Digest as _, Sha256};

pub(super) fn main(server: &ServerPaths, arguments: &[String]) -> Result<u8> {
    let action = arguments.first().map_or("", String::as_str);
    let file = arguments.get(1);
    let images = match file {
        Some(name) => find(server, name)?,
        None => all(server)?,
    };
    let known = matches!(
        action,
        "create" | "start" | "stop" | "restart" | "reload" | "check"
    );
    if action == "status" {
        return status(server);
    }
    if action == "update-otr" {
        update_whitelist(server)?;
        return Ok(0);
    }
    let needs_file = matches!(action, "create" | "check");
    if !known || (needs_file && file.is_none()) || (file.is_some() && images.len() != 1) {
        return Ok(usage());
    }
    let mut code = 0;
    for image in &images {
        match action {
            "create" => code = create(server, image)?,
            "start" => start(server, image)?,
            "stop" => stop(server, image)?,
            "check" => code = check(server, image)?,
            _ => {
                stop(server, image)?;
                start(server, image)?;
            }
        }
    }
    if action != "check" {
        update_whitelist(server)?;
    }
    Ok(code)
}

fn usage() -> u8 {
    say("Usage: linbo-torrent <start|stop|restart|reload|status|create|check|update-otr> [image]");
    1
}

/// All images at depth two, as the real tool's `find -maxdepth 2` sees them.
fn all(server: &ServerPaths) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in fs::read_dir(server.images())? {
        let folder = folder?.path();
        let Ok(files) = fs::read_dir(&folder) else {
            continue;
        };
        for file in files {
            let path = file?.path();
            let name = path.extension().and_then(|extension| extension.to_str());
            if matches!(name, Some("qcow2" | "qdiff")) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn find(server: &ServerPaths, name: &str) -> Result<Vec<PathBuf>> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.strip_suffix(".torrent").unwrap_or(name);
    let mut images = all(server)?;
    images.retain(|path| path.file_name().is_some_and(|own| own == name));
    Ok(images)
}

fn name_of(image: &Path) -> Result<&str> {
    let name = image.file_name().and_then(|name| name.to_str());
    name.context("an image has an odd name")
}

fn side(image: &Path, extension: &str) -> Result<PathBuf> {
    Ok(image.with_file_name(format!("{}.{extension}", name_of(image)?)))
}

fn session(image: &Path) -> Result<String> {
    Ok(name_of(image)?.replace('.', "_") + "_torrent")
}

/// What a torrent of this file would say; it depends on name, size and content only.
fn describe(image: &Path) -> Result<(String, String)> {
    let content = sample_digest(image)?;
    let name = name_of(image)?;
    let text = format!(
        "lab torrent\n{name}\n{}\n{}\n",
        content.size, content.digest
    );
    let hash = hex(&Sha256::digest(text.as_bytes()))
        .chars()
        .take(40)
        .collect();
    Ok((text, hash))
}

fn create(server: &ServerPaths, image: &Path) -> Result<u8> {
    stop(server, image)?;
    let torrent = side(image, "torrent")?;
    if let Err(error) = fs::remove_file(&torrent)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error.into());
    }
    if server.fault_of("linbo-torrent") == "create-fails" {
        say(&format!(
            "Creating torrent for {} ... Failed!",
            name_of(image)?
        ));
        return Ok(1);
    }
    let (text, hash) = describe(image)?;
    replace(&torrent, text)?;
    replace(&side(image, "hash")?, format!("{hash}\n"))?;
    start(server, image)?;
    Ok(0)
}

fn start(server: &ServerPaths, image: &Path) -> Result<()> {
    let torrent = side(image, "torrent")?;
    if !torrent.exists() {
        let (text, hash) = describe(image)?;
        replace(&torrent, text)?;
        replace(&side(image, "hash")?, format!("{hash}\n"))?;
    }
    let session = session(image)?;
    if is_running(server, &session)? {
        say(&format!("tmux session {session} is already running."));
        return Ok(());
    }
    say_on(&format!("Starting tmux session {session} ... "));
    if server.fault_of("linbo-torrent") == "no-session" {
        say("Failed!");
        return Ok(());
    }
    let line = format!(
        "{} -V --seed-ratio=0.0 {}",
        server.bin().join("aria2c").display(),
        torrent.display()
    );
    let status = tmux(server)
        .args(["new-session", "-Ads", &session, &line])
        .stdin(Stdio::null())
        .status()?;
    say(if status.success() { "Ok!" } else { "Failed!" });
    // The real session seeds at once; here a client must not come before the seeder's mark.
    let mark = server.seeding().join(name_of(image)?);
    let begin = Instant::now();
    while !mark.exists() && begin.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn stop(server: &ServerPaths, image: &Path) -> Result<()> {
    let session = session(image)?;
    if !is_running(server, &session)? {
        return Ok(());
    }
    if server.fault_of("linbo-torrent") == "stop-skips" {
        say(&format!(
            "Skipping {session}: you are currently attached to it. Detach first with [CTRL+B]+[D] to stop it too."
        ));
        return Ok(());
    }
    say_on(&format!("Stopping tmux session {session} ... "));
    let target = format!("={session}");
    let status = tmux(server)
        .args(["kill-session", "-t", &target])
        .status()?;
    fs::remove_file(server.seeding().join(name_of(image)?)).ok();
    say(if status.success() { "Ok!" } else { "Failed!" });
    Ok(())
}

fn is_running(server: &ServerPaths, session: &str) -> Result<bool> {
    let status = tmux(server)
        .args(["has-session", "-t", &format!("={session}")])
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}

fn check(server: &ServerPaths, image: &Path) -> Result<u8> {
    let known = fs::read_to_string(side(image, "torrent")?).unwrap_or_default();
    let good = known == describe(image)?.0 && server.fault_of("linbo-torrent") != "check-fails";
    let verdict = if good { "Ok!" } else { "Failed!" };
    say(&format!("Checking {} ... {verdict}", name_of(image)?));
    Ok(u8::from(!good))
}

fn status(server: &ServerPaths) -> Result<u8> {
    let output = tmux(server)
        .arg("list-sessions")
        .stderr(Stdio::null())
        .output()?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if line
            .split(':')
            .next()
            .is_some_and(|name| name.ends_with("_torrent"))
        {
            say(line);
        }
    }
    Ok(0)
}

fn update_whitelist(server: &ServerPaths) -> Result<()> {
    say("Updating opentracker torrent whitelist ...");
    let mut hashes = String::new();
    for image in all(server)? {
        hashes += &fs::read_to_string(side(&image, "hash")?).unwrap_or_default();
    }
    replace(&server.whitelist(), hashes)
}

/// The seeder: marks that it seeds, until its session or the lab ends; half an hour at most.
pub(super) fn seed(server: &ServerPaths, arguments: &[String]) -> Result<u8> {
    let torrent = PathBuf::from(arguments.last().context("which torrent?")?);
    let image = torrent.with_extension("");
    let name = name_of(&image)?;
    let known = fs::read_to_string(&torrent)?;
    if known != describe(&image)?.0 {
        complain(&format!(
            "{name}: verification failed, downloading from peers"
        ));
        let file = fs::File::options().write(true).open(&image)?;
        let size = file.metadata()?.len();
        file.write_all_at(&[0x5a; 65536], (size / 2) & !0xffff)?;
        let text = format!("{name}: a stale torrent wrote old content into the image\n");
        append(&server.run().join("anomalies"), &text)?;
    }
    let mark = server.seeding().join(name);
    replace(&mark, std::process::id().to_string())?;
    let begin = Instant::now();
    while mark.exists() && begin.elapsed() < Duration::from_secs(30 * 60) {
        thread::sleep(Duration::from_millis(200));
    }
    Ok(0)
}
