//! `sync` and `new` of a LINBO client: fetch what the server has, restore it, report it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::linbo::{Linbo, Step, Stop};
use crate::lab::{
    host::{Applied, Cached, Fault, State},
    images::{read_info, sample_digest},
    world::replace,
};

pub(super) fn sync(linbo: &Linbo, number: &str, format: bool) -> Step {
    let os = linbo.section(number)?;
    let image = os.get("baseimage").to_owned();
    linbo.say(&format!("Syncing {} ...", os.get("name")))?;
    linbo.header(&format!("linbo_sync {number}"))?;
    if format {
        linbo.say("Formatting /dev/sda2 ...")?;
    }
    let stem = image.trim_end_matches(".qcow2").to_owned();
    let diff = format!("{stem}.qdiff");
    fetch(linbo, &stem, &image)?;
    let with_diff = fetch_diff(linbo, &stem, &diff)?;
    check_pair(linbo, &image, with_diff.then_some(diff.as_str()))?;
    let file = if with_diff { &diff } else { &image };
    restore(linbo, &image, file, with_diff)
}

/// `initcache`: fetches all images of the start.conf; only the base's failure counts.
pub(super) fn initcache(linbo: &Linbo) -> Step {
    let systems = linbo.sections.iter().filter(|section| section.name == "os");
    for os in systems {
        let image = os.get("baseimage");
        let stem = image.trim_end_matches(".qcow2");
        fetch(linbo, stem, image)?;
        fetch_diff(linbo, stem, &format!("{stem}.qdiff"))?;
    }
    Ok(())
}

fn fetch_diff(linbo: &Linbo, stem: &str, diff: &str) -> Step<bool> {
    let info = format!("{diff}.info");
    if linbo.server.images().join(stem).join(&info).exists() {
        fetch(linbo, stem, diff)?;
        return Ok(true);
    }
    for name in [diff, &info, &format!("{diff}.torrent")] {
        fs::remove_file(cache(linbo, name)).ok();
    }
    Ok(false)
}

fn cache(linbo: &Linbo, name: &str) -> PathBuf {
    linbo.host.dir.join("cache").join(name)
}

fn cached(linbo: &Linbo, name: &str) -> Option<Cached> {
    let text = fs::read_to_string(cache(linbo, name)).ok()?;
    serde_json::from_str(&text).ok()
}

fn fails(linbo: &Linbo, file: &str) -> Step {
    linbo.say(&format!("{file} could not be downloaded!"))?;
    Err(Stop::Failed(1))
}

fn fetch(linbo: &Linbo, stem: &str, file: &str) -> Step {
    linbo.header(&format!("linbo_download_image {file}"))?;
    linbo.say(&format!("### linbo_download_image {file}"))?;
    let folder = linbo.server.images().join(stem);
    let sections = &linbo.sections;
    let torrent = sections
        .iter()
        .any(|section| section.get("downloadtype").eq_ignore_ascii_case("torrent"));
    let mut stale = false;
    if torrent || cache(linbo, &format!("{file}.torrent")).exists() {
        linbo.header(&format!("linbo_download images/{stem}/{file}.hash"))?;
        let hash = fs::read(folder.join(format!("{file}.hash")));
        let known = fs::read(cache(linbo, &format!("{file}.torrent")));
        match (hash, known) {
            (Err(_), Ok(_)) => return fails(linbo, file),
            (Ok(hash), Ok(known)) => stale = hash != known,
            (_, Err(_)) => {}
        }
    }
    for side in ["postsync", "driverpostsync", "reg", "desc"] {
        let name = format!("{file}.{side}");
        let there = folder.join(&name).exists();
        let result = if there { "Ok." } else { "not available." };
        linbo.say(&format!("Trying to download {name} ... {result}"))?;
    }
    let Ok(info) = fs::read_to_string(folder.join(format!("{file}.info"))) else {
        return fails(linbo, file);
    };
    linbo.say(&format!("Trying to download {file}.info ... Ok."))?;
    let keys = read_info(&info);
    let size: u64 = keys
        .get("imagesize")
        .and_then(|size| size.parse().ok())
        .unwrap_or(0);
    let known = fs::read_to_string(cache(linbo, &format!("{file}.info"))).unwrap_or_default();
    let have = cached(linbo, file);
    if !stale && known == info && have.is_some_and(|have| have.size == size) {
        return linbo.say(&format!("{file} has not changed, nothing to do."));
    }
    if linbo.host.has(&Fault::CacheFull)? {
        linbo.say(&format!(
            "Failed to write into the file /cache/{file}, cause: No space left on device"
        ))?;
        return fails(linbo, file);
    }
    if linbo.host.has(&Fault::DownloadFails)? {
        return fails(linbo, file);
    }
    // As in LINBO, the new .info is there before the image is.
    replace(&cache(linbo, &format!("{file}.info")), &info)?;
    fs::remove_file(cache(linbo, file)).ok();
    linbo.say(&format!("Downloading {file} ..."))?;
    if torrent && !seeded(linbo, file) {
        // No reachable seed: aria2c waits for ever; bounded here so that no process stays behind.
        linbo.wait(Duration::from_secs(600))?;
        return fails(linbo, file);
    }
    linbo.wait(Duration::from_millis(linbo.world.pace.download_ms))?;
    let Ok(content) = sample_digest(&folder.join(file)) else {
        return fails(linbo, file);
    };
    if content.size != size {
        let text = format!("{file}: {} bytes, but its .info says {size}", content.size);
        linbo.host.add_anomaly(&text)?;
    }
    replace(&cache(linbo, file), serde_json::to_string(&content)?)?;
    if torrent && let Ok(hash) = fs::read(folder.join(format!("{file}.hash"))) {
        replace(&cache(linbo, &format!("{file}.torrent")), hash)?;
    }
    linbo.send_log()
}

