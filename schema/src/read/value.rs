//! serde's view of a [`Node`]: which kinds of value a type accepts, in plain words if it does not.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Visitor};

use super::access::{Choice, Entries, Items};
use super::error::{Error, Problem, listed, one_of};
use super::{at, many, number, scope, word_or};
use crate::diagnostic::Span;
use crate::yaml::{Entry, Key, Node, Scalar, Value, quote};

/// A value that is about to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) place: Place,
    pub(super) content: Content<'a>,
}

/// Where a value is, and which place stands for it if the value itself has none to point at.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The value itself.
    pub(super) span: Span,
    /// Its key, if it has one.
    anchor: Span,
}

#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Scalar(&'a Scalar),
    List(&'a [Node]),
    Mapping(&'a [Entry]),
}

impl<'a> Reader<'a> {
    pub(super) fn document(node: &'a Node) -> Self {
        let content = match &node.value {
            Value::Scalar(scalar) => Content::Scalar(scalar),
            Value::List(items) => Content::List(items),
            Value::Mapping(entries) => Content::Mapping(entries),
        };
        let anchor = match content {
            Content::Mapping([first, ..]) => first.key.span,
            _ => node.span,
        };
        Self {
            place: Place {
                span: node.span,
                anchor,
            },
            content,
        }
    }

    pub(super) fn value_of(entry: &'a Entry) -> Self {
        let mut reader = Self::document(&entry.value);
        reader.place.anchor = entry.key.span;
        if let Content::Scalar(scalar) = reader.content
            && scalar.is_null()
        {
            reader.place.span = entry.key.span;
        }
        reader
    }

    pub(super) fn key(key: &'a Key) -> Self {
        let place = Place {
            span: key.span,
            anchor: key.span,
        };
        Self {
            place,
            content: Content::Scalar(&key.scalar),
        }
    }

    /// Reads the value; a problem that has no place is at this value.
    pub(super) fn fill<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
            .map_err(|error: Error| error.at(self.place.span))
    }

    pub(super) fn fail<T>(&self, problem: Problem) -> Result<T, Error> {
        Err(problem.at(self.place.span).into())
    }

    fn wrong_kind<T>(&self, expected: impl fmt::Display) -> Result<T, Error> {
        self.fail(match self.content {
            Content::Scalar(scalar) if scalar.is_null() => empty(scalar),
            content => Problem::new(
                "wrong-kind",
                format!("expected {expected}, found {content}"),
            ),
        })
    }

    fn scalar(&self, expected: impl fmt::Display) -> Result<&'a Scalar, Error> {
        match self.content {
            Content::Scalar(scalar) if !scalar.is_null() => Ok(scalar),
            _ => self.wrong_kind(expected),
        }
    }

    fn list(&self) -> Result<&'a [Node], Error> {
        match self.content {
            Content::List(items) => Ok(items),
            _ => self.wrong_kind("a list"),
        }
    }

    /// Lets the visitor see a mapping; with `fields`, only those keys, and others are reported.
    pub(super) fn mapping<'de, V: Visitor<'de>>(
        &self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Content::Mapping(entries) = self.content else {
            let kind = self.wrong_kind("a mapping (lines of `key: value`)");
            return match fields {
                Some(fields @ [_, ..]) => kind.map_err(|error: Error| {
                    let problem = error.problem().clone();
                    match problem.hint {
                        Some(_) => problem,
                        None => {
                            problem.hint(format!("the keys here are {}", listed(fields, "and")))
                        }
                    }
                    .into()
                }),
                _ => kind,
            };
        };
        let outer = scope::set_mapping(self.place.anchor);
        let read = visitor.visit_map(Entries::of(entries, fields));
        scope::set_mapping(outer);
        read.map_err(|error: Error| error.at(self.place.anchor))
    }
}

fn empty(scalar: &Scalar) -> Problem {
    let problem = Problem::new("empty-value", "a value is missing here");
    match scalar.text.as_str() {
        "" => problem.hint("give it a value, or remove it"),
        word => problem.hint(format!(
            "give it a value, or remove it; if {} is meant as text, put it in quotes",
            quote(word)
        )),
    }
}

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) if scalar.is_null() => f.write_str("nothing"),
            Self::Scalar(scalar) if scalar.plain => write!(f, "text {}", quote(&scalar.text)),
            Self::Scalar(scalar) => write!(f, "quoted text {}", quote(&scalar.text)),
            Self::List(_) => f.write_str("a list"),
            Self::Mapping(_) => f.write_str("a mapping"),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let scalar = self.scalar("a whole number")?;
            match number::integer::<$type>(scalar, <$type>::MIN.into(), <$type>::MAX.into()) {
                Ok(number) => visitor.$visit(number).map_err(|error: Error| error.at(self.place.span)),
                Err(problem) => self.fail(problem),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    /// Without a type to go by every scalar is text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Content::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            Content::Scalar(scalar) => visitor.visit_str(&scalar.text),
            Content::List(items) => visitor.visit_seq(Items::of(items)),
            Content::Mapping(_) => self.mapping(None, visitor),
        }
        .map_err(|error: Error| error.at(self.place.span))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = &self.scalar("text")?.text;
        visitor
            .visit_str(text)
            .map_err(|error: Error| error.at(self.place.span))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let scalar = self.scalar("`true` or `false`")?;
        match number::truth(scalar) {
            Ok(truth) => visitor
                .visit_bool(truth)
                .map_err(|error: Error| error.at(self.place.span)),
            Err(problem) => self.fail(problem),
        }
    }

    integers! {
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let scalar = self.scalar("a number")?;
        match number::decimal(scalar) {
            Ok(number) => visitor
                .visit_f64(number)
                .map_err(|error: Error| error.at(self.place.span)),
            Err(problem) => self.fail(problem),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.content {
            Content::Scalar(scalar) if scalar.is_null() => visitor.visit_unit(),
            content => self.fail(Problem::new(
                "wrong-kind",
                format!("expected no value, found {content}"),
            )),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match (name, self.content) {
            (at::NAME, _) => {
                scope::set_value(self.place.span);
                visitor.visit_newtype_struct(self)
            }
            (many::NAME, Content::List(items)) => visitor.visit_seq(Items::of(items)),
            (many::NAME, _) => visitor.visit_seq(Items::only(self)),
            (word_or::NAME, Content::Scalar(_)) => visitor.visit_some(self),
            _ => visitor
                .visit_newtype_struct(self)
                .map_err(|error: Error| error.at(self.place.span)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let items = Items::of(self.list()?);
        visitor
            .visit_seq(items)
            .map_err(|error: Error| error.at(self.place.span))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let items = self.list()?;
        if items.len() != length {
            let message = format!("expected a list of {length}, found one of {}", items.len());
            return self.fail(Problem::new("wrong-kind", message));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.mapping(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.mapping(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let choice = match self.content {
            Content::Scalar(scalar) if !scalar.is_null() => Choice {
                word: self,
                value: None,
            },
            Content::Mapping([entry]) => Choice {
                word: Self::key(&entry.key),
                value: Some(Self::value_of(entry)),
            },
            Content::Mapping(entries) if !entries.is_empty() => {
                let message = format!(
                    "expected only one of {}, found {} keys",
                    one_of(variants),
                    entries.len()
                );
                return self.fail(Problem::new("wrong-kind", message));
            }
            _ => return self.wrong_kind(one_of(variants)),
        };
        visitor
            .visit_enum(choice)
            .map_err(|error: Error| error.at(self.place.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf }
}
