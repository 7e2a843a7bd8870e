//! Other rows for some hosts in `devices.csv`.
//!
//! # Invariants
//!
//! Every other byte stays as it was: rows of other hosts, rows with a problem, comments, columns that the reconciler
//! does not know, and what a changed column said where it means the same. A new row stands below the last one of its
//! room.

use std::collections::{BTreeMap, BTreeSet};

use schema::name::{HostName, RoomName};

use super::{CLASS, Device, Devices, IP, MAC, PXE, ROLE, ROOM, Table, read_row};

/// What the rows of some hosts become: none takes the row out, and a host without a row gets one. Hosts are compared
/// without regard to case.
pub type Edits = BTreeMap<HostName, Option<Device>>;

impl Devices {
    /// The same with other rows for some hosts.
    #[must_use]
    pub fn edited(&self, edits: &Edits) -> Self {
        let (of, mut new) = sorted(self, edits);
        let mut table = Table {
            problems: self.0.problems.clone(),
            ..Table::default()
        };
        let last = last_of_rooms(self);
        for (index, device) in self.0.rows.iter().enumerate() {
            match of.get(&device.host) {
                None => table.push(device.clone()),
                Some(after) => after.iter().for_each(|after| table.push((*after).clone())),
            }
            if last.get(&device.room) == Some(&index) {
                let here = new.remove(&device.room).into_iter().flatten();
                here.for_each(|device| table.push(device.clone()));
            }
        }
        let rest = new.into_values().flatten();
        rest.for_each(|device| table.push(device.clone()));
        Self(table.into())
    }
}

/// A file with other rows for some hosts.
#[must_use]
pub fn edit(text: &[u8], edits: &Edits) -> Vec<u8> {
    let known = Devices::parse(text);
    let (of, mut new) = sorted(&known, edits);
    let last = last_of_rooms(&known);
    let bad: BTreeSet<usize> = known.problems().iter().map(|row| row.line).collect();
    let ending: &[u8] = match text.split_inclusive(|byte| *byte == b'\n').next() {
        Some(first) if first.ends_with(b"\r\n") => b"\r\n",
        _ => b"\n",
    };
    let mut out = Vec::with_capacity(text.len());
    let mut index = 0;
    for (line, row) in (1..).zip(text.split_inclusive(|byte| *byte == b'\n')) {
        let device = match bad.contains(&line) {
            true => None,
            false => read_row(&String::from_utf8_lossy(row)).ok().flatten(),
        };
        let Some(device) = device else {
            out.extend_from_slice(row);
            continue;
        };
        match of.get(&device.host) {
            None => out.extend_from_slice(row),
            Some(None) => {}
            Some(Some(after)) => rewrite(&mut out, row, &device, after),
        }
        if last.get(&device.room) == Some(&index) {
            let here = new.remove(&device.room).into_iter().flatten();
            here.for_each(|device| append(&mut out, device, ending));
        }
        index += 1;
    }
    let rest = new.into_values().flatten();
    rest.for_each(|device| append(&mut out, device, ending));
    out
}

type Changed<'a> = BTreeMap<HostName, Option<&'a Device>>;
type New<'a> = BTreeMap<RoomName, Vec<&'a Device>>;

/// The edits of rows that are there, by their host as its row names it, and the rows that are new.
fn sorted<'a>(known: &Devices, edits: &'a Edits) -> (Changed<'a>, New<'a>) {
    let (mut changed, mut new) = (Changed::new(), New::new());
    for (host, after) in edits {
        match (known.get(host), after) {
            (Some(device), _) => {
                changed.insert(device.host.clone(), after.as_ref());
            }
            (None, Some(after)) => new.entry(after.room.clone()).or_default().push(after),
            (None, None) => {}
        }
    }
    (changed, new)
}

/// The last row of each room.
fn last_of_rooms(known: &Devices) -> BTreeMap<RoomName, usize> {
    let rows = known.rows().iter().enumerate();
    rows.map(|(index, device)| (device.room.clone(), index))
        .collect()
}

/// A row with other columns where they mean something else.
fn rewrite(out: &mut Vec<u8>, row: &[u8], before: &Device, after: &Device) {
    let ended = row.len() - row.iter().rev().take_while(|b| b"\r\n".contains(b)).count();
    let (columns, ending) = row.split_at(ended);
    for (column, field) in columns.split(|byte| *byte == b';').enumerate() {
        if column > 0 {
            out.push(b';');
        }
        let (was, is) = (text_of(before, column), text_of(after, column));
        match is {
            Some(text) if was.as_ref() != Some(&text) => out.extend_from_slice(text.as_bytes()),
            _ => out.extend_from_slice(field),
        }
    }
    out.extend_from_slice(ending);
}

/// What a column says of a device, where the reconciler writes it.
fn text_of(device: &Device, column: usize) -> Option<String> {
    Some(match column {
        ROOM => device.room.to_string(),
        CLASS => device.class.to_string(),
        MAC => device.mac.map_or("-".to_owned(), |mac| mac.to_string()),
        IP => device.ip.map_or("DHCP".to_owned(), |ip| ip.to_string()),
        ROLE => device.role.to_string(),
        PXE => device.pxe.digit().to_string(),
        _ => return None,
    })
}

