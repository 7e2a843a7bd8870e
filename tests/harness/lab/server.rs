//! A handle on one server of the lab: what is on it, and running programs there as its root.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    central::{made, names},
    images::{Content, sample_digest},
    linbo_files::start_conf,
    process::{Output, Running},
    world::{ServerPaths, World, replace},
};

/// How long a program may run before its process group is killed.
const DEADLINE: Duration = Duration::from_secs(120);

/// One server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its folders.
    pub paths: ServerPaths,
    pub(super) world: World,
}

impl Server {
    /// Runs one `reconcile` with these arguments at `at`, such as `2026-11-23 18:05:00` in the lab's zone; time goes
    /// on from there. The machine configuration is added unless the arguments name one.
    pub fn run(&self, arguments: &[&str], at: &str) -> Result<Output> {
        self.spawn(arguments, at)?.wait(DEADLINE)
    }

    /// The same, now.
    pub fn run_now(&self, arguments: &[&str]) -> Result<Output> {
        self.start_reconcile(arguments)?.wait(DEADLINE)
    }

    /// Starts `reconcile` at `at` and lets it run; dropping what comes back kills it and what it started.
    pub fn spawn(&self, arguments: &[&str], at: &str) -> Result<Running> {
        self.world.set_time(at)?;
        self.start_reconcile(arguments)
    }

    fn start_reconcile(&self, arguments: &[&str]) -> Result<Running> {
        let mut command = self.command(&binary()?)?;
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--config"))
        {
            command.arg("--config").arg(self.paths.config());
        }
        command.args(arguments);
        self.start(&mut command)
    }

    /// Runs one of the server's programs, such as `linbo-remote`, in the lab's time.
    pub fn call(&self, program: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command(&self.paths.bin().join(program))?;
        self.start(command.args(arguments))?.wait(DEADLINE)
    }

    fn start(&self, command: &mut Command) -> Result<Running> {
        let order = jiff::Timestamp::now().as_nanosecond();
        let name = format!("{}-{order}.x", self.paths.name);
        Running::start(command, &self.world.root.join("out").join(name))
    }

    /// A command in the environment of the server: its programs first, its home, its tmux, the lab's time.
    ///
    /// The time is given as a difference and not as a start, without the wrapper `faketime`: a program that outlives
    /// the one that started it would otherwise miss the wrapper's shared memory, and one that starts later would
    /// begin at the same time again.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let mut command = Command::new(program);
        let path = format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            self.paths.bin().display()
        );
        let offset = self.world.offset_ms()?;
        let seconds = format!(
            "{}{}.{:03}",
            if offset < 0 { '-' } else { '+' },
            offset.abs() / 1000,
            offset.abs() % 1000
        );
        command
            .env_clear()
            .current_dir(&self.paths.root)
            .env("PATH", path)
            .env("HOME", self.paths.home())
            .env("TMUX_TMPDIR", self.paths.tmux())
            .env("TZ", &self.world.time_zone)
            .env("LANG", "C.UTF-8")
            .env("LD_PRELOAD", faketime()?)
            .env("FAKETIME", seconds)
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        Ok(command)
    }

    /// Puts an image into LINBO's folder as it is on a running server, seeded and ready for clients.
    pub fn install(&self, image: &str, content: &Content) -> Result<()> {
        let folder = self.paths.images().join(image);
        fs::create_dir_all(&folder)?;
        let made = made(&self.world, image, content)?;
        let files = names(&made)?;
        let diff = format!("{image}.qdiff");
        if !files.contains(&diff) {
            for extension in ["", ".info", ".torrent", ".hash"] {
                fs::remove_file(folder.join(format!("{diff}{extension}"))).ok();
            }
        }
        let (infos, images): (Vec<_>, Vec<_>) =
            files.iter().partition(|name| name.ends_with(".info"));
        for name in images.iter().chain(&infos) {
            fs::remove_file(folder.join(name)).ok();
            fs::copy(made.join(name), folder.join(name))?;
        }
        for name in images {
            self.call("linbo-torrent", &["create", name])?.success()?;
        }
        Ok(())
    }

    /// Writes the start.conf of a class whose one OS comes from `image`; `download` is `rsync` or `torrent`.
    pub fn write_start_conf(&self, class: &str, image: &str, download: &str) -> Result<()> {
        let path = self.paths.linbo().join(format!("start.conf.{class}"));
        replace(&path, start_conf(class, image, download))
    }

    /// The status that LINBO stored for a host; empty if there is none.
    pub fn status_of(&self, host: &str) -> Result<String> {
        self.log_file(&format!("{host}_image.status"))
    }

    /// The log that LINBO stored for a host; empty if there is none.
    pub fn log_of(&self, host: &str) -> Result<String> {
        self.log_file(&format!("{host}_linbo.log"))
    }

    /// A file of LINBO's log folder; empty if it is not there.
    pub fn log_file(&self, name: &str) -> Result<String> {
        match fs::read(self.paths.linbo_log().join(name)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).context(name.to_owned()),
        }
    }

    /// Makes a program fail until it is set to `None`. `linbo-torrent`: `create-fails`, `check-fails`,
    /// `no-session`, `stop-skips`. `linuxmuster-import-devices`: `dry-run-fails`, `dhcp-fails`, `hook-fails`.
    pub fn set_fault(&self, program: &str, fault: Option<&str>) -> Result<()> {
        replace(&self.paths.fault(program), fault.unwrap_or_default())
    }

    /// The tmux sessions on this server.
    pub fn sessions(&self) -> Result<Vec<String>> {
        let output = self.tmux(&["list-sessions", "-F", "#{session_name}"])?;
        let mut names: Vec<_> = output.lines().map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// Runs tmux on this server's socket; gives its standard output, which is empty if there is no server.
    pub(super) fn tmux(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(arguments)
            .env("TMUX_TMPDIR", self.paths.tmux())
            .env_remove("TMUX")
            .output()
            .context("cannot start tmux")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What went wrong on this server unseen: a seeder that wrote old content into a new image.
    pub fn anomalies(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.paths.run().join("anomalies")).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// What the image file `name` (`ubuntu.qdiff`) in LINBO's folder holds, to compare with what a host applied.
    pub fn image(&self, name: &str) -> Result<super::host::Cached> {
        let stem = name.split('.').next().unwrap_or(name);
        sample_digest(&self.paths.images().join(stem).join(name))
    }
}

/// The library that fakes the time, where the distributions install it.
///
/// The program `faketime` is not asked: it makes a semaphore named by its process id and ends when one of that name
/// is left over, which every process leaves that is killed with the library loaded. The library goes on without it.
fn faketime() -> Result<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = LIBRARY.get_or_init(|| {
        let folders = ["/usr/lib", "/usr/lib64"].into_iter().flat_map(|folder| {
            let below = fs::read_dir(folder).into_iter().flatten().flatten();
            std::iter::once(PathBuf::from(folder)).chain(below.map(|entry| entry.path()))
        });
        folders
            .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.is_file())
    });
    let missing = "libfaketimeMT.so.1 is not installed (Debian: libfaketime)";
    found.as_deref().context(missing)
}

/// The production program, built beside the tests.
pub fn binary() -> Result<PathBuf> {
    find_program("reconcile-in-lab")
}

/// A program of this package: as Cargo says, or in the target folder of the running program.
pub(super) fn find_program(name: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(format!("CARGO_BIN_EXE_{name}")) {
        return Ok(PathBuf::from(path));
    }
    let own = env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    let mut found = found.filter(|path| path.is_file());
    found
        .next()
        .with_context(|| format!("{name} is not built beside {}", own.display()))
}
