//! What steps do to the simulated world: with time, in parts, and not always well.

use anyhow::anyhow;
use jiff::Timestamp;
use schema::digest::Digest;
use schema::name::{ClassName, FileName, ImageName};
use schema::units::Rate;

use super::bug::Bug;
use super::event::What;
use super::fault::Kind;
use super::port::Port;
use super::time::{HOUR, MINUTE, Moment, SECOND};
use super::truth::{File, Live};
use super::uplink::Stream;
use crate::linbo::devices::{Devices, Edits};
use crate::manifest::{Manifest, ManifestFile};
use crate::planning::action::RowChange;
use crate::planning::predict;
use crate::planning::slots::content;
use crate::planning::{Action, Step};
use crate::world::{Failure, Progress, Senses as _};

/// What a line without a limit is taken to carry, in bytes per second.
const ENDLESS: u64 = 125_000_000;
/// How fast digests are computed, in bytes per millisecond.
const HASHED: u64 = 800_000;

fn failed(what: &str, evidence: &str) -> Failure {
    Failure::Failed {
        error: anyhow!("{what}"),
        evidence: vec![evidence.to_owned()],
    }
}

impl Port {
    pub(super) async fn act(
        &self,
        step: &Step,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        match &step.action {
            Action::WriteStartConf { class, after, .. } => {
                self.write_start_conf(class, after).await
            }
            Action::SetRows { rows } => {
                let rows = RowChange::edits(rows);
                self.write_devices(|_| rows.clone()).await
            }
            Action::SetClasses { hosts } => {
                let moved = |devices: &Devices| {
                    devices.moved(hosts.iter().map(|(host, change)| (host, &change.after)))
                };
                self.write_devices(moved).await
            }
            Action::ImportDevices { classes, .. } => self.import(classes).await,
            Action::Download {
                manifest,
                rate,
                from,
                until,
                ..
            } => {
                while self.now() < *from {
                    self.nap(millis_to(*from, self.now()).min(MINUTE)).await;
                }
                self.download(manifest, *rate, *until, tell).await
            }
            Action::Stage { manifest, to, .. } => self.stage(manifest, to).await,
            Action::Activate {
                image, manifest, ..
            } => self.activate(image, manifest).await,
            Action::Delete { manifest, .. } => self.delete(manifest).await,
            Action::Seed { image, file } => self.seed(image, file).await,
            Action::ResetRoom { .. } => self.reset(&step.action, tell).await,
            Action::SwitchOff { hosts } => {
                self.switch_off(hosts);
                Ok(())
            }
        }
    }

    pub(super) fn is(&self, which: impl Fn(&Kind) -> bool) -> bool {
        self.school().borrow().suffers(which)
    }

    fn run(&self, words: &[&str]) {
        let shell = self.has(Bug::Shell).then_some(["sh", "-c"]);
        let words = shell
            .iter()
            .flatten()
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect();
        self.happened(What::Ran(words));
    }

    async fn write_start_conf(&self, class: &ClassName, after: &str) -> Result<(), Failure> {
        // The temporary file beside it; whoever is killed here leaves the old text in place.
        self.nap(200).await;
        if self.is(|kind| matches!(kind, Kind::DiskFull)) {
            return Err(failed(
                &format!("cannot write start.conf.{class}"),
                "no space left on device",
            ));
        }
        self.school()
            .borrow_mut()
            .disk
            .classes
            .entry(class.clone())
            .or_default()
            .write(Some(after.to_owned()));
        self.happened(What::Changed(format!("start.conf.{class} is replaced")));
        self.nap(100).await;
        Ok(())
    }

    async fn write_devices(&self, edits: impl Fn(&Devices) -> Edits) -> Result<(), Failure> {
        // The new file beside the old one; whoever is killed here leaves the old one in place.
        self.nap(200).await;
        if self.is(|kind| matches!(kind, Kind::DiskFull)) {
            return Err(failed(
                "cannot write devices.csv",
                "no space left on device",
            ));
        }
        let rows = {
            let mut school = self.school().borrow_mut();
            let edits = edits(&school.disk.devices);
            let devices = school.disk.devices.edited(&edits);
            school.replace(devices);
            edits.len()
        };
        let what = format!("{rows} hosts have another row in devices.csv");
        self.happened(What::Changed(what));
        self.nap(100).await;
        Ok(())
    }

