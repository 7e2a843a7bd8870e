//! A value of a document with its place.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Visitor};

use super::error::problem_of;
use super::scope;
use crate::diagnostic::Span;

/// The name under which an [`At`] asks the deserializer for its place.
pub(super) const NAME: &str = "$reconcile::At";

/// A value of a document and where it is written.
///
/// Reading one never fails in a document of the state repo: if the value is wrong, that is a
/// diagnostic and the `At` holds nothing but the place. It also holds nothing if the field has
/// `#[serde(default)]` and is absent; then it has no place either. Two are equal if their values
/// are, wherever they stand.
#[derive(Debug, Clone)]
pub struct At<T> {
    value: Option<T>,
    span: Option<Span>,
}

impl<T> At<T> {
    /// A value that is written nowhere.
    pub fn new(value: T) -> Self {
        Self {
            value: Some(value),
            span: None,
        }
    }

    /// The value, unless it is wrong or absent.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// The value, unless it is wrong or absent.
    pub fn into_inner(self) -> Option<T> {
        self.value
    }

    /// Where the value is written, right or wrong; nothing if it is absent.
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// Whether nothing is written at all: no value, not even a wrong one.
    pub fn is_absent(&self) -> bool {
        self.value.is_none() && self.span.is_none()
    }

    /// The same place with a value made of this one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: self.value.map(f),
            span: self.span,
        }
    }

    /// The same place with a reference to the value.
    pub fn as_ref(&self) -> At<&T> {
        At {
            value: self.value.as_ref(),
            span: self.span,
        }
    }
}

impl<T> Default for At<T> {
    fn default() -> Self {
        Self {
            value: None,
            span: None,
        }
    }
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_newtype_struct(NAME, AtVisitor(PhantomData)) {
            // What fails before the visitor is asked is a required field that is not there.
            Err(error) => match problem_of(&error) {
                Some(problem) => {
                    scope::record(problem, scope::mapping());
                    Ok(Self::default())
                }
                None => Err(error),
            },
            read => read,
        }
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<At<T>, D::Error> {
        let span = scope::take_value();
        match (T::deserialize(inner), span) {
            (Ok(value), span) => Ok(At {
                value: Some(value),
                span,
            }),
            (Err(error), Some(span)) => match problem_of(&error) {
                Some(problem) => {
                    scope::record(problem, span);
                    Ok(At {
                        value: None,
                        span: Some(span),
                    })
                }
                None => Err(error),
            },
            (Err(error), None) => Err(error),
        }
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
