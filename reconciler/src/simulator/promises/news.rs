//! Promise 10: each failure is told once, each recovery once; what is coming is announced once.

use std::collections::{BTreeMap, BTreeSet};

use schema::name::HostName;

use super::{Book, Found, Scene};
use crate::linbo::verdict::HostOutcome;
use crate::planning::{Action, Step, StepId, StepResult};
use crate::simulator::fault::Kind;
use crate::world::{Letter, Readers};

/// What people know, and what this pass has for them.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Troubles that people were told of.
    pub(super) told: BTreeSet<String>,
    /// The same, with the letter of this pass.
    telling: Option<BTreeSet<String>>,
    /// What staff were told is coming, and what this pass has told them.
    announced: BTreeSet<String>,
    announcing: BTreeSet<String>,
    /// What a pass told that was killed before its end: who knows whether it noted that.
    unsure: BTreeSet<String>,
    /// Whether the journal was put back to an older one, which knows less or more.
    lost: bool,
    /// Words by which a letter names each step that failed in this pass and did not go well since.
    failed: BTreeMap<StepId, Vec<String>>,
    /// Hosts that failed in this pass.
    hosts: BTreeSet<HostName>,
    /// What waits at the end of the pass.
    waits: Vec<String>,
    /// Whether something kept people from being told in this pass.
    hindered: bool,
}

impl News {
    /// After a backup was put back.
    pub(super) fn lost() -> Self {
        Self {
            lost: true,
            ..Self::default()
        }
    }

    /// Whether the journal was put back to an older one.
    pub(super) const fn is_lost(&self) -> bool {
        self.lost
    }

    pub(super) fn begin(&mut self) {
        self.failed.clear();
        self.announcing.clear();
        self.hosts.clear();
        self.waits.clear();
        self.hindered = false;
    }

    pub(super) fn not_sent(&mut self) {
        self.hindered = true;
    }

    pub(super) fn killed(&mut self) {
        if let Some(telling) = self.telling.take() {
            self.is_unsure_of(telling);
        }
        self.unsure.append(&mut self.announcing);
    }

    /// Who knows whether it was noted what people were told, and what they were told to be over.
    fn is_unsure_of(&mut self, telling: BTreeSet<String>) {
        let told = std::mem::take(&mut self.told).into_iter();
        let (told, over): (_, BTreeSet<_>) = told.partition(|title| telling.contains(title));
        self.told = told;
        self.unsure.extend(over);
        self.unsure.extend(telling);
    }

    pub(super) fn waits(&mut self, text: &str) {
        self.waits.push(text.to_owned());
    }

    pub(super) fn finished(&mut self, step: &Step, result: &StepResult, scene: &Scene<'_>) {
        self.hindered |= !scene.records;
        match result {
            StepResult::Failed { .. } => self.failed.insert(step.id.clone(), words(&step.action)),
            StepResult::Done | StepResult::Paused => self.failed.remove(&step.id),
        };
    }

    /// A host that is tried again has failed when that has.
    pub(super) fn begun(&mut self, step: &Step) {
        if let Action::ResetRoom { hosts, .. } = &step.action {
            for wake in hosts {
                self.hosts.remove(&wake.host);
            }
        }
    }

    pub(super) fn host(&mut self, host: &HostName, outcome: &HostOutcome, scene: &Scene<'_>) {
        self.hindered |= !scene.records;
        if matches!(outcome, HostOutcome::Failed { .. }) {
            self.hosts.insert(host.clone());
        } else {
            self.hosts.remove(host);
        }
    }
}

