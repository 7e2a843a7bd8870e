#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{Mode, OFlags, openat};

use super::*;
use crate::host::files;
use crate::manifest::{ManifestFile, digest_of};

#[derive(Debug, Default)]
struct Fresh {
    adopted: Mutex<Vec<PathBuf>>,
}

impl KnownDigests for Fresh {
    fn of(&self, path: &Path) -> io::Result<Digest> {
        Ok(digest_of(&fs::read(path)?))
    }

    fn adopt(&self, _: &Path, to: &Path) {
        self.adopted.lock().unwrap().push(to.to_owned());
    }
}

/// A school's server with versions in its store.
struct Bed {
    root: tempfile::TempDir,
    paths: Paths,
    commands: Commands,
    digests: Arc<Fresh>,
}

impl Bed {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths {
            linbo: root.path().join("linbo"),
            store: root.path().join("store"),
            ..Paths::default()
        };
        fs::create_dir_all(paths.linbo.join("images")).unwrap();
        StoreFolder::new(&paths.store)
            .prepare(&paths.linbo)
            .unwrap();
        let commands = Commands {
            linbo_torrent: "/bin/true".into(),
            ..Commands::default()
        };
        Self {
            root,
            paths,
            commands,
            digests: Arc::default(),
        }
    }

    fn live(&self) -> PathBuf {
        self.paths.linbo.join("images/ubuntu")
    }

    fn put(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.live().join(name);
            fs::create_dir_all(files::parent(&path)).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// A live set as an upload leaves it, with what the school added.
    fn old_set(&self) {
        self.put(&[
            ("ubuntu.qcow2", "old base"),
            ("ubuntu.qdiff", "old diff"),
            ("ubuntu.qcow2.info", "timestamp=\"202601010000\""),
            (
                "ubuntu.qdiff.info",
                "timestamp=\"202601020000\"\nbackingfile_timestamp=\"202601010000\"",
            ),
            ("ubuntu.qcow2.torrent", "old torrent"),
            ("ubuntu.qcow2.hash", "old hash"),
            ("ubuntu.qcow2.macct", "old account"),
            ("ubuntu.qcow2.desc", "described"),
            ("ubuntu.qcow2.reg", "old base's reg"),
            ("ubuntu.postsync", "school's"),
            ("ubuntu.reg", "school's reg"),
            ("backups/202501010000/ubuntu.qcow2", "older base"),
        ]);
    }

    /// Puts a version into the store, with texts as files.
    fn store(&self, version: &str, contents: &[(&str, &str)]) -> Digest {
        let store = StoreFolder::new(&self.paths.store);
        let files = contents.iter().map(|(ending, text)| {
            let sha256 = digest_of(text.as_bytes());
            fs::write(store.object(&sha256), text).unwrap();
            let name = format!("ubuntu.{ending}").parse().unwrap();
            ManifestFile {
                name,
                size: text.len() as u64,
                sha256,
            }
        });
        let (image, version) = ("ubuntu".parse().unwrap(), version.parse().unwrap());
        let text = Manifest::new(image, version, files.collect())
            .unwrap()
            .to_json()
            .unwrap();
        let digest = digest_of(text.as_bytes());
        fs::write(store.manifest(&digest), text).unwrap();
        digest
    }

    fn new_version(&self) -> Digest {
        self.store(
            "2",
            &[
                ("qcow2", "new base"),
                ("qdiff", "new diff"),
                ("qcow2.info", "timestamp=\"202602010000\""),
                (
                    "qdiff.info",
                    "timestamp=\"202602020000\"\nbackingfile_timestamp=\"202602010000\"",
                ),
            ],
        )
    }

    async fn activate(
        &self,
        version: &str,
        manifest: &Digest,
        between: Between,
    ) -> Result<(), String> {
        let place = Place {
            paths: &self.paths,
            commands: &self.commands,
            digests: &self.digests,
        };
        let (image, version) = ("ubuntu".parse().unwrap(), version.parse().unwrap());
        perform(&place, &image, &version, manifest, between)
            .await
            .map_err(|failure| match failure {
                Failure::Paused => panic!("nothing pauses here"),
                Failure::Failed { error, evidence } => {
                    format!("{error:#} | {}", evidence.join(" | "))
                }
            })
    }

    async fn at_once(&self, version: &str, manifest: &Digest) -> Result<(), String> {
        self.activate(version, manifest, Arc::new(|_| Ok(()))).await
    }

    fn script(&self, text: &str) -> PathBuf {
        let path = self.root.path().join("linbo-torrent");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

/// All files below a folder, with their texts.
fn tree(folder: &Path) -> BTreeMap<String, String> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    add(folder, folder, &mut found);
    found
}

fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_keys().collect()
}

