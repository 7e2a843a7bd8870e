//! What goes wrong, where, and how long.
//!
//! All faults of a run are drawn before it begins, so that leaving one out changes none of the others:
//! a run that fails is made small by leaving faults out.
//!
//! How often each befalls a school in a thousand days of a light and of a heavy world, and how long it
//! lasts at most (what befalls hosts is counted for a hundred of them):
//!
//! | | light | heavy | at most |
//! | --- | --- | --- | --- |
//! | killed after so many turns | 30 | 400 | once within a day |
//! | killed between a record and its step | 10 | 150 | once within a day |
//! | power cut within a record | 3 | 60 | once within a day |
//! | server off | 10 | 100 | 20 minutes |
//! | line down; line slow | 15 each | 150 each | 8 hours |
//! | Git remote down | 15 | 100 | a day |
//! | disk full | 3 | 60 | a day |
//! | journal cannot be written | 3 | 60 | 4 hours |
//! | rsync stops | 10 | 150 | 2 hours |
//! | garbled download | 3 | 80 | 3 hours |
//! | import, torrents, exchange of files fail | 5 each | 80 each | 6 hours |
//! | nothing is reported of hosts | 10 | 80 | 3 hours |
//! | mail relay down | 15 | 100 | a day |
//! | clock wrong by up to two hours | 3 | 40 | 10 hours |
//! | something cannot be seen | 15 | 200 | 6 hours |
//! | host does not wake | 300 | 1500 | 3 days |
//! | host's sync fails | 200 | 1500 | 2 days |
//! | host goes off in the middle | 50 | 1000 | a day |
//! | host lies, in each of three ways | 20 each | 300 each | a day |
//! | host comes up only after a quarter of an hour | 50 | 500 | 2 days |
//! | somebody works at a host | 500 | 2500 | 8 hours |
//! | host is left running | 300 | 1000 | 2 days |
//! | host does not say who is logged in | 50 | 500 | 8 hours |
//! | commands of others wait for a host | 20 | 200 | 3 days |
//! | a version fails on a part of the hosts | 5 | 50 | 10 days |
//!
//! What people do wrong is a [`Turn`](super::Turn) instead: commits that are not valid, of strangers or
//! of another history, edits by hand, lost torrents, backups put back, passes started while one runs,
//! passes asked to end. So is what they order: to leave something alone, and to go on.

use std::fmt;

use schema::name::{HostName, ImageName, VersionName};

use super::chance::Chance;
use super::pc::{Lie, Usage};
use super::time::{DAY, HOUR, MINUTE, Moment, SECOND};

/// Something that goes wrong for a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// When it begins.
    pub from: Moment,
    /// When it is over.
    pub until: Moment,
    /// At which school, by its place in the fleet's order; none means everywhere.
    pub site: Option<usize>,
    /// What it is.
    pub kind: Kind,
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `reconcile` is killed when it has gone on so many times since, once.
    Crash {
        /// How many times it still goes on.
        after: u32,
    },
    /// The server is off; what runs on it dies.
    Reboot,
    /// The line to the central server is down.
    LinkDown,
    /// The line to the central server carries this many hundredths of what it should.
    LinkSlow(u32),
    /// The Git remote does not answer.
    GitDown,
    /// Another program has filled the disk.
    DiskFull,
    /// The power goes while a record of the journal is written, once: a part of its line is there.
    TornRecord,
    /// `reconcile` is killed as soon as the next record of the journal is written, once: between that
    /// and whatever it is about.
    KilledAtRecord,
    /// Journal records cannot be written.
    JournalFull,
    /// rsync stops in the middle of a file.
    RsyncStops,
    /// What arrives is not what was sent.
    Garbled,
    /// The import of the devices fails.
    ImportFails,
    /// The torrent tool fails.
    SeedFails,
    /// The exchange of the image's files fails on its way.
    ActivateFails,
    /// The driver reports nothing of hosts that were reset.
    Silent,
    /// A host's network card does not hear the magic packet.
    DeadWake(HostName),
    /// A host's sync fails.
    SyncFails(HostName),
    /// A host switches itself off in the middle.
    Flaps(HostName),
    /// Nothing is restored on a host, and what is said of it says otherwise.
    Lies(HostName, Lie),
    /// LINBO answers on a host only when nobody waits for it any more.
    Slow(HostName),
    /// A host's operating system is up.
    Runs(HostName, Usage),
    /// Commands that somebody else wrote wait for a host's next start.
    Onboot(HostName),
    /// A version of an image cannot be restored on so many hosts in a hundred.
    BadVersion(ImageName, VersionName, u8),
    /// Something cannot be seen.
    Blind(Sense),
    /// The mail relay takes nothing.
    MailDown,
    /// The server's clock is wrong by so many seconds.
    Clock(i64),
}

