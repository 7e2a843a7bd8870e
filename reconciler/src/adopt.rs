//! The state repo of a server that is there already: what its files say, written as YAML.
//!
//! # Invariants
//!
//! Nothing is written that would change a server: a hardware class is adopted only if what would be rendered of it
//! says the same as its `start.conf`, and a room only with such a class. Whatever cannot be written is named with its
//! reason, never dropped. What is written is valid.

mod class;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use schema::diagnostic::Severity;
use schema::fleet::Os;
use schema::name::{ClassName, Domain, ImageName, RoomName, SchoolName};

use crate::linbo::devices::{Device, Devices};
use crate::linbo::setup_ini::Setup;
use crate::linbo::start_conf;
use class::Adopted;
use yaml::text;

/// What lies on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// What it was set up as.
    pub setup: Setup,
    /// The rows of `devices.csv`.
    pub devices: Devices,
    /// The text of `start.conf.<class>` of each class that a row has; none where there is no such file.
    pub classes: BTreeMap<ClassName, Option<Vec<u8>>>,
    /// The images of which LINBO's folder holds a base.
    pub images: BTreeSet<ImageName>,
}

/// What only people know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// What the school is called in the state repo.
    pub school: SchoolName,
    /// The server that images will come from, if that is known.
    pub central: Option<Domain>,
    /// The time zone of the server, by its name.
    pub time_zone: String,
}

/// A state repo, and what of a server is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adoption {
    /// Its files by their paths.
    pub files: BTreeMap<String, String>,
    /// What could not be written, a line each, and why.
    pub left_out: Vec<String>,
    /// What people may want to add.
    pub remarks: Vec<String>,
}

/// Writes what lies on a server as a state repo.
#[must_use]
pub fn adopt(inventory: &Inventory, names: &Names) -> Adoption {
    let mut classes = BTreeMap::new();
    let mut refused: BTreeMap<&ClassName, Vec<String>> = BTreeMap::new();
    for (name, found) in &inventory.classes {
        let adopted = match found {
            None => Err(vec![format!("there is no start.conf.{name}")]),
            Some(found) => Adopted::of(found),
        };
        match adopted {
            Ok(adopted) => {
                classes.insert(name, adopted);
            }
            Err(why) => {
                refused.insert(name, why);
            }
        }
    }
    loop {
        let adoption = write(inventory, names, &classes, &refused);
        let wrong = wrong(inventory, &adoption);
        let mut is_known = false;
        for (name, why) in wrong {
            if let Some((name, _)) = classes.remove_entry(&name) {
                refused.insert(name, why);
                is_known = true;
            }
        }
        if !is_known {
            return adoption;
        }
    }
}

/// The classes that would be rendered otherwise than they are, or that are not valid, and why.
fn wrong(inventory: &Inventory, adoption: &Adoption) -> BTreeMap<ClassName, Vec<String>> {
    let tree = adoption.files.clone().into_iter().collect();
    let loaded = schema::load(&tree);
    let mut wrong: BTreeMap<ClassName, Vec<String>> = BTreeMap::new();
    for problem in loaded.diagnostics {
        let class = problem.file.strip_prefix("hardware-classes/");
        let class = class.and_then(|file| file.strip_suffix(".yaml")?.parse().ok());
        if let Some(class) = class.filter(|_| problem.severity == Severity::Error) {
            wrong.entry(class).or_default().push(problem.message);
        }
    }
    let classes = loaded.fleet.into_iter().flat_map(|fleet| fleet.classes);
    for (name, class) in classes {
        if let Some(Some(found)) = inventory.classes.get(&name) {
            let differences = start_conf::differences(found, &start_conf::render(&name, &class));
            if !differences.is_empty() {
                wrong.insert(name, differences);
            }
        }
    }
    wrong
}

