//! A cursor over a stranger's bytes: every read says whether the bytes were there, and none panics.

/// What has not been read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Everything not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `count` bytes, or as many as there are.
    pub(super) fn take_up_to(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    pub(super) fn number8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn number16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn number24(&mut self) -> Option<u32> {
        self.take(3).map(|bytes| u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]))
    }

    pub(super) fn number32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The bytes behind a length of one byte.
    pub(super) fn block8(&mut self) -> Option<&'a [u8]> {
        let length = self.number8()?;
        self.take(usize::from(length))
    }

    /// The bytes behind a length of two bytes.
    pub(super) fn block16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there_and_nothing_else() {
        let mut cursor = Cursor::new(&[1, 0, 2, 0, 0, 3, 2, 9, 9, 0, 5]);
        assert_eq!(cursor.number8(), Some(1));
        assert_eq!(cursor.number16(), Some(2));
        assert_eq!(cursor.number24(), Some(3));
        assert_eq!(cursor.block8(), Some(&[9, 9][..]));
        assert_eq!(cursor.block16(), None, "five bytes are not there");
        assert!(cursor.is_empty());
        assert_eq!((cursor.number8(), cursor.take_up_to(3)), (None, &[][..]));
    }
}
