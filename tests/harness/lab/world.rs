//! What every process of a lab knows about it: one description (`lab.json`), one clock, one layout of folders.
//!
//! **Time.** `<lab>/now` holds the milliseconds by which the lab's time differs from the machine's. `reconcile` and
//! what it starts see that time through libfaketime; everything that outlives them (tmux sessions, LINBO clients)
//! runs unfaked and adds the offset itself. Both therefore agree, and time goes on between two runs.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write as _,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow};
use jiff::{SignedDuration, Timestamp, Zoned, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// The description of a lab, stored as `<lab>/lab.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    /// The lab's folder; known from where the description was read.
    #[serde(skip)]
    pub root: PathBuf,
    /// IANA name of the zone in which servers and clients write times.
    pub time_zone: String,
    /// Port on which a host in LINBO answers SSH (2222 in a school).
    pub linbo_port: u16,
    /// Port on which a host that runs its operating system answers SSH (22 in a school).
    pub os_port: u16,
    /// Port on which a host that runs Windows answers (445 in a school).
    pub windows_port: u16,
    /// How long things take.
    pub pace: Pace,
    /// Names of all servers, the central one first.
    pub servers: Vec<String>,
    /// All hosts of all servers by name.
    pub hosts: BTreeMap<String, HostSpec>,
}

/// How long things take in a lab, in real milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    /// From power-on until LINBO answers.
    pub boot_ms: u64,
    /// The restore of an image.
    pub sync_ms: u64,
    /// The transfer of one image file to a client.
    pub download_ms: u64,
    /// One second of `linbo-remote -w` and `-b`.
    pub second_ms: u64,
    /// The pause of `linbo-remote` between two commands (3 s in a school).
    pub pause_ms: u64,
    /// The wait of `linbo-remote` after start, reboot and halt (10 s in a school).
    pub background_ms: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            boot_ms: 200,
            sync_ms: 300,
            download_ms: 100,
            second_ms: 50,
            pause_ms: 100,
            background_ms: 2000,
        }
    }
}

/// A PC as it stands in its room: what it is, whatever a `devices.csv` says about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostSpec {
    /// The server that it boots from.
    pub server: String,
    /// Its room.
    pub room: String,
    /// The hardware class of its first `devices.csv` row.
    pub class: String,
    /// Its MAC address, lower case with colons.
    pub mac: String,
    /// Its address, unique in 127.0.0.0/8.
    pub address: Ipv4Addr,
}

impl World {
    /// Reads the description of the lab in `root`.
    pub fn open(root: &Path) -> Result<Self> {
        let path = root.join("lab.json");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read the lab's description {}", path.display()))?;
        let world: Self = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand {}", path.display()))?;
        Ok(Self {
            root: root.to_owned(),
            ..world
        })
    }

    /// Writes the description.
    pub fn save(&self) -> Result<()> {
        replace(
            &self.root.join("lab.json"),
            serde_json::to_string_pretty(self)?,
        )
    }

    /// The folders of a server.
    #[must_use]
    pub fn server(&self, name: &str) -> ServerPaths {
        ServerPaths {
            name: name.to_owned(),
            root: self.root.join(name),
        }
    }

    /// The folder with the state of a host.
    #[must_use]
    pub fn host_dir(&self, host: &str) -> PathBuf {
        self.root.join("hosts").join(host)
    }

    /// The host's description, or an error that names it.
    pub fn host(&self, host: &str) -> Result<&HostSpec> {
        self.hosts
            .get(host)
            .ok_or_else(|| anyhow!("the lab has no host {host}"))
    }

    fn zone(&self) -> Result<TimeZone> {
        TimeZone::get(&self.time_zone).context("the lab's time zone is not known")
    }

    /// The lab's time, in its zone.
    pub fn now(&self) -> Result<Zoned> {
        let shift = if is_faked() { 0 } else { self.offset_ms()? };
        let now = Timestamp::now().checked_add(SignedDuration::from_millis(shift))?;
        Ok(now.to_zoned(self.zone()?))
    }

    /// The lab's time minus the machine's, in milliseconds.
    pub fn offset_ms(&self) -> Result<i64> {
        match fs::read_to_string(self.root.join("now")) {
            Ok(text) => Ok(text.trim().parse()?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).context("cannot read the lab's clock"),
        }
    }

    /// Sets the lab's time to `local`, such as `2026-11-23 18:05:00`, read in the lab's zone.
    pub fn set_time(&self, local: &str) -> Result<()> {
        let civil: civil::DateTime = local
            .parse()
            .with_context(|| format!("{local:?} is not a time like 2026-11-23 18:05:00"))?;
        let wanted = civil.to_zoned(self.zone()?)?.timestamp();
        let offset = wanted.as_millisecond() - Timestamp::now().as_millisecond();
        replace(&self.root.join("now"), offset.to_string())
    }

    /// Gives `path` the lab's time as its modification time, as if it had been written then.
    pub fn stamp(&self, path: &Path) -> Result<()> {
        let seconds = u64::try_from(self.now()?.timestamp().as_second())?;
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_modified(time))
            .with_context(|| format!("cannot set the time of {}", path.display()))
    }
}

