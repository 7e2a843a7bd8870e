//! Hardware classes: `start.conf.<class>`, and the import that makes boot configurations of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use schema::name::{ClassName, HostName};

use crate::config::{Commands, Paths};
use crate::host::boot_links::{self, LinkError};
use crate::host::files;
use crate::host::process::{ProcessError, Program};
use crate::linbo::devices::Devices;
use crate::world::Failure;

/// How long `linuxmuster-import-devices` may take.
const IMPORT: Duration = Duration::from_secs(10 * 60);

/// Why a class is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ClassError {
    /// Somebody else changed the file.
    #[error("{} was changed since it was looked at, so it was left alone; the next round looks again", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be used.
    #[error("{} cannot be read or written", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The import could not be run.
    #[error("the devices could not be imported")]
    Program(#[source] ProcessError),
    /// The import failed.
    #[error("linuxmuster-import-devices {how}")]
    Failed {
        /// How it ended.
        how: String,
    },
    /// The import said that all was well, and left out some hosts.
    #[error(
        "linuxmuster-import-devices reported success, but these hosts are not led to their class by a link \
         start.conf-<address> in LINBO's folder: {}",
        .strays.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
    )]
    Strays {
        /// The hosts.
        strays: Vec<HostName>,
    },
    /// The import said that all was well, and took the configuration of the DHCP server away.
    #[error(
        "linuxmuster-import-devices reported success, but {} is gone: no PC of the school gets an address; \
         see /var/log/linuxmuster/import-devices.log",
        .path.display()
    )]
    NoDhcp {
        /// The file.
        path: PathBuf,
    },
    /// The import said that all was well, and some hosts get no address.
    #[error(
        "linuxmuster-import-devices reported success, but these hosts are not in {}: {}; \
         is there a network in subnets.csv that their addresses are in?",
        .path.display(),
        .hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
    )]
    NoLease {
        /// The file.
        path: PathBuf,
        /// The hosts.
        hosts: Vec<HostName>,
    },
    /// The import said that all was well, and left out some classes.
    #[error(
        "linuxmuster-import-devices reported success, but these are not newer than their start.conf: {}; \
         is there a host of the class with PXE in devices.csv?",
        .stale.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoEvidence {
        /// The boot configurations.
        stale: Vec<PathBuf>,
    },
}

impl ClassError {
    fn with(self, evidence: Vec<String>) -> Failure {
        Failure::Failed {
            error: anyhow::Error::new(self),
            evidence,
        }
    }

    fn file(path: &Path, source: io::Error) -> Failure {
        Self::File {
            path: path.to_owned(),
            source,
        }
        .with(Vec::new())
    }
}

/// Replaces `start.conf.<class>` by `after`, if it is still `before`; nothing is done when it is
/// `after` already.
///
/// # Errors
///
/// When it is neither, or cannot be written; it is as it was then.
pub fn write_start_conf(
    paths: &Paths,
    class: &ClassName,
    before: Option<&str>,
    after: &str,
) -> Result<(), Failure> {
    let path = paths.linbo.join(format!("start.conf.{class}"));
    let bytes =
        files::if_there(fs::read(&path)).map_err(|source| ClassError::file(&path, source))?;
    // Other people's bytes that are no text were read this way, too.
    let now = bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes));
    if now.as_deref() == Some(after) {
        return Ok(());
    }
    if now.as_deref() != before {
        return Err(ClassError::Changed { path }.with(Vec::new()));
    }
    files::write_atomically(&path, after.as_bytes(), 0o644)
        .map_err(|source| ClassError::file(&path, source))
}

