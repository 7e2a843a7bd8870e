//! `lab-clients`: the power, the network sockets and the boots of all PCs of a lab, in one process.
//!
//! It ends when its standard input ends (whoever built the lab is gone), when the lab's folder is gone, and after
//! half an hour in any case; with it end all SSH servers that it started.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind, Read as _},
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{complain, linbo::Linbo};
use crate::lab::{
    host::{Host, Login, State},
    world::World,
};

const LIFETIME: Duration = Duration::from_secs(30 * 60);
const TICK: Duration = Duration::from_millis(15);

pub(super) fn main(root: &Path) -> Result<u8> {
    let world = World::open(root)?;
    let over = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&over);
    thread::spawn(move || {
        io::stdin().read_to_end(&mut Vec::new()).ok();
        end.store(true, Ordering::SeqCst);
    });
    let names = world.hosts.keys();
    let mut machines: Vec<_> = names.map(|name| Machine::new(&world, name)).collect();
    let begin = Instant::now();
    while !over.load(Ordering::SeqCst)
        && begin.elapsed() < LIFETIME
        && root.join("lab.json").exists()
    {
        for machine in &mut machines {
            if let Err(error) = machine.tick() {
                complain(&format!("{}: {error:#}", machine.host.name));
            }
        }
        thread::sleep(TICK);
    }
    Ok(0)
}

struct Machine {
    world: World,
    host: Host,
    up: Option<Up>,
    sshd: BTreeMap<u32, Child>,
}

/// A machine that answers: in LINBO or in its operating system.
struct Up {
    state: State,
    listener: TcpListener,
    cut: bool,
}

impl Machine {
    fn new(world: &World, name: &str) -> Self {
        Self {
            world: world.clone(),
            host: Host::new(world, name),
            up: None,
            sshd: BTreeMap::new(),
        }
    }

    fn tick(&mut self) -> Result<()> {
        let mut state = self.host.state()?;
        if state == State::Booting && self.host.boot_is_over()? {
            // A reboot closes the old system first.
            self.down();
            self.host.set_state(State::Linbo)?;
            state = State::Linbo;
        }
        if self.up.as_ref().is_some_and(|up| up.state != state) {
            self.down();
        }
        if self.up.is_none() && matches!(state, State::Linbo | State::Os | State::Windows) {
            self.rise(state)?;
        }
        self.serve()?;
        self.sshd
            .retain(|_, child| matches!(child.try_wait(), Ok(None)));
        Ok(())
    }

    fn rise(&mut self, state: State) -> Result<()> {
        let address = self.world.host(&self.host.name)?.address;
        let port = match state {
            State::Linbo => {
                Linbo::load(&self.world, &self.host.name)?;
                self.world.linbo_port
            }
            State::Windows => self.world.windows_port,
            _ => self.world.os_port,
        };
        let listener = TcpListener::bind((address, port))
            .with_context(|| format!("cannot listen on {address}:{port}"))?;
        listener.set_nonblocking(true)?;
        self.up = Some(Up {
            state,
            listener,
            cut: false,
        });
        if state == State::Linbo {
            let linbo = Linbo::new(self.world.clone(), &self.host.name, false)?;
            if let Some(line) = linbo.fetch_onboot()? {
                thread::spawn(move || linbo.run_onboot(&line).ok());
            }
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        let Some(up) = &mut self.up else {
            return Ok(());
        };
        if !up.cut && self.host.dir.join("cut").exists() {
            up.cut = true;
            for child in self.sshd.values() {
                signal(child, Signal::STOP);
            }
        }
        if up.cut {
            return Ok(());
        }
        loop {
            match up.listener.accept() {
                // What speaks the language of Windows is missing, as it is on the server.
                Ok(_) if up.state == State::Windows => {}
                Ok((stream, _)) => {
                    let refuses = up.state == State::Os && self.host.login()? == Login::Refused;
                    let child = serve_ssh(&self.world.root, stream, refuses)?;
                    self.sshd.insert(child.id(), child);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn down(&mut self) {
        self.up = None;
        fs::remove_file(self.host.dir.join("cut")).ok();
        for child in self.sshd.values_mut() {
            signal(child, Signal::KILL);
            child.wait().ok();
        }
        self.sshd.clear();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.down();
    }
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process_group(pid, signal).ok();
    }
}

fn serve_ssh(root: &Path, stream: TcpStream, refuses: bool) -> Result<Child> {
    stream.set_nonblocking(false)?;
    let stream = OwnedFd::from(stream);
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(root.join("log/sshd.log"))?;
    Command::new(sshd())
        .arg("-i")
        .arg("-e")
        .arg("-f")
        .arg(root.join("keys/sshd_config"))
        // The first value of an option counts, and those of the command line come first.
        .args(refuses.then_some("-oAuthorizedKeysFile=none"))
        .stdin(Stdio::from(stream.try_clone()?))
        .stdout(Stdio::from(stream))
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start sshd")
}

/// sshd wants to be called by its whole path, and is not in the path of ordinary users.
fn sshd() -> PathBuf {
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from("/usr/sbin/sshd"))
}
