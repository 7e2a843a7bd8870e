//! Against the real `git`, `ssh-keygen` and `sshd`, on this machine only.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

mod clone;
mod https;
mod remote;
mod signing;
mod ssh;
mod trees;

/// A remote, somebody who works on it, and the clone under test, in a folder that goes away.
struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    /// With one commit on `main`.
    fn new() -> Self {
        let lab = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        lab.run(
            "git",
            &["init", "-q", "--bare", "-b", "main", "remote.git"],
            ".",
        );
        lab.run("git", &["init", "-q", "-b", "main", "work"], ".");
        lab.git(&["remote", "add", "origin", "../remote.git"]);
        lab.commit("fleet.yaml", "name: a\n");
        lab.push();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str], dir: &str) -> String {
        let output = command(program, &self.path(dir))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn git(&self, args: &[&str]) -> String {
        self.run("git", args, "work")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.git(&["add", "-A"]);
    }

    fn commit(&self, name: &str, text: &str) -> CommitId {
        self.write(name, text);
        self.git(&["commit", "-q", "-m", &format!("change {name}")]);
        self.head()
    }

    fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn push(&self) {
        self.git(&["push", "-q", "--force", "origin", "HEAD:main"]);
    }

    fn remote(&self) -> Remote {
        let url = format!("file://{}", self.path("remote.git").display());
        Remote::new(url, "main", Credentials::None)
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.path("state.git")).unwrap()
    }

    fn fetch(&self) -> CommitId {
        self.cache().fetch(&self.remote()).unwrap()
    }
}

/// A program with nothing of this machine's configuration.
fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).stdin(Stdio::null()).env_clear();
    for (name, value) in [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("LC_ALL", "C"),
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@school.example"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@school.example"),
    ] {
        command.env(name, value);
    }
    command
}

/// The error and all its causes, as people get to see them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn commit_ids_are_checked() {
    let good = "0123456789abcdef0123456789abcdef01234567";
    let id: CommitId = good.parse().unwrap();
    assert_eq!((id.as_str(), id.short()), (good, "0123456789"));
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{good}\""));
    let upper = good.to_uppercase();
    for bad in [
        "",
        "main",
        &good[1..],
        &upper,
        "../../../../../../../../../../../../../x",
    ] {
        assert!(bad.parse::<CommitId>().is_err(), "{bad}");
    }
}
