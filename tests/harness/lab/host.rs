//! One simulated PC: a folder of small files that the lab's processes and its tests read and set at any time.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::{
    power::Power,
    world::{World, age, replace, uptime_ms},
};

/// What a host does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Without power: connections are refused, only a magic packet helps.
    Off,
    /// On its way to LINBO.
    Booting,
    /// In LINBO: SSH answers on [`World::linbo_port`].
    Linbo,
    /// Runs its Linux: SSH answers on [`World::os_port`] only.
    Os,
    /// Runs Windows: something answers on [`World::windows_port`], which nobody can talk to.
    Windows,
    /// On, but nothing answers and nothing wakes it.
    Broken,
}

impl State {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Off, "off"),
        (Self::Booting, "booting"),
        (Self::Linbo, "linbo"),
        (Self::Os, "os"),
        (Self::Windows, "windows"),
        (Self::Broken, "broken"),
    ];

    pub(super) fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(state, _)| *state == self);
        found.map_or("off", |(_, word)| word)
    }

    pub(super) fn read(word: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found.map(|(state, _)| *state)
    }
}

/// What the Linux of a host says to whoever asks who is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// That somebody is, unless it was set otherwise.
    Somebody,
    /// That the greeter alone is there.
    Nobody,
    /// Something that is no answer.
    Garbage,
    /// Nothing: it lets nobody in.
    Refused,
}

impl Login {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Somebody, "somebody"),
        (Self::Nobody, "nobody"),
        (Self::Garbage, "garbage"),
        (Self::Refused, "refused"),
    ];
}

/// What goes wrong with a host, until the fault is cleared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Never wakes: no magic packet helps.
    Offline,
    /// Needs this much longer than usual to boot.
    WakesLate(Duration),
    /// Someone works at it: it runs its OS and stays there when a magic packet comes.
    InUse,
    /// The base image cannot be downloaded: exit 1 and no log is sent.
    DownloadFails,
    /// The cache partition runs full while an image is downloaded.
    CacheFull,
    /// The restore fails: failure strings in the log, exit 1, no status.
    SyncFails,
    /// The image cannot be mounted, and the client reports `applied` and exit 0 all the same.
    MountFails,
    /// The restore does not end while this is set.
    HangsInSync,
    /// The network link dies in the middle of the restore.
    LinkCut,
    /// It goes off in the middle of the restore.
    PowerFails,
    /// The status file is half written.
    StatusTorn,
    /// The status file is not written at all.
    StatusMissing,
    /// The server's log of the host is cut off after it was written.
    LogTruncated,
    /// The server has no PTR record of the host: its files are named `UNKNOWN`.
    NoReverseName,
    /// Power stays on at `halt`.
    HaltFails,
}

impl Fault {
    const PLAIN: [(Self, &'static str); 14] = [
        (Self::Offline, "offline"),
        (Self::InUse, "in-use"),
        (Self::DownloadFails, "download-fails"),
        (Self::CacheFull, "cache-full"),
        (Self::SyncFails, "sync-fails"),
        (Self::MountFails, "mount-fails"),
        (Self::HangsInSync, "hangs-in-sync"),
        (Self::LinkCut, "link-cut"),
        (Self::PowerFails, "power-fails"),
        (Self::StatusTorn, "status-torn"),
        (Self::StatusMissing, "status-missing"),
        (Self::LogTruncated, "log-truncated"),
        (Self::NoReverseName, "no-reverse-name"),
        (Self::HaltFails, "halt-fails"),
    ];

    fn line(&self) -> String {
        if let Self::WakesLate(late) = self {
            return format!("wakes-late {}", late.as_millis());
        }
        let found = Self::PLAIN.iter().find(|(fault, _)| fault == self);
        found.map_or_else(String::new, |(_, word)| (*word).to_owned())
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        if let Some(late) = line.strip_prefix("wakes-late ") {
            return Ok(Self::WakesLate(Duration::from_millis(late.parse()?)));
        }
        let found = Self::PLAIN.iter().find(|(_, word)| *word == line);
        found
            .map(|(fault, _)| fault.clone())
            .ok_or_else(|| anyhow!("{line:?} is not a fault of a host"))
    }
}

/// One command that a host was given, in order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The lab's time of arrival, RFC 3339.
    pub at: String,
    /// The whole command, such as `linbo_wrapper sync:1`.
    pub command: String,
    /// Its exit status; `None` while it runs and for ever if the host went down under it.
    pub code: Option<i32>,
    /// What else was running when it began; LINBO itself does not prevent that.
    pub overlaps: Vec<String>,
}

