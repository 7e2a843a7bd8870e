//! The second driver: LINBO's own `linbo-remote`, whose outcomes are found out afterwards.
//!
//! # Invariants
//!
//! `linbo-remote` returns 0 whatever became of the hosts, and does nothing for a host whose session
//! still exists; so such hosts are not handed to it, its exit status proves nothing, and each host is
//! judged by its own log of this run and by its own report. The file that `linbo-remote` writes to is
//! locked while it works, so that a later pass does not start another one for the same room.
//!
//! It waits for all hosts of a call alike, and runs all their syncs at once: when fewer may be on than
//! there are, they are called in batches, each of which is finished before the next begins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use schema::name::HostName;
use tokio::time::{Instant, sleep, timeout};

use super::circuits::{Place, seconds_between_wakes};
use super::probe::Presence;
use super::wrapper::{LOOKS, restart, switch_off};
use super::{Desk, End, OCCUPIED, OTHER_SYSTEM, SESSION, lasting, read_end, unknown, unreachable};
use crate::host::process::{Program, is_locked, locked_output};
use crate::host::tmux::Tmux;
use crate::linbo::command::{Command, CommandLine};
use crate::linbo::log::SessionLog;
use crate::linbo::remote::{Launch, Launches, session_name};
use crate::linbo::verdict::HostOutcome;
use crate::planning::action::Wake;

/// How long `linbo-remote` waits at most between the last packet and the first command. It always
/// waits that long, however soon the hosts are up, so it is kept below the patience of the settings.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// How long `linbo-remote` may take for one host besides waking and waiting.
const PER_HOST: Duration = Duration::from_secs(15);
/// How long it may take for itself.
const FOR_ITSELF: Duration = Duration::from_secs(60);
/// Lines shown of a log.
const SHOWN: usize = 8;

/// Resets the hosts of a desk.
///
/// # Errors
///
/// When `linbo-remote` or `tmux` cannot be run, or when `linbo-remote` refuses what it is asked.
pub(super) async fn reset(desk: &Desk<'_>) -> anyhow::Result<()> {
    let circuits = desk.reset.circuits;
    let free = free(desk).await?;
    let mut rest = free.as_slice();
    while !rest.is_empty() {
        let (hosts, later) = rest.split_at(desk.circuits.spare(circuits).min(rest.len()));
        rest = later;
        let names = hosts.iter().map(|wake| wake.host.clone()).collect();
        let between = Duration::from_secs(seconds_between_wakes(circuits));
        let place = desk.circuits.places(names, circuits, between).await;
        hosts.iter().for_each(|wake| desk.admitted(&wake.host));
        let hosts = ready(desk, &place, hosts).await?;
        if hosts.is_empty() {
            continue;
        }
        let selector = if desk.reset.whole_room && hosts.len() == desk.reset.hosts.len() {
            ["-r".to_owned(), desk.reset.room.to_string()]
        } else {
            let names: Vec<_> = hosts.iter().map(|wake| wake.host.as_str()).collect();
            ["-i".to_owned(), names.join(",")]
        };
        batch(desk, &place, &hosts, selector).await?;
    }
    Ok(())
}

/// The hosts on which nothing runs; the others are told.
async fn free<'a>(desk: &Desk<'a>) -> anyhow::Result<Vec<&'a Wake>> {
    let sessions = open_sessions(desk).await?;
    let mut free = Vec::new();
    for wake in desk.reset.hosts {
        let host = &wake.host;
        let why = if sessions.contains(&session_name(host)) {
            SESSION
        } else if is_locked(&super::host_log(desk.config, host)).unwrap_or(true) {
            OCCUPIED
        } else {
            free.push(wake);
            continue;
        };
        desk.tell(host, unknown(why));
        let lasts = desk.config.reset.command_timeout;
        desk.circuits.note(host, desk.reset.circuits, lasts);
    }
    Ok(free)
}

/// Those of the hosts that may be handed to `linbo-remote` now; what the others do is told. Linux at which
/// nobody works is restarted, and LINBO comes up while `linbo-remote` waits.
async fn ready<'a>(
    desk: &Desk<'_>,
    place: &Place<'_>,
    hosts: &[&'a Wake],
) -> anyhow::Result<Vec<&'a Wake>> {
    let before = open_sessions(desk).await?;
    let looks = stream::iter(hosts).map(async |&wake| {
        let host = &wake.host;
        if before.contains(&session_name(host)) {
            desk.tell(host, unknown(SESSION));
            place.left(host, desk.config.reset.command_timeout);
            return Ok(None);
        }
        let presence = desk.survey(wake).await;
        if let Ok(None) = &presence {
            place.off(host);
        }
        if let Ok(Some(Presence::System(_))) = &presence {
            restart(desk, host).await;
        }
        presence.map(|presence| presence.map(|_| wake))
    });
    let looks: Vec<anyhow::Result<Option<&Wake>>> = looks.buffered(LOOKS).collect().await;
    looks.into_iter().filter_map(Result::transpose).collect()
}

