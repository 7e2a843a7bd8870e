//! Reading a `start.conf` that anybody may have written.

use std::collections::BTreeMap;

use schema::fleet::DownloadType;
use serde::{Deserialize, Serialize};

use super::super::{RowProblem, lines};

/// A `start.conf` as LINBO's client reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StartConf {
    /// The `[LINBO]` section.
    pub linbo: Section,
    /// The `[Partition]` sections, in order.
    pub partitions: Vec<Section>,
    /// The `[OS]` sections, in order: `sync:1` means the first.
    pub os: Vec<Section>,
    /// What the client bears but another reader of the file does not.
    pub problems: Vec<RowProblem>,
}

/// One section: its values by their keys, without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Section {
    /// Where it begins, counted from 1; 0 when the file has no such section.
    pub line: usize,
    values: BTreeMap<String, (String, String)>,
}

impl Section {
    /// The value of a key in any case; none when it is missing, empty when it is empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values
            .get(&key.to_ascii_lowercase())
            .map(|(_, value)| value.as_str())
    }

    /// All keys as they are written, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .values()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn filled(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }
}

/// An operating system as a `start.conf` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsSection<'a> {
    /// `Name`
    pub name: Option<&'a str>,
    /// `BaseImage`, with its ending.
    pub base_image: Option<&'a str>,
    /// `Root`, a device.
    pub root: Option<&'a str>,
}

impl OsSection<'_> {
    /// The image's stem: what stands before the first dot of `BaseImage`, where LINBO cuts it.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.base_image
            .and_then(|file| file.split('.').next())
            .filter(|stem| !stem.is_empty())
    }
}

/// `DownloadType` as LINBO reads it.
pub(super) fn download_type_of(text: Option<&str>) -> DownloadType {
    match text {
        Some("torrent") => DownloadType::Torrent,
        Some("multicast") => DownloadType::Multicast,
        _ => DownloadType::Rsync,
    }
}

impl StartConf {
    /// Reads what LINBO's client would read.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut conf = Self::default();
        let mut place = Place::Outside;
        for (number, line) in lines(text) {
            // The client looks at lines alone whose first column is a letter or a bracket.
            if !line.starts_with(|c: char| c == '[' || c.is_ascii_alphabetic()) {
                if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                    conf.problem(number, "the line does not begin with a letter or a bracket: LINBO's clients skip it");
                }
                continue;
            }
            let line = line.split("# ").next().unwrap_or_default().trim();
            if line.starts_with('[') {
                place = conf.open(number, line);
            } else {
                conf.setting(number, line, place);
            }
        }
        if conf.linbo.line == 0 {
            conf.problem(1, "there is no [LINBO] section");
        } else if conf.linbo.get("KernelOptions").is_none() {
            conf.problem(
                conf.linbo.line,
                "KernelOptions is missing: linuxmuster-import-devices fails on it",
            );
        }
        conf.check_boot_menu();
        conf
    }

    /// `Group`
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.linbo.filled("Group")
    }

    /// `Cache`, a device.
    #[must_use]
    pub fn cache(&self) -> Option<&str> {
        self.linbo.filled("Cache")
    }

    /// `DownloadType`; anything that LINBO does not know means rsync.
    #[must_use]
    pub fn download_type(&self) -> DownloadType {
        download_type_of(self.linbo.get("DownloadType"))
    }

    /// The operating systems, in order.
    pub fn operating_systems(&self) -> impl Iterator<Item = OsSection<'_>> {
        self.os.iter().map(|os| OsSection {
            name: os.filled("Name"),
            base_image: os.filled("BaseImage"),
            root: os.filled("Root"),
        })
    }

    /// What it does to the disk: how that is divided, which image goes where, and whether LINBO divides it anew by
    /// itself. Whatever else two files differ in, they leave the same on a host.
    #[must_use]
    pub fn disk(&self) -> Vec<Vec<Option<&str>>> {
        let linbo = ["Cache", "AutoPartition", "AutoFormat"].map(|key| self.linbo.filled(key));
        let partitions = self.partitions.iter();
        let partitions = partitions.map(|section| {
            ["Dev", "Size", "Id", "FSType"]
                .map(|key| section.filled(key))
                .to_vec()
        });
        let systems = self.os.iter();
        let systems = systems.map(|os| ["BaseImage", "Root"].map(|key| os.filled(key)).to_vec());
        std::iter::once(linbo.to_vec())
            .chain(partitions)
            .chain(systems)
            .collect()
    }

    fn open(&mut self, number: usize, line: &str) -> Place {
        let name = line
            .trim_start_matches('[')
            .split(']')
            .next()
            .unwrap_or_default()
            .trim();
        let new = || Section {
            line: number,
            ..Section::default()
        };
        match name.to_ascii_lowercase().as_str() {
            "linbo" => {
                if name != "LINBO" {
                    self.problem(number, format!("[{name}] has to be written [LINBO]: otherwise the boot menu counts as not configured"));
                }
                if self.linbo.line == 0 {
                    self.linbo.line = number;
                } else {
                    self.problem(number, "a second [LINBO] section");
                }
                Place::Linbo
            }
            "partition" => {
                self.partitions.push(new());
                Place::Partition
            }
            "os" => {
                self.os.push(new());
                Place::Os
            }
            _ => {
                self.problem(
                    number,
                    format!("`{}` is no section that LINBO knows", line.escape_debug()),
                );
                Place::Outside
            }
        }
    }

    fn setting(&mut self, number: usize, line: &str, place: Place) {
        let section = match place {
            Place::Outside => None,
            Place::Linbo => Some(&mut self.linbo),
            Place::Partition => self.partitions.last_mut(),
            Place::Os => self.os.last_mut(),
        };
        let (Some((key, value)), Some(section)) = (line.split_once('='), section) else {
            self.problem(
                number,
                format!("`{}` is no setting of a section", line.escape_debug()),
            );
            return;
        };
        let (key, value) = (key.trim(), value.trim());
        let entry = (key.to_owned(), value.to_owned());
        if section
            .values
            .insert(key.to_ascii_lowercase(), entry)
            .is_some()
        {
            self.problem(
                number,
                format!(
                    "{key} stands twice in its section: the boot menu counts as not configured"
                ),
            );
        }
        if value.contains(['"', '$', '`', '\\', '\'']) {
            self.problem(
                number,
                format!("the value of {key} would be run by a shell on every client"),
            );
        }
    }

    /// Without these keys the boot menu of a class ends early, or is that of another partition.
    fn check_boot_menu(&mut self) {
        let os_keys = ["Name", "BaseImage", "Root", "Kernel", "Initrd", "Append"].as_slice();
        let partitions = self
            .partitions
            .iter()
            .map(|section| (section, ["Dev", "Label"].as_slice()));
        let systems = self.os.iter().map(|section| (section, os_keys));
        let problems: Vec<RowProblem> = partitions
            .chain(systems)
            .filter_map(|(section, wanted)| {
                let missing: Vec<&str> = wanted
                    .iter()
                    .copied()
                    .filter(|key| section.get(key).is_none())
                    .collect();
                let message = format!(
                    "the section has no {}: the boot menu will be wrong",
                    missing.join(", ")
                );
                (!missing.is_empty()).then(|| RowProblem::new(section.line, message))
            })
            .collect();
        self.problems.extend(problems);
    }

    fn problem(&mut self, line: usize, message: impl Into<String>) {
        self.problems.push(RowProblem::new(line, message));
    }
}

#[derive(Clone, Copy)]
enum Place {
    Outside,
    Linbo,
    Partition,
    Os,
}
