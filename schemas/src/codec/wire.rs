//! Avro's binary encoding, type by type. Source: Apache Avro 1.12 specification, "Binary Encoding".
//!
//! A Rust type's Avro type follows from it: small integers are `int`, larger ones `long`, `Option` is a union with
//! null first, `Vec` an array, `u128` minimal big-endian `bytes`. A `u64` above 2^63-1 stands in its `long` as two's
//! complement, so encoding cannot fail and loses nothing.

use std::collections::BTreeMap;

use super::error::DecodeError;
use super::intern::Interner;
use crate::host::Text;

/// A type that can be written to and read from Avro's binary encoding.
pub(crate) trait Wire: Sized {
    /// Appends the encoding.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads one value.
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError>;
}

/// What is left of a value, and where its next byte stands.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
    interner: &'a mut Interner,
}

impl<'a> Input<'a> {
    /// Reads `bytes` from `at` on.
    pub(crate) fn new(bytes: &'a [u8], at: usize, interner: &'a mut Interner) -> Self {
        Self { bytes, at, interner }
    }

    /// Offset of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Fails unless everything was read.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { at: self.at, count }),
        }
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let Some(byte) = self.bytes.get(self.at) else {
            return Err(DecodeError::Truncated { at: self.bytes.len() });
        };
        self.at += 1;
        Ok(*byte)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > self.remaining() {
            return Err(DecodeError::Truncated { at: self.bytes.len() });
        }
        let slice = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(slice)
    }

    /// A zig-zag varint of at most 64 bits.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, DecodeError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag(u64::from(first)));
        }
        self.long_rest(first)
    }

    fn long_rest(&mut self, first: u8) -> Result<i64, DecodeError> {
        let start = self.at - 1;
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let last = byte < 0x80;
            // The tenth byte has room for one bit; a last byte of zero adds nothing to what came before.
            if (shift == 63 && byte > 1) || byte == 0 {
                return Err(DecodeError::OverlongVarint { at: start });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if last {
                return Ok(unzigzag(value));
            }
        }
        Err(DecodeError::OverlongVarint { at: start })
    }

    fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, DecodeError> {
        let at = self.at;
        let value = self.long()?;
        T::try_from(value).map_err(|_| DecodeError::OutOfRange { at, value })
    }

    /// The octets of a `bytes` or `string`.
    pub(crate) fn octets(&mut self) -> Result<&'a [u8], DecodeError> {
        let at = self.at;
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| DecodeError::NegativeLength { at })?;
        self.slice(length)
    }

    /// A `string`.
    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let octets = self.octets()?;
        std::str::from_utf8(octets).map_err(|_| DecodeError::BadUtf8 { at: self.at - octets.len() })
    }

    /// A `string`, shared.
    pub(crate) fn shared_text(&mut self) -> Result<Text, DecodeError> {
        let text = self.text()?;
        Ok(self.interner.intern(text))
    }

    /// A `fixed` of N octets.
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut octets = [0; N];
        octets.copy_from_slice(self.slice(N)?);
        Ok(octets)
    }

    /// The index of a union of null and one type: whether the value is there.
    pub(crate) fn present(&mut self) -> Result<bool, DecodeError> {
        let at = self.at;
        match self.long()? {
            0 => Ok(false),
            1 => Ok(true),
            index => Err(DecodeError::BadUnion { at, index }),
        }
    }

    /// The blocks of an array or map: calls `item` for each item.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), DecodeError>) -> Result<(), DecodeError> {
        loop {
            let at = self.at;
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            // A negative count is followed by the block's size in bytes (specification, "Arrays").
            let end = if count < 0 { Some(self.block_end(at)?) } else { None };
            let items = count.unsigned_abs();
            // No item of ours is empty: more items than bytes is a lie, told to make us allocate.
            if items > self.remaining() as u64 {
                return Err(DecodeError::BadBlock { at });
            }
            for _ in 0..items {
                item(self)?;
            }
            if end.is_some_and(|end| end != self.at) {
                return Err(DecodeError::BadBlock { at });
            }
        }
    }

    fn block_end(&mut self, at: usize) -> Result<usize, DecodeError> {
        let size = usize::try_from(self.long()?).map_err(|_| DecodeError::NegativeLength { at })?;
        if size > self.remaining() {
            return Err(DecodeError::BadBlock { at });
        }
        Ok(self.at + size)
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends a zig-zag varint.
#[inline]
pub(crate) fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a `bytes` or `string`.
#[inline]
pub(crate) fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put_long(out, octets.len() as i64);
    out.extend_from_slice(octets);
}

/// Integers that are an Avro `int` or `long` of the same value.
macro_rules! wire_integer {
    ($($type:ty),+) => { $(
        impl Wire for $type {
            #[inline]
            fn put(&self, out: &mut Vec<u8>) {
                put_long(out, i64::from(*self));
            }
            #[inline]
            fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                input.narrow()
            }
        }
    )+ };
}
wire_integer!(u8, u16, u32, i64);

impl Wire for u64 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, self.cast_signed());
    }
    #[inline]
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(input.long()?.cast_unsigned())
    }
}

impl Wire for u128 {
    fn put(&self, out: &mut Vec<u8>) {
        let octets = self.to_be_bytes();
        put_octets(out, &octets[self.leading_zeros() as usize / 8..]);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let octets = input.octets()?;
        let at = input.at() - octets.len();
        if octets.len() > 16 || octets.first() == Some(&0) {
            return Err(DecodeError::BadWideNumber { at });
        }
        Ok(octets.iter().fold(0, |value, octet| value << 8 | Self::from(*octet)))
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let at = input.at();
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::BadBoolean { at, value }),
        }
    }
}

impl Wire for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_le_bytes(input.fixed()?))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(out, self.as_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(input.text()?.to_owned())
    }
}

impl Wire for Text {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(out, self.as_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.shared_text()
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.fixed()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        T::read(input).map(Self::new)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                put_long(out, 1);
                value.put(out);
            }
        }
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        if input.present()? { T::read(input).map(Some) } else { Ok(None) }
    }
}

/// An Avro array: one block, or none where it is empty.
fn put_items<T: Wire>(items: &[T], out: &mut Vec<u8>) {
    if !items.is_empty() {
        put_long(out, items.len() as i64);
        for item in items {
            item.put(out);
        }
    }
    out.push(0);
}

impl<T: Wire> Wire for std::sync::Arc<[T]> {
    fn put(&self, out: &mut Vec<u8>) {
        put_items(self, out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Vec::read(input).map(Self::from)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_items(self, out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let mut items = Self::new();
        input.blocks(|input| {
            items.push(T::read(input)?);
            Ok(())
        })?;
        Ok(items)
    }
}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn put(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_long(out, self.len() as i64);
            for (key, value) in self {
                key.put(out);
                value.put(out);
            }
        }
        out.push(0);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let mut entries = Self::new();
        input.blocks(|input| {
            entries.insert(String::read(input)?, T::read(input)?);
            Ok(())
        })?;
        Ok(entries)
    }
}

/// Implements [`Wire`] for a struct whose fields, in this order, are the schema's.
macro_rules! wire_record {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::codec::wire::Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $( $crate::codec::wire::Wire::put(&self.$field, out); )+
            }
            fn read(input: &mut $crate::codec::wire::Input<'_>) -> Result<Self, $crate::codec::error::DecodeError> {
                $( let $field = $crate::codec::wire::Wire::read(input)?; )+
                Ok(Self { $($field),+ })
            }
        }
    };
}
pub(crate) use wire_record;
