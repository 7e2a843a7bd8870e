//! Which image files are really seeded.
//!
//! A session of tmux is no proof: after its seeder has died, a shell lives on in it. So the seeder itself
//! has to be among the processes of the session.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schema::name::FileName;

use super::blocking;
use crate::host::process::processes;
use crate::host::tmux::Tmux;
use crate::linbo::remote::torrent_session_name;
use crate::planning::Probe;

/// The programs that seed: of LINBO 7.4, and of 4.3.
const SEEDERS: [&str; 2] = ["aria2c", "ctorrent"];

/// Those of the files that are seeded.
pub(super) async fn look(tmux: Tmux<'_>, files: BTreeSet<FileName>) -> Probe<BTreeSet<FileName>> {
    if files.is_empty() {
        return Probe::Seen(files);
    }
    match tmux.panes().await {
        Ok(panes) => blocking(move || Probe::Seen(seeded(&panes, files))).await,
        Err(error) => Probe::Unseen(format!("{:#}", anyhow::Error::from(error))),
    }
}

/// `panes` are the first processes of each session.
fn seeded(panes: &BTreeMap<String, Vec<u32>>, mut files: BTreeSet<FileName>) -> BTreeSet<FileName> {
    let parents: BTreeMap<u32, u32> = processes()
        .map(|process| (process.id, process.parent))
        .collect();
    // From each seeder up to the first process of its session.
    let mut seeders = Vec::new();
    for id in parents.keys() {
        if let Some(torrents) = torrents(*id) {
            let above = std::iter::successors(Some(*id), |id| parents.get(id).copied());
            // A process that ends meanwhile could make a ring of reused numbers.
            seeders.push((torrents, above.take(64).collect::<BTreeSet<u32>>()));
        }
    }
    files.retain(|file| {
        let Some(panes) = panes.get(&torrent_session_name(file)) else {
            return false;
        };
        let torrent = format!("{file}.torrent");
        seeders.iter().any(|(torrents, above)| {
            torrents.contains(&torrent) && panes.iter().any(|pane| above.contains(pane))
        })
    });
    files
}

/// The names of the files that a process has as arguments, if it is a seeder.
fn torrents(id: u32) -> Option<BTreeSet<String>> {
    let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0).map(|word| {
        let word = String::from_utf8_lossy(word);
        let name = Path::new(&*word).file_name();
        name.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    });
    let program = words.next()?;
    SEEDERS.contains(&program.as_str()).then(|| words.collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_session_without_its_seeder_seeds_nothing() {
        let root = tempfile::tempdir().unwrap();
        let tmux = Tmux {
            sockets: Some(root.path()),
            ..Tmux::new(Path::new("tmux"))
        };
        let files: BTreeSet<FileName> = ["u.qcow2", "u.qdiff", "w.qcow2", "x.qcow2"]
            .map(|name| name.parse().unwrap())
            .into();
        assert_eq!(
            look(tmux, files.clone()).await,
            Probe::Seen(BTreeSet::new())
        );
        // Something that waits, under the name of the seeder.
        let seeder = root.path().join("aria2c");
        std::os::unix::fs::symlink("/usr/bin/tail", &seeder).unwrap();
        let seeder = seeder.display();
        let begin = async |session: &str, line: &str| {
            let started = tokio::process::Command::new("tmux")
                .env("TMUX_TMPDIR", root.path())
                .args(["new-session", "-ds", session, line])
                .status();
            assert!(started.await.unwrap().success());
        };
        let wait = |torrent: &str| format!("{seeder} --retry -qf {torrent}");
        begin(
            "u_qcow2_torrent",
            &format!("{}; sleep 600", wait("/a/u.qcow2.torrent")),
        )
        .await;
        // The shell that lives on, a seeder of another file, and one in no session of its own.
        begin(
            "u_qdiff_torrent",
            "sleep 600 & echo aria2c u.qdiff.torrent; wait",
        )
        .await;
        begin("w_qcow2_torrent", &wait("/a/u.qcow2.torrent")).await;
        begin("other", &wait("x.qcow2.torrent")).await;
        let expected = Probe::Seen(["u.qcow2".parse().unwrap()].into());
        let begun = Instant::now();
        while look(tmux, files.clone()).await != expected {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ended = tokio::process::Command::new("tmux")
            .env("TMUX_TMPDIR", root.path())
            .arg("kill-server")
            .status();
        assert!(ended.await.unwrap().success());
    }
}
