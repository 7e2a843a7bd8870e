//! What quantities are, that they come back as they were, and what is said of those refused.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::text::tests::{admitted_by, comes_back};

fn check<T: FromStr<Err = UnitError> + fmt::Debug + PartialEq>(
    good: &[(&str, T)],
    bad: &[(&str, &str)],
) {
    for (text, value) in good {
        assert_eq!(text.parse::<T>().as_ref(), Ok(value), "{text}");
    }
    for (text, why) in bad {
        let error = text.parse::<T>().unwrap_err();
        assert_eq!(error.why, *why, "{text:?}");
        let shown = error.to_string();
        assert!(
            shown.contains(&format!(": {why}; accepted is a")),
            "{shown}"
        );
    }
}

#[test]
fn sizes() {
    check(
        &[
            ("15.1 GiB", Bytes(16_213_501_542)),
            ("200 MiB", Bytes(200 << 20)),
            ("512KiB", Bytes(512 << 10)),
            ("1 TiB", Bytes(1 << 40)),
            ("17 B", Bytes(17)),
            ("0 B", Bytes(0)),
            ("1.125 GiB", Bytes((1 << 30) + (1 << 27))),
            ("18446744073709551615 B", Bytes(u64::MAX)),
            ("16777215 TiB", Bytes(16_777_215 << 40)),
        ],
        &[
            ("", "a number has to come first"),
            ("GiB", "a number has to come first"),
            (" 1 GiB", "a number has to come first"),
            ("-1 GiB", "a number has to come first"),
            ("15", "the unit is missing"),
            ("15.1 GB", "write GiB"),
            ("15.1 gib", "write GiB"),
            ("200 MB", "write MiB"),
            ("1 KB", "write KiB"),
            ("1 furlong", "this unit is not known"),
            ("1 GiB ", "this unit is not known"),
            ("15,1 GiB", "decimals follow a point, not a comma"),
            ("1. GiB", "one to three decimals follow a point"),
            ("1.2345 GiB", "one to three decimals follow a point"),
            ("1.5 B", "the smallest unit takes no decimals"),
            ("16777216 TiB", TOO_LARGE),
            ("99999999999999999999 B", TOO_LARGE),
        ],
    );
}

#[test]
fn rates() {
    let rate = |bits| Rate::bits_per_second(bits).unwrap();
    check(
        &[
            ("1 Gbit/s", rate(1_000_000_000)),
            ("100Mbit/s", rate(100_000_000)),
            ("500 kbit/s", rate(500_000)),
            ("2.5 Gbit/s", rate(2_500_000_000)),
            ("1 bit/s", rate(1)),
        ],
        &[
            (
                "10 MB/s",
                "rates are in bits, a byte has 8 of them; write Mbit/s",
            ),
            ("10 Mbps", "write Mbit/s"),
            ("10 mbit/s", "write Mbit/s"),
            ("0 Mbit/s", "nothing would ever arrive"),
            ("100", "the unit is missing"),
            ("100 MiB", "this unit is not known"),
        ],
    );
    assert_eq!(
        "100 Mbit/s".parse::<Rate>().unwrap().kib_per_second(),
        12_207
    );
    assert_eq!(rate(1).kib_per_second(), 1);
}

#[test]
fn shares() {
    let percent = |number| Percent::new(number).unwrap();
    check(
        &[
            ("40 %", percent(40)),
            ("40%", percent(40)),
            ("0 %", percent(0)),
            ("100 %", percent(100)),
        ],
        &[
            ("101 %", "it is more than the whole"),
            ("99999999999999999999 %", TOO_LARGE),
            ("40", "the % is missing"),
            ("0.5 %", "it takes no decimals"),
            ("40 percent", "this unit is not known"),
        ],
    );
    assert_eq!(
        (
            percent(40).of(7),
            percent(100).of(u64::MAX),
            percent(0).of(9)
        ),
        (2, u64::MAX, 0)
    );
    assert_eq!(Percent::new(101), None);
}

