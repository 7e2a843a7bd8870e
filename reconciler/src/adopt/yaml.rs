//! Scalars as people would write them.

/// A scalar that is read as this very text: plain where nothing else could be read of it, quoted otherwise.
pub(super) fn text(text: &str) -> String {
    const OTHERWISE: [&str; 10] = [
        "true", "false", "yes", "no", "on", "off", "null", "y", "n", "rest",
    ];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !OTHERWISE.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // No text of ours holds one.
            _ if c.is_control() => quoted.push(' '),
            _ => quoted.push(c),
        }
    }
    quoted + "\""
}
