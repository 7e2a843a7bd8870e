//! Whether a host is in LINBO, in use, or off.
//!
//! LINBO is told by `/start.conf`, which no operating system has. Linux and Windows are told by their
//! ports: SSH, and those of Windows' file sharing, as linuxmuster's own tools do. Each look is bounded.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use schema::name::HostName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::config::Config;
use crate::host::process::{ProcessError, Program};

/// How long a host may take to accept a connection to one of its operating system's ports.
const CONNECT: Duration = Duration::from_secs(2);

/// How long one look by SSH may take, connecting included.
const LOOK: Duration = Duration::from_secs(15);

/// The port of Windows' remote procedures, which answers also where file sharing is closed.
const WINDOWS_CALLS: u16 = 135;

/// What a host does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Presence {
    /// LINBO answers.
    Linbo,
    /// Something other than LINBO answers.
    System(System),
    /// Nothing answers.
    Off {
        /// What SSH said last.
        said: Option<String>,
    },
}

/// What answers instead of LINBO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// Something with SSH on its usual port, as Linux has it.
    Linux,
    /// Windows.
    Windows,
    /// Something on LINBO's own port that is not LINBO.
    Other,
}

/// Finds out what a host does. Without an address it is looked for by its name.
///
/// # Errors
///
/// When SSH could not be started at all.
pub(super) async fn probe(
    config: &Config,
    host: &HostName,
    address: Option<Ipv4Addr>,
) -> Result<Presence, ProcessError> {
    let none = match linbo(config, host).await? {
        Answer::Linbo => return Ok(Presence::Linbo),
        Answer::Other => Presence::System(System::Other),
        Answer::None { said } => Presence::Off { said },
    };
    let windows = [WINDOWS_CALLS, config.reset.windows_port.get()];
    let windows = join_all(windows.map(|port| accepts(host, address, port)));
    let linux = accepts(host, address, config.reset.os_port.get());
    let (linux, windows) = tokio::join!(linux, windows);
    Ok(if linux {
        Presence::System(System::Linux)
    } else if windows.contains(&true) {
        Presence::System(System::Windows)
    } else {
        none
    })
}

/// What answers on LINBO's SSH port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// LINBO.
    Linbo,
    /// An operating system.
    Other,
    /// Nobody.
    None {
        /// What SSH said last.
        said: Option<String>,
    },
}

/// Finds out what answers on LINBO's SSH port.
///
/// # Errors
///
/// When SSH could not be started at all.
pub(super) async fn linbo(config: &Config, host: &HostName) -> Result<Answer, ProcessError> {
    let look = ssh(config, host)
        .args(["/bin/ls", "/start.conf"])
        .deadline(LOOK)
        .run()
        .await?;
    Ok(match (look.timed_out, look.code) {
        (false, Some(0)) => Answer::Linbo,
        (false, Some(code)) if code != 255 => Answer::Other,
        _ => Answer::None {
            said: look.last_lines(1).pop(),
        },
    })
}

/// SSH to LINBO on a host, to which the command's words are still to be added. Its keys and its port
/// come from LINBO's `ssh_config`; a link that dies is noticed after two minutes.
pub(super) fn ssh(config: &Config, host: &HostName) -> Program {
    to(config, host, &[])
}

/// SSH to the operating system of a host, with the keys of LINBO's `ssh_config`. Who answers cannot be
/// checked: the key of a host comes from its image, and changes with it.
pub(super) fn ssh_to_system(config: &Config, host: &HostName) -> Program {
    let port = config.reset.os_port.to_string();
    let options = [
        "-p",
        &port,
        "-o",
        "LogLevel=ERROR",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
    ];
    to(config, host, &options)
}

fn to(config: &Config, host: &HostName, options: &[&str]) -> Program {
    Program::new("ssh", &config.commands.ssh)
        .arg("-F")
        .arg(&config.paths.ssh_config)
        .args(options)
        .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"])
        .args([
            "-o",
            "ServerAliveInterval=15",
            "-o",
            "ServerAliveCountMax=8",
        ])
        .args(["--", host.as_str()])
}

async fn accepts(host: &HostName, address: Option<Ipv4Addr>, port: u16) -> bool {
    let connect = async {
        let addresses: Vec<SocketAddr> = match address {
            Some(address) => vec![(IpAddr::V4(address), port).into()],
            None => lookup_host((host.as_str(), port)).await?.collect(),
        };
        TcpStream::connect(addresses.as_slice()).await
    };
    matches!(timeout(CONNECT, connect).await, Ok(Ok(_)))
}
