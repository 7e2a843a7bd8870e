//! The manifest of a published version: which files belong to it, how large, with which digests.
//!
//! # Invariants
//!
//! A [`Manifest`] names one base, nothing twice, and only files of its own image that another server
//! may have: no password hashes (`.macct`), no torrent (it names its server), no hash, no backup.
//! The digest of its bytes stands in the state repo, so a parsed manifest is to be trusted only after
//! [`digest_of()`] of the very bytes was compared.
//!
//! What a server made of a published version has a manifest of its own, which says what it was made from ([`MadeFrom`]);
//! that of what was moved into the school's domain may name password hashes of it. It never leaves the server: where a
//! published one is expected, it is refused.

use jiff::Timestamp;
use schema::digest::Digest;
use schema::name::{Domain, FileName, ImageName, VersionName};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    made_from: Option<MadeFrom>,
    #[serde(skip)]
    base: usize,
}

/// What a server made of a published version: it was moved into the school's domain, or has another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeFrom {
    /// The digest of the manifest that it was made from, as Git has it.
    pub source: Digest,
    /// The domain that it was moved into; none when it is what was published, under another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// When it was taken into the store.
    pub at: Timestamp,
    /// The commit that was in force then, by its full id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The version of this program.
    pub program: String,
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
    #[serde(default)]
    made_from: Option<MadeFrom>,
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
        files: Vec<ManifestFile>,
    ) -> Result<Self, ManifestError> {
        Self::made(image, version, files, None)
    }

    /// The manifest of what was made here of a version.
    ///
    /// # Errors
    ///
    /// All that is wrong with its files.
    pub fn made_here(
        image: ImageName,
        version: VersionName,
        files: Vec<ManifestFile>,
        made_from: MadeFrom,
    ) -> Result<Self, ManifestError> {
        Self::made(image, version, files, Some(made_from))
    }

    fn made(
        image: ImageName,
        version: VersionName,
        mut files: Vec<ManifestFile>,
        made_from: Option<MadeFrom>,
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
            let is_joined = made_from.as_ref().is_some_and(|made| made.domain.is_some());
            let is_own = is_joined && is_account(&image, &file.name);
            if !is_own && !belongs(&image, &file.name) {
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
                made_from,
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

    /// Reads the manifest of a published version.
    ///
    /// # Errors
    ///
    /// When it is no manifest of this format, or not a sound one, or one that a school made.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Self::parse_kept(bytes)?;
        if manifest.made_from.is_some() {
            let problem = "it was made on a server of a school, and never leaves it";
            return Err(ManifestError::Wrong {
                problems: vec![problem.to_owned()],
            });
        }
        Ok(manifest)
    }

    /// Reads a manifest that was kept on this server, be it published or of this school.
    ///
    /// # Errors
    ///
    /// When it is no manifest of this format, or not a sound one.
    pub fn parse_kept(bytes: &[u8]) -> Result<Self, ManifestError> {
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
        Self::made(
            document.image,
            document.version,
            document.files,
            document.made_from,
        )
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

    /// What it was made from; none of a published version.
    #[must_use]
    pub const fn made_from(&self) -> Option<&MadeFrom> {
        self.made_from.as_ref()
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

/// Whether it is the machine account of one of the image's files: password hashes of one domain.
fn is_account(image: &ImageName, name: &FileName) -> bool {
    matches!(ending(image, name), Some("qcow2.macct" | "qdiff.macct"))
}

/// The digest of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::new(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn file(name: &str, size: u64) -> ManifestFile {
        ManifestFile {
            name: name.parse().unwrap(),
            size,
            sha256: digest_of(name.as_bytes()),
        }
    }

    fn manifest(names: &[&str]) -> Result<Manifest, ManifestError> {
        let files = names.iter().map(|name| file(name, 10)).collect();
        Manifest::new(
            "ubuntu".parse().unwrap(),
            "2026.11.1".parse().unwrap(),
            files,
        )
    }

    #[test]
    fn what_a_school_made_is_read_from_its_store_alone() {
        let files = ["ubuntu.qcow2", "ubuntu.qdiff", "ubuntu.qdiff.macct"];
        let files: Vec<_> = files.iter().map(|name| file(name, 10)).collect();
        assert!(manifest(&["ubuntu.qcow2", "ubuntu.qdiff.macct"]).is_err());
        let made = MadeFrom {
            source: digest_of(b"source"),
            domain: "bs-nord.example".parse().ok(),
            at: Timestamp::UNIX_EPOCH,
            commit: None,
            program: "0.1.0".to_owned(),
        };
        let own = Manifest::made_here(
            "ubuntu".parse().unwrap(),
            "2026.11.1".parse().unwrap(),
            files,
            made,
        )
        .unwrap();
        let json = own.to_json().unwrap();
        assert_eq!(Manifest::parse_kept(json.as_bytes()).unwrap(), own);
        let error = Manifest::parse(json.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("never leaves it"), "{error}");
    }

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        let whole = manifest(&[
            "ubuntu.qdiff",
            "ubuntu.qcow2",
            "ubuntu.qcow2.info",
            "ubuntu.postsync",
        ])
        .unwrap();
        let json = whole.to_json().unwrap();
        let read = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!(read, whole);
        assert_eq!(read.to_json().unwrap(), json);
        assert!(json.starts_with("{\n  \"format_version\": 1,\n  \"image\": \"ubuntu\",\n  \"version\": \"2026.11.1\",\n  \"files\": [\n"));
        let names: Vec<&str> = read.files().iter().map(|file| file.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "ubuntu.postsync",
                "ubuntu.qcow2",
                "ubuntu.qcow2.info",
                "ubuntu.qdiff"
            ]
        );
        assert_eq!(read.base().name.as_str(), "ubuntu.qcow2");
        assert_eq!(read.diff().unwrap().name.as_str(), "ubuntu.qdiff");
        assert_eq!(read.total_bytes(), 40);
        assert_eq!(read.file("ubuntu.qdiff.info"), None);
        assert_eq!(manifest(&["ubuntu.qcow2"]).unwrap().diff(), None);
    }

    #[test]
    fn files_that_no_other_server_may_have_are_refused() {
        for name in [
            "ubuntu.qcow2.macct",
            "ubuntu.qdiff.macct",
            "ubuntu.qcow2.torrent",
            "ubuntu.qcow2.hash",
            "ubuntu.qcow2.BAK",
            "ubuntu.vdi",
            "ubuntu.iso",
            "ubuntu.info",
            "ubuntu.qcow2.qcow2",
            "ubuntu.qcow2.info.info",
            "debian.qcow2",
            "ubuntu-src.qcow2",
            "ubuntuqcow2",
            "ubuntu.qcow2.INFO",
            "manifest.json",
        ] {
            let error = manifest(&["ubuntu.qcow2", name]).unwrap_err();
            assert!(
                error.to_string().contains(&format!("{name} is no file")),
                "{error}"
            );
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let error = manifest(&["ubuntu.qdiff", "ubuntu.qdiff", "x"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the manifest is wrong: ubuntu.qdiff stands there twice; x is no file that a version of ubuntu may have; \
             the base ubuntu.qcow2 is missing"
        );
        let many: Vec<String> = (0..=MOST_FILES).map(|n| format!("f{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(
            manifest(&many)
                .unwrap_err()
                .to_string()
                .contains("51 files; 50 are the most")
        );
    }

    #[test]
    fn a_document_of_another_kind_is_refused() {
        let json = manifest(&["ubuntu.qcow2"]).unwrap().to_json().unwrap();
        for text in [
            String::new(),
            "[]".to_owned(),
            json.replace("\"format_version\": 1", "\"format_version\": 2"),
            json.replace("\"size\"", "\"length\""),
            json.replace("\"image\"", "\"url\": \"x\", \"image\""),
            json.replace("\"size\": 10", "\"size\": 10, \"mode\": 1"),
            json.replace("\"size\": 10", "\"size\": -1"),
            json.replace("\"size\": 10", "\"size\": 10, \"size\": 11"),
            json.replace("ubuntu.qcow2", "../ubuntu.qcow2"),
            json.replace("sha256:", "sha1:"),
            json.replace("2026.11.1", "2026/11"),
            format!("{json}{json}"),
            json[..json.len() / 2].to_owned(),
        ] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(matches!(
            Manifest::parse(&[b' '; LONGEST + 1]),
            Err(ManifestError::TooLong { .. })
        ));
        assert!(Manifest::parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(
            digest_of(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
