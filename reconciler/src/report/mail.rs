//! Letters: one digest of what is new, with the evidence, and of what is good again.

/// A letter to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject line.
    pub subject: String,
    /// The text.
    pub body: String,
}
