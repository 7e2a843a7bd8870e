use super::*;

fn at(source: &str, marked: &str) -> Span {
    let start = source.find(marked).unwrap_or(source.len());
    let before = &source[..start];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Span {
        line,
        column,
        start,
        end: start + marked.len(),
    }
}

fn wrong(at: impl Into<Option<Span>>) -> Diagnostic {
    Diagnostic::error("unknown-class", "rooms/r101.yaml", at, "no class `tüx`")
}

#[test]
fn a_diagnostic_is_rendered_as_rustc_would() {
    let source = "title: Grüße\nclass:\ttüx # Größe\n";
    let cases = [
        (
            render(
                &wrong(at(source, "tüx")).with_hint("did you mean `tux`?"),
                Some(source),
                false,
            ),
            "\
error[unknown-class]: no class `tüx`
 --> rooms/r101.yaml:2:8
  |
2 | class:    tüx # Größe
  |           ^^^
  |
  = help: did you mean `tux`?",
        ),
        (
            render(
                &wrong(at(source, "Grüße\nclass:\ttüx")),
                Some(source),
                false,
            ),
            "\
error[unknown-class]: no class `tüx`
 --> rooms/r101.yaml:1:8
  |
1 | title: Grüße
  |        ^^^^^",
        ),
        (
            render(&wrong(at(source, "at the end")), Some(source), false),
            "\
error[unknown-class]: no class `tüx`
 --> rooms/r101.yaml:3:1
  |
3 |
  | ^",
        ),
        (
            render(&wrong(Span::START), Some(""), false),
            "\
error[unknown-class]: no class `tüx`
 --> rooms/r101.yaml:1:1
  |
1 |
  | ^",
        ),
        (
            render(&wrong(at(source, "tüx")).with_hint("add it"), None, false),
            "\
error[unknown-class]: no class `tüx`
--> rooms/r101.yaml:2:8
 = help: add it",
        ),
        (
            render(
                &Diagnostic::warning("old", "a\u{1b}[31m.yaml", None, "x\ny"),
                None,
                false,
            ),
            "\
warning[old]: x y
--> a\u{fffd}[31m.yaml",
        ),
    ];
    for (rendered, expected) in cases {
        assert_eq!(rendered, expected, "\n{rendered}");
    }
}

#[test]
fn color_adds_nothing_but_escapes() {
    let source = "class: tüx\n";
    let diagnostic = wrong(at(source, "tüx")).with_hint("did you mean `tux`?");
    let colored = render(&diagnostic, Some(source), true);
    assert!(colored.contains('\u{1b}'), "{colored}");
    let mut plain = String::new();
    for (i, part) in colored.split('\u{1b}').enumerate() {
        plain.push_str(if i == 0 {
            part
        } else {
            part.split_once('m').map_or("", |p| p.1)
        });
    }
    assert_eq!(plain, render(&diagnostic, Some(source), false));
}

#[test]
fn a_place_outside_of_the_source_is_no_panic() {
    let source = "ä: [€\n😀";
    for start in 0..source.len() + 3 {
        for end in 0..source.len() + 3 {
            let rendered = render(
                &wrong(Span {
                    line: 1,
                    column: 1,
                    start,
                    end,
                }),
                Some(source),
                true,
            );
            assert!(rendered.contains("unknown-class"));
        }
    }
    let long = "x".repeat(LONGEST_EXCERPT + 1);
    let rendered = render(&wrong(Span::START), Some(&long), false);
    assert_eq!(
        rendered,
        "error[unknown-class]: no class `tüx`\n--> rooms/r101.yaml:1:1"
    );
}

#[test]
fn the_short_forms_are_one_line_and_json() -> Result<(), serde_json::Error> {
    let diagnostic = wrong(Span {
        line: 2,
        column: 8,
        start: 20,
        end: 24,
    })
    .with_hint("a\nb");
    assert_eq!(
        diagnostic.to_string(),
        "rooms/r101.yaml:2:8: error[unknown-class]: no class `tüx`"
    );
    assert_eq!(
        wrong(None).to_string(),
        "rooms/r101.yaml: error[unknown-class]: no class `tüx`"
    );
    assert_eq!(
        serde_json::to_value(&diagnostic)?,
        serde_json::json!({
            "severity": "error",
            "code": "unknown-class",
            "file": "rooms/r101.yaml",
            "at": { "line": 2, "column": 8, "start": 20, "end": 24 },
            "message": "no class `tüx`",
            "hint": "a\nb",
        })
    );
    Ok(())
}

#[test]
fn a_suggestion_is_near_or_none() {
    let candidates = [
        "os",
        "vm",
        "host",
        "hardware-class",
        "on_at_once",
        "reset",
        "Größe",
    ];
    let cases = [
        ("hardwareclass", Some("hardware-class")),
        ("hardware_class", Some("hardware-class")),
        ("HARDWARE CLASS", Some("hardware-class")),
        ("hardwar-clas", Some("hardware-class")),
        ("onAtOnce", Some("on_at_once")),
        ("OS", Some("os")),
        ("on", None),
        ("hots", Some("host")),
        ("hosts", Some("host")),
        ("rest", Some("reset")),
        ("rset", Some("reset")),
        ("Grösse", Some("Größe")),
        ("class", None),
        ("", None),
        ("-", None),
    ];
    for (word, expected) in cases {
        assert_eq!(suggest(word, candidates), expected, "{word}");
    }
    assert_eq!(suggest(&"x".repeat(100_000), candidates), None);
}
