#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs::File;
use std::io::Write as _;
use std::time::SystemTime;

use super::*;
use crate::manifest::digest_of;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

struct Bed {
    folder: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn digests(&self) -> Digests {
        let (digests, warnings) = Digests::open(&self.path("state"), NOW);
        assert_eq!(warnings, Vec::<String>::new());
        digests
    }
}

/// Another content that the file system cannot tell from the old one, so that it shows whether a file
/// is read.
fn swap(path: &Path, text: &str) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test]
async fn a_file_is_read_once_and_again_when_it_changed() {
    let bed = Bed::new();
    let path = bed.write("a", "one");
    let digests = bed.digests();
    assert_eq!(digests.of(&path).await.unwrap(), digest_of(b"one"));
    swap(&path, "two");
    assert_eq!(digests.of(&path).await.unwrap(), digest_of(b"one"), "known");
    assert_eq!(
        bed.digests().of(&path).await.unwrap(),
        digest_of(b"one"),
        "known on the disk"
    );
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(
        digests.of(&path).await.unwrap(),
        digest_of(b"two"),
        "another time"
    );
    // Another file with the same size and time in its place.
    let other = bed.write("b", "six");
    File::options()
        .write(true)
        .open(&other)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(
        digests.of(&path).await.unwrap(),
        digest_of(b"six"),
        "another inode"
    );
    swap(&path, "seven");
    assert_eq!(
        digests.of(&path).await.unwrap(),
        digest_of(b"seven"),
        "another size"
    );
    swap(&path, "eight");
    digests.forget(&path);
    assert_eq!(
        bed.digests().of(&path).await.unwrap(),
        digest_of(b"eight"),
        "forgotten on the disk"
    );
}

#[tokio::test]
async fn quick_rewrites_are_never_taken_for_one_another() {
    let bed = Bed::new();
    let digests = bed.digests();
    for round in 0..20 {
        let text = format!("{round:02}");
        let path = bed.write("a", &text);
        assert_eq!(digests.of(&path).await.unwrap(), digest_of(text.as_bytes()));
    }
}

#[tokio::test]
async fn another_name_of_a_known_file_is_known() {
    let bed = Bed::new();
    let digests = bed.digests();
    let first = bed.write("a", "one");
    digests.of(&first).await.unwrap();
    let (link, renamed, stranger) = (
        bed.path("link"),
        bed.path("renamed"),
        bed.write("stranger", "six"),
    );
    fs::hard_link(&first, &link).unwrap();
    swap(&first, "two");
    assert_eq!(
        digests.of(&link).await.unwrap(),
        digest_of(b"one"),
        "a link by itself"
    );
    fs::remove_file(&link).unwrap();
    fs::rename(&first, &renamed).unwrap();
    digests.adopt(&first, &renamed);
    assert_eq!(
        bed.digests().of(&renamed).await.unwrap(),
        digest_of(b"one"),
        "adopted"
    );
    digests.adopt(&renamed, &stranger);
    digests.adopt(&renamed, &bed.path("nowhere"));
    assert_eq!(
        digests.of(&stranger).await.unwrap(),
        digest_of(b"six"),
        "not the same file"
    );
    // What is no longer there is dropped by the next run.
    bed.digests().forget(&stranger);
    let saved = fs::read_to_string(bed.path("state/digests.json")).unwrap();
    assert!(
        saved.contains("/renamed\"") && !saved.contains("/link\""),
        "{saved}"
    );
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_set_aside() {
    let one = r#"{"format_version":2,"files":{}}"#;
    for text in [
        "",
        "{",
        "[]",
        "\0\0",
        one,
        r#"{"format_version":1,"files":{"/a":{"size":1}}}"#,
    ] {
        let bed = Bed::new();
        fs::create_dir(bed.path("state")).unwrap();
        bed.write("state/digests.json", text);
        let (digests, warnings) = Digests::open(&bed.path("state"), NOW);
        let [warning] = &warnings[..] else {
            panic!("{text}: {warnings:?}")
        };
        assert!(
            warning.contains("digests.json.corrupt-19700101T000000Z"),
            "{warning}"
        );
        let aside = bed.path("state/digests.json.corrupt-19700101T000000Z");
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
        let path = bed.write("a", "one");
        assert_eq!(digests.of(&path).await.unwrap(), digest_of(b"one"));
        bed.digests();
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_written_is_no_digest_and_no_panic() {
    let bed = Bed::new();
    bed.write("state", "a file in place of the folder");
    let (digests, warnings) = Digests::open(&bed.path("state"), NOW);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let path = bed.write("a", "one");
    assert_eq!(digests.of(&path).await.unwrap(), digest_of(b"one"));
    let kind = |error: io::Error| error.kind();
    assert_eq!(
        digests.of(&bed.path("none")).await.map_err(kind),
        Err(ErrorKind::NotFound)
    );
    assert_eq!(
        digests.of(bed.folder.path()).await.map_err(kind),
        Err(ErrorKind::InvalidInput)
    );
    std::os::unix::fs::symlink(&path, bed.path("link")).unwrap();
    assert_eq!(
        digests.of(&bed.path("link")).await.map_err(kind),
        Err(ErrorKind::InvalidInput)
    );
}

#[test]
fn a_file_that_changes_while_it_is_read_has_no_digest() {
    let bed = Bed::new();
    let path = bed.write("a", "one");
    let go = AtomicBool::new(false);
    // Looked at before another file took its name, as if that had happened in the middle.
    let before = Identity::of(&look(&path).unwrap());
    fs::rename(bed.write("b", "six"), &path).unwrap();
    let error = read_as(&path, before, &go).unwrap_err();
    assert_eq!(error.to_string(), "it changed while it was read");
    let stopped = AtomicBool::new(true);
    assert_eq!(
        read(&path, &stopped)
            .map(|known| known.sha256)
            .map_err(|e| e.kind()),
        Err(ErrorKind::Interrupted)
    );
    assert_eq!(read(&path, &go).unwrap().sha256, digest_of(b"six"));
}

#[test]
fn what_was_learned_is_not_read() {
    let bed = Bed::new();
    let digests = bed.digests();
    let path = bed.write("a", "one");
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    digests.learn(&path, digest_of(b"two"));
    assert_eq!(digests.of_blocking(&path).unwrap(), digest_of(b"two"));
    let young = bed.path("b");
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    // As young as can be, whatever the machine is doing.
    let file = File::create(&young).unwrap();
    file.set_modified(SystemTime::now()).unwrap();
    assert!(too_young(&file.metadata().unwrap()).is_none_or(|wait| wait <= CLOCK_STEP));
    file.set_modified(ahead).unwrap();
    assert_eq!(too_young(&file.metadata().unwrap()), None);
    assert_eq!(digests.of_blocking(&young).unwrap(), digest_of(b""));
}

#[tokio::test]
async fn many_at_once_are_all_right() {
    let bed = Bed::new();
    let digests = bed.digests();
    let text = |index: usize| format!("{index}").repeat(300_000);
    let paths: Vec<PathBuf> = (0..8)
        .map(|index| bed.write(&format!("f{index}"), &text(index)))
        .collect();
    let all = futures_util::future::join_all(paths.iter().map(|path| digests.of(path))).await;
    for (index, digest) in all.into_iter().enumerate() {
        assert_eq!(digest.unwrap(), digest_of(text(index).as_bytes()));
    }
    assert_eq!(bed.digests().lock().len(), 8);
}