#[test]
fn lengths() {
    let length = |seconds| Length::from_seconds(seconds).unwrap();
    check(
        &[
            ("7 days", length(7 * DAY)),
            ("1 day", length(DAY)),
            ("90 min", length(5400)),
            ("2 h", length(7200)),
            ("30 s", length(30)),
            ("3 weeks", length(21 * DAY)),
            ("0 s", length(0)),
        ],
        &[
            ("7", "the unit is missing"),
            ("7 d", "write days"),
            ("5 m", "write min"),
            ("1 month", "months and years differ in length; write days"),
            ("1.5 h", "it takes no decimals; use a smaller unit"),
            ("3661 days", "it is longer than ten years"),
            ("18446744073709551615 weeks", "it is longer than ten years"),
            ("-1 day", "a number has to come first"),
        ],
    );
    assert_eq!(
        length(90).to_duration(),
        jiff::SignedDuration::from_secs(90)
    );
}

#[test]
fn people_read_the_unit_that_fits() {
    let length = |seconds| Length::from_seconds(seconds).unwrap().to_string();
    for (shown, wanted) in [
        (Bytes(16_213_501_542).to_string(), "15.1 GiB"),
        (Bytes(16_213_501_543).to_string(), "16213501543 B"),
        (format!("{:.1}", Bytes(16_213_501_543)), "15.1 GiB"),
        (format!("{:.0}", Bytes(16_213_501_543)), "15 GiB"),
        (format!("{:.1}", Bytes((1 << 20) - 1)), "1 MiB"),
        (format!("{:.1}", Bytes(1023)), "1 KiB"),
        (format!("{:.1}", Bytes(900)), "900 B"),
        (format!("{:.2}", Bytes(u64::MAX)), "16777216 TiB"),
        (format!("{:.9}", Bytes(1536)), "1.5 KiB"),
        (Bytes(200 << 20).to_string(), "200 MiB"),
        (Bytes(1500 << 20).to_string(), "1500 MiB"),
        (Bytes(0).to_string(), "0 B"),
        (
            Rate(NonZeroU64::new(2_500_000_000).unwrap()).to_string(),
            "2.5 Gbit/s",
        ),
        (
            format!("{:.1}", Rate(NonZeroU64::new(33_333_333).unwrap())),
            "33.3 Mbit/s",
        ),
        (Percent(40).to_string(), "40 %"),
        (length(0), "0 s"),
        (length(7 * DAY), "7 days"),
        (length(21 * DAY), "3 weeks"),
        (length(DAY), "1 day"),
        (length(5400), "90 min"),
        (length(86_399), "86399 s"),
    ] {
        assert_eq!(shown, wanted);
    }
}

/// Numbers of every size, and such as have short names.
fn quantity() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift),
        (0..100_000_u64, 0..4_u32)
            .prop_map(|(number, power)| number.saturating_mul(1024_u64.pow(power))),
        (0..100_000_u64, 0..4_u32)
            .prop_map(|(number, power)| number.saturating_mul(1000_u64.pow(power))),
    ]
}

proptest! {
    #[test]
    fn a_quantity_comes_back_as_it_was(number in quantity()) {
        comes_back(&Bytes(number))?;
        comes_back(&Rate::bits_per_second(number.max(1)).unwrap())?;
        comes_back(&Percent::new(u8::try_from(number % 101).unwrap()).unwrap())?;
        comes_back(&Length::from_seconds(number % (Length::MAX.seconds() + 1)).unwrap())?;
    }

    #[test]
    fn what_a_pattern_admits_is_read_unless_it_is_too_large(
        bytes in admitted_by(Bytes::PATTERN),
        rate in admitted_by(Rate::PATTERN),
        percent in admitted_by(Percent::PATTERN),
        length in admitted_by(Length::PATTERN),
    ) {
        let mut refused = Vec::new();
        refused.extend(bytes.parse::<Bytes>().err());
        refused.extend(rate.parse::<Rate>().err());
        refused.extend(percent.parse::<Percent>().err());
        refused.extend(length.parse::<Length>().err());
        refused.retain(|error| ![TOO_LARGE, "it is longer than ten years", "nothing would ever arrive"].contains(&error.why));
        prop_assert_eq!(refused, []);
    }

    #[test]
    fn nothing_makes_a_reader_panic(text in "\\PC{0,20}|[0-9]{0,30}[.,]?[0-9]{0,5} ?[A-Za-z%/]{0,6}") {
        for error in [text.parse::<Bytes>().err(), text.parse::<Rate>().err(), text.parse::<Percent>().err(), text.parse::<Length>().err()].into_iter().flatten() {
            prop_assert!(error.to_string().contains("; accepted is a"));
        }
    }
}
