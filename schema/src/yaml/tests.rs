#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::diagnostic::render;

fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics
        .iter()
        .map(|d| {
            let hint = d
                .hint
                .as_ref()
                .map_or(String::new(), |hint| format!(" | {hint}"));
            format!("{d}{hint}")
                .replacen("f: error[", "[", 1)
                .replacen("f:", "", 1)
        })
        .collect()
}

#[test]
fn scalars_are_what_was_typed() {
    let same = [
        "no",
        "on",
        "y",
        "True",
        "1_000",
        "010",
        "0o10",
        "0x1F",
        "1e3",
        "1.10",
        "+1",
        ".5",
        ".inf",
        "2026-11-22",
        "12:30:00",
        "01:02:03:04:05:06",
        "sha256:9f",
        "~",
        "null",
        "-1",
        "a#b",
        "äöü €",
        "a-b c",
        "=",
    ];
    for typed in same {
        let text = format!("k: {typed}   # why\n");
        let node = parse("f", &text).unwrap().unwrap();
        let value = &node.get("k").unwrap().value;
        assert_eq!(
            value.value,
            Value::Scalar(Scalar {
                text: typed.into(),
                plain: true
            }),
            "{text}"
        );
        assert_eq!(text.get(value.span.range()), Some(typed), "{text}");
    }
    let made = [
        ("k: 'it''s'", "it's", "'it''s'"),
        ("k: \"a\\tb\\u00e4\"", "a\tbä", "\"a\\tb\\u00e4\""),
        ("k: ''", "", "''"),
        ("k: 'no'", "no", "'no'"),
    ];
    for (text, expected, span) in made {
        let node = parse("f", text).unwrap().unwrap();
        let value = &node.get("k").unwrap().value;
        let scalar = Scalar {
            text: expected.into(),
            plain: false,
        };
        assert_eq!(value.value, Value::Scalar(scalar), "{text}");
        assert_eq!(text.get(value.span.range()), Some(span), "{text}");
    }
    for (text, expected) in [("k: |\n  a\n  b\n", "a\nb\n"), ("k: >-\n  a\n  b\n", "a b")] {
        let node = parse("f", text).unwrap().unwrap();
        let scalar = Scalar {
            text: expected.into(),
            plain: false,
        };
        assert_eq!(
            node.get("k").unwrap().value.value,
            Value::Scalar(scalar),
            "{text}"
        );
    }
}

