//! The default driver: `linbo_wrapper` on each host over LINBO's SSH, with its real exit status.
//!
//! # Invariants
//!
//! Commands on a host hold the lock of its log for as long as they run, also when the reconciler is
//! killed. A host that was begun is switched off at the end whatever its sync came to, where the
//! commands ask for that; `halt` itself returns nothing that could be trusted. A slow host blocks no
//! other; an error that concerns all of them stops none that was begun.

use std::fs::File;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use schema::name::HostName;
use tokio::time::{Instant, sleep, timeout_at};

use super::probe::{self, Answer, Presence, ssh};
use super::wake::Budget;
use super::{Desk, End, IN_USE, OCCUPIED, host_log, lasting, read_end, unknown, unreachable};
use crate::host::process::Program;
use crate::linbo::command::Command;
use crate::linbo::verdict::HostOutcome;
use crate::planning::action::Wake;

/// What runs LINBO's commands on a client.
const WRAPPER: &str = "/usr/bin/linbo_wrapper";
/// How many hosts are looked at together.
const LOOKS: usize = 32;
/// How long a command may take whose answer is not waited for.
const BRIEF: Duration = Duration::from_secs(10);
/// How much longer a command may run than anybody waits for it.
const AFTERWARDS: Duration = Duration::from_secs(60);
/// How long a host may take to go off.
const GOING_OFF: Duration = Duration::from_secs(30);
/// How often a host that goes off is looked at, at least.
const GOING_OFF_LOOK: Duration = Duration::from_secs(2);

