//! One school whose whole state repo fits on a page. All windows but those of lessons are open at 18:05, so that one
//! pass does everything.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use harness::lab::{Builder, Content, Lab, Output, Pace, Release, Room, Server, server_config};

/// A Monday on which the room is due at 18:00.
pub(crate) const MONDAY: &str = "2026-11-23 18:05:00";
/// Its next occurrence.
pub(crate) const WEDNESDAY: &str = "2026-11-25 18:05:00";

/// The lab and what was released in it.
pub(crate) struct OneSchool {
    pub(crate) lab: Lab,
    releases: BTreeMap<String, Release>,
}

impl OneSchool {
    /// A fresh school with one room of so many PCs and nothing in the state repo yet.
    pub(crate) fn fresh(pcs: u8) -> Self {
        Self::built(Lab::builder().school("bs-nord", [Room::new("r101", pcs)]))
    }

    /// The same of any lab.
    pub(crate) fn built(builder: Builder) -> Self {
        let lab = builder
            .pace(Pace {
                boot_ms: 100,
                sync_ms: 200,
                download_ms: 20,
                second_ms: 20,
                pause_ms: 50,
                background_ms: 1500,
            })
            .at(MONDAY)
            .build()
            .unwrap();
        for server in lab.servers() {
            fs::remove_file(server.paths.linbo().join("start.conf.ubuntu-lab")).ok();
        }
        Self {
            lab,
            releases: BTreeMap::new(),
        }
    }

    /// A school whose state repo asks for one small version.
    pub(crate) fn ready(pcs: u8) -> Self {
        let mut school = Self::fresh(pcs);
        school.release("2026.10.1", &small(1));
        school.point("2026.10.1", "the first version");
        school
    }

    pub(crate) fn nord(&self) -> Server {
        self.lab.server("bs-nord")
    }

    pub(crate) fn release(&mut self, version: &str, content: &Content) {
        let release = self
            .lab
            .central()
            .publish("ubuntu", version, content)
            .unwrap();
        self.releases.insert(version.to_owned(), release);
    }

    /// Writes the state repo anew, into `dir`, with `stable` as what schools get.
    pub(crate) fn write(&self, dir: &Path, stable: &str) {
        let put = |name: &str, text: String| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let central = self.lab.central().rsync.address;
        put(
            "fleet.yaml",
            format!(
                "name: Landkreis Musterstadt\ncentral: {{ server: \"{central}\" }}\ndefaults:\n\
                 \x20 windows: {{ download: \"daily 17:30–05:00\" }}\n\
                 \x20 rollout: at_once\n\x20 guard: {{ reimage_at_most: 100 % }}\n\x20 power: {{ wake_per_minute: 600, on_at_once: 40 }}\n\
                 mail: {{ from: reconciler@musterstadt.example, to: it@musterstadt.example }}\n"
            ),
        );
        let mut image = format!(
            "os: linux\ndomain_join: not_needed\nchannels: {{ stable: {stable} }}\nversions:\n"
        );
        for (version, release) in &self.releases {
            image += &format!(
                "  {version}: {{ manifest: \"sha256:{}\", size: 8 MiB, diff: 2 MiB }}\n",
                release.manifest_sha256
            );
        }
        put("images/ubuntu.yaml", image);
        put(
            "hardware-classes/ubuntu-lab.yaml",
            "firmware: efi64\ndisk: /dev/sda\npartitions:\n\
             \x20 - { label: efi, size: 200 MiB, fs: vfat, bootable: true }\n\
             \x20 - { label: ubuntu, size: 60 GiB, fs: ext4 }\n\
             \x20 - { label: cache, size: rest, fs: ext4 }\n\
             os:\n  - { name: Ubuntu 24.04, image: ubuntu, root: ubuntu }\n"
                .to_owned(),
        );
        for (school, rooms) in self.rooms() {
            put(
                &format!("schools/{school}/school.yaml"),
                format!(
                    "title: {school}\nserver: server.{school}.example\ndomain: {school}.example\n\
                     reset: mon, wed 18:00\nimages: {{ ubuntu: stable }}\n"
                ),
            );
            for room in rooms {
                let path = format!("schools/{school}/rooms/{room}.yaml");
                put(&path, "class: ubuntu-lab\n".to_owned());
            }
        }
    }

    fn rooms(&self) -> BTreeMap<String, Vec<String>> {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for host in self.lab.world().hosts.values() {
            let rooms = all.entry(host.server.clone()).or_default();
            if !rooms.contains(&host.room) {
                rooms.push(host.room.clone());
            }
        }
        all
    }

    /// Commits that schools get `stable`.
    pub(crate) fn point(&self, stable: &str, message: &str) -> String {
        let edit = |dir: &Path| {
            self.write(dir, stable);
            Ok(())
        };
        self.lab.repo().commit(edit, message).unwrap()
    }

    /// Replaces `from` by `to` in one file of the state repo and commits that.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str, message: &str) -> String {
        let edit = |dir: &Path| {
            replace_in(&dir.join(file), from, to);
            Ok(())
        };
        self.lab.repo().commit(edit, message).unwrap()
    }

    /// Adds lines to the settings of all servers, and puts others in the place of some.
    pub(crate) fn settings(&self, more: &str, from: &str, to: &str) {
        self.lab
            .write_configs(|server, facts| server_config(server, facts).replace(from, to) + more)
            .unwrap();
    }

    /// Runs one pass that must end with `status`. What it said is shown when the test fails, then or later.
    #[track_caller]
    pub(crate) fn pass(&self, at: &str, status: i32) -> Output {
        self.run(&[], at, status)
    }

    /// The same with arguments.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "a test that fails shows its passes")]
    pub(crate) fn run(&self, arguments: &[&str], at: &str, status: i32) -> Output {
        let output = self.nord().run(arguments, at).unwrap();
        println!(
            "reconcile {} at {at}: exit {}\n{}{}",
            arguments.join(" "),
            output.status,
            output.stderr,
            output.stdout
        );
        assert_eq!(output.status, status, "{arguments:?} at {at}");
        output
    }

    /// The version that each host applied last, by its time stamp; none for hosts that never did.
    pub(crate) fn applied(&self) -> Vec<Option<String>> {
        let applied = |host: harness::lab::Host| host.applied().unwrap().map(|it| it.timestamp);
        self.lab.hosts().map(applied).collect()
    }

    /// How many mails say this.
    pub(crate) fn told(&self, words: &str) -> usize {
        let mails = self.lab.smtp().mails().unwrap();
        let says = |mail: &&String| {
            let mail = mail_parser::MessageParser::default().parse(mail.as_bytes());
            mail.unwrap().body_text(0).unwrap().contains(words)
        };
        mails.iter().filter(says).count()
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.lab.anomalies().unwrap(), Vec::<String>::new());
    }
}

/// Small content with a diff; other seeds give other content.
pub(crate) fn small(seed: u32) -> Content {
    Content {
        diff_mib: 1,
        ..Content::base(seed).base_size(2).with_diff(seed)
    }
}

/// Replaces `from`, which must be there, by `to` in a file.
pub(crate) fn replace_in(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no {from:?}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Waits until `met`; a minute at the most.
#[track_caller]
pub(crate) fn until(what: &str, mut met: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !met() {
        assert!(begin.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Asserts that a text for people says all of these.
#[track_caller]
pub(crate) fn says(output: &Output, words: &[&str]) {
    let text = format!("{}{}", output.stderr, output.stdout);
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{text}");
    }
}
