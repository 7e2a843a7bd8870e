//! The manifest of a published version: which files belong to it, how large, with which digests.
//!
//! # Invariants
//!
//! A [`Manifest`] names one base, nothing twice, and only files of its own image that another server
//! may have: no password hashes (`.macct`), no torrent (it names its server), no hash, no backup.
//! The digest of its bytes stands in the state repo, so a parsed manifest is to be trusted only after
//! [`digest_of()`] of the very bytes was compared.

use schema::digest::Digest;
use schema::name::{FileName, ImageName, VersionName};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The only version of the format so far.
pub const FORMAT_VERSION: u32 = 1;

/// More files than any version has.
pub const MOST_FILES: usize = 50;

/// More bytes than any manifest of [`MOST_FILES`] needs: 64 KiB.
pub const LONGEST: usize = 64 * 1024;

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its name, without any folder.
    pub name: FileName,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Digest,
}

/// The files of one version of an image, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    format_version: u32,
    image: ImageName,
    version: VersionName,
    files: Vec<ManifestFile>,
    #[serde(skip)]
    base: usize,
}

/// Why something is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is too long to be one.
    #[error("the manifest has {length} bytes; {LONGEST} are the most")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It is no JSON, or has other keys or types than a manifest.
    #[error("the manifest is not a JSON document of its kind")]
    Json(#[source] serde_json::Error),
    /// It says something that no version may say.
    #[error("the manifest is wrong: {}", .problems.join("; "))]
    Wrong {
        /// Everything that is wrong.
        problems: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format_version: u32,
    image: ImageName,
    version: VersionName,
    files: Vec<ManifestFile>,
}

impl Manifest {
    /// A manifest of these files, in any order.
    ///
    /// # Errors
    ///
    /// All that is wrong with them.
    pub fn new(
        image: ImageName,
        version: VersionName,
        mut files: Vec<ManifestFile>,
    ) -> Result<Self, ManifestError> {
        files.sort();
        let mut problems = Vec::new();
        if files.len() > MOST_FILES {
            problems.push(format!(
                "it names {} files; {MOST_FILES} are the most",
                files.len()
            ));
        }
        for pair in files.windows(2) {
            if pair[0].name == pair[1].name {
                problems.push(format!("{} stands there twice", pair[0].name));
            }
        }
        for file in &files {
            if !belongs(&image, &file.name) {
                problems.push(format!(
                    "{} is no file that a version of {image} may have",
                    file.name
                ));
            }
        }
        let base = files
            .iter()
            .position(|file| ending(&image, &file.name) == Some("qcow2"));
        match base {
            Some(base) if problems.is_empty() => Ok(Self {
                format_version: FORMAT_VERSION,
                image,
                version,
                files,
                base,
            }),
            _ => {
                if base.is_none() {
                    problems.push(format!("the base {image}.qcow2 is missing"));
                }
                Err(ManifestError::Wrong { problems })
            }
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// When it is no manifest of this format, or not a sound one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > LONGEST {
            return Err(ManifestError::TooLong {
                length: bytes.len(),
            });
        }
        let document: Document = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if document.format_version != FORMAT_VERSION {
            let problem = format!(
                "its format_version is {}, and this program knows {FORMAT_VERSION} only",
                document.format_version
            );
            return Err(ManifestError::Wrong {
                problems: vec![problem],
            });
        }
        Self::new(document.image, document.version, document.files)
    }

    /// The text to be published: its digest is that of the version.
    ///
    /// # Errors
    ///
    /// Never in practice: every part of a manifest has a JSON form.
    pub fn to_json(&self) -> Result<String, ManifestError> {
        let mut text = serde_json::to_string_pretty(self).map_err(ManifestError::Json)?;
        text.push('\n');
        Ok(text)
    }

    /// Which image this is a version of.
    #[must_use]
    pub fn image(&self) -> &ImageName {
        &self.image
    }

    /// The version's name.
    #[must_use]
    pub fn version(&self) -> &VersionName {
        &self.version
    }

    /// All files, sorted by name.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// The file of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.name.as_str() == name)
    }

    /// `<image>.qcow2`
    #[must_use]
    pub fn base(&self) -> &ManifestFile {
        &self.files[self.base]
    }

    /// `<image>.qdiff`
    #[must_use]
    pub fn diff(&self) -> Option<&ManifestFile> {
        self.files
            .iter()
            .find(|file| ending(&self.image, &file.name) == Some("qdiff"))
    }

    /// The sum of all sizes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

/// What follows the image's stem and a dot.
fn ending<'a>(image: &ImageName, name: &'a FileName) -> Option<&'a str> {
    name.as_str()
        .strip_prefix(image.as_str())?
        .strip_prefix('.')
}

/// Whether a version of the image may hold a file of this name.
fn belongs(image: &ImageName, name: &FileName) -> bool {
    let Some(ending) = ending(image, name) else {
        return false;
    };
    // Sidecars belong to the base, to the diff, or to the image as a whole.
    match ending.split_once('.').unwrap_or(("", ending)) {
        ("", ending) => matches!(ending, "qcow2" | "qdiff" | "reg" | "postsync" | "prestart"),
        ("qcow2" | "qdiff", sidecar) => {
            matches!(sidecar, "info" | "desc" | "reg" | "postsync" | "prestart")
        }
        _ => false,
    }
}

/// The digest of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}