/// An image file as a host has it in its cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cached {
    /// Size in bytes.
    pub size: u64,
    /// [`super::images::sample_digest`] of the content.
    pub digest: String,
}

#[derive(Serialize, Deserialize)]
struct Event {
    at: String,
    id: String,
    command: String,
    code: Option<i32>,
    end: bool,
    overlaps: Vec<String>,
}

/// A handle on one host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    world: World,
}

impl Host {
    /// The host `name` of the lab.
    #[must_use]
    pub fn new(world: &World, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            dir: world.host_dir(name),
            world: world.clone(),
        }
    }

    /// Creates the folder of a host that is off.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(self.dir.join("cache"))?;
        fs::create_dir_all(self.dir.join("running"))?;
        self.set_state(State::Off)
    }

    fn read(&self, name: &str) -> Result<String> {
        match fs::read_to_string(self.dir.join(name)) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).with_context(|| format!("host {}: {name}", self.name)),
        }
    }

    /// What the host does now.
    pub fn state(&self) -> Result<State> {
        let text = self.read("state")?;
        State::read(text.trim())
            .ok_or_else(|| anyhow!("host {}: {text:?} is not a state", self.name))
    }

    /// Sets what the host does, as if by its power button; it takes hold within some 20 ms.
    pub fn set_state(&self, state: State) -> Result<()> {
        if state == State::Booting {
            replace(&self.dir.join("boot_at"), self.boot_due()?.to_string())?;
        }
        replace(&self.dir.join("state"), state.word())?;
        self.world
            .note_power(&self.name, Power::Is(state), Duration::ZERO)
    }

    /// Sets what its Linux says of logins.
    pub fn set_login(&self, login: Login) -> Result<()> {
        let found = Login::ALL.iter().find(|(known, _)| *known == login);
        replace(
            &self.dir.join("login"),
            found.map_or("somebody", |(_, word)| word),
        )
    }

    /// What its Linux says of logins.
    pub fn login(&self) -> Result<Login> {
        let text = self.read("login")?;
        let found = Login::ALL.iter().find(|(_, word)| *word == text.trim());
        Ok(found.map_or(Login::Somebody, |(login, _)| *login))
    }

    fn boot_due(&self) -> Result<u64> {
        let late = self.faults()?.into_iter().find_map(|fault| match fault {
            Fault::WakesLate(late) => u64::try_from(late.as_millis()).ok(),
            _ => None,
        });
        Ok(uptime_ms()? + self.world.pace.boot_ms + late.unwrap_or(0))
    }

    /// Whether a booting host has reached LINBO by now.
    pub fn boot_is_over(&self) -> Result<bool> {
        Ok(uptime_ms()? >= self.read("boot_at")?.trim().parse().unwrap_or(0))
    }

    /// A magic packet arrives.
    pub fn wake(&self) -> Result<()> {
        self.count("magic_packets")?;
        self.world.note_power(&self.name, Power::Packet, age()?)?;
        if self.state()? == State::Off && !self.has(&Fault::Offline)? {
            self.set_state(State::Booting)?;
        }
        Ok(())
    }

    /// How many magic packets have come so far.
    pub fn magic_packets(&self) -> Result<usize> {
        Ok(self.read("magic_packets")?.lines().count())
    }

    /// Adds a line to a counting file.
    pub fn count(&self, name: &str) -> Result<()> {
        append(&self.dir.join(name), "1\n")
    }

    /// How often the host has reached LINBO.
    pub fn boots(&self) -> Result<usize> {
        Ok(self.read("boots")?.lines().count())
    }

    /// Lets the host reach LINBO and waits until it answers there.
    pub fn boot(&self) -> Result<()> {
        self.set_state(State::Linbo)?;
        self.wait_for_port(self.world.linbo_port)
    }

    /// Waits until the host answers on `port`; at most 10 s.
    pub fn wait_for_port(&self, port: u16) -> Result<()> {
        let address = SocketAddr::from((self.world.host(&self.name)?.address, port));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("host {} does not answer on {address}", self.name)
    }

    /// Waits until the host is in `state`; at most `limit`.
    pub fn wait_for(&self, state: State, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        while self.state()? != state {
            if begin.elapsed() > limit {
                bail!("host {} is {:?}, not {state:?}", self.name, self.state()?);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// All faults that are set.
    pub fn faults(&self) -> Result<BTreeSet<Fault>> {
        self.read("faults")?.lines().map(Fault::from_str).collect()
    }

    /// Whether `fault` is set.
    pub fn has(&self, fault: &Fault) -> Result<bool> {
        Ok(self.faults()?.contains(fault))
    }

    /// Adds a fault.
    pub fn set_fault(&self, fault: Fault) -> Result<()> {
        if fault == Fault::InUse {
            self.set_state(State::Os)?;
        }
        let mut faults = self.faults()?;
        faults.insert(fault);
        self.write_faults(&faults)
    }

    /// Takes one fault away.
    pub fn clear_fault(&self, fault: &Fault) -> Result<()> {
        let mut faults = self.faults()?;
        faults.remove(fault);
        self.write_faults(&faults)
    }

    /// Takes all faults away; a link that was cut works again once the host is off or rebooted.
    pub fn clear_faults(&self) -> Result<()> {
        self.write_faults(&BTreeSet::new())
    }

    fn write_faults(&self, faults: &BTreeSet<Fault>) -> Result<()> {
        let lines: Vec<_> = faults.iter().map(|fault| fault.line() + "\n").collect();
        replace(&self.dir.join("faults"), lines.concat())
    }

    /// Sets how long a restore takes on this host, instead of the lab's pace.
    pub fn set_sync_time(&self, time: Duration) -> Result<()> {
        replace(&self.dir.join("sync_ms"), time.as_millis().to_string())
    }

    /// How long a restore takes on this host.
    pub fn sync_time(&self) -> Result<Duration> {
        let own = self.read("sync_ms")?;
        let ms = own.trim().parse().unwrap_or(self.world.pace.sync_ms);
        Ok(Duration::from_millis(ms))
    }

    /// Notes that a command begins, under an `id` of its own.
    pub fn begin(&self, id: &str, command: &str, overlaps: Vec<String>) -> Result<()> {
        self.note(id, command, None, false, overlaps)
    }

    /// Notes that the command `id` ended.
    pub fn end(&self, id: &str, code: i32) -> Result<()> {
        self.note(id, "", Some(code), true, Vec::new())
    }

    fn note(
        &self,
        id: &str,
        command: &str,
        code: Option<i32>,
        end: bool,
        overlaps: Vec<String>,
    ) -> Result<()> {
        let event = Event {
            at: self
                .world
                .now()?
                .strftime("%Y-%m-%dT%H:%M:%S%:z")
                .to_string(),
            id: id.to_owned(),
            command: command.to_owned(),
            code,
            end,
            overlaps,
        };
        let line = serde_json::to_string(&event)? + "\n";
        append(&self.dir.join("commands.log"), &line)
    }

    /// Every command that the host was given so far, in order of arrival.
    pub fn commands(&self) -> Result<Vec<Command>> {
        let mut commands: Vec<(String, Command)> = Vec::new();
        for line in self.read("commands.log")?.lines() {
            let event: Event = serde_json::from_str(line)?;
            if event.end {
                let begun = commands.iter_mut().rev().find(|(id, _)| *id == event.id);
                if let Some((_, command)) = begun {
                    command.code = event.code;
                }
                continue;
            }
            let command = Command {
                at: event.at,
                command: event.command,
                code: None,
                overlaps: event.overlaps,
            };
            commands.push((event.id, command));
        }
        Ok(commands.into_iter().map(|(_, command)| command).collect())
    }

    /// The commands of `linbo_wrapper` alone, such as `sync:1` or `sync:1 halt`.
    pub fn wrapped(&self) -> Result<Vec<String>> {
        let all = self.commands()?.into_iter();
        Ok(all
            .filter_map(|run| {
                run.command
                    .strip_prefix("linbo_wrapper ")
                    .map(str::to_owned)
            })
            .collect())
    }

    /// What the host applied last: the file, the version in its `.info` and the digests of base and diff.
    pub fn applied(&self) -> Result<Option<Applied>> {
        let text = self.read("applied.json")?;
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&text)?))
    }

    /// What the host saw that no client should ever see: an `.info` that lies, a foreign diff.
    pub fn anomalies(&self) -> Result<Vec<String>> {
        Ok(self.read("anomalies")?.lines().map(str::to_owned).collect())
    }

    /// Notes an anomaly.
    pub fn add_anomaly(&self, text: &str) -> Result<()> {
        append(&self.dir.join("anomalies"), &format!("{text}\n"))
    }
}

/// The content of a host's system partition, as far as the lab knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The file that was restored last: `ubuntu.qdiff`, or `ubuntu.qcow2` if there is no diff.
    pub file: String,
    /// The version of that file, from its `.info`.
    pub timestamp: String,
    /// The base as the host has it.
    pub base: Cached,
    /// The diff as the host has it.
    pub diff: Option<Cached>,
    /// Whether the image could not be mounted, so that nothing is really there.
    pub empty: bool,
}

/// Appends to a file in one write.
pub(super) fn append(path: &Path, text: &str) -> Result<()> {
    fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot append to {}", path.display()))
}