    async fn import(&self, classes: &[ClassName]) -> Result<(), Failure> {
        self.run(&["linuxmuster-import-devices"]);
        self.nap(self.world.latency(self.site, "import", 10 * SECOND, MINUTE))
            .await;
        for class in classes {
            if self.is(|kind| matches!(kind, Kind::ImportFails)) {
                return Err(failed(
                    "linuxmuster-import-devices ended with exit status 1",
                    "samba: no answer",
                ));
            }
            {
                let mut school = self.school().borrow_mut();
                let class = school.disk.classes.entry(class.clone()).or_default();
                if !class.by_hand {
                    class.boot_of = Some(class.written);
                }
            }
            self.happened(What::Changed(format!(
                "the boot configuration of {class} is made"
            )));
            self.nap(500).await;
        }
        if self.is(|kind| matches!(kind, Kind::ImportFails)) {
            return Err(failed(
                "linuxmuster-import-devices ended with exit status 1",
                "samba: no answer",
            ));
        }
        self.school().borrow_mut().link();
        Ok(())
    }

    async fn download(
        &self,
        digest: &Digest,
        rate: Option<Rate>,
        until: Timestamp,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        if self.has(Bug::NeverDownloads) {
            self.nap(MINUTE).await;
            return Ok(());
        }
        self.reachable().await?;
        let Some(manifest) = self.world.published.get(digest).cloned() else {
            return Err(failed(
                "the manifest is not on the central server",
                "rsync: file not found",
            ));
        };
        self.nap(SECOND).await;
        self.school()
            .borrow_mut()
            .disk
            .store
            .manifests
            .insert(*digest, manifest.clone());
        let mut fetched = Vec::new();
        let mut ended = Ok(());
        for file in manifest.files() {
            match self.fetch(file, rate, until, tell).await {
                Ok(true) => fetched.push(file),
                Ok(false) => {}
                Err(failure) => {
                    ended = Err(failure);
                    break;
                }
            }
        }
        // The line is not kept waiting for what is compared.
        for file in fetched {
            self.verify(file).await?;
        }
        ended
    }

    async fn reachable(&self) -> Result<(), Failure> {
        if self.is(|kind| matches!(kind, Kind::LinkDown)) {
            self.nap(MINUTE).await;
            return Err(failed(
                "the central server does not answer",
                "rsync: connection timed out",
            ));
        }
        Ok(())
    }

