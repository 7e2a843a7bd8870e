//! Whether a `start.conf` that somebody wrote says the same as one of ours.

use std::collections::BTreeSet;

use schema::units::Bytes;

use super::read::{Section, StartConf};
use super::{LINBO_DEFAULTS, OS_DEFAULTS, download_type_of};

/// What a file says otherwise than a text of ours, each in a line for people; nothing where LINBO, the import and the
/// boot menu make the same of both. A key that is missing or empty has the value that ours writes by default.
#[must_use]
pub fn differences(file: &[u8], ours: &str) -> Vec<String> {
    let (file, ours) = (StartConf::parse(file), StartConf::parse(ours.as_bytes()));
    let problems = file.problems.iter();
    let mut found: Vec<String> = problems
        .map(|problem| format!("line {}: {}", problem.line, problem.message))
        .collect();
    // Which firmware a class has is read by a tool of the server alone, and guessed by most files.
    let unsaid: Vec<(&str, Option<&str>)> = LINBO_DEFAULTS
        .iter()
        .map(|(key, value)| (*key, Some(*value)))
        .chain([("SystemType", None)])
        .collect();
    compare("[LINBO]", &file.linbo, &ours.linbo, &unsaid, &mut found);
    let of_partition = [("Bootable", Some("no"))];
    let of_os: Vec<(&str, Option<&str>)> = OS_DEFAULTS
        .iter()
        .map(|(key, value)| (*key, Some(*value)))
        .chain([("Description", None), ("Boot", None)])
        .collect();
    let kinds = [
        (
            "[Partition]",
            &file.partitions,
            &ours.partitions,
            &of_partition[..],
        ),
        ("[OS]", &file.os, &ours.os, &of_os[..]),
    ];
    for (name, file, ours, unsaid) in kinds {
        if file.len() != ours.len() {
            found.push(format!(
                "{} {name} sections instead of {}",
                file.len(),
                ours.len()
            ));
            continue;
        }
        for (number, (file, ours)) in file.iter().zip(ours).enumerate() {
            let name = format!("{name} {}", number + 1);
            compare(&name, file, ours, unsaid, &mut found);
        }
    }
    found
}

/// Compares two sections; `unsaid` are keys that may be missing where ours have this value, or any.
fn compare(
    name: &str,
    file: &Section,
    ours: &Section,
    unsaid: &[(&str, Option<&str>)],
    found: &mut Vec<String>,
) {
    let keys = file.iter().chain(ours.iter()).map(|(key, _)| key);
    let mut seen = BTreeSet::new();
    for key in keys.filter(|key| seen.insert(key.to_ascii_lowercase())) {
        let theirs = file.get(key).unwrap_or_default();
        let wanted = ours.get(key).unwrap_or_default();
        let may_be_missing = || {
            let mut unsaid = unsaid.iter();
            let known = unsaid.find(|(known, _)| known.eq_ignore_ascii_case(key));
            known.is_some_and(|(_, value)| value.is_none_or(|value| value == wanted))
        };
        if !(mean_the_same(key, theirs, wanted) || (theirs.is_empty() && may_be_missing())) {
            found.push(format!("{name} {key} = {theirs}"));
        }
    }
}

fn mean_the_same(key: &str, one: &str, other: &str) -> bool {
    let is_yes_or_no = |text: &str| {
        ["yes", "no"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
    };
    match key.to_ascii_lowercase().as_str() {
        "size" => one == other || size_of(one).is_some_and(|size| size_of(other) == Some(size)),
        "id" => one.eq_ignore_ascii_case(other),
        "downloadtype" => download_type_of(Some(one)) == download_type_of(Some(other)),
        _ if is_yes_or_no(one) => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

/// How large a partition is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// What is left of the disk.
    Rest,
    /// So much.
    Of(Bytes),
}

/// The size of a partition as LINBO reads it: `30G`, `512M`, or a bare number of KiB. None when it is no size.
#[must_use]
pub fn size_of(text: &str) -> Option<Size> {
    if text.is_empty() {
        return Some(Size::Rest);
    }
    let (number, shift) = match text.as_bytes().last() {
        Some(b'T') => (text.strip_suffix('T'), 40),
        Some(b'G') => (text.strip_suffix('G'), 30),
        Some(b'M') => (text.strip_suffix('M'), 20),
        _ => (Some(text), 10),
    };
    let number = number?.trim().parse::<u64>().ok()?;
    number
        .checked_mul(1 << shift)
        .map(|bytes| Size::Of(Bytes(bytes)))
}
