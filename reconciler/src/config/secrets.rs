//! Files with secrets: there, and closed to everybody but their owner.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{Config, Proxmox};

/// What is wrong with the files that hold secrets, each with what to do. Their content is not read.
#[must_use]
pub fn check_secrets(config: &Config) -> Vec<String> {
    let release = config
        .release
        .as_ref()
        .map(|release| &release.password_file);
    let login = config
        .smtp
        .as_ref()
        .and_then(|smtp| smtp.login.as_ref())
        .map(|(_, file)| file);
    let token = match &config.proxmox {
        Some(Proxmox::Api(api)) => Some(&api.token_file),
        Some(Proxmox::Qm(_)) | None => None,
    };
    let files = [
        ("repo.key", config.repo.key.as_ref()),
        ("repo.token_file", config.repo.token_file.as_ref()),
        ("release.password_file", release),
        ("smtp.password_file", login),
        ("proxmox.token_file", token),
    ];
    files
        .into_iter()
        .filter_map(|(setting, file)| problem(setting, file?))
        .collect()
}

fn problem(setting: &str, file: &PathBuf) -> Option<String> {
    let shown = file.display();
    let found = match fs::metadata(file) {
        Ok(found) => found,
        Err(error) => return Some(format!("{setting}: cannot look at {shown}: {error}")),
    };
    if !found.is_file() {
        return Some(format!("{setting}: {shown} is no file"));
    }
    let mode = found.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then(|| {
        format!(
            "{setting}: others than its owner may use {shown} (mode {mode:04o}): chmod 600 {shown}"
        )
    })
}
