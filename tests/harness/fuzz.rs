//! Broken input for every parser of what others write, on stable Rust and the same on every machine.
//!
//! An input is a function of the target, the seed and the iteration, so these three name a crash.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::catch_unwind;
use std::str::FromStr;

use reconciler::linbo::devices::{self, Devices, Mac};
use reconciler::linbo::image_info::ImageRecord;
use reconciler::linbo::log::{self, SessionLog};
use reconciler::linbo::remote::{self, Launches};
use reconciler::linbo::start_conf::{self, StartConf};
use reconciler::linbo::status::HostReport;
use reconciler::manifest::Manifest;
use schema::digest::Digest;
use schema::name::{ClassName, FileName, HostName, ImageName, RoomName, SchoolName, VersionName};
use schema::schedule::{Point, Schedule, Window, Windows};
use schema::text::{DevicePath, ImageStamp, MailAddress, PlainText, SettingKey};
use schema::tree::{Entry, Tree};
use schema::units::{Bytes, Length, Percent, Rate};

/// A parser, good input for it, and the words that it knows.
#[derive(Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What mutations begin with.
    pub seeds: &'static [&'static str],
    /// What mutations put in.
    pub words: &'static [&'static str],
    /// Reads any bytes; panics when a promise does not hold.
    pub run: fn(&[u8]),
}

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
            "../../reconciler/src/linbo/golden/start.conf.dual-lab"
        )],
        words: &[
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
        ],
        run: start_conf_text,
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
            "{\"format_version\":\"1.0\",\"image\":\"ubuntu\",\"version\":\"2026.11.1\",\"files\":[{\"name\":\"ubuntu.qcow2\",\"size\":1,\"sha256\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}]}",
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
            let _: String = schema::diagnostic::render(one, Some(&text), false);
        }
    }
    let (_, _): (Option<BTreeMap<String, String>>, _) = schema::read::text("x.yaml", &text);
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
        let _: String = schema::diagnostic::render(one, tree.text(&one.file), false);
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
    let (_, _): (Option<Schedule>, _) = schema::read::text("x.yaml", text);
    let (_, _): (Option<Windows>, _) = schema::read::text("x.yaml", text);
}

fn device_rows(bytes: &[u8]) {
    let read = Devices::parse(bytes);
    let same = devices::with_classes(bytes, &BTreeMap::new());
    assert_eq!(same.as_deref(), Ok(bytes), "no change is no change");
    let Ok(class) = "other".parse::<ClassName>() else {
        return;
    };
    if let Some(row) = read.rows().first() {
        let changed = BTreeMap::from([(row.host.clone(), class.clone())]);
        if let Ok(text) = devices::with_classes(bytes, &changed) {
            let again = Devices::parse(&text);
            assert_eq!(again.rows().len(), read.rows().len());
            assert_eq!(again.get(&row.host).map(|row| &row.class), Some(&class));
        }
    }
}

fn start_conf_text(bytes: &[u8]) {
    let read = StartConf::parse(bytes);
    let _: Option<&str> = read.group();
    let _: Option<&str> = read.cache();
    let _: usize = read.operating_systems().count();
    let _: bool = start_conf::is_ours(bytes);
}

fn image_info(bytes: &[u8]) {
    let read = ImageRecord::parse(bytes);
    let _: String = read.render();
}

fn status(bytes: &[u8]) {
    if let Err(error) = HostReport::parse(bytes) {
        assert!(!error.to_string().is_empty(), "refused without a reason");
    }
    let _: Option<HostReport> = HostReport::parse_line(&String::from_utf8_lossy(bytes));
}

fn log_text(bytes: &[u8]) {
    for line in log::tail(bytes, 5) {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    let _: usize = log::scan(bytes).len();
    let _: usize = SessionLog::parse(bytes).tail(5).len();
}

fn remote_output(bytes: &[u8]) {
    let _: Launches = Launches::parse(bytes);
    let sessions = remote::sessions(bytes);
    for host in remote::busy_hosts(bytes) {
        assert!(sessions.contains(&remote::session_name(&host)), "{host}");
    }
}

fn manifest(bytes: &[u8]) {
    match Manifest::parse(bytes) {
        Err(error) => assert!(!error.to_string().is_empty(), "refused without a reason"),
        Ok(read) => {
            let again = read
                .to_json()
                .ok()
                .and_then(|json| Manifest::parse(json.as_bytes()).ok());
            assert_eq!(again.as_ref(), Some(&read));
        }
    }
}

fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(errors) = reconciler::config::parse("reconciler.yaml", &text, None) {
        assert!(!errors.render(false).is_empty(), "refused without a reason");
    }
}

