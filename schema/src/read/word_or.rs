//! A value that is either a word or something with parts.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};

/// The name under which a [`WordOr`] asks the deserializer for what it finds.
pub(super) const NAME: &str = "$reconcile::WordOr";

/// A word, or else a list or a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordOr<W, T> {
    /// It is text.
    Word(W),
    /// It has parts.
    Parts(T),
}

impl<'de, W: Deserialize<'de>, T: Deserialize<'de>> Deserialize<'de> for WordOr<W, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<W, T>(PhantomData<(W, T)>);

        impl<'de, W: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Either<W, T> {
            type Value = WordOr<W, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, a list or a mapping")
            }

            fn visit_some<D: Deserializer<'de>>(self, word: D) -> Result<Self::Value, D::Error> {
                W::deserialize(word).map(WordOr::Word)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                parts: D,
            ) -> Result<Self::Value, D::Error> {
                T::deserialize(parts).map(WordOr::Parts)
            }
        }

        deserializer.deserialize_newtype_struct(NAME, Either(PhantomData))
    }
}

impl<W: JsonSchema, T: JsonSchema> JsonSchema for WordOr<W, T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}_or_{}", W::schema_name(), T::schema_name()).into()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("WordOr<{}, {}>", W::schema_id(), T::schema_id()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = generator.subschema_for::<W>();
        let parts = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [word, parts] })
    }
}