/// Resets the hosts of a desk.
///
/// # Errors
///
/// What concerns all hosts; those that were begun are finished all the same.
pub(super) async fn reset(desk: &Desk<'_>) -> anyhow::Result<()> {
    let budget = Budget::new(desk.reset.pace);
    let looks = stream::iter(desk.reset.hosts).map(async |wake| (wake, desk.look(wake).await));
    let mut looks = looks.buffered(LOOKS);
    let (mut on, mut off) = (Vec::new(), Vec::new());
    while let Some((wake, presence)) = looks.next().await {
        match presence? {
            Presence::System => desk.tell(&wake.host, unreachable(IN_USE)),
            presence @ Presence::Linbo => on.push((wake, presence, Instant::now())),
            presence @ Presence::Off { .. } => off.push((wake, presence, Instant::now())),
        }
    }
    // Hosts that are on anyway come first: they use power already.
    let mut work: FuturesUnordered<_> = on
        .into_iter()
        .chain(off)
        .map(|(wake, presence, seen)| host(desk, &budget, wake, presence, seen))
        .collect();
    let mut first_error = None;
    while let Some(result) = work.next().await {
        if let Err(error) = result {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

async fn host(
    desk: &Desk<'_>,
    budget: &Budget,
    wake: &Wake,
    presence: Presence,
    seen: Instant,
) -> anyhow::Result<()> {
    let host = &wake.host;
    let Some(_place) = budget.place().await else {
        return Ok(());
    };
    let Some(log) = desk.lock(host).await? else {
        desk.tell(host, unknown(OCCUPIED));
        return Ok(());
    };
    if let Err(why) = bring_up(desk, budget, wake, presence, seen).await? {
        desk.tell(host, unreachable(why));
        return Ok(());
    }
    brief(
        host,
        "gui_ctl disable",
        ssh(desk.config, host).args(["gui_ctl", "disable"]),
    )
    .await;
    let outcome = run(desk, host, &log).await;
    if let Ok(outcome) = &outcome {
        desk.tell(host, outcome.clone());
    }
    if desk.reset.halts() {
        halt(desk, host).await;
    } else if !desk
        .reset
        .commands
        .commands()
        .iter()
        .any(|command| command.ends_linbo())
    {
        brief(
            host,
            "gui_ctl restore",
            ssh(desk.config, host).args(["gui_ctl", "restore"]),
        )
        .await;
    }
    outcome.map(drop)
}

impl Desk<'_> {
    /// What a host does.
    pub(super) async fn look(&self, wake: &Wake) -> anyhow::Result<Presence> {
        let address = self.addresses.get(&wake.host).copied();
        Ok(probe::probe(self.config, &wake.host, address).await?)
    }
}

/// Sees to it that LINBO answers; the inner error is why it does not.
async fn bring_up(
    desk: &Desk<'_>,
    budget: &Budget,
    wake: &Wake,
    mut presence: Presence,
    seen: Instant,
) -> anyhow::Result<Result<(), String>> {
    // Somebody may have switched it on, or off, while it waited for its place.
    if seen.elapsed() > desk.config.reset.poll * 2 {
        presence = desk.look(wake).await?;
    }
    match (&presence, wake.mac) {
        (Presence::Linbo, _) => return Ok(Ok(())),
        (Presence::System, _) => return Ok(Err(IN_USE.to_owned())),
        (Presence::Off { .. }, None) => {
            let why = "it is off, and devices.csv has no MAC address to wake it by";
            return Ok(Err(why.to_owned()));
        }
        (Presence::Off { .. }, Some(mac)) => {
            // No look comes between the turn and the packet, so that the pace is kept exactly; a
            // packet to a host that runs by now does nothing.
            budget.turn().await;
            let program = Program::new("wakeonlan", &desk.config.commands.wakeonlan);
            let sent = program.arg(mac.to_string()).deadline(BRIEF).run().await?;
            if !sent.is_success() {
                let said = sent.last_lines(1).pop().unwrap_or_default();
                return Ok(Err(format!(
                    "it could not be woken: wakeonlan {}: {said}",
                    sent.how()
                )));
            }
        }
    }
    let woken = Instant::now();
    let patience = desk.config.reset.boot_timeout;
    let mut said = None;
    while woken.elapsed() < patience {
        sleep(desk.config.reset.poll).await;
        match desk.look(wake).await? {
            Presence::Linbo => return Ok(Ok(())),
            Presence::System => {
                let why =
                    "it was woken, but an operating system answers instead of LINBO; not touched";
                return Ok(Err(why.to_owned()));
            }
            Presence::Off { said: last } => said = last.or(said),
        }
    }
    let said = said
        .map(|said| format!(" (SSH: {said})"))
        .unwrap_or_default();
    Ok(Err(format!(
        "it was woken, but LINBO did not answer within {}{said}",
        lasting(patience)
    )))
}

/// Runs the commands one after the other, and judges what they did.
async fn run(desk: &Desk<'_>, host: &HostName, log: &File) -> anyhow::Result<HostOutcome> {
    let started = crate::host::clock();
    let patience = desk.config.reset.command_timeout;
    let ends = Instant::now() + patience;
    let mut end = End::Exit(0);
    let mut overdue = None;
    for command in desk.reset.commands.commands() {
        let program = ssh(desk.config, host).args([WRAPPER, &command.to_string()]);
        if *command == Command::Halt {
            break;
        }
        if command.ends_linbo() {
            brief(host, &command.to_string(), program).await;
            break;
        }
        let output = log.try_clone();
        let output = output.with_context(|| host_log(desk.config, host).display().to_string())?;
        let mut running = limited(desk, &program, ends).start_detached(output)?;
        let Ok(finished) = timeout_at(ends, running.wait()).await else {
            running.stop().await;
            end = End::Lost;
            overdue = Some(command);
            break;
        };
        end = match finished?.code {
            // What a shell makes of a signal is above 128; 124 is that of `timeout`. 255 is SSH's own.
            Some(124 | 129..=254) | None => End::Lost,
            Some(code) => End::Exit(code),
        };
        if !matches!(end, End::Exit(0)) {
            break;
        }
    }
    let output = read_end(&host_log(desk.config, host)).unwrap_or_default();
    let outcome = desk.judge(host, end, &output, started);
    Ok(match (outcome, overdue) {
        (HostOutcome::Unknown { evidence, .. }, Some(command)) => HostOutcome::Unknown {
            why: format!("`{command}` was still running after {}", lasting(patience)),
            evidence,
        },
        (outcome, _) => outcome,
    })
}

/// The same command, which ends a little after its time also when nobody waits for it any more: a
/// download without a seed would hang for ever, and with it the lock of the host.
fn limited(desk: &Desk<'_>, program: &Program, ends: Instant) -> Program {
    let limit = ends.saturating_duration_since(Instant::now()) + AFTERWARDS;
    Program::new("timeout", "timeout")
        .args(["--kill-after=5", &limit.as_secs().to_string()])
        .arg(&desk.config.commands.ssh)
        .args(program.arguments())
}

/// Switches a host off. Returns when LINBO no longer answers, or when that takes too long.
pub(super) async fn halt(desk: &Desk<'_>, host: &HostName) {
    brief(host, "halt", ssh(desk.config, host).args([WRAPPER, "halt"])).await;
    let sent = Instant::now();
    while sent.elapsed() < GOING_OFF {
        match probe::linbo(desk.config, host).await {
            Ok(Answer::Linbo) => sleep(desk.config.reset.poll.min(GOING_OFF_LOOK)).await,
            _ => return,
        }
    }
    desk.note(format!(
        "{host} is still on {} after it was told to go off",
        lasting(GOING_OFF)
    ));
}

/// Runs a command whose result means nothing.
async fn brief(host: &HostName, what: &str, program: Program) {
    match program.deadline(BRIEF).run().await {
        Ok(finished) => tracing::debug!("{what} on {host} {}", finished.how()),
        Err(error) => tracing::debug!("{what} on {host}: {error}"),
    }
}
