//! Versions that differ little: what they share is not moved again.

use super::*;

/// The same with other bytes in 40 places, a fiftieth of it in all.
fn changed(base: &[u8]) -> Vec<u8> {
    let mut new = base.to_vec();
    for place in 0..40 {
        let at = place * (base.len() / 40) + 1000 * place;
        let bytes = noise(1000 + place as u64, base.len() / 2000);
        new[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    new
}

fn leftovers(bed: &Bed) -> usize {
    let folders = ["partial", "locks", "basis"].map(|name| bed.paths.store.join(name));
    folders
        .iter()
        .map(|path| fs::read_dir(path).unwrap().count())
        .sum()
}

#[tokio::test]
async fn of_a_new_base_only_what_differs_is_moved() {
    let bed = Bed::new();
    let old = noise(1, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &old)]);
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let all = bed.last_sent().await;
    assert!(all >= BIG as u64);
    let new = changed(&old);
    let manifest = bed.publish("ubuntu", &[("qcow2", &new)]);
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let sent = bed.last_sent().await;
    assert!(sent < BIG as u64 / 20, "{sent} bytes of {BIG}");
    assert!(bed.has(&new) && bed.has(&old));
    assert_eq!(leftovers(&bed), 0);
}

#[tokio::test]
async fn what_lies_in_linbos_folder_is_as_good_and_stays_as_it_is() {
    let bed = Bed::new();
    let old = noise(2, BIG);
    let live = bed.paths.linbo.join("images/ubuntu/ubuntu.qcow2");
    fs::create_dir_all(files::parent(&live)).unwrap();
    fs::write(&live, &old).unwrap();
    let new = changed(&old);
    let manifest = bed.publish("ubuntu", &[("qcow2", &new)]);
    // Left by a pass that was killed.
    let basis = bed.paths.store.join("basis").join(digest_of(&new).hex());
    fs::create_dir_all(&basis).unwrap();
    fs::write(basis.join("other"), "").unwrap();
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let sent = bed.last_sent().await;
    assert!(sent < BIG as u64 / 20, "{sent} bytes of {BIG}");
    assert!(bed.has(&new) && fs::read(&live).unwrap() == old);
    assert_eq!(leftovers(&bed), 0);
    // Another image's file is no help, and no harm.
    let other = noise(3, 2 * MIB);
    let manifest = bed.publish("debian", &[("qcow2", &other)]);
    bed.fetch("debian", &manifest, None).await.unwrap();
    assert!(bed.has(&other));
}

#[tokio::test]
async fn one_that_was_cut_off_goes_on() {
    let bed = Bed::new();
    let old = noise(4, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &old)]);
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let new = changed(&old);
    let manifest = bed.publish("ubuntu", &[("qcow2", &new)]);
    let digest = digest_of(&new);
    {
        let mut fetch = std::pin::pin!(bed.fetch("ubuntu", &manifest, Some("1 Mbit/s")));
        tokio::select! {
            ended = &mut fetch => panic!("{ended:?}"),
            _ = bed.arrived(&digest, MIB) => {}
        }
    }
    let begun = Instant::now();
    while !bed.writers(&digest).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "rsync goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let kept = fs::read(bed.store().partial(&digest)).unwrap();
    assert!(
        kept.len() >= MIB && new.starts_with(&kept),
        "{} bytes",
        kept.len()
    );
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    assert!(bed.has(&new));
    let sent = bed.last_sent().await;
    assert!(
        sent < (BIG - kept.len() + MIB) as u64,
        "{sent} after {}",
        kept.len()
    );
    assert_eq!(leftovers(&bed), 0);
}

/// What was taken from a like file that is wrong is mended.
#[tokio::test]
async fn a_like_file_that_changes_meanwhile_does_no_harm() {
    let bed = Bed::new();
    let old = noise(5, BIG);
    let live = bed.paths.linbo.join("images/ubuntu/ubuntu.qcow2");
    fs::create_dir_all(files::parent(&live)).unwrap();
    fs::write(&live, &old).unwrap();
    let new = changed(&old);
    let manifest = bed.publish("ubuntu", &[("qcow2", &new)]);
    let fetch = bed.fetch("ubuntu", &manifest, Some("4 Mbit/s"));
    let spoil = async {
        bed.arrived(&digest_of(&new), MIB).await;
        // As an upload would that writes in place.
        fs::write(&live, noise(6, BIG)).unwrap();
    };
    let (fetched, ()) = futures_util::future::join(fetch, spoil).await;
    fetched.unwrap();
    assert!(bed.has(&new));
}

/// Under both of its names; what of it is right is not moved again.
#[tokio::test]
async fn what_the_disk_damaged_is_mended_for_little() {
    let bed = Bed::new();
    let good = noise(6, BIG);
    let manifest = bed.publish("ubuntu", &[("qcow2", &good)]);
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let object = bed.paths.store.join("objects").join(digest_of(&good).hex());
    let live = bed.paths.linbo.join("images/ubuntu/ubuntu.qcow2");
    fs::create_dir_all(files::parent(&live)).unwrap();
    fs::hard_link(&object, &live).unwrap();
    let bad = changed(&good);
    fs::write(&object, &bad).unwrap();
    bed.fetch("ubuntu", &manifest, None).await.unwrap();
    let sent = bed.last_sent().await;
    assert!(sent > 0 && sent < BIG as u64 / 20, "{sent} bytes of {BIG}");
    assert!(bed.has(&good));
    // Nobody writes into what lies in LINBO's folder.
    assert!(fs::read(&live).unwrap() == bad);
    assert_eq!(leftovers(&bed), 0);
}