/// One call of `linbo-remote`, and what becomes of its hosts.
async fn batch(
    desk: &Desk<'_>,
    place: &Place<'_>,
    hosts: &[&Wake],
    selector: [String; 2],
) -> anyhow::Result<()> {
    let boot_timeout = desk.config.reset.boot_timeout;
    let started = crate::host::clock();
    let logs: BTreeMap<_, _> = hosts
        .iter()
        .map(|wake| (&wake.host, written(&log(desk, &wake.host))))
        .collect();
    let launches = launch(desk, hosts.len(), selector).await?;
    let alive = open_sessions(desk).await.unwrap_or_default();
    let mut running = BTreeSet::new();
    for &wake in hosts {
        let host = &wake.host;
        let outcome = match launches.hosts.get(host) {
            Some(Launch::Started { .. }) => None,
            _ if alive.contains(&session_name(host)) => None,
            Some(Launch::NotOnline) => Some(not_online(desk, wake).await?),
            Some(Launch::NotAPxeHost) => Some(unreachable(
                "linbo-remote skips it: its PXE flag in devices.csv is neither 1 nor 2",
            )),
            Some(Launch::InvalidMac) => Some(unreachable(
                "linbo-remote finds no valid MAC address of it in the domain",
            )),
            Some(Launch::Unrecognised { line }) => Some(unknown(format!(
                "linbo-remote said something unknown of it: {line}"
            ))),
            None if launches.finished => Some(unreachable("linbo-remote did not name it")),
            None => Some(unknown(
                "linbo-remote was cut off before it came to this host",
            )),
        };
        match outcome {
            Some(outcome) => {
                desk.tell(host, outcome);
                place.left(host, boot_timeout);
            }
            None => _ = running.insert(host),
        }
    }
    let patience = desk.config.reset.command_timeout;
    let launched = Instant::now();
    let halted = |host: &HostName, is_off| {
        if is_off {
            place.off(host);
        } else {
            place.left(host, patience);
        }
    };
    let mut halts = FuturesUnordered::new();
    let mut blind = None;
    while !running.is_empty() {
        let overdue = launched.elapsed() >= patience;
        let alive = match open_sessions(desk).await {
            Ok(alive) => Some(alive),
            Err(error) => {
                blind = Some(error);
                None
            }
        };
        let is_over = |host: &HostName| {
            alive
                .as_ref()
                .is_some_and(|alive| !alive.contains(&session_name(host)))
        };
        let ended: Vec<_> = running
            .iter()
            .copied()
            .filter(|host| overdue || is_over(host))
            .collect();
        for host in ended {
            running.remove(host);
            let by_itself = is_over(host);
            if !by_itself {
                end_session(desk, host).await;
            }
            let log = log(desk, host);
            let is_new = written(&log).is_some_and(|at| logs.get(host) != Some(&Some(at)));
            let output = read_end(&log).filter(|_| is_new).unwrap_or_default();
            let mut outcome = desk.judge(host, End::Lost, &output, started);
            let mut certain = Vec::new();
            if let HostOutcome::Unknown { why, restored, .. } = &mut outcome {
                certain.clone_from(restored);
                if !by_itself {
                    *why = format!("its session was still there after {}", lasting(patience));
                    if let Some(error) = &blind {
                        *why = format!("{why}, and tmux could not be asked ({error:#})");
                    }
                } else if !is_new {
                    *why = "its session ended without a log".to_owned();
                }
            }
            let read = SessionLog::parse(&output);
            if by_itself
                && matches!(outcome, HostOutcome::Unknown { .. })
                // Under a halt that came too late for the log, a sync that went well looks the same.
                && read.applied.len() == certain.len()
                && let Some(last) = stopped_after(desk, &read)
            {
                let why = format!("`{last}` failed: linbo-remote went no further");
                outcome = HostOutcome::Failed {
                    why,
                    evidence: read.tail(SHOWN),
                    restored: certain,
                };
            }
            desk.tell(host, outcome);
            let sent_off = read.commands.iter().any(|command| command.words == "halt");
            if desk.reset.halts() && !sent_off {
                halts.push(async move { (host, switch_off(desk, host).await) });
            } else if desk.reset.halts() {
                place.off(host);
            } else {
                place.left(host, patience);
            }
        }
        if !running.is_empty() {
            tokio::select! {
                Some((host, is_off)) = halts.next(), if !halts.is_empty() => halted(host, is_off),
                () = sleep(desk.config.reset.poll) => {}
            }
        }
    }
    while let Some((host, is_off)) = halts.next().await {
        halted(host, is_off);
    }
    Ok(())
}

