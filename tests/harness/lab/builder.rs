//! Building a lab: folders, keys, hosts, servers, and the processes that bring them to life.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Lab, Place,
    config::{ConfigFacts, server_config},
    git::Repo,
    host::Host,
    process::run_tool,
    rsyncd::ReleaseServer,
    server::find_program,
    smtp::Smtp,
    world::{HostSpec, Pace, ServerPaths, World, replace},
};

/// A room of a school with PCs named `<room>-pc01` and so on.
#[derive(Clone, Debug)]
pub struct Room {
    name: String,
    pcs: u8,
    class: String,
}

impl Room {
    /// A room with so many PCs of the class `ubuntu-lab`.
    #[must_use]
    pub fn new(name: &str, pcs: u8) -> Self {
        Self {
            name: name.to_owned(),
            pcs,
            class: "ubuntu-lab".to_owned(),
        }
    }

    /// The same room with another class.
    #[must_use]
    pub fn class(self, class: &str) -> Self {
        Self {
            class: class.to_owned(),
            ..self
        }
    }
}

/// What a lab is to be made of.
#[derive(Clone, Debug)]
pub struct Builder {
    state_repo: Option<PathBuf>,
    servers: Vec<(String, Vec<Room>)>,
    pace: Pace,
    folder: Option<PathBuf>,
    download: String,
    time: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            state_repo: None,
            servers: vec![("central".to_owned(), Vec::new())],
            pace: Pace::default(),
            folder: None,
            download: "rsync".to_owned(),
            time: None,
        }
    }
}

impl Builder {
    /// Takes the state repo's first commit from this folder; an empty one otherwise.
    #[must_use]
    pub fn state_repo(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_repo = Some(folder.into());
        self
    }

    /// Adds a school with its rooms. Names of rooms are unique in a lab, because names of hosts are.
    #[must_use]
    pub fn school(mut self, name: &str, rooms: impl IntoIterator<Item = Room>) -> Self {
        let rooms = rooms.into_iter().collect();
        self.servers.push((name.to_owned(), rooms));
        self
    }

    /// Gives the central server PCs, too: the one that builds images, say.
    #[must_use]
    pub fn central_rooms(mut self, rooms: impl IntoIterator<Item = Room>) -> Self {
        if let Some((_, central)) = self.servers.first_mut() {
            central.extend(rooms);
        }
        self
    }

    /// Sets how long things take.
    #[must_use]
    pub fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Sets the `DownloadType` of the first start.conf files: `rsync` (the default) or `torrent`.
    #[must_use]
    pub fn download(mut self, download: &str) -> Self {
        download.clone_into(&mut self.download);
        self
    }

    /// Sets the lab's time from the start, such as `2026-11-23 17:00:00`.
    #[must_use]
    pub fn at(mut self, time: &str) -> Self {
        self.time = Some(time.to_owned());
        self
    }

