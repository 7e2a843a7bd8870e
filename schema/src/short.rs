//! A text of at most fifteen letters of ASCII, held in place.
//!
//! # Invariants
//!
//! Texts are in the order that `str` has.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

const LONGEST: usize = 15;

/// The letters, zeros behind them, and in the last place how many letters there are. Read as one number these are in
/// the order of their texts, since a zero comes before every letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short([u8; LONGEST + 1]);

impl From<&str> for Short {
    /// Of a text that is none of the kind, as much as fits: whoever has it held has looked at it.
    fn from(text: &str) -> Self {
        let mut held = [0; LONGEST + 1];
        for (count, letter) in text.bytes().enumerate().take(LONGEST) {
            held[count] = letter;
            held[LONGEST] += 1;
        }
        Self(held)
    }
}

impl Deref for Short {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        let letters = self.0.get(..usize::from(self.0[LONGEST]));
        let text = letters.map(str::from_utf8);
        text.and_then(Result::ok).unwrap_or_default()
    }
}

impl Ord for Short {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Short {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Short {
    /// As the text, since names are found by texts.
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self, state);
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_short_text_is_read_and_ordered_as_str_is(one in "[a-c-]{0,15}", other in "[a-c-]{0,15}") {
            let (held, another) = (Short::from(one.as_str()), Short::from(other.as_str()));
            prop_assert_eq!(&*held, one.as_str());
            prop_assert_eq!(held.cmp(&another), one.cmp(&other));
            prop_assert_eq!(held == another, one == other);
        }
    }
}