/// Runs `linbo-remote` and reads what it prints.
async fn launch(desk: &Desk<'_>, count: usize, selector: [String; 2]) -> anyhow::Result<Launches> {
    let path = desk
        .config
        .paths
        .run
        .join(format!("linbo-remote.{}.log", desk.reset.room));
    let output = locked_output(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?
        .with_context(|| {
            format!(
                "linbo-remote of an earlier pass still works on room {}",
                desk.reset.room
            )
        })?;
    let between = seconds_between_wakes(desk.reset.circuits);
    let wait = desk
        .config
        .reset
        .boot_timeout
        .min(LONGEST_WAIT)
        .as_secs()
        .max(1);
    let [which, whom] = &selector;
    let mut running = Program::new("linbo_remote", &desk.config.commands.linbo_remote)
        .args([which, whom])
        .args(["-b", &between.to_string(), "-w", &wait.to_string()])
        .args(["-c", &commands(desk.reset.commands).to_string()])
        .start_detached(output)?;
    let hosts = u32::try_from(count).unwrap_or(u32::MAX);
    let patience = (Duration::from_secs(between) + PER_HOST).saturating_mul(hosts)
        + Duration::from_secs(wait)
        + FOR_ITSELF;
    let finished = match timeout(patience, running.wait()).await {
        Ok(finished) => Some(finished?),
        Err(_) => {
            running.stop().await;
            desk.note(format!(
                "linbo-remote was ended after {}",
                lasting(patience)
            ));
            None
        }
    };
    let launches = Launches::parse(&read_end(&path).unwrap_or_default());
    if let Some(finished) = finished.filter(|finished| !finished.is_success())
        && !launches.finished
    {
        let reason = launches.refused.clone().unwrap_or_else(|| finished.how());
        bail!("linbo-remote {which} {whom} was refused: {reason}");
    }
    Ok(launches)
}

/// What `linbo-remote` is told to run. Only the beginning of the next command proves that one ended
/// well, so a harmless one is put behind the last that matters.
fn commands(line: &CommandLine) -> CommandLine {
    match line.commands().last() {
        Some(last) if last.ends_linbo() || *last == Command::Label => line.clone(),
        _ => line.clone().then(Command::Label),
    }
}

/// The command at which `linbo-remote` stopped, when the host answered after it and so was not lost:
/// then the command itself returned an error.
fn stopped_after(desk: &Desk<'_>, log: &SessionLog) -> Option<String> {
    let all = commands(desk.reset.commands);
    let last = log.commands.last()?;
    let is_final = all
        .commands()
        .last()
        .is_some_and(|command| command.to_string() == last.words);
    let restored = log
        .tail(usize::MAX)
        .iter()
        .any(|line| line.contains("gui_ctl restore"));
    (!is_final && restored).then(|| last.words.clone())
}

async fn not_online(desk: &Desk<'_>, wake: &Wake) -> anyhow::Result<HostOutcome> {
    Ok(match desk.look(wake).await? {
        Presence::System(_) => unreachable(OTHER_SYSTEM),
        Presence::Linbo | Presence::Off { .. } => {
            unreachable("it was woken, but LINBO was not online when linbo-remote asked")
        }
    })
}

fn log(desk: &Desk<'_>, host: &HostName) -> PathBuf {
    desk.config
        .paths
        .linbo_log
        .join(format!("{host}.linbo-remote"))
}

fn written(path: &std::path::Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The names of all tmux sessions.
async fn open_sessions(desk: &Desk<'_>) -> anyhow::Result<BTreeSet<String>> {
    Ok(Tmux::new(&desk.config.commands.tmux).sessions().await?)
}

async fn end_session(desk: &Desk<'_>, host: &HostName) {
    let ended = Tmux::new(&desk.config.commands.tmux)
        .end(&session_name(host))
        .await;
    if let Err(error) = ended {
        tracing::warn!("{:#}", anyhow::Error::from(error));
    }
}