    /// Builds in this folder, which must be empty or new, and leaves it there; in a temporary one otherwise.
    /// Its path has to be short: the socket of tmux lies some 40 bytes deeper and may have 107.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Builds the lab and starts its processes.
    ///
    /// # Errors
    ///
    /// If a program is missing (git, ssh, sshd, ssh-keygen, rsync, tmux, qemu-img), the library libfaketime is, or the
    /// folder cannot be written.
    pub fn build(self) -> Result<Lab> {
        let place = match &self.folder {
            Some(folder) => Place::Kept(folder.clone()),
            None => Place::Temporary(tempfile::Builder::new().prefix("lab-").tempdir()?),
        };
        fs::create_dir_all(place.path())?;
        let root = place.path().canonicalize()?;
        for folder in ["bin", "keys", "hosts", "log", "out", "made"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let ports = [free_port()?, free_port()?, free_port()?];
        let world = self.describe(&root, [ports[0].1, ports[1].1, ports[2].1])?;
        world.save()?;
        if let Some(time) = &self.time {
            world.set_time(time)?;
        }
        make_keys(&world)?;
        let stand_in = find_program("stand-in")?;
        for name in ["lab-clients", "linbo-shell"] {
            symlink(&stand_in, root.join("bin").join(name))?;
        }
        for name in world.hosts.keys() {
            Host::new(&world, name).create()?;
        }
        for server in &world.servers {
            self.furnish(&world, &world.server(server), &stand_in)?;
        }
        let rsync = ReleaseServer::start(&write_rsyncd_config(&world)?)?;
        let smtp = Smtp::start(&root.join("mail"))?;
        let empty = tempfile::tempdir()?;
        let seed = self.state_repo.as_deref().unwrap_or(empty.path());
        let repo = Repo::create(&world, seed)?;
        let clients = start_clients(&world)?;
        let lab = Lab {
            world,
            repo,
            smtp,
            rsync,
            clients,
            _ports: ports.map(|(listener, _)| listener),
            _place: place,
        };
        lab.write_configs(server_config_of)?;
        for server in lab.servers() {
            server.call("linuxmuster-import-devices", &[])?.success()?;
        }
        Ok(lab)
    }

    fn describe(
        &self,
        root: &Path,
        [linbo_port, os_port, windows_port]: [u16; 3],
    ) -> Result<World> {
        let mut hosts = BTreeMap::new();
        for (school, (server, rooms)) in (10..).zip(&self.servers) {
            for (number, room) in (1..).zip(rooms) {
                for pc in 1..=room.pcs {
                    let name = format!("{}-pc{pc:02}", room.name);
                    let spec = HostSpec {
                        server: server.clone(),
                        room: room.name.clone(),
                        class: room.class.clone(),
                        mac: format!("52:54:00:{school:02x}:{number:02x}:{pc:02x}"),
                        address: Ipv4Addr::new(127, school, number, pc),
                    };
                    let twice = hosts.insert(name.clone(), spec).is_some();
                    ensure!(!twice, "two hosts of the lab are named {name}");
                }
            }
        }
        Ok(World {
            root: root.to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            linbo_port,
            os_port,
            windows_port,
            pace: self.pace,
            servers: self.servers.iter().map(|(name, _)| name.clone()).collect(),
            hosts,
        })
    }

    fn furnish(&self, world: &World, server: &ServerPaths, stand_in: &Path) -> Result<()> {
        for folder in server.folders() {
            fs::create_dir_all(folder)?;
        }
        for name in [
            "linbo-remote",
            "linbo-torrent",
            "tmux",
            "wakeonlan",
            "linuxmuster-import-devices",
            "aria2c",
        ] {
            symlink(stand_in, server.bin().join(name))?;
        }
        let own = || {
            world
                .hosts
                .iter()
                .filter(|(_, host)| host.server == server.name)
        };
        let rows = own().map(|(name, host)| {
            format!(
                "{};{name};{};{};{};;;;classroom-studentcomputer;;1;;;;\n",
                host.room, host.class, host.mac, host.address
            )
        });
        let header = "# room;host;group;mac;ip;office;win;dhcpopts;role;-;pxe;opt;;;comment\n";
        let csv = std::iter::once(header.to_owned()).chain(rows);
        replace(&server.devices_csv(), csv.collect::<String>())?;
        let setup = format!(
            "[setup]\nservername = server\ndomainname = {0}.example\nschoolname = Schule {0}\nadminpw = secret\n",
            server.name
        );
        replace(&server.setup_ini(), setup)?;
        replace(&server.linbo().join("start.conf"), "")?;
        let classes: BTreeSet<_> = own().map(|(_, host)| &host.class).collect();
        let handle = super::Server {
            paths: server.clone(),
            world: world.clone(),
        };
        for class in classes {
            handle.write_start_conf(class, "ubuntu", &self.download)?;
        }
        replace(&server.ssh_config(), ssh_config(world, server)?)?;
        let password = server.release_password();
        replace(&password, format!("lab-secret-{}\n", server.name))?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}

/// Listens on a free port and keeps it until dropped: hosts of all labs have the same addresses, and one that answers
/// on the port of another lab's host would be taken for it.
fn free_port() -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

fn server_config_of(server: &ServerPaths, facts: &ConfigFacts<'_>) -> String {
    server_config(server, facts)
}

fn user() -> Result<String> {
    Ok(run_tool("id", &["-un"], Path::new("/"))?.trim().to_owned())
}

/// LINBO's ssh_config, with one block a host in place of the school's DNS.
fn ssh_config(world: &World, server: &ServerPaths) -> Result<String> {
    let mut text = String::new();
    for (name, host) in world
        .hosts
        .iter()
        .filter(|(_, host)| host.server == server.name)
    {
        text += &format!(
            "Host {name}\n  HostName {}\n  HostKeyAlias {name}\n",
            host.address
        );
    }
    text += &format!(
        "Host *\n  Port {}\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
         HostKeyAlgorithms +ssh-rsa\n  StrictHostKeyChecking no\n  UserKnownHostsFile {}\n",
        world.linbo_port,
        user()?,
        world.root.join("keys/server").display(),
        server.home().join(".ssh/linbo_hosts").display()
    );
    Ok(text)
}

/// The keys of the clients and of the servers' root, and the configuration of the clients' SSH server.
fn make_keys(world: &World) -> Result<()> {
    let keys = world.root.join("keys");
    for name in ["client", "server"] {
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name];
        run_tool("ssh-keygen", &arguments, &keys)?;
    }
    fs::copy(keys.join("server.pub"), keys.join("authorized_keys"))?;
    // An account that is locked by `!` is refused unless PAM decides; a school's LINBO has no such accounts.
    let shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
    let locked = shadow
        .lines()
        .any(|line| line.starts_with(&format!("{}:!", user().unwrap_or_default())));
    let text = format!(
        "HostKey {keys}/client\nAuthorizedKeysFile {keys}/authorized_keys\nStrictModes no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nUsePAM {pam}\n\
         UseDNS no\nPidFile none\nPrintMotd no\nPrintLastLog no\nLogLevel ERROR\n\
         ForceCommand {root}/bin/linbo-shell\n",
        keys = keys.display(),
        pam = if locked { "yes" } else { "no" },
        root = world.root.display()
    );
    replace(&keys.join("sshd_config"), text)?;
    // sshd as root insists on this folder, which the service's start would make.
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").context("cannot make sshd's folder")?;
    }
    Ok(())
}

