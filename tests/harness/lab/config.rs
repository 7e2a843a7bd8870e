//! The settings of a server of the lab.

use super::world::{ServerPaths, World};

/// Everything that the settings refer to besides the server's own folders.
#[derive(Clone, Debug)]
pub struct ConfigFacts<'a> {
    /// The lab.
    pub world: &'a World,
    /// URL of the state repo.
    pub repo: &'a str,
    /// Port of the mail server on 127.0.0.1.
    pub smtp_port: u16,
}

/// The text of `/etc/linuxmuster/reconciler.yaml` for one server: production's settings with the lab's
/// paths and ports, and less patience.
#[must_use]
pub fn server_config(server: &ServerPaths, facts: &ConfigFacts<'_>) -> String {
    let bin = |name: &str| server.bin().join(name).display().to_string();
    format!(
        "server: {name}\n\
         repo: {{ url: \"{repo}\" }}\n\
         release: {{ user: {name}, password_file: \"{password}\" }}\n\
         smtp: {{ host: 127.0.0.1, port: {smtp} }}\n\
         paths:\n\
         \x20 linbo: \"{linbo}\"\n\
         \x20 store: \"{store}\"\n\
         \x20 linbo_log: \"{linbo_log}\"\n\
         \x20 ssh_config: \"{ssh_config}\"\n\
         \x20 devices: \"{devices}\"\n\
         \x20 setup_ini: \"{setup_ini}\"\n\
         \x20 dhcp: \"{dhcp}\"\n\
         \x20 state: \"{state}\"\n\
         \x20 run: \"{run}\"\n\
         commands:\n\
         \x20 linbo_remote: \"{linbo_remote}\"\n\
         \x20 linbo_torrent: \"{linbo_torrent}\"\n\
         \x20 import_devices: \"{import_devices}\"\n\
         reset: {{ boot_timeout: 6 s, command_timeout: 20 s, poll: 1 s, os_port: {os_port}, windows_port: {windows_port}, linbo_port: {linbo_port} }}\n",
        name = server.name,
        repo = facts.repo,
        password = server.release_password().display(),
        smtp = facts.smtp_port,
        linbo = server.linbo().display(),
        store = server.store().display(),
        linbo_log = server.linbo_log().display(),
        ssh_config = server.ssh_config().display(),
        devices = server.devices_csv().display(),
        setup_ini = server.setup_ini().display(),
        dhcp = server.root.join("etc/dhcp").display(),
        state = server.state().display(),
        run = server.run().display(),
        linbo_remote = bin("linbo-remote"),
        linbo_torrent = bin("linbo-torrent"),
        import_devices = bin("linuxmuster-import-devices"),
        os_port = facts.world.os_port,
        windows_port = facts.world.windows_port,
        linbo_port = facts.world.linbo_port,
    )
}
