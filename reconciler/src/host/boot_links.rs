//! The links that lead a booting host to the `start.conf` of its class.
//!
//! `linuxmuster-import-devices` makes one for each host that boots LINBO, `start.conf-<address>`, or `start.conf-<MAC>`
//! for a host that gets its address by DHCP. Until it has run, a host goes on with the class that it had.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use schema::name::{ClassName, HostName};

use crate::host::files;
use crate::linbo::devices::{Device, Devices};

/// A link that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the link {}", .path.display())]
pub struct LinkError {
    /// The link.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The class that a host is led to; none without a link, or with one that leads elsewhere.
///
/// # Errors
///
/// When the link cannot be read.
pub fn class_of(linbo: &Path, device: &Device) -> Result<Option<ClassName>, LinkError> {
    let names = match (device.ip, device.mac.map(|mac| mac.to_string())) {
        (Some(ip), _) => vec![ip.to_string()],
        // As `devices.csv` has it, which may be either.
        (None, Some(mac)) => vec![mac.to_ascii_uppercase(), mac],
        (None, None) => Vec::new(),
    };
    for name in names {
        let path = linbo.join(format!("start.conf-{name}"));
        let target = match files::if_there(fs::read_link(&path)) {
            // A file that somebody put there in place of the link is no class.
            Err(error) if error.kind() == ErrorKind::InvalidInput => None,
            other => other.map_err(|source| LinkError { path, source })?,
        };
        let name = target.as_deref().and_then(Path::file_name);
        let class = name.and_then(|name| name.to_str()?.strip_prefix("start.conf."));
        if let Some(class) = class.and_then(|class| class.parse().ok()) {
            return Ok(Some(class));
        }
    }
    Ok(None)
}

/// The classes that these hosts are led to.
///
/// # Errors
///
/// At the first link that cannot be read.
pub fn of_hosts(
    linbo: &Path,
    devices: &Devices,
    hosts: &BTreeSet<HostName>,
) -> Result<BTreeMap<HostName, ClassName>, LinkError> {
    let mut found = BTreeMap::new();
    for device in hosts.iter().filter_map(|host| devices.get(host)) {
        let class = class_of(linbo, device)?;
        found.extend(class.map(|class| (device.host.clone(), class)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_host_is_led_by_its_address_or_by_its_card() {
        let root = tempfile::tempdir().unwrap();
        let rows = b"r1;pc01;lab;52:54:00:00:00:01;10.0.0.1;;;;;;1\n\
            r1;pc02;lab;52:54:00:00:00:02;DHCP;;;;;;1\n\
            r1;pc03;lab;52:54:00:00:00:03;10.0.0.3;;;;;;1\n\
            r1;pc04;lab;52:54:00:00:00:04;10.0.0.4;;;;;;1\n\
            r1;pc05;lab;-;DHCP;;;;;;0\n\
            r1;pc06;lab;52:54:00:00:00:AB;DHCP;;;;;;1\n";
        let devices = Devices::parse(rows);
        let link = |name: &str, to: &str| symlink(to, root.path().join(name)).unwrap();
        link("start.conf-10.0.0.1", "start.conf.gimp");
        link("start.conf-52:54:00:00:00:02", "/srv/linbo/start.conf.lab");
        link("start.conf-52:54:00:00:00:AB", "start.conf.lab");
        link("start.conf-10.0.0.3", "elsewhere");
        fs::write(root.path().join("start.conf-10.0.0.4"), "by hand").unwrap();
        let hosts = devices.rows().iter().map(|device| device.host.clone());
        let found = of_hosts(root.path(), &devices, &hosts.collect()).unwrap();
        let found: Vec<_> = found.iter().map(|(h, c)| format!("{h} {c}")).collect();
        assert_eq!(found, ["pc01 gimp", "pc02 lab", "pc06 lab"]);
    }
}
