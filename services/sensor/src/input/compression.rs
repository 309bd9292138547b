//! gzip, zstd and zip, told by content: a capture may be packed once, or packed and packed again.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder};

/// How often a packed file may lie in another.
const MOST_LAYERS: usize = 2;
/// Enough of the beginning to recognise any supported format: flow exports by their first message, which is no longer.
pub(super) const HEAD_BYTES: usize = 65_536;
/// Windows above 128 MiB are refused: the file would choose our memory (RFC 8878 §3.1.1.1.2 recommends 8 MiB).
const ZSTD_LARGEST_WINDOW_LOG: u32 = 27;

/// A stream whose first bytes have been looked at.
type Peeked = Chain<Cursor<Vec<u8>>, Box<dyn Read>>;

/// The unpacked stream, its first bytes, and whether anything was unpacked.
pub(super) struct Unpacked {
    pub(super) stream: Box<dyn Read>,
    pub(super) head: Vec<u8>,
    pub(super) packed: bool,
}

/// Whether what begins like this is packed.
pub(super) fn is_packed(head: &[u8]) -> bool {
    Format::of(head).is_some()
}

/// Unpacks as often as allowed. The error is one of the content.
pub(super) fn unpack(mut stream: Box<dyn Read>) -> io::Result<Unpacked> {
    for layer in 0..=MOST_LAYERS {
        // A packed stream that breaks off still has a readable beginning; its failure is met again while reading.
        let (head, peeked) = peek(stream, layer > 0)?;
        let Some(format) = Format::of(&head) else {
            return Ok(Unpacked { stream: Box::new(peeked), head, packed: layer > 0 });
        };
        stream = format.open(peeked)?;
    }
    Err(invalid("packed more than twice; unpack it first"))
}

#[derive(Clone, Copy)]
enum Format {
    Gzip,
    Zstd,
    Zip,
}

impl Format {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            _ => None,
        }
    }

    fn open(self, mut packed: Peeked) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Gzip => Ok(Box::new(MultiGzDecoder::new(BufReader::new(packed)))),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed)?;
                decoder.window_log_max(ZSTD_LARGEST_WINDOW_LOG)?;
                Ok(Box::new(decoder))
            }
            Self::Zip => {
                let entry = ZipEntry::read_first_file(&mut packed)?;
                entry.open(packed)
            }
        }
    }
}

fn peek(mut stream: Box<dyn Read>, lenient: bool) -> io::Result<(Vec<u8>, Peeked)> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let result = stream.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head);
    if let Err(error) = result
        && (!lenient || head.is_empty())
    {
        return Err(error);
    }
    let copy = head.clone();
    Ok((head, Cursor::new(copy).chain(stream)))
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A local file header of a zip archive (PKWARE APPNOTE 4.3.7). Read in stream order, so standard input works as well.
struct ZipEntry {
    method: u16,
    packed_bytes: u64,
    has_descriptor: bool,
}

impl ZipEntry {
    fn read_first_file(stream: &mut impl Read) -> io::Result<Self> {
        loop {
            let mut header = [0; 30];
            stream.read_exact(&mut header)?;
            if header[..4] != *b"PK\x03\x04" {
                return Err(invalid("zip archive without a file"));
            }
            let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
            let flags = number(6);
            if flags & 1 != 0 {
                return Err(invalid("zip archive with a password; unpack it first"));
            }
            let packed_bytes = u32::from_le_bytes([header[18], header[19], header[20], header[21]]);
            let mut name = vec![0; usize::from(number(26))];
            stream.read_exact(&mut name)?;
            io::copy(&mut stream.take(u64::from(number(28))), &mut io::sink())?;
            if !name.ends_with(b"/") {
                // 0xffffffff says that a zip64 field has the size; the stream's own end is found by the decoder then.
                let sized = packed_bytes != u32::MAX;
                let packed_bytes = if sized { u64::from(packed_bytes) } else { u64::MAX };
                return Ok(Self { method: number(8), packed_bytes, has_descriptor: flags & 8 != 0 });
            }
            io::copy(&mut stream.take(u64::from(packed_bytes)), &mut io::sink())?;
        }
    }

    fn open(self, stream: Peeked) -> io::Result<Box<dyn Read>> {
        match self.method {
            0 if self.has_descriptor => Err(invalid("zip archive of stored data without its size; unpack it first")),
            0 => Ok(Box::new(stream.take(self.packed_bytes))),
            8 => Ok(Box::new(DeflateDecoder::new(BufReader::new(stream)))),
            _ => Err(invalid("zip archive with a method other than deflate; unpack it first")),
        }
    }
}
