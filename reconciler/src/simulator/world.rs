//! The world: all schools, what they share, and the loop by which time goes on.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use schema::digest::Digest;
use schema::name::{ImageName, SchoolName, VersionName};

use super::account::Account;
use super::bug::Bug;
use super::chance::Chance;
use super::circuits::Circuits;
use super::event::{Event, What};
use super::fault::{Fault, Kind};
use super::promises::{Promises, Scene};
use super::remote::Remote;
use super::rest::{Rest, wake};
use super::script::{Script, Start, Turn};
use super::time::{Due, HOUR, MINUTE, Moment, Time};
use super::truth::{Contents, Disk, School};
use super::uplink::Uplink;
use crate::config::Driver;
use crate::manifest::Manifest;
use crate::planning::slots::{Slots, Wants, releases};
use crate::planning::{Desired, Orders, Plan, Server, Step};

/// The grid of the timer that starts passes.
const TIMER: i64 = 5 * MINUTE;

/// The passes that run, by the places of their schools.
pub(super) type Passes = [Option<Pass>];
pub(super) type Pass = Pin<Box<dyn Future<Output = Moment>>>;

/// One school and its server, with what the simulator has to know of it.
pub(super) struct Site {
    pub(super) name: SchoolName,
    /// What sets its chance apart from that of others, whichever they are.
    pub(super) luck: u64,
    pub(super) school: RefCell<School>,
    /// Which pass is the last one.
    pub(super) life: Cell<u64>,
    /// How often the pass still goes on before it is killed.
    crash: Cell<Option<u32>>,
    /// Whether the pass is to be killed before it goes on again.
    pub(super) dying: Cell<bool>,
    /// Whether the pass was asked to end.
    pub(super) stop: Cell<bool>,
    /// When it looks next.
    pub(super) next: Cell<Option<Moment>>,
    /// How often something befell the school or people did something there.
    changes: Cell<u64>,
    pub(super) rest: Rest,
    pub(super) saved: RefCell<Option<Disk>>,
    pub(super) circuits: RefCell<Circuits>,
    desired: RefCell<BTreeMap<usize, Option<Arc<Desired>>>>,
    /// The last of them that people changed by orders, and those: it is asked for with every event.
    obeyed: RefCell<Option<Obeyed>>,
    /// The steps that a dry run at the instant of the observation foretold.
    pub(super) foretold: RefCell<Option<Vec<Step>>>,
}

/// The world.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) bug: Option<Bug>,
    pub(super) tick: i64,
    pub(super) driver: Driver,
    pub(super) quiet_from: Moment,
    /// Whether the first commit is done when the world begins.
    converged: bool,
    pub(super) time: Rc<Time>,
    pub(super) sites: Vec<Site>,
    pub(super) remote: RefCell<Remote>,
    pub(super) uplink: Rc<Uplink>,
    pub(super) published: BTreeMap<Digest, Manifest>,
    pub(super) account: RefCell<Account>,
    pub(super) promises: RefCell<Promises>,
    /// By commits, what each says of the line.
    slots: RefCell<BTreeMap<usize, Option<Arc<Slots>>>>,
    /// When two servers last worked by different commits or clocks.
    pub(super) at_odds: Cell<Moment>,
    faults: Vec<Fault>,
    turns: Vec<(Moment, Turn)>,
}

/// What orders made of what a commit says.
#[derive(Debug)]
struct Obeyed {
    of: Arc<Desired>,
    orders: Orders,
    rebranded: BTreeSet<Digest>,
    made: Arc<Desired>,
}

impl World {
    pub(super) fn new(script: &Script) -> Rc<Self> {
        let remote = Remote::new(script.commits.clone(), script.signers);
        let first = script
            .commits
            .iter()
            .find_map(|commit| commit.fleet.as_ref().ok());
        let uplink = first
            .and_then(|fleet| fleet.central.uplink)
            .map(|rate| rate.bits() / 8);
        let published = script.published();
        let site = |name: &SchoolName| Site {
            name: name.clone(),
            luck: Chance::of(0, name.as_str()).draw(),
            school: RefCell::new(super::begin::school(script, name, &published)),
            life: Cell::new(0),
            crash: Cell::new(None),
            dying: Cell::new(false),
            stop: Cell::new(false),
            next: Cell::new(None),
            changes: Cell::new(0),
            rest: Rest::default(),
            saved: RefCell::default(),
            circuits: RefCell::default(),
            desired: RefCell::default(),
            obeyed: RefCell::default(),
            foretold: RefCell::default(),
        };
        let sites: Vec<Site> = script.schools.keys().map(site).collect();
        let mut turns = script.turns.clone();
        turns.extend(
            script
                .commits
                .iter()
                .enumerate()
                .map(|(number, commit)| (commit.at, Turn::Merge(number))),
        );
        if script.quiet_from < script.until {
            let sites = 0..script.schools.len();
            turns.extend(sites.map(|site| (script.quiet_from, Turn::Resolve(site))));
        }
        turns.sort();
        let promises = Promises::new(sites.len());
        Rc::new(Self {
            seed: script.seed,
            bug: script.bug,
            tick: script.tick,
            driver: script.driver,
            quiet_from: script.quiet_from,
            converged: script.start == Start::Converged,
            time: Rc::new(Time::new(script.from)),
            sites,
            remote: RefCell::new(remote),
            uplink: Rc::new(Uplink::new(uplink)),
            published,
            account: RefCell::new(Account::new(script)),
            promises: RefCell::new(promises),
            slots: RefCell::default(),
            at_odds: Cell::new(script.from),
            faults: script.faults.clone(),
            turns,
        })
    }