fn write(
    inventory: &Inventory,
    names: &Names,
    classes: &BTreeMap<&ClassName, Adopted>,
    refused: &BTreeMap<&ClassName, Vec<String>>,
) -> Adoption {
    let mut adoption = Adoption::default();
    for problem in inventory.devices.problems() {
        let line = format!("devices.csv, line {}: {}", problem.line, problem.message);
        adoption.left_out.push(line);
    }
    for (class, why) in refused {
        let line = format!("hardware class {class}: {}", why.join("; "));
        adoption.left_out.push(line);
    }
    fleet(inventory, names, &mut adoption);
    let mut images: BTreeMap<&ImageName, Os> = BTreeMap::new();
    for (name, class) in classes {
        let path = format!("hardware-classes/{name}.yaml");
        adoption.put(path, "../schemas/hardware-class", &class.yaml());
        images.extend(class.images());
    }
    for (image, os) in images {
        let os = match os {
            Os::Linux => "linux",
            Os::Windows => "windows",
        };
        let school = text(names.school.as_str());
        let yaml = format!("os: {os}\nmade_at: {school}\nversion: newest\n");
        adoption.put(format!("images/{image}.yaml"), "../schemas/image", &yaml);
        if !inventory.images.contains(image) {
            let line = format!("image {image}: there is no {image}.qcow2 in LINBO's folder");
            adoption.remarks.push(line);
        }
    }
    rooms(inventory, names, classes, &mut adoption);
    adoption
}

fn fleet(inventory: &Inventory, names: &Names, adoption: &mut Adoption) {
    let Setup {
        server,
        domain,
        title,
    } = &inventory.setup;
    let called = title
        .as_ref()
        .map_or(domain.as_str(), |title| title.as_str());
    let example = "images.example.org";
    let central = names.central.as_ref().map_or(example, Domain::as_str);
    let (name, zone) = (text(called), text(&names.time_zone));
    let yaml = format!(
        "name: {name}\ncentral:\n  server: {}\ntime_zone: {zone}\n",
        text(central)
    );
    adoption.put("fleet.yaml".to_owned(), "schemas/fleet", &yaml);
    if names.central.is_none() {
        let line = "fleet.yaml: `central.server` is an example; nothing is downloaded from it as long as no image is \
                    released there";
        adoption.remarks.push(line.to_owned());
    }
    let yaml = format!(
        "title: {name}\nserver: {}\ndomain: {}\n",
        text(&format!("{server}.{domain}")),
        text(domain.as_str())
    );
    let path = format!("schools/{}/school.yaml", names.school);
    adoption.put(path, "../../schemas/school", &yaml);
    let line = "nothing is reset: write `reset: mon, wed 18:00` into school.yaml or into the file of a room once cron \
                does it no more";
    adoption.remarks.push(line.to_owned());
}

fn rooms(
    inventory: &Inventory,
    names: &Names,
    classes: &BTreeMap<&ClassName, Adopted>,
    adoption: &mut Adoption,
) {
    let mut rooms: BTreeMap<&RoomName, BTreeMap<&ClassName, Vec<&Device>>> = BTreeMap::new();
    let rows = inventory.devices.rows().iter();
    for device in rows.filter(|device| device.pxe.is_reset()) {
        let of_class = rooms.entry(&device.room).or_default();
        of_class.entry(&device.class).or_default().push(device);
    }
    for (room, of_class) in rooms {
        let mut known: Vec<_> = of_class
            .iter()
            .filter(|(class, _)| classes.contains_key(*class))
            .collect();
        // Most of its hosts; of equally many the first by name.
        known.sort_by_key(|(_, hosts)| std::cmp::Reverse(hosts.len()));
        let Some((class, hosts)) = known.first() else {
            let named: Vec<&str> = of_class.keys().map(|class| class.as_str()).collect();
            let line = format!(
                "room {room}: its hardware class {} is not adopted",
                named.join(", ")
            );
            adoption.left_out.push(line);
            continue;
        };
        let mut yaml = format!("class: {}\n", text(class.as_str()));
        if of_class.len() > 1 {
            yaml += "hosts:\n";
            for device in *hosts {
                yaml += &format!("  - {}\n", text(device.host.as_str()));
            }
            let others = of_class.iter().filter(|(other, _)| other != class);
            for (other, hosts) in others {
                let hosts: Vec<&str> = hosts.iter().map(|device| device.host.as_str()).collect();
                let line = format!(
                    "room {room}: {} with hardware class {other}, as most of the room have {class}",
                    hosts.join(", ")
                );
                adoption.left_out.push(line);
            }
        }
        let path = format!("schools/{}/rooms/{room}.yaml", names.school);
        adoption.put(path, "../../../schemas/room", &yaml);
    }
}

impl Adoption {
    fn put(&mut self, path: String, schema: &str, yaml: &str) {
        let line = format!("# yaml-language-server: $schema={schema}.schema.json\n");
        self.files.insert(path, line + yaml);
    }
}

#[cfg(test)]
mod tests;
