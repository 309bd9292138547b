//! Captures made here, packet by packet: pcap in microseconds, raw IPv4, SYNs without payload.

use std::net::Ipv4Addr;

/// Link type "raw IP" (<https://www.tcpdump.org/linktypes.html>).
const LINKTYPE_RAW: u32 = 101;
/// 2026-01-05 09:00:00 UTC.
const BEGIN: u64 = 1_767_603_600;
const HEADERS: usize = 40;

/// A SYN of `source` to 10.0.0.10:80, `after_ms` into the capture.
#[derive(Clone, Copy)]
pub struct Syn {
    pub after_ms: u64,
    pub source: Ipv4Addr,
    pub source_port: u16,
}

/// The bytes of a capture of these packets, in the order given.
pub fn pcap(packets: &[Syn]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    for word in [0, 0, 65_535, LINKTYPE_RAW] {
        file.extend(word.to_le_bytes());
    }
    for packet in packets {
        let seconds = BEGIN + packet.after_ms / 1_000;
        let micros = packet.after_ms % 1_000 * 1_000;
        for word in [seconds as u32, micros as u32, HEADERS as u32, HEADERS as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet_bytes(packet));
    }
    file
}

/// An IPv4 header (RFC 791 §3.1) and a TCP header (RFC 9293 §3.1). Checksums are left zero, as offloading cards do.
fn packet_bytes(packet: &Syn) -> [u8; HEADERS] {
    let mut bytes = [0; HEADERS];
    bytes[0] = 0x45;
    bytes[3] = HEADERS as u8;
    bytes[8] = 64;
    bytes[9] = 6;
    bytes[12..16].copy_from_slice(&packet.source.octets());
    bytes[16..20].copy_from_slice(&[10, 0, 0, 10]);
    bytes[20..22].copy_from_slice(&packet.source_port.to_be_bytes());
    bytes[22..24].copy_from_slice(&80_u16.to_be_bytes());
    bytes[32] = 0x50;
    bytes[33] = 0x02;
    bytes
}

/// `count` SYNs, one each 50 ms, of as many sources.
pub fn syns(count: u32) -> Vec<Syn> {
    let syn = |number: u32| Syn {
        after_ms: u64::from(number) * 50,
        source: Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + number),
        source_port: 40_000,
    };
    (0..count).map(syn).collect()
}
