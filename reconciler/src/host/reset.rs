//! Puts the hosts of a room back to their images.
//!
//! # Invariants
//!
//! Each host is told exactly once, as soon as its outcome is known, and no host is told that it was
//! applied without its own word for it. A host in use is not touched before the time from which that is
//! allowed, and one of which that cannot be found out is in use. Commands that were begun on hosts go on
//! when this is dropped or the reconciler dies, and a later reset does not disturb them.

pub mod circuits;
mod probe;
mod remote;
mod usage;
mod wrapper;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schema::name::{FileName, HostName, ImageName, RoomName};
use schema::text::ImageStamp;
use tokio::time::sleep;

use crate::config::{Config, Driver};
use crate::host::process::locked_output;
use crate::host::tmux::Tmux;
use crate::linbo::command::{Command, CommandLine};
use crate::linbo::devices::Devices;
use crate::linbo::remote::session_name;
use crate::linbo::status::HostReport;
use crate::linbo::verdict::{Evidence, HostOutcome, judge, judge_one_of_several};
use crate::planning::action::{Action, Circuit, Pace, Wake};
use crate::world::{Failure, Progress};
use circuits::Circuits;
use probe::{Presence, System};

/// What a host's logs are read of, from their ends.
const LOG_READ: u64 = 8 * 1024 * 1024;

/// What is to be done to a room: the fields of [`Action::ResetRoom`], and what it should lead to.
#[derive(Debug, Clone, Copy)]
pub struct RoomReset<'a> {
    /// The room.
    pub room: &'a RoomName,
    /// The hosts.
    pub hosts: &'a [Wake],
    /// What each runs.
    pub commands: &'a CommandLine,
    /// Whether the hosts are all that the room has.
    pub whole_room: bool,
    /// The images that the commands restore.
    pub images: &'a [ImageName],
    /// The circuits that the hosts hang on, and what each of them bears.
    pub circuits: &'a [(Circuit, Pace)],
    /// From when on hosts in use are reset all the same; none when they never are.
    pub force_from: Option<Timestamp>,
    /// The file of each image that a host reports, which is the diff where there is one, and its
    /// timestamp, by the `.info` in LINBO's folder. An image that is not here is not compared.
    pub expected: &'a BTreeMap<ImageName, (FileName, ImageStamp)>,
}

impl<'a> RoomReset<'a> {
    /// What an action asks for; none when it resets no room.
    #[must_use]
    pub fn of(
        action: &'a Action,
        expected: &'a BTreeMap<ImageName, (FileName, ImageStamp)>,
    ) -> Option<Self> {
        let Action::ResetRoom {
            room,
            hosts,
            commands,
            whole_room,
            images,
            circuits,
            force_from,
            ..
        } = action
        else {
            return None;
        };
        Some(Self {
            room,
            hosts,
            commands,
            whole_room: *whole_room,
            images,
            circuits,
            force_from: *force_from,
            expected,
        })
    }

    /// Whether the hosts are switched off at the end.
    fn halts(&self) -> bool {
        self.commands.commands().contains(&Command::Halt)
    }
}

/// The file that holds the output of the commands on a host, locked for as long as one runs.
#[must_use]
pub fn host_log(config: &Config, host: &HostName) -> PathBuf {
    config.paths.run.join("hosts").join(format!("{host}.log"))
}

/// Resets the hosts of a room with the driver of the settings, as fast as the circuits bear together with
/// whatever else hangs on them. The zone is that of the server, and so of its clients' clocks. Dropping
/// the future leaves the commands on the hosts running.
///
/// # Errors
///
/// Only what concerns all hosts: a program is missing, `linbo-remote` refuses, a folder cannot be
/// written. Hosts that were not told then were not judged.
pub async fn reset_room(
    config: &Config,
    circuits: &Circuits,
    zone: &TimeZone,
    reset: &RoomReset<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), Failure> {
    let desk = Desk::new(config, circuits, zone, reset, tell).await?;
    match config.reset.driver {
        Driver::Wrapper => wrapper::reset(&desk).await?,
        Driver::LinboRemote => remote::reset(&desk).await?,
    }
    for wake in reset.hosts {
        desk.tell(&wake.host, unknown("nothing was heard of it"));
    }
    Ok(())
}

