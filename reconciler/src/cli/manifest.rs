//! `reconcile manifest`: the manifest of a release folder.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, bail};
use schema::name::FileName;
use schema::units::Bytes;

use super::{Exit, Output};
use crate::host::digests::digest_of_file;
use crate::host::files::write_atomically;
use crate::manifest::{Manifest, ManifestFile, digest_of};

/// The manifest's own name in its folder.
const NAME: &str = "manifest.json";

pub(super) fn run(dir: &Path, output: &Output) -> anyhow::Result<Exit> {
    let dir = dir
        .canonicalize()
        .with_context(|| format!("cannot find {}", dir.display()))?;
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .map(str::to_owned)
    };
    let (Some(version), Some(image)) = (part(Some(&dir)), part(dir.parent())) else {
        bail!(
            "{} is no release folder: its path ends in <image>/<version>",
            dir.display()
        );
    };
    let image = image
        .parse()
        .context("the folder above the version is named like the image")?;
    let version = version
        .parse()
        .context("the folder is named like the version")?;
    let mut files = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(&dir)?
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {}", dir.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name == NAME {
            continue;
        }
        let name: FileName = name
            .to_string_lossy()
            .parse()
            .with_context(|| format!("{} holds a file that no version may have", dir.display()))?;
        output.line(&format!("reading {name}"));
        let file = File::open(entry.path())
            .with_context(|| format!("cannot open {}", entry.path().display()))?;
        let size = file.metadata()?.len();
        let sha256 = digest_of_file(&entry.path())
            .with_context(|| format!("cannot read {}", entry.path().display()))?;
        files.push(ManifestFile { name, size, sha256 });
    }
    for image in files.iter().filter(|file| is_image(&file.name)) {
        let info = format!("{}.info", image.name);
        if !files.iter().any(|file| file.name.as_str() == info) {
            bail!(
                "{} has no {info}, by which clients tell which version they have: copy it from LINBO's folder",
                dir.display()
            );
        }
    }
    let manifest = Manifest::new(image, version, files)
        .with_context(|| format!("{} is no version", dir.display()))?;
    let text = manifest.to_json()?;
    write_atomically(&dir.join(NAME), text.as_bytes(), 0o644)?;
    let size = Bytes(manifest.base().size);
    let diff = manifest
        .diff()
        .map(|diff| format!(", diff: {:.1}", Bytes(diff.size)))
        .unwrap_or_default();
    output.text(&format!(
        "# in images/{}.yaml:\nversions:\n  {}: {{ manifest: \"{}\", size: {size:.1}{diff} }}\n",
        manifest.image(),
        manifest.version(),
        digest_of(text.as_bytes())
    ))?;
    Ok(Exit::Converged)
}

fn is_image(name: &FileName) -> bool {
    [".qcow2", ".qdiff"]
        .iter()
        .any(|ending| name.as_str().ends_with(ending))
}
