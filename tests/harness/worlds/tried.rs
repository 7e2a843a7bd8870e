//! Test classes: before, while and after their hosts have them.

use std::sync::Arc;

use reconciler::linbo::devices::Devices;
use reconciler::linbo::start_conf;
use reconciler::planning::{ClassFiles, DesiredClass, DesiredTest, Grub, Probe, Purpose};
use schema::fleet::{ResetCommand, TestReset};
use schema::name::ClassName;

use super::dice::Dice;
use super::{GIB, World, class, day, hardware, live, manifest, name, os};

impl World {
    /// Adds a test class for some hosts of class `lab`, with an image of its own of which nothing is there yet.
    pub fn test_class(&mut self, test: &str, hosts: &[&str], until: &str) -> &mut DesiredTest {
        let until = day(until);
        let image = format!("ubuntu-{test}");
        self.release(&image, "t1", 12 * GIB, Some(GIB)).purpose = Purpose::TestClass { until };
        let systems = [os(&image, ResetCommand::Sync)];
        let class_name: ClassName = name(test);
        let desired = DesiredClass {
            start_conf: start_conf::render_test(&class_name, &hardware(&systems)),
            ..class(test, &systems)
        };
        let files = ClassFiles {
            start_conf: None,
            grub: Grub::Stale,
        };
        let files = Probe::Seen(files);
        self.observed.classes.insert(class_name.clone(), files);
        self.desired.classes.insert(class_name.clone(), desired);
        let desired = DesiredTest {
            class: class_name,
            images: [name(&image)].into(),
            hosts: hosts.iter().map(|host| name(host)).collect(),
            until,
            reset: TestReset::AsRoom,
        };
        self.desired
            .test_classes
            .entry(name(test))
            .or_insert(desired)
    }

    /// Leads all hosts to the classes that `devices.csv` gives them, as an import does.
    pub fn import(&mut self) {
        self.are_linked = true;
        self.observed.astray = Probe::Seen(Arc::default());
    }

    /// Leads a host to a class, whatever `devices.csv` says.
    pub fn lead(&mut self, host: &str, class: &str) {
        let has = |devices: &Devices| {
            devices
                .get(&name(host))
                .is_some_and(|row| row.class.as_str() == class)
        };
        let is_right = self.observed.devices.seen().is_some_and(has);
        if let Probe::Seen(astray) = &mut self.observed.astray {
            let astray = Arc::make_mut(astray);
            astray.remove(host);
            if !is_right {
                astray.insert(name(host), name(class));
            }
        }
    }

    /// The class that a host boots.
    fn boots(&self, host: &str) -> Option<ClassName> {
        let astray = self.observed.astray.seen()?.get(host);
        let class = || Some(&self.observed.devices.seen()?.get(&name(host))?.class);
        astray
            .or_else(|| class().filter(|_| self.are_linked))
            .cloned()
    }

    /// Gives a host another class in `devices.csv`.
    pub fn reclass(&mut self, host: &str, class: &str) {
        let boots = self.boots(host);
        for row in &mut self.rows {
            let mut columns: Vec<&str> = row.split(';').collect();
            if columns.get(1) == Some(&host) {
                columns[2] = class;
                *row = columns.join(";");
            }
        }
        self.observed.devices =
            Probe::Seen(Devices::parse((self.rows.join("\n") + "\n").as_bytes()));
        if let Some(boots) = boots {
            self.lead(host, boots.as_str());
        }
    }
}

/// A test class for some hosts, with whatever was done for it.
pub(super) fn test_class(world: &mut World, dice: &mut Dice) {
    let all = world.hosts();
    if all.is_empty() {
        return;
    }
    let hosts: Vec<_> = (0..dice.below(4)).map(|_| dice.pick(&all)).collect();
    let mut names: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
    names.push("nobody");
    let until = dice.pick(&["2027-07-31", "2027-07-31", "2026-11-23", "2026-01-01"]);
    world.test_class("tried", &names, until);
    let image = "ubuntu-tried";
    if dice.once_in(2) {
        world.store(image, "t1", 12 * GIB, Some(GIB));
    }
    if !dice.once_in(4) {
        *world.live_mut(image) = live(&manifest(image, "t1", 12 * GIB, Some(GIB)));
    }
    if !dice.once_in(4) {
        let text = world.desired.classes["tried"].start_conf.clone();
        let files = world.files_mut("tried");
        files.start_conf = Some(text);
        files.grub = dice.pick(&[Grub::Current, Grub::Stale]);
    }
    for host in &hosts {
        if dice.once_in(2) {
            world.reclass(host.as_str(), "tried");
        }
    }
    if dice.once_in(2) {
        world.import();
    }
    for host in &hosts {
        if dice.once_in(4) {
            world.lead(host.as_str(), dice.pick(&["tried", "lab"]));
        }
    }
    if dice.once_in(6) {
        // Removed from the state repo, and still on the server.
        world.desired.test_classes.clear();
        world.desired.classes.remove("tried");
        world
            .desired
            .images
            .retain(|(wanted, _), _| wanted.as_str() != image);
    }
}
