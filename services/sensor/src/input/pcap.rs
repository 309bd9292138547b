//! The pcap format (draft-ietf-opsawg-pcap): microseconds and nanoseconds, both byte orders, and Kuznetzov's variant.

use std::io;

use weir_schemas::{Micros, SECOND_US};

use super::Observed;
use super::bytes::ByteStream;
use super::reader::{Fault, LONGEST_PACKET, Patience, RecordReader, believable_time, count};
use crate::decode::{LinkType, decode_frame};
use crate::packet::{InputCounters, Packet};

const FILE_HEADER_BYTES: usize = 24;

/// What the magic number of a pcap file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    big_endian: bool,
    nanoseconds: bool,
    /// 16 bytes, 24 in Kuznetzov's variant.
    record_header: usize,
}

impl Layout {
    /// The layout of a file that begins with `head`, if it is a pcap file.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        let magic = *head.first_chunk::<4>()?;
        let number = u32::from_le_bytes(magic);
        let big_endian = !matches!(number, 0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34);
        let (nanoseconds, record_header) = match if big_endian { number.swap_bytes() } else { number } {
            0xa1b2_c3d4 => (false, 16),
            0xa1b2_3c4d => (true, 16),
            0xa1b2_cd34 => (false, 24),
            _ => return None,
        };
        Some(Self { big_endian, nanoseconds, record_header })
    }

    #[inline]
    fn number(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// Times and lengths of one record.
struct RecordHeader {
    time: Micros,
    captured: u32,
    wire: u32,
}

/// Reads a pcap file.
pub(super) struct PcapReader {
    stream: ByteStream,
    layout: Layout,
    link_number: u32,
    link: Option<LinkType>,
    fault: Option<Fault>,
    patience: Patience,
}

impl PcapReader {
    pub(super) fn new(mut stream: ByteStream, layout: Layout) -> Self {
        let header = stream.fill(FILE_HEADER_BYTES);
        let mut fault = None;
        let mut link_number = 0;
        if let Some(field) = header.get(20..24) {
            // The upper bits tell the length of a frame check sequence.
            link_number = layout.number([field[0], field[1], field[2], field[3]]) & 0x03ff_ffff;
            stream.consume(FILE_HEADER_BYTES);
        } else {
            let message = format!("the file header has {} of 24 bytes; nothing can be read", header.len());
            fault = Some(Fault { offset: 0, message });
        }
        let link = LinkType::from_number(link_number);
        Self { stream, layout, link_number, link, fault, patience: Patience::default() }
    }

    #[cold]
    fn fail(&mut self, message: String) {
        let message = match self.stream.failure() {
            Some(failure) => format!("{message} ({failure})"),
            None => message,
        };
        self.fault = Some(Fault { offset: self.stream.offset(), message });
    }

    #[inline]
    fn read_header(&mut self) -> Option<RecordHeader> {
        if self.fault.is_some() {
            return None;
        }
        let layout = self.layout;
        let Some(header) = self.stream.fill(layout.record_header).first_chunk::<16>() else {
            let left = self.stream.fill(1).len();
            if left > 0 || self.stream.failure().is_some() {
                self.fail(format!(
                    "the file ends inside a record header ({left} bytes of it); the packets before were read"
                ));
            }
            return None;
        };
        let field = |at: usize| layout.number([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (seconds, fraction, captured, wire) = (field(0), field(4), field(8), field(12));
        let fraction = if layout.nanoseconds { fraction / 1000 } else { fraction };
        if captured > LONGEST_PACKET {
            self.fail(format!("a packet of {captured} bytes, over 262144, is damage; the packets before were read"));
            return None;
        }
        if !self.patience.lasts(captured > 0) {
            self.fail("over 65536 packets of no bytes in a row are damage; the packets before were read".to_owned());
            return None;
        }
        let time = Micros::from(seconds) * SECOND_US + Micros::from(fraction);
        Some(RecordHeader { time: believable_time(time), captured, wire: wire.max(captured) })
    }

    #[cold]
    fn fail_inside_packet(&mut self, wanted: usize) {
        let left = self.stream.fill(1).len().saturating_sub(self.layout.record_header);
        let wanted = wanted - self.layout.record_header;
        self.fail(format!("the file ends inside a packet ({left} of {wanted} bytes); the packets before were read"));
    }
}

impl PcapReader {
    #[inline]
    fn read(&mut self, counters: &mut InputCounters, see: impl FnOnce(&Packet, &[u8])) -> Option<Observed> {
        let header = self.read_header()?;
        let length = self.layout.record_header + header.captured as usize;
        let Some(data) = self.stream.fill(length).get(self.layout.record_header..length) else {
            self.fail_inside_packet(length);
            return None;
        };
        let (packet, error) = match self.link {
            Some(link) => decode_frame(link, header.time, data, header.wire),
            None => return None,
        };
        see(&packet, data);
        self.stream.consume(length);
        count(counters, &packet, error, header.captured, header.wire);
        Some(packet.into())
    }
}

impl RecordReader for PcapReader {
    fn kind(&self) -> &'static str {
        "pcap"
    }

    fn next(&mut self, counters: &mut InputCounters) -> Option<Observed> {
        self.read(counters, |_, _| ())
    }

    fn next_with(&mut self, counters: &mut InputCounters, see: &mut dyn FnMut(&Packet, &[u8])) -> Option<Observed> {
        self.read(counters, see)
    }

    fn next_time(&mut self) -> Option<(Micros, u64)> {
        let header = self.read_header()?;
        let offset = self.stream.offset();
        let length = self.layout.record_header + header.captured as usize;
        if self.stream.fill(length).len() < length {
            self.fail_inside_packet(length);
            return None;
        }
        self.stream.consume(length);
        Some((header.time, offset))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        if offset == 0 && self.stream.offset() == 0 {
            return Ok(());
        }
        self.fault = None;
        self.patience = Patience::default();
        self.stream.seek(offset.max(FILE_HEADER_BYTES as u64))
    }

    fn take_fault(&mut self) -> Option<Fault> {
        self.fault.clone()
    }

    fn unreadable_link(&self) -> Option<u32> {
        self.link.is_none().then_some(self.link_number)
    }
}
