//! A room of stand-ins: `ssh`, `wakeonlan` and `linbo-remote` are scripts over a folder for each host,
//! tmux is real where sessions matter. In a host's folder, `linbo` means that LINBO answers, `dead` that it
//! never wakes, `run` is what `linbo_wrapper` does, and `os` what Linux says to whoever asks for sessions.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod remote;
mod wrapper;

use std::net::TcpListener;
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::*;
use crate::config::{Commands, Config, Paths, Repo, Reset};
use crate::host::process::is_locked;
use crate::planning::Server;

const SSH: &str = r#"
while [ "$1" != -- ]; do [ "$1" = -p ] && os=yes; shift; done
host=$2; shift 2
dir=$root/net/$host
if [ "$os" ]; then
  case "$*" in
  *loginctl*) echo "$host asked" >> $root/calls; [ -e $dir/os ] || exit 255; . $dir/os ;;
  reboot) echo "$host reboot" >> $root/calls; [ -e $dir/stays ] || touch $dir/linbo; exit 255 ;;
  esac
  exit
fi
[ "$*" = "/bin/ls /start.conf" ] || echo "$host $*" >> $root/calls
[ -e $dir/linbo ] || { echo "ssh: connect to host $host port 2222: No route to host" >&2; exit 255; }
case "$*" in
"/usr/bin/linbo_wrapper halt") rm $dir/linbo; exit 255 ;;
/usr/bin/linbo_wrapper*) . $dir/run ;;
esac
"#;

/// No server of tmux, unless there is a file with its sessions.
const TMUX: &str = r#"
[ -e $root/sessions ] && exec cat $root/sessions
echo "no server running on /tmp/tmux-0/default" >&2
exit 1
"#;

