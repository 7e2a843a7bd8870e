//! What hosts reported, and which of them are busy with what this pass did not start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use jiff::Timestamp;
use schema::fleet::RoomHosts;
use schema::name::HostName;

use super::read::{Links, names, read};
use super::{Probes, blocking};
use crate::config::Config;
use crate::host::process::is_locked;
use crate::host::reset::{host_log, read_end};
use crate::host::tmux::Tmux;
use crate::linbo::devices::Devices;
use crate::linbo::remote::busy_host;
use crate::linbo::status::{HostReport, ImageEvent};
use crate::linbo::verdict::belies;
use crate::planning::{Busy, Desired, Journal, Occupant, Probe};

/// Far more than the one line of a status file needs.
const LONGEST_STATUS: u64 = 64 << 10;
/// How many status files one thread reads.
const CHUNK: usize = 256;

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
    config: &Config,
    journal: &Journal,
    hosts: BTreeSet<HostName>,
) -> Probes<HostName, Option<HostReport>> {
    let hosts: Vec<HostName> = hosts.into_iter().collect();
    let chunks = hosts.chunks(CHUNK).map(|chunk| {
        let (folder, chunk) = (config.paths.linbo_log.clone(), chunk.to_vec());
        let logs_of_unheard: Vec<_> = chunk
            .iter()
            .map(|host| journal.host(host).unheard().map(|_| logs(config, host)))
            .collect();
        async move {
            let read = blocking({
                let chunk = chunk.clone();
                move || {
                    let all = chunk.iter().zip(logs_of_unheard).map(|(host, logs)| {
                        let report = report(&folder, host);
                        match (&report, logs) {
                            (Probe::Seen(Some(found)), Some(logs)) if is_belied(found, &logs) => {
                                tracing::warn!(%host, "its report is belied by the log of the same run");
                                Probe::Seen(None)
                            }
                            _ => report,
                        }
                    });
                    Probe::Seen(all.collect::<Vec<_>>())
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

/// Where the drivers leave what a host said.
fn logs(config: &Config, host: &HostName) -> [PathBuf; 2] {
    let remote = config.paths.linbo_log.join(format!("{host}.linbo-remote"));
    [host_log(config, host), remote]
}

/// Whether a host of which no pass heard the end failed, whatever it reported: it is put back once more.
fn is_belied(report: &HostReport, logs: &[PathBuf]) -> bool {
    let mut texts = logs.iter().filter_map(|log| read_end(log));
    report.event == ImageEvent::Applied && texts.any(|text| belies(&text, report))
}

/// Hosts on which something runs at a time; `at_work` are those on which this pass itself works.
pub(super) async fn busy(
    config: &Config,
    journal: &Journal,
    at: Timestamp,
    at_work: BTreeSet<HostName>,
) -> Probe<BTreeMap<HostName, Busy>> {
    let tmux = &config.commands.tmux;
    let folder = config.paths.run.join("hosts");
    let skipped = at_work.clone();
    let orphans = blocking(move || match orphans(&folder, &skipped) {
        Ok(hosts) => Probe::Seen(hosts),
        Err(cause) => Probe::Unseen(cause),
    });
    let (sessions, orphans) = tokio::join!(sessions(Tmux::new(tmux)), orphans);
    let (sessions, orphans) = match (sessions, orphans) {
        (Ok(sessions), Probe::Seen(orphans)) => (sessions, orphans),
        (Err(cause), _) | (Ok(_), Probe::Unseen(cause)) => return Probe::Unseen(cause),
    };
    let patience = config.reset.command_timeout;
    let busy = |host, by, since: Timestamp| {
        // Before a clock that was put back nothing is late.
        let since = since.min(at);
        let until = since.saturating_add(patience).unwrap_or(Timestamp::MAX);
        (host, Busy { by, since, until })
    };
    let orphans = orphans.into_iter().map(|host| {
        let since = journal.host(&host).touched().unwrap_or(at);
        let log = host_log(config, &host).display().to_string();
        busy(host, Occupant::Orphan(log), since)
    });
    let sessions = sessions
        .into_iter()
        .filter(|(host, _)| !at_work.contains(host))
        .map(|(host, since)| busy(host, Occupant::Session, since));
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
        if !at_work.contains(&host) && is_at_work(&folder.join(&name))? {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

fn is_at_work(path: &Path) -> Result<bool, String> {
    let failed = |error| format!("cannot look at the lock {}: {error}", path.display());
    is_locked(path).map_err(failed)
}

/// Hosts that a tmux session of `linbo-remote` has, and since when.
pub(super) async fn sessions(tmux: Tmux<'_>) -> Result<BTreeMap<HostName, Timestamp>, String> {
    match tmux.since().await {
        Ok(sessions) => Ok(sessions
            .into_iter()
            .filter_map(|(name, since)| Some((busy_host(&name)?, since)))
            .collect()),
        Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
    }
}
