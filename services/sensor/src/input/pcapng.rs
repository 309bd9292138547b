//! The pcapng format (draft-ietf-opsawg-pcapng): many sections and interfaces, both byte orders, all packet blocks.

use std::io;

use weir_schemas::{Micros, SECOND_US};

use super::Observed;
use super::bytes::ByteStream;
use super::reader::{Fault, LONGEST_PACKET, Patience, RecordReader, believable_time, count};
use crate::decode::{DecodeError, LinkType, decode_frame};
use crate::packet::{InputCounters, Packet};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Options beyond this many bytes of a block that is no packet are passed over unread.
const MOST_OPTION_BYTES: usize = 65_536;
/// Type, length, fixed fields of the largest packet block, and the length again.
const MOST_BLOCK_FIELDS: usize = 32;

/// Whether a file begins with a section header.
#[must_use]
pub fn is_pcapng(head: &[u8]) -> bool {
    head.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
        && matches!(head.get(8..12), Some([0x1a, 0x2b, 0x3c, 0x4d] | [0x4d, 0x3c, 0x2b, 0x1a]))
}

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Divide(u64),
    Multiply(u64),
    /// A negative power of two of a second.
    Binary(u32),
}

impl Resolution {
    fn from_option(value: u8) -> Self {
        let exponent = u32::from(value & 0x7f);
        if value & 0x80 != 0 {
            return Self::Binary(exponent);
        }
        match exponent {
            0..=6 => Self::Multiply(10_u64.pow(6 - exponent)),
            // Finer than 10^-24 s leaves nothing of 64 bits.
            _ => 10_u64.checked_pow(exponent - 6).map_or(Self::Divide(u64::MAX), Self::Divide),
        }
    }

    #[inline]
    fn micros(self, ticks: u64) -> Micros {
        let micros = match self {
            Self::Divide(by) => ticks / by,
            Self::Multiply(by) => ticks.saturating_mul(by),
            Self::Binary(exponent) => {
                let scaled = u128::from(ticks) * 1_000_000;
                u64::try_from(scaled.checked_shr(exponent).unwrap_or(0)).unwrap_or(u64::MAX)
            }
        };
        Micros::try_from(micros).unwrap_or(Micros::MAX)
    }
}

/// Sections, and interfaces of all sections, that are kept: what describes packets must not take our memory.
const MOST_DESCRIPTIONS: usize = 65_536;

struct Interface {
    link_number: u32,
    link: Option<LinkType>,
    snap_length: u32,
    resolution: Resolution,
    offset_us: Micros,
    drops: u64,
}

struct Section {
    offset: u64,
    big_endian: bool,
    interfaces: Vec<Interface>,
}

/// A packet block: where its data lies in the block, and what its fields say.
struct PacketBlock {
    interface: usize,
    time: Option<Micros>,
    data_at: usize,
    captured: u32,
    wire: u32,
}

/// Reads a pcapng file.
pub(super) struct PcapngReader {
    stream: ByteStream,
    /// Every section met up to now; a jump looks up its own.
    sections: Vec<Section>,
    current: usize,
    last_time: Micros,
    fault: Option<Fault>,
    patience: Patience,
    /// Interfaces of all sections.
    interface_count: usize,
}

