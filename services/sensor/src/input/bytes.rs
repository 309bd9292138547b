//! A buffered stream of bytes that knows its offset, hands out slices without a copy per packet, and can jump in a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Large enough that a system call is paid once per several hundred packets.
const BUFFER_BYTES: usize = 256 * 1024;

/// Where the bytes come from.
pub(super) enum Source {
    /// A regular file, which can be read twice.
    File(File),
    /// Anything else.
    Stream(Box<dyn Read>),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

/// A window over a source. Memory is the buffer and the longest `fill` that was asked for and is really there.
pub(super) struct ByteStream {
    source: Source,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    finished: bool,
    failure: Option<io::Error>,
}

impl ByteStream {
    pub(super) fn new(source: Source) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self { source, buffer, start: 0, end: 0, offset: 0, finished: false, failure: None }
    }

    /// Offset of the next byte from the start of the stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Why reading stopped early, if the source failed rather than ended.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// The bytes that lie ready, at least `wanted` of them unless the source ends before.
    #[inline]
    pub(super) fn fill(&mut self, wanted: usize) -> &[u8] {
        if self.end - self.start < wanted {
            self.refill(wanted);
        }
        &self.buffer[self.start..self.end]
    }

    /// Passes over bytes that [`Self::fill`] returned.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Passes over `count` bytes, however many; false if the source ends before.
    pub(super) fn skip(&mut self, mut count: u64) -> bool {
        while count > 0 {
            let ready = self.fill(1).len() as u64;
            if ready == 0 {
                return false;
            }
            let step = ready.min(count);
            self.consume(step as usize);
            count -= step;
        }
        true
    }

    /// Jumps to `offset` of a file. A stream cannot; it fails.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        let buffered = self.offset..=self.offset + (self.end - self.start) as u64;
        if buffered.contains(&offset) {
            self.consume((offset - self.offset) as usize);
            return Ok(());
        }
        let Source::File(file) = &mut self.source else {
            return Err(io::Error::from(io::ErrorKind::NotSeekable));
        };
        file.seek(SeekFrom::Start(offset))?;
        (self.start, self.end, self.offset) = (0, 0, offset);
        (self.finished, self.failure) = (false, None);
        Ok(())
    }

    #[cold]
    fn refill(&mut self, wanted: usize) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < wanted && !self.finished {
            if self.end == self.buffer.len() {
                // Doubled as bytes arrive, so a length field alone never allocates.
                self.buffer.resize((self.buffer.len() * 2).min(wanted.max(BUFFER_BYTES)), 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.finished = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.finished = true;
                    self.failure = Some(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_across_the_buffer_and_keeps_the_offset() {
        let bytes: Vec<u8> = (0..600_000u32).map(|n| (n % 251) as u8).collect();
        let mut stream = ByteStream::new(Source::Stream(Box::new(io::Cursor::new(bytes.clone()))));
        assert!(stream.skip(200_000));
        assert_eq!(stream.fill(300_000)[..300_000], bytes[200_000..500_000]);
        assert!(stream.skip(399_999));
        assert_eq!(stream.offset(), 599_999);
        assert_eq!(stream.fill(10).len(), 1);
        assert!(!stream.skip(2));
    }
}