/// The old set after the new one went live: all of it but the folders.
const KEPT: [&str; 11] = [
    "ubuntu.postsync",
    "ubuntu.qcow2",
    "ubuntu.qcow2.desc",
    "ubuntu.qcow2.hash",
    "ubuntu.qcow2.info",
    "ubuntu.qcow2.macct",
    "ubuntu.qcow2.reg",
    "ubuntu.qcow2.torrent",
    "ubuntu.qdiff",
    "ubuntu.qdiff.info",
    "ubuntu.reg",
];

/// The live set then.
const LIVE: [&str; 8] = [
    "backups/202501010000/ubuntu.qcow2",
    "ubuntu.postsync",
    "ubuntu.qcow2",
    "ubuntu.qcow2.desc",
    "ubuntu.qcow2.info",
    "ubuntu.qdiff",
    "ubuntu.qdiff.info",
    "ubuntu.reg",
];

#[tokio::test]
async fn the_new_set_takes_along_what_is_the_schools_and_nothing_of_the_old_content() {
    let mut bed = Bed::new();
    let log = bed.root.path().join("log");
    bed.commands.linbo_torrent = bed.script(&format!("echo \"$@\" >>{}", log.display()));
    bed.old_set();
    fs::set_permissions(bed.live(), fs::Permissions::from_mode(0o775)).unwrap();
    let manifest = bed.new_version();
    bed.at_once("2", &manifest).await.unwrap();
    assert_eq!(names(&bed.live()), LIVE);
    assert_eq!(tree(&bed.live())["ubuntu.qcow2"], "new base");
    assert_eq!(names(&bed.paths.store.join("previous/ubuntu")), KEPT);
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        "stop ubuntu.qcow2\nstop ubuntu.qdiff\n"
    );
    assert_eq!(
        fs::metadata(bed.live()).unwrap().permissions().mode() & 0o777,
        0o775
    );
    let base = fs::metadata(bed.live().join("ubuntu.qcow2")).unwrap();
    assert_eq!(base.permissions().mode() & 0o777, 0o664);
    if rustix::process::geteuid().is_root() {
        assert_eq!((base.uid(), base.gid()), (65534, 65534));
    }
    assert_eq!(bed.digests.adopted.lock().unwrap().len(), 4);
    // Once more changes nothing and stops nobody.
    bed.at_once("2", &manifest).await.unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 2);
    assert_eq!(names(&bed.paths.store.join("previous/ubuntu")), KEPT);
    assert!(names(&bed.paths.store.join("staging")).is_empty());
}

#[tokio::test]
async fn large_files_are_links_and_small_ones_copies() {
    let bed = Bed::new();
    let large = "x".repeat(2 * 1024 * 1024);
    let manifest = bed.store("1", &[("qcow2", &large), ("reg", "small")]);
    bed.at_once("1", &manifest).await.unwrap();
    let links = |name: &str| fs::metadata(bed.live().join(name)).unwrap().nlink();
    assert_eq!((links("ubuntu.qcow2"), links("ubuntu.reg")), (2, 1));
    assert!(!bed.paths.store.join("previous/ubuntu").exists());
}

