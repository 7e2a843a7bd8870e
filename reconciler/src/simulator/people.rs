//! What people do: merge commits, order that something is left alone, work at PCs, and what they do by hand.

use std::rc::Rc;

use schema::fleet::Rebrand;
use schema::name::{HostName, ImageName, VersionName};

use super::event::What;
use super::pc::{Pc, Usage};
use super::script::Turn;
use super::time::Moment;
use super::truth::{Disk, File};
use super::world::{Passes, World};
use crate::manifest::{MadeFrom, Manifest, ManifestFile, digest_of};
use crate::planning::{Orders, RolledBack, Subject, Suspended};

impl World {
    pub(super) fn people_do(self: &Rc<Self>, turn: &Turn, passes: &mut Passes) {
        let now = self.time.now();
        match turn {
            Turn::Merge(number) => {
                let text = {
                    let mut remote = self.remote.borrow_mut();
                    let forced = remote
                        .head
                        .is_some_and(|head| !remote.builds_on(*number, head));
                    remote.head = Some(*number);
                    let verb = if forced {
                        "the branch is forced to"
                    } else {
                        "merged:"
                    };
                    format!(
                        "{verb} commit {} ({})",
                        number + 1,
                        remote.line(*number).subject
                    )
                };
                self.happened(None, What::Befell(text));
                (0..self.sites.len()).for_each(|site| self.poke(site, self.time.now()));
            }
            Turn::Backup(site) => {
                let here = &self.sites[*site];
                *here.saved.borrow_mut() = Some(here.school.borrow().disk.clone());
                self.happened(Some(*site), What::Befell("the server is saved".to_owned()));
            }
            Turn::Restore(site) => {
                let here = &self.sites[*site];
                self.kill(*site, passes);
                let saved = here.saved.borrow().clone();
                if let Some(saved) = saved {
                    let mut school = here.school.borrow_mut();
                    school.disk = saved;
                    // It was away for longer than any host reads from it.
                    school.pcs.values_mut().for_each(Pc::cut_off);
                    drop(school);
                    self.promises.borrow_mut().restored(*site);
                    self.happened(
                        Some(*site),
                        What::Befell("the server is put back to what was saved".to_owned()),
                    );
                    self.poke(*site, self.time.now());
                }
            }
            Turn::Edit(site, class, edit) => {
                let text =
                    super::begin::edit(&mut self.sites[*site].school.borrow_mut(), class, *edit);
                self.promises.borrow_mut().touched(*site);
                self.befalls(*site, text);
            }
            Turn::TorrentLost(site, image) => {
                let lost = |file: &mut File| file.seed(None);
                self.seeding(*site, image, lost);
                self.befalls(*site, format!("the torrent of {image} is lost"));
            }
            Turn::SeederDied(site, image) => {
                self.seeding(*site, image, |file| file.seeded = false);
                self.befalls(*site, format!("what seeds {image} dies"));
            }
            Turn::Suspend(site, what, until) => {
                let suspended = Suspended {
                    since: now.timestamp(),
                    reason: "building work".to_owned(),
                    by: "root".to_owned(),
                    until: until.map(Moment::timestamp),
                };
                self.order(*site, |orders| orders.suspend(what.clone(), suspended));
                let zone = self.sites[*site].school.borrow().zone.clone();
                let until = until.map_or_else(String::new, |until| {
                    let until = until.timestamp().to_zoned(zone);
                    until.strftime(" until %Y-%m-%d %H:%M").to_string()
                });
                self.befalls(*site, format!("reconcile suspend {what}{until}"));
            }
            Turn::RollBack(site, image, to) => self.roll_back(*site, image, to),
            Turn::Rebrand(site, image) => self.rebrand(*site, image),
            Turn::Resume(site, what) => {
                self.order(*site, |orders| {
                    orders.resume(what.clone(), now.timestamp());
                });
                self.befalls(*site, format!("reconcile resume {what}"));
            }
            Turn::Resolve(site) => {
                self.order(*site, |orders| {
                    *orders = Orders::default();
                    orders.resume(Subject::Server, now.timestamp());
                });
                self.befalls(*site, "all that stood still is resumed".to_owned());
            }
            Turn::Stop(site) => {
                if passes[*site].is_some() {
                    let text = "reconcile is asked to end".to_owned();
                    self.happened(Some(*site), What::Befell(text));
                    self.sites[*site].stop.set(true);
                    self.go_on(*site, passes);
                    self.poke(*site, self.time.now() + 1);
                }
            }
            Turn::Pass(site) if passes[*site].is_some() => {
                self.happened(Some(*site), What::Refused);
            }
            Turn::Pass(site) => {
                self.sites[*site].next.set(Some(self.time.now()));
                self.look(*site, passes);
            }
        }
    }