/// Runs `linuxmuster-import-devices`, and sees that each class has a boot configuration that is not
/// older than its `start.conf`, that the DHCP server has its configuration, and that each of the hosts gets its address
/// and is led to its class.
///
/// # Errors
///
/// When it failed, or one of them is missing or older.
pub async fn import_devices(
    paths: &Paths,
    commands: &Commands,
    classes: &[ClassName],
    hosts: &BTreeMap<HostName, ClassName>,
) -> Result<(), Failure> {
    let finished = Program::new("import_devices", &commands.import_devices)
        .deadline(IMPORT)
        .run()
        .await;
    let finished = finished.map_err(|error| ClassError::Program(error).with(Vec::new()))?;
    let evidence = || finished.last_lines(15);
    if !finished.is_success() {
        return Err(ClassError::Failed {
            how: finished.how(),
        }
        .with(evidence()));
    }
    let mut stale = Vec::new();
    for class in classes {
        let grub = paths.linbo.join(format!("boot/grub/{class}.cfg"));
        let (conf, made) = (
            changed(&paths.linbo.join(format!("start.conf.{class}")))?,
            changed(&grub)?,
        );
        if made.is_none() || made < conf {
            stale.push(grub);
        }
    }
    if !stale.is_empty() {
        return Err(ClassError::NoEvidence { stale }.with(evidence()));
    }
    if let Some(error) = without_address(paths, hosts)? {
        return Err(error.with(evidence()));
    }
    let strays = strays(paths, hosts)?;
    if strays.is_empty() {
        Ok(())
    } else {
        Err(ClassError::Strays { strays }.with(evidence()))
    }
}

/// What the DHCP server does not know. Where the import never wrote anything for it, there is nothing to know.
fn without_address(
    paths: &Paths,
    hosts: &BTreeMap<HostName, ClassName>,
) -> Result<Option<ClassError>, Failure> {
    let main = paths.dhcp.join("devices.conf");
    let of_school = paths.dhcp.join("devices/default-school.conf");
    let read = files::if_there(fs::read(&of_school));
    let Some(known) = read.map_err(|source| ClassError::file(&of_school, source))? else {
        return Ok(None);
    };
    if !main.exists() {
        return Ok(Some(ClassError::NoDhcp { path: main }));
    }
    // `host NAME {`, as base7 writes it; names are compared as DNS does.
    let known = String::from_utf8_lossy(&known).to_ascii_lowercase();
    let known = known
        .lines()
        .filter_map(|line| line.trim().strip_prefix("host "));
    let known: BTreeSet<&str> = known
        .filter_map(|rest| rest.split([' ', '{']).next())
        .collect();
    let rows =
        fs::read(&paths.devices).map_err(|source| ClassError::file(&paths.devices, source))?;
    let rows = Devices::parse(&rows);
    let has_own = |host: &&HostName| rows.get(host).is_some_and(|row| row.ip.is_some());
    let gone = |host: &&HostName| !known.contains(&*host.as_str().to_ascii_lowercase());
    let hosts: Vec<HostName> = hosts.keys().filter(has_own).filter(gone).cloned().collect();
    Ok((!hosts.is_empty()).then_some(ClassError::NoLease {
        path: of_school,
        hosts,
    }))
}

/// Hosts that are not led to the class that they are to have.
fn strays(paths: &Paths, hosts: &BTreeMap<HostName, ClassName>) -> Result<Vec<HostName>, Failure> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    let text =
        fs::read(&paths.devices).map_err(|source| ClassError::file(&paths.devices, source))?;
    let names = hosts.keys().cloned().collect();
    let led = boot_links::of_hosts(&paths.linbo, &Devices::parse(&text), &names)
        .map_err(|LinkError { path, source }| ClassError::file(&path, source))?;
    let is_stray = |(host, class): &(&HostName, &ClassName)| led.get(*host) != Some(class);
    let strays = hosts.iter().filter(is_stray);
    Ok(strays.map(|(host, _)| host.clone()).collect())
}

