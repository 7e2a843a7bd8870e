//! The real world: a linuxmuster server, by the paths and commands of its settings.
//!
//! The lab is not another implementation: it is this one, with other paths and ports.

pub mod activate;
pub mod boot_links;
pub mod classes;
pub mod delete;
pub mod devices_file;
pub mod digests;
pub mod download;
pub mod files;
mod history;
pub mod inventory;
pub mod journal_file;
pub mod lock;
pub mod observe;
pub mod orders;
pub mod process;
mod reader;
pub mod rebranded;
pub mod relay;
pub mod reset;
pub mod scrub;
mod state_file;
pub mod store;
pub mod target;
pub mod tmux;
pub mod torrent;
pub mod vm;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use schema::digest::Digest;
use schema::fleet::Fleet;
use schema::name::{FileName, HostName, ImageName};
use schema::text::ImageStamp;

use crate::config::{Config, check_secrets};
use crate::host::digests::Digests;
use crate::host::journal_file::JournalFile;
use crate::host::reset::RoomReset;
use crate::host::reset::circuits::Circuits;
use crate::host::target::StateRepo;
use crate::linbo::image_info::ImageRecord;
use crate::manifest::{MadeFrom, Manifest};
use crate::planning::action::{Circuit, Pace};
use crate::planning::{
    Action, Desired, Entry, Journal, LiveImage, Observed, Probe, Record, Running, Step,
};
use crate::world::{Failure, Hands, Letter, Problem, Progress, Senses, Target};

/// The clock of this machine: the one place that asks it.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the clock"
)]
pub fn clock() -> Timestamp {
    Timestamp::now()
}

/// What a host is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To look: nothing is written but the clone of the state repo and the cache of digests.
    Look,
    /// To act.
    Act,
}

/// A linuxmuster server.
#[derive(Debug)]
pub struct Host {
    config: Config,
    clock: fn() -> Timestamp,
    state: Arc<StateRepo>,
    digests: Arc<Digests>,
    journal: Mutex<Memory>,
    circuits: Circuits,
}

/// The journal, folded, and the file that it comes from; none when the host was opened to look.
#[derive(Debug)]
struct Memory {
    folded: Journal,
    file: Option<JournalFile>,
}

impl Host {
    /// Takes what was uploaded under the name `from` into the store, as what was made of `published`.
    ///
    /// # Errors
    ///
    /// See [`RebrandedError`](rebranded::RebrandedError).
    pub async fn take_rebranded(
        &self,
        from: &ImageName,
        published: &Manifest,
        made: MadeFrom,
    ) -> Result<(Digest, Manifest), rebranded::RebrandedError> {
        rebranded::take(&self.place(), from, published, made).await
    }

    fn place(&self) -> rebranded::Place<'_, Digests> {
        rebranded::Place {
            paths: &self.config.paths,
            commands: &self.config.commands,
            digests: &self.digests,
        }
    }

    /// The server of these settings.
    ///
    /// # Errors
    ///
    /// When the journal cannot be opened.
    pub fn open(config: Config, mode: Mode, clock: fn() -> Timestamp) -> anyhow::Result<Self> {
        let state = &config.paths.state;
        if mode == Mode::Act {
            files::make_folder(state, 0o755)
                .with_context(|| format!("cannot make the folder {}", state.display()))?;
        }
        let (file, records, warnings) = match mode {
            Mode::Look => {
                let (records, warnings) = JournalFile::read(state)?;
                (None, records, warnings)
            }
            Mode::Act => {
                let (file, records, warnings) = JournalFile::open(state, clock())?;
                (Some(file), records, warnings)
            }
        };
        let (digests, more) = Digests::open(state, clock());
        for warning in warnings.iter().chain(&more) {
            tracing::warn!("{warning}");
        }
        let journal = Mutex::new(Memory {
            folded: records.iter().collect(),
            file,
        });
        let state = Arc::new(StateRepo::new(&config));
        Ok(Self {
            config,
            clock,
            state,
            digests: Arc::new(digests),
            journal,
            circuits: Circuits::default(),
        })
    }

    /// Its settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// What it was last to make true.
    #[must_use]
    pub fn desired(&self) -> Option<Arc<Desired>> {
        self.state.loaded().map(|loaded| loaded.desired)
    }

    /// All that the commit in force says of the fleet and this server, if one was read.
    #[must_use]
    pub fn fleet(&self) -> Option<Arc<Fleet>> {
        self.state.loaded().map(|loaded| loaded.fleet)
    }

    /// Whether letters can be sent at all.
    #[must_use]
    pub fn has_relay(&self) -> bool {
        self.config.smtp.is_some()
            && self
                .state
                .loaded()
                .is_some_and(|loaded| loaded.mail.is_some())
    }

    /// What lay in LINBO's folder of an image before what lies there.
    pub async fn before(&self, image: &ImageName) -> Probe<LiveImage> {
        observe::before(&self.config.paths, &self.digests, image).await
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A folded journal is whole between any two of its steps.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of each image that a host reports and its timestamp, by the `.info` files.
    fn expected(&self, images: &[ImageName]) -> BTreeMap<ImageName, (FileName, ImageStamp)> {
        let record = |image: &ImageName, ending: &str| {
            let file: FileName = format!("{image}.{ending}").parse().ok()?;
            let info = self
                .config
                .paths
                .linbo
                .join("images")
                .join(image.as_str())
                .join(format!("{file}.info"));
            let stamp = ImageRecord::parse(&std::fs::read(info).ok()?).timestamp?;
            Some((file, stamp))
        };
        let expected = images.iter().filter_map(|image| {
            Some((
                image.clone(),
                record(image, "qdiff").or_else(|| record(image, "qcow2"))?,
            ))
        });
        expected.collect()
    }
}

