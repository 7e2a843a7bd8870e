//! The language of the state repo: its documents, their checks and the fleet they describe.
//!
//! A file becomes a tree of values that know their place ([`yaml`]), then a typed document
//! ([`read`]); whatever is wrong with it becomes a [`diagnostic::Diagnostic`].

pub mod diagnostic;
pub mod read;
pub mod tree;
pub mod yaml;