fn changed(path: &Path) -> Result<Option<SystemTime>, Failure> {
    let found = files::if_there(fs::metadata(path).and_then(|found| found.modified()));
    found.map_err(|source| ClassError::file(path, source))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn text(failure: Failure) -> String {
        match failure {
            Failure::Paused => panic!("nothing pauses here"),
            Failure::Failed { error, evidence } => format!("{error:#} | {}", evidence.join(" | ")),
        }
    }

    #[test]
    fn a_start_conf_is_replaced_only_if_nobody_changed_it() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths {
            linbo: root.path().to_owned(),
            ..Paths::default()
        };
        let class = "pc".parse().unwrap();
        let path = root.path().join("start.conf.pc");
        let read = || fs::read_to_string(&path).unwrap();
        write_start_conf(&paths, &class, None, "one").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o644
        );
        write_start_conf(&paths, &class, Some("one"), "two").unwrap();
        // A crash after the exchange: it is done again, and that is no conflict.
        write_start_conf(&paths, &class, Some("one"), "two").unwrap();
        assert_eq!(read(), "two");
        fs::write(&path, "by hand").unwrap();
        for before in [None, Some("two")] {
            let error = text(write_start_conf(&paths, &class, before, "three").unwrap_err());
            assert!(
                error.contains("was changed since it was looked at"),
                "{error}"
            );
        }
        assert_eq!(read(), "by hand");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn an_import_is_judged_by_what_it_made() {
        let check = async |script: &str, hosts: &str, wanted: Option<&str>| {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("boot/grub")).unwrap();
            for class in ["pc", "laptop"] {
                fs::write(root.path().join(format!("start.conf.{class}")), "text").unwrap();
            }
            let command = root.path().join("import");
            fs::write(
                &command,
                format!(
                    "#!/bin/sh\ncd {}/boot/grub\n{script}\n",
                    root.path().display()
                ),
            )
            .unwrap();
            fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
            let devices = root.path().join("devices.csv");
            fs::write(&devices, "r1;pc01;pc;52:54:00:00:00:01;10.0.0.1;;;;;;1\n").unwrap();
            let paths = Paths {
                linbo: root.path().to_owned(),
                dhcp: root.path().join("dhcp"),
                devices,
                ..Paths::default()
            };
            let hosts = hosts.split_whitespace();
            let hosts = hosts.map(|host| (host.parse().unwrap(), "pc".parse().unwrap()));
            let commands = Commands {
                import_devices: command,
                ..Commands::default()
            };
            let classes = ["pc".parse().unwrap(), "laptop".parse().unwrap()];
            match (
                import_devices(&paths, &commands, &classes, &hosts.collect())
                    .await
                    .map_err(text),
                wanted,
            ) {
                (Ok(()), None) => {}
                (Err(error), Some(wanted)) => assert!(error.contains(wanted), "{error}"),
                (other, _) => panic!("{other:?} for {wanted:?}"),
            }
        };
        check("touch pc.cfg laptop.cfg", "", None).await;
        check("touch pc.cfg", "", Some("grub/laptop.cfg; is there a host")).await;
        check(
            "touch pc.cfg; touch -d 2001-01-01 laptop.cfg",
            "",
            Some("grub/laptop.cfg; is there a host"),
        )
        .await;
        check(
            "touch pc.cfg laptop.cfg; echo row 3 is wrong; exit 1",
            "",
            Some("ended with exit code 1 | row 3 is wrong"),
        )
        .await;
        let dhcp = "touch pc.cfg laptop.cfg; mkdir -p ../../dhcp/devices; cd ../../dhcp; touch devices/default-school.conf";
        check(dhcp, "", Some("dhcp/devices.conf is gone: no PC")).await;
        let dhcp = format!("{dhcp} devices.conf");
        check(&dhcp, "", None).await;
        check(&dhcp, "pc01", Some("not in")).await;
        let dhcp = format!("{dhcp}; echo 'host PC01 {{' > devices/default-school.conf");
        check(&dhcp, "pc01", Some("not led to their class")).await;
        let linked = |class: &str| {
            format!("touch pc.cfg laptop.cfg; ln -s start.conf.{class} ../../start.conf-10.0.0.1")
        };
        check(&linked("pc"), "pc01", None).await;
        for strays in ["touch pc.cfg laptop.cfg", &linked("laptop")] {
            let wanted =
                "not led to their class by a link start.conf-<address> in LINBO's folder: pc01";
            check(strays, "pc01", Some(wanted)).await;
        }
    }
}
