use super::*;

/// A server whose store has a version of `ubuntu`, and one of `old`, which nothing names any more.
fn bed() -> Bed {
    let bed = Bed::new();
    for image in ["ubuntu", "old"] {
        let base = ManifestFile {
            name: name(&format!("{image}.qcow2")),
            size: 4,
            sha256: digest_of(b"base"),
        };
        let manifest = Manifest::new(name(image), name("1"), vec![base]).unwrap();
        let text = manifest.to_json().unwrap();
        let hex = digest_of(text.as_bytes()).hex();
        bed.write(&format!("store/deep/manifests/{hex}.json"), text);
    }
    bed
}

fn contents(texts: &[&str]) -> Probe<BTreeSet<Digest>> {
    Probe::Seen(
        texts
            .iter()
            .map(|text| digest_of(text.as_bytes()))
            .collect(),
    )
}

#[tokio::test]
async fn what_lies_in_linbos_folders_and_lay_there_before_is_kept() {
    let bed = bed();
    assert_eq!(bed.look(&[]).await.kept, contents(&[]));
    for (path, text) in [
        ("linbo/images/ubuntu/ubuntu.qcow2", "live base"),
        ("linbo/images/ubuntu/ubuntu.qdiff", "live diff"),
        ("linbo/images/ubuntu/ubuntu.qcow2.info", "no image file"),
        ("linbo/images/win/win.qcow2", "not of the store"),
        ("linbo/images/old/old.qcow2", "named by nothing"),
        ("store/deep/previous/ubuntu/ubuntu.qcow2", "before"),
        ("store/deep/previous/ubuntu.older/ubuntu.qcow2", "cut off"),
        ("store/deep/staging/ubuntu/ubuntu.qdiff", "cut off, too"),
    ] {
        bed.write(path, text);
    }
    let kept = [
        "live base",
        "live diff",
        "named by nothing",
        "before",
        "cut off",
        "cut off, too",
    ];
    let seen = bed.look(&[]).await;
    assert_eq!(seen.kept, contents(&kept));
}

#[tokio::test]
async fn a_set_that_cannot_be_read_is_not_absent() {
    let bed = bed();
    bed.folder("store/deep/previous/old/old.qcow2");
    let seen = bed.look(&[]).await;
    bed.unseen(&seen.kept, "store/deep/previous/old/old.qcow2");
    let cause = seen.kept.cause().unwrap_or_default().to_owned();
    assert!(seen.blind_spots().contains(&cause));
}