/// Notes when the kernel started it, however long it took to get on.
const WAKEONLAN: &str = r#"
dir=$(dirname $(grep -l $1 $root/net/*/mac))
echo "${dir##*/} wake" >> $root/calls
cut -d ' ' -f 22 /proc/$$/stat >> $root/wakes
[ -e $dir/dead ] || touch $dir/linbo
"#;

/// What a client says when it has applied the current image.
const APPLIED: &str = "echo \"$(date -u +%Y%m%d%H%M) applied: ubuntu.qcow2 \\\"202611010800\\\"\"";

struct Room {
    folder: TempDir,
    config: Config,
    hosts: Vec<Wake>,
    expected: BTreeMap<ImageName, (FileName, ImageStamp)>,
    commands: CommandLine,
    images: Vec<ImageName>,
    pace: Pace,
    force_from: Option<Timestamp>,
    circuits: Circuits,
}

impl Room {
    /// A room of hosts that are off, each with what its `linbo_wrapper` does.
    fn new(hosts: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let at = |name: &str| root.join(name);
        // A port that nothing has on the other addresses of this machine's loopback.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = Config {
            server: Server::School("bs-nord".parse().unwrap()),
            repo: Repo {
                url: String::new(),
                branch: String::new(),
                user: String::new(),
                key: None,
                known_hosts: None,
                token_file: None,
                ca: None,
            },
            signers: None,
            release: None,
            smtp: None,
            proxmox: None,
            paths: Paths {
                linbo_log: at("log"),
                devices: at("devices.csv"),
                run: at("run"),
                ..Paths::default()
            },
            commands: Commands {
                ssh: at("ssh"),
                tmux: at("tmux"),
                wakeonlan: at("wakeonlan"),
                linbo_remote: at("linbo-remote"),
                ..Commands::default()
            },
            reset: Reset {
                boot_timeout: Duration::from_millis(4500),
                command_timeout: Duration::from_secs(30),
                poll: Duration::from_millis(50),
                os_port: NonZeroU16::new(port).unwrap(),
                ..Reset::default()
            },
        };
        let stamped = (
            "ubuntu.qcow2".parse().unwrap(),
            "202611010800".parse().unwrap(),
        );
        let mut room = Self {
            config,
            hosts: Vec::new(),
            expected: [("ubuntu".parse().unwrap(), stamped)].into(),
            commands: "sync:1,halt".parse().unwrap(),
            images: vec!["ubuntu".parse().unwrap()],
            pace: Pace {
                wake_per_minute: 6000,
                on_at_once: 100,
            },
            force_from: None,
            circuits: Circuits::default(),
            folder,
        };
        room.program("ssh", SSH);
        room.program("wakeonlan", WAKEONLAN);
        room.program("tmux", TMUX);
        room.write("calls", "");
        room.write("log/.keep", "");
        let mut devices = String::new();
        for (index, (host, run)) in hosts.iter().enumerate() {
            let mac = format!("52:54:00:00:00:{:02x}", index + 1);
            room.write(&format!("net/{host}/mac"), &mac);
            room.write(&format!("net/{host}/run"), run);
            let ip = Self::address(index);
            devices += &format!("r101;{host};ubuntu;{mac};{ip};;;;classroom-studentcomputer;;1\n");
            room.hosts.push(Wake {
                host: host.parse().unwrap(),
                mac: mac.parse().ok(),
            });
        }
        room.write("devices.csv", &devices);
        room
    }

    fn address(index: usize) -> String {
        format!("127.0.1.{}", index + 1)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        self.write(
            name,
            &format!("#!/bin/sh\nroot={}\n{script}", self.folder.path().display()),
        );
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    /// What was done to hosts, in order, without looks.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("calls")).unwrap();
        text.lines()
            .map(|line| line.replace("/usr/bin/linbo_wrapper ", ""))
            .collect()
    }

    /// What was done to one host. On a busy machine it is asked again, since a while has passed.
    fn calls_of(&self, host: &str) -> Vec<String> {
        let begin = format!("{host} ");
        let calls = self.calls();
        let mut calls: Vec<_> = calls
            .iter()
            .filter_map(|call| call.strip_prefix(&begin))
            .map(str::to_owned)
            .collect();
        calls.dedup_by(|next, before| next == "asked" && before == "asked");
        calls
    }

    fn is_busy(&self, host: &str) -> bool {
        is_locked(&host_log(&self.config, &host.parse().unwrap())).unwrap()
    }

    /// Resets the room; what each host was told, in the order in which that was known.
    async fn reset(&self) -> (Result<(), Failure>, Vec<(String, HostOutcome)>) {
        let mut told = Vec::new();
        let reset = RoomReset {
            room: &"r101".parse().unwrap(),
            hosts: &self.hosts,
            commands: &self.commands,
            whole_room: true,
            images: &self.images,
            circuits: &[(Circuit::School, self.pace)],
            force_from: self.force_from,
            expected: &self.expected,
        };
        let mut tell = |progress| {
            if let Progress::Host(host, outcome) = progress {
                told.push((host.to_string(), outcome));
            }
        };
        let result = reset_room(
            &self.config,
            &self.circuits,
            &TimeZone::UTC,
            &reset,
            &mut tell,
        )
        .await;
        (result, told)
    }

    /// Resets the room and compares the outcomes: their first word and a part of what they say.
    async fn check(&self, expected: &[(&str, &str, &str)]) {
        let (result, told) = self.reset().await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(told.len(), expected.len(), "each once: {told:#?}");
        for (host, kind, part) in expected {
            let (_, outcome) = told.iter().find(|(told, _)| told == host).unwrap();
            let is = match outcome {
                HostOutcome::Applied { .. } => "applied",
                HostOutcome::Failed { .. } => "failed",
                HostOutcome::InUse { .. } => "in use",
                HostOutcome::Unreachable { .. } => "unreachable",
                HostOutcome::Unknown { .. } => "unknown",
            };
            assert_eq!(is, *kind, "{host}: {outcome}");
            assert!(outcome.to_string().contains(part), "{host}: {outcome}");
        }
    }
}

/// Looks until it is so, for a minute at most.
async fn becomes(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The reason of a step that failed as a whole.
fn reason(result: Result<(), Failure>) -> String {
    match result {
        Err(Failure::Failed { error, .. }) => format!("{error:#}"),
        other => format!("{other:?}"),
    }
}

fn exists(path: &Path) -> bool {
    path.try_exists().unwrap()
}

#[test]
fn lengths_are_told_in_their_largest_whole_unit() {
    let told = [0, 1, 90, 60, 300, 3600, 7200].map(|seconds| lasting(Duration::from_secs(seconds)));
    let expected = [
        "0 seconds",
        "1 second",
        "90 seconds",
        "1 minute",
        "5 minutes",
        "1 hour",
        "2 hours",
    ];
    assert_eq!(told, expected);
}
