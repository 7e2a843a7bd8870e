#![expect(clippy::print_stdout, reason = "scratch")]
use super::*;
use crate::diagnostic::render;
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        {
            Ok(Self(text))
        } else {
            Err(format!(
                "`{text}` is no name: lower-case letters, digits, `-` and `.`"
            ))
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Power {
    wake_per_minute: At<u8>,
    #[serde(default)]
    on_at_once: At<u16>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Download {
    Torrent,
    Multicast,
    Rsync(At<Name>),
    Vm { id: At<u32> },
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Room {
    hardware_class: At<Name>,
    #[serde(default)]
    title: At<String>,
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
}

#[test]
fn scratch() {
    for yaml in [
        "title: no\n",
        "hardware_class: Übel\ntitle: \"äöü\tü\"\nvlan: 010\n",
        "hardware_class: [a]\npower:\n  wake_per_minut: 5\n  foo: 1\n",
        "hardware_class:\ntitle: ~\nvlan: null\nautostart: yes\n",
        "hardware_class: a\nautostart: 'true'\nvlan: 1_000\nshare: 1e3\n",
        "hardware_class: a\nautostart: True\nvlan: 0x1F\nshare: .5\n",
        "hardware_class: a\nautostart: 1\nvlan: 40000\nshare: '1.5'\n",
        "hardware_class: a\ndownload: torent\n",
        "hardware_class: a\ndownload: xyz\n",
        "hardware_class: a\ndownload: rsync\n",
        "hardware_class: a\ndownload: {torrent: 1}\n",
        "hardware_class: a\ndownload: {rsync: A B}\n",
        "hardware_class: a\ndownload: {vm: {idd: 5}}\n",
        "hardware_class: a\ndownload: {vm: {id: 5}, rsync: x}\n",
        "hardware_class: a\ndownload: []\n",
        "hardware_class: a\ndownload:\n",
        "hardware_class: a\nhosts: [a, B, c, , D]\n",
        "hardware_class: a\nhosts: a\nreset: B\n",
        "hardware_class: a\nhosts:\n- x: 1\n-\n- [c]\nreset: [a, B]\n",
        "hardware_class: a\nversions:\n  2026.1: {wake_per_minute: 5}\n  No: 5\n  b: {on_at_once: -1}\n",
        "hardware_class: a\nhardware_class: b\ntitle: x\ntitle: y\ntitle: z\nfoo: 3\n",
        "- a\n- b\n",
        "text\n",
        "",
        "# only\n",
        "---\n",
        "{}\n",
        "~\n",
        "\u{feff}hardware_class: ü\n",
        "hardware_class: a\n---\nb: 1\n",
        "hardware_class: a\n...\n",
        "hardware_class: !foo a\n",
        "hardware_class: !!str 5\n",
        "x: &a {wake_per_minute: 1}\nhardware_class: a\npower:\n  <<: *a\n",
        "hardware_class: &x a\ntitle: *x\n",
        "hardware_class: &x [*x]\n",
        "hardware_class: *nix\n",
        "hardware_class: a\n\ttitle: b\n",
        "power:\n\twake_per_minute: 5\n",
        "hardware_class: \"abc\ntitle: x\n",
        "hardware_class: 'it''s' x\n",
        "hosts: [a, b\ntitle: x\n",
        "hosts: a]\n",
        "hosts: [a}\n",
        "title: a: b\n",
        "title: @a\n",
        "title: `a`\n",
        "title: %a\n",
        "%YAML 1.2\n---\na: 1\n",
        "hardware_class a\ntitle: b\n",
        "hardware_class: a\n title: b\n",
        "power:\n    wake_per_minute: 1\n  on_at_once: 1\n",
        "title: \"a\\q\"\n",
        "hosts:\n - a\n- b\n",
        "? [a]\n: b\n",
        ": b\n",
        "~: b\n",
        "title: |\n  a\n  b\nhardware_class: |\n  A\n  B\n",
        "hardware_class: a   # comment\ntitle: a\n  b\n",
        "hardware_class: a\r\ntitle: [\r\n",
        "\0",
        "a: \u{1b}[31mred\n",
    ] {
        println!("################ {yaml:?}");
        let (doc, diagnostics) = text::<Room>("rooms/r.yaml", yaml);
        for d in &diagnostics {
            println!("{}\n", render(d, Some(yaml), false));
        }
        if diagnostics.is_empty() {
            println!("{doc:?}");
        }
    }
}
