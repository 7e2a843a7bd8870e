//! What texts admit, and that they are read as they are written.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::{Debug, Display};

use proptest::prelude::*;
use proptest::string::string_regex;
use serde::de::DeserializeOwned;

use super::*;

/// Texts that a pattern of the JSON Schema admits.
pub(crate) fn admitted_by(pattern: &str) -> impl Strategy<Value = String> + use<> {
    string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap()
}

/// That a value is the same after it was written and read, by itself and through serde.
pub(crate) fn comes_back<T>(value: &T) -> Result<(), TestCaseError>
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq + serde::Serialize + DeserializeOwned,
{
    let written = value.to_string();
    let read = written
        .parse::<T>()
        .map_err(|problem| TestCaseError::fail(problem.to_string()))?;
    prop_assert_eq!(&read, value, "written as {}", written);
    let json = serde_json::to_string(value).unwrap();
    prop_assert_eq!(&json, &serde_json::to_string(&written).unwrap());
    prop_assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value);
    Ok(())
}

macro_rules! comes_back_and_pattern_agrees {
    ($($test:ident: $name:ident),*) => {
        proptest! { $(
            #[test]
            fn $test(text in admitted_by($name::PATTERN)) {
                comes_back(&text.parse::<$name>().map_err(|problem| TestCaseError::fail(problem.to_string()))?)?;
            }
        )* }
    };
}

comes_back_and_pattern_agrees!(
    plain_text: PlainText,
    device_path: DevicePath,
    image_stamp: ImageStamp,
    mail_address: MailAddress,
    setting_key: SettingKey
);

fn check<T: FromStr<Err: Display>>(good: &[&str], bad: &[&str]) {
    for text in good {
        if let Err(problem) = text.parse::<T>() {
            assert_eq!(problem.to_string(), "", "{text:?} is fine");
        }
    }
    for text in bad {
        assert!(text.parse::<T>().is_err(), "{text:?}");
    }
}

#[test]
fn each_kind_admits_what_its_rule_says() {
    check::<PlainText>(
        &[
            "Berufsschule Nord",
            "quiet splash",
            "no sound on ThinkCentre M70",
            "Größe: 5 €",
            "$(reboot)",
        ],
        &[
            "",
            " ",
            "a\nb",
            "a\u{1b}[2J",
            "a\0",
            "a\u{2028}b",
            "a\u{202e}b",
            "\u{a0}",
            &"a".repeat(501),
        ],
    );
    check::<DevicePath>(
        &[
            "/dev/sda",
            "/dev/nvme0n1",
            "/dev/vda",
            "/dev/mmcblk0",
            "/dev/disk0",
        ],
        &[
            "",
            "sda",
            "/dev/",
            "/dev/mapper/x",
            "/dev/../sda",
            "/dev/sd a",
            "/dev/sda;",
            "/dev/0",
            "/dev/-a",
        ],
    );
    check::<ImageStamp>(
        &["202601101930", "999999999999"],
        &[
            "",
            "20260110193",
            "2026011019300",
            "2026-01-10 19",
            "20260110193x",
            "\"20260110193",
        ],
    );
    check::<MailAddress>(
        &[
            "it@musterstadt.example",
            "a.b+c@x-y.example",
            "root@localhost",
            "_x@a",
        ],
        &[
            "",
            "it",
            "@a",
            "it@",
            "a@b@c",
            "it@a..b",
            ".a@b",
            "a.@b",
            "a..b@c",
            "-f@b",
            "a b@c",
            "a@b\r\nBcc: x@y",
            "<a@b>",
            "\"a\"@b",
            "ä@b",
            "a@ä",
            "a@-b",
            "a@b-",
            "a@b.",
        ],
    );
    check::<SettingKey>(
        &["KernelOptions", "RootTimeout", "x"],
        &[
            "",
            "1x",
            "Kernel Options",
            "a=b",
            "a-b",
            "ä",
            "[LINBO]",
            &"a".repeat(41),
        ],
    );
}