#[test]
fn places_are_exact() {
    let text = "ä: [x, {b: c}]\nlist:\n  - one\n  - k: v\n    l: w\nalias: &a q\nused: *a\n";
    let node = parse("f", text).unwrap().unwrap();
    let Value::Mapping(entries) = &node.value else {
        panic!("{node:?}")
    };
    let found: Vec<_> = entries
        .iter()
        .map(|Entry { key, value }| {
            let part = |span: Span| text.get(span.range()).unwrap();
            (
                part(key.span),
                (value.span.line, value.span.column),
                part(value.span),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("ä", (1, 4), "[x, {b: c}]"),
            ("list", (3, 3), "- one\n  - k: v\n    l: w"),
            ("alias", (6, 11), "q"),
            ("used", (7, 7), "*a"),
        ]
    );
}

#[test]
fn an_empty_document_is_nothing() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "--- # x\n...\n",
        "~\n",
        "\u{feff}",
    ] {
        assert_eq!(parse("f", text), Ok(None), "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_said_where_it_is() {
    let quoting = "text with `: ` or ` #` in it, or beginning with one of \
         `[ ] { } & * ! | > @ %` or a quote or backquote, must be put in quotes";
    let columns = "keys of one mapping, and the `-` of one list, begin in the same column";
    let unfit = "this `key: value` does not fit the line above | perhaps its indentation is wrong, \
         or the line above lacks a `:` after its key, or a closing bracket";
    let spaces = "a tab is used for indentation | YAML is indented with spaces only";
    let cases: &[(&str, &[String])] = &[
        ("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\na: 4\n", &[
            "3:1: error[duplicate-key]: the key `a` is given twice, first in line 1 | remove one of the two".into(),
            "4:11: error[duplicate-key]: the key `d` is given twice, first in line 4 | remove one of the two".into(),
            "5:1: error[duplicate-key]: the key `a` is given twice, first in line 1 | remove one of the two".into(),
        ]),
        ("a: 1\n\tb: 2\n", &[format!("2:1: error[syntax]: {spaces}")]),
        ("a:\n\tb: 2\n", &[format!("2:1: error[syntax]: {spaces}")]),
        ("a:\n  b: 1\n  \tc: 2\n", &[format!("3:3: error[syntax]: {spaces}")]),
        ("a: \"b\nc: d\n", &["1:4: error[syntax]: this quoted text is never closed | add the closing quote".into()]),
        ("a: 'b\n", &["1:4: error[syntax]: this quoted text is never closed | add the closing quote".into()]),
        ("a: 'b' c\n", &["1:8: error[syntax]: something follows the closing quote | put the quotes around the whole value; inside '…' a quote is written ''".into()]),
        ("a: [b, c\n", &["1:4: error[syntax]: the bracket `[` is never closed".into()]),
        ("a: [b, c\nd: e\n", &[format!("2:2: error[syntax]: {unfit}")]),
        ("a: [b}\n", &["1:4: error[syntax]: the bracket `[` is closed by `}`".into()]),
        ("a: [b, , c]\n", &["1:8: error[syntax]: a value is missing before this comma".into()]),
        ("a: b: c\n", &[format!("1:5: error[syntax]: a second `: ` in the same line | {quoting}")]),
        ("a b\nc: d\n", &[format!("2:2: error[syntax]: {unfit}")]),
        ("a: b\n c: d\n", &[format!("2:3: error[syntax]: {unfit}")]),
        ("a:\n    b: 1\n  c: 2\n", &[format!("3:3: error[syntax]: the indentation of this line does not fit the lines above | {columns}")]),
        ("a: @b\n", &[format!("1:4: error[syntax]: text cannot begin with `@` | {quoting}")]),
        ("a: `b`\n", &[format!("1:4: error[syntax]: text cannot begin with a backquote | {quoting}")]),
        ("a: \u{1b}[31m\n", &["1:4: error[syntax]: the control character U+001B stands here | remove it".into()]),
        ("a: *b\n", &["1:4: error[syntax]: the alias `*b` refers to nothing above it | text that begins with `*` must be put in quotes".into()]),
        ("a: &b [*b]\n", &["1:8: error[syntax]: this alias stands inside the value that it refers to | write the value out".into()]),
        ("a: !x b\nc: !!str 5\n", &[
            "1:4: error[unsupported-tag]: tags (`!…`) are not used here | remove the tag; put the value in quotes if it has to begin with `!`".into(),
            "2:4: error[unsupported-tag]: tags (`!…`) are not used here | remove the tag; put the value in quotes if it has to begin with `!`".into(),
        ]),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", &["3:3: error[merge-key]: merge keys (`<<`) are not used here | write the keys out".into()]),
        ("[a]: b\n? {c: d}\n: e\n", &[
            "1:1: error[syntax]: a key has to be text, not a list or a mapping | text that begins with `[` or `{` must be put in quotes".into(),
            "2:3: error[syntax]: a key has to be text, not a list or a mapping | text that begins with `[` or `{` must be put in quotes".into(),
        ]),
        (": b\n", &["1:1: error[syntax]: a key is missing | write `key: value`; if `~` or `null` is meant as a name, put it in quotes".into()]),
        ("a: 1\n---\nb: 2\n---\nc: 3\n", &["2:1: error[several-documents]: a second document begins here | one file holds one document: move what follows into another one".into()]),
        ("%YAML 1.2\n---\na: 1\n", &["1:1: error[syntax]: directives (`%…`) are not used here | remove this line".into()]),
    ];
    for (text, expected) in cases {
        let diagnostics = parse("f", text).unwrap_err();
        assert_eq!(lines(&diagnostics), *expected, "{text}");
    }
}

#[test]
fn what_is_refused_is_left_out_and_the_rest_is_there() {
    let text = "a: 1\na: 2\n<<: {x: y}\nb: !t 3\n---\nc: 4\n";
    let Parsed { node, diagnostics } = parse_within("f", text, Budget::default());
    assert_eq!(diagnostics.len(), 4, "{diagnostics:?}");
    let Some(Value::Mapping(entries)) = node.map(|node| node.value) else {
        panic!("no mapping")
    };
    let keys: Vec<&str> = entries
        .iter()
        .map(|entry| entry.key.scalar.text.as_str())
        .collect();
    assert_eq!(keys, ["a", "b"]);
    let one = Scalar {
        text: "1".into(),
        plain: true,
    };
    assert_eq!(entries[0].value.value, Value::Scalar(one));
}

#[test]
fn many_keys_are_compared_as_few_are() {
    for count in [2, 16, 17, 40] {
        let keys: String = (0..count).map(|i| format!("k{i}: {i}\n")).collect();
        let parsed = parse_within("f", &format!("{keys}k1: x\n{keys}"), Budget::default());
        let lines: Vec<usize> = parsed
            .diagnostics
            .iter()
            .map(|d| d.at.unwrap().line)
            .collect();
        assert_eq!(lines, (count + 1..=2 * count + 1).collect::<Vec<_>>());
        assert!(
            parsed.diagnostics[0]
                .message
                .ends_with("`k1` is given twice, first in line 2")
        );
        let once = parse("f", &keys).unwrap();
        assert_eq!(
            parsed.node.map(|node| node.value),
            once.map(|node| node.value)
        );
    }
}

#[test]
fn of_endless_problems_a_thousand_are_shown() {
    let Parsed { node, diagnostics } =
        parse_within("f", &"a: 1\n".repeat(5_000), Budget::default());
    assert!(node.is_some());
    assert_eq!(diagnostics.len(), 1001);
    assert_eq!(
        diagnostics[1000].to_string(),
        "f: error[too-many-problems]: 3999 further problems of this file are not shown"
    );
}

#[test]
fn bombs_are_refused_fast() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for i in 1..12 {
        let uses = vec![format!("*a{}", i - 1); 9].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{uses}]\n"));
    }
    let long_text = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(100)
    );
    let mut chain = String::from("a0: &a0 [x]\n");
    for i in 1..100 {
        chain.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    let repeat = "the anchors and aliases of this file repeat too much";
    let deep = "lists and mappings are nested too deeply here";
    let cases = [
        (laughs, repeat),
        (long_text, repeat),
        (chain, deep),
        ("[".repeat(20_000), deep),
        ("{a: ".repeat(20_000), deep),
        ("- ".repeat(20_000), deep),
        (
            (0..5_000)
                .map(|i| format!("{}a:\n", " ".repeat(i)))
                .collect(),
            "this file has 12512500 bytes; at most 4194304 are read",
        ),
        (
            (0..500).map(|i| format!("{}a:\n", " ".repeat(i))).collect(),
            deep,
        ),
        (
            "[&b ".repeat(60) + &"xxxxxxxx, ".repeat(50_000) + &"]".repeat(60),
            repeat,
        ),
    ];
    for (text, expected) in cases {
        let begin = Instant::now();
        let diagnostics = parse("f", &text).unwrap_err();
        let start = text.get(..40).unwrap_or_default();
        assert_eq!(diagnostics.len(), 1, "{start}: {diagnostics:?}");
        assert_eq!(
            (diagnostics[0].code, diagnostics[0].message.as_str()),
            ("too-large", expected),
            "{start}"
        );
        assert!(render(&diagnostics[0], Some(&text), false).contains(expected));
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "{start}: {:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn an_ordinary_file_of_two_megabytes_is_read() {
    let mut text = String::new();
    for i in 0..30_000 {
        text.push_str(&format!("host-{i}:\n  class: ubuntu-lab # {}\n  ip: [10.0.0.1, 10.0.0.2]\n  mac: 01:02:03:04:05:06\n", "x".repeat(10)));
    }
    assert!(text.len() > 2_000_000);
    let node = parse("f", &text).unwrap().unwrap();
    assert_eq!(
        node.get("host-29999").unwrap().key.span.line,
        4 * 29_999 + 1
    );
}

/// Pieces of which texts are made that are nearly YAML.
const PIECES: &[&str] = &[
    "a", "b", "x1", ": ", ":", "- ", "-", "\n", "\n", "\n  ", "\n    ", "\t", " ", "[", "]", "{",
    "}", ", ", "&a ", "*a", "!t ", "|\n", ">-\n", "'", "\"", "%", "@", "`", "? ", "# ", "~",
    "<<: ", "---\n", "...\n", "ä", "€", "😀", "\r", "\r\n", "\u{feff}", "\u{2028}", "\u{85}", "\0",
    "\u{1b}", "\\", "null", "\\u00", "\u{202e}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        let parsed = parse_within("f", &text, Budget::default());
        for diagnostic in &parsed.diagnostics {
            let at = diagnostic.at.unwrap();
            prop_assert!(text.get(at.range()).is_some(), "{at:?} in {text:?}");
            prop_assert!(!render(diagnostic, Some(&text), false).is_empty());
        }
        let again = parse("f", &text);
        prop_assert_eq!(again.is_ok(), parsed.diagnostics.is_empty());
    }
}
