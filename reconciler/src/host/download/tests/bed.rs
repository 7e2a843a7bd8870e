//! A real rsync daemon with releases, and a school's store.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process};

use super::super::*;
use crate::host::process::{Process, processes};

pub(super) const MIB: usize = 1024 * 1024;
pub(super) const BIG: usize = 20 * MIB;

/// Digests that are computed each time.
#[derive(Debug, Default)]
pub(super) struct Fresh;

impl KnownDigests for Fresh {
    fn of(&self, path: &Path) -> io::Result<Digest> {
        Ok(digest_of(&fs::read(path)?))
    }

    fn adopt(&self, _: &Path, _: &Path) {}
}

/// Bytes that do not compress and do not repeat.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A central server and a school's store.
pub(super) struct Bed {
    pub(super) folder: tempfile::TempDir,
    pub(super) paths: Paths,
    pub(super) commands: Commands,
    pub(super) central: Central,
    pub(super) digests: Arc<Fresh>,
    pub(super) limits: Limits,
    pub(super) daemons: Arc<Mutex<Daemons>>,
}

#[derive(Default)]
pub(super) struct Daemons {
    pub(super) living: Vec<u32>,
    pub(super) connections: usize,
}

impl Bed {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("releases")).unwrap();
        let mut bed = Self::at(folder, 0);
        fs::create_dir_all(bed.paths.linbo.join("images")).unwrap();
        let (listener, daemons) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            Arc::clone(&bed.daemons),
        );
        let port = listener.local_addr().unwrap().port();
        let root = bed.folder.path().display().to_string();
        let conf = bed.folder.path().join("rsyncd.conf");
        let text = format!(
            "use chroot = no\nreverse lookup = no\nlog file = {root}/log\ntransfer logging = yes\n\
             [releases]\npath = {root}/releases\nread only = yes\n"
        );
        fs::write(&conf, text).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (input, output) = (stream.try_clone().unwrap(), stream);
                let mut command = Command::new("rsync");
                command
                    .arg("--daemon")
                    .arg("--config")
                    .arg(&conf)
                    .stderr(Stdio::null());
                command
                    .stdin(OwnedFd::from(input))
                    .stdout(OwnedFd::from(output));
                let mut child = command.spawn().unwrap();
                drop(command);
                let mut daemon = daemons.lock().unwrap();
                daemon.living.push(child.id());
                daemon.connections += 1;
                drop(daemon);
                let daemons = Arc::clone(&daemons);
                std::thread::spawn(move || {
                    child.wait().unwrap();
                    daemons
                        .lock()
                        .unwrap()
                        .living
                        .retain(|id| *id != child.id());
                });
            }
        });
        bed.central.port = port;
        bed
    }

    pub(super) fn at(folder: tempfile::TempDir, port: u16) -> Self {
        let root = folder.path();
        Self {
            paths: Paths {
                linbo: root.join("linbo"),
                store: root.join("store"),
                ..Paths::default()
            },
            commands: Commands::default(),
            central: Central {
                server: "127.0.0.1".parse().unwrap(),
                port,
                release_module: "releases".parse().unwrap(),
                uplink: None,
            },
            digests: Arc::default(),
            limits: Limits {
                tick: Duration::from_millis(20),
                ..Limits::default()
            },
            daemons: Arc::default(),
            folder,
        }
    }

    pub(super) fn store(&self) -> StoreFolder {
        StoreFolder::new(&self.paths.store)
    }

    pub(super) fn released(&self, image: &str, name: &str) -> PathBuf {
        self.folder
            .path()
            .join("releases")
            .join(image)
            .join("1")
            .join(name)
    }

    /// Publishes files; gives the digest of the manifest.
    pub(super) fn publish(&self, image: &str, contents: &[(&str, &[u8])]) -> Digest {
        let files = contents.iter().map(|(ending, bytes)| {
            let name = format!("{image}.{ending}");
            let path = self.released(image, &name);
            fs::create_dir_all(files::parent(&path)).unwrap();
            fs::write(path, bytes).unwrap();
            ManifestFile {
                name: name.parse().unwrap(),
                size: bytes.len() as u64,
                sha256: digest_of(bytes),
            }
        });
        let manifest = Manifest::new(
            image.parse().unwrap(),
            "1".parse().unwrap(),
            files.collect(),
        )
        .unwrap();
        let text = manifest.to_json().unwrap();
        fs::write(self.released(image, "manifest.json"), &text).unwrap();
        digest_of(text.as_bytes())
    }

    pub(super) async fn fetch(
        &self,
        image: &str,
        manifest: &Digest,
        rate: Option<&str>,
    ) -> Result<Vec<Progress>, Failure> {
        self.fetch_until(image, manifest, rate, Timestamp::MAX)
            .await
    }

    pub(super) async fn fetch_until(
        &self,
        image: &str,
        manifest: &Digest,
        rate: Option<&str>,
        until: Timestamp,
    ) -> Result<Vec<Progress>, Failure> {
        let line = Line {
            paths: &self.paths,
            commands: &self.commands,
            central: &self.central,
            login: None,
            digests: &self.digests,
            limits: self.limits,
        };
        let (image, version) = (image.parse().unwrap(), "1".parse().unwrap());
        let rate = rate.map(|rate| rate.parse().unwrap());
        let wanted = Wanted {
            image: &image,
            version: &version,
            manifest,
            rate,
            from: Timestamp::MIN,
            until,
        };
        let mut told = Vec::new();
        download(&line, &wanted, &mut |progress| told.push(progress)).await?;
        Ok(told)
    }

    /// Waits until so much of a file has arrived.
    pub(super) async fn arrived(&self, digest: &Digest, bytes: usize) -> u64 {
        let path = self.store().partial(digest);
        let size = || fs::metadata(&path).map_or(0, |found| found.len());
        let begun = Instant::now();
        while size() < bytes as u64 {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{} bytes of {bytes}",
                size()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        size()
    }

    /// rsync's processes that write this file: those that have its lock as their input.
    pub(super) fn writers(&self, digest: &Digest) -> Vec<Process> {
        let lock = fs::canonicalize(self.store().lock(digest)).unwrap_or_default();
        let input = |id: u32| fs::read_link(format!("/proc/{id}/fd/0")).unwrap_or_default();
        processes()
            .filter(|process| input(process.id) == lock)
            .collect()
    }

    pub(super) fn has(&self, bytes: &[u8]) -> bool {
        fs::read(self.store().object(&digest_of(bytes))).is_ok_and(|found| found == bytes)
    }

    /// Bytes that the daemon sent in its last connection.
    pub(super) async fn last_sent(&self) -> u64 {
        let connections = self.daemons.lock().unwrap().connections;
        let begun = Instant::now();
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let ends: Vec<_> = log
                .lines()
                .filter_map(|line| line.split_once("] sent "))
                .collect();
            let number = ends
                .last()
                .and_then(|(_, rest)| rest.split(' ').next()?.replace(',', "").parse().ok());
            if let Some(number) = number.filter(|_| ends.len() >= connections) {
                return number;
            }
            // The last line of a daemon that was killed is missing; the last one that ended counts.
            if begun.elapsed() > Duration::from_secs(2) {
                return number.unwrap_or_else(|| panic!("{log}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn signal_daemons(&self, signal: Signal) {
        for id in &self.daemons.lock().unwrap().living {
            // Each has a child of its own for the transfer.
            for process in processes().filter(|process| process.id == *id || process.parent == *id)
            {
                send(process.id, signal);
            }
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.signal_daemons(Signal::KILL);
    }
}

pub(super) fn send(id: u32, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    // It may have ended meanwhile.
    _ = kill_process(id, signal);
}

pub(super) fn text(failure: Failure) -> String {
    match failure {
        Failure::Paused => "paused".to_owned(),
        Failure::Failed { error, evidence } => format!("{error:#} | {}", evidence.join(" | ")),
    }
}