/// Whether LINBO answers on a host.
///
/// # Errors
///
/// When SSH could not be started at all.
pub async fn is_in_linbo(config: &Config, host: &HostName) -> anyhow::Result<bool> {
    Ok(probe::linbo(config, host).await? == probe::Answer::Linbo)
}

/// Switches off those of the hosts that are in LINBO and on which nothing runs.
///
/// # Errors
///
/// When one of them is on all the same.
pub async fn switch_off(config: &Config, hosts: &[HostName]) -> Result<(), Failure> {
    let all = stream::iter(hosts).map(async |host| {
        if !is_in_linbo(config, host).await? {
            return Ok(None);
        }
        let log = locked_output(&host_log(config, host)).context("its log cannot be locked")?;
        if log.is_none() || session(config, host).await.is_some() {
            return Ok(Some(format!("{host} is busy")));
        }
        let is_off = wrapper::halt(config, host).await;
        Ok((!is_off).then(|| format!("{host} is still on after it was told to go off")))
    });
    let all: Vec<anyhow::Result<Option<String>>> = all.buffered(wrapper::LOOKS).collect().await;
    let mut still_on = Vec::new();
    for result in all {
        still_on.extend(result?);
    }
    if still_on.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed {
        error: anyhow!(
            "{} of {} hosts could not be switched off",
            still_on.len(),
            hosts.len()
        ),
        evidence: still_on,
    })
}

/// Why no command may be sent to a host because of a session of `linbo-remote`; none when one may.
async fn session(config: &Config, host: &HostName) -> Option<String> {
    match Tmux::new(&config.commands.tmux).sessions().await {
        Ok(sessions) if sessions.contains(&session_name(host)) => Some(SESSION.to_owned()),
        Ok(_) => None,
        Err(error) => Some(format!(
            "it could not be found out whether a session of linbo-remote has it: {:#}",
            anyhow::Error::from(error)
        )),
    }
}

/// What both drivers work with.
struct Desk<'a> {
    config: &'a Config,
    circuits: &'a Circuits,
    zone: &'a TimeZone,
    reset: &'a RoomReset<'a>,
    addresses: BTreeMap<HostName, Ipv4Addr>,
    tell: RefCell<&'a mut dyn FnMut(Progress)>,
    untold: RefCell<BTreeSet<HostName>>,
}

/// What is known of a run besides its time and its output.
#[derive(Clone, Copy)]
enum End {
    /// The exit status of SSH.
    Exit(i32),
    /// It is not known how it ended.
    Lost,
}

impl<'a> Desk<'a> {
    async fn new(
        config: &'a Config,
        circuits: &'a Circuits,
        zone: &'a TimeZone,
        reset: &'a RoomReset<'a>,
        tell: &'a mut dyn FnMut(Progress),
    ) -> anyhow::Result<Self> {
        let folder = config.paths.run.join("hosts");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        // Without it, hosts are looked for by their names.
        let devices = tokio::fs::read(&config.paths.devices).await;
        let devices = devices
            .map(|text| Devices::parse(&text))
            .unwrap_or_default();
        let address = |wake: &Wake| Some((wake.host.clone(), devices.get(&wake.host)?.ip?));
        Ok(Self {
            config,
            circuits,
            zone,
            reset,
            addresses: reset.hosts.iter().filter_map(address).collect(),
            tell: RefCell::new(tell),
            untold: RefCell::new(reset.hosts.iter().map(|wake| wake.host.clone()).collect()),
        })
    }

    /// Tells the outcome of a host, unless it was told before.
    fn tell(&self, host: &HostName, outcome: HostOutcome) {
        if self.untold.borrow_mut().remove(host) {
            (self.tell.borrow_mut())(Progress::Host(host.clone(), outcome));
        }
    }

    /// Tells that a host counts as on from now.
    fn admitted(&self, host: &HostName) {
        (self.tell.borrow_mut())(Progress::Admitted(host.clone()));
    }

    fn note(&self, text: String) {
        (self.tell.borrow_mut())(Progress::Note(text));
    }

