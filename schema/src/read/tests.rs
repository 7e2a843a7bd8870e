#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use proptest::prelude::*;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::diagnostic::render;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
        match text.bytes().all(allowed) {
            true => Ok(Self(text)),
            false => Err(format!("`{text}` is no name\nuse a to z")),
        }
    }
}

/// How many hosts.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Power {
    wake_per_minute: At<u8>,
    #[serde(default)]
    on_at_once: At<u16>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Download {
    Torrent,
    Multicast,
    Rsync(At<Name>),
    Vm { id: At<u32> },
}

/// Without an `At` inside.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
struct Strict {
    host: Name,
    port: u16,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Room {
    class: At<Name>,
    #[serde(default)]
    title: At<String>,
    note: Option<At<String>>,
    #[serde(default)]
    power: At<Power>,
    #[serde(default)]
    autostart: At<bool>,
    #[serde(default)]
    vlan: At<i16>,
    #[serde(default)]
    share: At<f64>,
    #[serde(default)]
    download: At<Download>,
    #[serde(default)]
    hosts: At<Vec<At<Name>>>,
    #[serde(default)]
    reset: At<OneOrMany<Name>>,
    #[serde(default)]
    versions: At<Map<Name, Power>>,
    #[serde(default)]
    smtp: At<Strict>,
}

fn found(yaml: &str) -> Vec<String> {
    let (_, diagnostics) = text::<Room>("f", yaml);
    let line = |d: &Diagnostic| match &d.hint {
        Some(hint) => format!("{d} | {hint}"),
        None => d.to_string(),
    };
    let lines = diagnostics.iter().map(line);
    lines
        .map(|line| line.strip_prefix("f:").unwrap().replacen("error", "", 1))
        .collect()
}

#[test]
fn all_of_a_file_is_found_in_one_run() {
    let yaml = "\
titel: Raum
class: Übel
power:
\twake: 1
";
    assert_eq!(
        found(yaml),
        ["4:1: [syntax]: a tab is used for indentation | YAML is indented with spaces only"]
    );
    let yaml = "\
titel: Raum
clas: Übel
power:
  wake_per_minut: 5
  on_at_once: 010
hosts: [a, B, [], c]
versions:
  X: {wake_per_minute: 300}
  y: 5
title: a
title: b
reset: C
foo: 1
";
    let (room, diagnostics) = text::<Room>("rooms/r101.yaml", yaml);
    let rendered: Vec<String> = diagnostics
        .iter()
        .map(|d| render(d, Some(yaml), false))
        .collect();
    assert_eq!(
        rendered.join("\n\n"),
        include_str!("tests/all.txt").trim_end()
    );
    let room = room.unwrap();
    assert_eq!(room.title.get(), Some(&"a".into()));
    assert!(room.class.is_absent());
    assert_eq!(room.power.get().unwrap().on_at_once.get(), None);
    let hosts: Vec<_> = room
        .hosts
        .get()
        .unwrap()
        .iter()
        .map(|host| host.get().is_some())
        .collect();
    assert_eq!(hosts, [true, false, false, true]);
}

#[test]
fn values_are_read_as_typed_and_know_their_place() {
    let yaml = "\
class: 1.10
title: no
note: ''
power: {wake_per_minute: 0}
autostart: false
vlan: -32768
share: 0.5
download: {rsync: 01:02:03}
hosts: [on, 010]
reset: 12:30:00
versions: {2026.11.1: {wake_per_minute: 5, on_at_once: 65535}}
smtp: {host: localhost, port: 25}
";
    let (room, diagnostics) = text::<Room>("f", yaml);
    assert_eq!(diagnostics, []);
    let room = room.unwrap();
    let name = |text: &str| At::new(Name(text.into()));
    let power = |wake: u8| Power {
        wake_per_minute: wake.into(),
        on_at_once: At::default(),
    };
    let most = Power {
        on_at_once: 65535.into(),
        ..power(5)
    };
    let versions: Map<_, _> = [(name("2026.11.1"), At::new(most))].into_iter().collect();
    assert_eq!(
        room,
        Room {
            class: name("1.10"),
            title: At::new("no".into()),
            note: Some(At::new(String::new())),
            power: power(0).into(),
            autostart: false.into(),
            vlan: (-32768).into(),
            share: 0.5.into(),
            download: Download::Rsync(name("01:02:03")).into(),
            hosts: vec![name("on"), name("010")].into(),
            reset: OneOrMany::from_iter([name("12:30:00")]).into(),
            versions: versions.into(),
            smtp: Strict {
                host: Name("localhost".into()),
                port: 25
            }
            .into(),
        }
    );
    let place = |span: Option<Span>| span.map(|span| (span.line, span.column, &yaml[span.range()]));
    assert_eq!(place(room.class.span()), Some((1, 8, "1.10")));
    assert_eq!(place(room.hosts.span()), Some((9, 8, "[on, 010]")));
    assert_eq!(
        place(room.hosts.get().unwrap()[1].span()),
        Some((9, 13, "010"))
    );
    assert_eq!(
        place(room.reset.get().unwrap().iter().next().unwrap().span()),
        Some((10, 8, "12:30:00"))
    );
    let versions = room.versions.get().unwrap();
    let (version, power) = versions.iter().next().unwrap();
    assert_eq!(place(version.span()), Some((11, 12, "2026.11.1")));
    assert_eq!(
        place(power.get().unwrap().on_at_once.span()),
        Some((11, 56, "65535"))
    );
    assert_eq!(versions.get(&Name("2026.11.1".into())), Some(power));
}

#[test]
fn each_wrong_value_says_what_to_write() {
    let number = "[invalid-number]: expected a whole number, found";
    let truth = "[invalid-bool]: expected `true` or `false`, found";
    let choice = "expected `torrent`, `multicast`, `rsync` or `vm`, found";
    let empty = "[empty-value]: a value is missing here | give it a value, or remove it";
    let cases = [
        ("vlan: 010", format!("7: {number} text `010` | write `10`")),
        ("vlan: 1_000", format!("7: {number} text `1_000` | write `1000`")),
        ("vlan: 0x1F", format!("7: {number} text `0x1F` | write `31`")),
        ("vlan: 0o17", format!("7: {number} text `0o17` | write `15`")),
        ("vlan: 1e3", format!("7: {number} text `1e3` | write `1000`")),
        ("vlan: +5", format!("7: {number} text `+5` | write `5`")),
        ("vlan: '5'", format!("7: {number} quoted text `5` | write `5`, without quotes")),
        ("vlan: 5.0", format!("7: {number} text `5.0`")),
        ("vlan: -0", format!("7: {number} text `-0` | write `0`")),
        ("vlan: ten", format!("7: {number} text `ten`")),
        ("vlan: 12:30", format!("7: {number} text `12:30`")),
        ("vlan: 1e99999999999", format!("7: {number} text `1e99999999999`")),
        ("vlan: [5]", "7: [wrong-kind]: expected a whole number, found a list".into()),
        ("vlan: 40000", "7: [invalid-number]: the number `40000` is out of range | -32768 to 32767 are possible".into()),
        ("share: .5", "8: [invalid-number]: expected a number, found text `.5` | write `0.5`".into()),
        ("share: 1e3", "8: [invalid-number]: expected a number, found text `1e3` | write `1000`".into()),
        ("share: '1.5'", "8: [invalid-number]: expected a number, found quoted text `1.5` | write `1.5`, without quotes".into()),
        ("share: .inf", "8: [invalid-number]: expected a number, found text `.inf`".into()),
        ("share: nan", "8: [invalid-number]: expected a number, found text `nan`".into()),
        ("autostart: yes", format!("12: {truth} text `yes` | write `true`")),
        ("autostart: off", format!("12: {truth} text `off` | write `false`")),
        ("autostart: True", format!("12: {truth} text `True` | write `true`")),
        ("autostart: 'true'", format!("12: {truth} quoted text `true` | write `true`, without quotes")),
        ("autostart: 1", format!("12: {truth} text `1`")),
        ("autostart: {}", "12: [wrong-kind]: expected `true` or `false`, found a mapping".into()),
        ("title:", format!("1: {empty}")),
        ("title: ~", format!("1: {empty}; if `~` is meant as text, put it in quotes")),
        ("title: null", format!("1: {empty}; if `null` is meant as text, put it in quotes")),
        ("note:", format!("1: {empty}")),
        ("power:", format!("1: {empty}")),
        ("download:", format!("1: {empty}")),
        ("reset:", format!("1: {empty}")),
        ("hosts: [a, ~]", format!("12: {empty}; if `~` is meant as text, put it in quotes")),
        ("title: [a]", "8: [wrong-kind]: expected text, found a list".into()),
        ("title: {a: b}", "8: [wrong-kind]: expected text, found a mapping".into()),
        ("hosts: a", "8: [wrong-kind]: expected a list, found text `a`".into()),
        ("versions: [a]", "11: [wrong-kind]: expected a mapping (lines of `key: value`), found a list".into()),
        ("power: 5", "8: [wrong-kind]: expected a mapping (lines of `key: value`), found text `5` | the keys here are `wake_per_minute` and `on_at_once`".into()),
        ("power: {}", "1: [missing-key]: missing key `wake_per_minute`".into()),
        ("reset: [a, A]", "12: [invalid-value]: `A` is no name | use a to z".into()),
        ("reset: A", "8: [invalid-value]: `A` is no name | use a to z".into()),
        ("versions: {A: {wake_per_minute: 1}}", "12: [invalid-value]: `A` is no name | use a to z".into()),
        ("download: torent", format!("11: [unknown-word]: {choice} `torent` | did you mean `torrent`?")),
        ("download: TORRENT", format!("11: [unknown-word]: {choice} `TORRENT` | did you mean `torrent`?")),
        ("download: ftp", format!("11: [unknown-word]: {choice} `ftp`")),
        ("download: {ftp: 1}", format!("12: [unknown-word]: {choice} `ftp`")),
        ("download: []", format!("11: [wrong-kind]: {choice} a list")),
        ("download: {}", format!("11: [wrong-kind]: {choice} a mapping")),
        ("download: rsync", "11: [wrong-kind]: `rsync` needs a value | write `rsync: …`".into()),
        ("download: {torrent: 1}", "12: [wrong-kind]: `torrent` takes no value | write only `torrent`".into()),
        ("download: {rsync: A}", "19: [invalid-value]: `A` is no name | use a to z".into()),
        ("download: {vm: {idd: 1, id: 2}}", "17: [unknown-key]: unknown key `idd` | did you mean `id`?".into()),
        ("download: {vm: {}}", "12: [missing-key]: missing key `id`".into()),
        ("download: {vm: {id: 1}, rsync: a}", "11: [wrong-kind]: expected only one of `torrent`, `multicast`, `rsync` or `vm`, found 2 keys".into()),
        ("smtp: {host: a}", "1: [missing-key]: missing key `port`".into()),
        ("smtp: {host: A, port: x}", "14: [invalid-value]: `A` is no name | use a to z".into()),
        ("smtp: {host: a, port: 1, tls: true}", "26: [unknown-key]: unknown key `tls` | the keys here are `host` and `port`".into()),
        ("Title: a", "1: [unknown-key]: unknown key `Title` | did you mean `title`?".into()),
    ];
    for (yaml, expected) in cases {
        assert_eq!(
            found(&format!("class: a\n{yaml}\n")),
            [format!("2:{expected}")],
            "{yaml}"
        );
    }
}

#[test]
fn a_document_of_the_wrong_kind_or_without_content_says_so() {
    let keys = "the keys here are `host` and `port`";
    let cases = [
        ("", "1:1: [empty-file]: this file has no content | write `{}` if everything is to have its default".into()),
        ("# x\n", "1:1: [empty-file]: this file has no content | write `{}` if everything is to have its default".into()),
        ("- a\n", format!("1:1: [wrong-kind]: expected a mapping (lines of `key: value`), found a list | {keys}")),
        ("a\n", format!("1:1: [wrong-kind]: expected a mapping (lines of `key: value`), found text `a` | {keys}")),
        ("{}\n", "1:1: [missing-key]: missing key `host`".into()),
    ];
    for (yaml, expected) in cases {
        let (document, diagnostics) = text::<Strict>("f", yaml);
        assert_eq!(document, None);
        let [diagnostic] = &diagnostics[..] else {
            panic!("{diagnostics:?}")
        };
        let hint = diagnostic
            .hint
            .as_ref()
            .map_or(String::new(), |hint| format!(" | {hint}"));
        assert_eq!(
            format!("{diagnostic}{hint}").replacen("error", "", 1),
            format!("f:{expected}")
        );
    }
}

#[test]
fn the_schema_is_that_of_the_values() {
    let schema = schema_for!(Room).to_value();
    let name = json!({ "$ref": "#/$defs/Name" });
    let properties = &schema["properties"];
    assert_eq!(schema["required"], json!(["class"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(properties["class"], name);
    assert_eq!(properties["title"], json!({ "type": "string" }));
    assert_eq!(
        properties["hosts"],
        json!({ "type": "array", "items": name })
    );
    assert_eq!(
        properties["reset"],
        json!({ "anyOf": [name, { "type": "array", "items": name }] })
    );
    assert_eq!(
        properties["versions"]["additionalProperties"],
        json!({ "$ref": "#/$defs/Power" })
    );
    assert_eq!(
        schema["$defs"]["Power"]["description"],
        json!("How many hosts.")
    );
}

#[test]
fn an_at_is_transparent_to_other_formats() {
    let room: Room =
        serde_json::from_value(json!({ "class": "a", "hosts": ["b"], "vlan": 5 })).unwrap();
    assert_eq!((room.vlan.get(), room.vlan.span()), (Some(&5), None));
    let error = serde_json::from_value::<Room>(json!({ "class": "A" })).unwrap_err();
    assert_eq!(error.to_string(), "`A` is no name\nuse a to z");
    let error = serde_json::from_value::<Room>(json!({})).unwrap_err();
    assert_eq!(error.to_string(), "missing field `class`");
}

#[test]
fn threads_and_panics_do_not_mix_up_files() {
    #[derive(Debug)]
    struct Panics;

    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("on purpose")
        }
    }

    std::thread::scope(|threads| {
        for i in 0..4 {
            threads.spawn(move || {
                for j in 0..50 {
                    let file = format!("{i}-{j}.yaml");
                    let (_, diagnostics) = text::<Room>(&file, "class: A\nvlan: x\n");
                    let files: Vec<&str> = diagnostics.iter().map(|d| d.file.as_str()).collect();
                    assert_eq!(files, [&file, &file]);
                    let panicked =
                        std::panic::catch_unwind(|| text::<At<Vec<At<Panics>>>>("p", "[a]"));
                    assert!(panicked.is_err());
                }
            });
        }
    });
}

const VALID: &str = "\
class: lab # Größe
power: {wake_per_minute: 5, on_at_once: 40}
autostart: true
download:
  vm: {id: 5}
hosts:
  - r101-pc01
  - &last r101-pc02
reset: [*last, 'x']
versions:
  2026.1:
    wake_per_minute: 7
";

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_document_panics(
        edits in prop::collection::vec((0..VALID.len(), 0..12usize, "[a-c:\\[\\]{}\\-\\n\t '\"&*!|~0-9ä]{0,4}"), 1..6),
    ) {
        let mut yaml = VALID.to_owned();
        for (place, length, insert) in edits {
            let boundary = |i: usize| (0..=i.min(yaml.len())).rev().find(|i| yaml.is_char_boundary(*i)).unwrap();
            let range = boundary(place)..boundary(place + length);
            yaml.replace_range(range, &insert);
        }
        let (document, diagnostics) = text::<Room>("f", &yaml);
        prop_assert!(document.is_some() || !diagnostics.is_empty());
        let starts: Vec<usize> = diagnostics.iter().map(|d| d.at.unwrap().start).collect();
        prop_assert!(starts.is_sorted());
        for diagnostic in &diagnostics {
            prop_assert!(yaml.get(diagnostic.at.unwrap().range()).is_some());
            prop_assert!(render(diagnostic, Some(&yaml), true).contains(diagnostic.code));
        }
    }
}

#[test]
fn the_document_that_is_mutated_is_valid() {
    assert_eq!(found(VALID), [""; 0]);
}
