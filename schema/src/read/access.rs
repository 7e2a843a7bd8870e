//! What is inside a value: the items of a list, the entries of a mapping, the variant of a choice.

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::error::{Error, Problem};
use super::scope;
use super::value::{Content, Reader};
use crate::yaml::{Entry, Node, quote};

/// The items of a list.
pub(super) struct Items<'a> {
    only: Option<Reader<'a>>,
    items: std::slice::Iter<'a, Node>,
}

impl<'a> Items<'a> {
    pub(super) fn of(items: &'a [Node]) -> Self {
        Self {
            only: None,
            items: items.iter(),
        }
    }

    /// A value as if it were the only item of a list.
    pub(super) fn only(value: Reader<'a>) -> Self {
        Self {
            only: Some(value),
            items: [].iter(),
        }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let only = self.only.take();
        match only.or_else(|| self.items.next().map(Reader::document)) {
            Some(item) => item.fill(seed).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() + usize::from(self.only.is_some()))
    }
}

/// The entries of a mapping.
pub(super) struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    value: Option<Reader<'a>>,
    fields: Option<&'static [&'static str]>,
}

impl<'a> Entries<'a> {
    /// With `fields`, other keys are reported and left out.
    pub(super) fn of(entries: &'a [Entry], fields: Option<&'static [&'static str]>) -> Self {
        Self {
            entries: entries.iter(),
            value: None,
            fields,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        for entry in self.entries.by_ref() {
            let key = entry.key.scalar.text.as_str();
            if let Some(fields) = self.fields
                && !fields.contains(&key)
            {
                scope::record(&Problem::unknown_key(key, fields), entry.key.span);
                continue;
            }
            self.value = Some(Reader::value_of(entry));
            return Reader::key(&entry.key).fill(seed).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        match self.value.take() {
            Some(value) => value.fill(seed),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// A word that chooses a variant and, if it is written as a key, its value.
pub(super) struct Choice<'a> {
    pub(super) word: Reader<'a>,
    pub(super) value: Option<Reader<'a>>,
}

impl<'a> Choice<'a> {
    fn word(&self) -> &'a str {
        match self.word.content {
            Content::Scalar(scalar) => &scalar.text,
            Content::List(_) | Content::Mapping(_) => "",
        }
    }

    fn value(self) -> Result<Reader<'a>, Error> {
        match self.value {
            Some(value) => Ok(value),
            None => {
                let message = format!("{} needs a value", quote(self.word()));
                let hint = quote(&format!("{}: …", self.word()));
                let problem = Problem::new("wrong-kind", message).hint(format!("write {hint}"));
                self.word.fail(problem)
            }
        }
    }
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        Ok((self.word.fill(seed)?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        if self.value.is_none() {
            return Ok(());
        }
        let word = quote(self.word());
        let problem = Problem::new("wrong-kind", format!("{word} takes no value"));
        self.word.fail(problem.hint(format!("write only {word}")))
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        self.value()?.fill(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.value()?.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value()?.mapping(Some(fields), visitor)
    }
}