fn append(out: &mut Vec<u8>, device: &Device, ending: &[u8]) {
    /// Columns of a row, the comment included.
    const COLUMNS: usize = 15;
    if out.last().is_some_and(|last| *last != b'\n') {
        out.extend_from_slice(ending);
    }
    let fields = (0..COLUMNS).map(|column| match column {
        super::HOST => device.host.to_string(),
        _ => text_of(device, column).unwrap_or_default(),
    });
    out.extend_from_slice(fields.collect::<Vec<_>>().join(";").as_bytes());
    out.extend_from_slice(ending);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;
    use schema::name::ClassName;

    use super::*;

    const ROWS: &str = "# rooms\r\n\
        r1;PC01;lab;52:54:00:00:00:01;10.0.0.1;;;;;;1;more;;; a comment\r\n\
        r2;pc02;lab;52:54:00:00:00:02;10.0.0.2;;;;;;1\n\
        no row at all\n\
        r1; pc03 ;lab;52-54-00-00-00-03; dhcp ;;;;;;1;;;;\n\
        r3;pc04;lab;52:54:00:00:00:04;10.0.0.4;;;;;;1";

    fn get(host: &str) -> Device {
        let devices = Devices::parse(ROWS.as_bytes());
        devices.get(&host.parse().unwrap()).unwrap().clone()
    }

    fn edited(edits: impl IntoIterator<Item = (&'static str, Option<Device>)>) -> String {
        let edits = edits.into_iter();
        let edits = edits.map(|(host, row)| (host.parse().unwrap(), row));
        String::from_utf8(edit(ROWS.as_bytes(), &edits.collect())).unwrap()
    }

    #[test]
    fn only_what_means_something_else_is_written_anew() {
        let lab2: ClassName = "lab2".parse().unwrap();
        let one = Device {
            class: lab2,
            ..get("pc01")
        };
        let three = Device {
            ip: "10.0.0.3".parse().ok(),
            ..get("pc03")
        };
        assert_eq!(
            edited([("pc01", Some(one)), ("pc03", Some(three))]),
            ROWS.replace("PC01;lab", "PC01;lab2")
                .replace(" dhcp ", "10.0.0.3")
        );
        assert_eq!(edited([("PC03", Some(get("pc03")))]), ROWS);
    }

    #[test]
    fn a_row_goes_alone_and_a_new_one_stands_below_its_room() {
        let all: Vec<&str> = ROWS.split_inclusive('\n').collect();
        let [comment, one, _, bad, three, four] = all[..] else {
            unreachable!()
        };
        let new = Device {
            host: "pc05".parse().unwrap(),
            mac: "52:54:00:00:00:05".parse().ok(),
            ip: None,
            ..get("pc01")
        };
        let other = Device {
            room: "r9".parse().unwrap(),
            host: "pc06".parse().unwrap(),
            mac: "52:54:00:00:00:06".parse().ok(),
            ip: "10.0.0.6".parse().ok(),
            ..new.clone()
        };
        let row = "r1;pc05;lab;52:54:00:00:00:05;DHCP;;;;classroom-studentcomputer;;1;;;;\r\n";
        let last = "r9;pc06;lab;52:54:00:00:00:06;10.0.0.6;;;;classroom-studentcomputer;;1;;;;\r\n";
        assert_eq!(
            edited([
                ("pc02", None),
                ("pc05", Some(new)),
                ("pc06", Some(other)),
                ("pc07", None)
            ]),
            [comment, one, bad, three, row, four, "\r\n", last].concat()
        );
    }

    fn rows() -> impl Strategy<Value = BTreeMap<u8, (u8, bool)>> {
        proptest::collection::btree_map(0..12_u8, (0..3_u8, any::<bool>()), 0..10)
    }

    fn device(number: u8, (room, has_ip): (u8, bool)) -> Device {
        Device {
            room: format!("r{room}").parse().unwrap(),
            host: format!("pc{number}").parse().unwrap(),
            mac: format!("52:54:00:00:00:{number:02}").parse().ok(),
            ip: has_ip.then(|| [10, 0, 0, number].into()),
            ..get("pc01")
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_text_and_the_table_become_the_same(before in rows(), after in rows(), gone in proptest::collection::btree_set(0..12_u8, 0..6)) {
            let mut text = Vec::new();
            for (number, row) in &before {
                append(&mut text, &device(*number, *row), b"\n");
            }
            let kept = after.iter().map(|(number, row)| (*number, Some(device(*number, *row))));
            let edits: BTreeMap<u8, Option<Device>> = kept.chain(gone.iter().map(|number| (*number, None))).collect();
            let edits: Edits = edits.into_iter().map(|(number, row)| (format!("pc{number}").parse().unwrap(), row)).collect();
            let devices = Devices::parse(&text);
            let edited = edit(&text, &edits);
            prop_assert_eq!(Devices::parse(&edited), devices.edited(&edits));
            for (host, row) in &edits {
                let found = Devices::parse(&edited).get(host).cloned();
                prop_assert_eq!(found.as_ref(), row.as_ref());
            }
            prop_assert_eq!(edit(&edited, &edits), edited);
        }
    }
}
