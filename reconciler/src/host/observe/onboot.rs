//! Commands that wait for a host until LINBO comes up there: `linbocmd/<host>.cmd`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schema::name::HostName;

use super::blocking;
use super::read::{Links, names, read};
use crate::linbo::devices::Devices;
use crate::planning::Probe;

/// Far more than a line of commands needs.
const LONGEST: u64 = 64 << 10;
/// How much of it is shown.
const SHOWN: usize = 80;

/// What waits for these hosts, by their names or addresses.
pub(super) async fn look(
    linbo: &Path,
    hosts: &BTreeSet<HostName>,
    devices: Option<&Devices>,
) -> Probe<BTreeMap<HostName, String>> {
    let folder = linbo.join("linbocmd");
    let mut files = BTreeMap::new();
    for host in hosts {
        files.insert(format!("{host}.cmd"), host.clone());
        if let Some(ip) = devices.and_then(|devices| devices.get(host)?.ip) {
            files.insert(format!("{ip}.cmd"), host.clone());
        }
    }
    blocking(move || match waiting(&folder, &files) {
        Ok(waiting) => Probe::Seen(waiting),
        Err(cause) => Probe::Unseen(cause),
    })
    .await
}

fn waiting(
    folder: &Path,
    files: &BTreeMap<String, HostName>,
) -> Result<BTreeMap<HostName, String>, String> {
    let mut waiting = BTreeMap::new();
    for name in names(folder)?.unwrap_or_default() {
        let Some(host) = files.get(&name) else {
            continue;
        };
        // A host that fetches it just now takes it away.
        if let Some(file) = read(&folder.join(&name), LONGEST, Links::Followed)? {
            waiting.insert(host.clone(), shown(&file.bytes));
        }
    }
    Ok(waiting)
}

/// The commands as people may see them: without the password that stands before an upload.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let commands = text.split([',', '\n', '\r']).map(str::trim);
    let commands = commands.filter(|command| !command.is_empty());
    let masked = commands.map(|command| {
        if command.starts_with("linbo:") {
            "linbo:***"
        } else {
            command
        }
    });
    let masked: Vec<&str> = masked.collect();
    let line = masked.join(",");
    line.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[tokio::test]
    async fn what_waits_is_told_without_its_password() {
        let root = tempfile::tempdir().unwrap();
        let [one, two, three]: [HostName; 3] = ["pc01", "pc02", "pc03"].map(|n| n.parse().unwrap());
        let all = [one.clone(), two.clone(), three].into();
        let rows = b"r1;pc02;c;52:54:00:00:00:01;10.0.0.2;;;;;;1\n";
        let devices = Devices::parse(rows);
        let seen = look(root.path(), &all, Some(&devices)).await;
        assert_eq!(seen, Probe::Seen(BTreeMap::new()));
        let folder = root.path().join("linbocmd");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("pc01.cmd"), "sync:1,halt\n").unwrap();
        std::fs::write(folder.join("10.0.0.2.cmd"), "linbo:s3cret,upload_image:1").unwrap();
        std::fs::write(folder.join("stranger.cmd"), "format").unwrap();
        let waits = [
            (one, "sync:1,halt".to_owned()),
            (two, "linbo:***,upload_image:1".to_owned()),
        ];
        let seen = look(root.path(), &all, Some(&devices)).await;
        assert_eq!(seen, Probe::Seen(waits.into()));
        std::fs::remove_file(folder.join("pc01.cmd")).unwrap();
        std::fs::create_dir(folder.join("pc01.cmd")).unwrap();
        let seen = look(root.path(), &all, Some(&devices)).await;
        assert!(seen.cause().is_some_and(|cause| cause.contains("pc01.cmd")));
    }
}
