//! The state repo's history as far as the slots on the central server's line follow from it.
//!
//! Loading a commit takes long where there are many schools, so what each says is kept in a file. That is a cache: one
//! that is missing, damaged or of another format is made anew from the clone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use schema::fleet::Fleet;
use schema::tree::{Entry, Tree};
use serde::{Deserialize, Serialize};

use crate::host::state_file;
use crate::planning::slots::{Slots, Wants, releases};
use crate::state::{Cache, CommitId, StateError};

/// What was released longer ago than this before a commit is taken to be everywhere.
const SPAN: SignedDuration = SignedDuration::from_hours(60 * 24);
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    format: u32,
    /// Oldest first.
    commits: Vec<Said>,
}

/// What one commit says of the versions that schools want.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    commit: CommitId,
    what: What,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// The same as the commit before.
    Same,
    /// It is not valid, so it changed nothing anywhere.
    Nothing,
    Wants(Wants),
}

/// Who may use the line when, by the history of a commit that says `fleet`; none where the fleet does not say what its
/// uplink carries. What was worked out is kept in `file`.
///
/// # Errors
///
/// When the clone cannot be read. A file that cannot be written is a warning in the log.
pub(super) fn slots(
    cache: &Cache,
    file: &Path,
    tip: &CommitId,
    fleet: &Fleet,
) -> Result<Option<Arc<Slots>>, StateError> {
    if fleet.central.uplink.is_none() {
        return Ok(None);
    }
    let made = cache.describe(tip)?.time;
    let since = made.checked_sub(SPAN).unwrap_or(Timestamp::MIN);
    let mut commits = cache.first_parents(tip, since)?;
    let is_cut = commits.last().is_some_and(|(_, at)| *at < since);
    commits.reverse();
    let kept = read(file).unwrap_or_default();
    let known = commits.iter().all(|(id, _)| kept.contains_key(id));
    let mut history: Vec<(Timestamp, Wants)> = Vec::new();
    let mut said = Vec::new();
    for (commit, at) in commits {
        let wants = match kept.get(&commit) {
            Some(known) => known.clone(),
            None if commit == *tip => Some(Wants::of(fleet)),
            None => load(cache, &commit)?.map(|fleet| Wants::of(&fleet)),
        };
        let before = history.last().map(|(_, wants)| wants);
        let what = match &wants {
            None => What::Nothing,
            Some(wants) if before == Some(wants) => What::Same,
            Some(wants) => What::Wants(wants.clone()),
        };
        said.push(Said { commit, what });
        history.extend(wants.map(|wants| (at, wants)));
    }
    if !known && let Err(error) = write(file, said) {
        tracing::warn!("{error:#}");
    }
    let history = history.iter().map(|(at, wants)| (*at, wants));
    let slots = Slots::of_fleet(fleet, &releases(history, is_cut));
    Ok(slots.map(Arc::new))
}

/// What a commit says; none when it is not valid.
fn load(cache: &Cache, commit: &CommitId) -> Result<Option<Fleet>, StateError> {
    let files = match cache.read(commit) {
        Err(StateError::Tree { .. }) => return Ok(None),
        files => files?,
    };
    let mut tree = Tree::default();
    for (path, bytes) in files {
        tree.insert(path, Entry::of(bytes));
    }
    Ok(schema::load(&tree).fleet)
}

fn read(file: &Path) -> Option<BTreeMap<CommitId, Option<Wants>>> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let mut last = None;
    let known = kept.commits.into_iter().map(|said| {
        let wants = match said.what {
            What::Same => last.clone(),
            What::Nothing => None,
            What::Wants(wants) => {
                last = Some(wants);
                last.clone()
            }
        };
        (said.commit, wants)
    });
    (kept.format == FORMAT).then(|| known.collect())
}

