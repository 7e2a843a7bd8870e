//! The ten promises of the design, judged from what happens, by nothing that the planner uses.
//!
//! # Invariants
//!
//! The checks look at the truth and at events, never at observations or plans (but for the third, which
//! is about plans). A window is looked up minute by minute here, not by the search that the planner has.

mod groups;
mod hosts;
mod news;
mod safety;
mod waves;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::name::{ClassName, HostName, ImageName};

use super::event::What;
use super::remote::Remote;
use super::time::Moment;
use super::truth::{Contents, School};
use crate::linbo::verdict::HostOutcome;
use crate::manifest::Manifest;
use crate::planning::{Action, Desired, Step, StepResult};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which of the ten; 0 when a step did something else than `predict` says, or when planner and audit disagree,
    /// on which all of them rest.
    pub promise: u8,
    /// When.
    pub at: Moment,
    /// At which school, by its place.
    pub site: usize,
    /// How.
    pub how: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "promise {} is broken at {}: {}",
            self.promise, self.at, self.how
        )
    }
}

/// What a check may look at.
pub(super) struct Scene<'a> {
    pub(super) now: Moment,
    pub(super) site: usize,
    pub(super) school: &'a School,
    /// What the commit says that this server works towards.
    pub(super) desired: Option<&'a Desired>,
    pub(super) remote: &'a Remote,
    pub(super) published: &'a BTreeMap<Digest, Manifest>,
    /// What is asked of the central server's line, and what it carries.
    pub(super) uplink: (u64, Option<u64>),
    /// Whether records reach the journal.
    pub(super) records: bool,
}

impl Scene<'_> {
    /// The time by the server's own clock, the only one that it can know.
    pub(super) fn clock(&self) -> Timestamp {
        (self.now + self.school.clock_error()).timestamp()
    }
}

/// What is remembered of one school.
#[derive(Debug, Default)]
struct Book {
    /// When a host was known to be back at which images, by the server's clock, if that was recorded.
    fresh: BTreeMap<HostName, (Timestamp, BTreeSet<String>)>,
    /// When a host was told to put back which images, and nothing was heard of it since.
    orders: BTreeMap<HostName, (Moment, Vec<ImageName>)>,
    /// Hosts of which nothing was heard when they were woken the last time.
    given_up: BTreeSet<HostName>,
    /// When hosts on a circuit were woken, by what it is called.
    wakes: BTreeMap<String, Vec<Moment>>,
    /// Images that have had a base.
    bases: BTreeSet<ImageName>,
    /// Classes that have had a `start.conf`.
    classes: BTreeSet<ClassName>,
    /// Versions that are in the store as a whole, by their manifests.
    stored: BTreeSet<Digest>,
    /// What an image held before it was activated anew.
    before: BTreeMap<ImageName, Contents>,
    /// Whether the last import of the devices of which the end was recorded failed.
    import_failed: bool,
    /// Whether rows of `devices.csv` were to change since the last import that is known to have gone well.
    rows_begun: bool,
    /// From when on a host may be taken from whoever works at it.
    forced_from: BTreeMap<HostName, Timestamp>,
    /// How wrong the server's clock is, and since when it is just that.
    clock_set: (i64, Option<Moment>),
    commit: Option<usize>,
    rollouts: waves::Rollouts,
    news: news::News,
}

/// The watch over the promises.
#[derive(Debug)]
pub(super) struct Promises {
    books: Vec<Book>,
    broken: Vec<Broken>,
}

