//! `devices.csv`: which hosts a school has, where they stand, and which class they boot.
//!
//! # Invariants
//!
//! A row is either a [`Device`], a comment, or a problem with its line number; a row with a problem
//! is no device. Nothing is judged more mildly than by the tools that read the file later
//! (`sophomorix-device`, `linuxmuster-import-devices`): what one of them accepts and another chokes
//! on is a problem here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use schema::device::Mac;
use schema::name::{ClassName, HostName, RoleName, RoomName};
use serde::{Deserialize, Serialize};

mod edit;

pub use super::RowProblem;
use super::lines;
pub use edit::{Edits, edit};

// The columns that are read, counted from 0.
const ROOM: usize = 0;
const HOST: usize = 1;
const CLASS: usize = 2;
const MAC: usize = 3;
const IP: usize = 4;
const ROLE: usize = 8;
const PXE: usize = 10;

/// What the PXE flag of a row means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pxe {
    /// `0`: it does not boot over the network.
    Off,
    /// `1`: it boots LINBO.
    Linbo,
    /// `2`: it boots LINBO, once with opsi besides.
    LinboOpsi,
    /// `3`: it boots LINBO, but `linbo-remote` leaves it alone.
    LinksOnly,
}

impl Pxe {
    /// Whether hosts with this flag are put back to their image by LINBO's tools.
    #[must_use]
    pub const fn is_reset(self) -> bool {
        matches!(self, Self::Linbo | Self::LinboOpsi)
    }

    /// The flag as it stands in the file.
    const fn digit(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Linbo => 1,
            Self::LinboOpsi => 2,
            Self::LinksOnly => 3,
        }
    }
}

/// One row of `devices.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Where it stands.
    pub room: RoomName,
    /// Its name, in lower case as the domain has it.
    pub host: HostName,
    /// What it boots.
    pub class: ClassName,
    /// Its network card; none when the row holds `-`, which only a row without PXE may.
    pub mac: Option<Mac>,
    /// Its address; none when it gets one by `DHCP`.
    pub ip: Option<Ipv4Addr>,
    /// Its role in the domain.
    pub role: RoleName,
    /// How it boots.
    pub pxe: Pxe,
}

/// All rows of a `devices.csv`. Copies share them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Devices(Arc<Table>);

#[derive(Debug, PartialEq, Eq, Default)]
struct Table {
    rows: Vec<Device>,
    problems: Vec<RowProblem>,
    by_host: BTreeMap<HostName, usize>,
    by_room: BTreeMap<RoomName, Vec<usize>>,
    by_class: BTreeMap<ClassName, Vec<usize>>,
}

/// What of [`Devices`] is saved: the rest follows from it.
#[derive(Serialize, Deserialize)]
struct Saved {
    rows: Vec<Device>,
    problems: Vec<RowProblem>,
}

impl From<Devices> for Saved {
    fn from(Devices(table): Devices) -> Self {
        Self {
            rows: table.rows.clone(),
            problems: table.problems.clone(),
        }
    }
}

impl From<Saved> for Devices {
    fn from(Saved { rows, problems }: Saved) -> Self {
        let mut table = Table {
            problems,
            ..Table::default()
        };
        rows.into_iter().for_each(|device| table.push(device));
        Self(Arc::new(table))
    }
}

impl Table {
    fn push(&mut self, device: Device) {
        let index = self.rows.len();
        self.by_host.insert(device.host.clone(), index);
        self.by_room
            .entry(device.room.clone())
            .or_default()
            .push(index);
        self.by_class
            .entry(device.class.clone())
            .or_default()
            .push(index);
        self.rows.push(device);
    }
}