/// Something that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sense {
    /// `devices.csv`
    Devices,
    /// The files of classes.
    Classes,
    /// LINBO's folder.
    Live,
    /// The store.
    Store,
    /// Status files of hosts.
    Reports,
    /// What runs on hosts.
    Busy,
    /// What people ordered.
    Orders,
    /// Which hosts were left on.
    LeftOn,
    /// Commands that wait for hosts.
    Onboot,
    /// What is seeded.
    Seeding,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { .. } => f.write_str("reconcile is killed"),
            Self::Reboot => f.write_str("the server is off"),
            Self::LinkDown => f.write_str("the line is down"),
            Self::LinkSlow(percent) => write!(f, "the line carries {percent} % of what it should"),
            Self::GitDown => f.write_str("the Git remote does not answer"),
            Self::DiskFull => f.write_str("the disk is full"),
            Self::TornRecord => f.write_str("a record of the journal is cut off in the middle"),
            Self::KilledAtRecord => {
                f.write_str("reconcile is killed after a record of the journal")
            }
            Self::JournalFull => f.write_str("the journal cannot be written"),
            Self::RsyncStops => f.write_str("rsync stops in the middle"),
            Self::Garbled => f.write_str("what is downloaded arrives garbled"),
            Self::ImportFails => f.write_str("the import of the devices fails"),
            Self::SeedFails => f.write_str("torrents cannot be made"),
            Self::ActivateFails => f.write_str("files cannot be exchanged"),
            Self::Silent => f.write_str("nothing is reported of hosts"),
            Self::DeadWake(host) => write!(f, "{host} does not wake"),
            Self::SyncFails(host) => write!(f, "the sync of {host} fails"),
            Self::Flaps(host) => write!(f, "{host} switches itself off in the middle"),
            Self::Lies(host, lie) => {
                let how = match lie {
                    Lie::Mount => "cannot mount its image and reports that it applied it",
                    Lie::Skipped => "is skipped, and its old log stays",
                    Lie::Zero => "does nothing and returns 0",
                };
                write!(f, "{host} {how}")
            }
            Self::Slow(host) => write!(f, "{host} comes up late"),
            Self::Runs(host, Usage::Somebody) => write!(f, "somebody works at {host}"),
            Self::Runs(host, Usage::Nobody) => write!(f, "{host} is left running"),
            Self::Runs(host, Usage::Unreadable) => {
                write!(f, "{host} runs and does not say who is logged in")
            }
            Self::Onboot(host) => write!(f, "commands of others wait for {host}"),
            Self::BadVersion(image, version, percent) => {
                write!(f, "{image} {version} fails on {percent} % of the hosts")
            }
            Self::Blind(sense) => write!(f, "not to be seen: {sense}"),
            Self::MailDown => f.write_str("the mail relay takes nothing"),
            Self::Clock(seconds) => write!(f, "the clock is wrong by {seconds} s"),
        }
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Devices => "devices.csv",
            Self::Classes => "start.conf",
            Self::Live => "LINBO's images",
            Self::Store => "the store",
            Self::Reports => "the hosts' reports",
            Self::Busy => "what runs on hosts",
            Self::Orders => "what people ordered",
            Self::LeftOn => "which hosts were left on",
            Self::Onboot => "what waits for hosts",
            Self::Seeding => "what is seeded",
        })
    }
}

/// How much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Nothing.
    #[default]
    None,
    /// What a good year is like.
    Light,
    /// Much more than any year.
    Heavy,
}

/// How often in a thousand days something befalls a school, and how long it lasts at most.
struct Rate {
    light: u32,
    heavy: u32,
    longest: i64,
    draw: fn(&mut Chance) -> Kind,
}

const RATES: &[Rate] = &[
    Rate {
        light: 30,
        heavy: 400,
        longest: DAY,
        // Most passes go on a few times only, some a thousand times.
        draw: |c| {
            let bound = 2 << c.below(10);
            let after = c.below(bound) as u32;
            Kind::Crash { after }
        },
    },
    Rate {
        light: 10,
        heavy: 100,
        longest: 20 * MINUTE,
        draw: |_| Kind::Reboot,
    },
    Rate {
        light: 15,
        heavy: 150,
        longest: 8 * HOUR,
        draw: |_| Kind::LinkDown,
    },
    Rate {
        light: 15,
        heavy: 150,
        longest: 8 * HOUR,
        draw: |c| Kind::LinkSlow(c.between(5, 80) as u32),
    },
    Rate {
        light: 15,
        heavy: 100,
        longest: DAY,
        draw: |_| Kind::GitDown,
    },
    Rate {
        light: 3,
        heavy: 60,
        longest: DAY,
        draw: |_| Kind::DiskFull,
    },
    Rate {
        light: 3,
        heavy: 60,
        longest: DAY,
        draw: |_| Kind::TornRecord,
    },
    Rate {
        light: 10,
        heavy: 150,
        longest: DAY,
        draw: |_| Kind::KilledAtRecord,
    },
    Rate {
        light: 3,
        heavy: 60,
        longest: 4 * HOUR,
        draw: |_| Kind::JournalFull,
    },
    Rate {
        light: 10,
        heavy: 150,
        longest: 2 * HOUR,
        draw: |_| Kind::RsyncStops,
    },
    Rate {
        light: 3,
        heavy: 80,
        longest: 3 * HOUR,
        draw: |_| Kind::Garbled,
    },
    Rate {
        light: 5,
        heavy: 80,
        longest: 6 * HOUR,
        draw: |_| Kind::ImportFails,
    },
    Rate {
        light: 5,
        heavy: 80,
        longest: 6 * HOUR,
        draw: |_| Kind::SeedFails,
    },
    Rate {
        light: 5,
        heavy: 80,
        longest: 6 * HOUR,
        draw: |_| Kind::ActivateFails,
    },
    Rate {
        light: 10,
        heavy: 80,
        longest: 3 * HOUR,
        draw: |_| Kind::Silent,
    },
    Rate {
        light: 15,
        heavy: 100,
        longest: DAY,
        draw: |_| Kind::MailDown,
    },
    Rate {
        light: 3,
        heavy: 40,
        longest: 10 * HOUR,
        draw: |c| Kind::Clock(c.between(-2 * 3600, 2 * 3600)),
    },
    Rate {
        light: 15,
        heavy: 200,
        longest: 6 * HOUR,
        draw: |c| {
            use Sense::{
                Busy, Classes, Devices, LeftOn, Live, Onboot, Orders, Reports, Seeding, Store,
            };
            let all = [
                Devices, Classes, Live, Store, Reports, Busy, Orders, LeftOn, Onboot, Seeding,
            ];
            Kind::Blind(c.pick(&all).copied().unwrap_or(Busy))
        },
    },
];