impl Promises {
    pub(super) fn new(sites: usize) -> Self {
        Self {
            books: (0..sites).map(|_| Book::default()).collect(),
            broken: Vec::new(),
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    pub(super) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// A server was put back to a backup: what it knew since is gone.
    pub(super) fn restored(&mut self, site: usize) {
        self.books[site] = Book {
            news: news::News::lost(),
            ..Book::default()
        };
    }

    /// An operator changed files: what they were before is no matter of ours.
    pub(super) fn touched(&mut self, site: usize) {
        self.books[site].classes.clear();
    }

    /// Looks at something that happened.
    pub(super) fn see(&mut self, what: &What, scene: &Scene<'_>) {
        let mut found = Vec::new();
        let book = &mut self.books[scene.site];
        let error = scene.school.clock_error();
        if book.clock_set.0 != error {
            book.clock_set = (error, Some(scene.now));
        }
        match what {
            What::Began(step) => {
                found.extend(work::needless(step, scene, book));
                book.rows_begun |= matches!(step.action, Action::SetRows { .. });
                found.extend(work::out_of_window(step, scene));
                found.extend(hosts::untouchable(step, scene, book));
                found.extend(waves::too_early(step, scene, book));
                book.rollouts.begun(step, scene);
                book.news.begun(step);
                safety::remember(step, scene, book);
            }
            What::Finished(step, result) => {
                if let (Action::ImportDevices { .. }, true) = (&step.action, scene.records) {
                    book.import_failed = matches!(result, StepResult::Failed { .. });
                    book.rows_begun &= book.import_failed;
                }
                book.news.finished(step, result, scene);
                book.rollouts.finished(step, result, scene);
                found.extend(work::overrun(step, scene, book));
                found.extend(safety::failed_activation(step, result, scene, book));
            }
            What::Host(host, outcome) => {
                book.news.host(host, outcome, scene);
                book.rollouts.heard(host, outcome, scene);
                if let HostOutcome::Unreachable { .. } | HostOutcome::Unknown { .. } = outcome {
                    book.given_up.insert(host.clone());
                }
                work::learn(host, outcome, scene, book);
                found.extend(work::believed(host, outcome, scene, book));
            }
            What::Woke(host) => found.extend(work::power(host, scene, book)),
            What::Restarted(host, usage) => {
                found.extend(hosts::taken(host, *usage, scene, book));
                found.extend(work::power(host, scene, book));
            }
            What::Moving => found.extend(work::uplink(scene)),
            What::Reads(host, images) => {
                found.extend(safety::foreign_image(host, images, scene));
                let images = images.iter().map(|(image, _)| image.clone()).collect();
                book.orders.insert(host.clone(), (scene.now, images));
            }
            What::Changed(_) => {
                found.extend(safety::torn(scene, book));
                found.extend(safety::lost(scene, book));
            }
            What::Commit(number) => found.extend(safety::not_a_descendant(*number, scene, book)),
            What::Ran(words) => found.extend(safety::shell(words)),
            What::Pass => book.news.begin(),
            What::Waits { what, .. } => book.news.waits(what),
            What::Letter(letter) => found.extend(news::letter(letter, book)),
            What::NoLetter => book.news.not_sent(),
            What::Killed => book.news.killed(),
            What::Ended { .. } => found.extend(news::ended(scene, book)),
            _ => {}
        }
        let (at, site) = (scene.now, scene.site);
        self.broken
            .extend(found.into_iter().map(|(promise, how)| Broken {
                promise,
                at,
                site,
                how,
            }));
    }

    /// The third promise: what the dry run says is what the run does.
    pub(super) fn foretold(
        &mut self,
        site: usize,
        at: Moment,
        foretold: &[Step],
        planned: &[Step],
    ) {
        if foretold != planned {
            let list = |steps: &[Step]| {
                steps
                    .iter()
                    .map(|step| step.id.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let how = format!(
                "the dry run said [{}], the run does [{}]",
                list(foretold),
                list(planned)
            );
            self.broken.push(Broken {
                promise: 3,
                at,
                site,
                how,
            });
        }
    }

    /// The other half of the third promise: a dry run changes nothing.
    pub(super) fn looked(&mut self, site: usize, at: Moment, unchanged: bool) {
        if !unchanged {
            self.broken.push(Broken {
                promise: 3,
                at,
                site,
                how: "a dry run changed the server's disk".to_owned(),
            });
        }
    }

    /// A step did something else than was predicted, or a plan was refused.
    pub(super) fn unpredicted(&mut self, site: usize, at: Moment, how: String) {
        self.broken.push(Broken {
            promise: 0,
            at,
            site,
            how,
        });
    }

    /// Looks whether all came right after a time in which nothing went wrong.
    pub(super) fn finish(&mut self, scene: &Scene<'_>, quiet_from: Moment) {
        let found = work::converged(scene, &self.books[scene.site], quiet_from);
        let (at, site) = (scene.now, scene.site);
        self.broken
            .extend(found.into_iter().map(|(promise, how)| Broken {
                promise,
                at,
                site,
                how,
            }));
    }
}

/// Which promise is broken, and how.
type Found = (u8, String);
