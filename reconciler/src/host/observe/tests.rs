#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use schema::digest::Digest;
use schema::fleet::{
    Central, DefaultAction, DomainJoin, OsEntry, ResetCommand, Room, RoomHosts, RoomWindows,
    WorkWindows, Written,
};
use schema::name::{ClassName, RoomName};
use schema::policy::InUse;
use schema::units::Bytes;

use super::*;
use crate::config::{Commands, Paths, Repo, Reset};
use crate::linbo::status::ImageEvent;
use crate::manifest::{Manifest, ManifestFile, digest_of};
use crate::planning::action::Wake;
use crate::planning::{
    Busy, DesiredClass, DesiredImage, Entry, Grub, LiveImage, Occupant, Purpose, Reason, Record,
    Server, Step, Store, Torrent,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const MARKER: &str = "# x\n### managed by linuxmuster.net ###\nset a=b\n";

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A server in a folder, and what it wants: class `c` with image `ubuntu`, which is released, and
/// `win`, which is not; room `r101` with the hosts of `devices.csv`, and `r102` with listed ones.
struct Bed {
    folder: tempfile::TempDir,
    config: Config,
    desired: Desired,
    digests: Digests,
    journal: Journal,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        let paths = Paths {
            linbo: at("linbo"),
            store: at("store/deep"),
            linbo_log: at("log"),
            ssh_config: at("ssh_config"),
            devices: at("devices.csv"),
            dhcp: at("dhcp"),
            setup_ini: at("setup.ini"),
            state: at("state"),
            run: at("run"),
            calendar: at("calendar.ics"),
        };
        let repo = Repo {
            url: "file:///nowhere".into(),
            branch: "main".into(),
            key: None,
            known_hosts: None,
            user: "reconcile".into(),
            token_file: None,
            ca: None,
        };
        // It succeeds and says nothing, as tmux does without a session.
        let commands = Commands {
            tmux: "true".into(),
            ..Commands::default()
        };
        let config = Config {
            server: Server::School(name("s")),
            repo,
            signers: None,
            release: None,
            smtp: None,
            proxmox: None,
            paths,
            commands,
            reset: Reset::default(),
        };
        let (digests, _) = Digests::open(&config.paths.state, NOW);
        Self {
            folder,
            config,
            desired: desired(),
            digests,
            journal: Journal::default(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn folder(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    /// Sets the time of a file, in seconds.
    fn time(&self, path: &str, seconds: u64) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options()
            .write(true)
            .open(self.path(path))
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    async fn look(&self, running: &[Running]) -> Observed {
        observe(
            &self.config,
            &self.digests,
            &self.journal,
            &self.desired,
            running,
        )
        .await
    }

    /// That `probe` was not seen because of this path.
    #[track_caller]
    fn unseen<T: std::fmt::Debug>(&self, probe: &Probe<T>, path: &str) {
        let cause = probe
            .cause()
            .unwrap_or_else(|| panic!("{probe:?} was seen"));
        let path = self.path(path).display().to_string();
        assert!(cause.contains(&path), "{cause} does not name {path}");
    }
}

fn desired() -> Desired {
    let os = |image: &str| OsEntry {
        name: name("System"),
        image: name(image),
        root: name("root"),
        autostart: false,
        default: DefaultAction::Sync,
        reset: ResetCommand::Sync,
        icon: None,
        extra: BTreeMap::new(),
        kernel: name("vmlinuz"),
        initrd: name("initrd.img"),
        append: name("ro"),
    };
    let class = DesiredClass {
        download: schema::fleet::DownloadType::Torrent,
        start_conf: String::new(),
        os: vec![os("ubuntu"), os("win")],
    };
    let image = DesiredImage {
        channel: None,
        published: digest_of(b""),
        manifest: digest_of(b""),
        size: Bytes(1),
        diff: None,
        domain_join: DomainJoin::NotNeeded,
        purpose: Purpose::Rooms,
    };
    let room = |hosts| Room {
        class: name("c"),
        hosts,
        devices: BTreeMap::new(),
        reset: None,
        windows: RoomWindows::default(),
        in_use: InUse::default(),
        power_group: None,
        power: None,
        suspended: None,
        suspended_hosts: BTreeMap::new(),
        written: Written::default(),
    };
    let listed = RoomHosts::Listed([name("PC09"), name("pc10")].into());
    Desired {
        server: Server::School(name("s")),
        zone: TimeZone::UTC,
        windows: WorkWindows::default(),
        holidays: Arc::default(),
        central: Central {
            server: name("central.example"),
            port: 873,
            release_module: name("releases"),
            uplink: None,
        },
        download_rate: None,
        slots: None,
        images: [((name("ubuntu"), name("1")), image)].into(),
        classes: [(name("c"), class)].into(),
        rebrand: None,
        rooms: [
            (name("r101"), room(RoomHosts::FromDevices)),
            (name("r102"), room(listed)),
        ]
        .into(),
        exams: Vec::new(),
        retries: schema::fleet::Retries::default(),
        rollout: schema::fleet::Rollout::default(),
        guard: Default::default(),
        suspended: Default::default(),
        others: BTreeMap::new(),
        gone_back: BTreeMap::new(),
        pinned: BTreeMap::new(),
        test_classes: BTreeMap::new(),
        not_before: None,
        power: BTreeMap::new(),
        staff: None,
    }
}

fn devices() -> String {
    let row = |room: &str, number: u32| {
        format!(
            "{room};pc{number:02};c;00:00:00:00:00:{number:02x};10.0.0.{number};;;;classroom-studentcomputer;;1;;;;;\n"
        )
    };
    [
        row("r101", 1),
        row("r101", 2),
        row("r102", 9),
        row("r103", 11),
    ]
    .concat()
}

#[tokio::test]
async fn a_server_without_anything_is_seen_as_it_is() {
    let bed = Bed::new();
    let before = Timestamp::now();
    let seen = bed.look(&[]).await;
    assert!(seen.at >= before);
    bed.unseen(&seen.devices, "devices.csv");
    let class = seen.classes[&name::<ClassName>("c")].seen().unwrap();
    assert_eq!((&class.start_conf, class.grub), (&None, Grub::Stale));
    let live: Vec<_> = seen
        .live
        .iter()
        .map(|(image, live)| (image.as_str(), live.seen()))
        .collect();
    assert_eq!(
        live,
        [
            ("ubuntu", Some(&LiveImage::default())),
            ("win", Some(&LiveImage::default()))
        ]
    );
    let store = seen.store.seen().unwrap();
    assert_eq!(
        store,
        &Store {
            free: store.free,
            ..Store::default()
        }
    );
    assert!(store.free > 0);
    let reports: Vec<_> = seen
        .reports
        .iter()
        .map(|(host, report)| (host.as_str(), report.seen()))
        .collect();
    assert_eq!(reports, [("PC09", Some(&None)), ("pc10", Some(&None))]);
    assert_eq!(seen.busy, Probe::Seen(BTreeMap::new()));
    assert_eq!(seen.blind_spots().len(), 1);
    let made: Vec<_> = fs::read_dir(bed.folder.path()).unwrap().collect();
    assert!(made.is_empty(), "looking makes nothing: {made:?}");
}

#[tokio::test]
async fn devices_are_read_and_a_folder_in_their_place_is_named() {
    let bed = Bed::new();
    bed.write("devices.csv", devices());
    let seen = bed.look(&[]).await;
    assert_eq!(
        seen.devices.seen().map(|devices| devices.rows().len()),
        Some(4)
    );
    let hosts: Vec<&str> = seen.reports.keys().map(HostName::as_str).collect();
    assert_eq!(hosts, ["pc01", "pc02", "pc09", "pc10"]);
    fs::remove_file(bed.path("devices.csv")).unwrap();
    bed.folder("devices.csv");
    bed.unseen(&bed.look(&[]).await.devices, "devices.csv");
}

/// Hosts have or boot classes that the state repo does not have: one may be that of a test class that is gone from it.
/// Nobody is told of what others do with theirs.
#[tokio::test]
async fn classes_of_hosts_are_looked_at_and_nobody_is_told_of_foreign_ones() {
    let bed = Bed::new();
    bed.write(
        "devices.csv",
        "r101;pc01;tried;52:54:00:00:00:01;10.0.0.1;;;;;;1\n\
        r101;pc02;linked;52:54:00:00:00:02;10.0.0.2;;;;;;1\n\
        r900;pc09;elsewhere;52:54:00:00:00:09;10.0.0.9;;;;;;1\n",
    );
    let tried =
        "# Written by reconcile from test-classes/tried.yaml. Changes here are overwritten.\n";
    for class in ["tried", "before", "elsewhere"] {
        bed.write(&format!("linbo/start.conf.{class}"), tried);
    }
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, bed.path("linbo").join(name)).unwrap();
    };
    link("start.conf.before", "start.conf-10.0.0.1");
    link("start.conf.tried", "start.conf.linked");
    let seen = bed.look(&[]).await;
    let names: Vec<_> = seen.classes.keys().map(ClassName::as_str).collect();
    assert_eq!(names, ["before", "c", "tried"]);
    let astray = seen.astray.seen().unwrap();
    assert_eq!(**astray, [(name("pc01"), name("before"))].into());
    assert!(
        !seen
            .blind_spots()
            .iter()
            .any(|cause| cause.contains("linked")),
        "{:?}",
        seen.blind_spots()
    );
}

#[tokio::test]
async fn the_files_of_a_class() {
    type Make = fn(&Bed);
    type Wanted = Result<(bool, Grub), &'static str>;
    let cases: [(&str, Make, Wanted); 11] = [
        (
            "start.conf alone",
            |bed| bed.write("linbo/start.conf.c", "x"),
            Ok((true, Grub::Stale)),
        ),
        (
            "boot alone",
            |bed| bed.write("linbo/boot/grub/c.cfg", MARKER),
            Ok((false, Grub::Current)),
        ),
        (
            "older",
            |bed| both(bed, MARKER, 99),
            Ok((true, Grub::Stale)),
        ),
        (
            "at once",
            |bed| both(bed, MARKER, 100),
            Ok((true, Grub::Current)),
        ),
        (
            "newer",
            |bed| both(bed, MARKER, 101),
            Ok((true, Grub::Current)),
        ),
        (
            "by hand, older",
            |bed| both(bed, "set a=b\n", 99),
            Ok((true, Grub::ByHand)),
        ),
        (
            "by hand, empty",
            |bed| both(bed, "", 101),
            Ok((true, Grub::ByHand)),
        ),
        (
            "a folder",
            |bed| bed.folder("linbo/start.conf.c"),
            Err("linbo/start.conf.c"),
        ),
        (
            "a link",
            |bed| {
                bed.folder("linbo");
                std::os::unix::fs::symlink("/etc/hostname", bed.path("linbo/start.conf.c"))
                    .unwrap();
            },
            Err("linbo/start.conf.c"),
        ),
        (
            "a pipe",
            |bed| {
                bed.folder("linbo/boot/grub");
                let path = bed.path("linbo/boot/grub/c.cfg");
                let mode = rustix::fs::Mode::RUSR;
                rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                    .unwrap();
            },
            Err("linbo/boot/grub/c.cfg"),
        ),
        (
            "too large",
            |bed| bed.write("linbo/start.conf.c", vec![b'x'; (1 << 20) + 1]),
            Err("linbo/start.conf.c"),
        ),
    ];
    for (what, make, wanted) in cases {
        let bed = Bed::new();
        make(&bed);
        let seen = bed.look(&[]).await;
        let class = &seen.classes[&name::<ClassName>("c")];
        match wanted {
            Ok(wanted) => {
                let files = class.seen().unwrap_or_else(|| panic!("{what}: {class:?}"));
                assert_eq!((files.start_conf.is_some(), files.grub), wanted, "{what}");
            }
            Err(path) => bed.unseen(class, path),
        }
    }
}

fn both(bed: &Bed, grub: &str, seconds: u64) {
    bed.write("linbo/start.conf.c", b"Name = Gr\xf6\xdfe\n");
    bed.write("linbo/boot/grub/c.cfg", grub);
    bed.time("linbo/start.conf.c", 100);
    bed.time("linbo/boot/grub/c.cfg", seconds);
}

#[tokio::test]
async fn an_image_with_all_of_its_files() {
    let bed = Bed::new();
    for (stem, seconds) in [("ubuntu/ubuntu", 99), ("win/win", 100)] {
        for ending in ["qcow2", "qdiff"] {
            bed.write(&format!("linbo/images/{stem}.{ending}"), ending);
            bed.time(&format!("linbo/images/{stem}.{ending}"), 100);
        }
        bed.write(
            &format!("linbo/images/{stem}.qcow2.info"),
            "timestamp=\"202601101930\"\nimagesize=\"5\"\n",
        );
        bed.write(&format!("linbo/images/{stem}.qcow2.torrent"), "x");
        bed.time(&format!("linbo/images/{stem}.qcow2.torrent"), seconds);
    }
    bed.write(
        "linbo/images/ubuntu/backups/202601101930/ubuntu.qcow2.BAK",
        "x",
    );
    let seen = bed.look(&[]).await;
    let live = |image: &str| seen.live[&name::<ImageName>(image)].seen().expect(image);
    for (image, torrent, asked) in [
        ("ubuntu", Torrent::Stale, true),
        ("win", Torrent::Current, false),
    ] {
        let (base, diff) = (
            live(image).base.as_ref().unwrap(),
            live(image).diff.as_ref().unwrap(),
        );
        assert_eq!((base.size, base.torrent), (5, torrent), "{image}");
        assert_eq!(base.written.as_second(), 100, "{image}");
        assert_eq!(base.sha256, asked.then(|| digest_of(b"qcow2")), "{image}");
        assert_eq!(diff.sha256, asked.then(|| digest_of(b"qdiff")), "{image}");
        assert_eq!(
            base.record.as_ref().and_then(|record| record.size),
            Some(5),
            "{image}"
        );
        assert_eq!(
            (&diff.record, diff.torrent),
            (&None, Torrent::Missing),
            "{image}"
        );
        assert!(!live(image).uploading, "{image}");
    }
}

#[tokio::test]
async fn uploads_show_and_what_is_no_file_is_named() {
    let uploads = [
        ("ubuntu.qcow2.BAK", true),
        ("ubuntu.qcow2.info.BAK", true),
        (".ubuntu.qcow2.aB3xYz", true),
        (".ubuntu.qdiff.info.aB3xYz", true),
        (".ubuntu.qcow2.aB3xY", false),
        (".ubuntu.qcow2.aB3x-z", false),
        (".aB3xYz", false),
        (".other.qcow2.aB3xYz", false),
        ("ubuntu.qcow2.torrent", false),
    ];
    for (file, uploading) in uploads {
        let bed = Bed::new();
        bed.write(&format!("linbo/images/ubuntu/{file}"), "x");
        let seen = bed.look(&[]).await;
        let live = seen.live[&name::<ImageName>("ubuntu")].seen().expect(file);
        assert_eq!(
            live,
            &LiveImage {
                uploading,
                ..LiveImage::default()
            },
            "{file}"
        );
    }
    for file in [
        "ubuntu.qcow2",
        "ubuntu.qdiff",
        "ubuntu.qcow2.info",
        "ubuntu.qcow2.torrent",
    ] {
        let bed = Bed::new();
        if file != "ubuntu.qcow2" {
            bed.write("linbo/images/ubuntu/ubuntu.qcow2", "x");
        }
        bed.folder(&format!("linbo/images/ubuntu/{file}"));
        let seen = bed.look(&[]).await;
        bed.unseen(
            &seen.live[&name::<ImageName>("ubuntu")],
            &format!("linbo/images/ubuntu/{file}"),
        );
        assert!(
            seen.live[&name::<ImageName>("win")].seen().is_some(),
            "the other is seen"
        );
    }
    let bed = Bed::new();
    bed.write("linbo/images/ubuntu", "a file in place of the folder");
    bed.unseen(
        &bed.look(&[]).await.live[&name::<ImageName>("ubuntu")],
        "linbo/images/ubuntu",
    );
}

fn manifest(version: &str) -> (Digest, String) {
    let base = ManifestFile {
        name: name("ubuntu.qcow2"),
        size: 4,
        sha256: digest_of(b"base"),
    };
    let text = Manifest::new(name("ubuntu"), name(version), vec![base])
        .unwrap()
        .to_json()
        .unwrap();
    (digest_of(text.as_bytes()), text)
}

#[tokio::test]
async fn the_store_holds_what_is_what_it_is_called() {
    let bed = Bed::new();
    let hex = |text: &[u8]| digest_of(text).hex();
    let put = |folder: &str, name: &str, text: &str| {
        bed.write(&format!("store/deep/{folder}/{name}"), text)
    };
    let (one, two) = (manifest("1"), manifest("2"));
    put("manifests", &format!("{}.json", one.0.hex()), &one.1);
    put("manifests", &format!("{}.json", two.0.hex()), &two.1);
    put("manifests", &format!("{}.json", hex(b"x")), &one.1);
    put("manifests", &format!("{}.json", hex(b"{}")), "{}");
    put("manifests", "notes.txt", "x");
    put("objects", &hex(b"base"), "base");
    put("objects", &hex(b"good"), "evil");
    put("objects", &hex(b"a").to_uppercase(), "a");
    put("objects", ".tmp", "x");
    put("partial", &hex(b"half"), "ha");
    put("partial", "other", "x");
    let seen = bed.look(&[]).await;
    let store = seen.store.seen().expect("seen");
    assert_eq!(
        store.manifests.keys().collect::<BTreeSet<_>>(),
        BTreeSet::from([&one.0, &two.0])
    );
    assert_eq!(store.objects, BTreeSet::from([digest_of(b"base")]));
    assert_eq!(store.partial, BTreeMap::from([(digest_of(b"half"), 2)]));
    assert!(store.is_complete(&one.0));
    // What a seeder writes into an object takes it away.
    fs::write(bed.path("store/deep/objects").join(hex(b"base")), "esab").unwrap();
    assert!(bed.look(&[]).await.store.seen().unwrap().objects.is_empty());
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_not_empty() {
    for folder in ["objects", "manifests", "partial"] {
        let bed = Bed::new();
        bed.write(
            &format!("store/deep/{folder}"),
            "a file in place of the folder",
        );
        bed.unseen(&bed.look(&[]).await.store, &format!("store/deep/{folder}"));
        let bed = Bed::new();
        let ending = if folder == "manifests" { ".json" } else { "" };
        let inside = format!("store/deep/{folder}/{}{ending}", digest_of(b"").hex());
        bed.folder(&inside);
        bed.unseen(&bed.look(&[]).await.store, &inside);
    }
}

mod hosts;
mod kept;