fn write_rsyncd_config(world: &World) -> Result<PathBuf> {
    let central = world.root.join("central");
    let releases = central.join("srv/releases");
    fs::create_dir_all(&releases)?;
    let secrets = world.root.join("keys/rsyncd.secrets");
    let line = |name: &String| format!("{name}:lab-secret-{name}\n");
    replace(&secrets, world.servers.iter().map(line).collect::<String>())?;
    let owner = if rustix::process::geteuid().is_root() {
        "uid = root\ngid = root\n"
    } else {
        ""
    };
    let config = central.join("etc/rsyncd-releases.conf");
    let text = format!(
        "use chroot = no\nlog file = {log}\n{owner}[releases]\npath = {releases}\nread only = yes\n\
         list = no\nauth users = {users}\nsecrets file = {secrets}\nstrict modes = no\n",
        log = world.root.join("log/rsyncd.log").display(),
        releases = releases.display(),
        users = world.servers.join(", "),
        secrets = secrets.display()
    );
    replace(&config, text)?;
    Ok(config)
}

fn start_clients(world: &World) -> Result<Child> {
    Command::new(world.root.join("bin/lab-clients"))
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("TZ", &world.time_zone)
        .current_dir(&world.root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(fs::File::create(world.root.join("log/clients.log"))?)
        .spawn()
        .context("cannot start the lab's clients")
}
