#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;

use super::*;
use crate::manifest::{ManifestFile, digest_of};

/// A store beside LINBO's folder.
struct Bed {
    root: tempfile::TempDir,
    paths: Paths,
    store: StoreFolder,
    digests: Digests,
}

impl Bed {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths {
            linbo: root.path().join("linbo"),
            store: root.path().join("store"),
            ..Paths::default()
        };
        fs::create_dir_all(paths.linbo.join("images/ubuntu")).unwrap();
        let store = StoreFolder::new(&paths.store);
        store.prepare(&paths.linbo).unwrap();
        let (digests, _) = Digests::open(&root.path().join("state"), Timestamp::UNIX_EPOCH);
        Self {
            root,
            paths,
            store,
            digests,
        }
    }

    fn version(&self, version: &str, contents: &[(&str, &str)]) -> Digest {
        let files = contents.iter().map(|(ending, text)| {
            let sha256 = digest_of(text.as_bytes());
            fs::write(self.store.object(&sha256), text).unwrap();
            ManifestFile {
                name: format!("ubuntu.{ending}").parse().unwrap(),
                size: text.len() as u64,
                sha256,
            }
        });
        let (image, version) = ("ubuntu".parse().unwrap(), version.parse().unwrap());
        let manifest = Manifest::new(image, version, files.collect()).unwrap();
        let text = manifest.to_json().unwrap();
        let digest = digest_of(text.as_bytes());
        fs::write(self.store.manifest(&digest), text).unwrap();
        digest
    }

    /// Two versions on one base.
    fn two(&self) -> [Digest; 2] {
        ["1", "2"].map(|version| {
            let diff = format!("diff {version}");
            self.version(version, &[("qcow2", "base"), ("qdiff", &diff)])
        })
    }

    fn object(&self, text: &str) -> PathBuf {
        self.store.object(&digest_of(text.as_bytes()))
    }

    /// All files of the store.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in [
            "manifests",
            "objects",
            "partial",
            "locks",
            "incoming",
            "basis",
        ] {
            for entry in fs::read_dir(self.paths.store.join(folder)).unwrap() {
                left.push(format!("{folder}/{:?}", entry.unwrap().file_name()));
            }
        }
        left
    }

    async fn delete(&self, manifest: &Digest, between: Between) -> Result<(), Failure> {
        perform(&self.paths, &self.digests, manifest, between).await
    }
}

fn undisturbed() -> Between {
    Arc::new(|_| Ok(()))
}

#[tokio::test]
async fn what_another_version_has_stays_until_that_one_goes_too() {
    let bed = Bed::new();
    let [one, two] = bed.two();
    bed.delete(&one, undisturbed()).await.unwrap();
    assert!(!bed.store.manifest(&one).exists() && !bed.object("diff 1").exists());
    assert!(bed.object("base").exists() && bed.object("diff 2").exists());
    assert!(bed.store.read_manifest(&two).unwrap().is_some());
    // Nothing is there any more, so nothing is done.
    bed.delete(&one, undisturbed()).await.unwrap();
    bed.delete(&two, undisturbed()).await.unwrap();
    assert_eq!(bed.left(), Vec::<String>::new());
}

#[tokio::test]
async fn what_had_arrived_of_it_goes_too() {
    let bed = Bed::new();
    let manifest = bed.version("1", &[("qcow2", "base"), ("qdiff", "diff")]);
    let partial = bed.store.partial(&digest_of(b"diff"));
    fs::rename(bed.object("diff"), &partial).unwrap();
    let basis = bed.store.basis(&digest_of(b"diff"));
    fs::create_dir(&basis).unwrap();
    fs::hard_link(bed.object("base"), basis.join("base")).unwrap();
    bed.delete(&manifest, undisturbed()).await.unwrap();
    assert_eq!(bed.left(), Vec::<String>::new());
}

#[tokio::test]
async fn linbos_name_of_the_same_file_is_left_alone() {
    let bed = Bed::new();
    let manifest = bed.version("1", &[("qcow2", "base")]);
    let live = bed.paths.linbo.join("images/ubuntu/ubuntu.qcow2");
    fs::hard_link(bed.object("base"), &live).unwrap();
    let before = fs::metadata(&live).unwrap();
    bed.delete(&manifest, undisturbed()).await.unwrap();
    let after = fs::metadata(&live).unwrap();
    assert_eq!((before.ino(), before.mtime()), (after.ino(), after.mtime()));
    assert_eq!(fs::read(&live).unwrap(), b"base");
    assert!(!bed.object("base").exists());
}

#[tokio::test]
async fn whoever_is_killed_in_between_finds_out_what_is_left() {
    for cut in 0.. {
        let bed = Bed::new();
        let [one, two] = bed.two();
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        let between: Between = Arc::new(move |_| {
            let is_cut = seen.fetch_add(1, Ordering::Relaxed) == cut;
            (!is_cut)
                .then_some(())
                .ok_or_else(|| io::Error::other("killed"))
        });
        let cut_off = bed.delete(&one, between).await.is_err();
        assert_eq!(cut_off, bed.store.manifest(&one).exists(), "after {cut}");
        bed.delete(&one, undisturbed()).await.unwrap();
        assert!(bed.object("base").exists() && bed.object("diff 2").exists());
        bed.delete(&two, undisturbed()).await.unwrap();
        assert_eq!(bed.left(), Vec::<String>::new(), "after {cut}");
        if !cut_off {
            assert!(cut > 2, "only {cut} steps");
            break;
        }
    }
}

#[tokio::test]
async fn beside_a_damaged_manifest_nothing_is_deleted() {
    let bed = Bed::new();
    let [one, two] = bed.two();
    fs::write(bed.store.manifest(&two), "else").unwrap();
    let error = bed.delete(&one, undisturbed()).await.unwrap_err();
    let Failure::Failed { error, .. } = error else {
        unreachable!("it did not pause")
    };
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(bed.object("diff 1").exists() && bed.object("base").exists());
    assert!(bed.root.path().exists());
}
