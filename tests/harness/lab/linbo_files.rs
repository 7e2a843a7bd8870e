//! Just enough of `devices.csv` and `start.conf` for the stand-ins, read as LINBO's own scripts read them.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// One row of `devices.csv`, by column.
#[derive(Clone, Debug)]
pub(super) struct Row(Vec<String>);

impl Row {
    fn field(&self, index: usize) -> &str {
        self.0.get(index).map_or("", String::as_str)
    }

    /// Column 1.
    #[must_use]
    pub(super) fn room(&self) -> &str {
        self.field(0)
    }

    /// Column 2.
    #[must_use]
    pub(super) fn host(&self) -> &str {
        self.field(1)
    }

    /// Column 3.
    #[must_use]
    pub(super) fn group(&self) -> &str {
        self.field(2)
    }

    /// Column 4.
    #[must_use]
    pub(super) fn mac(&self) -> &str {
        self.field(3)
    }

    /// Column 5.
    #[must_use]
    pub(super) fn ip(&self) -> &str {
        self.field(4)
    }

    /// Column 11, as text: LINBO's tools differ in what they make of odd values.
    #[must_use]
    pub(super) fn pxe(&self) -> &str {
        self.field(10)
    }
}

/// The rows whose first character is alphanumeric.
pub(super) fn read_devices(path: &Path) -> Result<Vec<Row>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = text
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    Ok(rows
        .map(|line| Row(line.split(';').map(str::to_owned).collect()))
        .collect())
}

/// One section of a start.conf with lower-cased keys, as the LINBO client splits it.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// The lower-cased name.
    pub name: String,
    keys: Vec<(String, String)>,
}

impl Section {
    /// The value of a key, the last one if it is there twice, or an empty string.
    #[must_use]
    pub(super) fn get(&self, key: &str) -> &str {
        let found = self.keys.iter().rev().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }

    /// Whether the key is there at all.
    #[must_use]
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(name, _)| name == key)
    }
}

/// Splits a start.conf: lines whose first column is a letter or `[`, comments from `# ` on cut off.
#[must_use]
pub(super) fn split_start_conf(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    for line in text.lines() {
        let line = line.split("# ").next().unwrap_or("").trim_end();
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_end_matches(']').to_lowercase();
            sections.push(Section {
                name,
                keys: Vec::new(),
            });
        } else if line.starts_with(|first: char| first.is_ascii_alphabetic())
            && let (Some((key, value)), Some(section)) = (line.split_once('='), sections.last_mut())
        {
            let pair = (key.trim().to_lowercase(), value.trim().to_owned());
            section.keys.push(pair);
        }
    }
    sections
}

/// The `[OS]` section number `number`, counted from 1 in the order of the file.
#[must_use]
pub(super) fn os_section(sections: &[Section], number: usize) -> Option<&Section> {
    let mut systems = sections.iter().filter(|section| section.name == "os");
    systems.nth(number.checked_sub(1)?)
}

/// A start.conf for a class whose one OS comes from `image`.
#[must_use]
pub(super) fn start_conf(class: &str, image: &str, download: &str) -> String {
    format!(
        "[LINBO]\nGroup = {class}\nCache = /dev/sda3\nRootTimeout = 600\nAutoPartition = no\n\
         AutoFormat = no\nAutoInitCache = no\nDownloadType = {download}\nGuiDisabled = no\n\
         UseMinimalLayout = no\nLocale = de-de\nKernelOptions = quiet splash\n\n\
         [Partition]\nDev = /dev/sda1\nLabel = efi\nSize = 200M\nId = ef\nFSType = vfat\nBootable = yes\n\n\
         [Partition]\nDev = /dev/sda2\nLabel = ubuntu\nSize = 60G\nId = 83\nFSType = ext4\nBootable = no\n\n\
         [Partition]\nDev = /dev/sda3\nLabel = cache\nSize =\nId = 83\nFSType = ext4\nBootable = no\n\n\
         [OS]\nName = Ubuntu\nDescription = Ubuntu 24.04\nIconName = ubuntu.svg\nBaseImage = {image}.qcow2\n\
         Root = /dev/sda2\nKernel = boot/vmlinuz\nInitrd = boot/initrd.img\nAppend = ro splash\n\
         StartEnabled = yes\nSyncEnabled = yes\nNewEnabled = yes\nAutostart = no\nAutostartTimeout = 5\n\
         DefaultAction = sync\n"
    )
}
