//! The multi-call program that stands for everything that cannot run outside a school.
//!
//! The name under which it is called says what it is. It finds its world through the folder of the symbolic link
//! that was called (`<lab>/<server>/bin/linbo-remote`, `<lab>/bin/linbo-shell`), never through the environment alone.

mod clients;
mod import_devices;
mod linbo;
mod linbo_remote;
mod linbo_shell;
mod linbo_sync;
mod linbo_torrent;
mod tmux;
mod wakeonlan;

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::world::{ServerPaths, World};

/// Runs the stand-in that this program was called as.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("stand-in: {error:#}"));
            ExitCode::from(70)
        }
    }
}

fn run() -> Result<u8> {
    let mut arguments = env::args_os();
    let called = PathBuf::from(arguments.next().context("called without a name")?);
    let name = called
        .file_name()
        .and_then(|name| name.to_str())
        .context("called under an odd name")?;
    let arguments: Vec<String> = arguments
        .map(OsString::into_string)
        .collect::<Result<_, _>>()
        .map_err(|odd| anyhow::anyhow!("{} is not UTF-8", odd.display()))?;
    let bin = folder_of(&called)?;
    let place = bin.parent().context("called from the root folder")?;
    match name {
        "lab-clients" => return clients::main(place),
        "linbo-shell" => return linbo_shell::main(place),
        _ => {}
    }
    let root = place.parent().context("called outside a lab")?;
    let world = World::open(root)?;
    let server = place.file_name().and_then(|name| name.to_str());
    let server = world.server(server.context("the server's folder has an odd name")?);
    match name {
        "wakeonlan" => wakeonlan::main(&world, &arguments),
        "linbo-remote" => linbo_remote::main(&world, &server, &arguments),
        "linbo-torrent" => linbo_torrent::main(&server, &arguments),
        "tmux" => tmux::main(&world, &server, &arguments),
        "aria2c" => linbo_torrent::seed(&server, &arguments),
        "linuxmuster-import-devices" => import_devices::main(&world, &server),
        _ => bail!("{name} is not a stand-in"),
    }
}

/// The folder of the link that was called; a bare name was found through `PATH`, so look there for a link to us.
fn folder_of(called: &Path) -> Result<PathBuf> {
    if called.components().count() > 1 {
        let folder = called.parent().context("called without a folder")?;
        return folder.canonicalize().context("the caller's folder is gone");
    }
    let own = env::current_exe()?.canonicalize()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).find(|folder| {
        folder
            .join(called)
            .canonicalize()
            .is_ok_and(|target| target == own)
    });
    found.with_context(|| format!("no {} in PATH leads here", called.display()))
}

/// Prints a line on standard output; a reader that went away is no error of ours.
fn say(line: &str) {
    let mut out = io::stdout();
    writeln!(out, "{line}").ok();
    out.flush().ok();
}

/// The same without an end of line.
fn say_on(text: &str) {
    let mut out = io::stdout();
    write!(out, "{text}").ok();
    out.flush().ok();
}

/// Prints a line on standard error.
fn complain(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

/// The time as `date` prints it.
fn date(world: &World) -> Result<String> {
    Ok(world.now()?.strftime("%a %b %e %H:%M:%S %Z %Y").to_string())
}

/// `tmux` on the socket of `server`, without the faked time: a session outlives the run that started it.
fn tmux(server: &ServerPaths) -> Command {
    let mut tmux = Command::new(real(server, "tmux"));
    tmux.env("TMUX_TMPDIR", server.tmux());
    for name in [
        "LD_PRELOAD",
        "FAKETIME",
        "FAKETIME_SHARED",
        "NO_FAKE_STAT",
        "TMUX",
    ] {
        tmux.env_remove(name);
    }
    tmux
}

/// The program itself, behind the stand-in of the same name.
fn real(server: &ServerPaths, program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).filter(|folder| *folder != server.bin());
    let mut found = others.map(|folder| folder.join(program));
    found
        .find(|program| program.is_file())
        .unwrap_or_else(|| program.into())
}

/// A number of LINBO's seconds in the pace of the lab.
fn seconds(world: &World, number: u64) -> Duration {
    Duration::from_millis(number * world.pace.second_ms)
}
