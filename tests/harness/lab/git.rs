//! The fleet's state repo: a bare repository, changed through a work clone as a colleague would do it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{process::run_tool, world::World};

/// The state repo of a lab.
#[derive(Clone, Debug)]
pub struct Repo {
    world: World,
}

impl Repo {
    /// Creates the repository with the files of `seed` as its first commit.
    pub(super) fn create(world: &World, seed: &Path) -> Result<Self> {
        let repo = Self {
            world: world.clone(),
        };
        let folder = repo.folder();
        fs::create_dir_all(&folder)?;
        repo.git(
            &folder,
            &["init", "-q", "--bare", "-b", "main", "fleet.git"],
        )?;
        repo.git(&folder, &["clone", "-q", "fleet.git", "work"])?;
        repo.git(&repo.work(), &["checkout", "-q", "-B", "main"])?;
        copy_tree(seed, &repo.work())?;
        repo.publish("seed the state repo", &[])?;
        Ok(repo)
    }

    fn folder(&self) -> PathBuf {
        self.world.root.join("git")
    }

    /// The bare repository that servers fetch from.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder().join("fleet.git")
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// The work clone.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.folder().join("work")
    }

    /// The file with the signers that [`Self::signer`] made so far.
    #[must_use]
    pub fn allowed_signers(&self) -> PathBuf {
        self.world.root.join("keys/allowed_signers")
    }

    /// Runs git in `folder` without any configuration of this machine and user, in the lab's time.
    pub fn git(&self, folder: &Path, arguments: &[&str]) -> Result<String> {
        let date = self
            .world
            .now()?
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string();
        let output = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Lab")
            .env("GIT_AUTHOR_EMAIL", "lab@example.org")
            .env("GIT_COMMITTER_NAME", "Lab")
            .env("GIT_COMMITTER_EMAIL", "lab@example.org")
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .stdin(Stdio::null())
            .output()
            .context("cannot start git")?;
        ensure!(
            output.status.success(),
            "git {}: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Changes the work clone with `edit`, commits all of it and pushes; gives the commit's id.
    pub fn commit(&self, edit: impl FnOnce(&Path) -> Result<()>, message: &str) -> Result<String> {
        edit(&self.work())?;
        self.publish(message, &[])
    }

    /// The same, signed with the SSH key `key` (see [`Self::signer`]).
    pub fn commit_signed(
        &self,
        edit: impl FnOnce(&Path) -> Result<()>,
        message: &str,
        key: &Path,
    ) -> Result<String> {
        edit(&self.work())?;
        self.publish(message, &sign_with(key))
    }

    /// Throws the last commit away, commits `edit` in its place and pushes by force.
    pub fn force_push(
        &self,
        edit: impl FnOnce(&Path) -> Result<()>,
        message: &str,
    ) -> Result<String> {
        self.git(&self.work(), &["reset", "-q", "--hard", "HEAD^"])?;
        edit(&self.work())?;
        self.publish(message, &[])
    }

    /// Signs the last commit anew and pushes by force; for a repo whose first commit has to be signed.
    pub fn sign_head(&self, key: &Path) -> Result<String> {
        let mut arguments = sign_with(key);
        arguments.extend(["commit", "-q", "--amend", "--no-edit", "-S"].map(str::to_owned));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.git(&self.work(), &arguments)?;
        self.push()
    }

    fn publish(&self, message: &str, sign: &[String]) -> Result<String> {
        let work = self.work();
        self.git(&work, &["add", "--all"])?;
        let mut arguments: Vec<_> = sign.iter().map(String::as_str).collect();
        arguments.extend(["commit", "-q", "--allow-empty", "-m", message]);
        if !sign.is_empty() {
            arguments.push("-S");
        }
        self.git(&work, &arguments)?;
        self.push()
    }

    fn push(&self) -> Result<String> {
        let work = self.work();
        self.git(&work, &["push", "-q", "--force", "origin", "HEAD:main"])?;
        self.git(&work, &["rev-parse", "HEAD"])
    }

    /// The id of the newest commit.
    pub fn head(&self) -> Result<String> {
        self.git(&self.path(), &["rev-parse", "main"])
    }

    /// Makes an SSH key for `mail`; only a `trusted` one is written into [`Self::allowed_signers`].
    pub fn signer(&self, mail: &str, trusted: bool) -> Result<PathBuf> {
        let keys = self.world.root.join("keys");
        let key = keys.join(format!("signer-{}", mail.replace(['@', '.'], "-")));
        let path = key.to_string_lossy().into_owned();
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", mail, "-f", &path];
        run_tool("ssh-keygen", &arguments, &keys)?;
        if trusted {
            let public = fs::read_to_string(key.with_extension("pub"))?;
            let line = format!("{mail} namespaces=\"git\" {public}");
            super::host::append(&self.allowed_signers(), &line)?;
        }
        Ok(key)
    }
}

fn sign_with(key: &Path) -> Vec<String> {
    let key = format!("user.signingkey={}", key.display());
    ["-c", "gpg.format=ssh", "-c", &key]
        .map(str::to_owned)
        .into()
}

/// Copies a folder with all that is in it, except `.git`.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_name() == ".git" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
