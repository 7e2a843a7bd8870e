//! One pass, or what one would do.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::look;
use super::status::FILE;
use super::watch::Watch;
use super::{Common, Exit, Format, Output, PassArgs};
use crate::config::Config;
use crate::engine::close::{Teller, close, tell};
use crate::engine::{Rhythm, converge};
use crate::host::files::write_atomically;
use crate::host::lock::PassLock;
use crate::host::{Host, Mode};
use crate::planning::{Hold, preview};
use crate::report::style::Color;
use crate::report::summary::Summary;
use crate::report::title::Clock;
use crate::report::{json, markdown, status, summary, text, trouble};
use crate::world::Senses;

/// How often a pass looks while something long runs, and how often at the state repo.
const RHYTHM: Rhythm = Rhythm {
    tick: Duration::from_secs(15),
    pull: Duration::from_secs(300),
};

/// How long the end of a pass waits for what it has broken off.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The settings of this server, or an error that shows all that is wrong with them.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is what reads the environment"
)]
pub(super) fn config(common: &Common, output: &Output) -> anyhow::Result<Config> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
    match crate::config::load(&common.config, credentials.as_deref()) {
        Ok(config) => Ok(config),
        Err(errors) => {
            output.line(
                errors
                    .render(output.color_on_stderr() == Color::On)
                    .trim_end(),
            );
            bail!("the settings in {} cannot be used", common.config.display())
        }
    }
}

/// What asynchronous work runs on.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

pub(super) fn run(
    common: &Common,
    args: &PassArgs,
    output: &Output,
    now: fn() -> Timestamp,
) -> anyhow::Result<Exit> {
    let config = config(common, output)?;
    let runtime = runtime()?;
    if args.dry_run {
        let host = Host::open(config, Mode::Look, now)?;
        return runtime.block_on(dry_run(&host, args, output));
    }
    let _lock = PassLock::acquire(&config.paths.run, now())?;
    let host = Host::open(config, Mode::Act, now)?;
    let exit = runtime.block_on(async { pass(&host, output, stop()?).await });
    // Transfers that were broken off end with the pass; a thread that still reads a large file is not
    // waited for. Commands on hosts live on by themselves.
    runtime.shutdown_timeout(LAST_WORDS);
    exit
}

/// Resolves when the service is asked to end.
fn stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Nothing but senses: that a dry run changes nothing is held by the type.
async fn dry_run(world: &impl Senses, args: &PassArgs, output: &Output) -> anyhow::Result<Exit> {
    let sight = look::look(world, args.at, output).await?;
    let preview = preview(&sight.desired, sight.observed.clone());
    let head = sight.head();
    match output.format {
        Format::Text => output.text(&text::plan(head, &preview, output.color))?,
        Format::Json => output.json(&json::plan(head, &preview))?,
        Format::Markdown => output.text(&markdown::plan(head, &preview))?,
    }
    let is_held = |hold: &Hold| hold.gate.awaits_a_decision();
    Ok(if sight.has_failed() {
        Exit::Failed
    } else if preview.holds.iter().any(is_held) {
        Exit::Held
    } else if args.detailed_exitcode && preview.steps().next().is_some() {
        Exit::Pending
    } else {
        Exit::Converged
    })
}

async fn pass(
    host: &Host,
    output: &Output,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Exit> {
    let began = host.now();
    let mut watch = Watch::new(*output);
    let ended = converge(host, began, RHYTHM, stop, &mut |event| watch.see(&event)).await;
    drop(watch);
    let desired = host.desired();
    let zone = desired
        .as_ref()
        .map_or(TimeZone::UTC, |desired| desired.zone.clone());
    let server = host.config().server.to_string();
    let teller = Teller {
        server: &server,
        zone: &zone,
        has_relay: host.has_relay(),
        has_calendar: true,
    };
    let told = tell(host, teller, began, &ended).await;
    for untold in &told.untold {
        output.line(&format!("! {untold}"));
    }
    let exit = if told.failed {
        Exit::Failed
    } else if told.standing.has(trouble::Kind::Decision) {
        Exit::Held
    } else {
        Exit::Converged
    };
    let clock = Clock {
        now: host.now(),
        zone: &zone,
    };
    report(&ended, &told.standing, exit, host, clock, output)?;
    close(host, began, &ended, &told, exit.code())?;
    Ok(exit)
}

fn report(
    ended: &Summary,
    standing: &trouble::Standing,
    exit: Exit,
    host: &Host,
    clock: Clock<'_>,
    output: &Output,
) -> anyhow::Result<()> {
    let path = host.config().paths.state.join(FILE);
    let before = super::status::last(host.config());
    let status = status::after(
        &host.config().server.to_string(),
        ended,
        standing,
        exit.code(),
        clock,
        before.as_ref(),
    );
    let text = serde_json::to_string_pretty(&status)? + "\n";
    let written = write_atomically(&path, text.as_bytes(), 0o644);
    // Said before a full disk ends it.
    match output.format {
        Format::Json => output.json(&status)?,
        Format::Text | Format::Markdown => {
            output.text(&summary::text(ended, standing, clock, output.color))?;
        }
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}
