//! The machine configuration of a server of the lab.

use super::world::{ServerPaths, World};

/// Everything that the configuration refers to besides the server's own folders.
#[derive(Clone, Debug)]
pub struct ConfigFacts<'a> {
    /// The lab.
    pub world: &'a World,
    /// URL of the state repo.
    pub repo: &'a str,
    /// URL of the releases.
    pub releases: &'a str,
    /// Port of the mail server on 127.0.0.1.
    pub smtp_port: u16,
}

/// The text of `/etc/linuxmuster/reconciler.yaml` for one server.
///
/// THE ONE PLACE to change when the format of the machine configuration is settled; what stands here is a guess.
#[must_use]
pub fn server_config(server: &ServerPaths, facts: &ConfigFacts<'_>) -> String {
    format!(
        "server: {name}\n\
         repo: {{ url: \"{repo}\", branch: main }}\n\
         smtp: {{ host: 127.0.0.1, port: {smtp} }}\n\
         releases: {{ url: \"{releases}\", user: {name}, password_file: \"{password}\" }}\n\
         linbo: {{ ssh_config: \"{ssh_config}\", port: {port} }}\n\
         paths:\n\
         \x20 root: \"{root}\"\n",
        name = server.name,
        repo = facts.repo,
        smtp = facts.smtp_port,
        releases = facts.releases,
        password = server.release_password().display(),
        ssh_config = server.ssh_config().display(),
        port = facts.world.linbo_port,
        root = server.root.display(),
    )
}