/// Whether this very process sees the lab's time already.
fn is_faked() -> bool {
    env::var_os("FAKETIME").is_some()
        && env::var("LD_PRELOAD").is_ok_and(|library| library.contains("faketime"))
}

/// Milliseconds since the machine started: the same for all processes, also for those that see the lab's time.
pub(super) fn uptime_ms() -> Result<u64> {
    let text = fs::read_to_string("/proc/uptime").context("cannot read the machine's uptime")?;
    let seconds: f64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(u64::try_from(
        Duration::try_from_secs_f64(seconds)?.as_millis(),
    )?)
}

/// How long ago the kernel started this process, however long it took to get on since.
pub(super) fn age() -> Result<Duration> {
    const TICK_MS: u64 = 10;
    let text = fs::read_to_string("/proc/self/stat").context("cannot read the process's times")?;
    let fields = text.rsplit(')').next().unwrap_or_default();
    let started: u64 = fields
        .split_whitespace()
        .nth(19)
        .context("the process has no start time")?
        .parse()?;
    Ok(Duration::from_millis(
        uptime_ms()?.saturating_sub(started * TICK_MS),
    ))
}

/// Replaces `path` atomically.
pub(super) fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let folder = path
        .parent()
        .with_context(|| format!("{} has no folder", path.display()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    file.write_all(content.as_ref())?;
    let file = file.persist(path)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.set_permissions(mode)?;
    Ok(())
}

/// The folders of one server, laid out as on a linuxmuster.net server below a root of its own.
#[derive(Clone, Debug)]
pub struct ServerPaths {
    /// The server's name.
    pub name: String,
    /// What stands for `/`.
    pub root: PathBuf,
}

impl ServerPaths {
    /// `srv/linbo`.
    #[must_use]
    pub fn linbo(&self) -> PathBuf {
        self.root.join("srv/linbo")
    }

    /// `srv/linbo/images`.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.linbo().join("images")
    }

    /// `srv/linbo/linbocmd`, the onboot commands.
    #[must_use]
    pub fn linbocmd(&self) -> PathBuf {
        self.linbo().join("linbocmd")
    }

    /// `srv/linbo-reconciler`, the store of verified versions.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.root.join("srv/linbo-reconciler")
    }

    /// `etc/linuxmuster`.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc/linuxmuster")
    }

    /// The machine configuration of the reconciler.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.etc().join("reconciler.yaml")
    }

    /// The password with which this server reads the central server's releases.
    #[must_use]
    pub fn release_password(&self) -> PathBuf {
        self.etc().join("reconciler/release-password")
    }

    /// `devices.csv` of the default school.
    #[must_use]
    pub fn devices_csv(&self) -> PathBuf {
        self.etc().join("sophomorix/default-school/devices.csv")
    }

    /// `setup.ini`.
    #[must_use]
    pub fn setup_ini(&self) -> PathBuf {
        self.etc().join("setup.ini")
    }

    /// The SSH configuration for LINBO clients.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.etc().join("linbo/ssh_config")
    }

    /// `var/log/linuxmuster/linbo`, where the clients' logs and statuses arrive.
    #[must_use]
    pub fn linbo_log(&self) -> PathBuf {
        self.root.join("var/log/linuxmuster/linbo")
    }

    /// The reconciler's state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("var/lib/linuxmuster-reconciler")
    }

    /// `run`; the reconciler's lock and the tmux socket live below it.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// `TMUX_TMPDIR` of everything on this server.
    #[must_use]
    pub fn tmux(&self) -> PathBuf {
        self.run().join("tmux")
    }

    /// The programs of this server.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The home of root.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("root")
    }

    /// `var/tmp`, where linbo-remote leaves its scripts.
    #[must_use]
    pub fn scripts(&self) -> PathBuf {
        self.root.join("var/tmp")
    }

    /// Where the torrent stand-ins say which files they seed.
    #[must_use]
    pub fn seeding(&self) -> PathBuf {
        self.run().join("seeding")
    }

    /// The whitelist of the tracker.
    #[must_use]
    pub fn whitelist(&self) -> PathBuf {
        self.root.join("var/lib/opentracker/whitelist")
    }

    /// The file that makes the stand-in `program` fail, if it is there; its first word says how.
    #[must_use]
    pub fn fault(&self, program: &str) -> PathBuf {
        self.root.join("faults").join(program)
    }

    /// The fault that is set for `program`, or an empty string.
    #[must_use]
    pub fn fault_of(&self, program: &str) -> String {
        let text = fs::read_to_string(self.fault(program)).unwrap_or_default();
        text.trim().to_owned()
    }

    /// Every folder that exists on a fresh server.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        vec![
            self.images(),
            self.linbocmd(),
            self.linbo().join("boot/grub/hostcfg"),
            self.linbo().join("boot/links"),
            self.store(),
            self.etc().join("reconciler"),
            self.etc().join("linbo"),
            self.etc().join("sophomorix/default-school"),
            self.root.join("etc/dhcp/devices"),
            self.root
                .join("var/lib/linuxmuster/hooks/device-import.post.d"),
            self.root.join("var/lib/opentracker"),
            self.root.join("faults"),
            self.linbo_log(),
            self.state(),
            self.tmux(),
            self.seeding(),
            self.bin(),
            self.home().join(".ssh"),
            self.scripts(),
        ]
    }
}
