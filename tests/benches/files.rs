//! The files of a server with a thousand hosts: `devices.csv`, the journal of a month of resets, and an image.

#![expect(clippy::expect_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::io::Read as _;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness::big_fleet::BigFleet;
use reconciler::host::digests::digest_of_file;
use reconciler::host::journal_file::JournalFile;
use reconciler::linbo::devices::Devices;
use reconciler::planning::Journal;

const RECORDS: usize = 30_000;

fn devices(c: &mut Criterion) {
    let text = BigFleet::MILLION.devices();
    let parsed = Devices::parse(text.as_bytes());
    assert_eq!((parsed.rows().len(), parsed.problems()), (1000, &[][..]));
    c.bench_function("devices.csv with 1000 rows", |b| {
        b.iter_with_large_drop(|| Devices::parse(black_box(text.as_bytes())));
    });
}

fn journal(c: &mut Criterion) {
    let state = tempfile::tempdir().expect("a folder");
    let text = BigFleet::MILLION.journal(RECORDS).expect("a journal");
    std::fs::write(state.path().join("journal.jsonl"), text).expect("a file");
    let (records, warnings) = JournalFile::read(state.path()).expect("a journal");
    assert_eq!((records.len(), warnings.len()), (RECORDS, 0));
    let mut group = c.benchmark_group("journal of 30000 records");
    group.sample_size(20);
    group.bench_function("read", |b| {
        b.iter_with_large_drop(|| JournalFile::read(black_box(state.path())));
    });
    group.bench_function("fold", |b| {
        b.iter_with_large_drop(|| black_box(&records).iter().collect::<Journal>());
    });
    let folded: Journal = records.iter().collect();
    group.bench_function("clone what is folded", |b| {
        b.iter_with_large_drop(|| black_box(&folded).clone())
    });
    group.finish();
}

/// An image as large as the page cache of a small server, against what people would compare it with.
fn digest(c: &mut Criterion) {
    const SIZE: u64 = 2 << 30;
    // Beside the build, since a folder for temporary files may be memory.
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let path = folder.path().join("image.qcow2");
    let mut random = std::fs::File::open("/dev/urandom")
        .expect("random bytes")
        .take(SIZE);
    let mut file = std::fs::File::create(&path).expect("a file");
    std::io::copy(&mut random, &mut file).expect("a full file");
    file.sync_all().expect("a file on the disk");
    let mut group = c.benchmark_group("digest of 2 GiB");
    group.sample_size(10).throughput(Throughput::Bytes(SIZE));
    group.bench_function("reconcile", |b| {
        b.iter(|| digest_of_file(black_box(&path)).expect("a digest"));
    });
    for (name, arguments) in [
        ("sha256sum", &[][..]),
        ("openssl", &["dgst", "-sha256"][..]),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let output = Command::new(name).args(arguments).arg(&path).output();
                assert!(output.expect(name).status.success());
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = devices, journal, digest
}
criterion_main!(benches);
