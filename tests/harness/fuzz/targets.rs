//! Every parser of what others wrote, what it is fed with, and what it promises.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use reconciler::adopt::{Inventory, Names, adopt};
use reconciler::linbo::devices::{self, Devices, Edits};
use reconciler::linbo::image_info::ImageRecord;
use reconciler::linbo::log::{self, SessionLog};
use reconciler::linbo::remote::{self, Launches};
use reconciler::linbo::setup_ini::Setup;
use reconciler::linbo::start_conf::{self, StartConf};
use reconciler::linbo::status::HostReport;
use reconciler::manifest::Manifest;
use schema::device::{Address, Mac};
use schema::digest::Digest;
use schema::name::{ClassName, FileName, HostName, ImageName, RoomName, SchoolName, VersionName};
use schema::schedule::{Point, Schedule, Window, Windows};
use schema::text::{DevicePath, ImageStamp, MailAddress, PlainText, SettingKey};
use schema::tree::{Entry, Tree};
use schema::units::{Bytes, Length, Percent, Rate};

use super::Target;

/// The words of a `start.conf`.
const START_CONF: &[&str] = &[
    "[OS]\n",
    "[LINBO]\n",
    "[Partition]\n",
    "=",
    "\r\n",
    "#",
    "[",
    "]",
    "BaseImage = ",
    "DownloadType = ",
    "\t",
];

