//! Promises about what must never be: foreign images, lost files, foreign commits, shells.

use schema::fleet::DomainJoin;
use schema::name::{HostName, ImageName};

use super::{Book, Found, Scene};
use crate::manifest::Manifest;
use crate::planning::{Action, Purpose, Step, StepResult};
use crate::simulator::pc::{Phase, Restore};
use crate::simulator::truth::{Contents, Live};

/// Promise 6: what a client reads is a version that Git names, byte for byte, and of no foreign domain.
pub(super) fn foreign_image(
    host: &HostName,
    images: &[(ImageName, Contents)],
    scene: &Scene<'_>,
) -> Vec<Found> {
    let Some(desired) = scene.desired else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (image, (base, diff)) in images {
        let wanted = desired.images.iter().find(|((name, _), _)| name == image);
        let Some((_, wanted)) = wanted else { continue };
        let moved = &scene.school.disk.moved;
        let is_moved = moved.contains(&(image.clone(), (*base, *diff)));
        let is_foreign =
            wanted.domain_join == DomainJoin::Rebrand || wanted.manifest != wanted.published;
        if is_foreign && !is_moved {
            found.push((
                6,
                format!("{host} restores {image}, which was not moved into the domain"),
            ));
        }
        let ours = scene
            .published
            .values()
            .filter(|manifest| manifest.image() == image);
        let known = ours.into_iter().any(|manifest| {
            let same = manifest.diff().map(|file| file.sha256) == *diff;
            Some(manifest.base().sha256) == *base && (same || diff.is_none())
        });
        let known = known || is_moved;
        if !known {
            found.push((
                6,
                format!("{host} restores {image}, whose files are no version that Git names"),
            ));
        }
    }
    found
}

/// What an image held before a step changes it.
pub(super) fn remember(step: &Step, scene: &Scene<'_>, book: &mut Book) {
    if let Action::Activate { image, .. } = &step.action {
        let contents = scene
            .school
            .disk
            .live
            .get(image)
            .map(Live::contents)
            .unwrap_or_default();
        book.before.insert(image.clone(), contents);
    }
}

/// Promise 7: an activation that fails leaves the old files in service.
pub(super) fn failed_activation(
    step: &Step,
    result: &StepResult,
    scene: &Scene<'_>,
    book: &mut Book,
) -> Vec<Found> {
    let Action::Activate { image, .. } = &step.action else {
        return Vec::new();
    };
    // What the loop declares as failed without having begun it changed nothing.
    let Some(before) = book.before.remove(image) else {
        return Vec::new();
    };
    let contents = scene
        .school
        .disk
        .live
        .get(image)
        .map(Live::contents)
        .unwrap_or_default();
    if matches!(result, StepResult::Failed { .. }) && before != contents {
        return vec![(
            7,
            format!("{image} is not what it was before its activation failed"),
        )];
    }
    Vec::new()
}

/// Promise 7: no file that a class refers to goes away, no diff lies beside a base that it was not
/// made for, no image changes while a client reads it.
pub(super) fn torn(scene: &Scene<'_>, book: &mut Book) -> Vec<Found> {
    let mut found = Vec::new();
    for (image, live) in &scene.school.disk.live {
        match &live.base {
            Some(_) => _ = book.bases.insert(image.clone()),
            None if book.bases.contains(image) => {
                found.push((7, format!("the base of {image} is gone")));
            }
            None => {}
        }
        if let Some(diff) = &live.diff
            && diff.backing != live.base.as_ref().map(|base| base.content)
        {
            found.push((
                7,
                format!("the diff of {image} lies beside a base that it was not made for"),
            ));
        }
    }
    for (class, files) in &scene.school.disk.classes {
        if files.start_conf.is_some() {
            book.classes.insert(class.clone());
        } else if book.classes.contains(class) {
            found.push((7, format!("start.conf.{class} is gone")));
        }
    }
    for (host, pc) in &scene.school.pcs {
        let Phase::Syncing(Restore { ends, reads, .. }) = &pc.phase else {
            continue;
        };
        for (image, contents) in reads.iter().filter(|_| scene.now < *ends) {
            if scene.school.disk.live.get(image).map(Live::contents) != Some(*contents) {
                found.push((7, format!("{image} changes while {host} reads it")));
            }
        }
    }
    found
}

/// Promise 7: no version goes out of the store that is wanted, live, or was live before.
pub(super) fn lost(scene: &Scene<'_>, book: &mut Book) -> Vec<Found> {
    let disk = &scene.school.disk;
    let is_whole = |manifest: &Manifest| {
        let mut files = manifest.files().iter();
        files.all(|file| disk.store.objects.contains_key(&file.sha256))
    };
    let manifests = disk.store.manifests.iter();
    let whole = manifests.filter(|(_, manifest)| is_whole(manifest));
    let whole = whole.map(|(digest, _)| *digest).collect();
    let before = std::mem::replace(&mut book.stored, whole);
    let mut found = Vec::new();
    for digest in before.difference(&book.stored) {
        let Some(manifest) = scene.published.get(digest) else {
            continue;
        };
        let (image, version) = (manifest.image(), manifest.version());
        let wanted = scene.desired.is_some_and(|desired| {
            let today = desired.zone.to_datetime(scene.clock()).date();
            desired.images.values().any(|wanted| {
                let is_over =
                    matches!(wanted.purpose, Purpose::TestClass { until } if until < today);
                wanted.manifest == *digest && !is_over
            })
        });
        let contents = (
            Some(manifest.base().sha256),
            manifest.diff().map(|file| file.sha256),
        );
        let is_live = disk.live.get(image).map(Live::contents) == Some(contents);
        let was_live = disk.store.before.get(image) == Some(&contents);
        for (holds, why) in [
            (wanted, "is wanted"),
            (is_live, "is live"),
            (was_live, "was live before"),
        ] {
            if holds {
                let how = format!("{image} {version} goes out of the store, and {why}");
                found.push((7, how));
            }
        }
    }
    found
}

/// Promise 8: what is worked towards builds on what was worked towards before, is valid, and is signed
/// by somebody whom the servers know.
pub(super) fn not_a_descendant(number: usize, scene: &Scene<'_>, book: &mut Book) -> Vec<Found> {
    let before = book.commit.replace(number);
    let valid = scene
        .remote
        .commits
        .get(number)
        .is_some_and(|commit| commit.fleet.is_ok());
    if !valid {
        return vec![(
            8,
            format!("commit {} is not valid, and worked towards", number + 1),
        )];
    }
    if scene.remote.signers
        && let Some(foreign) = scene.remote.foreign(number, before)
    {
        let how = format!(
            "commit {} is worked towards, and nobody known signed commit {}",
            number + 1,
            foreign + 1
        );
        return vec![(8, how)];
    }
    match before {
        Some(before) if !scene.remote.builds_on(number, before) => {
            vec![(
                8,
                format!(
                    "commit {} does not build on commit {}, and is worked towards",
                    number + 1,
                    before + 1
                ),
            )]
        }
        _ => Vec::new(),
    }
}

/// Promise 9: no shell is run, and no word that a program is given can be an option or more than a word.
pub(super) fn shell(words: &[String]) -> Vec<Found> {
    let Some((program, rest)) = words.split_first() else {
        return Vec::new();
    };
    let plain = |word: &String| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        !word.starts_with(['-', '.']) && word.chars().all(inner)
    };
    let shell = ["sh", "bash", "env", "sudo"].contains(&program.as_str());
    if shell || !rest.iter().all(plain) {
        return vec![(
            9,
            format!("a program is run with words that are not safe: {words:?}"),
        )];
    }
    Vec::new()
}
