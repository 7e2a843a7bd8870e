//! What hosts reported, and which of them are busy with what this pass did not start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use schema::fleet::RoomHosts;
use schema::name::HostName;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::read::{Links, names, read};
use super::{Probes, blocking};
use crate::linbo::devices::Devices;
use crate::linbo::status::HostReport;
use crate::planning::{Busy, Desired, Probe};

/// Far more than the one line of a status file needs.
const LONGEST_STATUS: u64 = 64 << 10;
/// How many status files one thread reads.
const CHUNK: usize = 256;
/// How long tmux may take to list its sessions.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// More than any number of sessions fills.
const LONGEST_LIST: u64 = 1 << 20;
/// How long to wait before a tmux server that was just ending is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// All hosts of all rooms, named as `devices.csv` does where it knows them.
pub(super) fn of_rooms(desired: &Desired, devices: Option<&Devices>) -> BTreeSet<HostName> {
    let mut all = BTreeSet::new();
    for (name, room) in &desired.rooms {
        match &room.hosts {
            RoomHosts::FromDevices => {
                let hosts = devices
                    .into_iter()
                    .flat_map(|devices| devices.in_room(name));
                all.extend(hosts.map(|device| device.host.clone()));
            }
            RoomHosts::Listed(hosts) => all.extend(hosts.iter().map(|host| {
                devices
                    .and_then(|devices| devices.get(host))
                    .map_or(host, |device| &device.host)
                    .clone()
            })),
        }
    }
    all
}

/// The last report of each host.
pub(super) async fn reports(
    folder: &Path,
    hosts: BTreeSet<HostName>,
) -> Probes<HostName, Option<HostReport>> {
    let hosts: Vec<HostName> = hosts.into_iter().collect();
    let chunks = hosts.chunks(CHUNK).map(|chunk| {
        let (folder, chunk) = (folder.to_owned(), chunk.to_vec());
        async move {
            let read = blocking({
                let chunk = chunk.clone();
                move || {
                    Probe::Seen(
                        chunk
                            .iter()
                            .map(|host| report(&folder, host))
                            .collect::<Vec<_>>(),
                    )
                }
            });
            let reports = match read.await {
                Probe::Seen(reports) => reports,
                Probe::Unseen(cause) => vec![Probe::Unseen(cause); chunk.len()],
            };
            chunk.into_iter().zip(reports).collect::<Vec<_>>()
        }
    });
    join_all(chunks).await.into_iter().flatten().collect()
}

fn report(folder: &Path, host: &HostName) -> Probe<Option<HostReport>> {
    let path = folder.join(format!("{host}_image.status"));
    let file = match read(&path, LONGEST_STATUS, Links::Refused) {
        Ok(Some(file)) => file,
        Ok(None) => return Probe::Seen(None),
        Err(cause) => return Probe::Unseen(cause),
    };
    match HostReport::parse(&file.bytes) {
        Ok(report) => Probe::Seen(Some(report)),
        // A line that cannot be read is no evidence that the host applied anything: the file was seen,
        // and it says nothing. Waiting for a better one would leave the host as it is for ever, since
        // the next sync is what writes it anew.
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "this report of a host says nothing");
            Probe::Seen(None)
        }
    }
}

/// Hosts on which something runs; `at_work` are those on which this pass itself works.
pub(super) async fn busy(
    tmux: &Path,
    run: &Path,
    at_work: BTreeSet<HostName>,
) -> Probe<BTreeMap<HostName, Busy>> {
    let folder = run.join("hosts");
    let skipped = at_work.clone();
    let orphans = blocking(move || match orphans(&folder, &skipped) {
        Ok(hosts) => Probe::Seen(hosts),
        Err(cause) => Probe::Unseen(cause),
    });
    let (sessions, orphans) = tokio::join!(sessions(tmux, None, DEADLINE), orphans);
    let (sessions, orphans) = match (sessions, orphans) {
        (Ok(sessions), Probe::Seen(orphans)) => (sessions, orphans),
        (Err(cause), _) | (Ok(_), Probe::Unseen(cause)) => return Probe::Unseen(cause),
    };
    let orphans = orphans.into_iter().map(|host| (host, Busy::Orphan));
    let sessions = sessions
        .into_iter()
        .filter(|host| !at_work.contains(host))
        .map(|host| (host, Busy::Session));
    Probe::Seen(orphans.chain(sessions).collect())
}