/// Everything that reads what others wrote.
pub const TARGETS: &[Target] = &[
    Target {
        name: "yaml",
        seeds: &[
            FLEET,
            "a: [1, 2, {b: c}]\nd: |\n  text\n  more\ne: \"\\u00e4\\n\"\n",
            "x: &a [1, 2]\ny: *a\nz: [*a, *a]\n",
        ],
        words: &[
            "&a ",
            "*a",
            "? ",
            ": ",
            "- ",
            "|\n",
            ">-\n",
            "!!str ",
            "<<",
            "---\n",
            "...\n",
            "\t",
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            "#",
            "%YAML 1.2\n",
            "\r\n",
            "\u{2028}",
            "\u{feff}",
        ],
        run: yaml,
    },
    Target {
        name: "fleet",
        seeds: &[FLEET],
        words: &[
            "daily ",
            "22:00–05:00",
            "0 %",
            "null",
            "~",
            "[",
            "{",
            "- ",
            "\n  ",
            "99999999999 GiB",
        ],
        run: fleet,
    },
    Target {
        name: "calendar",
        seeds: &[
            "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20261224\r\nDTEND;VALUE=DATE:20270107\r\nSUMMARY:Ferien\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224T100000Z\nDTEND:20261224T\n 120000Z\nSUMMARY;LANGUAGE=de:a\\, b\nEND:VEVENT\nEND:VCALENDAR\n",
        ],
        words: &[
            "BEGIN:",
            "END:",
            "VEVENT",
            "RRULE:FREQ=DAILY",
            "DTSTART",
            ";",
            ":",
            "\r\n ",
            "99991231",
            "00000101",
            "20260230",
        ],
        run: calendar,
    },
    Target {
        name: "names",
        seeds: &[
            "ubuntu",
            "r101-pc01",
            "ubuntu.qcow2.info",
            "2026.11.1",
            "52:54:00:aa:00:01",
            "/dev/nvme0n1",
            "202611222004",
            "a@b.example",
        ],
        words: &["-", ".", "/", "..", "\0", " ", "ä", "\n", "@", ":"],
        run: names,
    },
    Target {
        name: "units",
        seeds: &["15.1 GiB", "1 Gbit/s", "7 days", "25 %", "40 MiB", "1 hour"],
        words: &[
            "GiB",
            "bit/s",
            "%",
            " ",
            "\u{a0}",
            ".",
            "18446744073709551615",
            "-",
            "e9",
            "0",
        ],
        run: units,
    },
    Target {
        name: "schedules",
        seeds: &[
            "mon, wed 18:30",
            "daily 22:00–05:00",
            "first sat of month 02:00",
            "mon–fri 17:30-22:00",
            "sat, sun 00:00–24:00",
        ],
        words: &[
            "mon", "sun", "daily", "last ", "24:00", "00:00", "–", "-", ",", "29:61", "of month",
        ],
        run: schedules,
    },
    Target {
        name: "devices",
        seeds: &[
            "# rooms\nr201;r201-pc01;ubuntu;52:54:00:AA:00:01;10.0.201.1;;;;classroom-studentcomputer;;1;;;;\nr201;r201-pc02;win11;52:54:00:aa:00:02;DHCP;;;;classroom-studentcomputer;;2;;;;x\r\n",
        ],
        words: &[
            ";",
            ";;;;",
            "\n",
            "\r\n",
            "#",
            "\"",
            "ff:ff:ff:ff:ff:ff",
            "nopxe",
            "\0",
            "22",
        ],
        run: device_rows,
    },
    Target {
        name: "start-conf",
        seeds: &[include_str!(
            "../../../reconciler/src/linbo/golden/start.conf.dual-lab"
        )],
        words: START_CONF,
        run: start_conf_text,
    },
    Target {
        name: "adopt",
        seeds: &[include_str!(
            "../../../reconciler/src/linbo/golden/start.conf.dual-lab"
        )],
        words: START_CONF,
        run: adopted,
    },
    Target {
        name: "setup-ini",
        seeds: &[
            "[setup]\nservername = server\ndomainname = bs-nord.example\nschoolname = Schule\nadminpw = secret\n",
        ],
        words: &[
            "[setup]",
            "=",
            "\r\n",
            "servername",
            "domainname",
            "\0",
            ".",
            "-",
        ],
        run: setup_ini,
    },
    Target {
        name: "image-info",
        seeds: &[
            "[\"ubuntu.qdiff\" Info File]\ntimestamp=\"202611222004\"\nimage=\"ubuntu.qdiff\"\nimagesize=\"3997696\"\n",
        ],
        words: &[
            "\"",
            "=",
            "timestamp=",
            "imagesize=",
            "18446744073709551616",
            "\r\n",
            "\n\n",
        ],
        run: image_info,
    },
    Target {
        name: "status",
        seeds: &[
            "202601152135 applied: ubuntu.qdiff \"202601101930\"\n",
            "202601152135 created: ubuntu.qcow2\n",
        ],
        words: &[
            "applied:",
            "created:",
            "uploaded:",
            "\"",
            " ",
            "\n",
            "20261332",
        ],
        run: status,
    },
    Target {
        name: "log",
        seeds: &[
            "### 20261122-194737 linbo_wrapper sync:1 ###\r\n 10%\r100%\r\n202611221947 applied: ubuntu.qdiff \"202611222004\"\r\n### 20261122-194742 linbo_wrapper halt ###\r\nMounting \u{1b}[31mx failed!\r\r\n",
        ],
        words: &[
            "### ",
            " ###",
            "\r",
            "\r\n",
            "\u{1b}[",
            "failed",
            "applied: ",
            "\0",
        ],
        run: log_text,
    },
    Target {
        name: "remote",
        seeds: &[
            "### linbo-remote (1) start: x\nSending command(s) to:\n pc01 ... Started with PID 1\n2. Log see x\n pc02 ... Not online, host skipped.\n",
            "pc01_linbo-remote\nubuntu_qcow2_torrent\n",
        ],
        words: &[
            " ... ",
            "Started with PID ",
            "unknown",
            "Not online, host skipped.",
            "_linbo-remote",
            "\r",
            "\n",
        ],
        run: remote_output,
    },
    Target {
        name: "manifest",
        seeds: &[
            "{\"format_version\":1,\"image\":\"ubuntu\",\"version\":\"2026.11.1\",\"files\":[{\"name\":\"ubuntu.qcow2\",\"size\":1,\"sha256\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}]}",
            "{\"format_version\":1,\"image\":\"ubuntu\",\"version\":\"1\",\"files\":[{\"name\":\"ubuntu.qcow2\",\"size\":1,\"sha256\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"},{\"name\":\"ubuntu.qcow2.macct\",\"size\":1,\"sha256\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}],\"made_from\":{\"source\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\",\"domain\":\"bs-nord.example\",\"at\":\"2026-11-27T10:00:00Z\",\"program\":\"0\"}}",
        ],
        words: &[
            "\"",
            "{",
            "}",
            "[",
            "]",
            ",",
            "null",
            "-1",
            "1e999",
            "\"ubuntu.qdiff\"",
            "../",
            "\\u0000",
        ],
        run: manifest,
    },
    Target {
        name: "config",
        seeds: &[
            "server: bs-nord\nrepo: { url: \"ssh://git@git.example/fleet.git\", branch: main, key: /etc/k }\nsmtp: { host: localhost, port: 25 }\n",
        ],
        words: &[
            "server", "repo", "url", "http://", "file:///", ": ", "{", "}", "\n", "- ", "65536",
            "0",
        ],
        run: config,
    },
];

