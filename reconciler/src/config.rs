//! The settings of one server: `/etc/linuxmuster/reconciler.yaml`, which is not in Git.
//!
//! Every path and every command of the server is a setting with the production value as its default,
//! so that the same program runs on a school's server and on anything that behaves like one.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use schema::digest::Digest;
use schema::name::Domain;
use schema::text::MailAddress;

use crate::planning::Server;

mod document;
mod secrets;
#[cfg(test)]
mod tests;
mod texts;

pub use document::{ConfigErrors, load, parse};
pub use secrets::check_secrets;

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which server of the fleet this is.
    pub server: Server,
    /// Where the state repo is.
    pub repo: Repo,
    /// OpenSSH allowed-signers file; when given, only commits signed by one of them are applied.
    pub signers: Option<PathBuf>,
    /// User and password file of the central server's release module; none when it is open.
    pub release: Option<ReleaseLogin>,
    /// The mail relay; none means that nobody is written to.
    pub smtp: Option<Smtp>,
    /// The hypervisor; none means that no virtual machine is looked at.
    pub proxmox: Option<Proxmox>,
    /// Where things are.
    pub paths: Paths,
    /// What programs are called.
    pub commands: Commands,
    /// How hosts are reset.
    pub reset: Reset,
}

/// Where the state repo is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// `https://`, `ssh://` or `file://`.
    pub url: String,
    /// The branch that is followed.
    pub branch: String,
    /// Private key for ssh.
    pub key: Option<PathBuf>,
    /// Known hosts for ssh.
    pub known_hosts: Option<PathBuf>,
    /// User for https; most forges accept any with a token.
    pub user: String,
    /// File with the token for https, on its only line.
    pub token_file: Option<PathBuf>,
    /// CA certificate for https.
    pub ca: Option<PathBuf>,
}

/// How to log in to the release module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseLogin {
    /// The user.
    pub user: String,
    /// File with the password, readable by root alone.
    pub password_file: PathBuf,
}

/// The mail relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: NonZeroU16,
    /// How the connection is secured.
    pub tls: Tls,
    /// User and password file, if it wants a login.
    pub login: Option<(String, PathBuf)>,
    /// The sender, when it is not the fleet's.
    pub from: Option<MailAddress>,
}

/// How a connection to the relay is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: for a relay on this machine.
    None,
    /// STARTTLS, required.
    Starttls,
    /// TLS from the beginning.
    Tls,
}

/// How the hypervisor is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxmox {
    /// By its REST API.
    Api(ProxmoxApi),
    /// By `qm`: on this machine, or on another one through SSH.
    Qm(Option<SshTarget>),
}

/// The REST API of Proxmox VE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxmoxApi {
    /// `https://`, a host and perhaps a port, and nothing behind it.
    pub url: String,
    /// File with the token, `user@realm!name=secret`, readable by root alone.
    pub token_file: PathBuf,
    /// By what its certificate is judged.
    pub trust: ProxmoxTrust,
}

/// By what the certificate of the API is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxmoxTrust {
    /// By the certificates in this file, `pve-root-ca.pem` say.
    Ca(PathBuf),
    /// It is this one, by the SHA-256 of it.
    Fingerprint(Digest),
    /// By the certificates of the system.
    System,
}

