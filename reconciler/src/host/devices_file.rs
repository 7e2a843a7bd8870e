//! The rows of hosts in `devices.csv`, and their hardware classes.
//!
//! # Invariants
//!
//! The file is exchanged as a whole, and only if every host has the row or class that it was seen with, or has the new
//! one already. All other bytes, its owner and its mode stay. People and the school console append to the file at any time,
//! and lock nothing: it is read once more right before it is exchanged, and what was appended by then is left for the next
//! round. The file before is kept in the state folder.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use schema::name::HostName;

use crate::config::Paths;
use crate::host::files;
use crate::linbo::devices::{Devices, Edits, edit};
use crate::planning::action::{ClassChange, RowChange};
use crate::world::Failure;

/// The name of the copy of the file before, in the state folder.
pub const KEPT: &str = "devices.csv.before";

/// Why hosts do not get another row. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Somebody else changed the file.
    #[error("{} was changed since it was looked at{what}, so it was left alone; the next round looks again", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What is known of that.
        what: String,
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
}

/// Makes rows say something else; nothing is done when they say it already.
///
/// # Errors
///
/// When one says neither what it was seen with nor that, or the file cannot be read or written.
pub fn set_rows(paths: &Paths, rows: &BTreeMap<HostName, RowChange>) -> Result<(), Failure> {
    exchange(paths, |known| {
        for (host, change) in rows {
            let now = known.get(host);
            if now != change.before() && now != change.after() {
                return Err(match now {
                    Some(_) => format!(" ({host} has another row now)"),
                    None => gone(host),
                });
            }
        }
        Ok(RowChange::edits(rows))
    })
}

/// Gives hosts another class; nothing is done when they have it already.
///
/// # Errors
///
/// When a host has neither class, or the file cannot be read or written.
pub fn set_classes(paths: &Paths, hosts: &BTreeMap<HostName, ClassChange>) -> Result<(), Failure> {
    exchange(paths, |known| {
        for (host, ClassChange { before, after }) in hosts {
            match known.get(host).map(|device| &device.class) {
                Some(now) if now == before || now == after => {}
                Some(now) => return Err(format!(" ({host} has class {now} now)")),
                None => return Err(gone(host)),
            }
        }
        Ok(known.moved(hosts.iter().map(|(host, change)| (host, &change.after))))
    })
}

fn gone(host: &HostName) -> String {
    format!(" ({host} is not in it now)")
}

/// Exchanges the file for one with other rows; `edits` says which, or what is other than it was seen.
fn exchange(
    paths: &Paths,
    edits: impl Fn(&Devices) -> Result<Edits, String>,
) -> Result<(), Failure> {
    try_exchange(paths, edits).map_err(|error| Failure::Failed {
        error: anyhow::Error::new(error),
        evidence: Vec::new(),
    })
}

fn try_exchange(
    paths: &Paths,
    edits: impl Fn(&Devices) -> Result<Edits, String>,
) -> Result<(), DeviceError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| DeviceError::File { path, source }
    };
    // The folder of the file itself is where it can be exchanged; a link to it stays one.
    let path = fs::canonicalize(&paths.devices).map_err(error(&paths.devices))?;
    let text = fs::read(&path).map_err(error(&path))?;
    let edits = edits(&Devices::parse(&text)).map_err(|what| DeviceError::Changed {
        path: path.clone(),
        what,
    })?;
    let changed = edit(&text, &edits);
    if changed == text {
        return Ok(());
    }
    let kept = paths.state.join(KEPT);
    files::write_atomically(&kept, &text, 0o600).map_err(error(&kept))?;
    let like = fs::metadata(&path).map_err(error(&path))?;
    let new = beside(&path, &changed, &like).map_err(error(&path))?;
    if fs::read(&path).map_err(error(&path))? != text {
        files::remove_if_there(&new).map_err(error(&new))?;
        let what = String::new();
        return Err(DeviceError::Changed { path, what });
    }
    fs::rename(&new, &path)
        .and_then(|()| files::sync_folder(files::parent(&path)))
        .map_err(error(&path))
}