    /// Lets the world live until its end, or until a promise is broken.
    pub(super) fn live(self: &Rc<Self>, until: Moment) {
        let mut passes: Vec<Option<Pass>> = self.sites.iter().map(|_| None).collect();
        let mut turns = Vec::new();
        for (number, (at, _)) in self.turns.iter().enumerate() {
            turns.push((*at, number));
        }
        let begins = self.turns.len();
        for (number, fault) in self.faults.iter().enumerate() {
            turns.push((fault.from, begins + 2 * number));
            turns.push((fault.until, begins + 2 * number + 1));
        }
        turns.sort_unstable();
        turns
            .iter()
            .for_each(|(at, number)| self.time.at(*at, Due::Turn(*number)));
        (0..self.sites.len()).for_each(|site| self.poke(site, self.time.now()));
        while let Some(due) = self.time.advance(until) {
            match due {
                Due::Turn(number) => self.turn(number, &mut passes),
                Due::Look { site } => self.look(site, &mut passes),
                Due::Task { site, life, waker } => {
                    if self.sites[site].life.get() == life {
                        waker.wake();
                        self.go_on(site, &mut passes);
                    }
                }
            }
            if self.promises.borrow().is_broken() {
                break;
            }
        }
        if self.time.now() < until && !self.promises.borrow().is_broken() {
            self.time.set(until);
        }
    }

    pub(super) fn look(self: &Rc<Self>, site: usize, passes: &mut Passes) {
        let now = self.time.now();
        let here = &self.sites[site];
        if here.next.get().is_none_or(|next| next > now) || passes[site].is_some() {
            return;
        }
        if here
            .school
            .borrow()
            .suffers(|kind| matches!(kind, Kind::Reboot))
        {
            return;
        }
        here.next.set(None);
        here.stop.set(false);
        here.rest.begin();
        here.life.set(here.life.get() + 1);
        self.happened(Some(site), What::Pass);
        passes[site] = Some(super::pass::begin(self, site, here.life.get()));
        self.go_on(site, passes);
    }

    pub(super) fn go_on(self: &Rc<Self>, site: usize, passes: &mut Passes) {
        let here = &self.sites[site];
        let Some(pass) = &mut passes[site] else {
            return;
        };
        if let Some(left) = here.crash.get() {
            here.crash.set(left.checked_sub(1));
            if left == 0 {
                return self.kill(site, passes);
            }
        }
        let ended = pass.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if here.dying.get() {
            return self.kill(site, passes);
        }
        if let Poll::Ready(next) = ended {
            passes[site] = None;
            here.life.set(here.life.get() + 1);
            self.poke(site, next);
        }
    }

    pub(super) fn kill(&self, site: usize, passes: &mut Passes) {
        let here = &self.sites[site];
        here.dying.set(false);
        here.crash.set(None);
        if passes[site].take().is_some() {
            here.life.set(here.life.get() + 1);
            *here.foretold.borrow_mut() = None;
            self.happened(Some(site), What::Killed);
            self.poke(site, self.time.now() + 1);
        }
    }

    /// Has a server look for something to do when its timer fires next, at or after a moment.
    pub(super) fn poke(&self, site: usize, at: Moment) {
        let here = &self.sites[site];
        let at = at.max(self.time.now());
        // Each server has an instant of its own within the grid.
        let own = i64::try_from(site).unwrap_or(0) * 17_000 % TIMER;
        let at = Moment((at.0 - own + TIMER - 1).div_euclid(TIMER) * TIMER + own);
        if here
            .next
            .get()
            .is_none_or(|next| at < next || next < self.time.now())
        {
            here.next.set(Some(at));
            self.time.at(at, Due::Look { site });
        }
    }

