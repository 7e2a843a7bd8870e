//! The central server's releases: immutable folders of real images, each with a manifest, served by rsync.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::{
    images::{Content, make, sha256_of},
    rsyncd::ReleaseServer,
    world::World,
};

/// One published version.
#[derive(Clone, Debug)]
pub struct Release {
    /// Its folder.
    pub folder: PathBuf,
    /// SHA-256 of its `manifest.json`, lower-case hexadecimal.
    pub manifest_sha256: String,
    /// Bytes of all its files without the manifest.
    pub size: u64,
    /// Bytes of its diff; 0 without one.
    pub diff_size: u64,
}

/// The releases of the central server and the server that hands them out.
#[derive(Clone, Copy, Debug)]
pub struct Central<'a> {
    pub(super) world: &'a World,
    /// The rsync daemon with its faults.
    pub rsync: &'a ReleaseServer,
}

impl Central<'_> {
    /// The folder that the module `releases` serves.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.world.root.join("central/srv/releases")
    }

    /// `rsync://<address>/releases`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("rsync://{}/releases", self.rsync.address)
    }

    /// Publishes a version; files that another version has already are shared by hard links.
    pub fn publish(&self, image: &str, version: &str, content: &Content) -> Result<Release> {
        let folder = self.releases().join(image).join(version);
        ensure!(!folder.exists(), "{image} {version} is published already");
        fs::create_dir_all(&folder)?;
        let made = made(self.world, image, content)?;
        let (mut size, mut diff_size) = (0, 0);
        for name in names(&made)? {
            fs::hard_link(made.join(&name), folder.join(&name))?;
            let bytes = fs::metadata(folder.join(&name))?.len();
            size += bytes;
            if name.ends_with(".qdiff") {
                diff_size = bytes;
            }
        }
        let manifest_sha256 = write_manifest(&folder, image, version)?;
        Ok(Release {
            folder,
            manifest_sha256,
            size,
            diff_size,
        })
    }
}

#[derive(Serialize)]
struct Manifest<'a> {
    format_version: u32,
    image: &'a str,
    version: &'a str,
    files: Vec<File>,
}

#[derive(Serialize)]
struct File {
    name: String,
    size: u64,
    sha256: String,
}

/// Writes `manifest.json` for the files in `folder`; gives its SHA-256.
pub fn write_manifest(folder: &Path, image: &str, version: &str) -> Result<String> {
    let mut names = names(folder)?;
    names.retain(|name| name != "manifest.json");
    let paths: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
    let mut files = Vec::new();
    for ((name, path), sha256) in names.into_iter().zip(&paths).zip(sha256_of(&paths)?) {
        let size = fs::metadata(path)?.len();
        files.push(File {
            name,
            size,
            sha256: format!("sha256:{sha256}"),
        });
    }
    let manifest = Manifest {
        format_version: 1,
        image,
        version,
        files,
    };
    let path = folder.join("manifest.json");
    fs::write(&path, serde_json::to_string_pretty(&manifest)? + "\n")?;
    sha256_of(&[path])?
        .pop()
        .context("the manifest has no digest")
}

/// The files of `content`, made once a lab.
pub(super) fn made(world: &World, image: &str, content: &Content) -> Result<PathBuf> {
    let base = format!("{image}-{}-{}", content.base, content.base_mib);
    let name = match content.diff {
        None => base.clone(),
        Some(diff) => format!("{base}-{diff}-{}", content.diff_mib),
    };
    let folder = world.root.join("made").join(name);
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    make(&folder, image, content)?;
    // The base is the same, byte for byte, as in other versions made from this seed: one file for all of them.
    let shared = world.root.join("made").join(format!("{base}.qcow2"));
    let own = folder.join(format!("{image}.qcow2"));
    if shared.exists() {
        fs::remove_file(&own)?;
        fs::hard_link(&shared, &own)?;
    } else {
        fs::hard_link(&own, &shared)?;
    }
    Ok(folder)
}

/// The names in a folder, sorted.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        names.push(name.map_err(|name| anyhow::anyhow!("{} is not UTF-8", name.display()))?);
    }
    names.sort();
    Ok(names)
}
