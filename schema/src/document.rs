//! The documents of a state repo, exactly as they are written: nothing is resolved here, no default
//! is filled in, and each value knows its place.
//!
//! The doc comments are what an editor shows, since the JSON Schemas are made from these types.
//! What a key means for the fleet is said by [`crate::fleet`]; who follows the references is
//! [`load`](crate::load()).

pub mod class;
pub mod fleet;
pub mod image;
pub mod policy;
pub mod room;
pub mod school;
pub mod test_class;
pub mod value;

pub use class::ClassDocument;
pub use fleet::FleetDocument;
pub use image::ImageDocument;
pub use room::RoomDocument;
pub use school::SchoolDocument;
pub use test_class::TestClassDocument;
