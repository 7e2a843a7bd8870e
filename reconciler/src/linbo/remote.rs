//! What `linbo-remote` prints, and the names of the tmux sessions that LINBO's tools leave running.
//!
//! # Invariants
//!
//! [`Launch::Started`] is no proof that a command was begun: for a host whose session still exists,
//! `linbo-remote` prints it, does nothing and returns 0.

use std::collections::{BTreeMap, BTreeSet};

use schema::name::{FileName, HostName};
use serde::{Deserialize, Serialize};

use super::lines;

/// What `linbo-remote` says of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Launch {
    /// It has a session; the process ids of its shells, none when unknown.
    Started {
        /// One in most cases, two for the first host of a new tmux server.
        pids: Vec<u32>,
    },
    /// LINBO does not run on it: nothing was sent, its old log stays.
    NotOnline,
    /// Its row in `devices.csv` has neither PXE flag 1 nor 2.
    NotAPxeHost,
    /// The domain has no right MAC address for it, so it was not woken.
    InvalidMac,
    /// Something else.
    Unrecognised {
        /// The line.
        line: String,
    },
}

/// What one run of `linbo-remote` printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Launches {
    /// What it says of each host that it was to send commands to.
    pub hosts: BTreeMap<HostName, Launch>,
    /// Whether it reached its own last line.
    pub finished: bool,
    /// The last line that says something when it did not even begin: the reason of a usage error.
    pub refused: Option<String>,
}

impl Launches {
    /// Reads the standard output of `linbo-remote -c`.
    #[must_use]
    pub fn parse(stdout: &[u8]) -> Self {
        let mut launches = Self::default();
        let (mut begun, mut sending) = (false, false);
        let mut last = None;
        let mut started: Option<HostName> = None;
        for (_, line) in lines(stdout) {
            let line = line.trim();
            if line.starts_with("### linbo-remote (") {
                begun |= line.contains(") start:");
                launches.finished |= line.contains(") end:");
            } else if line.starts_with("Sending command(s) to") {
                sending = true;
            } else if let Some(host) = skipped(line) {
                launches.note(host, Launch::NotAPxeHost);
            } else if let Some((host, said)) = about_host(line) {
                started = None;
                let launch = launch(said);
                if matches!(launch, Launch::Started { .. }) && !said.contains("Log see") {
                    started = Some(host.clone());
                }
                // While waking, packets are reported in the same form.
                if sending || launch == Launch::InvalidMac {
                    launches.note(host, launch);
                }
            } else if let Some(Launch::Started { pids }) = started
                .as_ref()
                .and_then(|host| launches.hosts.get_mut(host))
            {
                // tmux names the shells of all windows, a line each.
                let pid = leading_number(line);
                if pid.is_none() || line.contains("Log see") {
                    started = None;
                }
                pids.extend(pid);
            }
            if !line.is_empty() && !line.starts_with('#') {
                last = Some(line.to_owned());
            }
        }
        launches.refused = last.filter(|_| !begun);
        launches
    }

    fn note(&mut self, host: HostName, launch: Launch) {
        // That a host could not be woken explains why it is not online.
        if launch == Launch::NotOnline && self.hosts.get(&host) == Some(&Launch::InvalidMac) {
            return;
        }
        self.hosts.insert(host, launch);
    }
}

/// The host of `Skipping <host>, not a pxe host!`.
fn skipped(line: &str) -> Option<HostName> {
    let host = line
        .strip_prefix("Skipping ")?
        .strip_suffix(", not a pxe host!")?;
    host.to_ascii_lowercase().parse().ok()
}

/// The two halves of `<host> ... <what happened>`.
fn about_host(line: &str) -> Option<(HostName, &str)> {
    let (host, said) = line.split_once(" ...")?;
    Some((host.to_ascii_lowercase().parse().ok()?, said.trim()))
}

fn launch(said: &str) -> Launch {
    if let Some(rest) = said.strip_prefix("Started with PID") {
        Launch::Started {
            pids: leading_number(rest.trim()).into_iter().collect(),
        }
    } else if said.starts_with("Not online") {
        Launch::NotOnline
    } else if said.contains("is no valid mac address!") {
        Launch::InvalidMac
    } else {
        Launch::Unrecognised {
            line: said.to_owned(),
        }
    }
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .map_or(text, |end| &text[..end]);
    digits.parse().ok()
}

const REMOTE: &str = "_linbo-remote";
const TORRENT: &str = "_torrent";

/// The tmux session in which `linbo-remote` runs the commands of a host. tmux turns dots into underscores.
#[must_use]
pub fn session_name(host: &HostName) -> String {
    format!("{}{REMOTE}", underscored(host.as_str()))
}

/// The tmux session that seeds an image file: `ubuntu_qcow2_torrent`.
#[must_use]
pub fn torrent_session_name(file: &FileName) -> String {
    format!("{}{TORRENT}", underscored(file.as_str()))
}

fn underscored(name: &str) -> String {
    name.replace(['.', ':'], "_")
}

/// The names in a list of tmux sessions, be it names alone or `<name>: 1 windows (…)`.
#[must_use]
pub fn sessions(list: &[u8]) -> BTreeSet<String> {
    lines(list)
        .filter_map(|(_, line)| {
            // tmux admits no colon in a name.
            let name = line.split(':').next().unwrap_or_default().trim();
            (!name.is_empty() && !name.contains(' ')).then(|| name.to_owned())
        })
        .collect()
}

/// The host on which `linbo-remote` runs commands in a tmux session of this name; none for other sessions.
#[must_use]
pub fn busy_host(session: &str) -> Option<HostName> {
    let host = session.strip_suffix(REMOTE)?;
    host.to_ascii_lowercase().parse().ok()
}

#[cfg(test)]
mod tests;