/// Hosts whose `<host>.log` is locked: by the command that an earlier pass left running.
fn orphans(folder: &Path, at_work: &BTreeSet<HostName>) -> Result<Vec<HostName>, String> {
    let mut hosts = Vec::new();
    for name in names(folder)?.unwrap_or_default() {
        let Some(host) = name.strip_suffix(".log").and_then(|host| host.parse().ok()) else {
            continue;
        };
        // Not even for a moment may this pass's own locks be in its own way.
        if !at_work.contains(&host) && is_locked(&folder.join(&name))? {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

fn is_locked(path: &Path) -> Result<bool, String> {
    let failed =
        |error: std::io::Error| format!("cannot look at the lock {}: {error}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    // Shared, so that two dry runs that look at the same time do not see each other.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Hosts that a tmux session of `linbo-remote` has: it asks for `<host>.linbo-remote`, and tmux makes
/// an underscore of the dot. `sockets` is where tmux looks for its server, if not at its usual place.
pub(super) async fn sessions(
    tmux: &Path,
    sockets: Option<&Path>,
    deadline: Duration,
) -> Result<BTreeSet<HostName>, String> {
    let failed = |why: String| {
        format!(
            "cannot list the sessions of linbo-remote with {}: {why}",
            tmux.display()
        )
    };
    let asked = async {
        loop {
            match ask(tmux, sockets)
                .await
                .map_err(|error| error.to_string())?
            {
                Answer::Listed(listed) => return Ok(listed),
                Answer::NoServer => return Ok(Vec::new()),
                Answer::Ending => tokio::time::sleep(PAUSE).await,
                Answer::Failed(why) => return Err(why),
            }
        }
    };
    let late = |_| failed(format!("no answer within {} s", deadline.as_secs_f32()));
    let listed = tokio::time::timeout(deadline, asked)
        .await
        .map_err(late)?
        .map_err(failed)?;
    let listed = String::from_utf8_lossy(&listed);
    let hosts = listed
        .lines()
        .filter_map(|name| name.trim_end().strip_suffix("_linbo-remote"));
    Ok(hosts
        .filter_map(|host| host.to_ascii_lowercase().parse().ok())
        .collect())
}

/// What tmux says.
enum Answer {
    Listed(Vec<u8>),
    NoServer,
    /// The server's last session has just ended, and so does the server.
    Ending,
    Failed(String),
}

async fn ask(tmux: &Path, sockets: Option<&Path>) -> std::io::Result<Answer> {
    let mut command = Command::new(tmux);
    command.args(["list-sessions", "-F", "#{session_name}"]);
    // Inside of a session it would ask that session's server instead of the one of `linbo-remote`.
    command.env_remove("TMUX").env("LC_ALL", "C");
    if let Some(sockets) = sockets {
        command.env("TMUX_TMPDIR", sockets);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let (is_success, listed, said) = output(command).await?;
    if listed.len() as u64 > LONGEST_LIST || said.len() as u64 > LONGEST_LIST {
        return Ok(Answer::Failed("its answer has no end".to_owned()));
    }
    if is_success {
        return Ok(Answer::Listed(listed));
    }
    let said = String::from_utf8_lossy(&said);
    let said = said.trim();
    // The socket was never there, or was left behind by a server that is gone. Any other trouble with
    // it, such as one that belongs to somebody else, shows nothing of sessions.
    let is_gone = said.starts_with("no server running")
        || said.starts_with("error connecting")
            && ["(No such file or directory)", "(Connection refused)"]
                .iter()
                .any(|why| said.contains(why));
    Ok(match said {
        _ if is_gone => Answer::NoServer,
        "server exited unexpectedly" | "server exited" | "lost server" => Answer::Ending,
        said => Answer::Failed(format!("it failed: {said}")),
    })
}

/// Whether it went well, and what it wrote to its two outputs, a little more than is borne at most.
async fn output(mut command: Command) -> std::io::Result<(bool, Vec<u8>, Vec<u8>)> {
    let mut child = command.spawn()?;
    let (mut listed, mut said) = (Vec::new(), Vec::new());
    let mut outputs = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::join!(
        async {
            match outputs.0.take() {
                Some(output) => output.take(LONGEST_LIST + 1).read_to_end(&mut listed).await,
                None => Ok(0),
            }
        },
        async {
            match outputs.1.take() {
                Some(output) => output.take(LONGEST_LIST + 1).read_to_end(&mut said).await,
                None => Ok(0),
            }
        },
    );
    stdout.and(stderr)?;
    Ok((child.wait().await?.success(), listed, said))
}
