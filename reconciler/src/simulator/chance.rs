//! Chance that repeats itself: streams of numbers that follow from a seed and a purpose.
//!
//! Each purpose has a stream of its own, so that one more draw for one thing changes nothing else.

/// A stream of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

/// How often something happens: so many times in a thousand.
pub type Permille = u32;

impl Chance {
    /// The stream of one purpose.
    #[must_use]
    pub fn of(seed: u64, purpose: &str) -> Self {
        let hash = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut chance = Self(seed ^ hash);
        // Seeds are small numbers that differ in few bits.
        chance.draw();
        chance
    }

    /// The stream of one part of this purpose, a host or an instant say. This one goes on unchanged.
    #[must_use]
    pub fn part(&self, part: u64) -> Self {
        let mut chance = Self(self.0 ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93));
        chance.draw();
        chance
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is of no account for bounds this small.
        if bound == 0 { 0 } else { self.draw() % bound }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high.saturating_sub(low)).unwrap_or(0);
        low + i64::try_from(self.below(span + 1)).unwrap_or(0)
    }

    /// Whether something that happens so often happens now.
    pub fn happens(&mut self, permille: Permille) -> bool {
        self.below(1000) < u64::from(permille)
    }

    /// One of these; none of nothing.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::try_from(self.below(from.len() as u64)).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_repeats_itself_and_others_differ() {
        let draw = |seed, purpose| {
            let mut chance = Chance::of(seed, purpose);
            [chance.draw(), chance.draw(), chance.draw()]
        };
        assert_eq!(draw(1, "hosts"), draw(1, "hosts"));
        assert_ne!(draw(1, "hosts"), draw(2, "hosts"));
        assert_ne!(draw(1, "hosts"), draw(1, "links"));
    }

    #[test]
    fn numbers_keep_to_their_bounds_and_reach_them() {
        let mut chance = Chance::of(7, "bounds");
        let drawn: std::collections::BTreeSet<i64> =
            (0..200).map(|_| chance.between(-1, 2)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-1, 0, 1, 2]);
        assert!((0..100).all(|_| chance.happens(1000) && !chance.happens(0)));
    }
}