const FLEET: &str = "name: landkreis\ncentral:\n  server: images.example\n  release_module: releases\n  uplink: 1 Gbit/s\ntime_zone: Europe/Berlin\ndefaults:\n  windows:\n    download: daily 22:00–05:00\n    reset: mon–fri 17:30–22:00\n  power: { wake_per_minute: 6, on_at_once: 120 }\nmail: { from: r@m.example, to: [it@m.example] }\n";

fn yaml(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(found) = schema::yaml::parse("x.yaml", &text) {
        assert!(!found.is_empty(), "refused without a reason");
        for one in &found {
            drop(schema::diagnostic::render(one, Some(&text), false));
        }
    }
    drop(schema::read::text::<BTreeMap<String, String>>(
        "x.yaml", &text,
    ));
}

fn fleet(bytes: &[u8]) {
    let mut tree = Tree::default();
    tree.insert("fleet.yaml", Entry::of(bytes.to_vec()));
    for path in [
        "images/ubuntu.yaml",
        "hardware-classes/lab.yaml",
        "schools/nord/school.yaml",
        "schools/nord/rooms/r101.yaml",
        "calendars/ferien.ics",
    ] {
        tree.insert(path, Entry::of(bytes.to_vec()));
    }
    let loaded = schema::load(&tree);
    assert!(
        loaded.fleet.is_some() || !loaded.diagnostics.is_empty(),
        "refused without a reason"
    );
    for one in &loaded.diagnostics {
        drop(schema::diagnostic::render(one, tree.text(&one.file), false));
    }
}

fn calendar(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(error) = schema::calendar::read(&text) {
        assert!(!error.to_string().is_empty(), "refused without a reason");
    }
}

/// What was read and is written again is read as the same, and a refusal says why.
fn same_again<T>(text: &str)
where
    T: FromStr<Err: fmt::Display> + fmt::Display + PartialEq + fmt::Debug,
{
    match text.parse::<T>() {
        Err(error) => assert!(!error.to_string().is_empty(), "refused without a reason"),
        Ok(value) => {
            let written = value.to_string();
            let again = written.parse::<T>().ok();
            assert_eq!(again.as_ref(), Some(&value), "{text:?} as {written:?}");
        }
    }
}

/// No name is an option, leaves its folder or is read as two words.
fn a_name<T>(text: &str)
where
    T: FromStr<Err: fmt::Display> + fmt::Display + PartialEq + fmt::Debug,
{
    same_again::<T>(text);
    if text.parse::<T>().is_ok() {
        assert!(!text.starts_with(['-', '.']), "{text:?}");
        assert!(
            !text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()),
            "{text:?}"
        );
    }
}

fn names(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    a_name::<SchoolName>(text);
    a_name::<RoomName>(text);
    a_name::<HostName>(text);
    a_name::<ClassName>(text);
    a_name::<ImageName>(text);
    a_name::<VersionName>(text);
    a_name::<FileName>(text);
    same_again::<PlainText>(text);
    same_again::<DevicePath>(text);
    same_again::<ImageStamp>(text);
    same_again::<MailAddress>(text);
    same_again::<SettingKey>(text);
    same_again::<Digest>(text);
    same_again::<Mac>(text);
    same_again::<Address>(text);
}

fn units(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    same_again::<Bytes>(text);
    same_again::<Rate>(text);
    same_again::<Percent>(text);
    same_again::<Length>(text);
}

fn schedules(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    same_again::<Point>(text);
    same_again::<Window>(text);
    drop(schema::read::text::<Schedule>("x.yaml", text));
    drop(schema::read::text::<Windows>("x.yaml", text));
}

