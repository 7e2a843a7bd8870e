//! `devices.csv`: which hosts a school has, where they stand, and which class they boot.
//!
//! # Invariants
//!
//! A row is either a [`Device`], a comment, or a problem with its line number; a row with a problem
//! is no device. Nothing is judged more mildly than by the tools that read the file later
//! (`sophomorix-device`, `linuxmuster-import-devices`): what one of them accepts and another chokes
//! on is a problem here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use schema::name::{ClassName, HostName, RoomName};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use super::RowProblem;
use super::lines;

/// The column of the hardware class, counted from 0.
const CLASS: usize = 2;
/// The column of the PXE flag, counted from 0.
const PXE: usize = 10;
/// The role of a row that names none.
const DEFAULT_ROLE: &str = "classroom-studentcomputer";

/// A network card's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The six bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no network card's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no MAC address: six pairs of hexadecimal digits with colons are wanted", .text.escape_debug())]
pub struct MacError {
    text: String,
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error = || MacError {
            text: text.to_owned(),
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut pairs = text.split(separator);
        for byte in &mut bytes {
            let pair = pairs.next().ok_or_else(error)?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        if pairs.next().is_some() {
            Err(error())
        } else {
            Ok(Self(bytes))
        }
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

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
    pub role: String,
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

    /// The same with other classes for some hosts.
    #[must_use]
    pub fn given(&self, classes: &BTreeMap<HostName, ClassName>) -> Self {
        let mut table = Table {
            problems: self.0.problems.clone(),
            ..Table::default()
        };
        for device in &self.0.rows {
            let class = classes.get(&device.host).unwrap_or(&device.class);
            table.push(Device {
                class: class.clone(),
                ..device.clone()
            });
        }
        Self(Arc::new(table))
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

/// A file with other classes for some hosts, every other byte as it was, those of rows with a problem included.
///
/// # Errors
///
/// All hosts of `classes` that no good row names: nothing is written then.
pub fn with_classes(
    text: &[u8],
    classes: &BTreeMap<HostName, ClassName>,
) -> Result<Vec<u8>, Vec<HostName>> {
    let known = Devices::parse(text);
    let missing: Vec<HostName> = classes
        .keys()
        .filter(|host| known.get(host).is_none())
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let wanted: BTreeMap<String, &ClassName> = classes
        .iter()
        .map(|(host, class)| (host.as_str().to_ascii_lowercase(), class))
        .collect();
    let bad: BTreeSet<usize> = known
        .problems()
        .iter()
        .map(|problem| problem.line)
        .collect();
    let mut out = Vec::with_capacity(text.len());
    for (line, row) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        if bad.contains(&line) {
            out.extend_from_slice(row);
            continue;
        }
        let device = read_row(&String::from_utf8_lossy(row)).ok().flatten();
        let changed = device.and_then(|device| {
            let class = wanted.get(device.host.as_str())?;
            (**class != device.class).then_some(class)
        });
        match changed {
            None => out.extend_from_slice(row),
            Some(class) => {
                for (column, field) in row.split(|byte| *byte == b';').enumerate() {
                    if column > 0 {
                        out.push(b';');
                    }
                    out.extend_from_slice(if column == CLASS {
                        class.as_str().as_bytes()
                    } else {
                        field
                    });
                }
            }
        }
    }
    Ok(out)
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
    let room = noted(fields[0].parse::<RoomName>(), &mut problems);
    let host = noted(
        fields[1].to_ascii_lowercase().parse::<HostName>(),
        &mut problems,
    );
    let class = noted(fields[CLASS].parse::<ClassName>(), &mut problems);
    let mac = match fields[3] {
        "-" => Some(None),
        text => noted(text.parse::<Mac>(), &mut problems).map(Some),
    };
    let ip = match fields[4] {
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
    let role = match fields[8] {
        "" => DEFAULT_ROLE,
        role => role,
    };
    if !role.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        problems.push(format!(
            "`{}` is no role: letters, digits and dashes",
            role.escape_debug()
        ));
    }
    if mac == Some(None) && pxe.is_some_and(|pxe| pxe != Pxe::Off) {
        problems.push("a host that boots over the network needs a MAC address".to_owned());
    }
    match (room, host, class, mac, ip, pxe) {
        (Some(room), Some(host), Some(class), Some(mac), Some(ip), Some(pxe))
            if problems.is_empty() =>
        {
            Ok(Some(Device {
                room,
                host,
                class,
                mac,
                ip,
                role: role.to_owned(),
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