fn write(file: &Path, commits: Vec<Said>) -> anyhow::Result<()> {
    let format = FORMAT;
    let bytes = serde_json::to_vec(&Kept { format, commits })?;
    state_file::replace(file, &bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use std::process::Command;

    use crate::state::{Credentials, Remote};

    /// A state repo with a school, and the clone of its server.
    struct Bed(tempfile::TempDir);

    impl Bed {
        fn new() -> Self {
            let bed = Self(tempfile::tempdir().unwrap());
            bed.git("2026-09-01T10:00:00Z", &["init", "-q", "-b", "main"]);
            std::fs::write(
                bed.0.path().join(".gitignore"),
                "state.git*\nhistory.json\n",
            )
            .unwrap();
            fleet(&bed);
            bed
        }

        fn git(&self, at: &str, args: &[&str]) {
            let mut git = Command::new("git");
            let name = ["-c", "user.name=Ada", "-c", "user.email=ada@school.example"];
            git.current_dir(self.0.path()).args(name).args(args);
            git.env("GIT_COMMITTER_DATE", at)
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("HOME", "/nonexistent");
            let output = git.output().unwrap();
            assert!(output.status.success(), "{args:?}: {output:?}");
        }

        fn commit(&self, at: &str, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
            self.git(at, &["add", "-A"]);
            self.git(at, &["commit", "-q", "-m", "a change"]);
        }

        fn image(&self, at: &str, version: &str) {
            let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
            let text = format!(
                "os: linux\ndomain_join: not_needed\nchannels: {{ stable: {version} }}\nversions:\n  \
                 v1: {{ manifest: \"{}\", size: 10 GiB }}\n  \
                 v2: {{ manifest: \"{}\", size: 10 GiB, diff: 1 GiB, base: v1 }}\n",
                digest("1"),
                digest("2")
            );
            self.commit(at, "images/ubuntu.yaml", &text);
        }

        fn slots(&self) -> Arc<Slots> {
            let cache = Cache::open(&self.0.path().join("state.git")).unwrap();
            let url = format!("file://{}", self.0.path().display());
            let tip = cache
                .fetch(&Remote::new(&url, "main", Credentials::None))
                .unwrap();
            let fleet = load(&cache, &tip).unwrap().unwrap();
            let file = self.0.path().join("history.json");
            slots(&cache, &file, &tip, &fleet).unwrap().unwrap()
        }

        /// GiB of each slot.
        fn granted(&self) -> Vec<u64> {
            let found = self.slots();
            let gib = |slot: &crate::planning::Slot| {
                let seconds = slot.until.duration_since(slot.from).as_secs_f64();
                (slot.rate.bits() as f64 / 8.0 * seconds * 0.97 / f64::from(1 << 30)).round() as u64
            };
            found.of(&"nord".parse().unwrap()).iter().map(gib).collect()
        }
    }

    fn fleet(bed: &Bed) {
        let parts =
            "- { label: root, size: 60 GiB, fs: ext4 }\n  - { label: cache, size: rest, fs: ext4 }";
        let files = [
            (
                "fleet.yaml",
                "name: Kreis\ncentral: { server: images.example, uplink: 1 Gbit/s }\n\
                 defaults: { windows: { download: \"daily 22:00–05:00\" } }\n"
                    .to_owned(),
            ),
            (
                "hardware-classes/lab.yaml",
                format!(
                    "firmware: efi64\ndisk: /dev/sda\npartitions:\n  {parts}\nos:\n  - {{ name: U, image: ubuntu, root: root }}\n"
                ),
            ),
            (
                "schools/nord/school.yaml",
                "title: Nord\nserver: server.nord.example\ndomain: nord.example\n".to_owned(),
            ),
            ("schools/nord/rooms/r1.yaml", "class: lab\n".to_owned()),
        ];
        for (path, text) in files {
            let path = bed.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn each_commit_adds_what_it_asks_for_and_a_broken_one_nothing() {
        let bed = Bed::new();
        bed.image("2026-11-02T12:00:00Z", "v1");
        assert_eq!(bed.granted(), [10]);
        bed.image("2026-11-05T12:00:00Z", "v2");
        bed.commit("2026-11-06T12:00:00Z", "images/ubuntu.yaml", "os: linux\n");
        bed.image("2026-11-07T12:00:00Z", "v1");
        bed.image("2026-11-08T12:00:00Z", "v2");
        // The base is there since v1, and whoever had a version has it.
        let all = bed.slots();
        assert_eq!(bed.granted(), [10, 1]);
        // The same without what was kept, and with what was damaged.
        let file = bed.0.path().join("history.json");
        for damage in ["", "{}", "{\"format\":9,\"commits\":[]}"] {
            std::fs::write(&file, damage).unwrap();
            assert_eq!(bed.slots(), all);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(bed.slots(), all);
    }

    #[test]
    fn what_was_kept_is_not_loaded_again() {
        let bed = Bed::new();
        bed.image("2026-11-02T12:00:00Z", "v1");
        bed.slots();
        bed.image("2026-11-05T12:00:00Z", "v2");
        // Something that no commit says: it is believed, so nothing was loaded.
        let file = bed.0.path().join("history.json");
        let kept = std::fs::read_to_string(&file).unwrap();
        std::fs::write(
            &file,
            kept.replace(&(10_u64 << 30).to_string(), &(20_u64 << 30).to_string()),
        )
        .unwrap();
        assert_eq!(bed.granted()[0], 20);
    }

    #[test]
    fn what_is_older_than_sixty_days_is_everywhere() {
        let bed = Bed::new();
        bed.image("2026-08-02T12:00:00Z", "v1");
        bed.image("2026-11-05T12:00:00Z", "v2");
        assert_eq!(bed.granted(), [1]);
    }

    #[test]
    fn without_an_uplink_nothing_is_shared_out() {
        let bed = Bed::new();
        bed.image("2026-11-02T12:00:00Z", "v1");
        let cache = Cache::open(&bed.0.path().join("state.git")).unwrap();
        let url = format!("file://{}", bed.0.path().display());
        let tip = cache
            .fetch(&Remote::new(&url, "main", Credentials::None))
            .unwrap();
        let mut fleet = load(&cache, &tip).unwrap().unwrap();
        fleet.central.uplink = None;
        let file = bed.0.path().join("history.json");
        assert_eq!(slots(&cache, &file, &tip, &fleet).unwrap(), None);
        assert!(!file.exists());
    }
}