/// The hosts that are on by no doing of this pass, each with what it hangs on.
fn on(desired: &Desired, observed: &Observed) -> Vec<(HostName, Vec<(Circuit, Pace)>)> {
    let busy = observed.busy.seen().into_iter().flatten();
    let left_on = observed.left_on.seen().into_iter().flatten();
    let hosts = busy.map(|(host, _)| host).chain(left_on);
    let circuits = hosts.filter_map(|host| {
        let room = &observed.devices.seen()?.get(host)?.room;
        let circuits = desired.circuits_of(room, desired.rooms.get(room)?);
        Some((host.clone(), circuits))
    });
    circuits.collect()
}

impl Senses for Host {
    async fn target(&self) -> Target {
        let state = Arc::clone(&self.state);
        let failure = |text| Problem {
            is_failure: true,
            text,
        };
        let read = tokio::task::spawn_blocking(move || state.target()).await;
        let mut target = read.unwrap_or_else(|error| {
            let text = format!("the state repo could not be read: {error}");
            Target {
                desired: None,
                commit: None,
                problems: vec![failure(text)],
            }
        });
        // Said before the night in which rsync or the mail relay would stumble over them.
        target
            .problems
            .extend(check_secrets(&self.config).into_iter().map(failure));
        target
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    async fn observe(&self, desired: &Desired, running: &[Running]) -> Observed {
        let journal = self.memory().folded.clone();
        let observed =
            observe::observe(&self.config, &self.digests, &journal, desired, running).await;
        self.circuits.seen_on(
            on(desired, &observed),
            &observe::at_work(running),
            self.config.reset.command_timeout,
        );
        observed
    }
}

impl Hands for Host {
    async fn perform(&self, step: &Step, tell: &mut dyn FnMut(Progress)) -> Result<(), Failure> {
        let Config {
            paths, commands, ..
        } = &self.config;
        let desired = self
            .desired()
            .ok_or_else(|| anyhow!("there is no commit to work towards"))?;
        match &step.action {
            Action::WriteStartConf {
                class,
                before,
                after,
            } => classes::write_start_conf(paths, class, before.as_deref(), after),
            Action::SetRows { rows } => devices_file::set_rows(paths, rows),
            Action::SetClasses { hosts } => devices_file::set_classes(paths, hosts),
            Action::ImportDevices { classes, hosts } => {
                classes::import_devices(paths, commands, classes, hosts).await
            }
            Action::Download {
                image,
                version,
                manifest,
                rate,
                from,
                until,
                ..
            } => {
                let line = download::Line {
                    paths,
                    commands,
                    central: &desired.central,
                    login: self.config.release.as_ref(),
                    digests: &self.digests,
                    limits: download::Limits::default(),
                };
                let wanted = download::Wanted {
                    image,
                    version,
                    manifest,
                    rate: *rate,
                    from: *from,
                    until: *until,
                };
                download::download(&line, &wanted, tell).await
            }
            Action::Stage { manifest, to, .. } => {
                let made = MadeFrom {
                    source: *manifest,
                    domain: None,
                    at: (self.clock)(),
                    commit: None,
                    program: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let staged = rebranded::stage(&self.place(), manifest, to, made).await;
                staged
                    .map(|_| ())
                    .map_err(|error| anyhow::Error::new(error).into())
            }
            Action::Activate {
                image,
                version,
                manifest,
            } => {
                let place = activate::Place {
                    paths,
                    commands,
                    digests: &self.digests,
                };
                activate::activate(&place, image, version, manifest).await
            }
            Action::Delete { manifest, .. } => delete::delete(paths, &self.digests, manifest).await,
            Action::Seed { image, file } => torrent::seed(paths, commands, image, file).await,
            Action::SwitchOff { hosts } => reset::switch_off(&self.config, hosts).await,
            Action::ResetRoom { images, .. } => {
                let expected = self.expected(images);
                match RoomReset::of(&step.action, &expected) {
                    Some(reset) => {
                        let (circuits, zone) = (&self.circuits, &desired.zone);
                        reset::reset_room(&self.config, circuits, zone, &reset, tell).await
                    }
                    None => Ok(()),
                }
            }
        }
    }

    fn record(&self, record: &Record) -> anyhow::Result<()> {
        let mut memory = self.memory();
        let Some(file) = &memory.file else {
            return Err(anyhow!("this host was opened to look, not to act"));
        };
        file.append(record)?;
        memory.folded.fold(record);
        if let Entry::Commit { id, .. } = &record.entry {
            self.state.set_applied(id)?;
        }
        Ok(())
    }

    async fn send(&self, letter: &Letter) -> anyhow::Result<()> {
        let loaded = self.state.loaded();
        let (Some(smtp), Some(loaded)) = (&self.config.smtp, &loaded) else {
            return Err(anyhow!("no mail relay is set"));
        };
        let Some(mail) = &loaded.mail else {
            return Err(anyhow!("the fleet names nobody to write to"));
        };
        relay::send(smtp, mail, loaded.contact.as_ref(), letter).await
    }

    fn publish(&self, calendar: &str) -> anyhow::Result<()> {
        let path = &self.config.paths.calendar;
        let writing = || format!("cannot write the calendar {}", path.display());
        let before = files::if_there(std::fs::read(path)).with_context(writing)?;
        if before.is_some_and(|before| before == calendar.as_bytes()) {
            return Ok(());
        }
        files::write_atomically(path, calendar.as_bytes(), 0o644).with_context(writing)
    }
}