/// How often in a thousand days something befalls one of a hundred hosts in a light and in a heavy
/// world, how long it lasts at most, and what it is.
type HostRate = (u32, u32, i64, fn(HostName) -> Kind);

const HOST_RATES: &[HostRate] = &[
    (300, 1500, 3 * DAY, Kind::DeadWake),
    (200, 1500, 2 * DAY, Kind::SyncFails),
    (50, 1000, DAY, Kind::Flaps),
    (20, 300, DAY, |host| Kind::Lies(host, Lie::Mount)),
    (20, 300, DAY, |host| Kind::Lies(host, Lie::Skipped)),
    (20, 300, DAY, |host| Kind::Lies(host, Lie::Zero)),
    (50, 500, 2 * DAY, Kind::Slow),
    (500, 2500, 8 * HOUR, |host| {
        Kind::Runs(host, Usage::Somebody)
    }),
    (300, 1000, 2 * DAY, |host| Kind::Runs(host, Usage::Nobody)),
    (50, 500, 8 * HOUR, |host| {
        Kind::Runs(host, Usage::Unreadable)
    }),
    (20, 200, 3 * DAY, Kind::Onboot),
];

/// How often in a thousand days a version turns out to be bad at a school in a light and in a heavy world,
/// and how long it takes at most until the cause is found.
const BAD_VERSION: (u32, u32, i64) = (5, 50, 10 * DAY);

/// Everything that goes wrong at one school between two moments, in the order of the beginnings.
#[must_use]
pub fn draw(
    profile: Profile,
    seed: u64,
    site: usize,
    hosts: &[HostName],
    versions: &[(ImageName, VersionName)],
    from: Moment,
    until: Moment,
) -> Vec<Fault> {
    let rated = |light: u32, heavy: u32| match profile {
        Profile::None => 0,
        Profile::Light => light,
        Profile::Heavy => heavy,
    };
    let days = u64::try_from((until - from) / DAY).unwrap_or(0);
    let mut faults = Vec::new();
    let mut add = |chance: &mut Chance,
                   per_thousand: u64,
                   longest: i64,
                   draw: &dyn Fn(&mut Chance) -> Kind| {
        let expected = days * per_thousand;
        let count = expected / 1000 + u64::from(chance.below(1000) < expected % 1000);
        for _ in 0..count {
            let begins = from + chance.between(0, until - from);
            let ends = begins + chance.between(SECOND, longest);
            let kind = draw(chance);
            faults.push(Fault {
                from: begins,
                until: ends.min(until),
                site: Some(site),
                kind,
            });
        }
    };
    for (index, rate) in RATES.iter().enumerate() {
        let mut chance = Chance::of(seed, "faults")
            .part(site as u64)
            .part(index as u64);
        add(
            &mut chance,
            rated(rate.light, rate.heavy).into(),
            rate.longest,
            &rate.draw,
        );
    }
    for (index, (light, heavy, longest, kind)) in HOST_RATES.iter().enumerate() {
        let mut chance = Chance::of(seed, "host faults")
            .part(site as u64)
            .part(index as u64);
        let rate = u64::from(rated(*light, *heavy)) * hosts.len() as u64 / 100;
        if let Some(first) = hosts.first() {
            add(&mut chance, rate, *longest, &|c: &mut Chance| {
                kind(c.pick(hosts).unwrap_or(first).clone())
            });
        }
    }
    let (light, heavy, longest) = BAD_VERSION;
    let mut chance = Chance::of(seed, "bad versions").part(site as u64);
    if let Some(first) = versions.first() {
        add(&mut chance, rated(light, heavy).into(), longest, &|c| {
            let (image, version) = c.pick(versions).unwrap_or(first).clone();
            Kind::BadVersion(image, version, c.between(10, 100) as u8)
        });
    }
    faults.retain(|fault| fault.from < fault.until);
    faults.sort();
    faults
}
