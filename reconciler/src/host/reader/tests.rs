#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use super::*;
use crate::manifest::digest_of;

fn unlimited(stopped: &AtomicBool) -> Limits<'_> {
    Limits {
        stopped,
        per_second: None,
        from: Origin::Anywhere,
    }
}

/// Bytes that do not repeat within a block.
fn bytes(size: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}

#[test]
fn files_of_any_size_are_read_to_their_end_on_any_file_system() {
    let go = AtomicBool::new(false);
    // Shared memory has no disk to read from around the cache.
    for folder in [
        tempfile::tempdir().unwrap(),
        tempfile::tempdir_in("/dev/shm").unwrap(),
    ] {
        let path = folder.path().join("file");
        for size in [
            0,
            1,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            2 * BLOCK + ALIGNED,
            9 * BLOCK,
            9 * BLOCK + 511,
        ] {
            let bytes = bytes(size);
            fs::write(&path, &bytes).unwrap();
            let expected = (size as u64, digest_of(&bytes));
            for from in [Origin::Anywhere, Origin::Disk] {
                let limits = Limits {
                    from,
                    ..unlimited(&go)
                };
                assert_eq!(read(&path, limits).unwrap(), expected, "{size} {from:?}");
            }
        }
    }
}

#[test]
fn each_way_gives_the_same_and_what_cannot_be_done_is_done_in_another_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let bytes = bytes(2 * BLOCK + 7);
    fs::write(&path, &bytes).unwrap();
    let mut source = Source::of(&path, File::open(&path).unwrap());
    for way in [Way::Direct, Way::Plain] {
        source.fall_back().unwrap();
        let mut block = Block::new();
        source.done = BLOCK as u64;
        assert_eq!(source.read_block(block.bytes_mut()).unwrap(), BLOCK);
        assert!(block.bytes() == &bytes[BLOCK..2 * BLOCK], "{way:?}");
        // A part of a block is no beginning for the next direct read.
        source.done = 2 * BLOCK as u64 + 7;
        assert_eq!(source.read_block(block.bytes_mut()).unwrap(), 0, "{way:?}");
    }
    assert_eq!(source.way, Way::Plain);
    fs::remove_file(&path).unwrap();
    source.way = Way::Uncached;
    assert!(source.fall_back().is_err());
}

#[test]
fn reading_can_be_stopped_and_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes(3 * BLOCK)).unwrap();
    let stopped = AtomicBool::new(true);
    let error = read(&path, unlimited(&stopped)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    fs::write(&path, "small").unwrap();
    let error = read(&path, unlimited(&stopped)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);

    fs::write(&path, bytes(3 * BLOCK)).unwrap();
    let limits = Limits {
        stopped: &AtomicBool::new(false),
        per_second: Some(30 * BLOCK as u64),
        from: Origin::Anywhere,
    };
    let began = Instant::now();
    read(&path, limits).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert!(read(&folder.path().join("none"), limits).is_err());
}

/// What was in the page cache stays, and what was not does not come in.
#[test]
fn the_page_cache_is_left_as_it_was_found() {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let path = folder.path().join("file");
    let file = File::create(&path).unwrap();
    std::io::Write::write_all(&mut &file, &bytes(8 * BLOCK)).unwrap();
    file.sync_all().unwrap();
    let go = AtomicBool::new(false);
    let mut source = Source::of(&path, File::open(&path).unwrap());
    source.read_block(Block::new().bytes_mut()).unwrap();
    if source.way == Way::Plain {
        // A file system of a kind that no server has its images on.
        return;
    }
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let cached = || {
        let output = std::process::Command::new("fincore")
            .args(["--bytes", "--noheadings", "--output", "RES"])
            .arg(&path)
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse::<usize>()
            .unwrap()
    };
    assert_eq!(cached(), 0);
    read(&path, unlimited(&go)).unwrap();
    assert_eq!(cached(), 0, "it came in");
    fs::read(&path).unwrap();
    assert_eq!(cached(), 8 * BLOCK);
    read(&path, unlimited(&go)).unwrap();
    assert_eq!(cached(), 8 * BLOCK, "it went out");
}
