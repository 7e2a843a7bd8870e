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

use super::circuits::Place;
use super::probe::{self, Answer, Presence, ssh};
use super::{
    Desk, End, OCCUPIED, OTHER_SYSTEM, host_log, lasting, read_end, session, unknown, unreachable,
    usage,
};
use crate::config::Config;
use crate::host::process::Program;
use crate::linbo::command::Command;
use crate::linbo::verdict::HostOutcome;
use crate::planning::action::Wake;

/// What runs LINBO's commands on a client.
const WRAPPER: &str = "/usr/bin/linbo_wrapper";
/// How many hosts are looked at together.
pub(super) const LOOKS: usize = 32;
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
    let looks = stream::iter(desk.reset.hosts).map(async |wake| (wake, desk.survey(wake).await));
    let mut looks = looks.buffered(LOOKS);
    let (mut on, mut off) = (Vec::new(), Vec::new());
    while let Some((wake, presence)) = looks.next().await {
        match presence? {
            None => {}
            Some(presence @ Presence::Off { .. }) => off.push((wake, presence, Instant::now())),
            Some(presence) => on.push((wake, presence, Instant::now())),
        }
    }
    // Hosts that are on anyway come first: they use power already.
    let mut work: FuturesUnordered<_> = on
        .into_iter()
        .chain(off)
        .map(|(wake, presence, seen)| host(desk, wake, presence, seen))
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
    wake: &Wake,
    presence: Presence,
    seen: Instant,
) -> anyhow::Result<()> {
    let host = &wake.host;
    let is_asleep = matches!(presence, Presence::Off { .. });
    let place = desk.circuits.place(host, desk.reset.circuits, is_asleep);
    let place = place.await;
    desk.admitted(host);
    let stays_on = || place.left(host, desk.config.reset.command_timeout);
    let Some(log) = desk.lock(host).await? else {
        desk.tell(host, unknown(OCCUPIED));
        stays_on();
        return Ok(());
    };
    match bring_up(desk, &place, wake, presence, seen).await? {
        Up::Linbo => {}
        Up::Not(outcome) => {
            desk.tell(host, outcome);
            return Ok(());
        }
        Up::Late(outcome) => {
            desk.tell(host, outcome);
            place.left(host, desk.config.reset.boot_timeout);
            return Ok(());
        }
    }
    // It may have been begun meanwhile, and two commands would spoil each other's work.
    if let Some(why) = session(desk.config, host).await {
        desk.tell(host, unknown(why));
        stays_on();
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
    let ends_linbo = || {
        let mut commands = desk.reset.commands.commands().iter();
        commands.any(|command| command.ends_linbo())
    };
    if desk.reset.halts() {
        if !switch_off(desk, host).await {
            stays_on();
        }
    } else {
        stays_on();
        if !ends_linbo() {
            brief(
                host,
                "gui_ctl restore",
                ssh(desk.config, host).args(["gui_ctl", "restore"]),
            )
            .await;
        }
    }
    outcome.map(drop)
}

/// Whether LINBO answers.
enum Up {
    /// It does.
    Linbo,
    /// It does not, and the host hangs on the circuit no more than before.
    Not(HostOutcome),
    /// It does not, and the host may be on because it was woken.
    Late(HostOutcome),
}

/// Sees to it that LINBO answers.
async fn bring_up(
    desk: &Desk<'_>,
    place: &Place<'_>,
    wake: &Wake,
    mut presence: Presence,
    seen: Instant,
) -> anyhow::Result<Up> {
    let host = &wake.host;
    // Somebody may have switched it on, or off, or begun to work, while it waited for its place.
    if seen.elapsed() > desk.config.reset.poll * 2 {
        presence = desk.look(wake).await?;
        if let Presence::System(system) = presence
            && let Some(why) = desk.in_use(host, system).await?
        {
            return Ok(Up::Not(HostOutcome::InUse { why }));
        }
    }
    let restarted = match (presence, wake.mac) {
        (Presence::Linbo, _) => return Ok(Up::Linbo),
        (Presence::System(_), _) => {
            restart(desk, host).await;
            true
        }
        (Presence::Off { .. }, None) => {
            let why = "it is off, and devices.csv has no MAC address to wake it by";
            return Ok(Up::Not(unreachable(why)));
        }
        (Presence::Off { .. }, Some(mac)) => {
            // No look comes between the turn and the packet, so that the pace is kept exactly; a
            // packet to a host that runs by now does nothing.
            place.packet().await;
            let program = Program::new("wakeonlan", &desk.config.commands.wakeonlan);
            let sent = program.arg(mac.to_string()).deadline(BRIEF).run().await?;
            if !sent.is_success() {
                let said = sent.last_lines(1).pop().unwrap_or_default();
                return Ok(Up::Not(unreachable(format!(
                    "it could not be woken: wakeonlan {}: {said}",
                    sent.how()
                ))));
            }
            false
        }
    };
    wait_for_linbo(desk, wake, restarted).await
}

/// Waits until LINBO answers on a host that was woken or restarted.
async fn wait_for_linbo(desk: &Desk<'_>, wake: &Wake, restarted: bool) -> anyhow::Result<Up> {
    let begun = Instant::now();
    let patience = desk.config.reset.boot_timeout;
    let done = if restarted { "restarted" } else { "woken" };
    let mut last = Presence::Off { said: None };
    while begun.elapsed() < patience {
        sleep(desk.config.reset.poll).await;
        match (desk.look(wake).await?, last) {
            (Presence::Linbo, _) => return Ok(Up::Linbo),
            // One that is being restarted answers as long as it goes down.
            (Presence::System(_), _) if !restarted => {
                return Ok(Up::Late(unreachable(OTHER_SYSTEM)));
            }
            (Presence::Off { said: None }, Presence::Off { said }) => last = Presence::Off { said },
            (now, _) => last = now,
        }
    }
    let patience = lasting(patience);
    Ok(Up::Late(unreachable(match last {
        Presence::System(_) => format!(
            "it was {done}, but its operating system still answers instead of LINBO after {patience}"
        ),
        Presence::Off { said: Some(said) } => {
            format!("it was {done}, but LINBO did not answer within {patience} (SSH: {said})")
        }
        _ => format!("it was {done}, but LINBO did not answer within {patience}"),
    })))
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
        (
            HostOutcome::Unknown {
                evidence, restored, ..
            },
            Some(command),
        ) => HostOutcome::Unknown {
            why: format!("`{command}` was still running after {}", lasting(patience)),
            evidence,
            restored,
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

/// Switches a host off. Whether LINBO no longer answers, or that takes too long.
pub(super) async fn halt(config: &Config, host: &HostName) -> bool {
    brief(host, "halt", ssh(config, host).args([WRAPPER, "halt"])).await;
    let sent = Instant::now();
    while sent.elapsed() < GOING_OFF {
        match probe::linbo(config, host).await {
            Ok(Answer::Linbo) => sleep(config.reset.poll.min(GOING_OFF_LOOK)).await,
            _ => return true,
        }
    }
    false
}

/// The same, and says so when it stays on.
pub(super) async fn switch_off(desk: &Desk<'_>, host: &HostName) -> bool {
    let is_off = halt(desk.config, host).await;
    if !is_off {
        desk.note(format!(
            "{host} is still on {} after it was told to go off",
            lasting(GOING_OFF)
        ));
    }
    is_off
}

/// Restarts the operating system of a host.
pub(super) async fn restart(desk: &Desk<'_>, host: &HostName) {
    brief(host, "reboot", usage::restart(desk.config, host)).await;
}

/// Runs a command whose result means nothing.
async fn brief(host: &HostName, what: &str, program: Program) {
    match program.deadline(BRIEF).run().await {
        Ok(finished) => tracing::debug!("{what} on {host} {}", finished.how()),
        Err(error) => tracing::debug!("{what} on {host}: {error}"),
    }
}