impl PcapngReader {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self {
            stream,
            sections: Vec::new(),
            current: 0,
            last_time: 0,
            fault: None,
            patience: Patience::default(),
            interface_count: 0,
        }
    }

    #[cold]
    fn fail(&mut self, what: &str) {
        let mut message = format!("{what}; the packets before were read");
        if let Some(failure) = self.stream.failure() {
            message = format!("{message} ({failure})");
        }
        self.fault = Some(Fault { offset: self.stream.offset(), message });
    }

    fn big_endian(&self) -> bool {
        self.sections.get(self.current).is_some_and(|section| section.big_endian)
    }

    /// Advances to the next packet block and returns it with the whole block's length. The block lies ready, unconsumed.
    fn next_block(&mut self) -> Option<(PacketBlock, usize)> {
        loop {
            if self.fault.is_some() {
                return None;
            }
            let head = self.stream.fill(12);
            let Some(head) = head.first_chunk::<12>().copied() else {
                if !head.is_empty() || self.stream.failure().is_some() {
                    self.fail("the file ends inside a block header");
                }
                return None;
            };
            let mut order = Order { big_endian: self.big_endian() };
            let kind = order.number32(&head, 0);
            if kind == SECTION_HEADER {
                order.big_endian = match head[8..12] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => true,
                    [0x4d, 0x3c, 0x2b, 0x1a] => false,
                    _ => {
                        self.fail("a section header without its byte-order magic");
                        return None;
                    }
                };
            }
            let length = order.number32(&head, 4);
            if length < 12 || !length.is_multiple_of(4) {
                self.fail("a block with an impossible length");
                return None;
            }
            if matches!(kind, ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET) {
                let block = self.packet_block(kind, order, length as usize)?;
                if self.patience.lasts(block.captured > 0) {
                    return Some((block, length as usize));
                }
            } else if self.patience.lasts(false) {
                self.other_block(kind, order, length);
                continue;
            }
            self.fail("over 65536 blocks in a row without packet data are damage");
        }
    }

    fn packet_block(&mut self, kind: u32, order: Order, length: usize) -> Option<PacketBlock> {
        if length > LONGEST_PACKET as usize + MOST_BLOCK_FIELDS + MOST_OPTION_BYTES {
            self.fail("a packet block over 262144 bytes is damage");
            return None;
        }
        let least = match kind {
            SIMPLE_PACKET => 16,
            _ => 32,
        };
        if self.stream.fill(length).len() < length {
            self.fail("the file ends inside a packet block");
            return None;
        }
        if length < least {
            self.fail("a packet block too short for its fields");
            return None;
        }
        let block = self.stream.fill(length);
        let interface = match kind {
            SIMPLE_PACKET => 0,
            OBSOLETE_PACKET => usize::from(order.number16(block, 8)),
            _ => order.number32(block, 8) as usize,
        };
        let (time_at, captured_at, data_at) = if kind == SIMPLE_PACKET { (None, 8, 12) } else { (Some(12), 20, 28) };
        let ticks =
            time_at.map(|at| (u64::from(order.number32(block, at)) << 32) | u64::from(order.number32(block, at + 4)));
        let mut captured = order.number32(block, captured_at);
        let wire = if kind == SIMPLE_PACKET { captured } else { order.number32(block, 24) };
        let Some(description) = self.sections.get(self.current).and_then(|s| s.interfaces.get(interface)) else {
            self.fail("a packet of an interface that is not described");
            return None;
        };
        if kind == SIMPLE_PACKET {
            // It holds its original length only: the snap length and the block bound what was captured.
            let snap_length = if description.snap_length == 0 { u32::MAX } else { description.snap_length };
            captured = captured.min(snap_length).min((length - 16) as u32);
        }
        if captured as usize > length - data_at - 4 {
            self.fail("a packet that is longer than its block");
            return None;
        }
        let time = ticks.map(|ticks| description.resolution.micros(ticks).saturating_add(description.offset_us));
        Some(PacketBlock { interface, time, data_at, captured, wire: wire.max(captured) })
    }

    fn other_block(&mut self, kind: u32, order: Order, length: u32) {
        let offset = self.stream.offset();
        let wanted = (length as usize).min(MOST_OPTION_BYTES);
        let whole = length as usize <= MOST_OPTION_BYTES;
        if matches!(kind, SECTION_HEADER | INTERFACE_DESCRIPTION | INTERFACE_STATISTICS) {
            let ready = self.stream.fill(wanted);
            if ready.len() < wanted {
                self.fail("the file ends inside a block");
                return;
            }
            let body = if whole { &ready[8..wanted - 4] } else { &ready[8..wanted] };
            match kind {
                SECTION_HEADER if self.sections.len() >= MOST_DESCRIPTIONS => {
                    self.fail("over 65536 sections are damage");
                    return;
                }
                INTERFACE_DESCRIPTION if self.interface_count >= MOST_DESCRIPTIONS => {
                    self.fail("over 65536 interfaces are damage");
                    return;
                }
                SECTION_HEADER => {
                    self.sections.push(Section { offset, big_endian: order.big_endian, interfaces: Vec::new() });
                    self.current = self.sections.len() - 1;
                }
                INTERFACE_DESCRIPTION => {
                    let Some(interface) = interface_description(order, body) else {
                        self.fail("an interface description too short for its fields");
                        return;
                    };
                    if let Some(section) = self.sections.get_mut(self.current) {
                        section.interfaces.push(interface);
                        self.interface_count += 1;
                    }
                }
                _ => {
                    let statistics = interface_statistics(order, body);
                    if let Some((interface, drops)) = statistics
                        && let Some(section) = self.sections.get_mut(self.current)
                        && let Some(interface) = section.interfaces.get_mut(interface)
                    {
                        // Statistics count from the beginning of the capture: the last block says it all.
                        interface.drops = drops;
                    }
                }
            }
        }
        if !self.stream.skip(u64::from(length)) {
            self.fail("the file ends inside a block");
        }
    }

    fn time_of(&mut self, block: &PacketBlock) -> Micros {
        // A simple packet block has no time: it keeps its place.
        let time = believable_time(block.time.unwrap_or(self.last_time));
        self.last_time = time;
        time
    }
}