/// An input that broke a promise.
#[derive(Debug)]
pub struct Crash {
    /// Whose.
    pub target: &'static str,
    /// The seed of the run.
    pub seed: u64,
    /// Which input of it.
    pub iteration: u64,
    /// The input.
    pub input: Vec<u8>,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            seed,
            iteration,
            input,
        } = self;
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(
            f,
            "{target} does not bear this input (seed {seed}, iteration {iteration}):"
        )?;
        writeln!(f, "{}", input.escape_ascii())?;
        write!(
            f,
            "again: cargo run -p fleet-tests --bin fuzz -- {target} hex {hex}"
        )
    }
}

/// Runs one input; false when it panicked, whose message is on standard error then.
#[must_use]
pub fn bears(target: &'static Target, input: &[u8]) -> bool {
    catch_unwind(|| (target.run)(input)).is_ok()
}

/// Runs the inputs of these iterations.
///
/// # Errors
///
/// The first input that the target does not bear.
pub fn run(
    target: &'static Target,
    seed: u64,
    iterations: std::ops::Range<u64>,
) -> Result<(), Box<Crash>> {
    for iteration in iterations {
        let input = input(target, seed, iteration);
        if !bears(target, &input) {
            return Err(Box::new(Crash {
                target: target.name,
                seed,
                iteration,
                input,
            }));
        }
    }
    Ok(())
}

/// The input of one iteration; the first ones are the good inputs themselves.
#[must_use]
pub fn input(target: &Target, seed: u64, iteration: u64) -> Vec<u8> {
    let whole = usize::try_from(iteration).unwrap_or(usize::MAX);
    if let Some(good) = target.seeds.get(whole) {
        return good.as_bytes().to_vec();
    }
    let mut dice = Dice::new(seed, iteration);
    let mut bytes = dice.one_of(target.seeds).as_bytes().to_vec();
    for _ in 0..=dice.below(6) {
        mutate(&mut bytes, target, &mut dice);
    }
    // A splice of splices is not worth more than its length.
    bytes.truncate(64 * 1024);
    bytes
}

fn mutate(bytes: &mut Vec<u8>, target: &Target, dice: &mut Dice) {
    const BYTES: &[u8] = b"\0\t\n\r \"#'-.0:;=[]{}\x1b\x7f\x80\xc3\xff";
    let from = dice.below(bytes.len() + 1);
    let to = (from + dice.below(12)).min(bytes.len());
    match dice.below(9) {
        0 => bytes.truncate(from),
        1 => drop(bytes.drain(from..to)),
        2 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << dice.below(8);
            }
        }
        3 => bytes.insert(from, BYTES[dice.below(BYTES.len())]),
        4 => drop(bytes.splice(from..to, dice.one_of(target.words).bytes())),
        5 => drop(bytes.splice(from..from, dice.one_of(target.words).bytes())),
        6 => {
            let copy: Vec<u8> = bytes[from..to].repeat(1 + dice.below(40));
            drop(bytes.splice(from..from, copy));
        }
        7 => {
            let other = dice.one_of(target.seeds).as_bytes();
            let start = dice.below(other.len() + 1);
            bytes.truncate(from);
            bytes.extend_from_slice(&other[start..]);
        }
        _ => {
            // A number next to a limit in the place of a number.
            let numbers = [
                "0",
                "-1",
                "255",
                "256",
                "65536",
                "4294967296",
                "18446744073709551616",
            ];
            if let Some(at) = bytes[from..].iter().position(u8::is_ascii_digit) {
                let at = from + at;
                let end = bytes[at..]
                    .iter()
                    .position(|byte| !byte.is_ascii_digit())
                    .map_or(bytes.len(), |length| at + length);
                drop(bytes.splice(at..end, dice.one_of(&numbers).bytes()));
            }
        }
    }
}

/// splitmix64: small, and good enough to wander.
struct Dice(u64);

impl Dice {
    const fn new(seed: u64, iteration: u64) -> Self {
        Self(
            seed.wrapping_mul(0xD134_2543_DE82_EF95)
                ^ iteration.wrapping_mul(0x2545_F491_4F6C_DD1D),
        )
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let drawn = usize::try_from((mixed ^ (mixed >> 31)) >> 33).unwrap_or_default();
        drawn % bound.max(1)
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(self.below(of.len())).copied().unwrap_or_default()
    }
}