/// The new file, durable under a name of its own beside the old one, and of the same owner and mode.
fn beside(path: &Path, bytes: &[u8], like: &Metadata) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.reconcile"));
    files::write_atomically(&new, bytes, like.permissions().mode() & 0o7777)?;
    match chown(&new, Some(like.uid()), Some(like.gid())) {
        // Whoever is not root owns the file that it made.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(new),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

    use std::fs::Permissions;

    use super::*;

    const ROWS: &str = "# rooms\r\n\
        r1;PC01;lab;52:54:00:00:00:01;10.0.0.1;;;;;;1;more;;; a comment\r\n\
        r1;pc02;lab;52:54:00:00:00:02;10.0.0.2;;;;;;1\n\
        no row at all\n\
        r1;pc03;lab;52:54:00:00:00:03;10.0.0.3;;;;;;1";

    fn place() -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths {
            devices: root.path().join("devices.csv"),
            state: root.path().join("state"),
            ..Paths::default()
        };
        fs::create_dir(&paths.state).unwrap();
        fs::write(&paths.devices, ROWS).unwrap();
        fs::set_permissions(&paths.devices, Permissions::from_mode(0o640)).unwrap();
        (root, paths)
    }

    fn to(hosts: &[(&str, &str, &str)]) -> BTreeMap<HostName, ClassChange> {
        let change = |(host, before, after): &(&str, &str, &str)| {
            let (before, after) = (before.parse().unwrap(), after.parse().unwrap());
            (host.parse().unwrap(), ClassChange { before, after })
        };
        hosts.iter().map(change).collect()
    }

    fn text(failure: Failure) -> String {
        match failure {
            Failure::Paused => panic!("nothing pauses here"),
            Failure::Failed { error, .. } => format!("{error:#}"),
        }
    }

    #[test]
    fn only_the_classes_of_these_hosts_change() {
        let (root, paths) = place();
        let read = || fs::read_to_string(&paths.devices).unwrap();
        let there = to(&[("pc01", "lab", "gimp"), ("pc03", "lab", "gimp")]);
        set_classes(&paths, &there).unwrap();
        let wanted = ROWS
            .replace("PC01;lab", "PC01;gimp")
            .replace("pc03;lab", "pc03;gimp");
        assert_eq!(read(), wanted);
        let mode = fs::metadata(&paths.devices).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_to_string(paths.state.join(KEPT)).unwrap(), ROWS);
        // A crash after the exchange: it is done again, and what was before is still known.
        set_classes(&paths, &there).unwrap();
        assert_eq!(fs::read_to_string(paths.state.join(KEPT)).unwrap(), ROWS);
        let back = to(&[("pc01", "gimp", "lab"), ("pc03", "gimp", "lab")]);
        set_classes(&paths, &back).unwrap();
        assert_eq!(read(), ROWS);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_somebody_else_changed_is_left_alone() {
        let (_root, paths) = place();
        for (host, before, wanted) in [
            ("pc02", "other", "(pc02 has class lab now)"),
            ("pc09", "lab", "(pc09 is not in it now)"),
        ] {
            let changes = to(&[("pc01", "lab", "gimp"), (host, before, "gimp")]);
            let error = text(set_classes(&paths, &changes).unwrap_err());
            assert!(error.contains(wanted), "{error}");
        }
        assert_eq!(fs::read_to_string(&paths.devices).unwrap(), ROWS);
        assert!(!paths.state.join(KEPT).exists());
    }

    #[test]
    fn a_link_stays_a_link() {
        let (root, mut paths) = place();
        let link = root.path().join("link.csv");
        std::os::unix::fs::symlink("devices.csv", &link).unwrap();
        paths.devices = link.clone();
        set_classes(&paths, &to(&[("pc02", "lab", "gimp")])).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let text = fs::read_to_string(root.path().join("devices.csv")).unwrap();
        assert!(text.contains("pc02;gimp"), "{text}");
    }
}
