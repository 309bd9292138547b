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
    fn read(input: &mut Input<'_>) -> Result<Self, Failed>;
}

/// Decoding failed; the [`Input`] knows why. A result that does not carry the reason fits into registers, and a record has more
/// than a hundred numbers: carrying it took most of their time.
#[derive(Debug)]
pub(crate) struct Failed(());

/// What is left of a value, and where its next byte stands.
pub(crate) struct Input<'a> {
    /// Bytes not read yet.
    rest: &'a [u8],
    /// Offset of the value's end.
    end: usize,
    interner: &'a mut Interner,
    /// Why it failed, once it has.
    fault: DecodeError,
}

impl<'a> Input<'a> {
    /// Reads `bytes` from `at` on.
    pub(crate) fn new(bytes: &'a [u8], at: usize, interner: &'a mut Interner) -> Self {
        let fault = DecodeError::Truncated { at: bytes.len() };
        Self { rest: bytes.get(at..).unwrap_or_default(), end: bytes.len(), interner, fault }
    }

    /// Keeps the reason.
    #[cold]
    pub(crate) fn fail(&mut self, fault: DecodeError) -> Failed {
        self.fault = fault;
        Failed(())
    }

    #[cold]
    #[inline(never)]
    fn truncated(&mut self) -> Failed {
        self.fail(DecodeError::Truncated { at: self.end })
    }

    #[cold]
    #[inline(never)]
    fn out_of_range(&mut self, at: usize, value: i64) -> Failed {
        self.fail(DecodeError::OutOfRange { at, value })
    }

    /// The reason of a failure.
    pub(crate) fn into_fault(self, Failed(()): Failed) -> DecodeError {
        self.fault
    }

    /// Offset of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Fails unless everything was read.
    pub(crate) fn finish(&mut self) -> Result<(), Failed> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(self.fail(DecodeError::TrailingBytes { at: self.at(), count })),
        }
    }

    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Failed> {
        let Some((byte, rest)) = self.rest.split_first() else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn slice(&mut self, length: usize) -> Result<&'a [u8], Failed> {
        let Some((slice, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(slice)
    }

    /// A zig-zag varint of at most 64 bits.
    // A record has more than a hundred numbers, most of one octet: a call for each costs more than reading it.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    pub(crate) fn long(&mut self) -> Result<i64, Failed> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag(u64::from(first)));
        }
        self.long_rest(first)
    }

    #[inline(never)]
    fn long_rest(&mut self, first: u8) -> Result<i64, Failed> {
        let start = self.at() - 1;
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let last = byte < 0x80;
            // The tenth byte has room for one bit; a last byte of zero adds nothing to what came before.
            if (shift == 63 && byte > 1) || byte == 0 {
                return Err(self.fail(DecodeError::OverlongVarint { at: start }));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if last {
                return Ok(unzigzag(value));
            }
        }
        Err(self.fail(DecodeError::OverlongVarint { at: start }))
    }

    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn narrow<T: TryFrom<i64>>(&mut self) -> Result<T, Failed> {
        let at = self.at();
        let value = self.long()?;
        T::try_from(value).map_err(|_| self.out_of_range(at, value))
    }

    /// The octets of a `bytes` or `string`.
    #[inline]
    pub(crate) fn octets(&mut self) -> Result<&'a [u8], Failed> {
        let at = self.at();
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| self.fail(DecodeError::NegativeLength { at }))?;
        self.slice(length)
    }

    /// A `string`.
    pub(crate) fn text(&mut self) -> Result<&'a str, Failed> {
        let octets = self.octets()?;
        self.utf8(octets)
    }

    /// The text that the octets just read are.
    fn utf8(&mut self, octets: &'a [u8]) -> Result<&'a str, Failed> {
        std::str::from_utf8(octets).map_err(|_| self.fail(DecodeError::BadUtf8 { at: self.at() - octets.len() }))
    }

    /// A `string`, shared.
    pub(crate) fn shared_text(&mut self) -> Result<Text, Failed> {
        let octets = self.octets()?;
        if let Some(text) = self.interner.known(octets) {
            return Ok(text);
        }
        let text = self.utf8(octets)?;
        Ok(self.interner.intern(text))
    }

    /// A `fixed` of N octets.
    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Failed> {
        let Some((octets, rest)) = self.rest.split_first_chunk() else {
            return Err(self.truncated());
        };
        self.rest = rest;
        Ok(*octets)
    }

    /// The index of a union of null and one type: whether the value is there.
    #[inline]
    pub(crate) fn present(&mut self) -> Result<bool, Failed> {
        let at = self.at();
        match self.long()? {
            0 => Ok(false),
            1 => Ok(true),
            index => Err(self.fail(DecodeError::BadUnion { at, index })),
        }
    }

    /// Whether the array that begins here ends here: most do.
    #[inline]
    fn skip_empty(&mut self) -> bool {
        let Some((0, rest)) = self.rest.split_first() else { return false };
        self.rest = rest;
        true
    }

    /// The blocks of an array or map: calls `item` for each item.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Failed>) -> Result<(), Failed> {
        loop {
            let at = self.at();
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            // A negative count is followed by the block's size in bytes (specification, "Arrays").
            let end = if count < 0 { Some(self.block_end(at)?) } else { None };
            let items = count.unsigned_abs();
            // No item of ours is empty: more items than bytes is a lie, told to make us allocate.
            if items > self.rest.len() as u64 {
                return Err(self.fail(DecodeError::BadBlock { at }));
            }
            for _ in 0..items {
                item(self)?;
            }
            if end.is_some_and(|end| end != self.at()) {
                return Err(self.fail(DecodeError::BadBlock { at }));
            }
        }
    }

    fn block_end(&mut self, at: usize) -> Result<usize, Failed> {
        let size = self.long()?;
        let size = usize::try_from(size).map_err(|_| self.fail(DecodeError::NegativeLength { at }))?;
        if size > self.rest.len() {
            return Err(self.fail(DecodeError::BadBlock { at }));
        }
        Ok(self.at() + size)
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
            #[allow(clippy::inline_always)]
            #[inline(always)]
            fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
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
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(input.long()?.cast_unsigned())
    }
}

impl Wire for u128 {
    fn put(&self, out: &mut Vec<u8>) {
        let octets = self.to_be_bytes();
        put_octets(out, &octets[self.leading_zeros() as usize / 8..]);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let octets = input.octets()?;
        let at = input.at() - octets.len();
        if octets.len() > 16 || octets.first() == Some(&0) {
            return Err(input.fail(DecodeError::BadWideNumber { at }));
        }
        Ok(octets.iter().fold(0, |value, octet| value << 8 | Self::from(*octet)))
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let at = input.at();
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(input.fail(DecodeError::BadBoolean { at, value })),
        }
    }
}

impl Wire for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(Self::from_le_bytes(input.fixed()?))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(out, self.as_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Ok(input.text()?.to_owned())
    }
}

impl Wire for Text {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        put_octets(out, self.as_bytes());
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        input.shared_text()
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        input.fixed()
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
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
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
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
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        Vec::read(input).map(Self::from)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_items(self, out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let mut items = Self::new();
        if input.skip_empty() {
            return Ok(items);
        }
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
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
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
            fn read(input: &mut $crate::codec::wire::Input<'_>) -> Result<Self, $crate::codec::wire::Failed> {
                $( let $field = $crate::codec::wire::Wire::read(input)?; )+
                Ok(Self { $($field),+ })
            }
        }
    };
}
pub(crate) use wire_record;