#[tokio::test]
async fn a_crash_at_any_point_loses_nothing_and_the_next_call_ends_as_if_there_was_none() {
    let mut crashes = 0;
    for twice in [false, true] {
        for point in 0.. {
            let bed = Bed::new();
            bed.old_set();
            let first = bed.store("1", &[("qcow2", "first base")]);
            if twice {
                bed.at_once("1", &first).await.unwrap();
            }
            let before = tree(&bed.live());
            let manifest = bed.new_version();
            let count = AtomicUsize::new(0);
            let crash: Between = Arc::new(move |_| {
                if count.fetch_add(1, Ordering::SeqCst) >= point {
                    return Err(io::Error::other("a power cut"));
                }
                Ok(())
            });
            let done = bed.activate("2", &manifest, crash).await;
            let live = tree(&bed.live());
            let has = |name: &str, text: &str| live.get(name).is_some_and(|found| found == text);
            let is_new = has("ubuntu.qcow2", "new base") && has("ubuntu.qdiff", "new diff");
            assert!(is_new || live == before, "{point}: {live:?}");
            let all = tree(bed.root.path());
            for text in [
                "older base",
                if twice { "first base" } else { "old account" },
                "school's",
            ] {
                let kept = all
                    .iter()
                    .filter(|(name, _)| !name.contains("/objects/"))
                    .any(|(_, found)| found == text);
                assert!(kept, "{text} is lost at {point}: {all:?}");
            }
            if let Err(error) = &done {
                assert!(error.contains("a power cut"), "{error}");
                crashes += 1;
                bed.at_once("2", &manifest).await.unwrap();
            }
            assert_eq!(names(&bed.live()), LIVE, "{point}");
            let previous = tree(&bed.paths.store.join("previous/ubuntu"));
            if twice {
                assert_eq!(previous["ubuntu.qcow2"], "first base", "{point}");
            } else {
                assert_eq!(previous.into_keys().collect::<Vec<_>>(), KEPT, "{point}");
            }
            assert!(
                names(&bed.paths.store.join("staging")).is_empty(),
                "{point}"
            );
            assert!(
                !bed.paths.store.join("previous/ubuntu.older").exists(),
                "{point}"
            );
            if done.is_ok() {
                break;
            }
        }
    }
    assert!(crashes > 30, "{crashes}");
}

#[tokio::test]
async fn a_new_target_after_a_crash_keeps_the_set_that_was_in_service() {
    let bed = Bed::new();
    bed.old_set();
    let manifest = bed.new_version();
    let crash: Between = Arc::new(|doing| match doing {
        "keeping" => Err(io::Error::other("a power cut")),
        _ => Ok(()),
    });
    bed.activate("2", &manifest, crash).await.unwrap_err();
    let third = bed.store("3", &[("qcow2", "third base")]);
    bed.at_once("3", &third).await.unwrap();
    assert_eq!(
        tree(&bed.paths.store.join("previous/ubuntu"))["ubuntu.qcow2"],
        "new base"
    );
    assert_eq!(
        tree(&bed.live())["backups/202501010000/ubuntu.qcow2"],
        "older base"
    );
}

#[tokio::test]
async fn a_seeder_that_cannot_be_stopped_leaves_the_old_set() {
    let mut bed = Bed::new();
    bed.old_set();
    let (manifest, before) = (bed.new_version(), tree(&bed.live()));
    bed.commands.linbo_torrent = bed.script("echo no such session; [ $2 != ubuntu.qdiff ]");
    let error = bed.at_once("2", &manifest).await.unwrap_err();
    assert!(
        error.contains("linbo-torrent stop ubuntu.qdiff ended with exit code 1"),
        "{error}"
    );
    assert!(error.ends_with("no such session"), "{error}");
    assert_eq!(tree(&bed.live()), before);
    bed.commands.linbo_torrent = "/nowhere/linbo-torrent".into();
    let error = bed.at_once("2", &manifest).await.unwrap_err();
    assert!(error.contains("commands.linbo_torrent"), "{error}");
    assert_eq!(tree(&bed.live()), before);
    bed.commands.linbo_torrent = "/bin/true".into();
    bed.at_once("2", &manifest).await.unwrap();
    assert_eq!(names(&bed.live()), LIVE);
}

