//! One file over rsync: watched, limited, and never written by two.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use schema::digest::Digest;
use schema::units::Rate;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::basis::BLOCK;
use super::lock::{Attempt, attempt};
use super::{DownloadError, Limits};
use crate::config::ReleaseLogin;
use crate::host::process::{Finished, Program};
use crate::host::store::StoreFolder;
use crate::planning::slots::content;
use crate::world::Failure;

/// How a file is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// What is there is kept unread, the rest is fetched: re-sends nothing. Whoever calls this
    /// compares the digest afterwards.
    Append,
    /// Nothing is there, but a like file is. Ended at any time, it leaves what [`Self::Append`] goes on with.
    Like,
    /// What is there is compared by blocks, and what differs is fetched. Reads all of it on both
    /// sides, and re-sends little more than what is wrong.
    Mend,
    /// As a whole, and not at all when it is larger than this.
    Whole {
        /// Bytes.
        most: usize,
    },
}

/// One file to be fetched.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) url: String,
    pub(super) target: PathBuf,
    pub(super) way: Way,
    /// Where the like file is.
    pub(super) basis: Option<&'a Path>,
    /// The size that it must not exceed.
    pub(super) size: u64,
    pub(super) login: Option<&'a ReleaseLogin>,
    /// What it may take of the line, headers included.
    pub(super) rate: Option<Rate>,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Order<'_> {
    fn program(&self, rsync: &std::path::Path) -> Program {
        let mut program =
            Program::new("rsync", rsync).args(["--no-motd", "--contimeout=30", "--timeout=300"]);
        program = match self.way {
            Way::Append => program.arg("--append"),
            Way::Like => program
                .args(["--inplace", "--no-whole-file", "--ignore-times"])
                .arg(format!("--block-size={BLOCK}")),
            Way::Mend => program.args([
                "--inplace",
                "--no-whole-file",
                "--ignore-times",
                "--info=progress2",
            ]),
            Way::Whole { most } => program
                .args(["--inplace", "--whole-file", "--ignore-times"])
                .arg(format!("--max-size={most}")),
        };
        if let Some(basis) = self.basis {
            let mut folder = std::ffi::OsString::from("--compare-dest=");
            folder.push(basis);
            program = program.arg(folder);
        }
        if let Some(rate) = self.rate {
            program = program.arg(format!("--bwlimit={}", content(rate).kib_per_second()));
        }
        if let Some(login) = self.login {
            let mut file = std::ffi::OsString::from("--password-file=");
            file.push(&login.password_file);
            program = program.arg(file);
        }
        program.args(["--", &self.url]).arg(&self.target)
    }

    fn arrived(&self) -> u64 {
        std::fs::metadata(&self.target).map_or(0, |found| found.len())
    }

    /// Fetches the file. Dropping the future ends rsync and keeps what has arrived.
    pub(super) async fn fetch(
        &self,
        rsync: &std::path::Path,
        limits: &Limits,
        lock: &File,
        grown: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        wait_until(self.from, limits.tick).await;
        let input = lock
            .try_clone()
            .map_err(|source| DownloadError::file(&self.target, source))?;
        let failed = |error| Failure::from(anyhow::Error::new(DownloadError::Program(error)));
        let mut program = self.program(rsync).stdin(input).start().map_err(failed)?;
        let mut tick = interval(limits.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Reading what is there takes a while in which nothing grows: some GiB a minute at least.
        let quiet = if matches!(self.way, Way::Mend | Way::Like) {
            limits.quiet * 10
        } else {
            limits.quiet
        };
        let mut size = self.arrived();
        let mut sign_of_life = Instant::now();
        let ended = loop {
            let mut heard = false;
            let mut hear = |_: &str| heard = true;
            let finished = tokio::select! {
                finished = program.finished(&mut hear) => Some(finished),
                _ = tick.tick() => None,
            };
            let now = self.arrived();
            grown(now);
            if let Some(finished) = finished {
                break finished.map_err(failed)?;
            }
            if now != size || heard {
                (size, sign_of_life) = (now, Instant::now());
            }
            let stop = if now > self.size {
                Some(DownloadError::TooLarge {
                    url: self.url.clone(),
                    size: self.size,
                })
            } else if sign_of_life.elapsed() >= quiet {
                Some(DownloadError::Stalled {
                    url: self.url.clone(),
                    seconds: quiet.as_secs(),
                })
            } else if crate::host::clock() >= self.until {
                None
            } else {
                continue;
            };
            let finished = program.stop().await.map_err(failed)?;
            return Err(match stop {
                Some(error) => error.with(finished.last_lines(LINES)),
                None => Failure::Paused,
            });
        };
        if ended.is_success() {
            Ok(())
        } else {
            Err(self.failure(&ended))
        }
    }

    fn failure(&self, finished: &Finished) -> Failure {
        let why = match finished.code {
            Some(5) => {
                "the central server does not know the module or refused the login: compare central.release_module in the state repo with its rsyncd.conf, and the user and password file in this server's settings"
            }
            Some(10 | 12 | 30 | 35) => {
                "the connection to the central server failed or was cut: see that it is up, that its rsync daemon runs and that no firewall is between; what has arrived is kept"
            }
            Some(11) => {
                "a file could not be read or written, most often because the disk is full: make room where the store is; what has arrived is kept"
            }
            Some(20) => "rsync was ended from outside; what has arrived is kept",
            Some(23) => {
                "the central server does not have the file or may not read it: see that the version was published completely"
            }
            Some(24) => {
                "the file vanished on the central server while it was read: see that the version is still published"
            }
            _ => "rsync failed; its last lines say more",
        };
        let (url, how) = (self.url.clone(), finished.how());
        DownloadError::Rsync { url, how, why }.with(finished.last_lines(LINES))
    }
}

/// Waits for an instant by the clock on the wall, which may be set meanwhile.
async fn wait_until(instant: Timestamp, tick: Duration) {
    loop {
        let left = instant.duration_since(crate::host::clock()).unsigned_abs();
        if crate::host::clock() >= instant {
            return;
        }
        tokio::time::sleep(left.min(tick)).await;
    }
}

/// How many lines of a program are evidence.
const LINES: usize = 10;

/// Waits until nobody else writes the file of this digest. Transfers of a reconciler that is gone are
/// ended; what they wrote is kept.
pub(in crate::host) async fn only_writer(
    store: &StoreFolder,
    digest: &Digest,
    until: Timestamp,
) -> Result<File, Failure> {
    let path = store.lock(digest);
    let mut ended = 0;
    loop {
        match attempt(&path).map_err(|source| DownloadError::file(&path, source))? {
            Attempt::Locked(file) => return Ok(file),
            Attempt::Orphans(_) if ended >= 3 => {
                return Err(anyhow::Error::new(DownloadError::StillWritten { path }).into());
            }
            Attempt::Orphans(groups) => {
                ended += 1;
                for group in groups {
                    tracing::info!(%group, "ending a download whose reconciler is gone");
                    group.end().await;
                }
            }
            Attempt::Taken if crate::host::clock() >= until => return Err(Failure::Paused),
            Attempt::Taken => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
