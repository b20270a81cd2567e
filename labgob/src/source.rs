//! Bytes as a serde data source that believes nothing it has not seen.

use std::str;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor, value::U32Deserializer,
};

use crate::{
    DecodeError,
    limits::{MAX_DEPTH, MAX_EMPTY_ELEMENTS},
    wire::Input,
};

/// What is still to be read, and what it may still cost.
pub(crate) struct Source<'de> {
    input: Input<'de>,
    /// How many more values may nest here.
    depth_left: usize,
    /// Elements that sequences around this place have announced, and for which memory may have
    /// been reserved. Each will need a byte of its own, so no byte justifies memory twice.
    announced: usize,
    empty_elements_left: usize,
}

impl<'de> Source<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Source<'de> {
        Source {
            input: Input::new(bytes),
            depth_left: MAX_DEPTH,
            announced: 0,
            empty_elements_left: MAX_EMPTY_ELEMENTS,
        }
    }

    pub(crate) fn end(mut self) -> Result<(), DecodeError> {
        match self.input.left() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes { left }),
        }
    }

    fn text(&mut self) -> Result<&'de str, DecodeError> {
        str::from_utf8(self.input.bytes()?)
            .map_err(|error| DecodeError::Invalid(format!("expected text: {error}")))
    }

    /// Lets `visit` read a value that contains others.
    #[inline]
    fn nested<T>(
        &mut self,
        visit: impl FnOnce(&mut Source<'de>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let result = visit(self);
        self.depth_left += 1;
        result
    }

    /// Reads the length of a sequence or map and lets `visit` read its elements.
    #[inline]
    fn counted<T>(
        &mut self,
        visit: impl FnOnce(Counted<'_, 'de>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let length = self.input.primitive::<usize>()?;
        let plausible = length.min(self.input.left().saturating_sub(self.announced));
        self.announced += plausible;
        self.nested(|source| visit(Counted { source, left: length, plausible }))
    }
}

/// The elements of a sequence or the entries of a map, whose length stands in the bytes.
struct Counted<'a, 'de> {
    source: &'a mut Source<'de>,
    /// Elements still to come, if the bytes are honest.
    left: usize,
    /// Elements still to come for which there may be bytes, and so memory.
    plausible: usize,
}

impl<'de> Counted<'_, 'de> {
    /// Reads one element with `read`; `None` after the last.
    #[inline]
    fn next<T>(
        &mut self,
        read: impl FnOnce(&mut Source<'de>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        // This element's bytes are now being read, they are announced no longer.
        if self.plausible > 0 {
            self.plausible -= 1;
            self.source.announced -= 1;
        }
        let before = self.source.input.left();
        let element = read(self.source)?;
        if self.source.input.left() == before {
            self.source.empty_elements_left = self
                .source
                .empty_elements_left
                .checked_sub(1)
                .ok_or(DecodeError::TooManyEmptyElements)?;
        }
        Ok(Some(element))
    }
}

impl<'de> SeqAccess<'de> for Counted<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.next(|source| seed.deserialize(source))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.plausible)
    }
}

impl<'de> MapAccess<'de> for Counted<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        // A key that takes no bytes is charged even if its value takes some; a map has at most
        // one such key, so nothing honest is refused.
        self.next(|source| seed.deserialize(source))
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        seed.deserialize(&mut *self.source)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.plausible)
    }
}

/// The fields of a struct or tuple, whose number the type says.
struct Fields<'a, 'de> {
    source: &'a mut Source<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.source).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// One method for each number type: read it, show it to the visitor.
macro_rules! primitives {
    ($($deserialize:ident $visit:ident)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(self.input.primitive()?)
        }
    )*};
}

/// Requests that only a self-describing format can serve.
macro_rules! not_self_describing {
    ($($deserialize:ident)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DecodeError> {
            Err(DecodeError::NotSelfDescribing)
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Source<'de> {
    type Error = DecodeError;

    primitives! {
        deserialize_bool visit_bool
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
        deserialize_char visit_char
    }

    not_self_describing! { deserialize_any deserialize_identifier deserialize_ignored_any }

    // Text and bytes are shown in place, whoever asks: a visitor that keeps them copies what is
    // there, and so nothing is allocated for a length that lies.

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_bytes(self.input.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_bytes(self.input.bytes()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.input.primitive::<u8>()? {
            0 => visitor.visit_none(),
            1 => self.nested(|source| visitor.visit_some(source)),
            byte => Err(DecodeError::Invalid(format!("expected 0 or 1 of an option, got {byte}"))),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.nested(|source| visitor.visit_newtype_struct(source))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.counted(|elements| visitor.visit_seq(elements))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.counted(|entries| visitor.visit_map(entries))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.nested(|source| visitor.visit_seq(Fields { source, left: len }))
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.nested(|source| visitor.visit_enum(source))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

impl<'de> EnumAccess<'de> for &mut Source<'de> {
    type Error = DecodeError;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), DecodeError> {
        let index: U32Deserializer<DecodeError> =
            self.input.primitive::<u32>()?.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Source<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        seed.deserialize(self)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Fields { source: self, left: len })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Fields { source: self, left: fields.len() })
    }
}
