//! Real qcow2 images, small and the same for the same seed, with LINBO's side files.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::{host::Cached, process::run_tool};

const MIB: u64 = 1 << 20;

/// What one version of an image consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The same seed gives the same base, byte for byte.
    pub base: u32,
    /// The seed of the diff, if there is one.
    pub diff: Option<u32>,
    /// Size of the random data in the base, in MiB.
    pub base_mib: u64,
    /// Size of the random data in the diff, in MiB.
    pub diff_mib: u64,
}

impl Content {
    /// A base alone, of 24 MiB.
    #[must_use]
    pub fn base(seed: u32) -> Self {
        Self {
            base: seed,
            diff: None,
            base_mib: 24,
            diff_mib: 2,
        }
    }

    /// The same base with a diff of 2 MiB.
    #[must_use]
    pub fn with_diff(self, seed: u32) -> Self {
        Self {
            diff: Some(seed),
            ..self
        }
    }

    /// The same with another size of the base.
    #[must_use]
    pub fn base_size(self, mib: u64) -> Self {
        Self {
            base_mib: mib,
            ..self
        }
    }

    /// The `.info` timestamp of the base.
    #[must_use]
    pub fn base_stamp(&self) -> String {
        stamp_of(self.base, 10)
    }

    /// The `.info` timestamp of the newest file: of the diff, or of the base if there is no diff.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.diff
            .map_or_else(|| self.base_stamp(), |diff| stamp_of(diff, 20))
    }
}

/// A time in 2026 that belongs to a seed.
fn stamp_of(seed: u32, hour: u32) -> String {
    let (month, day) = (seed % 12 + 1, seed / 12 % 28 + 1);
    format!("2026{month:02}{day:02}{hour:02}{:02}", seed % 60)
}

/// Makes the files of `content` for the image `image` in the folder `to`, with their `.info` files.
///
/// # Errors
///
/// If the folder cannot be written or `qemu-img` fails.
pub(super) fn make(to: &Path, image: &str, content: &Content) -> Result<()> {
    let raw = tempfile::NamedTempFile::new_in(to)?;
    let size = (content.base_mib + 8) * MIB;
    raw.as_file().set_len(size)?;
    write_random(
        raw.path(),
        MIB,
        content.base_mib * MIB,
        u64::from(content.base),
    )?;
    let base = format!("{image}.qcow2");
    let source = raw.path().to_string_lossy().into_owned();
    let convert = ["convert", "-f", "raw", "-O", "qcow2", &source, &base];
    run_tool("qemu-img", &convert, to)?;
    write_info(to, &base, &content.base_stamp(), size, None)?;
    let Some(diff) = content.diff else {
        return Ok(());
    };
    let seed = u64::from(diff) + (1 << 32);
    let data = tempfile::NamedTempFile::new_in(to)?;
    write_random(data.path(), 0, content.diff_mib * MIB, seed)?;
    let name = format!("{image}.qdiff");
    let create = [
        "create", "-q", "-f", "qcow2", "-b", &base, "-F", "qcow2", &name,
    ];
    run_tool("qemu-img", &create, to)?;
    // Only what differs is written, as on a PC that worked on top of its base.
    let write = format!(
        "write -q -s {} 4M {}M",
        data.path().display(),
        content.diff_mib
    );
    run_tool("qemu-io", &["-f", "qcow2", "-c", &write, &name], to)?;
    let backing = content.base_stamp();
    write_info(to, &name, &content.stamp(), size, Some(&backing))
}

fn write_random(path: &Path, offset: u64, length: u64, seed: u64) -> Result<()> {
    use std::io::Seek as _;
    let mut file = fs::File::options().write(true).open(path)?;
    file.seek(std::io::SeekFrom::Start(offset))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..length / 8 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        file.write_all(&word.to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}

/// Writes `<name>.info` as LINBO's `linbo_mkinfo` does.
pub(super) fn write_info(
    folder: &Path,
    name: &str,
    stamp: &str,
    partition: u64,
    backing: Option<&str>,
) -> Result<()> {
    let size = fs::metadata(folder.join(name))?.len();
    let mut text = format!(
        "[\"{name}\" Info File]\ntimestamp=\"{stamp}\"\nimage=\"{name}\"\nimagesize=\"{size}\"\n\
         partition=\"/dev/sda2\"\npartitionsize=\"{}\"\n",
        partition / 1024
    );
    if let Some(backing) = backing {
        text += &format!("backingfile_timestamp=\"{backing}\"\n");
    }
    fs::write(folder.join(format!("{name}.info")), text)?;
    Ok(())
}

/// The keys of an `.info` file as LINBO reads them: quotes taken off, the first line ignored.
#[must_use]
pub(super) fn read_info(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// Size and a digest of 128 blocks of 4 KiB that are spread over the file: quick, and different for different images.
pub fn sample_digest(path: &Path) -> Result<Cached> {
    let file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = file.metadata()?.len();
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    let mut block = [0; 4096];
    for index in 0..128 {
        let read = file.read_at(&mut block, size * index / 128)?;
        hash.update(block.get(..read).unwrap_or_default());
    }
    let digest = hex(&hash.finalize());
    Ok(Cached { size, digest })
}

/// SHA-256 of whole files, in the order given.
pub fn sha256_of(paths: &[PathBuf]) -> Result<Vec<String>> {
    let mut digests = Vec::new();
    for chunk in paths.chunks(100) {
        let names: Vec<_> = chunk.iter().map(|path| path.to_string_lossy()).collect();
        let mut arguments = vec!["-z", "--"];
        arguments.extend(names.iter().map(AsRef::as_ref));
        let output = run_tool("sha256sum", &arguments, Path::new("/"))?;
        let lines = output.split('\0').filter(|line| !line.is_empty());
        digests.extend(lines.map(|line| line.chars().take(64).collect::<String>()));
    }
    ensure!(digests.len() == paths.len(), "sha256sum left files out");
    Ok(digests)
}

/// Lower-case hexadecimal.
#[must_use]
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
