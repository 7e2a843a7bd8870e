//! The files of a server with a thousand hosts: `devices.csv`, and the journal of a month of resets.

#![expect(clippy::expect_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use harness::big_fleet::BigFleet;
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

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = devices, journal
}
criterion_main!(benches);
