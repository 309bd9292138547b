//! Sections, interfaces and blocks built byte by byte.

use super::*;
use crate::input::bytes::Source;
use crate::input::{InputError, read_bytes};

struct Writer {
    big_endian: bool,
    file: Vec<u8>,
}

impl Writer {
    fn n16(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn n32(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn n64(&self, value: u64) -> [u8; 8] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn block(&mut self, kind: u32, parts: &[&[u8]]) {
        let body = parts.concat();
        let length = self.n32(12 + body.len() as u32);
        let block = [&self.n32(kind), &length, body.as_slice(), &length].concat();
        self.file.extend(block);
    }

    fn section(&mut self) {
        self.block(SECTION_HEADER, &[&self.n32(0x1a2b_3c4d), &self.n16(1), &self.n16(0), &[0xff; 8]]);
    }

    fn interface(&mut self, link: u16, resolution: u8, offset: u64) {
        let resolution = [self.n16(9).as_slice(), &self.n16(1), &[resolution, 0, 0, 0]].concat();
        let offset = [self.n16(14).as_slice(), &self.n16(8), &self.n64(offset), &[0; 4]].concat();
        self.block(INTERFACE_DESCRIPTION, &[&self.n16(link), &[0; 2], &self.n32(24), &resolution, &offset]);
    }

    fn enhanced(&mut self, interface: u32, ticks: u64, wire: u32) {
        let (high, low) = (self.n32((ticks >> 32) as u32), self.n32(ticks as u32));
        let lengths = [self.n32(20), self.n32(wire)].concat();
        self.block(ENHANCED_PACKET, &[&self.n32(interface), &high, &low, &lengths, &IP]);
    }
}

/// An IPv4 packet without payload.
const IP: [u8; 20] = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];

fn times(file: Vec<u8>) -> (Vec<Micros>, PcapngReader, InputCounters) {
    let mut reader = PcapngReader::new(ByteStream::new(Source::Stream(Box::new(std::io::Cursor::new(file)))));
    let mut counters = InputCounters::default();
    let mut times = Vec::new();
    while let Some(packet) = reader.next(&mut counters) {
        times.push(packet.time());
    }
    (times, reader, counters)
}

#[test]
fn every_block_and_clock_in_both_byte_orders() {
    let mut file = Vec::new();
    for big_endian in [false, true] {
        let mut writer = Writer { big_endian, file: Vec::new() };
        writer.section();
        writer.interface(101, 9, 0);
        writer.interface(101, 3, 1000);
        writer.interface(101, 0x8a, 0);
        writer.interface(105, 6, 0);
        writer.enhanced(0, 5_000_000_000, 20);
        writer.enhanced(1, 6_000, 90);
        writer.enhanced(2, 7 << 10, 20);
        writer.block(SIMPLE_PACKET, &[&writer.n32(20), &IP]);
        writer.enhanced(3, 8_000_000, 20);
        let fixed = [writer.n32(0).as_slice(), &writer.n32(9_000_000), &writer.n32(20), &writer.n32(20)].concat();
        writer.block(OBSOLETE_PACKET, &[&writer.n16(3), &writer.n16(0), &fixed, &IP]);
        writer.block(0x0bad, &[&[1; 8]]);
        let drops = [writer.n16(5).as_slice(), &writer.n16(8), &writer.n64(4)].concat();
        writer.block(INTERFACE_STATISTICS, &[&writer.n32(1), &[0; 8], &drops]);
        file.extend(writer.file);
    }
    let (times, mut reader, counters) = times(file);
    let seconds: Vec<_> = times.iter().map(|time| time / SECOND_US).collect();
    assert_eq!(seconds, [5, 1006, 7, 7, 8, 9, 5, 1006, 7, 7, 8, 9]);
    assert_eq!((reader.drops(), reader.take_fault(), counters.truncated), (8, None, 2));
    assert_eq!(counters.decode_errors.get("link_type"), Some(&4));
}

#[test]
fn damage_names_its_offset() {
    let mut writer = Writer { big_endian: false, file: Vec::new() };
    writer.section();
    writer.interface(101, 6, 0);
    writer.enhanced(0, 1, 20);
    let good = writer.file.len();
    writer.enhanced(9, 1, 20);
    for file in [writer.file.clone(), writer.file[..good + 5].to_vec(), [&writer.file[..good], &[0; 40]].concat()] {
        let summary = read_bytes(&file).unwrap();
        assert_eq!(summary.packets, 1);
        let offsets: Vec<_> = summary.warnings.iter().map(|warning| warning.offset).collect();
        assert_eq!(offsets, [Some(good as u64)]);
    }
}

#[test]
fn a_file_without_any_readable_interface_is_unsupported() {
    let mut writer = Writer { big_endian: false, file: Vec::new() };
    writer.section();
    writer.interface(105, 6, 0);
    writer.enhanced(0, 1, 20);
    assert!(matches!(read_bytes(&writer.file), Err(InputError::LinkType { number: 105, .. })));
}

#[test]
fn descriptions_without_packets_take_no_memory() {
    let packet_between = |describe: fn(&mut Writer), every: u32| {
        let mut writer = Writer { big_endian: false, file: Vec::new() };
        writer.section();
        writer.interface(101, 6, 0);
        for number in 0..70_000 {
            describe(&mut writer);
            if number % every == 0 {
                writer.interface(101, 6, 0);
                writer.enhanced(0, 1, 20);
            }
        }
        writer.file
    };
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("unknown blocks", packet_between(|writer| writer.block(0x0bad, &[]), 1 << 30), "blocks in a row"),
        ("interfaces", packet_between(|writer| writer.interface(101, 6, 0), 2), "interfaces"),
        ("sections", packet_between(Writer::section, 1), "sections"),
        ("empty packets", packet_between(|writer| writer.block(SIMPLE_PACKET, &[&[0; 4]]), 1 << 30), "blocks in a row"),
    ];
    for (name, file, told) in cases {
        let (_, mut reader, _) = times(file);
        let fault = reader.take_fault().unwrap();
        assert!(fault.message.contains("over 65536") && fault.message.contains(told), "{name}: {fault:?}");
        assert!(reader.sections.len() <= MOST_DESCRIPTIONS, "{name}");
        assert!(reader.interface_count <= MOST_DESCRIPTIONS, "{name}");
    }
}