    fn turn(self: &Rc<Self>, number: usize, passes: &mut Passes) {
        if let Some((_, turn)) = self.turns.get(number) {
            return self.people_do(turn, passes);
        }
        let number = number - self.turns.len();
        let begins = number.is_multiple_of(2);
        let Some(fault) = self.faults.get(number / 2) else {
            return;
        };
        for site in (0..self.sites.len()).filter(|site| fault.site.is_none_or(|only| only == *site))
        {
            let here = &self.sites[site];
            if begins {
                here.school
                    .borrow_mut()
                    .faults
                    .insert(number / 2, fault.kind.clone());
            } else {
                here.school.borrow_mut().faults.remove(&(number / 2));
            }
            let text = if begins {
                fault.kind.to_string()
            } else {
                format!("over: {}", fault.kind)
            };
            match &fault.kind {
                Kind::Crash { after } if begins => here.crash.set(Some(*after)),
                Kind::Crash { .. } => here.crash.set(None),
                Kind::Clock(_) => {
                    self.at_odds.set(self.time.now());
                    self.happened(Some(site), What::Befell(text));
                }
                Kind::Reboot if begins => {
                    self.happened(Some(site), What::Befell(text));
                    self.kill(site, passes);
                }
                Kind::Runs(host, usage) => {
                    self.people_come_and_go(site, host, *usage, begins);
                    continue;
                }
                _ => self.happened(Some(site), What::Befell(text)),
            }
            self.uplink.slow(&self.time, site, self.line(site));
            self.poke(site, self.time.now());
        }
    }

    /// What the line of a school carries, in hundredths of what it should.
    pub(super) fn line(&self, site: usize) -> u32 {
        let school = self.sites[site].school.borrow();
        let percents = school.faults.values().filter_map(|kind| match kind {
            Kind::LinkDown => Some(0),
            Kind::LinkSlow(percent) => Some(*percent),
            _ => None,
        });
        percents.min().unwrap_or(100)
    }

    pub(super) fn changes(&self, site: usize) -> u64 {
        self.sites[site].changes.get()
    }

    /// What the files of a version of an image hold.
    pub(super) fn contents_of(&self, image: &ImageName, version: &VersionName) -> Option<Contents> {
        let mut published = self.published.values();
        let found = published
            .find(|manifest| manifest.image() == image && manifest.version() == version)?;
        let diff = found.diff().map(|file| file.sha256);
        Some((Some(found.base().sha256), diff))
    }

    /// How long something takes.
    pub(super) fn latency(&self, site: usize, what: &str, low: i64, high: i64) -> i64 {
        let now = self.time.now().0.unsigned_abs();
        Chance::of(self.seed, what)
            .part(self.sites[site].luck)
            .part(now)
            .between(low, high)
    }

    /// What is to be made true at a school with this disk: what the commit that it applied last says, and what people
    /// ordered there.
    pub(super) fn obeyed(&self, site: usize, disk: &Disk) -> Option<Arc<Desired>> {
        let desired = self.desired(site, disk.applied?)?;
        let made = disk.store.rebranded();
        if disk.orders.rolled_back().is_empty() && made.is_empty() {
            return Some(desired);
        }
        let mut known = self.sites[site].obeyed.borrow_mut();
        if let Some(known) = &*known
            && Arc::ptr_eq(&known.of, &desired)
            && known.orders == disk.orders
            && known.rebranded == made
        {
            return Some(Arc::clone(&known.made));
        }
        let rebranded = desired.rebranded(&disk.store.seen(false));
        let before = rebranded.as_ref().unwrap_or(&desired);
        let obeying = before.obeying(&disk.orders).or(rebranded);
        let result = obeying.map_or_else(|| Arc::clone(&desired), Arc::new);
        *known = Some(Obeyed {
            of: desired,
            orders: disk.orders.clone(),
            rebranded: made,
            made: Arc::clone(&result),
        });
        Some(result)
    }

    /// What a school's server is to make true by a commit.
    pub(super) fn desired(&self, site: usize, number: usize) -> Option<Arc<Desired>> {
        let here = &self.sites[site];
        let mut known = here.desired.borrow_mut();
        let make = || {
            let remote = self.remote.borrow();
            let fleet = remote.commits.get(number)?.fleet.as_ref().ok()?;
            let mut desired = Desired::of(fleet, &Server::School(here.name.clone()))?;
            if self.bug == Some(Bug::OverlooksBudgets) {
                for budget in desired.power.values_mut() {
                    (budget.on_at_once, budget.wake_per_minute) = (u32::MAX, u32::MAX);
                }
            }
            let slots = self.slots(&remote, number);
            let slots = slots.filter(|_| self.bug != Some(Bug::OverlooksSlots));
            Some(Arc::new(desired.with_slots(slots)))
        };
        known.entry(number).or_insert_with(make).clone()
    }