/// How a letter names what a step does.
fn words(action: &Action) -> Vec<String> {
    match action {
        Action::WriteStartConf { class, .. } => vec![format!("class {class}:")],
        Action::SetRows { .. } | Action::SetClasses { .. } => vec!["devices.csv:".to_owned()],
        Action::ImportDevices { .. } => vec!["linuxmuster-import-devices".to_owned()],
        Action::Download { image, .. } => vec![format!("image {image}:"), "download".to_owned()],
        Action::Stage { image, .. } => vec![format!("image {image}:"), "make ".to_owned()],
        Action::Activate { image, .. } => vec![format!("image {image}:"), "activate".to_owned()],
        Action::Delete { version, .. } => vec![format!("delete {version}"), "delete".to_owned()],
        Action::Seed { file, .. } => vec![file.to_string(), "seed".to_owned()],
        Action::ResetRoom { room, .. } => vec![format!("room {room}:")],
        Action::SwitchOff { .. } => vec!["left on".to_owned()],
    }
}

/// No trouble is told twice, and nothing is over that was not told.
pub(super) fn letter(letter: &Letter, book: &mut Book) -> Vec<Found> {
    let news = &mut book.news;
    if letter.readers == Readers::Staff {
        return announcement(letter, news);
    }
    let mut found = Vec::new();
    // A pass may send several letters.
    let mut told = news.telling.take().unwrap_or_else(|| news.told.clone());
    let mut over = false;
    for line in letter.body.lines() {
        if let Some(title) = line.strip_prefix("! ") {
            if !told.insert(title.to_owned()) {
                found.push((10, format!("people are told twice: {title}")));
            }
        } else if line.ends_with("good again:") {
            over = true;
        } else if let Some(title) = line.strip_prefix("  ").filter(|_| over) {
            let known = told.remove(title) || news.unsure.remove(title) || news.lost;
            // With the last that was told of a host all is over that was told of it before.
            if let Some(host) = host_of(title) {
                told.retain(|other| host_of(other) != Some(host));
            }
            if !known {
                found.push((
                    10,
                    format!("told to be over, and nobody knew of it: {title}"),
                ));
            }
        }
    }
    news.telling = Some(told);
    found
}

/// The host that a title is about, whether or not its room was known then.
fn host_of(title: &str) -> Option<&str> {
    title.strip_prefix("host ")?.split(' ').next()
}

/// Nothing is announced twice.
fn announcement(letter: &Letter, news: &mut News) -> Vec<Found> {
    let lines = letter
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("- "));
    let mut found = Vec::new();
    for line in lines {
        let known = news.announced.contains(line) && !news.unsure.contains(line) && !news.lost;
        if known || !news.announcing.insert(line.to_owned()) {
            found.push((10, format!("announced twice: {line}")));
        }
    }
    found
}

/// At the end of a pass people know of all that failed in it and is still wanted.
pub(super) fn ended(scene: &Scene<'_>, book: &mut Book) -> Vec<Found> {
    let news = &mut book.news;
    match news.telling.take() {
        Some(told) if scene.records => news.told = told,
        Some(told) => news.is_unsure_of(told),
        None => {}
    }
    let announcing = std::mem::take(&mut news.announcing);
    if scene.records {
        news.announced.extend(announcing);
    }
    let blind = scene
        .school
        .suffers(|kind| matches!(kind, Kind::Blind(_) | Kind::JournalFull));
    if news.hindered || news.lost || blind {
        return Vec::new();
    }
    let known = |words: &[String]| {
        let mut all = news.told.iter().chain(&news.unsure);
        all.any(|title| words.iter().all(|word| title.contains(word.as_str())))
    };
    let waits = |words: &[String]| {
        let mut all = news.waits.iter();
        all.any(|text| words.iter().all(|word| text.contains(word.as_str())))
    };
    let steps = news
        .failed
        .iter()
        .filter(|(_, words)| waits(words) && !known(words))
        .map(|(step, _)| (10, format!("step {step} failed, and nobody was told")));
    let hosts = news
        .hosts
        .iter()
        .filter(|host| !known(&[format!("host {host} ")]))
        .map(|host| (10, format!("host {host} failed, and nobody was told")));
    steps.chain(hosts).collect()
}