/// A user at a machine that SSH reaches without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    user: String,
    host: Domain,
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/srv/linbo`
    pub linbo: PathBuf,
    /// `/srv/linbo-reconciler`: downloaded files; on the same file system as `/srv/linbo`, outside of it.
    pub store: PathBuf,
    /// `/var/log/linuxmuster/linbo`: logs and status of the hosts.
    pub linbo_log: PathBuf,
    /// `/etc/linuxmuster/linbo/ssh_config`
    pub ssh_config: PathBuf,
    /// `/etc/linuxmuster/sophomorix/default-school/devices.csv`
    pub devices: PathBuf,
    /// `/var/lib/linuxmuster/setup.ini`: what the server was set up as.
    pub setup_ini: PathBuf,
    /// `/etc/dhcp`: what the device import makes of `devices.csv` for the DHCP server.
    pub dhcp: PathBuf,
    /// `/var/lib/linuxmuster-reconciler`: journal, digests, clone of the state repo.
    pub state: PathBuf,
    /// `/run/linuxmuster-reconciler`: lock of the pass, locks and output of commands on hosts.
    pub run: PathBuf,
    /// `calendar.ics` among the state: the calendar of what is coming, which everybody may read.
    pub calendar: PathBuf,
}

/// What programs are called: a name to be found in `PATH`, or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// `rsync`
    pub rsync: PathBuf,
    /// `ssh`
    pub ssh: PathBuf,
    /// `tmux`
    pub tmux: PathBuf,
    /// `wakeonlan`
    pub wakeonlan: PathBuf,
    /// `/usr/sbin/linbo-remote`
    pub linbo_remote: PathBuf,
    /// `/usr/sbin/linbo-torrent`
    pub linbo_torrent: PathBuf,
    /// `/usr/sbin/linuxmuster-import-devices`
    pub import_devices: PathBuf,
    /// `qemu-img`
    pub qemu_img: PathBuf,
    /// `qm` of Proxmox VE, on the machine where it is run.
    pub qm: PathBuf,
}

/// How hosts are reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// By which driver.
    pub driver: Driver,
    /// How long a woken host may take until LINBO answers. Default 5 minutes.
    pub boot_timeout: Duration,
    /// How long the commands of one host may take. Default 2 hours.
    pub command_timeout: Duration,
    /// How long to wait between two looks at a host or a session. Default 5 seconds.
    pub poll: Duration,
    /// The port on which a running operating system answers, by which a host in use is told from one
    /// that is off. Default 22.
    pub os_port: NonZeroU16,
    /// The port on which a running Windows answers, that of its file sharing. Default 445.
    pub windows_port: NonZeroU16,
    /// LINBO's SSH port. Default 2222.
    pub linbo_port: NonZeroU16,
}

/// By which driver hosts are reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// `linbo_wrapper` on each host over LINBO's SSH, with its real exit status.
    Wrapper,
    /// `linbo-remote`, whose outcomes are found out afterwards.
    LinboRemote,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            linbo: "/srv/linbo".into(),
            store: "/srv/linbo-reconciler".into(),
            linbo_log: "/var/log/linuxmuster/linbo".into(),
            ssh_config: "/etc/linuxmuster/linbo/ssh_config".into(),
            devices: "/etc/linuxmuster/sophomorix/default-school/devices.csv".into(),
            setup_ini: "/var/lib/linuxmuster/setup.ini".into(),
            dhcp: "/etc/dhcp".into(),
            state: "/var/lib/linuxmuster-reconciler".into(),
            run: "/run/linuxmuster-reconciler".into(),
            calendar: "/var/lib/linuxmuster-reconciler/calendar.ics".into(),
        }
    }
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            rsync: "rsync".into(),
            ssh: "ssh".into(),
            tmux: "tmux".into(),
            wakeonlan: "wakeonlan".into(),
            linbo_remote: "/usr/sbin/linbo-remote".into(),
            linbo_torrent: "/usr/sbin/linbo-torrent".into(),
            import_devices: "/usr/sbin/linuxmuster-import-devices".into(),
            qemu_img: "qemu-img".into(),
            qm: "/usr/sbin/qm".into(),
        }
    }
}

impl Default for Reset {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        Self {
            driver: Driver::Wrapper,
            boot_timeout: Duration::from_secs(5 * MINUTE),
            command_timeout: Duration::from_secs(120 * MINUTE),
            poll: Duration::from_secs(5),
            os_port: const { NonZeroU16::new(22).unwrap() },
            windows_port: const { NonZeroU16::new(445).unwrap() },
            linbo_port: const { NonZeroU16::new(2222).unwrap() },
        }
    }
}