    /// Who may use the line when, by the history of a commit.
    fn slots(&self, remote: &Remote, number: usize) -> Option<Arc<Slots>> {
        let mut known = self.slots.borrow_mut();
        let make = || {
            let history = remote.history(number);
            let wants = history.iter().map(|(at, fleet)| (*at, Wants::of(fleet)));
            let wants: Vec<_> = wants.collect();
            let releases = releases(wants.iter().map(|(at, wants)| (*at, wants)), self.converged);
            let (_, fleet) = history.last()?;
            Slots::of_fleet(fleet, &releases).map(Arc::new)
        };
        known.entry(number).or_insert_with(make).clone()
    }

    /// Whether all servers have worked by the same commit and by true clocks for so long that nobody still uses a slot
    /// that he had by another.
    fn is_agreed(&self) -> bool {
        let first = self
            .sites
            .first()
            .map(|site| site.school.borrow().disk.applied);
        let same = |site: &Site| {
            let school = site.school.borrow();
            Some(school.disk.applied) == first && school.clock_error() == 0
        };
        let now = self.time.now();
        if !self.sites.iter().all(same) {
            self.at_odds.set(now);
        }
        self.at_odds.get() + HOUR + HOUR < now
    }

    /// Takes note of what happened, and looks whether a promise was broken by it.
    pub(super) fn happened(&self, site: Option<usize>, what: What) {
        let event = Event {
            at: self.time.now(),
            site,
            what,
        };
        if let Some(site) = site {
            let here = &self.sites[site];
            match event.what {
                What::Befell(_) => {
                    here.changes.set(here.changes.get() + 1);
                    self.stir(site);
                }
                What::People(_) => here.changes.set(here.changes.get() + 1),
                What::Finished(..) => here.rest.ended(),
                _ => {}
            }
            let school = self.sites[site].school.borrow();
            let desired = self.obeyed(site, &school.disk);
            let remote = self.remote.borrow();
            let scene = Scene {
                now: event.at,
                site,
                school: &school,
                desired: desired.as_deref(),
                remote: &remote,
                published: &self.published,
                uplink: (
                    self.uplink.asked(),
                    self.uplink
                        .capacity
                        .filter(|_| matches!(event.what, What::Moving) && self.is_agreed()),
                ),
                records: self.records(site, &school),
            };
            self.promises.borrow_mut().see(&event.what, &scene);
        }
        if let (None, What::Befell(_)) = (site, &event.what) {
            (0..self.sites.len()).for_each(|site| self.stir(site));
        }
        self.account.borrow_mut().note(
            event,
            &self.uplink,
            site.map(|site| &self.sites[site].school),
        );
    }

    fn records(&self, site: usize, school: &School) -> bool {
        !self.sites[site].dying.get() && !school.suffers(|kind| matches!(kind, Kind::JournalFull))
    }

    /// Compares a plan with what the dry run of the same instant foretold, and with when the plan before
    /// said that there would be something to do.
    pub(super) fn planned(&self, site: usize, plan: &Plan) {
        let now = self.time.now();
        let (desired, error) = {
            let school = self.sites[site].school.borrow();
            (self.obeyed(site, &school.disk), school.clock_error())
        };
        let rest = &self.sites[site].rest;
        let wake = wake(plan, desired.as_deref(), now, error, rest.orphans.get());
        if !rest.planned(now, wake, plan) {
            let steps: Vec<_> = plan.steps.iter().map(|step| step.id.to_string()).collect();
            let how = format!("no hold said when it is time for {}", steps.join(", "));
            self.promises.borrow_mut().unpredicted(site, now, how);
        }
        if let Some(foretold) = self.sites[site].foretold.take() {
            self.promises
                .borrow_mut()
                .foretold(site, self.time.now(), &foretold, &plan.steps);
        }
    }

    /// What is not as it should be at the end; a broken promise if all has to be right.
    pub(super) fn finish(&self, must_be_right: bool) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for (site, here) in self.sites.iter().enumerate() {
            let now = self.time.now();
            here.school.borrow_mut().settle(now);
            let school = here.school.borrow();
            let desired = self.obeyed(site, &school.disk);
            let scene = Scene {
                now,
                site,
                school: &school,
                desired: desired.as_deref(),
                remote: &self.remote.borrow(),
                published: &self.published,
                uplink: (0, None),
                records: true,
            };
            let wanting = desired
                .as_ref()
                .map(|desired| school.wanting(desired, &self.published, scene.clock()));
            all.push(wanting.unwrap_or_default());
            if must_be_right && !self.promises.borrow().is_broken() {
                self.promises.borrow_mut().finish(&scene, self.quiet_from);
            }
        }
        all
    }
}
