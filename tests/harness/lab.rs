//! A whole small world in a folder: servers, class rooms, a state repo, mail, and the faults of all of them.
//!
//! Real: git, ssh and sshd, rsync, tmux, qemu-img, files. Stand-ins, one multi-call program: LINBO's commands and the
//! PCs. Everything lies below the lab's folder, and nothing outlives the [`Lab`]: its processes end with it, and by
//! themselves when the folder or the process that built it is gone, or after half an hour.
//!
//! ```text
//! <lab>/lab.json, now         what the world is; how far its clock is from the machine's
//! <lab>/<server>/             what stands for / on that server, see ServerPaths
//! <lab>/hosts/<host>/         a PC: state, faults, cache, commands.log
//! <lab>/power.log         when each PC was woken, went on and off
//! <lab>/git, mail, keys       the state repo, the mails, the keys
//! <lab>/log, out              logs of the lab's own processes, outputs of programs that were run
//! ```

mod builder;
mod central;
mod config;
mod git;
mod host;
mod images;
mod linbo_files;
mod power;
mod process;
mod rsyncd;
mod server;
mod smtp;
mod snapshot;
mod stand_in;
mod world;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

pub use builder::{Builder, Room};
pub use central::{Central, Release, write_manifest};
pub use config::{ConfigFacts, server_config};
pub use git::{Repo, copy_tree};
pub use host::{Applied, Cached, Command, Fault, Host, Login, State};
pub use images::{Content, sample_digest, sha256_of};
pub use power::{Power, PowerEvent};
pub use process::{Output, Running, run_tool};
pub use rsyncd::{ReleaseServer, TransferFault};
pub use server::{Server, binary};
pub use smtp::{MailFault, Smtp};
pub use snapshot::{Entry, Kind, Snapshot, changes, snapshot};
pub use stand_in::main as stand_in_main;
pub use world::{HostSpec, Pace, ServerPaths, World};

/// A lab that lives until it is dropped.
#[derive(Debug)]
pub struct Lab {
    world: World,
    repo: Repo,
    smtp: Smtp,
    rsync: ReleaseServer,
    clients: Child,
    /// So that no other lab gets the ports of this one's hosts.
    _ports: [TcpListener; 3],
    _place: Place,
}

/// Where a lab is; a temporary folder goes when this is dropped.
#[derive(Debug)]
enum Place {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}

impl Lab {
    /// Begins to build a lab.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What the world is.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The server of this name: `central` or a school.
    #[must_use]
    pub fn server(&self, name: &str) -> Server {
        Server {
            paths: self.world.server(name),
            world: self.world.clone(),
        }
    }

    /// All servers, the central one first.
    pub fn servers(&self) -> impl Iterator<Item = Server> {
        self.world.servers.iter().map(|name| self.server(name))
    }

    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Host {
        Host::new(&self.world, name)
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = Host> {
        self.world.hosts.keys().map(|name| self.host(name))
    }

    /// The releases.
    #[must_use]
    pub fn central(&self) -> Central<'_> {
        Central {
            world: &self.world,
            rsync: &self.rsync,
        }
    }

    /// The mail server.
    #[must_use]
    pub fn smtp(&self) -> &Smtp {
        &self.smtp
    }

    /// The state repo.
    #[must_use]
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Sets the lab's time, such as `2026-11-23 18:05:00` in its zone; it goes on from there.
    pub fn set_time(&self, local: &str) -> Result<()> {
        self.world.set_time(local)
    }

    /// Writes every server's machine configuration anew, with what `text` gives.
    pub fn write_configs(
        &self,
        text: impl Fn(&ServerPaths, &ConfigFacts<'_>) -> String,
    ) -> Result<()> {
        let facts = ConfigFacts {
            world: &self.world,
            repo: &self.repo.url(),
            smtp_port: self.smtp.address.port(),
        };
        for server in self.servers() {
            world::replace(&server.paths.config(), text(&server.paths, &facts))?;
        }
        Ok(())
    }

    /// When each PC was woken, went on and off, in order.
    pub fn power(&self) -> Result<Vec<PowerEvent>> {
        self.world.power()
    }

    /// Everything that no client and no seeder should ever have seen, of all hosts and servers, and every command
    /// that ran while another one ran on the same host. A test of a working reconciler asserts that this is empty.
    pub fn anomalies(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for server in self.servers() {
            all.extend(server.anomalies()?);
        }
        for host in self.hosts() {
            let name = &host.name;
            all.extend(
                host.anomalies()?
                    .into_iter()
                    .map(|text| format!("{name}: {text}")),
            );
            for run in host.commands()? {
                if !run.overlaps.is_empty() {
                    all.push(format!(
                        "{name}: {} while {} ran",
                        run.command,
                        run.overlaps.join(", ")
                    ));
                }
            }
        }
        Ok(all)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.clients.stdin.take());
        let begin = Instant::now();
        while matches!(self.clients.try_wait(), Ok(None))
            && begin.elapsed() < Duration::from_secs(3)
        {
            thread::sleep(Duration::from_millis(5));
        }
        self.clients.kill().ok();
        self.clients.wait().ok();
        for server in self.servers() {
            server.tmux(&["kill-server"]).ok();
        }
    }
}
