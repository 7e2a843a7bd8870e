//! Quantities with their units written out: `15.1 GiB`, `1 Gbit/s`, `7 days`.
//!
//! Each has one grammar, a pattern in the JSON Schema, and an error that shows what is accepted.

/// A number of bytes. Written with a binary unit (`15.1 GiB`, `200 MiB`) or `B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A data rate in bits per second, as networks count. Written `1 Gbit/s`, `100 Mbit/s`, `500 kbit/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Rate(std::num::NonZeroU64);

impl Rate {
    /// A rate of so many bits per second; none when it is zero.
    #[must_use]
    pub fn bits_per_second(bits: u64) -> Option<Self> {
        std::num::NonZeroU64::new(bits).map(Self)
    }

    /// The rate in KiB per second, which is what rsync's `--bwlimit` takes; at least 1.
    #[must_use]
    pub fn kib_per_second(self) -> u64 {
        (self.0.get() / 8 / 1024).max(1)
    }
}