    async fn fetch(
        &self,
        file: &ManifestFile,
        rate: Option<Rate>,
        until: Timestamp,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<bool, Failure> {
        let (there, begun) = {
            let school = self.school().borrow();
            let store = &school.disk.store;
            (
                store.objects.contains_key(&file.sha256),
                store.partial.get(&file.sha256).copied().unwrap_or(0),
            )
        };
        if there {
            return Ok(false);
        }
        let mut granted = rate.map_or(ENDLESS, |rate| content(rate).bits() / 8);
        if self.has(Bug::TakesTheLine) {
            granted = ENDLESS.max(granted.saturating_mul(1000));
        }
        let percent = self.world.line(self.site);
        let stream = Stream::open(
            &self.world.uplink,
            &self.world.time,
            self.site,
            self.life,
            granted,
            percent,
        );
        self.happened(What::Moving);
        let mut done = begun;
        while done < file.size {
            // The window is kept by the server's own clock, however wrong it is.
            let latest = self.true_now() + millis_to(until, self.now()).min(10 * MINUTE);
            stream.more(file.size - begun, latest).await;
            let (moved, per_second) = stream.progress();
            done = (begun + moved).min(file.size);
            {
                let mut school = self.school().borrow_mut();
                if school.suffers(|kind| matches!(kind, Kind::Garbled)) {
                    school.disk.store.garbled.insert(file.sha256);
                }
                let full = school.suffers(|kind| matches!(kind, Kind::DiskFull));
                let before = school
                    .disk
                    .store
                    .partial
                    .get(&file.sha256)
                    .copied()
                    .unwrap_or(0);
                if full || done - before.min(done) > school.disk.store.free(false) {
                    return Err(failed(
                        &format!("cannot write {}", file.name),
                        "no space left on device",
                    ));
                }
                school.disk.store.partial.insert(file.sha256, done);
            }
            tell(Progress::Bytes {
                done,
                total: file.size,
                per_second,
            });
            if done >= file.size {
                break;
            }
            if self.now() >= until {
                return Err(Failure::Paused);
            }
            if self.is(|kind| matches!(kind, Kind::RsyncStops)) {
                return Err(failed(
                    "rsync ended with exit status 12",
                    "rsync error: error in rsync protocol data stream",
                ));
            }
            self.reachable().await?;
        }
        drop(stream);
        self.happened(What::Moving);
        Ok(true)
    }

    async fn verify(&self, file: &ManifestFile) -> Result<(), Failure> {
        let hashing = i64::try_from(file.size / HASHED).unwrap_or(HOUR);
        self.nap(hashing.max(10)).await;
        let garbled = self
            .school()
            .borrow_mut()
            .disk
            .store
            .garbled
            .remove(&file.sha256);
        let content = if garbled {
            Digest::new([0xbb; 32])
        } else {
            file.sha256
        };
        let verified = content == file.sha256 || self.has(Bug::NoVerification);
        {
            let mut school = self.school().borrow_mut();
            school.disk.store.partial.remove(&file.sha256);
            if verified {
                school
                    .disk
                    .store
                    .objects
                    .insert(file.sha256, (content, file.size));
            }
        }
        if !verified {
            return Err(failed(
                &format!(
                    "{} is not what the state repo says: its digest differs",
                    file.name
                ),
                "digest",
            ));
        }
        self.happened(What::Changed(format!(
            "{} is in the store, verified",
            file.name
        )));
        Ok(())
    }

    /// The new set is built aside, the old files' seeders are stopped, then both sets change places in
    /// one step. What fails before that leaves the old set, which is seeded again.
    /// A version under another name: its copies first, the manifest last.
    async fn stage(&self, published: &Digest, to: &ImageName) -> Result<(), Failure> {
        let now = self.now();
        let staged = predict::staged(
            &self.school().borrow().disk.store.seen(false),
            published,
            to,
            now,
        );
        let Some((name, manifest)) = staged else {
            return Err(failed("the version is not in the store", "no manifest"));
        };
        for file in manifest.files() {
            self.nap(10 * SECOND).await;
            if self.is(|kind| matches!(kind, Kind::DiskFull)) {
                return Err(failed("cannot copy the diff", "no space left on device"));
            }
            let mut school = self.school().borrow_mut();
            let objects = &mut school.disk.store.objects;
            objects
                .entry(file.sha256)
                .or_insert((file.sha256, file.size));
        }
        self.nap(SECOND).await;
        let mut school = self.school().borrow_mut();
        school.disk.store.manifests.insert(name, manifest);
        drop(school);
        self.happened(What::Changed(format!("{to} is in the store")));
        Ok(())
    }

    async fn activate(&self, image: &ImageName, digest: &Digest) -> Result<(), Failure> {
        let manifest = self
            .school()
            .borrow()
            .disk
            .store
            .manifests
            .get(digest)
            .cloned();
        let Some(manifest) = manifest else {
            return Err(failed("the version is not in the store", "no manifest"));
        };
        let new = self.staged(image, &manifest).await?;
        let torrents = |live: Option<&Live>| {
            let of = |file: &Option<File>| file.as_ref().and_then(|file| file.torrent);
            live.map_or((None, None), |live| (of(&live.base), of(&live.diff)))
        };
        let (base, diff) = torrents(self.school().borrow().disk.live.get(image));
        self.run(&["linbo-torrent", "stop", image.as_str()]);
        let stop = self.exchange_part(image, "torrents stopped", |live| {
            live.files_mut().for_each(|file| file.seed(None));
        });
        stop.await?;
        let exchanged = self.exchange(image, new).await;
        if exchanged.is_err() {
            if let Some(live) = self.school().borrow_mut().disk.live.get_mut(image) {
                live.base.iter_mut().for_each(|file| file.seed(base));
                live.diff.iter_mut().for_each(|file| file.seed(diff));
            }
            self.happened(What::Changed(format!("the old {image} is seeded again")));
        }
        exchanged
    }

    /// The new set, a file at a time.
    async fn staged(&self, image: &ImageName, manifest: &Manifest) -> Result<Live, Failure> {
        let missing = || failed("a file of the version is not in the store", "no object");
        let mut staged = Live::default();
        for wanted in manifest.files() {
            self.nap(300).await;
            if self.is(|kind| matches!(kind, Kind::DiskFull)) {
                return Err(failed(
                    &format!("cannot build the new set of {image}"),
                    "no space left on device",
                ));
            }
            let school = self.school().borrow();
            let object = school.disk.store.objects.get(&wanted.sha256).copied();
            let (content, size) = object.ok_or_else(missing)?;
            let is_diff = Some(wanted) == manifest.diff();
            let backing = is_diff.then(|| manifest.base().sha256);
            let file = File::new(size, content, backing);
            if is_diff {
                staged.diff = Some(file);
            } else if wanted == manifest.base() {
                staged.base = Some(file);
            }
        }
        Ok(staged)
    }

    async fn exchange(&self, image: &ImageName, new: Live) -> Result<(), Failure> {
        if self.has(Bug::ForeignDiff) {
            let (base, diff) = (new.base.clone(), new.diff.clone());
            self.exchange_part(image, "new base in place", |live| live.base = base)
                .await?;
            return self
                .exchange_part(image, "new diff in place", |live| live.diff = diff)
                .await;
        }
        if self.has(Bug::BaseRemovedFirst) {
            self.exchange_part(image, "the old set is away", |live| {
                (live.base, live.diff) = (None, None);
            })
            .await?;
        }
        let old = self
            .school()
            .borrow()
            .disk
            .live
            .get(image)
            .map(Live::contents);
        self.exchange_part(image, "the new set is in place", |live| {
            (live.base, live.diff) = (new.base, new.diff);
        })
        .await?;
        if let Some(old) = old {
            let before = &mut self.school().borrow_mut().disk.store.before;
            before.insert(image.clone(), old);
        }
        // The old set goes to where it is kept.
        self.nap(300).await;
        Ok(())
    }

    /// One step of an activation, which happens or not.
    async fn exchange_part(
        &self,
        image: &ImageName,
        what: &str,
        part: impl FnOnce(&mut Live),
    ) -> Result<(), Failure> {
        self.nap(300).await;
        if self.is(|kind| matches!(kind, Kind::ActivateFails)) {
            return Err(failed(
                &format!("cannot exchange the files of {image}"),
                "input/output error",
            ));
        }
        let now = self.true_now();
        {
            let mut school = self.school().borrow_mut();
            // PCs that were done by now read the old files.
            school.settle(now);
            part(school.disk.live.entry(image.clone()).or_default());
        }
        self.happened(What::Changed(format!("{image}: {what}")));
        Ok(())
    }

    /// The files first, one at a time, and their manifest last: who is killed in between begins anew.
    async fn delete(&self, digest: &Digest) -> Result<(), Failure> {
        let files = {
            let school = self.school().borrow();
            let store = school.disk.store.seen(false);
            match store.manifests.get(digest) {
                Some(manifest) if self.has(Bug::DeletesShared) => {
                    manifest.files().iter().map(|file| file.sha256).collect()
                }
                Some(_) => store.alone(digest),
                None => return Ok(()),
            }
        };
        for file in files {
            self.nap(300).await;
            {
                let store = &mut self.school().borrow_mut().disk.store;
                store.objects.remove(&file);
                store.partial.remove(&file);
                store.garbled.remove(&file);
            }
            self.happened(What::Changed(format!(
                "{} is deleted from the store",
                file.short()
            )));
        }
        self.nap(100).await;
        self.school()
            .borrow_mut()
            .disk
            .store
            .manifests
            .remove(digest);
        self.happened(What::Changed(format!(
            "the manifest {} is deleted from the store",
            digest.short()
        )));
        Ok(())
    }

    async fn seed(&self, image: &ImageName, file: &FileName) -> Result<(), Failure> {
        self.torrent(image, file, "has no torrent now", |_| None);
        self.run(&["linbo-torrent", "create", file.as_str()]);
        self.nap(
            self.world
                .latency(self.site, "seed", 20 * SECOND, 3 * MINUTE),
        )
        .await;
        if self.is(|kind| matches!(kind, Kind::SeedFails)) {
            return Err(failed(
                &format!("linbo-torrent could not make the torrent of {file}"),
                "ctorrent: no tracker",
            ));
        }
        self.torrent(image, file, "is seeded", |file| Some(file.content));
        Ok(())
    }

    fn torrent(
        &self,
        image: &ImageName,
        file: &FileName,
        what: &str,
        made_of: impl FnOnce(&File) -> Option<Digest>,
    ) {
        if let Some(live) = self.school().borrow_mut().disk.live.get_mut(image) {
            let found = if file.as_str().ends_with(".qdiff") {
                &mut live.diff
            } else {
                &mut live.base
            };
            if let Some(found) = found {
                found.seed(made_of(found));
            }
        }
        self.happened(What::Changed(format!("{file} {what}")));
    }

    /// A number that belongs to this host and this instant.
    pub(super) fn luck(&self, host: &str, now: Moment) -> super::chance::Chance {
        super::chance::Chance::of(self.world.seed, host)
            .part(self.world.sites[self.site].luck)
            .part(now.0.unsigned_abs())
    }
}

/// Milliseconds from now until an instant that is to come, or none.
fn millis_to(instant: Timestamp, now: Timestamp) -> i64 {
    let left = instant.duration_since(now).as_millis();
    i64::try_from(left).unwrap_or(i64::MAX / 4).max(0)
}
