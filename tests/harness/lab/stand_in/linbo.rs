//! What runs on a PC that is in LINBO: the wrapper with its commands, its log and its way to the server.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{date, linbo_sync};
use crate::lab::{
    host::{Fault, Host, State, append},
    linbo_files::{Section, split_start_conf},
    world::{ServerPaths, World, replace},
};

/// Why a command ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// It failed with this exit status.
    Failed(i32),
    /// The host lost power or was rebooted under it.
    Gone,
    /// The lab itself is broken.
    Lab(anyhow::Error),
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Lab(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Lab(error.into())
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Self::Lab(error.into())
    }
}

impl From<std::num::TryFromIntError> for Stop {
    fn from(error: std::num::TryFromIntError) -> Self {
        Self::Lab(error.into())
    }
}

pub(super) type Step<T = ()> = Result<T, Stop>;

/// A host in LINBO and the server that it booted from.
pub(super) struct Linbo {
    pub(super) world: World,
    pub(super) host: Host,
    pub(super) server: ServerPaths,
    pub(super) sections: Vec<Section>,
    boots: usize,
    /// Whether someone reads our standard output.
    loud: bool,
}

impl Linbo {
    pub(super) fn new(world: World, name: &str, loud: bool) -> Result<Self> {
        let host = Host::new(&world, name);
        let server = world.server(&world.host(name)?.server);
        let start_conf = fs::read_to_string(host.dir.join("start.conf")).unwrap_or_default();
        Ok(Self {
            boots: host.boots()?,
            sections: split_start_conf(&start_conf),
            world,
            host,
            server,
            loud,
        })
    }

    /// Begins a boot: the address leads to the class, whose start.conf is loaded once, here.
    pub(super) fn load(world: &World, name: &str) -> Result<()> {
        let host = Host::new(world, name);
        let spec = world.host(name)?;
        let linbo = world.server(&spec.server).linbo();
        let own = linbo.join(format!("start.conf-{}", spec.address));
        let text =
            fs::read_to_string(own).or_else(|_| fs::read_to_string(linbo.join("start.conf")));
        replace(&host.dir.join("start.conf"), text.unwrap_or_default())?;
        replace(&host.dir.join("linbo.log"), "")?;
        host.count("boots")
    }

    /// The onboot commands that wait for this host; fetching them deletes them on the server.
    pub(super) fn fetch_onboot(&self) -> Result<Option<String>> {
        let address = self.world.host(&self.host.name)?.address.to_string();
        for name in [&self.host.name, &address] {
            let path = self.server.linbocmd().join(format!("{name}.cmd"));
            if let Ok(text) = fs::read_to_string(&path) {
                fs::remove_file(&path)?;
                return Ok(Some(text.trim().to_owned()));
            }
        }
        Ok(None)
    }