impl PcapngReader {
    #[inline]
    fn read(&mut self, counters: &mut InputCounters, see: impl FnOnce(&Packet, &[u8])) -> Option<Observed> {
        let (block, length) = self.next_block()?;
        let time = self.time_of(&block);
        let link = self.sections.get(self.current).and_then(|s| s.interfaces.get(block.interface)?.link);
        let data = &self.stream.fill(length)[block.data_at..block.data_at + block.captured as usize];
        let (packet, error) = match link {
            Some(link) => decode_frame(link, time, data, block.wire),
            None => (Box::new(Packet::unread(time)), Some(DecodeError::LinkType)),
        };
        see(&packet, data);
        self.stream.consume(length);
        count(counters, &packet, error, block.captured, block.wire);
        Some(packet.into())
    }
}

impl RecordReader for PcapngReader {
    fn kind(&self) -> &'static str {
        "pcapng"
    }

    fn next(&mut self, counters: &mut InputCounters) -> Option<Observed> {
        self.read(counters, |_, _| ())
    }

    fn next_with(&mut self, counters: &mut InputCounters, see: &mut dyn FnMut(&Packet, &[u8])) -> Option<Observed> {
        self.read(counters, see)
    }

    fn next_time(&mut self) -> Option<(Micros, u64)> {
        let (block, length) = self.next_block()?;
        let time = self.time_of(&block);
        let offset = self.stream.offset();
        self.stream.consume(length);
        Some((time, offset))
    }

    fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.fault = None;
        self.patience = Patience::default();
        if offset == 0 {
            self.sections.clear();
            (self.current, self.last_time, self.interface_count) = (0, 0, 0);
        } else {
            let after = self.sections.partition_point(|section| section.offset <= offset);
            self.current = after.saturating_sub(1);
        }
        self.stream.seek(offset)
    }

    fn take_fault(&mut self) -> Option<Fault> {
        self.fault.clone()
    }

    fn drops(&self) -> u64 {
        self.sections.iter().flat_map(|section| &section.interfaces).map(|interface| interface.drops).sum()
    }

    fn unreadable_link(&self) -> Option<u32> {
        let mut interfaces = self.sections.iter().flat_map(|section| &section.interfaces);
        if interfaces.clone().any(|interface| interface.link.is_some()) {
            return None;
        }
        interfaces.next().map(|interface| interface.link_number)
    }
}

/// The byte order of a section. Callers pass bytes that hold the number; 0 otherwise.
#[derive(Clone, Copy)]
struct Order {
    big_endian: bool,
}

impl Order {
    #[inline]
    fn number16(self, bytes: &[u8], at: usize) -> u16 {
        let Some(&[a, b]) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return 0;
        };
        if self.big_endian { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) }
    }

    #[inline]
    fn number32(self, bytes: &[u8], at: usize) -> u32 {
        let Some(&number) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return 0;
        };
        if self.big_endian { u32::from_be_bytes(number) } else { u32::from_le_bytes(number) }
    }

    fn number64(self, bytes: &[u8], at: usize) -> u64 {
        let Some(&number) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return 0;
        };
        if self.big_endian { u64::from_be_bytes(number) } else { u64::from_le_bytes(number) }
    }

    /// Code and value of each option until the end or the first that does not fit.
    fn options(self, mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
        std::iter::from_fn(move || {
            let header = bytes.get(..4)?;
            let (code, length) = (self.number16(header, 0), usize::from(self.number16(header, 2)));
            let value = bytes.get(4..4 + length)?;
            bytes = bytes.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }
}

fn interface_description(order: Order, body: &[u8]) -> Option<Interface> {
    let options = body.get(8..)?;
    let link_number = u32::from(order.number16(body, 0));
    let mut interface = Interface {
        link_number,
        link: LinkType::from_number(link_number),
        snap_length: order.number32(body, 4),
        resolution: Resolution::Multiply(1),
        offset_us: 0,
        drops: 0,
    };
    for (code, value) in order.options(options) {
        match (code, value.len()) {
            (9, 1) => interface.resolution = Resolution::from_option(value[0]),
            (14, 8) => interface.offset_us = (order.number64(value, 0) as i64).saturating_mul(SECOND_US),
            _ => {}
        }
    }
    Some(interface)
}

/// The interface and what it and the operating system dropped (`isb_ifdrop`, `isb_osdrop`).
fn interface_statistics(order: Order, body: &[u8]) -> Option<(usize, u64)> {
    let options = body.get(12..)?;
    let dropped = order.options(options).filter(|(code, value)| matches!(code, 5 | 7) && value.len() == 8);
    let drops = dropped.fold(0_u64, |sum, (_, value)| sum.saturating_add(order.number64(value, 0)));
    Some((order.number32(body, 0) as usize, drops))
}

#[cfg(test)]
#[path = "pcapng_tests.rs"]
mod tests;
