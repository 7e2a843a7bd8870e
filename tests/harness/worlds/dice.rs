//! Choices drawn from a list of numbers: where it is at its end, and where it is shrunk to zeros, the
//! first choice is taken, which is the plainest.

/// A list of numbers to choose by.
pub(super) struct Dice(std::vec::IntoIter<u16>);

impl Dice {
    pub(super) fn new(rolls: Vec<u16>) -> Self {
        Self(rolls.into_iter())
    }

    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.next().unwrap_or(0)) % n.max(1)
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    /// One of these.
    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    /// Minutes from `-before` to `after`.
    pub(super) fn minutes(&mut self, before: i64, after: i64) -> i64 {
        let span = usize::try_from(before + after + 1).unwrap_or(1);
        i64::try_from(self.below(span)).unwrap_or(0) - before
    }
}