    /// The locked file for the output of commands on a host; none when a command still runs there.
    async fn lock(&self, host: &HostName) -> anyhow::Result<Option<File>> {
        let path = host_log(self.config, host);
        for _ in 0..3 {
            let file = locked_output(&path);
            let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
            if file.is_some() {
                return Ok(file);
            }
            // Whoever only looks whether it is locked holds it for a moment.
            sleep(Duration::from_millis(50)).await;
        }
        Ok(None)
    }

    /// What a host does.
    async fn look(&self, wake: &Wake) -> anyhow::Result<Presence> {
        let address = self.addresses.get(&wake.host).copied();
        Ok(probe::probe(self.config, &wake.host, address).await?)
    }

    /// Why a host whose operating system is up must not be touched; none when it may be restarted.
    async fn in_use(&self, host: &HostName, system: System) -> anyhow::Result<Option<String>> {
        let forced = self
            .reset
            .force_from
            .is_some_and(|from| from <= crate::host::clock());
        let why = match system {
            System::Linux if forced => return Ok(None),
            System::Linux => match usage::of_linux(self.config, host).await? {
                usage::Usage::Idle => return Ok(None),
                usage::Usage::InUse { why } => why,
            },
            System::Windows => "Windows is up, which cannot be asked whether somebody works at it",
            System::Other => "something answers on LINBO's port that is not LINBO",
        };
        let but = if forced {
            "; it cannot be restarted from here"
        } else {
            ""
        };
        Ok(Some(format!("{why}{but}")))
    }

    /// Looks at a host that is to be touched now: none when it must not be, which was told then.
    async fn survey(&self, wake: &Wake) -> anyhow::Result<Option<Presence>> {
        let host = &wake.host;
        if self.lock(host).await?.is_none() {
            self.tell(host, unknown(OCCUPIED));
            self.circuits
                .note(host, self.reset.circuits, self.config.reset.command_timeout);
            return Ok(None);
        }
        let presence = self.look(wake).await?;
        if let Presence::System(system) = presence
            && let Some(why) = self.in_use(host, system).await?
        {
            self.tell(host, HostOutcome::InUse { why });
            return Ok(None);
        }
        Ok(Some(presence))
    }

    /// What became of a host: of several images the worst.
    fn judge(&self, host: &HostName, end: End, output: &[u8], started: Timestamp) -> HostOutcome {
        let status = self
            .config
            .paths
            .linbo_log
            .join(format!("{host}_image.status"));
        let status = read_end(&status).and_then(|text| HostReport::parse(&text).ok());
        let judge = match self.reset.images {
            [_, _, ..] => judge_one_of_several,
            _ => judge,
        };
        let judge = |expected: Option<&(FileName, ImageStamp)>| {
            judge(&Evidence {
                exit: match end {
                    End::Exit(code) => Some(code),
                    End::Lost => None,
                },
                output,
                status: status.clone(),
                started,
                ended: crate::host::clock(),
                zone: self.zone,
                expected: expected.cloned(),
            })
        };
        let images = self.reset.images.iter();
        let outcomes = images.map(|image| judge(self.reset.expected.get(image)));
        HostOutcome::of_images(outcomes).unwrap_or_else(|| judge(None))
    }
}

fn unknown(why: impl Into<String>) -> HostOutcome {
    HostOutcome::Unknown {
        why: why.into(),
        evidence: Vec::new(),
        restored: Vec::new(),
    }
}

fn unreachable(why: impl Into<String>) -> HostOutcome {
    HostOutcome::Unreachable { why: why.into() }
}

const OCCUPIED: &str = "a command of an earlier pass still runs on it";
const SESSION: &str = "a session of linbo-remote is already there";
const OTHER_SYSTEM: &str =
    "it was woken, but an operating system answers instead of LINBO; not touched";

/// The end of a file; none when it cannot be read.
pub(in crate::host) fn read_end(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_READ)))
        .ok()?;
    let mut text = Vec::new();
    file.take(LOG_READ).read_to_end(&mut text).ok()?;
    Some(text)
}

/// A length of time for people: `5 minutes`, `90 seconds`.
fn lasting(time: Duration) -> String {
    let (count, unit) = match time.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => (seconds / 3600, "hour"),
        seconds if seconds > 0 && seconds % 60 == 0 => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    if count == 1 {
        format!("1 {unit}")
    } else {
        format!("{count} {unit}s")
    }
}

#[cfg(test)]
mod tests;