    /// Runs onboot commands in order; the next one runs even if the one before failed.
    pub(super) fn run_onboot(&self, line: &str) -> Result<()> {
        for command in line
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            if command == "noauto" || command == "disablegui" || command.starts_with("linbo:") {
                continue;
            }
            if self.wrap(&[command.to_owned()])?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// `linbo_wrapper`: runs the commands until one fails. `None` if the host went down.
    pub(super) fn wrap(&self, commands: &[String]) -> Result<Option<i32>> {
        let line = format!("linbo_wrapper {}", commands.join(" "));
        let running = RunningMark::set(&self.host, &line)?;
        self.host.begin(&running.id, &line, running.others()?)?;
        let result = self.header(&line).and_then(|()| {
            commands
                .iter()
                .try_for_each(|command| self.command(command))
        });
        let code = match result {
            Ok(()) => 0,
            Err(Stop::Failed(code)) => code,
            Err(Stop::Gone) => return Ok(None),
            Err(Stop::Lab(error)) => return Err(error),
        };
        self.host.end(&running.id, code)?;
        Ok(Some(code))
    }

    fn command(&self, command: &str) -> Step {
        let (word, argument) = command.split_once(':').unwrap_or((command, ""));
        self.say(&format!("Command     : {word}"))?;
        let number = argument.split(':').next().unwrap_or("");
        match word {
            "sync" | "new" => {
                self.say(&format!("OS number   : {number}"))?;
                linbo_sync::sync(self, number, word == "new")
            }
            "initcache" => linbo_sync::initcache(self),
            "label" => {
                self.header("linbo_label all")?;
                self.say("Partition /dev/sda2 - fstype ext4 --> label ubuntu ...  OK!")?;
                self.send_log()
            }
            "start" => {
                self.section(number)?;
                self.send_log()?;
                self.go_down(State::Os)
            }
            "halt" if self.host.has(&Fault::HaltFails)? => self.wait(Duration::from_secs(30)),
            "halt" => {
                // A PC needs some seconds to go off, enough for what it said to arrive.
                self.wait(Duration::from_millis(300))?;
                self.go_down(State::Off)
            }
            "reboot" => self.go_down(State::Booting),
            "prestart" => Err(Stop::Failed(1)),
            // The real wrapper ignores words that it does not know, with exit 0; the others have no effect seen here.
            _ => Ok(()),
        }
    }

    /// The `[OS]` section of a number as given on the command line; a shell error as in LINBO if there is none.
    pub(super) fn section(&self, number: &str) -> Step<&Section> {
        let found = number.parse().ok();
        let found =
            found.and_then(|number| crate::lab::linbo_files::os_section(&self.sections, number));
        match found {
            Some(section) => Ok(section),
            None => {
                self.say(&format!(
                    "/usr/bin/linbo_wrapper: line 21: /conf/os.{number}: not found"
                ))?;
                Err(Stop::Failed(2))
            }
        }
    }

    pub(super) fn go_down(&self, to: State) -> Step {
        self.host.set_state(to)?;
        Err(Stop::Gone)
    }

    /// Prints a line and writes it into the client's log, as LINBO's scripts do with `tee`.
    pub(super) fn say(&self, line: &str) -> Step {
        if self.loud {
            let mut out = io::stdout();
            writeln!(out, "{line}").ok();
            out.flush().ok();
        }
        append(&self.host.dir.join("linbo.log"), &format!("{line}\n"))?;
        Ok(())
    }

    /// `### 20261122-200202 linbo_sync 1 ###`.
    pub(super) fn header(&self, what: &str) -> Step {
        let stamp = self.world.now()?.strftime("%Y%m%d-%H%M%S").to_string();
        self.say(&format!("### {stamp} {what} ###"))
    }

    /// `## Sun Nov 22 20:11:55 UTC 2026 : ...`.
    pub(super) fn note(&self, what: &str) -> Step {
        self.say(&format!("## {} : {what}", date(&self.world)?))
    }

    /// Sends what was logged since the last time; equal lines of the chunk are sent once, double spaces collapse.
    pub(super) fn send_log(&self) -> Step {
        self.say("Requesting upload of /tmp/linbo.log ...")?;
        let own = self.host.dir.join("linbo.log");
        let text = fs::read_to_string(&own)?;
        replace(&own, "")?;
        let mut seen = BTreeSet::new();
        let mut chunk = String::new();
        for line in text.lines() {
            let mut line = line.to_owned();
            while line.contains("  ") {
                line = line.replace("  ", " ");
            }
            if seen.insert(line.clone()) {
                chunk += &line;
                chunk.push('\n');
            }
        }
        let path = self.server.linbo_log().join(self.server_file("linbo.log")?);
        append(&path, &chunk)?;
        if self.host.has(&Fault::LogTruncated)? {
            let whole = fs::metadata(&path)?.len();
            let cut = whole.saturating_sub(u64::try_from(chunk.len())? / 2);
            fs::File::options().write(true).open(&path)?.set_len(cut)?;
        }
        self.world.stamp(&path)?;
        Ok(())
    }

    /// Tells the server what was applied, which keeps the last event only.
    pub(super) fn send_status(&self, line: &str) -> Step {
        self.say(line)?;
        self.say("Requesting upload of /tmp/image.status ...")?;
        let path = self
            .server
            .linbo_log()
            .join(self.server_file("image.status")?);
        if self.host.has(&Fault::StatusMissing)? {
            return Ok(());
        }
        if self.host.has(&Fault::StatusTorn)? {
            let half: String = line.chars().take(line.len() / 2).collect();
            fs::write(&path, half)?;
        } else {
            fs::write(&path, format!("{line}\n"))?;
        }
        self.world.stamp(&path)?;
        Ok(())
    }

    fn server_file(&self, kind: &str) -> Result<PathBuf> {
        let unknown = self.host.has(&Fault::NoReverseName)?;
        let name = if unknown { "UNKNOWN" } else { &self.host.name };
        Ok(PathBuf::from(format!("{name}_{kind}")))
    }

    /// Lets `time` pass, unless the host goes down meanwhile.
    pub(super) fn wait(&self, time: Duration) -> Step {
        let begin = Instant::now();
        loop {
            if !self.is_here() {
                return Err(Stop::Gone);
            }
            let left = time.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(15)));
        }
    }

    /// Whether the host is still in the LINBO in which this began.
    pub(super) fn is_here(&self) -> bool {
        let state = self.host.state();
        let boots = self.host.boots();
        state.is_ok_and(|state| state == State::Linbo)
            && boots.is_ok_and(|boots| boots == self.boots)
    }
}

/// A file that says that a command runs on the host; it goes when the command ends.
struct RunningMark {
    id: String,
    path: PathBuf,
}

impl RunningMark {
    fn set(host: &Host, command: &str) -> Result<Self> {
        let id = format!(
            "{}-{}",
            std::process::id(),
            jiff::Timestamp::now().as_nanosecond()
        );
        let path = host.dir.join("running").join(&id);
        fs::write(&path, command).context("cannot note a running command")?;
        Ok(Self { id, path })
    }

    /// What else runs on the host.
    fn others(&self) -> Result<Vec<String>> {
        let mut others = Vec::new();
        let folder = self
            .path
            .parent()
            .context("a running command has no folder")?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let id = path.file_name().and_then(|name| name.to_str());
            let pid = id.and_then(|id| id.split('-').next()).unwrap_or("0");
            let alive = fs::exists(format!("/proc/{pid}"))?;
            if path != self.path && alive {
                others.extend(fs::read_to_string(&path));
            }
        }
        Ok(others)
    }
}

impl Drop for RunningMark {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

/// The commands that run on a host now, for `ps`.
pub(super) fn running(host: &Host) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(host.dir.join("running"))? {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str());
        let pid = id.and_then(|id| id.split('-').next()).unwrap_or("0");
        if let (true, Ok(command)) = (
            fs::exists(format!("/proc/{pid}"))?,
            fs::read_to_string(&path),
        ) {
            all.push((pid.to_owned(), command));
        }
    }
    all.sort();
    Ok(all)
}