#[tokio::test]
async fn what_is_not_sound_is_refused_before_anything_is_touched() {
    let bed = Bed::new();
    bed.old_set();
    let before = tree(&bed.live());
    let swapped = bed.store(
        "2",
        &[
            ("qcow2", "new base"),
            ("qdiff", "new diff"),
            ("qcow2.info", "timestamp=\"202602010000\""),
            ("qdiff.info", "backingfile_timestamp=\"202601010000\""),
        ],
    );
    let error = bed.at_once("2", &swapped).await.unwrap_err();
    assert!(
        error.contains(
            "was made on the base of 202601010000, but the base of this version is of 202602010000"
        ),
        "{error}"
    );

    let manifest = bed.new_version();
    let error = bed.at_once("1", &manifest).await.unwrap_err();
    assert!(error.contains("has to be downloaded first"), "{error}");

    let object = StoreFolder::new(&bed.paths.store).object(&digest_of(b"new diff"));
    for (text, why) in [
        (Some("bad diff"), "it has sha256:"),
        (Some("short"), "it has 5 bytes instead of 8"),
        (None, "it is not there"),
    ] {
        match text {
            Some(text) => fs::write(&object, text).unwrap(),
            None => fs::remove_file(&object).unwrap(),
        }
        let error = bed.at_once("2", &manifest).await.unwrap_err();
        assert!(
            error.contains(why) && error.contains("ubuntu.qdiff"),
            "{error}"
        );
    }
    fs::write(&object, "new diff").unwrap();

    for name in ["ubuntu.qcow2.BAK", ".ubuntu.qcow2.Ab12Cd"] {
        bed.put(&[(name, "upload")]);
        let error = bed.at_once("2", &manifest).await.unwrap_err();
        assert!(
            error.contains("is being uploaded") && error.contains(name),
            "{error}"
        );
        fs::remove_file(bed.live().join(name)).unwrap();
    }
    assert_eq!(tree(&bed.live()), before);
    assert!(names(&bed.paths.store.join("staging")).is_empty());
}

/// What somebody reads who opens the folder once; none when the set was removed meanwhile.
fn read_set(live: &Path) -> Option<[String; 3]> {
    let folder = fs::File::open(live).unwrap();
    let read = |name: &str| {
        let file = openat(&folder, name, OFlags::RDONLY, Mode::empty()).ok()?;
        io::read_to_string(fs::File::from(file)).ok()
    };
    Some([
        read("ubuntu.qcow2")?,
        read("ubuntu.qdiff")?,
        read("ubuntu.qcow2.info")?,
    ])
}

#[tokio::test]
async fn nobody_ever_sees_a_mixture_or_a_missing_file() {
    let bed = Bed::new();
    let version = |name: &str, stamp: &str| {
        let info = format!("timestamp=\"{stamp}\"");
        let diff = format!("backingfile_timestamp=\"{stamp}\"");
        let (base, qdiff) = (format!("base {name}"), format!("diff {name}"));
        bed.store(
            name,
            &[
                ("qcow2", &base),
                ("qdiff", &qdiff),
                ("qcow2.info", &info),
                ("qdiff.info", &diff),
            ],
        )
    };
    let versions = [
        ("1", version("1", "202601010000")),
        ("2", version("2", "202602010000")),
    ];
    bed.at_once("1", &versions[0].1).await.unwrap();
    let (stop, live) = (Arc::new(AtomicBool::new(false)), bed.live());
    let stopped = Arc::clone(&stop);
    let reader = std::thread::spawn(move || {
        let (mut seen, mut changes, mut last) = (0, 0, String::new());
        while !stopped.load(Ordering::SeqCst) {
            // A name by its path is always there.
            let base = fs::read_to_string(live.join("ubuntu.qcow2")).unwrap();
            assert!(base == "base 1" || base == "base 2", "{base}");
            let Some([base, diff, info]) = read_set(&live) else {
                continue;
            };
            let name = base.strip_prefix("base ").unwrap();
            assert_eq!(diff, format!("diff {name}"));
            assert_eq!(info, format!("timestamp=\"20260{name}010000\""));
            changes += usize::from(last != base);
            (seen, last) = (seen + 1, base);
        }
        (seen, changes)
    });
    for turn in 1..=200 {
        let (name, manifest) = &versions[turn % 2];
        bed.at_once(name, manifest).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let (seen, changes) = reader.join().unwrap();
    assert!(
        seen > 200 && changes > 20,
        "{seen} looks, {changes} changes"
    );
}