fn device_rows(bytes: &[u8]) {
    let read = Devices::parse(bytes);
    let same = devices::edit(bytes, &Edits::new());
    assert_eq!(same, bytes, "no change is no change");
    let Ok(class) = "other".parse::<ClassName>() else {
        return;
    };
    if let Some(row) = read.rows().first() {
        let changed = read.moved(std::iter::once((&row.host, &class)));
        let again = Devices::parse(&devices::edit(bytes, &changed));
        assert_eq!(again.rows().len(), read.rows().len());
        assert_eq!(again.get(&row.host).map(|row| &row.class), Some(&class));
        let without = Edits::from([(row.host.clone(), None)]);
        let without = Devices::parse(&devices::edit(bytes, &without));
        assert!(without.rows().len() + 1 >= read.rows().len());
    }
}

fn start_conf_text(bytes: &[u8]) {
    let read = StartConf::parse(bytes);
    let _: Option<&str> = read.group();
    let _: Option<&str> = read.cache();
    let _: usize = read.operating_systems().count();
    let _: bool = start_conf::is_ours(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && read.problems.is_empty()
    {
        assert_eq!(start_conf::differences(bytes, text), Vec::<String>::new());
    }
}

/// Whatever a class says, what is written of its server is valid.
fn adopted(bytes: &[u8]) {
    let inventory = Inventory {
        setup: Setup {
            server: good("server"),
            domain: good("bs-nord.example"),
            title: None,
        },
        devices: Devices::parse(b"r101;r101-pc01;dual-lab;52:54:00:00:00:01;10.0.0.1;;;;;;1;;;;\n"),
        classes: [(good("dual-lab"), Some(bytes.to_vec()))].into(),
        images: [].into(),
    };
    let names = Names {
        school: good("bs-nord"),
        central: None,
        time_zone: "Europe/Berlin".to_owned(),
    };
    let adoption = adopt(&inventory, &names);
    let loaded = schema::load(&adoption.files.into_iter().collect());
    assert!(loaded.fleet.is_some(), "{:#?}", loaded.diagnostics);
}

/// A name that is known to be one.
#[expect(clippy::expect_used, reason = "it is written here")]
fn good<T: FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a good name")
}

fn setup_ini(bytes: &[u8]) {
    if let Err(why) = Setup::parse(bytes) {
        assert!(!why.contains("secret"), "it tells a password: {why}");
    }
}

fn image_info(bytes: &[u8]) {
    let read = ImageRecord::parse(bytes);
    drop(read.render());
}

fn status(bytes: &[u8]) {
    if let Err(error) = HostReport::parse(bytes) {
        assert!(!error.to_string().is_empty(), "refused without a reason");
    }
    drop(HostReport::parse_line(&String::from_utf8_lossy(bytes)));
}

fn log_text(bytes: &[u8]) {
    for line in log::tail(bytes, 5) {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    drop(log::scan(bytes));
    drop(SessionLog::parse(bytes).tail(5));
}

fn remote_output(bytes: &[u8]) {
    drop(Launches::parse(bytes));
    let sessions = remote::sessions(bytes);
    for host in sessions.iter().filter_map(|name| remote::busy_host(name)) {
        let own = remote::session_name(&host);
        let has = |name: &String| name.eq_ignore_ascii_case(&own);
        assert!(sessions.iter().any(has), "{host}");
    }
}

fn manifest(bytes: &[u8]) {
    let published = Manifest::parse(bytes).ok();
    match Manifest::parse_kept(bytes) {
        Err(error) => assert!(!error.to_string().is_empty(), "refused without a reason"),
        Ok(read) => {
            let again = read
                .to_json()
                .ok()
                .and_then(|json| Manifest::parse_kept(json.as_bytes()).ok());
            assert_eq!(again.as_ref(), Some(&read));
            let is_published = read.made_from().is_none();
            assert_eq!(published, is_published.then_some(read));
        }
    }
}

fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(errors) = reconciler::config::parse("reconciler.yaml", &text, None) {
        assert!(!errors.render(false).is_empty(), "refused without a reason");
    }
}