impl Devices {
    /// Reads a whole file.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut devices = Table::default();
        let mut macs: BTreeMap<Mac, usize> = BTreeMap::new();
        let mut addresses: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
        let mut hosts: BTreeMap<HostName, usize> = BTreeMap::new();
        for (line, row) in lines(text) {
            let device = match read_row(&row) {
                Ok(None) => continue,
                Ok(Some(device)) => device,
                Err(messages) => {
                    devices
                        .problems
                        .extend(messages.into_iter().map(|m| RowProblem::new(line, m)));
                    continue;
                }
            };
            let before = devices.problems.len();
            let mut twice = |what: String, first: Option<&usize>| {
                if let Some(first) = first {
                    let message = format!("{what} stands in line {first} already");
                    devices.problems.push(RowProblem::new(line, message));
                }
            };
            twice(format!("the host {}", device.host), hosts.get(&device.host));
            if let Some(mac) = device.mac {
                twice(format!("the MAC address {mac}"), macs.get(&mac));
            }
            if let Some(ip) = device.ip {
                twice(format!("the address {ip}"), addresses.get(&ip));
            }
            if devices.problems.len() > before {
                continue;
            }
            hosts.insert(device.host.clone(), line);
            macs.extend(device.mac.map(|mac| (mac, line)));
            addresses.extend(device.ip.map(|ip| (ip, line)));
            devices.push(device);
        }
        Self(Arc::new(devices))
    }

    /// All devices, in the order of the file.
    #[must_use]
    pub fn rows(&self) -> &[Device] {
        &self.0.rows
    }

    /// The rows of some hosts with another class, as [`edited`](Self::edited) takes them; hosts without a row are left out.
    #[must_use]
    pub fn moved<'a>(&self, classes: impl Iterator<Item = (&'a HostName, &'a ClassName)>) -> Edits {
        let moved = classes.filter_map(|(host, class)| {
            let device = Device {
                class: class.clone(),
                ..self.get(host)?.clone()
            };
            Some((host.clone(), Some(device)))
        });
        moved.collect()
    }

    /// All rows that could not be taken, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[RowProblem] {
        &self.0.problems
    }

    /// The device of this name, which is compared without regard to case.
    #[must_use]
    pub fn get(&self, host: &HostName) -> Option<&Device> {
        let Table { rows, by_host, .. } = &*self.0;
        let index = match by_host.get(host) {
            Some(index) => index,
            None => by_host.get(host.as_str().to_ascii_lowercase().as_str())?,
        };
        rows.get(*index)
    }

    /// The devices of a room, in the order of the file.
    pub fn in_room(&self, room: &RoomName) -> impl Iterator<Item = &Device> {
        self.indexed(self.0.by_room.get(room))
    }

    /// The devices of a class, in the order of the file.
    pub fn of_class(&self, class: &ClassName) -> impl Iterator<Item = &Device> {
        self.indexed(self.0.by_class.get(class))
    }

    /// All rooms that have a device.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.0.by_room.keys()
    }

    /// All classes that have a device.
    pub fn classes(&self) -> impl Iterator<Item = &ClassName> {
        self.0.by_class.keys()
    }

    fn indexed(&self, indices: Option<&Vec<usize>>) -> impl Iterator<Item = &Device> {
        indices
            .into_iter()
            .flatten()
            .filter_map(|index| self.0.rows.get(*index))
    }
}

/// One row: a device, nothing (blank or a comment), or all that is wrong with it.
fn read_row(row: &str) -> Result<Option<Device>, Vec<String>> {
    let row = row.trim_end_matches(['\r', '\n']);
    if row.trim().is_empty() || row.starts_with('#') {
        return Ok(None);
    }
    if !row.starts_with(char::is_alphanumeric) {
        return Err(vec![
            "the row begins with neither a letter nor a digit: one tool takes it for a comment, another for a device; comments begin with #".to_owned(),
        ]);
    }
    let fields: Vec<&str> = row.split(';').map(str::trim).collect();
    if fields.len() <= PXE {
        return Err(vec![format!(
            "the row has {} columns: at least {} are wanted, as the PXE flag is column {}",
            fields.len(),
            PXE + 1,
            PXE + 1
        )]);
    }
    let mut problems = Vec::new();
    let room = noted(fields[ROOM].parse::<RoomName>(), &mut problems);
    let host = noted(
        fields[HOST].to_ascii_lowercase().parse::<HostName>(),
        &mut problems,
    );
    let class = noted(fields[CLASS].parse::<ClassName>(), &mut problems);
    let mac = match fields[MAC] {
        "-" => Some(None),
        text => noted(text.parse::<Mac>(), &mut problems).map(Some),
    };
    let ip = match fields[IP] {
        text if text.eq_ignore_ascii_case("DHCP") => Some(None),
        text => match text.parse::<Ipv4Addr>() {
            Ok(ip) => Some(Some(ip)),
            Err(_) => {
                problems.push(format!(
                    "`{}` is no IPv4 address, nor DHCP",
                    text.escape_debug()
                ));
                None
            }
        },
    };
    let pxe = match fields[PXE] {
        "0" => Some(Pxe::Off),
        "1" => Some(Pxe::Linbo),
        "2" => Some(Pxe::LinboOpsi),
        "3" => Some(Pxe::LinksOnly),
        text => {
            problems.push(format!(
                "`{}` is no PXE flag: 0, 1, 2 and 3 are",
                text.escape_debug()
            ));
            None
        }
    };
    let role = match fields[ROLE] {
        "" => Some(RoleName::default()),
        role => noted(role.parse::<RoleName>(), &mut problems),
    };
    if mac == Some(None) && pxe.is_some_and(|pxe| pxe != Pxe::Off) {
        problems.push("a host that boots over the network needs a MAC address".to_owned());
    }
    match (room, host, class, mac, ip, role, pxe) {
        (Some(room), Some(host), Some(class), Some(mac), Some(ip), Some(role), Some(pxe))
            if problems.is_empty() =>
        {
            Ok(Some(Device {
                room,
                host,
                class,
                mac,
                ip,
                role,
                pxe,
            }))
        }
        _ => Err(problems),
    }
}

fn noted<T, E: fmt::Display>(parsed: Result<T, E>, problems: &mut Vec<String>) -> Option<T> {
    parsed
        .map_err(|error| problems.push(error.to_string()))
        .ok()
}

#[cfg(test)]
mod tests;
