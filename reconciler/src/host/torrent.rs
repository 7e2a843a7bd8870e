//! Torrents: made anew for an image file, and seeded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schema::name::{FileName, ImageName};

use crate::config::{Commands, Paths};
use crate::host::files;
use crate::host::process::{ProcessError, Program};
use crate::world::Failure;

/// How long `linbo-torrent create` may take: it reads the whole image.
const CREATE: Duration = Duration::from_secs(60 * 60);

/// Why an image file is not seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// There is no such image file.
    #[error("the image file {} is not there", .path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
    },
    /// linbo-torrent could not be run.
    #[error("the torrent could not be made")]
    Program(#[source] ProcessError),
    /// linbo-torrent failed.
    #[error("linbo-torrent create {file} {how}; clients cannot get this image by torrent")]
    Failed {
        /// The image file.
        file: FileName,
        /// How it ended.
        how: String,
    },
    /// linbo-torrent said that all was well, and made nothing.
    #[error("linbo-torrent create {file} reported success, but {} {what}", .path.display())]
    NoEvidence {
        /// The image file.
        file: FileName,
        /// Its torrent.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file cannot be looked at.
    #[error("{} cannot be looked at", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl SeedError {
    fn with(self, evidence: Vec<String>) -> Failure {
        Failure::Failed {
            error: anyhow::Error::new(self),
            evidence,
        }
    }
}

/// Makes an image file's torrent anew and seeds it (`linbo-torrent create`).
///
/// # Errors
///
/// When there is no torrent afterwards that is as new as the image: an exit code alone is no proof.
pub async fn seed(
    paths: &Paths,
    commands: &Commands,
    image: &ImageName,
    file: &FileName,
) -> Result<(), Failure> {
    let folder = paths.linbo.join("images").join(image.as_str());
    let (data, path) = (
        folder.join(file.as_str()),
        folder.join(format!("{file}.torrent")),
    );
    if found(&data)?.is_none() {
        return Err(SeedError::NoImage { path: data }.with(Vec::new()));
    }
    let program =
        Program::new("linbo_torrent", &commands.linbo_torrent).args(["create", file.as_str()]);
    let finished = program.deadline(CREATE).run().await;
    let finished = finished.map_err(|error| SeedError::Program(error).with(Vec::new()))?;
    let evidence = || finished.last_lines(10);
    if !finished.is_success() {
        return Err(SeedError::Failed {
            file: file.clone(),
            how: finished.how(),
        }
        .with(evidence()));
    }
    let what = match (found(&data)?, found(&path)?) {
        (_, None) => "is not there",
        (_, Some((_, 0))) => "is empty",
        (Some((image, _)), Some((torrent, _))) if torrent < image => "is older than the image",
        (None, _) => "belongs to an image that has vanished meanwhile",
        _ => return Ok(()),
    };
    Err(SeedError::NoEvidence {
        file: file.clone(),
        path,
        what,
    }
    .with(evidence()))
}

/// When a file was changed last, and its size; none when it is not there.
fn found(path: &Path) -> Result<Option<(std::time::SystemTime, u64)>, Failure> {
    let found =
        files::if_there(fs::metadata(path).and_then(|found| Ok((found.modified()?, found.len()))));
    found.map_err(|source| {
        SeedError::File {
            path: path.to_owned(),
            source,
        }
        .with(Vec::new())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_torrent_that_is_there_and_new_is_a_success() {
        let check = async |script: &str, wanted: Option<&str>| {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("images/ubuntu");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("ubuntu.qcow2"), "image").unwrap();
            let command = root.path().join("linbo-torrent");
            let script = format!(
                "#!/bin/sh\n[ \"$*\" = 'create ubuntu.qcow2' ] || exit 9\ncd {}\n{script}\n",
                folder.display()
            );
            fs::write(&command, script).unwrap();
            fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
            let paths = Paths {
                linbo: root.path().to_owned(),
                ..Paths::default()
            };
            let commands = Commands {
                linbo_torrent: command,
                ..Commands::default()
            };
            let (image, file) = ("ubuntu".parse().unwrap(), "ubuntu.qcow2".parse().unwrap());
            match (seed(&paths, &commands, &image, &file).await, wanted) {
                (Ok(()), None) => {}
                (Err(Failure::Failed { error, evidence }), Some(wanted)) => {
                    let text = format!("{error:#} | {}", evidence.join(" | "));
                    assert!(text.contains(wanted), "{text}");
                }
                (other, _) => panic!("{other:?} for {wanted:?}"),
            }
        };
        check("echo t >ubuntu.qcow2.torrent", None).await;
        check("true", Some("torrent is not there")).await;
        check(": >ubuntu.qcow2.torrent", Some("torrent is empty")).await;
        check(
            "echo t >ubuntu.qcow2.torrent; touch -d 2001-01-01 ubuntu.qcow2.torrent",
            Some("is older than the image"),
        )
        .await;
        check(
            "echo buildtorrent failed; exit 1",
            Some("exit code 1; clients cannot get this image by torrent | buildtorrent failed"),
        )
        .await;
        check(
            "rm ubuntu.qcow2; echo t >ubuntu.qcow2.torrent",
            Some("vanished meanwhile"),
        )
        .await;
    }
}