#[test]
fn blanks_around_a_line_of_text_are_dropped_and_only_its_default_is_empty() {
    assert_eq!(" a b ".parse::<PlainText>().unwrap().as_str(), "a b");
    assert!(PlainText::default().is_empty());
}

#[test]
fn what_yaml_takes_for_a_number_is_text_here() {
    let (stamp, _) = crate::read::text::<ImageStamp>("x.yaml", "202601101930");
    assert_eq!(stamp.unwrap().as_str(), "202601101930");
    for id in ["83", "0c01", "ef", "07"] {
        let (text, _) = crate::read::text::<PlainText>("x.yaml", id);
        assert_eq!(text.unwrap().as_str(), id);
    }
}

#[test]
fn the_error_shows_what_is_accepted_and_not_the_whole_text() {
    let error = "sda\n".parse::<DevicePath>().unwrap_err().to_string();
    assert_eq!(
        error,
        "`sda\\n` is no device: `/dev/` and the letters and digits of a disk, as in `/dev/sda`, `/dev/nvme0n1` or `/dev/disk0`"
    );
    assert!(
        "ä".repeat(9000)
            .parse::<SettingKey>()
            .unwrap_err()
            .to_string()
            .len()
            < 300
    );
}

#[test]
fn what_a_shell_could_act_upon_is_not_safe_in_start_conf() {
    let safe = |text: &str| text.parse::<PlainText>().unwrap().is_safe_in_start_conf();
    assert!(safe("quiet splash root=/dev/sda1 a,b+c@d%e-f_g:h.i"));
    assert!(PlainText::default().is_safe_in_start_conf());
    for text in [
        "$(x)", "`x`", "a;b", "a|b", "a&b", "a\"b", "a'b", "a\\b", "a#b", "a*", "a?", "~", "(a",
        "<a", "ä", "!a", "{a",
    ] {
        assert!(!safe(text), "{text}");
    }
}

#[test]
fn partitions_are_named_as_the_kernel_names_them() {
    for (disk, partition) in [
        ("/dev/sda", "/dev/sda1"),
        ("/dev/vdb", "/dev/vdb1"),
        ("/dev/nvme0n1", "/dev/nvme0n1p1"),
        ("/dev/mmcblk0", "/dev/mmcblk0p1"),
        ("/dev/disk0", "/dev/disk0p1"),
    ] {
        assert_eq!(disk.parse::<DevicePath>().unwrap().partition(1), partition);
    }
}

#[test]
fn a_stamp_states_a_time_where_it_is_one() {
    let civil = |text: &str| text.parse::<ImageStamp>().unwrap().civil();
    assert_eq!(
        civil("202601101930"),
        Some(jiff::civil::datetime(2026, 1, 10, 19, 30, 0, 0))
    );
    for text in [
        "202613101930",
        "202602301930",
        "202601102430",
        "202601101960",
        "999999999999",
    ] {
        assert_eq!(civil(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_accepted_text_breaks_its_line_or_leaves_its_place(text in "\\PC{0,20}|[ -~\\x00-\\x1f]{0,12}|/dev/[ -~]{0,4}|[ -~]{1,4}@[ -~]{1,4}") {
        if let Ok(plain) = text.parse::<PlainText>() {
            prop_assert!(!plain.as_str().contains(char::is_control));
        }
        if let Ok(device) = text.parse::<DevicePath>() {
            prop_assert!(device.as_str().chars().all(|c| c == '/' || c.is_ascii_alphanumeric()));
            prop_assert_eq!(device.as_str().matches('/').count(), 2);
        }
        if let Ok(mail) = text.parse::<MailAddress>() {
            prop_assert!(!mail.as_str().contains(|c: char| c.is_control() || " ,;<>()\"\\".contains(c)));
        }
    }
}