    /// Somebody lets an image go back, if the state repo names another version of it, and knows that one.
    fn roll_back(&self, site: usize, image: &ImageName, to: &VersionName) {
        let applied = self.sites[site].school.borrow().disk.applied;
        let desired = applied.and_then(|number| self.desired(site, number));
        let Some(desired) = desired else { return };
        let Some((from, wanted)) = desired.of_rooms(image) else {
            return;
        };
        if from == to || !desired.others.contains_key(&(image.clone(), to.clone())) {
            return;
        }
        let order = RolledBack {
            from: wanted.published,
            to: to.clone(),
            since: self.time.now().timestamp(),
            reason: "no sound".to_owned(),
            by: "root".to_owned(),
        };
        self.order(site, |orders| drop(orders.roll_back(image.clone(), order)));
        self.befalls(site, format!("reconcile rollback {image} --to {to}"));
    }

    /// Somebody uploads from the VM what he made there of an image, and takes it as this school's version.
    fn rebrand(&self, site: usize, image: &ImageName) {
        let applied = self.sites[site].school.borrow().disk.applied;
        let desired = applied.and_then(|number| self.desired(site, number));
        let Some((desired, staff)) = desired
            .as_ref()
            .and_then(|of| Some((of, of.staff.as_ref()?)))
        else {
            return;
        };
        let Some((version, wanted)) = desired.of_rooms(image) else {
            return;
        };
        let (now, content) = (
            self.time.now(),
            digest_of(format!("{site} {}", self.time.now()).as_bytes()),
        );
        let mut school = self.sites[site].school.borrow_mut();
        let Disk {
            store, live, moved, ..
        } = &mut school.disk;
        let seen = store.seen(false);
        let is_done = seen.rebranded(&wanted.published, &staff.domain).is_some();
        let source = seen.manifests.get(&wanted.published);
        let Some(source) = source.filter(|_| seen.is_complete(&wanted.published) && !is_done)
        else {
            return;
        };
        let own = |ending: &str, size, sha256| {
            let name = format!("{image}.{ending}").parse().ok()?;
            Some(ManifestFile { name, size, sha256 })
        };
        let files = [
            Some(source.base().clone()),
            own("qdiff", 2 << 30, content),
            own("qdiff.macct", 900, digest_of(content.hex().as_bytes())),
        ];
        let files: Vec<ManifestFile> = files.into_iter().flatten().collect();
        let made = MadeFrom {
            source: wanted.published,
            domain: Some(staff.domain.clone()),
            at: now.timestamp(),
            commit: None,
            program: String::new(),
        };
        for file in &files {
            let object = (file.sha256, file.size);
            store.objects.entry(file.sha256).or_insert(object);
        }
        let base = source.base().sha256;
        let manifest = Manifest::made_here(image.clone(), version.clone(), files, made);
        store
            .manifests
            .extend(manifest.ok().map(|manifest| (content, manifest)));
        moved.insert((image.clone(), (Some(base), Some(content))));
        let stem = Rebrand::stem(image);
        if let Some(live) = stem.and_then(|stem| live.get_mut(&stem)) {
            live.diff = Some(File::new(2 << 30, content, Some(base)));
        }
        drop(school);
        self.befalls(site, format!("reconcile rebranded {image}: {version}"));
    }

    /// Somebody comes to a host or goes away from it. Its server does not notice.
    pub(super) fn people_come_and_go(
        &self,
        site: usize,
        host: &HostName,
        usage: Usage,
        comes: bool,
    ) {
        let now = self.time.now();
        let before_and_after = {
            let mut school = self.sites[site].school.borrow_mut();
            let zone = school.zone.clone();
            school.pcs.get_mut(host).map(|pc| {
                pc.settle(now, &zone);
                let before = pc.phase.clone();
                if comes {
                    pc.begin_use(usage);
                } else {
                    pc.end_use(usage);
                }
                (before, pc.phase.clone())
            })
        };
        if before_and_after.is_some_and(|(before, after)| before != after) {
            let text = match (usage, comes) {
                (_, false) => format!("{host} is switched off"),
                (Usage::Somebody, true) => format!("somebody works at {host}"),
                (Usage::Nobody, true) => format!("{host} is left running"),
                (Usage::Unreadable, true) => {
                    format!("{host} runs and does not say who is logged in")
                }
            };
            self.happened(Some(site), What::People(text));
        }
    }

    /// Something befalls a school, whose server looks soon.
    fn befalls(&self, site: usize, text: String) {
        self.happened(Some(site), What::Befell(text));
        self.poke(site, self.time.now());
    }

    fn order(&self, site: usize, change: impl FnOnce(&mut Orders)) {
        change(&mut self.sites[site].school.borrow_mut().disk.orders);
    }

    fn seeding(&self, site: usize, image: &ImageName, change: impl FnMut(&mut File)) {
        let mut school = self.sites[site].school.borrow_mut();
        if let Some(live) = school.disk.live.get_mut(image) {
            live.files_mut().for_each(change);
        }
    }
}
