//! `tmux`: the real one, outside of the lab's faked time, in which its server dies. When a session was made is told in
//! the lab's time.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use anyhow::Result;

use super::super::world::{ServerPaths, World};

const CREATED: &str = "#{session_created}";

pub(super) fn main(world: &World, server: &ServerPaths, arguments: &[String]) -> Result<u8> {
    let mut tmux = super::tmux(server);
    tmux.args(arguments);
    if !arguments
        .iter()
        .any(|argument| argument.starts_with(CREATED))
    {
        return Err(tmux.exec().into());
    }
    let output = tmux.stderr(Stdio::inherit()).output()?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (created, name) = line.split_once(' ').unwrap_or((line, ""));
        // Between two runs the lab's time jumps; a session stays where it was when it was first seen.
        let seen = server.tmux().join(format!("{name}.{created}"));
        if !seen.exists() {
            fs::write(&seen, world.now()?.timestamp().as_second().to_string())?;
        }
        super::say(&format!("{} {name}", fs::read_to_string(&seen)?));
    }
    Ok(u8::try_from(output.status.code().unwrap_or(1)).unwrap_or(1))
}