/// Whether the server's seeder of this file lives.
fn seeded(linbo: &Linbo, file: &str) -> bool {
    let pid = fs::read_to_string(linbo.server.seeding().join(file)).unwrap_or_default();
    !pid.is_empty() && fs::exists(format!("/proc/{}", pid.trim())).unwrap_or(false)
}

/// A base with a foreign diff destroys a file system silently; the lab notices.
fn check_pair(linbo: &Linbo, base: &str, diff: Option<&str>) -> Step {
    let Some(diff) = diff else { return Ok(()) };
    let read = |name: &str| {
        let text = fs::read_to_string(cache(linbo, &format!("{name}.info"))).unwrap_or_default();
        read_info(&text)
    };
    let (base_info, diff_info) = (read(base), read(diff));
    let (own, wanted) = (
        base_info.get("timestamp"),
        diff_info.get("backingfile_timestamp"),
    );
    if own != wanted {
        let text = format!("{diff} wants the base {wanted:?}, but {base} is {own:?}");
        linbo.host.add_anomaly(&text)?;
    }
    Ok(())
}

fn restore(linbo: &Linbo, base: &str, file: &str, with_diff: bool) -> Step {
    linbo.say(&format!("Unpacking: {file} -> /dev/sda2"))?;
    linbo.note(&format!("Check status of /dev/sda2 using {file}."))?;
    linbo.header("linbo_mount /dev/sda2 /mnt -r")?;
    linbo.say("File sync ...")?;
    linbo.note(&format!("Starting sync of {file} to /dev/sda2."))?;
    let time = linbo.host.sync_time()?;
    linbo.wait(time / 2)?;
    let begin = Instant::now();
    while linbo.host.has(&Fault::HangsInSync)? && begin.elapsed() < Duration::from_secs(1800) {
        linbo.wait(Duration::from_millis(50))?;
    }
    if linbo.host.has(&Fault::SyncFails)? {
        linbo.say(&format!("Image sync of {file} to /dev/sda2 failed!"))?;
        linbo.say("Cannot mount /dev/sda2!")?;
        linbo.send_log()?;
        return Err(Stop::Failed(1));
    }
    if linbo.host.has(&Fault::PowerFails)? {
        return linbo.go_down(State::Off);
    }
    if linbo.host.has(&Fault::LinkCut)? {
        fs::write(linbo.host.dir.join("cut"), "")?;
        linbo.wait(Duration::from_secs(600))?;
    }
    let empty = linbo.host.has(&Fault::MountFails)?;
    if empty {
        linbo.say("Mounting /dev/nbd0 failed!")?;
    } else {
        linbo.header("linbo_mount /dev/nbd0 /image -r")?;
        linbo.say("Syncing ... please wait ...")?;
        linbo.wait(time / 2)?;
        linbo.say("/dev/nbd0 disconnected")?;
    }
    linbo.note(&format!("Update status of /dev/sda2 using {file}."))?;
    linbo.note(&format!("Sync from {file} finished."))?;
    linbo.say("Done.")?;
    report(linbo, base, file, with_diff, empty)?;
    linbo.header("linbo_mount /dev/sda2 /mnt")?;
    linbo.say(&format!("Setting hostname -> {}.", linbo.host.name))?;
    linbo.header("linbo_label all")?;
    linbo.say("Partition /dev/sda2 - fstype ext4 --> label ubuntu ...  OK!")?;
    linbo.send_log()
}

fn report(linbo: &Linbo, base: &str, file: &str, with_diff: bool, empty: bool) -> Step {
    let info = fs::read_to_string(cache(linbo, &format!("{file}.info")))?;
    let timestamp = read_info(&info).remove("timestamp").unwrap_or_default();
    let nothing = || Stop::Lab(anyhow::anyhow!("{base} vanished from the cache"));
    let applied = Applied {
        file: file.to_owned(),
        timestamp: timestamp.clone(),
        base: cached(linbo, base).ok_or_else(nothing)?,
        diff: if with_diff { cached(linbo, file) } else { None },
        empty,
    };
    let text = serde_json::to_string(&applied)?;
    replace(&linbo.host.dir.join("applied.json"), text)?;
    let now = linbo.world.now()?.strftime("%Y%m%d%H%M").to_string();
    linbo.send_status(&format!("{now} applied: {file} \"{timestamp}\""))
}
